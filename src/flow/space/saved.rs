//! A side's sequence space as part of a row.

use super::{Chain, INTERVALS, Marks, Reach, Space};
use crate::base::Stamp;
use crate::flow::intervals::Intervals;
use crate::flow::prefix::Prefix;
use crate::flow::row::{Cursor, Row};
use crate::flow::trail::Trail;

impl Marks {
    fn write(&self, row: &mut Row) {
        row.len(self.first.len());
        let mut mark = |&(off, at): &(i64, Stamp)| {
            row.int(off);
            row.stamp(at);
        };
        self.first.iter().for_each(&mut mark);
        let same = self.top == self.first.last().copied();
        row.flag(!same);
        if let Some((off, at)) = self.top.filter(|_| !same) {
            row.int(off);
            row.stamp(at);
        }
    }

    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        let n = from.len(Self::KEPT)?;
        let first: Vec<(i64, Stamp)> = (0..n).map(|_| Some((from.offset()?, from.stamp()?))).collect::<Option<_>>()?;
        let top = if from.flag()? { Some((from.offset()?, from.stamp()?)) } else { first.last().copied() };
        let rising = first.iter().chain(&top).map(|m| m.0).is_sorted();
        rising.then_some(Self { first, top })
    }
}

impl Space {
    pub(crate) fn write(&self, row: &mut Row) {
        let Self { chain, covered, payload, sent, acked, opening, end, keepalives, fin, prefix, inexact, .. } = self;
        let Self { lead, largest, trail, reset, .. } = self;
        row.flag(reset.is_some());
        for reached in reset.iter().flat_map(|r| [r.sent, r.acked]) {
            row.flag(reached.is_some());
            reached.iter().for_each(|off| row.int(*off));
        }
        row.flag(chain.is_some());
        let Some(chain) = chain else { return };
        row.int(i64::from(chain.base));
        row.int(i64::from(chain.last));
        row.int(chain.last_off);
        covered.write(row);
        row.count(*payload);
        sent.write(row);
        acked.write(row);
        row.flag(opening.is_some());
        if let Some((off, len)) = opening {
            row.int(*off);
            row.int(i64::from(*len));
        }
        row.int(*end);
        row.count(*keepalives);
        row.flag(fin.is_some());
        fin.iter().for_each(|f| row.int(*f));
        row.flag(*inexact);
        row.flag(lead.is_some());
        if let Some((off, at)) = lead {
            row.int(*off);
            row.stamp(*at);
        }
        row.int(i64::from(largest.0));
        row.int(largest.1);
        row.flag(trail.is_some());
        trail.iter().for_each(|t| t.write(row));
        prefix.write(row);
    }

    pub(crate) fn read(from: &mut Cursor<'_>) -> Option<Self> {
        let reset = if from.flag()? {
            let mut off = || if from.flag()? { from.offset().map(Some) } else { Some(None) };
            Some(Reach { sent: off()?, acked: off()? })
        } else {
            None
        };
        if !from.flag()? {
            return Some(Self { reset, ..Self::default() });
        }
        Some(Self {
            reset,
            chain: Some(Chain { base: from.number()?, last: from.number()?, last_off: from.offset()? }),
            covered: Intervals::read(from, INTERVALS)?,
            payload: from.count()?,
            sent: Marks::read(from)?,
            acked: Marks::read(from)?,
            opening: if from.flag()? { Some((from.offset()?, from.number()?)) } else { None },
            end: from.offset()?,
            keepalives: from.count()?,
            fin: if from.flag()? { Some(from.offset()?) } else { None },
            inexact: from.flag()?,
            lead: if from.flag()? { Some((from.offset()?, from.stamp()?)) } else { None },
            largest: (from.number()?, from.offset()?),
            trail: if from.flag()? { Some(Box::new(Trail::read(from)?)) } else { None },
            prefix: Prefix::read(from)?,
        })
    }
}
