//! From grouped inputs to what was seen at each point. An input that cannot be read is told and noted; the others go on.

use std::num::NonZeroUsize;
use std::sync::Arc;

use portwitness::base::{AddrSet, InputId, Known, PortSet, ProblemKind, RunError};
use portwitness::capture::{CaptureFile, Meter, OpenError};
use portwitness::flow;
use portwitness::observe::{self, Collected, Keep, Limits, Observation, Options, PairIndex, Saved};
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

impl Memory {
    /// The limits; flows among a site's hosts are the last to go without.
    pub(super) fn limits(&self, site: Option<&Site>) -> Limits {
        let mut protected = AddrSet::none();
        if let Some(site) = site {
            site.hosts.iter().flat_map(|h| &h.addrs).for_each(|a| protected.insert(*a));
            site.role_nets.iter().for_each(|(_, net)| protected.insert_net(*net));
        }
        Limits::new(self.max_memory, Arc::new(protected))
    }
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
    /// How many threads.
    pub(super) const fn threads(&self) -> usize {
        self.options.threads
    }

    /// The same, within so much memory, for what is saved and not finished.
    pub(super) fn for_saving(mut self, memory: &Memory) -> Self {
        self.limits = memory.limits(None).keeping(Keep::none());
        self
    }

    /// The same, within so much memory. What no judgement by the site looks at is summed up; without one everything is held.
    pub(super) fn within(mut self, memory: &Memory, site: Option<&Site>, places: usize) -> Self {
        self.limits = memory.limits(site).keeping(verdict::keep(site, places));
        self
    }
}

/// Reads every group.
///
/// # Errors
/// Where no input at all could be read.
pub(super) fn observe(groups: &[Group], how: &How) -> Result<Vec<PointSeen>, RunError> {
    let seen =
        |(name, c): (Option<String>, Collected)| PointSeen { name, observation: c.finish_on(how.options.threads) };
    Ok(collect(groups, how)?.into_iter().map(seen).collect())
}

/// Reads every group, as far as it can be saved and added to.
///
/// # Errors
/// Where no input at all could be read.
pub(super) fn collect(groups: &[Group], how: &How) -> Result<Vec<(Option<String>, Collected)>, RunError> {
    let meter = Arc::new(Meter::default());
    let mut numbers = Numbers::new(groups);
    let opened: Vec<(&Group, Opened<'_>)> =
        groups.iter().map(|g| (g, open(&g.inputs, how, &meter, &mut numbers))).collect();
    if opened.iter().all(|(_, o)| o.captures.is_empty() && o.saved.is_empty()) {
        return Err(RunError::NoInput("no capture could be read: nothing to judge".to_owned()));
    }
    let files = opened.iter().flat_map(|(_, o)| &o.captures).filter_map(|f| f.1.as_ref().ok());
    let progress = Progress::start(&meter, files.map(CaptureFile::len).sum());
    let points = opened.into_iter().map(|(group, opened)| collect_group(group, opened, how)).collect();
    drop(progress);
    points
}

fn collect_group(group: &Group, opened: Opened<'_>, how: &How) -> Result<(Option<String>, Collected), RunError> {
    let mut collected = match opened.captures.is_empty() && opened.saved.is_empty() {
        true => Collected::default(),
        false => observe::collect(opened.captures, opened.saved, &how.options, &how.limits)?,
    };
    // An input that was given and not read: the report lists it, and the verdict cannot be a pass.
    opened.failed.into_iter().for_each(|(input, error)| collected.unreadable(input.id, &error));
    for input in group.inputs.iter().filter(|i| i.repeats > 0) {
        collected.problem(input.id, ProblemKind::DuplicateInput, String::new(), input.repeats);
    }
    Ok((group.name.clone(), collected))
}

/// Numbers of inputs: a saved observation of several captures needs several.
struct Numbers(u32);

impl Numbers {
    fn new(groups: &[Group]) -> Self {
        Self(groups.iter().flat_map(|g| &g.inputs).map(|i| i.id.0.saturating_add(1)).max().unwrap_or(0))
    }

    /// The first one is that of the file, the others come behind those of all files.
    fn of(&mut self, file: InputId, inputs: usize) -> Vec<InputId> {
        let mut ids = vec![file];
        ids.extend((1..inputs).map(|_| {
            self.0 = self.0.saturating_add(1);
            InputId(self.0 - 1)
        }));
        ids
    }
}

/// The inputs of a group: captures, saved observations with the numbers of their inputs, and what could not be opened.
#[derive(Default)]
struct Opened<'a> {
    captures: Vec<observe::Input>,
    saved: Vec<(Saved, Vec<InputId>)>,
    failed: Vec<(&'a Input, OpenError)>,
}

fn open<'a>(inputs: &'a [Input], how: &How, meter: &Arc<Meter>, numbers: &mut Numbers) -> Opened<'a> {
    let mut opened = Opened::default();
    for input in inputs {
        match open_one(input) {
            Ok(Either::Saved(saved)) => {
                let ids = numbers.of(input.id, saved.inputs());
                opened.saved.push((*saved, ids));
            }
            Ok(Either::Capture(file)) => {
                let file = file.metered(Arc::clone(meter));
                opened.captures.push((input.id, Ok(if how.hash { file.hashed() } else { file })));
            }
            Err(error) => {
                complain(&error.to_string());
                opened.failed.push((input, error));
            }
        }
    }
    opened
}

enum Either {
    Saved(Box<Saved>),
    Capture(Box<CaptureFile>),
}

fn open_one(input: &Input) -> Result<Either, OpenError> {
    let Source::File(path) = &input.source else {
        return CaptureFile::stdin(input.id).map(|f| Either::Capture(Box::new(f)));
    };
    match Saved::open(path)? {
        Some(saved) => Ok(Either::Saved(Box::new(saved))),
        None => CaptureFile::open(path, input.id).map(|f| Either::Capture(Box::new(f))),
    }
}

/// Flows as records, in the order of points and first packets, made one by one. No port orients a flow here: there is no matrix.
pub(super) fn records(points: &[PointSeen]) -> impl Iterator<Item = FlowRecord> {
    points.iter().flat_map(|p| of_point(&p.observation))
}

fn of_point(seen: &Observation) -> impl Iterator<Item = FlowRecord> {
    let pairs = PairIndex::new(seen);
    seen.flows.iter().map(move |f| {
        let direction = flow::orient(f, &PortSet::none());
        let attempt = flow::attempt(f, &direction, &|| pairs.context(seen, f, &direction, Known::Unknown));
        let state = flow::conn_state(f, direction.orig);
        let after = verdict::after(f, &direction, &attempt, &|t| seen.open_after(t));
        flow_record(f, flow::id(f), direction, &attempt, after.as_ref(), state, &seen.inputs)
    })
}
