//! Moments at which numbers rose.

use crate::base::Stamp;
use crate::flow::shift::Shift;

/// The first few moments at which a number rose above all before it, and the first moment of the highest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(super) first: Vec<(i64, Stamp)>,
    pub(super) top: Option<(i64, Stamp)>,
}

impl Marks {
    pub(super) const KEPT: usize = 4;

    pub(super) fn note(&mut self, off: i64, at: Stamp) {
        if self.top.is_none_or(|top| off > top.0) {
            self.top = Some((off, at));
            if self.first.len() < Self::KEPT {
                self.first.push((off, at));
            }
        }
    }

    /// Takes in later marks. `false` where the result may lack a mark that the whole would have: the later list was full and
    /// part of it lies below what was known.
    pub(super) fn append(&mut self, later: &Self, by: i64) -> bool {
        let cut = later.top.map(|t| t.0) != later.first.last().map(|l| l.0);
        later.first.iter().chain(&later.top).for_each(|&(off, at)| {
            // The top is no mark of the list where marks between were left out.
            if Some((off, at)) == later.top && cut {
                if self.top.is_none_or(|top| off.saturating_add(by) > top.0) {
                    self.top = Some((off.saturating_add(by), at));
                }
            } else {
                self.note(off.saturating_add(by), at);
            }
        });
        !cut || self.first.len() >= Self::KEPT
    }

    /// The first kept moment at or above `off`; the moment of the highest where none of the first few was.
    pub(crate) fn reached(&self, off: i64) -> Option<Stamp> {
        let highest = self.top.filter(|m| m.0 >= off);
        self.first.iter().find(|m| m.0 >= off).copied().or(highest).map(|m| m.1)
    }

    /// Whether no rise is kept any more, only the highest.
    pub(super) const fn is_full(&self) -> bool {
        self.first.len() >= Self::KEPT
    }

    /// The highest number.
    pub(crate) fn highest(&self) -> Option<i64> {
        self.top.map(|t| t.0)
    }

    /// The first number noted.
    pub(crate) fn opening(&self) -> Option<(i64, Stamp)> {
        self.first.first().copied()
    }

    pub(super) fn shift(&mut self, by: &Shift) {
        self.first.iter_mut().chain(&mut self.top).for_each(|m| by.stamp(&mut m.1));
    }
}
