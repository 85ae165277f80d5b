//! Frames on their way into a stretch.
//!
//! SYNs that follow each other, as those of a scan do, are looked up together: each of a new sender needs memory that is in no cache,
//! and of sixteen it comes at once. Nothing else changes: what comes next waits until they are in.

use crate::base::{FrameRef, Problem, Stamp};
use crate::capture::{Frame, Sink};
use crate::flow::{FlowKey, Side};
use crate::packet::{self, Packet, Segment, TcpFlags};

use super::partial::{Partial, Place};

/// SYNs looked up together.
const TOGETHER: usize = 16;
/// Where TCP's flags lie over IPv4 without options over untagged Ethernet.
const FLAGS: usize = 47;

/// A SYN that waits.
struct Syn {
    place: Place,
    packet: Packet<'static>,
    flow: (FlowKey, Side),
    hash: u64,
}

/// What frames are put into.
pub(super) struct Taking {
    partial: Partial,
    syns: Vec<Syn>,
}

impl Taking {
    pub(super) fn new(partial: Partial) -> Self {
        Self { partial, syns: Vec::with_capacity(TOGETHER) }
    }

    /// The stretch with everything that came.
    pub(super) fn end(mut self) -> Partial {
        self.look_up();
        self.partial
    }

    #[inline(never)]
    fn syn(&mut self, frame: Frame<'_>) {
        let Some(packet) = packet::quick(&frame).and_then(|q: Segment<'_>| q.syn()) else {
            self.look_up();
            return self.partial.frame(&frame);
        };
        let at = Stamp { time: frame.time, at: FrameRef { input: frame.input, frame: frame.number } };
        let place = Place { at, interface: frame.interface, carried: 0 };
        let flow = Partial::flow_of_tcp(&packet);
        let hash = self.partial.store.ahead(&flow.0);
        self.syns.push(Syn { place, packet, flow, hash });
        if self.syns.len() >= TOGETHER {
            self.look_up();
        }
    }

    #[inline(never)]
    fn look_up(&mut self) {
        let Self { partial, syns } = self;
        syns.iter().for_each(|s| partial.store.ahead_entry(s.hash));
        syns.iter().for_each(|s| partial.keyed(s.place, &s.packet, s.flow, s.hash));
        syns.clear();
    }
}

impl Sink for Taking {
    #[inline(always)]
    fn frame(&mut self, frame: &Frame<'_>) {
        if frame.data.get(FLAGS) == Some(&TcpFlags::SYN) {
            return self.syn(*frame);
        }
        if !self.syns.is_empty() {
            self.look_up();
        }
        self.partial.frame(frame);
    }

    fn problem(&mut self, problem: Problem) {
        self.partial.problem(problem);
    }
}
