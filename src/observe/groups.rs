//! Inputs whose times overlap, merged frame by frame.

use crate::base::{InputId, Known, Problem, ProblemKind, Time};
use crate::capture::{CaptureFile, Event, Frame, FrameSource, InputMeta, LinkType, Reader};

use super::limits::Limits;
use super::partial::Partial;
use super::workers::Stretch;

/// An input that was read on its own.
pub(super) struct Source<'a> {
    pub(super) name: String,
    /// To read it again; a stream cannot be.
    pub(super) file: Option<&'a CaptureFile>,
    pub(super) stretch: Stretch,
}

/// Inputs that overlap, or one that overlaps none.
pub(super) struct Group<'a>(Vec<Source<'a>>);

/// A group as read.
pub(super) struct ReadGroup {
    pub(super) partial: Partial,
    pub(super) metas: Vec<(String, InputMeta)>,
    /// Earliest and latest frame.
    pub(super) span: Option<(Time, Time)>,
}

/// Sorts inputs by time and puts those that overlap together. Inputs without frames come last; streams stay alone.
pub(super) fn groups(mut sources: Vec<Source<'_>>) -> Vec<Group<'_>> {
    sources.sort_by_key(|s| (s.stretch.span.is_none(), s.stretch.span.map(|s| s.0), s.stretch.meta.input));
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut end: Option<(Time, InputId)> = None;
    for source in sources {
        let id = source.stretch.meta.input;
        let overlaps = match (end, source.stretch.span) {
            // At the same instant the input given first goes first, as merging would have it.
            (Some((last, by)), Some((first, _))) => first < last || first == last && id < by,
            _ => false,
        };
        if source.file.is_some() {
            let own = source.stretch.span.map(|s| (s.1, id));
            end = end.max(own);
        }
        match groups.last_mut() {
            Some(group) if overlaps && source.file.is_some() && group.0.iter().all(|s| s.file.is_some()) => {
                group.0.push(source);
            }
            _ => groups.push(Group(vec![source])),
        }
    }
    groups
}

impl Group<'_> {
    /// Earliest and latest frame.
    pub(super) fn span(&self) -> Option<(Time, Time)> {
        let spans = || self.0.iter().filter_map(|s| s.stretch.span);
        Some((spans().map(|s| s.0).min()?, spans().map(|s| s.1).max()?))
    }

    /// The first input.
    pub(super) fn input(&self) -> InputId {
        self.0.first().map_or(InputId(0), |s| s.stretch.meta.input)
    }

    /// The group as one stretch.
    pub(super) fn read(self, limits: &Limits) -> ReadGroup {
        let span = self.span();
        if self.0.len() > 1 {
            let files = self.0.iter().filter_map(|s| Some((s.name.clone(), s.file?)));
            let mut read = merge(files, limits);
            self.0.iter().for_each(|s| read.compare(&s.stretch.meta));
            return ReadGroup { span, ..read };
        }
        let mut read = ReadGroup { partial: Partial::within(limits), metas: Vec::new(), span };
        for source in self.0 {
            read.partial.append(source.stretch.partial);
            read.metas.push((source.name, source.stretch.meta));
        }
        read
    }
}

impl ReadGroup {
    /// Tells where a file is not what it was when it was read first. Only digests show it; the second one is reported.
    fn compare(&mut self, before: &InputMeta) {
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
