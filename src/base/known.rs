//! Knowledge that may be absent.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value a source either reported or could not know.
///
/// There is deliberately no `Default`: a savefile that stores no drop counter has not counted zero drops.
/// `Unknown` is `null` in JSON and the word "unknown" in text, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Known<T> {
    /// The source said so.
    Known(T),
    /// The source cannot know, or did not say.
    Unknown,
}

impl<T> Known<T> {
    /// The value, if there is one.
    pub const fn get(self) -> Option<T>
    where
        T: Copy,
    {
        match self {
            Self::Known(v) => Some(v),
            Self::Unknown => None,
        }
    }

    /// Applies `f` to a known value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Known<U> {
        match self {
            Self::Known(v) => Known::Known(f(v)),
            Self::Unknown => Known::Unknown,
        }
    }
}

impl Known<u64> {
    /// The sum over two consecutive pieces: unknown in either makes the whole unknown.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Known(a), Self::Known(b)) => Self::Known(a.saturating_add(b)),
            _ => Self::Unknown,
        }
    }
}

impl<T> From<Option<T>> for Known<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Unknown, Self::Known)
    }
}

impl<T: Serialize> Serialize for Known<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(v) => serializer.serialize_some(v),
            Self::Unknown => serializer.serialize_none(),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Known<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<T>::deserialize(deserializer).map(Self::from)
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for Known<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Option::<T>::schema_name()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Option::<T>::json_schema(generator)
    }
    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_null_and_swallows_sums() {
        assert_eq!(serde_json::to_string(&Known::<u64>::Unknown).unwrap(), "null");
        assert_eq!(Known::Known(3).plus(Known::Known(4)), Known::Known(7));
        assert_eq!(Known::Known(3).plus(Known::Unknown), Known::Unknown);
    }
}
