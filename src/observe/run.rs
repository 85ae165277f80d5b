//! From the inputs of one observation point to its observation.

use std::thread;

use crate::base::{InputId, Problem, ProblemKind, RunError, Time, WireText};
use crate::capture::{CaptureFile, InputMeta, OpenError};

use super::groups::{Group, Source, groups};
use super::limits::Limits;
use super::model::{Hole, InputSummary, Observation};
use super::partial::Partial;
use super::workers::{read, read_files};

/// How to read. Nothing here changes what is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Worker threads, at least one.
    pub threads: usize,
    /// Bytes of a segment of a file; 0: its length decides.
    pub segment_len: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: thread::available_parallelism().map_or(1, usize::from), segment_len: 0 }
    }
}

/// An input of an observation point: its number, and the capture or why it could not be opened.
pub type Input = (InputId, Result<CaptureFile, OpenError>);

/// Reads all inputs of one observation point.
///
/// Files whose times are disjoint are appended in the order of time, with a hole between them; files that overlap are read again,
/// merged by (time, input, frame). The interface number inside a file is the lane's: rotated files of one interface share it, and so
/// do separate captures of several interfaces. A stream can be read only once: where it overlaps other inputs it is appended
/// as if it did not, with a problem. Inputs that could not be opened are problems too; an error comes only where none could.
pub fn observe(inputs: Vec<Input>, options: &Options) -> Result<Observation, RunError> {
    observe_within(inputs, options, &Limits::default())
}

/// As [`observe`], within limits of memory.
///
/// # Errors
/// Where no input could be opened.
pub fn observe_within(inputs: Vec<Input>, options: &Options, limits: &Limits) -> Result<Observation, RunError> {
    let mut point = Point { partial: Partial::within(limits), ..Point::default() };
    let (mut files, mut streams) = (Vec::new(), Vec::new());
    for (id, input) in inputs {
        match input {
            Ok(file) if file.is_reopenable() => files.push(file),
            Ok(stream) => streams.push(stream),
            Err(error) => point.closed(id, &error),
        }
    }
    if files.is_empty() && streams.is_empty() {
        let why: Vec<&str> = point.problems.iter().map(|p| p.detail.as_str()).collect();
        return Err(RunError::NoInput(format!("no readable capture: {}", why.join("; "))));
    }
    let stretches = read_files(&files, options, limits).into_iter().zip(&files);
    let mut sources: Vec<Source<'_>> = stretches
        .filter_map(|(s, file)| Some(Source { name: file.name().into(), file: Some(file), stretch: s? }))
        .collect();
    for stream in streams {
        let name = stream.name().to_owned();
        sources.push(Source { name, file: None, stretch: read(&mut stream.frames(), limits) });
    }
    groups(sources).into_iter().for_each(|group| point.append(group, limits));
    Ok(point.finish())
}

/// An observation point as far as its groups were appended.
#[derive(Default)]
pub(super) struct Point {
    partial: Partial,
    inputs: Vec<InputSummary>,
    problems: Vec<Problem>,
    holes: Vec<Hole>,
    drops: Vec<Time>,
    last: Option<Time>,
}

impl Point {
    fn closed(&mut self, input: InputId, error: &OpenError) {
        let shown = WireText::new(error.name.as_bytes()).terminal();
        let whole = error.to_string();
        let detail = whole.strip_prefix(&format!("cannot read {shown}: ")).unwrap_or(&whole).to_owned();
        let kind = ProblemKind::InputUnreadable;
        self.problems.push(Problem { input, kind, detail, offset: None, frame: None, count: 1 });
        self.inputs.push(InputSummary::unread(input, &error.name));
    }

    pub(super) fn append(&mut self, group: Group<'_>, limits: &Limits) {
        let read = group.read(limits);
        if let (Some(last), Some(first)) = (self.last, read.metas.iter().filter_map(|(_, m)| m.first()).min())
            && first > last
        {
            self.holes.push(Hole { from: last, to: first });
        }
        if let (Some(first), Some(last)) = (read.first, self.last)
            && first < last
        {
            // Only a stream comes here out of order: it cannot be read again to be merged.
            let input = read.metas.first().map_or(InputId(0), |(_, m)| m.input);
            let detail = "a stream overlaps other inputs and was not merged with them".to_owned();
            let kind = ProblemKind::TimeBackwards;
            self.problems.push(Problem { input, kind, detail, offset: None, frame: None, count: 1 });
        }
        self.last = self.last.max(read.metas.iter().filter_map(|(_, m)| m.last()).max());
        self.partial.append(read.partial);
        for (name, meta) in read.metas {
            self.problems.extend(meta.problems());
            self.drops.extend(meta.drops.iter().map(|d| d.0));
            self.inputs.push(summary(name, &meta));
        }
    }

    pub(super) fn finish(mut self) -> Observation {
        self.problems.into_iter().for_each(|p| self.partial.problem(p));
        self.inputs.sort_by_key(|i| i.input);
        let mut seen = self.partial.finish(self.inputs, self.holes);
        seen.add_drops(&self.drops);
        seen
    }
}

impl Observation {
    /// Makes holes of dated drops. The packet before them is the latest that is known of: the hole may so be longer than it was,
    /// never shorter.
    fn add_drops(&mut self, drops: &[Time]) {
        if drops.is_empty() {
            return;
        }
        let ends = self.flows.iter().flat_map(|f| f.ends.iter().flat_map(|e| [e.first, e.last]));
        let syns = self.flows.iter().flat_map(|f| f.syns.iter().flat_map(|r| r.stamps.iter().copied().map(Some)));
        let mut times: Vec<Time> = ends.chain(syns).flatten().map(|s| s.time).collect();
        times.sort_unstable();
        for &to in drops {
            let before = times.partition_point(|t| *t < to).checked_sub(1).and_then(|i| times.get(i));
            let from = before.copied().or_else(|| self.first()).unwrap_or(to).min(to);
            self.holes.push(Hole { from, to });
        }
        self.holes.sort_unstable();
        self.holes.dedup();
    }
}

fn summary(name: String, meta: &InputMeta) -> InputSummary {
    let loss = meta.loss();
    InputSummary {
        input: meta.input,
        name,
        format: meta.packing.map_or_else(|| meta.format.to_owned(), |by| format!("{}, {by}", meta.format)),
        sha256: meta.sha256.clone(),
        linktypes: meta.link_names(),
        packets: meta.packets,
        bytes: meta.bytes,
        first: meta.first(),
        last: meta.last(),
        loss_kernel: loss.kernel,
        loss_interface: loss.interface,
        filter: meta.filter().map(|f| f.terminal()),
        snaplen: meta.snaplen(),
        cut_frames: meta.cut_frames,
        damaged_at: meta.damaged_at,
    }
}
