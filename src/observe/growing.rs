//! An input that is observed while it grows: what was seen so far can be looked at, and reading goes on.
//!
//! Looking changes nothing: however often it is done, the end is what [`super::observe`] makes of the same input.

use crate::base::{FrameRef, InputId, Time};
use crate::capture::{Event, InputMeta};

use super::collected::{Collected, summary};
use super::host::{self, Host};
use super::limits::Limits;
use super::looks::{Changes, Looks};
use super::model::Observation;
use super::partial::Partial;

/// A growing input, the only one of its observation point.
#[derive(Clone, Debug)]
pub struct Growing {
    name: String,
    partial: Partial,
    span: Option<(Time, Time)>,
    events: u64,
    host: Host,
    /// The newest frame.
    frame: FrameRef,
    looks: Looks,
}

impl Growing {
    /// An input of which nothing was read yet, with the name it has in a report.
    pub fn new(name: &str) -> Self {
        Self::within(name, &Limits::default())
    }

    /// As [`Growing::new`], within limits of memory.
    pub fn within(name: &str, limits: &Limits) -> Self {
        Self {
            name: name.to_owned(),
            partial: Partial::within(limits),
            span: None,
            events: 0,
            host: Host::default(),
            frame: host::none(InputId(0)),
            looks: Looks::default(),
        }
    }

    /// Takes in the next frame or problem.
    pub fn take(&mut self, event: Event<'_>) {
        self.events += 1;
        match event {
            Event::Frame(frame) => {
                self.span =
                    Some(self.span.map_or((frame.time, frame.time), |(a, b)| (a.min(frame.time), b.max(frame.time))));
                self.frame = FrameRef { input: frame.input, frame: frame.number };
                self.partial.frame(&frame);
            }
            Event::Problem(problem) => self.partial.problem(problem),
            Event::Counted(counted) => {
                for last in counted.sides.iter().flatten().map(|s| s.last) {
                    self.span = Some(self.span.map_or((last, last), |(a, b)| (a.min(last), b.max(last))));
                }
                self.partial.counted(&counted);
            }
            Event::Host(fact) => self.host.take(fact, self.frame),
        }
    }

    /// How many frames and problems were taken in: what has not changed need not be looked at again.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// What was seen so far, of which `meta` says the rest. Copies what is kept of every flow.
    pub fn seen(&self, meta: InputMeta) -> Observation {
        self.clone().finish(meta)
    }

    /// Brings an observation up to what was seen so far, and says what changed. `seen` must be what the look before left, an
    /// empty one at first. What that costs follows what changed.
    pub fn look(&mut self, meta: InputMeta, seen: &mut Observation) -> Changes {
        self.partial.set_frames(meta.input, meta.packets);
        self.host.take_back(&mut seen.flows);
        let mut changes = self.looks.look(&mut self.partial, seen, meta.problems());
        self.host.tell_drops(&mut seen.flows);
        match &mut changes {
            Changes::All => self.host.name_all(&mut seen.flows),
            Changes::Keys(keys) => {
                keys.extend(self.host.keys_of_drops());
                self.host.name(&mut seen.flows, keys);
            }
        }
        seen.inputs = vec![summary(self.name.clone(), &meta)];
        seen.holes.clear();
        seen.add_drops(&meta.drops.iter().map(|d| d.0).collect::<Vec<_>>(), Vec::new());
        changes
    }

    /// What was seen: nothing more will come.
    pub fn finish(self, meta: InputMeta) -> Observation {
        let Self { name, mut partial, span, host, .. } = self;
        partial.set_frames(meta.input, meta.packets);
        // One stretch is what there is, so there is nothing to fold it with.
        let (problems, drops) = (meta.problems(), meta.drops.iter().map(|d| d.0).collect());
        let inputs = vec![summary(name, &meta)];
        let all = Collected { partial, inputs, problems, drops, span, last: meta.last(), ..Collected::default() };
        let mut seen = all.finish();
        host.tell(&mut seen.flows);
        seen
    }
}
