//! Frame numbers of a later piece, moved behind those of an earlier one.

use crate::base::{InputId, Stamp};

/// Per input, how many frames came before, and its number from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shift(Vec<(InputId, u64, InputId)>);

impl Shift {
    /// From the frames an earlier piece read of each input, in ascending order of inputs.
    pub(crate) fn new(frames: impl Iterator<Item = (InputId, u64)>) -> Self {
        Self(frames.filter(|&(_, n)| n > 0).map(|(input, n)| (input, n, input)).collect())
    }

    /// Gives inputs other numbers; frames stay.
    ///
    /// The old numbers come in ascending order.
    pub(crate) fn renumber(inputs: impl Iterator<Item = (InputId, InputId)>) -> Self {
        Self(inputs.map(|(from, to)| (from, 0, to)).collect())
    }

    /// Whether nothing moves.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Moves one stamp.
    pub(crate) fn stamp(&self, stamp: &mut Stamp) {
        let known = self.0.binary_search_by_key(&stamp.at.input, |(input, ..)| *input);
        if let Some(&(_, by, input)) = known.ok().and_then(|i| self.0.get(i)) {
            stamp.at.frame = stamp.at.frame.saturating_add(by);
            stamp.at.input = input;
        }
    }

    /// Moves a stamp that may be absent.
    pub(crate) fn option(&self, stamp: &mut Option<Stamp>) {
        if let Some(stamp) = stamp {
            self.stamp(stamp);
        }
    }
}
