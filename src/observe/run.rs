//! From the inputs of one observation point to its observation.

use std::thread;

use crate::base::{InputId, RunError, Time};
use crate::capture::{CaptureFile, OpenError};

use super::collected::Collected;
use super::groups::{Group, Source, groups};
use super::limits::Limits;
use super::model::Observation;
use super::saved::{Saved, in_turn};
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
    collect(inputs, Vec::new(), options, limits).map(|point| point.finish_on(options.threads))
}

/// As [`observe_within`], with saved observations among the inputs, each with the numbers of its inputs; not finished yet.
///
/// # Errors
/// Where no input at all could be opened.
pub fn collect(
    inputs: Vec<Input>,
    saved: Vec<(Saved, Vec<InputId>)>,
    options: &Options,
    limits: &Limits,
) -> Result<Collected, RunError> {
    let mut point = Collected::within(limits);
    let (mut files, mut streams) = (Vec::new(), Vec::new());
    for (id, input) in inputs {
        match input {
            Ok(file) if file.is_reopenable() => files.push(file),
            Ok(stream) => streams.push(stream),
            Err(error) => point.unreadable(id, &error),
        }
    }
    if files.is_empty() && streams.is_empty() && saved.is_empty() {
        return Err(RunError::NoInput(format!("no readable capture: {}", point.reasons().join("; "))));
    }
    let stretches = read_files(&files, options, limits).into_iter().zip(&files);
    let mut sources: Vec<Source<'_>> = stretches
        .filter_map(|(s, file)| Some(Source { name: file.name().into(), file: Some(file), stretch: s? }))
        .collect();
    for stream in streams {
        let name = stream.name().to_owned();
        sources.push(Source { name, file: None, stretch: read(&mut stream.frames(), limits) });
    }
    let mut groups = groups(sources).into_iter().peekable();
    let mut saved = saved;
    saved.sort_by_key(|(file, ids)| file.order(ids));
    let orders: Vec<_> = saved.iter().map(|(file, ids)| file.order(ids)).collect();
    let mut orders = orders.into_iter();
    in_turn(saved, options.threads, limits, |next| {
        let order = orders.next();
        while let Some(group) = groups.next_if(|g| Some(order_of(g)) < order) {
            point.group(group, limits);
        }
        point.append(next);
        point.partial.rows_size()
    });
    groups.for_each(|group| point.group(group, limits));
    Ok(point)
}

/// By time; what has no frames comes last. Saved observations are ordered by the same.
fn order_of(group: &Group<'_>) -> (bool, Option<Time>, InputId) {
    let span = group.span();
    (span.is_none(), span.map(|s| s.0), group.input())
}
