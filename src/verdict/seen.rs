//! Flows as the judge sees them: oriented, with hosts and roles.

use std::collections::BTreeSet;

use super::classify::{Classed, Classifier};
use super::points::PointView;
use super::who::{Peer, Who};
use crate::base::{Known, PortSet, Proto, Stamp, Time};
use crate::flow::Outcome as Tried;
use crate::flow::{self, Attempt, ConnState, Flow, FlowId, Method, Orientation};
use crate::matrix::Role;
use crate::observe::PairIndex;
use crate::report::{Cause, Class, UnexpectedKind};
use crate::site::HostId;

/// One flow at one point.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) flow: &'a Flow,
    /// Index of the observation point.
    pub(super) point: usize,
    pub(super) id: FlowId,
    pub(super) direction: Orientation,
    pub(super) attempt: Attempt,
    pub(super) state: ConnState,
    pub(super) orig_host: Option<HostId>,
    pub(super) resp_host: Option<HostId>,
    /// Originator and responder, hosts where they are hosts of the site.
    pub(super) pair: (Peer, Peer),
    pub(super) orig_roles: BTreeSet<Role>,
    pub(super) resp_roles: BTreeSet<Role>,
    pub(super) class: Classed,
}

/// What a flow says of the service it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worked {
    /// The network let it through.
    Yes,
    /// Established, but another protocol answered.
    Wrong,
    /// The attempt failed.
    Failed(Cause),
    /// Nothing can be said.
    Open(Cause),
}

/// What orienting and judging a flow needs besides the flow.
pub(super) struct Lens<'a, 'p> {
    pub(super) who: &'p Who<'a>,
    pub(super) classifier: &'p Classifier<'a, 'p>,
    pub(super) ports: &'p PortSet,
    pub(super) point: &'p PointView<'a>,
    pub(super) index: usize,
    pub(super) pairs: &'p PairIndex,
}

impl<'a> Lens<'a, '_> {
    /// Looks at a flow; `None` where neither end has a role or it went to a group.
    pub(super) fn look(&self, flow: &'a Flow) -> Option<Seen<'a>> {
        if flow.group || !flow.key.ends.iter().any(|e| self.who.has_role(e.addr)) {
            return None;
        }
        let direction = flow::orient(flow, self.ports);
        let first = self.classified(flow, direction);
        if direction.certain || explained(&first) == 0 {
            return Some(first);
        }
        // Of an uncertain flow's two orientations the one that something explains; the first where both or neither are.
        let turned = self.classified(flow, Orientation { orig: direction.orig.other(), ..direction });
        Some(if explained(&turned) < explained(&first) { turned } else { first })
    }

    fn classified(&self, flow: &'a Flow, direction: Orientation) -> Seen<'a> {
        let mut seen = self.seen(flow, direction);
        seen.class = self.classifier.classify(&seen);
        seen
    }

    fn seen(&self, flow: &'a Flow, direction: Orientation) -> Seen<'a> {
        let (orig, resp) = (direction.orig, direction.orig.other());
        let (o, r) = (flow.point(orig).addr, flow.point(resp).addr);
        let orig_host = self.who.host(o);
        let at_originator = Known::Known(self.point.is_at(orig_host));
        let context = self.pairs.context(self.point.observation, flow, &direction, at_originator);
        let attempt = flow::attempt(flow, &direction, &context);
        Seen {
            flow,
            point: self.index,
            id: flow::id(flow),
            direction,
            attempt,
            state: flow::conn_state(flow, orig),
            orig_host,
            resp_host: self.who.host(r),
            pair: (self.who.peer(o), self.who.peer(r)),
            orig_roles: self.who.roles(o),
            resp_roles: self.who.roles(r),
            class: Classed::unrelated(),
        }
    }
}

/// How well a classification explains a flow; lower is better.
const fn explained(s: &Seen<'_>) -> u8 {
    match (s.class.class, s.class.unexpected) {
        (Class::Unexpected, Some(UnexpectedKind::ConditionOff)) => 1,
        (Class::Unexpected, _) => 2,
        _ => 0,
    }
}

impl Seen<'_> {
    /// Responder's port.
    pub(super) const fn port(&self) -> u16 {
        self.flow.point(self.direction.orig.other()).port
    }

    /// First packet.
    pub(super) const fn first(&self) -> Stamp {
        self.flow.first
    }

    /// When it began.
    pub(super) const fn began(&self) -> Time {
        self.flow.first.time
    }

    /// When a failed attempt was known to have failed: by what came back, or by silence.
    pub(super) fn settled_at(&self) -> Time {
        let decided = self.attempt.decided.map_or_else(|| self.began(), |s| s.time);
        match self.attempt.outcome {
            Tried::Unanswered | Tried::HalfOpen => decided.plus(flow::patience(self.flow, &self.direction)),
            _ => decided,
        }
    }

    /// Whether the originator is known for sure.
    pub(super) const fn certain(&self) -> bool {
        self.direction.certain
    }

    /// Whether it was under way when the capture began to see it.
    pub(super) fn headless(&self) -> bool {
        matches!(self.direction.method, Method::ServicePort | Method::FirstPacket)
    }

    /// What it says of the service, leaving aside the protocol spoken.
    pub(super) fn network(&self) -> Worked {
        match self.attempt.outcome {
            Tried::Established | Tried::Answered => Worked::Yes,
            // An error about a connection whose beginning was not seen is no failed attempt to open one.
            o if self.headless() && self.flow.key.proto == Proto::Tcp && failure(o).is_some() => {
                Worked::Open(Cause::Undetermined)
            }
            Tried::Withdrawn => Worked::Open(Cause::Withdrawn),
            o => failure(o).map_or(Worked::Open(Cause::Undetermined), Worked::Failed),
        }
    }

    /// Whether both see the same connection: originator and its initial sequence number, and the tuple, or another one where
    /// addresses are translated on the way.
    pub(super) fn same_connection(&self, other: &Self) -> bool {
        let isn = |s: &Self| s.flow.syns.first().map(|r| r.isn);
        if isn(self) != isn(other) {
            return false;
        }
        let same_tuple = self.flow.key == other.flow.key && self.direction.orig == other.direction.orig;
        same_tuple || (isn(self).is_some() && self.translated(other))
    }

    /// The same two hosts and service under other addresses.
    fn translated(&self, other: &Self) -> bool {
        let addrs = |s: &Self| s.flow.key.ends.map(|e| e.addr);
        self.pair == other.pair && self.port() == other.port() && addrs(self) != addrs(other)
    }
}

/// The failure an outcome is.
const fn failure(outcome: Tried) -> Option<Cause> {
    Some(match outcome {
        Tried::Refused => Cause::Refused,
        Tried::Prohibited => Cause::Prohibited,
        Tried::Unreachable => Cause::Unreachable,
        Tried::DroppedLocally => Cause::DroppedLocally,
        Tried::HalfOpen => Cause::HalfOpen,
        Tried::Unanswered => Cause::Unanswered,
        _ => return None,
    })
}
