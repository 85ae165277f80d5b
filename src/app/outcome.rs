//! What a parser answers.

/// Answer of a parser to the first bytes of one side.
///
/// Every parser keeps one promise: with more bytes, `Evidence` stays `Evidence` and `No` stays `No`. Facts inside may grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It is this protocol.
    Evidence(T),
    /// It may be; the bytes end too early to tell.
    NeedMore,
    /// It is not.
    No,
}

impl<T> Outcome<T> {
    /// Applies `f` to the evidence.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Evidence(v) => Outcome::Evidence(f(v)),
            Self::NeedMore => Outcome::NeedMore,
            Self::No => Outcome::No,
        }
    }
}

/// Compares the start of `bytes` with `expected`, as far as there are bytes.
pub(super) fn starts_with(bytes: &[u8], expected: &[u8]) -> Outcome<()> {
    if bytes.iter().zip(expected).any(|(a, b)| a != b) {
        Outcome::No
    } else if bytes.len() < expected.len() {
        Outcome::NeedMore
    } else {
        Outcome::Evidence(())
    }
}
