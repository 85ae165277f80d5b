//! Reading files in segments by several threads, with the same result as by one.
//!
//! A segment counts only if it began exactly where its predecessor ended, under the same declarations; otherwise it is read again
//! in order. So neither the number of threads nor a wrong guess shows in the result.

use std::collections::BTreeMap;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::base::Time;
use crate::capture::{CaptureFile, InputMeta, Reader, SegmentReport, segment_len};

use super::limits::Limits;
use super::partial::Partial;
use super::run::Options;
use super::taking::Taking;

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

/// Reads a source to its end.
pub(super) fn read(reader: &mut Reader, limits: &Limits) -> Stretch {
    let mut taking = Taking::new(Partial::within(limits));
    let meta = reader.each(&mut taking);
    let mut partial = taking.end();
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
    /// Takes in the next segment, read again where its guess was wrong.
    fn take(&mut self, mut done: Done, again: impl FnOnce(&SegmentReport) -> Option<Done>) {
        let done = match &self.report {
            None => Some(done),
            Some(before) if before.finished => None,
            Some(before) if done.report.follows(before) => Some(done),
            Some(before) => again(before),
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
    files: &'a [&'a CaptureFile],
    /// Bytes of a segment; 0 where a file's length decides.
    segment: u64,
    limits: &'a Limits,
}

impl Cutter<'_> {
    /// None where it is no regular file.
    fn segments(&self, file: &CaptureFile) -> u64 {
        let Some(len) = file.len() else { return 0 };
        if file.is_segmentable() { len.div_ceil(self.bytes(file)).max(1) } else { 1 }
    }

    /// Bytes of a file's segments.
    fn bytes(&self, file: &CaptureFile) -> u64 {
        if self.segment > 0 { self.segment } else { segment_len(file.len().unwrap_or(0)) }
    }

    /// The first segment at or after a place that is beyond the last one of its file.
    fn valid(&self, (mut file, mut segment): Slot) -> Option<Slot> {
        while segment >= self.segments(self.files.get(file)?) {
            (file, segment) = (file + 1, 0);
        }
        Some((file, segment))
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

    fn again(&self, slot: Slot, before: &SegmentReport) -> Option<Done> {
        let file = self.files.get(slot.0)?;
        let reader = file.read_segment(before.next(), self.end(file, slot.1))?;
        Some(run(Task { slot, reader }, self.limits))
    }
}

/// Files that are being read by several threads. Each comes as one stretch, in the order given; `None` for what is no regular file.
///
/// At most so many segments as there are threads and one more are out or waiting to be folded, which bounds memory and keeps both
/// channels from filling up. Whoever takes the stretches decides how many of them are kept.
pub(super) struct Reading<'a> {
    cutter: Cutter<'a>,
    window: usize,
    tasks: Sender<Task>,
    done: Receiver<Done>,
    /// The file that comes next.
    file: usize,
    /// The segment that is handed out next.
    to_send: Slot,
    out: usize,
    waiting: BTreeMap<Slot, Done>,
}

/// Reads files while `with` takes their stretches.
pub(super) fn read_files<R>(
    files: &[&CaptureFile],
    options: &Options,
    limits: &Limits,
    with: impl FnOnce(&mut Reading<'_>) -> R,
) -> R {
    let threads = options.threads.max(1);
    let window = threads + 1;
    thread::scope(|scope| {
        let (tasks, todo) = bounded::<Task>(window);
        let (results, done) = bounded::<Done>(window);
        for _ in 0..threads {
            let (todo, results) = (todo.clone(), results.clone());
            scope.spawn(move || work(&todo, &results, limits));
        }
        drop((todo, results));
        let cutter = Cutter { files, segment: options.segment_len, limits };
        let (to_send, waiting) = ((0, 0), BTreeMap::new());
        with(&mut Reading { cutter, window, tasks, done, file: 0, to_send, out: 0, waiting })
    })
}

fn work(todo: &Receiver<Task>, results: &Sender<Done>, limits: &Limits) {
    for task in todo {
        if results.send(run(task, limits)).is_err() {
            return;
        }
    }
}

impl Iterator for Reading<'_> {
    type Item = Option<Stretch>;

    fn next(&mut self) -> Option<Self::Item> {
        let number = self.file;
        let file = *self.cutter.files.get(number)?;
        self.file += 1;
        let mut fold = Fold::default();
        for segment in 0..self.cutter.segments(file) {
            let slot = (number, segment);
            let ready = self.segment(slot)?;
            fold.take(ready, |before| self.cutter.again(slot, before));
            self.out -= 1;
        }
        Some(fold.stretch)
    }
}

impl Reading<'_> {
    /// A segment as read, of which all before it were asked for.
    fn segment(&mut self, slot: Slot) -> Option<Done> {
        loop {
            self.hand_out();
            if let Some(ready) = self.waiting.remove(&slot) {
                return Some(ready);
            }
            let result = self.done.recv().ok()?;
            self.waiting.insert(result.slot, result);
        }
    }

    fn hand_out(&mut self) {
        while self.out < self.window
            && let Some(slot) = self.cutter.valid(self.to_send)
            && let Some(task) = self.cutter.task(slot)
            && self.tasks.send(task).is_ok()
        {
            self.out += 1;
            self.to_send = (slot.0, slot.1 + 1);
        }
    }
}
