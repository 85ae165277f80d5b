//! Captures in the order in which they are appended, each handed on as soon as it seems that nothing else belongs before it.
//!
//! When a file begins and ends is known once it was read; before that, its first frame's time has to do. Files come in the order
//! of those, so usually all that is held is the file read last, or files that overlap it, of which only their times are kept.
//! Where a frame lies further back than that, what was handed on was wrong: then all has to be read once more, in the order that
//! is known by then.

use super::groups::{End, Group, Source, first_group};

/// Groups of sources that come in the order that was expected of them.
pub(super) struct Groups<'a, I> {
    sources: I,
    /// Nothing is handed on before everything was read.
    patient: bool,
    /// Not handed on yet, in order.
    held: Vec<Source<'a>>,
    /// Of what was handed on.
    end: End,
    /// Nothing more comes.
    finished: bool,
    /// All that was read, for a second time.
    seen: Vec<Source<'a>>,
    misplaced: bool,
}

impl<'a, I: Iterator<Item = Source<'a>>> Groups<'a, I> {
    pub(super) fn new(sources: I, patient: bool) -> Self {
        let (held, seen) = (Vec::new(), Vec::new());
        Self { sources, patient, held, end: End::default(), finished: false, seen, misplaced: false }
    }

    /// Once no more groups come: where they were not those that they should have been, all sources, to be read again.
    pub(super) fn ended(mut self) -> Option<Vec<Source<'a>>> {
        if !self.misplaced {
            return None;
        }
        self.held.clear();
        self.seen.extend(self.sources.map(|s| s.unread()));
        Some(self.seen)
    }

    /// Takes in the next source, which belongs somewhere among those that are held, else was misplaced.
    fn take(&mut self, source: Source<'a>) {
        if !self.patient {
            self.seen.push(source.unread());
            self.misplaced |= self.end.is_behind(&source);
        }
        let at = self.held.partition_point(|s| s.order() < source.order());
        self.held.insert(at, source);
    }

    /// The first group, if nothing that is still to be read seems to belong to it or before it.
    fn closed(&mut self) -> Option<Group<'a>> {
        if self.patient && !self.finished {
            return None;
        }
        let (count, end) = first_group(&self.held, self.end);
        if count > 1 {
            // They are to be read again, and merged.
            self.held.iter_mut().take(count).for_each(|s| s.stretch = None);
        }
        let followed = self.held.get(count).is_some_and(|s| s.span.is_some());
        if count == 0 || !(followed || self.finished) {
            return None;
        }
        self.end = end;
        Some(Group::new(self.held.drain(..count).collect()))
    }
}

impl<'a, I: Iterator<Item = Source<'a>>> Iterator for Groups<'a, I> {
    type Item = Group<'a>;

    fn next(&mut self) -> Option<Group<'a>> {
        while !self.misplaced {
            if let Some(group) = self.closed() {
                return Some(group);
            }
            if self.finished {
                return None;
            }
            match self.sources.next() {
                Some(source) => self.take(source),
                None => self.finished = true,
            }
        }
        None
    }
}
