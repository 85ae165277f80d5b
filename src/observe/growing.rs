//! An input that is observed while it grows: what was seen so far can be looked at, and reading goes on.
//!
//! Looking changes nothing: however often it is done, the end is what [`super::observe`] makes of the same input.

use crate::base::{FrameRef, InputId, Time};
use crate::capture::{Event, InputMeta};

use super::collected::Collected;
use super::groups::{Source, groups};
use super::host::{self, Host};
use super::limits::Limits;
use super::model::Observation;
use super::partial::Partial;
use super::workers::Stretch;

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
}

impl Growing {
    /// An input of which nothing was read yet, with the name it has in a report.
    pub fn new(name: &str) -> Self {
        let (host, frame) = (Host::default(), host::none(InputId(0)));
        Self { name: name.to_owned(), partial: Partial::default(), span: None, events: 0, host, frame }
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

    /// What was seen: nothing more will come.
    pub fn finish(self, meta: InputMeta) -> Observation {
        let Self { name, mut partial, span, host, .. } = self;
        partial.set_frames(meta.input, meta.packets);
        let limits = Limits::default();
        let mut point = Collected::default();
        let source = Source { name, file: None, stretch: Stretch { partial, meta, span } };
        groups(vec![source]).into_iter().for_each(|group| point.group(group, &limits));
        let mut seen = point.finish();
        host.tell(&mut seen);
        seen
    }
}
