//! Flows as the judge sees them: oriented, with hosts and roles.

use std::collections::BTreeSet;

use super::classify::Classed;
use super::points::PointView;
use super::rules::{PeerView, Rules};
use crate::base::{Known, PortSet, Stamp, Time};
use crate::flow::Outcome as Tried;
use crate::flow::{self, Attempt, ConnState, Flow, FlowId, Method, Orientation, Side};
use crate::matrix::Role;
use crate::observe::PairIndex;
use crate::report::Cause;
use crate::site::{HostId, Site};

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
    pub(super) site: &'a Site,
    pub(super) rules: &'p Rules<'a>,
    pub(super) ports: &'p PortSet,
    pub(super) point: &'p PointView<'a>,
    pub(super) index: usize,
    pub(super) pairs: &'p PairIndex,
}

impl<'a> Lens<'a, '_> {
    /// Looks at a flow; `None` where neither end has a role or it went to a group.
    pub(super) fn look(&self, flow: &'a Flow) -> Option<Seen<'a>> {
        let roles = [Side::A, Side::B].map(|s| self.site.roles_of(flow.point(s).addr));
        if flow.group || roles.iter().all(BTreeSet::is_empty) {
            return None;
        }
        let mut direction = flow::orient(flow, self.ports);
        if !direction.certain {
            direction.orig = self.plausible(flow, direction.orig);
        }
        Some(self.seen(flow, direction))
    }

    /// Of an uncertain flow's two orientations the one a rule allows; the given one where both or neither are.
    fn plausible(&self, flow: &Flow, first: Side) -> Side {
        let allowed = |orig: Side| {
            let (o, r) = (flow.point(orig), flow.point(orig.other()));
            let (or, rr) = (self.site.roles_of(o.addr), self.site.roles_of(r.addr));
            let view = |addr, roles| PeerView::new(self.site, self.site.host_of(addr), roles);
            !self.rules.explain(view(o.addr, &or), view(r.addr, &rr), flow.key.proto, r.port).0.is_empty()
        };
        if !allowed(first) && allowed(first.other()) { first.other() } else { first }
    }

    fn seen(&self, flow: &'a Flow, direction: Orientation) -> Seen<'a> {
        let (orig, resp) = (direction.orig, direction.orig.other());
        let (o, r) = (flow.point(orig).addr, flow.point(resp).addr);
        let orig_host = self.site.host_of(o);
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
            resp_host: self.site.host_of(r),
            orig_roles: self.site.roles_of(o),
            resp_roles: self.site.roles_of(r),
            class: Classed::unrelated(),
        }
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

    /// Whether the originator is known for sure.
    pub(super) const fn certain(&self) -> bool {
        self.direction.certain
    }

    /// Whether it was under way when the capture began to see it.
    pub(super) fn headless(&self) -> bool {
        matches!(self.direction.method, Method::ServicePort | Method::FirstPacket)
    }

    /// What it says of the service, leaving aside the protocol spoken.
    pub(super) const fn network(&self) -> Worked {
        match self.attempt.outcome {
            Tried::Established | Tried::Answered => Worked::Yes,
            Tried::Refused => Worked::Failed(Cause::Refused),
            Tried::Prohibited => Worked::Failed(Cause::Prohibited),
            Tried::Unreachable => Worked::Failed(Cause::Unreachable),
            Tried::DroppedLocally => Worked::Failed(Cause::DroppedLocally),
            Tried::HalfOpen => Worked::Failed(Cause::HalfOpen),
            Tried::Unanswered => Worked::Failed(Cause::Unanswered),
            Tried::Withdrawn => Worked::Open(Cause::Withdrawn),
            Tried::Undetermined | Tried::Silent => Worked::Open(Cause::Undetermined),
        }
    }

    /// Whether both see the same connection: tuple, originator and its initial sequence number.
    pub(super) fn same_connection(&self, other: &Self) -> bool {
        let isn = |s: &Self| s.flow.syns.first().map(|r| r.isn);
        self.flow.key == other.flow.key && self.direction.orig == other.direction.orig && isn(self) == isn(other)
    }
}
