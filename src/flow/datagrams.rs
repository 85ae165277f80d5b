//! The first datagrams of one side, for application evidence.
//!
//! Kept are the first few that carried anything, in the order they were seen, up to a bound of bytes in all. Both bounds are
//! counts of firsts, so the append law holds.

use crate::app::Part;
use crate::base::Stamp;

use super::shift::Shift;

/// Datagrams kept per side: a question or two, and their answers.
const KEPT: usize = 4;
/// Bytes kept per side: one full frame and its neighbours.
const BYTES: usize = 2048;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    /// Bytes kept.
    len: usize,
    /// Bytes on the wire.
    wire: u32,
    at: Stamp,
}

/// First datagrams in order of arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Datagrams {
    bytes: Vec<u8>,
    marks: Vec<Mark>,
}

impl Datagrams {
    /// Whether another one would not be kept.
    pub(crate) const fn is_full(&self) -> bool {
        self.marks.len() >= KEPT
    }

    /// Takes a datagram of which `data` was captured, as long as there is room.
    pub(crate) fn add(&mut self, data: &[u8], wire: u32, at: Stamp) {
        if self.is_full() {
            return;
        }
        let len = data.len().min(BYTES.saturating_sub(self.bytes.len()));
        self.bytes.extend_from_slice(data.get(..len).unwrap_or_default());
        self.marks.push(Mark { len, wire, at });
    }

    /// Takes in what came later.
    pub(crate) fn append(&mut self, later: &Self) {
        later.parts().for_each(|p| self.add(p.bytes, p.wire, p.at));
    }

    /// Each datagram as far as it was kept.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let mut from = 0;
        self.marks.iter().map(move |m| {
            let bytes = self.bytes.get(from..from + m.len).unwrap_or_default();
            from += m.len;
            Part { bytes, wire: m.wire, at: m.at }
        })
    }

    /// Moves the frame numbers.
    pub(crate) fn shift(&mut self, by: &Shift) {
        self.marks.iter_mut().for_each(|m| by.stamp(&mut m.at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{FrameRef, InputId, Time};

    fn of(sizes: &[usize]) -> Datagrams {
        let mut all = Datagrams::default();
        for (n, size) in (1..).zip(sizes) {
            let at = Stamp { time: Time::from_nanos(0), at: FrameRef { input: InputId(0), frame: n } };
            all.add(&vec![u8::try_from(size % 251).unwrap(); *size], u32::try_from(*size).unwrap(), at);
        }
        all
    }

    #[test]
    fn the_first_four_are_kept_and_no_more_than_two_kibibytes_of_them() {
        let kept: Vec<_> = of(&[40, 1500, 1500, 7, 9]).parts().map(|p| (p.bytes.len(), p.wire)).collect();
        assert_eq!(kept, [(40, 40), (1500, 1500), (508, 1500), (0, 7)]);
    }
}
