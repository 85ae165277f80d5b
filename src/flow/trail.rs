//! What one side's segments leave behind that tells, once all is known, how a connection went on after its handshake: bytes
//! sent again and again, and bytes that were skipped and never came.
//!
//! Both are told from a segment and the one number before it, so that the seam between two stretches needs nothing but the
//! first segment behind it. Data in order leaves nothing: most flows have no trail.

use crate::base::{Span, Stamp};

use super::row::{Cursor, Row};
use super::shift::Shift;

/// Sendings of the same bytes closer together are copies of one packet on a mirror port, or probes of the sender; a timer that
/// runs out is slower (RFC 6298 section 2.4; Linux takes 200 ms).
const APART: Span = Span::from_millis(200);
/// Skips kept: the last few.
const LEAPS: usize = 4;

/// Consecutive steps back to the same byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Where the segments begin.
    pub(crate) off: i64,
    /// Length of the longest of them.
    pub(crate) len: u32,
    /// How often one came at least [`APART`] after the one before it.
    pub(crate) again: u64,
    pub(crate) first: Stamp,
    pub(crate) last: Stamp,
    /// Time between the last two that were apart.
    pub(crate) interval: Span,
}

impl Run {
    pub(crate) const fn new(off: i64, len: u32, at: Stamp) -> Self {
        Self { off, len, again: 0, first: at, last: at, interval: Span::from_nanos(0) }
    }

    /// Takes in what came after it.
    fn join(&mut self, later: &Self) {
        let gap = later.first.time.since(self.last.time);
        let apart = gap >= APART;
        if later.again > 0 {
            self.interval = later.interval;
        } else if apart {
            self.interval = gap;
        }
        self.again = self.again.saturating_add(later.again).saturating_add(u64::from(apart));
        self.len = self.len.max(later.len);
        self.last = later.last;
    }
}

/// A segment that begins beyond all bytes seen before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leap {
    /// End of the bytes seen.
    pub(crate) from: i64,
    /// Where the segment begins.
    pub(crate) to: i64,
    pub(crate) at: Stamp,
}

/// What a side left behind in a stretch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trail {
    /// The last run.
    pub(crate) run: Option<Run>,
    /// Whether other runs came before it: it then continues none of an earlier stretch.
    behind_others: bool,
    /// The last few leaps.
    pub(crate) leaps: Vec<Leap>,
}

impl Trail {
    /// A step back.
    pub(crate) fn back(&mut self, step: Run) {
        match &mut self.run {
            Some(run) if run.off == step.off => run.join(&step),
            run => {
                self.behind_others |= run.is_some();
                *run = Some(step);
            }
        }
    }

    /// A leap.
    pub(crate) fn leap(&mut self, leap: Leap) {
        if self.leaps.len() == LEAPS {
            self.leaps.remove(0);
        }
        self.leaps.push(leap);
    }

    /// Takes in a later trail, moved up by `by`, behind a stretch that had seen all bytes up to `edge`.
    pub(crate) fn append(&mut self, later: &Self, by: i64, edge: Option<i64>) {
        if let Some(run) = &later.run {
            let run = Run { off: run.off.saturating_add(by), ..run.clone() };
            if later.behind_others {
                (self.run, self.behind_others) = (Some(run), true);
            } else {
                self.back(run);
            }
        }
        for leap in &later.leaps {
            let (from, to) = (leap.from.saturating_add(by), leap.to.saturating_add(by));
            // What lies below bytes seen earlier was no leap.
            if edge.is_none_or(|edge| to > edge) {
                self.leap(Leap { from: edge.map_or(from, |edge| from.max(edge)), to, ..*leap });
            }
        }
    }

    pub(crate) fn write(&self, row: &mut Row) {
        let Self { run, behind_others, leaps } = self;
        row.flag(*behind_others);
        row.flag(run.is_some());
        if let Some(Run { off, len, again, first, last, interval }) = run {
            row.int(*off);
            row.int(i64::from(*len));
            row.count(*again);
            row.stamp(*first);
            row.stamp(*last);
            row.count(interval.as_nanos());
        }
        row.len(leaps.len());
        for leap in leaps {
            row.int(leap.from);
            row.int(leap.to);
            row.stamp(leap.at);
        }
    }

    pub(crate) fn read(from: &mut Cursor<'_>) -> Option<Self> {
        let behind_others = from.flag()?;
        let run = if from.flag()? {
            Some(Run {
                off: from.offset()?,
                len: from.number()?,
                again: from.count()?,
                first: from.stamp()?,
                last: from.stamp()?,
                interval: Span::from_nanos(from.count()?),
            })
        } else {
            None
        };
        let n = from.len(LEAPS)?;
        let leap = |_| Some(Leap { from: from.offset()?, to: from.offset()?, at: from.stamp()? });
        Some(Self { run, behind_others, leaps: (0..n).map(leap).collect::<Option<_>>()? })
    }

    /// Moves the frame numbers.
    pub(crate) fn shift(&mut self, by: &Shift) {
        self.run.iter_mut().flat_map(|r| [&mut r.first, &mut r.last]).for_each(|s| by.stamp(s));
        self.leaps.iter_mut().for_each(|l| by.stamp(&mut l.at));
    }
}
