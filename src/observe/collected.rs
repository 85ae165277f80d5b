//! One observation point as far as its inputs were appended: what is finished into an observation, or saved.

use crate::base::{InputId, Known, Problem, ProblemKind, Time, visible};
use crate::capture::{InputMeta, OpenError};

use super::groups::Group;
use super::limits::Limits;
use super::model::{Hole, InputSummary, Observation};
use super::partial::Partial;
use super::rest::times as times_of;

/// Everything seen at one observation point, in pieces.
#[derive(Debug, Default)]
pub struct Collected {
    pub(super) partial: Partial,
    pub(super) inputs: Vec<InputSummary>,
    pub(super) problems: Vec<Problem>,
    pub(super) holes: Vec<Hole>,
    pub(super) drops: Vec<Time>,
    /// Earliest and latest frame.
    pub(super) span: Option<(Time, Time)>,
    /// Latest moment covered.
    pub(super) last: Option<Time>,
    /// Whether a saved observation is part of it.
    pub(super) saved: bool,
}

impl Collected {
    /// Notes an input of which nothing is read, and why.
    pub fn unreadable(&mut self, input: InputId, error: &OpenError) {
        let shown = visible(&error.name);
        let whole = error.to_string();
        let detail = whole.strip_prefix(&format!("cannot read {shown}: ")).unwrap_or(&whole).to_owned();
        self.problem(input, ProblemKind::InputUnreadable, detail, 1);
        self.inputs.push(InputSummary::unread(input, &error.name));
    }

    /// Notes a problem of a whole input.
    pub fn problem(&mut self, input: InputId, kind: ProblemKind, detail: String, count: u64) {
        self.problems.push(Problem { input, kind, detail, offset: None, frame: None, count });
    }

    /// Whether every input was unreadable: what was wrong with each.
    pub(super) fn reasons(&self) -> Vec<&str> {
        self.problems.iter().map(|p| p.detail.as_str()).collect()
    }

    /// Nothing yet; what comes is kept within limits of memory.
    pub(super) fn within(limits: &Limits) -> Self {
        Self { partial: Partial::within(limits), ..Self::default() }
    }

    /// Captures that follow.
    pub(super) fn group(&mut self, group: Group<'_>, limits: &Limits) {
        let read = group.read(limits);
        let mut next = Self { partial: read.partial, span: read.span, ..Self::default() };
        for (name, meta) in read.metas {
            next.problems.extend(meta.problems());
            next.drops.extend(meta.drops.iter().map(|d| d.0));
            next.inputs.push(summary(name, &meta));
        }
        self.append(next);
    }

    /// Takes in what follows, of the same observation point.
    ///
    /// What overlaps in time cannot be merged frame by frame any more. As long as no tuple is in both, that does not matter.
    /// Otherwise order would be guessed, and what was given later is left out. So is what was given before.
    pub fn append(&mut self, later: Self) {
        let first_input = later.inputs.first().map_or(InputId(0), |i| i.input);
        let overlaps = matches!((self.span, later.span), (Some((_, last)), Some((first, _))) if first < last);
        if self.saved || later.saved {
            if let Some(again) = self.given_before(&later) {
                return self.leave_out(later, ProblemKind::DuplicateInput, format!("{again} is in another input, too"));
            }
            if overlaps && self.partial.shares_a_tuple_with(&later.partial) {
                let why = "it overlaps other inputs in time and shares connections with them: saved observations are not \
                           merged packet by packet; observe those captures together";
                return self.leave_out(later, ProblemKind::InputUnreadable, why.to_owned());
            }
        } else if overlaps {
            // Only a stream comes here out of order: it cannot be read again to be merged.
            let detail = "a stream overlaps other inputs and was not merged with them".to_owned();
            self.problem(first_input, ProblemKind::TimeBackwards, detail, 1);
        }
        let begins = later.inputs.iter().filter_map(|i| i.first).min();
        if let (Some(last), Some(first)) = (self.last, begins)
            && first > last
        {
            self.holes.push(Hole { from: last, to: first });
        }
        self.last = self.last.max(later.inputs.iter().filter_map(|i| i.last).max());
        self.span = match (self.span, later.span) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (a, b) => a.or(b),
        };
        self.partial.append(later.partial);
        self.inputs.extend(later.inputs);
        self.problems.extend(later.problems);
        self.holes.extend(later.holes);
        self.drops.extend(later.drops);
        self.saved |= later.saved;
    }

    /// A capture that is part of both, by digest.
    fn given_before(&self, later: &Self) -> Option<String> {
        let known = |i: &&InputSummary| i.sha256 != Known::Unknown && self.inputs.iter().any(|o| o.sha256 == i.sha256);
        later.inputs.iter().find(known).map(|i| visible(&i.name).into_owned())
    }

    /// An input that is told and not judged. What is given twice is no harm where nothing else was given with it.
    fn leave_out(&mut self, later: Self, kind: ProblemKind, why: String) {
        let harmless = later.inputs.iter().all(|i| self.inputs.iter().any(|o| o.sha256 == i.sha256));
        let kind = if harmless { kind } else { ProblemKind::InputUnreadable };
        for i in later.inputs {
            self.problem(i.input, kind, why.clone(), 1);
            self.inputs.push(InputSummary { packets: 0, first: None, last: None, ..i });
        }
        self.saved |= later.saved;
    }

    /// Nothing more will come.
    pub fn finish(self) -> Observation {
        self.finish_on(1)
    }

    /// As [`Self::finish`], on several threads. What comes out does not depend on how many there are.
    pub fn finish_on(mut self, threads: usize) -> Observation {
        self.problems.into_iter().for_each(|p| self.partial.problem(p));
        self.inputs.sort_by_key(|i| i.input);
        self.drops.sort_unstable();
        self.drops.dedup();
        let (mut seen, moments) = self.partial.finish_on(threads, self.inputs, self.holes, &self.drops);
        seen.add_drops(&self.drops, moments);
        seen
    }
}

impl Observation {
    /// Makes holes of dated drops. The packet before them is the latest that is known of: the hole may so be longer than it was,
    /// never shorter.
    pub(super) fn add_drops(&mut self, drops: &[Time], moments: Vec<Time>) {
        if drops.is_empty() {
            return;
        }
        let mut times = moments;
        times.extend(self.flows.iter().flat_map(times_of));
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

pub(super) fn summary(name: String, meta: &InputMeta) -> InputSummary {
    let loss = meta.loss();
    InputSummary {
        input: meta.input,
        name: name.into(),
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
        host: meta.host().cloned(),
    }
}
