//! Inputs whose times overlap, merged frame by frame.

use crate::base::{InputId, Known, Problem, ProblemKind, Time};
use crate::capture::{CaptureFile, Event, Frame, FrameSource, InputMeta, LinkType, Reader};

use super::limits::Limits;
use super::partial::Partial;
use super::workers::Stretch;

/// An input that was read on its own.
pub(super) struct Source<'a> {
    pub(super) name: String,
    pub(super) input: InputId,
    /// To read it again; a stream cannot be.
    pub(super) file: Option<&'a CaptureFile>,
    /// Earliest and latest frame.
    pub(super) span: Option<(Time, Time)>,
    sha256: Known<String>,
    /// What was read, where it need not be read again.
    pub(super) stretch: Option<Stretch>,
}

impl<'a> Source<'a> {
    pub(super) fn new(name: &str, file: Option<&'a CaptureFile>, stretch: Stretch) -> Self {
        let Stretch { meta, span, .. } = &stretch;
        let (input, span, sha256) = (meta.input, *span, meta.sha256.clone());
        Self { name: name.to_owned(), input, file, span, sha256, stretch: Some(stretch) }
    }

    /// The same without what was read.
    pub(super) fn unread(&self) -> Self {
        Self { name: self.name.clone(), sha256: self.sha256.clone(), stretch: None, ..*self }
    }

    /// What comes earlier goes first; what has no frames comes last.
    pub(super) fn order(&self) -> Order {
        (self.span.is_none(), self.span.map(|s| s.0), self.input)
    }
}

/// By time. Saved observations are ordered by the same.
pub(super) type Order = (bool, Option<Time>, InputId);

/// Inputs that overlap, or one that overlaps none.
pub(super) struct Group<'a>(Vec<Source<'a>>);

/// The latest frame so far of what can be read again, and whose it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct End(Option<(Time, InputId)>);

impl End {
    /// Whether a source begins before it.
    pub(super) fn is_behind(self, source: &Source<'_>) -> bool {
        match (self.0, source.span) {
            // At the same instant the input given first goes first, as merging would have it.
            (Some((last, by)), Some((first, _))) => first < last || first == last && source.input < by,
            _ => false,
        }
    }
}

/// How many of these sources, which are in order, are the first group, and its end. `end` is that of all groups before them.
///
/// Files that overlap are put together; streams stay alone.
pub(super) fn first_group(sources: &[Source<'_>], end: End) -> (usize, End) {
    let (mut count, mut now) = (0, end);
    let files = sources.first().is_some_and(|s| s.file.is_some());
    for source in sources {
        if count > 0 && !(files && source.file.is_some() && now.is_behind(source)) {
            break;
        }
        if source.file.is_some() {
            now = now.max(End(source.span.map(|s| (s.1, source.input))));
        }
        count += 1;
    }
    (count, now)
}

/// A group as read.
pub(super) struct ReadGroup {
    pub(super) partial: Partial,
    pub(super) metas: Vec<(String, InputMeta)>,
    /// Earliest and latest frame.
    pub(super) span: Option<(Time, Time)>,
}

impl<'a> Group<'a> {
    /// Of one source at least.
    pub(super) const fn new(sources: Vec<Source<'a>>) -> Self {
        Self(sources)
    }

    /// Earliest and latest frame.
    fn span(&self) -> Option<(Time, Time)> {
        let spans = || self.0.iter().filter_map(|s| s.span);
        Some((spans().map(|s| s.0).min()?, spans().map(|s| s.1).max()?))
    }

    /// By what comes first in it.
    pub(super) fn order(&self) -> Option<Order> {
        self.0.first().map(Source::order)
    }

    /// Its source, where there is but one.
    pub(super) fn only(&mut self) -> Option<&mut Source<'a>> {
        if let [only] = self.0.as_mut_slice() { Some(only) } else { None }
    }

    /// The group as one stretch.
    pub(super) fn read(mut self, limits: &Limits) -> ReadGroup {
        let span = self.span();
        let stretch = self.only().and_then(|s| s.stretch.take());
        let mut read = match stretch {
            Some(Stretch { partial, meta, .. }) => {
                let mut whole = Partial::within(limits);
                whole.append(partial);
                let metas = self.0.iter().map(|s| s.name.clone()).zip([meta]).collect();
                ReadGroup { partial: whole, metas, span }
            }
            None => merge(self.0.iter().filter_map(|s| Some((s.name.clone(), s.file?))), limits),
        };
        self.0.iter().for_each(|s| read.compare(s));
        ReadGroup { span, ..read }
    }
}

impl ReadGroup {
    /// Tells where a file is not what it was when it was read first. Only digests show it; the second one is reported.
    fn compare(&mut self, before: &Source<'_>) {
        if before.sha256 == Known::Unknown {
            return;
        }
        let now = self.metas.iter().find(|(_, m)| m.input == before.input);
        if now.is_some_and(|(_, m)| m.sha256 != before.sha256) {
            let detail = "the file changed while it was read".to_owned();
            let (input, kind) = (before.input, ProblemKind::FileCorrupt);
            self.partial.problem(Problem { input, kind, detail, offset: None, frame: None, count: 1 });
        }
    }
}

fn merge<'a>(files: impl Iterator<Item = (String, &'a CaptureFile)>, limits: &Limits) -> ReadGroup {
    let mut partial = Partial::within(limits);
    let mut queues: Vec<(String, Queue)> = files
        .filter_map(|(name, file)| {
            file.expect_again();
            let reader = file.read_segment(file.first_segment(), u64::MAX)?;
            Some((name, Queue { reader, head: None, data: Vec::new() }))
        })
        .collect();
    queues.iter_mut().for_each(|(_, q)| q.advance(&mut partial));
    while let Some((_, next)) = queues.iter_mut().filter(|(_, q)| q.head.is_some()).min_by_key(|(_, q)| q.order()) {
        if let Some(frame) = next.frame() {
            partial.frame(&frame);
        }
        next.advance(&mut partial);
    }
    let metas: Vec<(String, InputMeta)> = queues.into_iter().map(|(name, mut q)| (name, q.reader.finish())).collect();
    metas.iter().for_each(|(_, m)| partial.set_frames(m.input, m.packets));
    ReadGroup { partial, metas, span: None }
}

/// A reader and the frame it stands at, copied: all readers' frames are looked at together.
struct Queue {
    reader: Reader,
    head: Option<Head>,
    data: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Head {
    time: Time,
    input: InputId,
    number: u64,
    interface: u32,
    link: LinkType,
    original_len: u32,
}

impl Queue {
    fn order(&self) -> Option<(Time, InputId, u64)> {
        self.head.map(|h| (h.time, h.input, h.number))
    }

    fn frame(&self) -> Option<Frame<'_>> {
        let Head { time, input, number, interface, link, original_len } = self.head?;
        Some(Frame { time, input, number, interface, link, data: &self.data, original_len })
    }

    fn advance(&mut self, partial: &mut Partial) {
        self.head = None;
        while let Some(event) = self.reader.next() {
            match event {
                Event::Problem(problem) => partial.problem(problem),
                // In files there are none.
                Event::Counted(_) | Event::Host(_) => {}
                Event::Frame(f) => {
                    let Frame { time, input, number, interface, link, data, original_len } = f;
                    self.data.clear();
                    self.data.extend_from_slice(data);
                    self.head = Some(Head { time, input, number, interface, link, original_len });
                    return;
                }
            }
        }
    }
}
