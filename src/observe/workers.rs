//! Reading files in segments by several threads, with the same result as by one.
//!
//! A segment counts only if it began exactly where its predecessor ended, under the same declarations; otherwise it is read again
//! in order. So neither the number of threads nor a wrong guess shows in the result.

use std::collections::BTreeMap;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::base::{Problem, Time};
use crate::capture::{CaptureFile, Frame, InputMeta, Reader, SegmentReport, Sink, segment_len};

use super::limits::Limits;
use super::partial::Partial;
use super::run::Options;

/// One input, or a segment of it, as read.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) partial: Partial,
    pub(super) meta: InputMeta,
    /// Earliest and latest frame.
    pub(super) span: Option<(Time, Time)>,
}

impl Stretch {
    fn append(&mut self, later: Self) {
        self.partial.append(later.partial);
        self.meta.append(later.meta);
        self.span = match (self.span, later.span) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (a, b) => a.or(b),
        };
    }
}

/// What frames are put into.
struct Taking(Partial);

impl Sink for Taking {
    #[inline(always)]
    fn frame(&mut self, frame: &Frame<'_>) {
        self.0.frame(frame);
    }

    fn problem(&mut self, problem: Problem) {
        self.0.problem(problem);
    }
}

/// Reads a source to its end.
pub(super) fn read(reader: &mut Reader, limits: &Limits) -> Stretch {
    let mut taking = Taking(Partial::within(limits));
    let meta = reader.each(&mut taking);
    let Taking(mut partial) = taking;
    partial.set_frames(meta.input, meta.packets);
    partial.settle();
    let span = meta.span;
    Stretch { partial, meta, span }
}

/// Which segment of which file.
type Slot = (usize, u64);

struct Task {
    slot: Slot,
    reader: Reader,
}

struct Done {
    slot: Slot,
    stretch: Stretch,
    report: SegmentReport,
}

fn run(task: Task, limits: &Limits) -> Done {
    let Task { slot, mut reader } = task;
    let stretch = read(&mut reader, limits);
    Done { slot, stretch, report: reader.report() }
}

/// A file as far as its segments were folded.
#[derive(Default)]
struct Fold {
    stretch: Option<Stretch>,
    report: Option<SegmentReport>,
}

impl Fold {
    /// Takes in the next segment, read again where its guess was wrong or its file shrank.
    fn take(&mut self, mut done: Done, again: impl FnOnce(Option<&SegmentReport>) -> Option<Done>) {
        let done = match &self.report {
            None if done.report.started_at.is_some() => Some(done),
            Some(before) if before.finished => None,
            Some(before) if done.report.follows(before) => Some(done),
            before => again(before.as_ref()),
        };
        let Some(done) = done else { return };
        self.report = Some(done.report);
        match &mut self.stretch {
            Some(stretch) => stretch.append(done.stretch),
            none => *none = Some(done.stretch),
        }
    }
}

/// Cuts files into segments.
struct Cutter<'a> {
    files: &'a [CaptureFile],
    /// Bytes of a segment; 0 where a file's length decides.
    segment: u64,
    limits: &'a Limits,
}

impl Cutter<'_> {
    fn segments(&self, file: &CaptureFile) -> u64 {
        file.len().filter(|_| file.is_segmentable()).map_or(1, |len| len.div_ceil(self.bytes(file)).max(1))
    }

    /// Bytes of a file's segments.
    fn bytes(&self, file: &CaptureFile) -> u64 {
        if self.segment > 0 { self.segment } else { segment_len(file.len().unwrap_or(0)) }
    }

    fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.files.iter().enumerate().flat_map(|(f, file)| (0..self.segments(file)).map(move |s| (f, s)))
    }

    /// Where a segment ends; the last one takes whatever the file has grown by.
    fn end(&self, file: &CaptureFile, segment: u64) -> u64 {
        let last = segment + 1 >= self.segments(file);
        if last { u64::MAX } else { (segment + 1).saturating_mul(self.bytes(file)) }
    }

    fn task(&self, slot: Slot) -> Option<Task> {
        let file = self.files.get(slot.0)?;
        let start = match slot.1 {
            0 => file.first_segment(),
            n => file.guess(n.saturating_mul(self.bytes(file))),
        };
        Some(Task { slot, reader: file.read_segment(start, self.end(file, slot.1))? })
    }

    fn again(&self, slot: Slot, before: Option<&SegmentReport>) -> Option<Done> {
        let file = self.files.get(slot.0)?;
        let start = before.map_or_else(|| file.first_segment(), SegmentReport::next);
        let reader = file.read_segment(start, self.end(file, slot.1))?;
        Some(run(Task { slot, reader }, self.limits))
    }
}

/// Reads files, each into one stretch, in the order given; `None` for what is no regular file.
pub(super) fn read_files(files: &[CaptureFile], options: &Options, limits: &Limits) -> Vec<Option<Stretch>> {
    let threads = options.threads.max(1);
    let cutter = Cutter { files, segment: options.segment_len, limits };
    let window = threads + 1;
    let mut folds: Vec<Fold> = files.iter().map(|_| Fold::default()).collect();
    thread::scope(|scope| {
        let (tasks, todo) = bounded::<Task>(window);
        let (results, done) = bounded::<Done>(window);
        for _ in 0..threads {
            let (todo, results) = (todo.clone(), results.clone());
            scope.spawn(move || work(&todo, &results, limits));
        }
        drop((todo, results));
        dispatch(&cutter, window, &tasks, &done, &mut folds);
    });
    folds.into_iter().map(|f| f.stretch).collect()
}

fn work(todo: &Receiver<Task>, results: &Sender<Done>, limits: &Limits) {
    for task in todo {
        if results.send(run(task, limits)).is_err() {
            return;
        }
    }
}

/// Hands out segments and folds what comes back in order. At most `window` segments are out or waiting to be folded, which
/// bounds memory and keeps both channels from filling up.
fn dispatch(cutter: &Cutter<'_>, window: usize, tasks: &Sender<Task>, done: &Receiver<Done>, folds: &mut [Fold]) {
    let mut to_send = cutter.slots().peekable();
    let mut to_fold = cutter.slots().peekable();
    let mut waiting: BTreeMap<Slot, Done> = BTreeMap::new();
    let mut out = 0;
    while let Some(next) = to_fold.peek().copied() {
        while out < window
            && let Some(task) = to_send.next().and_then(|slot| cutter.task(slot))
        {
            if tasks.send(task).is_err() {
                return;
            }
            out += 1;
        }
        if let Some(ready) = waiting.remove(&next) {
            if let Some(fold) = folds.get_mut(next.0) {
                fold.take(ready, |before| cutter.again(next, before));
            }
            to_fold.next();
            out -= 1;
        } else {
            let Ok(result) = done.recv() else { return };
            waiting.insert(result.slot, result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::InputId;

    #[test]
    fn a_first_segment_that_was_void_is_read_again() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/rpc-dynamic-dropped.console.pcapng");
        let file = CaptureFile::open(&path, InputId(0)).unwrap();
        let limits = Limits::default();
        let cutter = Cutter { files: &[file], segment: 4096, limits: &limits };
        let mut fold = Fold::default();
        for slot in cutter.slots() {
            let mut done = run(cutter.task(slot).unwrap(), &limits);
            if slot.1 == 0 {
                done.report.started_at = None;
            }
            fold.take(done, |before| cutter.again(slot, before));
        }
        let whole = cutter.files[0].read_segment(cutter.files[0].first_segment(), u64::MAX).unwrap();
        let whole = run(Task { slot: (0, 0), reader: whole }, &limits).stretch;
        let folded = fold.stretch.unwrap();
        assert!(whole.meta.packets > 50);
        assert_eq!((folded.meta, folded.span), (whole.meta, whole.span));
    }
}
