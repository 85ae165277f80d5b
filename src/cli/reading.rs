//! From grouped inputs to what was seen at each point. An input that cannot be read is told and noted; the others go on.

use std::num::NonZeroUsize;
use std::sync::Arc;

use portwitness::base::{AddrSet, InputId, Known, PortSet, Problem, ProblemKind, RunError, WireText};
use portwitness::capture::{CaptureFile, Meter, OpenError};
use portwitness::flow;
use portwitness::observe::{self, InputSummary, Limits, Observation, Options, PairIndex};
use portwitness::report::FlowRecord;
use portwitness::site::Site;
use portwitness::verdict::{self, PointSeen, flow_record};

use super::complain;
use super::inputs::{Group, Input, Source};
use super::progress::Progress;

/// How to read.
#[derive(Clone, Debug, Default)]
pub(super) struct How {
    options: Options,
    limits: Limits,
    hash: bool,
}

/// How much memory to take.
#[derive(Debug, clap::Args)]
pub(super) struct Memory {
    /// Memory that flows may take; beyond it unanswered attempts are only counted
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = size)]
    max_memory: u64,
}

/// Parses bytes with K, M, G or T for powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no size; expected a number with K, M, G or T, as 512M");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match text.get(digits.len()..).unwrap_or_default() {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        "T" | "t" => 1 << 40,
        _ => return Err(wrong()),
    };
    digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).filter(|n| *n > 0).ok_or_else(wrong)
}

/// How to read: with as many threads as asked for, else one per processor; with digests of the inputs or without.
pub(super) fn how(threads: Option<NonZeroUsize>, hash: bool) -> How {
    let all = Options::default();
    let options = Options { threads: threads.map_or(all.threads, NonZeroUsize::get), ..all };
    How { options, hash, ..How::default() }
}

impl How {
    /// The same, within so much memory, of which the flows among a site's hosts are the last to go without.
    pub(super) fn within(mut self, memory: &Memory, site: Option<&Site>) -> Self {
        let mut protected = AddrSet::none();
        if let Some(site) = site {
            site.hosts.iter().flat_map(|h| &h.addrs).for_each(|a| protected.insert(*a));
            site.role_nets.iter().for_each(|(_, net)| protected.insert_net(*net));
        }
        self.limits = Limits { bytes: memory.max_memory, protected: Arc::new(protected) };
        self
    }
}

/// Reads every group.
///
/// # Errors
/// Where no input at all could be read.
pub(super) fn observe(groups: &[Group], how: &How) -> Result<Vec<PointSeen>, RunError> {
    let meter = Arc::new(Meter::default());
    let opened: Vec<(&Group, Opened<'_>)> = groups.iter().map(|g| (g, open(&g.inputs, how, &meter))).collect();
    let files = || opened.iter().flat_map(|(_, (files, _))| files).filter_map(|f| f.1.as_ref().ok());
    if files().next().is_none() {
        return Err(RunError::NoInput("no capture could be read: nothing to judge".to_owned()));
    }
    let progress = Progress::start(&meter, files().map(CaptureFile::len).sum());
    let points = opened.into_iter().map(|(group, opened)| observe_group(group, opened, how)).collect();
    drop(progress);
    points
}

fn observe_group(group: &Group, (files, failed): Opened<'_>, how: &How) -> Result<PointSeen, RunError> {
    let mut observation = match files.is_empty() {
        true => nothing(),
        false => observe::observe_within(files, &how.options, &how.limits)?,
    };
    failed.into_iter().for_each(|(input, error)| note_unreadable(&mut observation, input, &error));
    group.inputs.iter().filter(|i| i.repeats > 0).for_each(|i| note_repeats(&mut observation, i));
    Ok(PointSeen { name: group.name.clone(), observation })
}

/// Those that could be opened, and those that could not.
type Opened<'a> = (Vec<observe::Input>, Vec<(&'a Input, OpenError)>);

fn open<'a>(inputs: &'a [Input], how: &How, meter: &Arc<Meter>) -> Opened<'a> {
    let mut opened: Opened<'_> = (Vec::new(), Vec::new());
    for input in inputs {
        let file = match &input.source {
            Source::Stdin => CaptureFile::stdin(input.id),
            Source::File(path) => CaptureFile::open(path, input.id),
        };
        match file.map(|f| f.metered(Arc::clone(meter))) {
            Ok(file) => opened.0.push((input.id, Ok(if how.hash { file.hashed() } else { file }))),
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
    observation.inputs.push(InputSummary::unread(input.id, &input.source.name()));
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

/// What a point shows none of whose inputs could be opened.
const fn nothing() -> Observation {
    Observation { inputs: Vec::new(), flows: Vec::new(), holes: Vec::new(), evicted: 0, problems: Vec::new() }
}

/// Flows as records, in the order of points and first packets. No port orients a flow here: there is no matrix.
pub(super) fn records(points: &[PointSeen]) -> Vec<FlowRecord> {
    points.iter().flat_map(|p| of_point(&p.observation)).collect()
}

fn of_point(seen: &Observation) -> Vec<FlowRecord> {
    let pairs = PairIndex::new(seen);
    let record = |f| {
        let direction = flow::orient(f, &PortSet::none());
        let attempt = flow::attempt(f, &direction, &pairs.context(seen, f, &direction, Known::Unknown));
        let state = flow::conn_state(f, direction.orig);
        let after = verdict::after(f, &direction, &attempt, seen);
        flow_record(f, flow::id(f), direction, &attempt, after.as_ref(), state, &seen.inputs)
    };
    seen.flows.iter().map(record).collect()
}
