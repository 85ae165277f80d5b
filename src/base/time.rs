//! Packet time.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z. Covers the years 1677 to 2262.
///
/// Time is data: it always comes from a packet, a capture's statistics or a site file, never from a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

/// A length of time in nanoseconds, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span(u64);

impl Span {
    /// From nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }
    /// From milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }
    /// From seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }
    /// In nanoseconds.
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
    /// In seconds, for printing.
    #[expect(clippy::cast_precision_loss, reason = "only printed")]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
    /// Twice, thrice, ... as long.
    #[must_use]
    pub const fn times(self, n: u64) -> Self {
        Self(self.0.saturating_mul(n))
    }
}

impl Time {
    /// From nanoseconds since the epoch.
    #[inline]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// In nanoseconds since the epoch.
    #[inline]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// From whole seconds and nanoseconds; `None` where the sum leaves the representable range.
    pub fn from_parts(secs: i64, nanos: u32) -> Option<Self> {
        secs.checked_mul(1_000_000_000)?.checked_add(i64::from(nanos)).map(Self)
    }

    /// How long after `earlier` this is; zero where time ran backwards.
    pub const fn since(self, earlier: Self) -> Span {
        let d = self.0.saturating_sub(earlier.0);
        Span(if d > 0 { d.unsigned_abs() } else { 0 })
    }

    /// This time plus a span, at most the last representable time.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add_unsigned(span.0))
    }

    /// This time minus a span.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub_unsigned(span.0))
    }

    /// Parses RFC 3339; the error says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let ts: jiff::Timestamp =
            text.parse().map_err(|_| format!("'{text}' is not an RFC 3339 time such as 2026-11-20T22:00:00+01:00"))?;
        i64::try_from(ts.as_nanosecond()).map(Self).map_err(|_| format!("'{text}' is outside the years 1678 to 2261"))
    }

    fn timestamp(self) -> jiff::Timestamp {
        // Every i64 count of nanoseconds is inside jiff's range of years -9999 to 9999.
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// Local time of day in a zone with its offset, to the second, as shown beside UTC.
    pub fn local(self, zone: &jiff::tz::TimeZone) -> String {
        self.timestamp().to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
    }

    /// UTC to the millisecond, for people: `2026-11-20 21:00:03.250`.
    pub fn short(self) -> String {
        self.timestamp().strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
    }
}

impl fmt::Display for Time {
    /// RFC 3339, UTC, always nine fractional digits, so that columns line up and text sorts as time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.timestamp().strftime("%Y-%m-%dT%H:%M:%S%.9fZ"))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "format": "date-time",
            "description": "RFC 3339, UTC, nine fractional digits"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_rfc3339_with_nine_digits_and_reads_it_back() {
        let t = Time::from_parts(1_600_000_000, 5).unwrap();
        assert_eq!(t.to_string(), "2020-09-13T12:26:40.000000005Z");
        assert_eq!(Time::parse(&t.to_string()).unwrap(), t);
        assert_eq!(Time::parse("2020-09-13T14:26:40.000000005+02:00").unwrap(), t);
        assert!(Time::parse("2020-09-13T14:26:40").is_err(), "a time without a zone means nothing");
    }

    #[test]
    fn before_the_epoch_and_backwards() {
        let t = Time::from_nanos(-1);
        assert_eq!(t.to_string(), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(t.since(Time::from_nanos(5)), Span::default());
        assert!(Time::from_parts(i64::MAX / 2, 0).is_none());
    }
}
