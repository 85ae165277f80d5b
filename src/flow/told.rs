//! What payload said of a piece, once the payload is gone: the sealed form of evidence, and how it appends.
//!
//! Sealing looks at the first bytes of each side and forgets them. Of each side it keeps where those bytes lay and what they
//! are; whether that place is the start of the stream may become known later. Of both it keeps facts and mapper answers.
//! Appending is associative. Against appending payload itself it may lose what a cut went through, so `confirmed` may become
//! `unconfirmed`; it never makes a protocol wrong.

use serde::{Deserialize, Serialize};

use crate::app::{AppFacts, AppProto, Evidence, MapperAnswer, Outcome, Refusal, Speaks};
use crate::base::Stamp;

use super::row::{Cursor, Row};
use super::shift::Shift;

/// Openings kept per side: the first ones, since a start is near the beginning.
const OPENINGS: usize = 4;
/// Facts kept beyond those of the first piece that said something.
const MORE: usize = 64;
/// Mapper answers kept.
const ANSWERS: usize = 1024;

/// What the bytes at a place are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Too few to tell.
    Undecided,
    /// The beginning of this protocol.
    Known(AppProto),
    /// Of none that is known.
    Other,
    /// Not where a stream can begin.
    Stray,
}

impl Opening {
    pub(crate) const fn new(outcome: &Outcome<AppProto>) -> Self {
        match outcome {
            Outcome::Evidence(proto) => Self::Known(*proto),
            Outcome::NeedMore => Self::Undecided,
            Outcome::No => Self::Other,
        }
    }

    const fn code(self) -> i64 {
        match self {
            Self::Undecided => 0,
            Self::Other => 1,
            Self::Stray => 2,
            Self::Known(AppProto::Ssh) => 3,
            Self::Known(AppProto::Tls) => 4,
            Self::Known(AppProto::Smb) => 5,
            Self::Known(AppProto::DceRpc) => 6,
            Self::Known(AppProto::Iscsi) => 7,
            Self::Known(AppProto::Http) => 8,
            Self::Known(AppProto::Tns) => 9,
            Self::Known(AppProto::Kerberos) => 10,
            Self::Known(AppProto::Ldap) => 11,
            Self::Known(AppProto::Dns) => 12,
            Self::Known(AppProto::Ntp) => 13,
        }
    }

    const fn of(code: i64) -> Option<Self> {
        Some(match code {
            0 => Self::Undecided,
            1 => Self::Other,
            2 => Self::Stray,
            3 => Self::Known(AppProto::Ssh),
            4 => Self::Known(AppProto::Tls),
            5 => Self::Known(AppProto::Smb),
            6 => Self::Known(AppProto::DceRpc),
            7 => Self::Known(AppProto::Iscsi),
            8 => Self::Known(AppProto::Http),
            9 => Self::Known(AppProto::Tns),
            10 => Self::Known(AppProto::Kerberos),
            11 => Self::Known(AppProto::Ldap),
            12 => Self::Known(AppProto::Dns),
            13 => Self::Known(AppProto::Ntp),
            _ => return None,
        })
    }
}

/// Openings of one side, in the order in which they were met, by offset in the side's sequence space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Openings(Vec<(i64, Opening)>);

impl Openings {
    pub(crate) fn note(&mut self, off: i64, is: Opening) {
        if self.0.len() < OPENINGS {
            self.0.push((off, is));
        }
    }

    /// Takes in later ones, moved up by `by`.
    pub(crate) fn append(&mut self, later: &Self, by: i64) {
        later.0.iter().for_each(|&(off, is)| self.note(off.saturating_add(by), is));
    }

    /// What the side speaks, if its stream begins at `start`; `None` where that is not known.
    pub(crate) fn speaks(&self, start: Option<i64>) -> Speaks {
        let at_start = |o: &&(i64, Opening)| Some(o.0) == start && o.1 != Opening::Stray;
        match self.0.iter().find(at_start).map(|o| o.1) {
            Some(Opening::Undecided) => Speaks::Undecided,
            Some(Opening::Known(proto)) => Speaks::Known(proto),
            Some(Opening::Other) => Speaks::Other,
            _ if self.0.is_empty() => Speaks::Nothing,
            _ => Speaks::NoStart,
        }
    }

    pub(crate) fn write(&self, row: &mut Row) {
        row.len(self.0.len());
        self.0.iter().for_each(|&(off, is)| {
            row.int(off);
            row.int(is.code());
        });
    }

    pub(crate) fn read(from: &mut Cursor<'_>) -> Option<Self> {
        let n = from.len(OPENINGS)?;
        (0..n).map(|_| Some((from.offset()?, Opening::of(from.int()?)?))).collect::<Option<_>>().map(Self)
    }
}

/// Facts of a piece or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Told {
    /// Facts of the first piece that held payload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) facts: Vec<AppFacts>,
    /// Facts of later ones; they count where they are about a protocol that is known to be spoken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) more: Vec<AppFacts>,
    /// What each side's first datagram is, of UDP alone: it has no stream that could begin elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) datagrams: Option<[Speaks; 2]>,
    /// Digests of each side's first bytes ([`super::head`]). Rows hold them as integers.
    #[serde(skip)]
    pub(crate) heads: Option<[[Option<u64>; 3]; 2]>,
    /// What one side refused the other, in the first piece that held payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refusal: Option<Refusal>,
    /// What an endpoint mapper answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) mapper: Vec<MapperAnswer>,
    /// Whether several pieces were sealed before they were put together.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) apart: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_false(b: &bool) -> bool {
    !*b
}

/// Digests of the stretch that had any first.
const fn longer(early: [Option<u64>; 3], late: [Option<u64>; 3]) -> [Option<u64>; 3] {
    if early[0].is_some() { early } else { late }
}

/// What was said first, whatever came later.
fn first(early: Speaks, late: Speaks) -> Speaks {
    if early == Speaks::Nothing { late } else { early }
}

impl Told {
    pub(crate) fn new(evidence: Evidence) -> Self {
        let Evidence { speaks: _, mut facts, mut mapper, refusal } = evidence;
        facts.truncate(ANSWERS);
        mapper.truncate(ANSWERS);
        Self { facts, mapper, refusal, ..Self::default() }
    }

    /// The same of datagrams.
    pub(crate) fn of_datagrams(evidence: Evidence) -> Self {
        let datagrams = Some(evidence.speaks.clone());
        Self { datagrams, ..Self::new(evidence) }
    }

    /// Whether it stays inside the bounds.
    pub(crate) fn is_bounded(&self) -> bool {
        self.facts.len() <= ANSWERS && self.more.len() <= MORE && self.mapper.len() <= ANSWERS
    }

    /// Takes in what a later piece told.
    pub(crate) fn append(&mut self, later: Self) {
        self.apart = true;
        self.heads = match (self.heads, later.heads) {
            (Some([a, b]), Some([c, d])) => Some([longer(a, c), longer(b, d)]),
            (a, b) => a.or(b),
        };
        self.datagrams = match (self.datagrams.take(), later.datagrams) {
            (Some([a, b]), Some([c, d])) => Some([first(a, c), first(b, d)]),
            (a, b) => a.or(b),
        };
        for fact in later.facts.into_iter().chain(later.more) {
            if self.more.len() < MORE && !self.more.contains(&fact) {
                self.more.push(fact);
            }
        }
        let room = ANSWERS.saturating_sub(self.mapper.len());
        self.mapper.extend(later.mapper.into_iter().take(room));
    }

    /// Evidence, given what the sides speak.
    ///
    /// Where pieces were sealed apart and one side stays undecided, it may have spoken what is expected. Then the other side's
    /// bytes must not count against it.
    pub(crate) fn evidence(self, mut speaks: [Speaks; 2]) -> Evidence {
        let doubtful = |s: &Speaks| matches!(s, Speaks::NoStart | Speaks::Undecided);
        if let Some(first) = self.datagrams {
            speaks = first;
        } else if self.apart && speaks.iter().any(doubtful) {
            speaks.iter_mut().filter(|s| **s != Speaks::Nothing && !doubtful(s)).for_each(|s| *s = Speaks::NoStart);
        }
        let mut facts = self.facts;
        let known = |p: AppProto| speaks.contains(&Speaks::Known(p));
        for fact in self.more {
            let proto = fact.proto();
            if !facts.contains(&fact) && (known(proto) || facts.iter().any(|f| f.proto() == proto)) {
                facts.push(fact);
            }
        }
        Evidence { speaks, facts, mapper: self.mapper, refusal: self.refusal }
    }

    /// The packets that are named.
    pub(crate) fn stamps(&mut self) -> impl Iterator<Item = &mut Stamp> {
        self.mapper.iter_mut().map(|m| &mut m.at).chain(self.refusal.iter_mut().map(|r| &mut r.at))
    }

    /// Moves the frame numbers.
    pub(crate) fn shift(&mut self, by: &Shift) {
        self.stamps().for_each(|at| by.stamp(at));
    }
}
