//! What went wrong with traffic and captures, as data.
//!
//! A [`Problem`] never stops the run; [`ProblemKind::forbids`] is the one table from a kind to the claims it forbids.
//! Errors of configuration are [`crate::site::ConfigError`]; a run that cannot go on is a [`RunError`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Number of an input in the order in which it was given, from 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct InputId(pub u32);

/// Kinds of trouble in captures and traffic. Closed: every kind has a row in [`ProblemKind::forbids`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The file ends inside a record: it was cut, or the capture was killed.
    FileTruncated,
    /// A record that cannot be right; reading stopped there.
    FileCorrupt,
    /// A link type this tool does not decode; its frames were not judged.
    UnsupportedLinkType,
    /// A pcapng block of a kind that is skipped by design was malformed and skipped.
    BlockSkipped,
    /// A packet refers to an interface no block described.
    UnknownInterface,
    /// A timestamp outside the representable years; the frame was counted, not judged.
    TimeOutOfRange,
    /// A packet without a time of its own; it was given that of the one before it.
    TimeAssumed,
    /// Time ran backwards within one file.
    TimeBackwards,
    /// It ran back so far that the clock must have been set, or that the file was put together out of order.
    ClockSetBack,
    /// A statistics block whose times cannot be right; its times were ignored.
    StatisticsTimeIgnored,
    /// A header field contradicts the packet's length or its protocol.
    PacketMalformed,
    /// The capture's snaplen cut a header that was needed.
    PacketTruncated,
    /// An Ethernet type or IP protocol that carries hosts' traffic but is not decoded.
    Undecoded,
    /// Encapsulation between hosts that hides what is inside.
    Opaque,
    /// Frames whose packet could not be read at all, encrypted or in an encapsulation that is not decoded: not even its
    /// addresses are known.
    HiddenFrames,
    /// More VLAN tags or extension headers than are followed.
    TooDeep,
    /// Later fragments whose first one was not seen: their ports are unknown.
    OrphanFragments,
    /// ICMP errors that quote a flow that was not seen.
    OrphanIcmp,
    /// A bounded store was full; what did not fit was counted.
    StoreOverflow,
    /// Flows dropped to stay inside the memory cap.
    Evicted,
    /// Attempts without any answer, of which at most one end is an address that matters, counted and not kept.
    AttemptsCounted,
    /// An input could not be read at all.
    InputUnreadable,
    /// Two inputs are the same capture; the second was left out.
    DuplicateInput,
    /// Packets were captured several times, at several components or interfaces: counts are per sighting.
    RepeatedPackets,
    /// A saved observation ends early or cannot be right; the rest of it was not read.
    SavedIncomplete,
}

/// Claims that a problem forbids, for the part of the capture it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forbids {
    /// `missing` may not be claimed for anything later than the problem.
    pub later_absence: bool,
    /// `missing` may not be claimed at all.
    pub absence: bool,
    /// The verdict may not be `pass`, whatever the time. (A cut or corrupt file forbids it only for what came after.)
    pub pass: bool,
    /// Each counts like a packet that was lost: enough of them for a session, and `missing` may not be claimed.
    pub like_loss: bool,
}

impl ProblemKind {
    /// The one table from a kind to what it forbids.
    pub const fn forbids(self) -> Forbids {
        use ProblemKind as K;
        let (later_absence, absence, pass) = match self {
            K::FileTruncated | K::FileCorrupt => (true, false, false),
            K::UnsupportedLinkType | K::UnknownInterface | K::TimeOutOfRange | K::TimeAssumed => (true, true, false),
            K::StoreOverflow | K::Evicted | K::ClockSetBack => (true, true, false),
            K::InputUnreadable | K::SavedIncomplete => (true, true, true),
            K::HiddenFrames
            | K::PacketMalformed
            | K::PacketTruncated
            | K::Undecoded
            | K::Opaque
            | K::TooDeep
            | K::BlockSkipped
            | K::TimeBackwards
            | K::StatisticsTimeIgnored
            | K::OrphanFragments
            | K::OrphanIcmp
            | K::DuplicateInput
            | K::AttemptsCounted
            | K::RepeatedPackets => (false, false, false),
        };
        let like_loss = matches!(self, K::HiddenFrames | K::PacketTruncated);
        Forbids { later_absence, absence, pass, like_loss }
    }

    /// The kind in words.
    pub const fn words(self) -> &'static str {
        use ProblemKind as K;
        match self {
            K::FileTruncated => "the file ends in the middle of a record",
            K::FileCorrupt => "a record cannot be right; reading stopped there",
            K::UnsupportedLinkType => "link type not decoded",
            K::BlockSkipped => "block skipped",
            K::UnknownInterface => "packet of an interface that no block describes",
            K::TimeOutOfRange => "timestamp outside the years 1678 to 2261",
            K::TimeAssumed => "packets without a time",
            K::TimeBackwards => "time runs backwards",
            K::ClockSetBack => "the clock was set back",
            K::StatisticsTimeIgnored => "times of a statistics block ignored",
            K::PacketMalformed => "malformed packet",
            K::PacketTruncated => "header cut by the capture length",
            K::Undecoded => "protocol not decoded",
            K::Opaque => "encapsulation that hides its contents",
            K::HiddenFrames => "frames whose packet could not be read",
            K::TooDeep => "more nested headers than are followed",
            K::OrphanFragments => "fragments without their first part",
            K::OrphanIcmp => "ICMP errors about flows that were not seen",
            K::StoreOverflow => "a bounded store was full",
            K::Evicted => "flows left out to stay inside the memory limit",
            K::AttemptsCounted => "unanswered attempts of other hosts only counted, to stay inside the memory limit",
            K::InputUnreadable => "cannot be read",
            K::DuplicateInput => "the same capture was given before",
            K::RepeatedPackets => "packets were captured more than once",
            K::SavedIncomplete => "a saved observation is not whole",
        }
    }
}

/// One kind of trouble at one place, with how often it occurred.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// Where it occurred.
    pub input: InputId,
    /// What it is.
    pub kind: ProblemKind,
    /// Our own words for what exactly was met (a link type's name, an Ethernet type); never text of the capture.
    pub detail: String,
    /// Byte offset in the (decompressed) input of the first one, where one is known.
    pub offset: Option<u64>,
    /// 1-based frame number of the first one, where it is about a frame.
    pub frame: Option<u64>,
    /// How many there were.
    pub count: u64,
}

/// Offset and frame of the first problem of a kind, and how many there were.
type Place = (Option<u64>, Option<u64>, u64);

/// Problems by (input, kind, detail): the first place and the count. Bounded, deterministic, mergeable in any grouping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(BTreeMap<(InputId, ProblemKind, String), Place>);

impl Problems {
    /// Most distinct problems kept; later distinct details of a kind are counted under "more kinds".
    const MAX: usize = 4096;

    /// Adds a problem; of equal ones the first place is kept and the counts are added.
    pub fn add(&mut self, p: Problem) {
        let full = self.0.len() >= Self::MAX;
        let mut key = (p.input, p.kind, p.detail);
        if full && !self.0.contains_key(&key) {
            key.2 = "more kinds".to_owned();
        }
        let at = self.0.entry(key).or_insert((p.offset, p.frame, 0));
        at.2 = at.2.saturating_add(p.count);
        if first(p.frame, at.1) || (at.1.is_none() && first(p.offset, at.0)) {
            (at.0, at.1) = (p.offset, p.frame);
        }
    }

    /// Shifts the frame numbers of an input's problems, when a later piece of it is appended.
    pub fn shift_frames(&mut self, input: InputId, by: u64) {
        for ((i, ..), (_, frame, _)) in &mut self.0 {
            if *i == input {
                *frame = frame.map(|f| f.saturating_add(by));
            }
        }
    }

    /// Takes in all of another's.
    pub fn merge(&mut self, other: &Self) {
        other.iter().for_each(|p| self.add(p));
    }

    /// All problems, by input, kind, detail.
    pub fn iter(&self) -> impl Iterator<Item = Problem> + '_ {
        self.0.iter().map(|((input, kind, detail), &(offset, frame, count))| Problem {
            input: *input,
            kind: *kind,
            detail: detail.clone(),
            offset,
            frame,
            count,
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn first(a: Option<u64>, b: Option<u64>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a < b) || (a.is_some() && b.is_none())
}

/// The run itself cannot go on: exit status 2.
#[derive(Debug)]
pub enum RunError {
    /// A file could not be read or written.
    Io {
        /// The file, as the user named it.
        path: PathBuf,
        /// What was being done, for "cannot {doing} {path}".
        doing: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A site, matrix or command line that cannot be used; already worded, with place and expectation.
    Config(String),
    /// Nothing readable to judge.
    NoInput(String),
    /// Standard output was closed by its reader: quiet, as for any tool in a pipe.
    BrokenPipe,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, doing, source } => write!(f, "cannot {doing} {}: {source}", path.display()),
            Self::Config(text) | Self::NoInput(text) => f.write_str(text),
            Self::BrokenPipe => f.write_str("broken pipe"),
        }
    }
}

impl std::error::Error for RunError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_problems_are_one_with_the_first_place() {
        let p = |frame, count| Problem {
            input: InputId(0),
            kind: ProblemKind::PacketMalformed,
            detail: "ipv4".into(),
            offset: None,
            frame: Some(frame),
            count,
        };
        let (mut a, mut b) = (Problems::default(), Problems::default());
        a.add(p(9, 1));
        b.add(p(4, 2));
        a.merge(&b);
        assert_eq!(a.iter().collect::<Vec<_>>(), [p(4, 3)]);
    }
}
