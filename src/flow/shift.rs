//! Frame numbers of a later piece, moved behind those of an earlier one.

use crate::base::{InputId, Stamp};

/// How many frames of each input came before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shift(Vec<(InputId, u64)>);

impl Shift {
    /// From the frames an earlier piece read of each input.
    pub(crate) fn new(frames: impl Iterator<Item = (InputId, u64)>) -> Self {
        Self(frames.filter(|&(_, n)| n > 0).collect())
    }

    /// Whether nothing moves.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Moves one stamp.
    pub(crate) fn stamp(&self, stamp: &mut Stamp) {
        if let Some(&(_, by)) = self.0.iter().find(|(input, _)| *input == stamp.at.input) {
            stamp.at.frame = stamp.at.frame.saturating_add(by);
        }
    }

    /// Moves a stamp that may be absent.
    pub(crate) fn option(&self, stamp: &mut Option<Stamp>) {
        if let Some(stamp) = stamp {
            self.stamp(stamp);
        }
    }
}
