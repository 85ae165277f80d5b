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

/// Why a parser stopped early: the form of [`Outcome`] for the inside of a parser, where `?` leads out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The bytes end too early to tell.
    NeedMore,
    /// It is not this protocol.
    No,
}

impl<T> From<Result<T, Stop>> for Outcome<T> {
    fn from(r: Result<T, Stop>) -> Self {
        match r {
            Ok(v) => Self::Evidence(v),
            Err(Stop::NeedMore) => Self::NeedMore,
            Err(Stop::No) => Self::No,
        }
    }
}

/// A field that must be there: its absence only means that the bytes end.
pub(super) fn needed<T>(field: Option<T>) -> Result<T, Stop> {
    field.ok_or(Stop::NeedMore)
}

/// Something that must hold.
pub(super) const fn require(holds: bool) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err(Stop::No) }
}

/// Requires the next bytes to be `expected`, as far as there are bytes, and moves past them.
pub(super) fn expect(rest: &mut &[u8], expected: &[u8]) -> Result<(), Stop> {
    match starts_with(rest, expected) {
        Outcome::Evidence(()) => {
            *rest = rest.get(expected.len()..).unwrap_or_default();
            Ok(())
        }
        Outcome::NeedMore => Err(Stop::NeedMore),
        Outcome::No => Err(Stop::No),
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
