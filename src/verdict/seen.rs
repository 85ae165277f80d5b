//! Flows as the judge sees them: oriented, with hosts and roles.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use super::classify::{Classed, Classifier};
use super::places::Places;
use super::points::PointView;
use super::shares;
use super::who::{Peer, Who};
use crate::base::{Known, PortSet, Proto, Span, Stamp, Time};
use crate::flow::Outcome as Tried;
use crate::flow::{self, After, Attempt, AttemptContext, Break, ConnState, Flow, FlowId, Method, Orientation};
use crate::matrix::Role;
use crate::observe::PairIndex;
use crate::report::{Cause, Class, FlowRecord, UnexpectedKind};
use crate::site::HostId;

/// One flow at one point.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) flow: &'a Flow,
    /// Index of the observation point.
    pub(super) point: usize,
    /// Nanoseconds from that point's clock to the one that all are compared by.
    shift: i64,
    /// The connection it is, where another point saw it as well.
    pub(super) connection: Option<usize>,
    facts: Arc<Facts>,
}

/// What was worked out of a flow: the same from look to look where a capture grows and the flow did not ([`super::memo`]).
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) id: FlowId,
    pub(super) direction: Orientation,
    pub(super) attempt: Attempt,
    /// How it broke once it was established.
    pub(super) after: Option<After>,
    pub(super) state: ConnState,
    pub(super) orig_host: Option<HostId>,
    pub(super) resp_host: Option<HostId>,
    /// Originator and responder, hosts where they are hosts of the site.
    pub(super) pair: (Peer, Peer),
    pub(super) orig_roles: BTreeSet<Role>,
    pub(super) resp_roles: BTreeSet<Role>,
    pub(super) class: Classed,
    /// What the attempt and the rest rest on besides the flow.
    pub(super) ground: Ground,
    /// As the report has it, once it was asked for.
    record: OnceLock<Arc<FlowRecord>>,
}

/// What of the capture as a whole was asked for to work out a flow, and what the answers were.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) context: Option<AttemptContext>,
    /// How long the capture was open after these moments.
    pub(super) open: Vec<(Time, Span)>,
}

impl Deref for Seen<'_> {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.facts
    }
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
    /// Threads that may work on it.
    pub(super) threads: usize,
    /// Made where something asks for it.
    pub(super) pairs: &'p OnceLock<PairIndex>,
    pub(super) places: &'p Places,
}

/// Which flow of the point it is, its addresses as the site knows them, and its connection.
#[derive(Clone, Copy)]
struct Place {
    addrs: [IpAddr; 2],
    connection: Option<usize>,
}

impl<'a> Lens<'a, '_> {
    /// Looks at the flow of an index; `None` where neither end has a role or it went to a group.
    pub(super) fn look(&self, index: usize, flow: &'a Flow) -> Option<Seen<'a>> {
        let at = (self.index, index);
        let place = Place { addrs: self.places.known_as(at, flow), connection: self.places.connection(at) };
        if flow.group || !place.addrs.iter().any(|a| self.who.has_role(*a)) {
            return None;
        }
        let direction = flow::orient(flow, self.ports);
        let first = self.classified(flow, direction, place);
        if direction.certain || first.explained() == 0 {
            return Some(first);
        }
        // Of an uncertain flow's two orientations the one that something explains; the first where both or neither are.
        let turned = self.classified(flow, Orientation { orig: direction.orig.other(), ..direction }, place);
        Some(if turned.explained() < first.explained() { turned } else { first })
    }

    /// Looks at all flows of the point.
    pub(super) fn all(&self, threads: usize) -> Vec<Option<Seen<'a>>> {
        let flows: &'a [Flow] = &self.point.observation.flows;
        shares::mapped(flows, threads, |index, _| self.look(index, flows.get(index)?))
    }

    /// The flow of an index with what was worked out of it before.
    pub(super) fn again(&self, index: usize, flow: &'a Flow, facts: Arc<Facts>) -> Seen<'a> {
        let (shift, connection) = (self.shift(flow), self.places.connection((self.index, index)));
        Seen { flow, point: self.index, shift, connection, facts }
    }

    /// What judging a flow's attempt needs of the whole capture.
    pub(super) fn context(&self, flow: &Flow, direction: &Orientation, orig: Option<HostId>) -> AttemptContext {
        let at_originator = Known::Known(self.point.is_at(orig));
        let pairs = self.pairs.get_or_init(|| PairIndex::made_by(self.threads, self.point.observation));
        pairs.context(self.point.observation, flow, direction, at_originator)
    }

    fn shift(&self, flow: &Flow) -> i64 {
        let began = flow.first.time;
        self.places.common(self.index, began).0.as_nanos().saturating_sub(began.as_nanos())
    }

    fn classified(&self, flow: &'a Flow, direction: Orientation, place: Place) -> Seen<'a> {
        let mut seen = self.seen(flow, direction, place);
        let class = self.classifier.classify(&seen);
        // Nobody else has it yet.
        if let Some(facts) = Arc::get_mut(&mut seen.facts) {
            facts.class = class;
        }
        seen
    }

    fn seen(&self, flow: &'a Flow, direction: Orientation, place: Place) -> Seen<'a> {
        let (orig, resp) = (direction.orig, direction.orig.other());
        let (o, r) = (*orig.of(&place.addrs), *resp.of(&place.addrs));
        let orig_host = self.who.host(o);
        let context = OnceCell::new();
        let ask = || *context.get_or_init(|| self.context(flow, &direction, orig_host));
        let attempt = flow::attempt(flow, &direction, &ask);
        let asked = RefCell::new(Vec::new());
        let open = |t| {
            let open = self.point.observation.open_after(t);
            asked.borrow_mut().push((t, open));
            open
        };
        let after = super::record::after(flow, &direction, &attempt, &open);
        let facts = Facts {
            id: flow::id(flow),
            direction,
            after,
            attempt,
            state: flow::conn_state(flow, orig),
            orig_host,
            resp_host: self.who.host(r),
            pair: (self.who.peer(o), self.who.peer(r)),
            orig_roles: self.who.roles(o),
            resp_roles: self.who.roles(r),
            class: Classed::unrelated(),
            ground: Ground { context: context.into_inner(), open: asked.into_inner() },
            record: OnceLock::new(),
        };
        Seen { flow, point: self.index, shift: self.shift(flow), connection: place.connection, facts: Arc::new(facts) }
    }
}

impl Seen<'_> {
    /// What was worked out of it, to be kept.
    pub(super) fn facts(&self) -> Arc<Facts> {
        Arc::clone(&self.facts)
    }

    /// As the report has it; `make` is asked once.
    pub(super) fn record(&self, make: impl FnOnce() -> FlowRecord) -> Arc<FlowRecord> {
        Arc::clone(self.record.get_or_init(|| Arc::new(make())))
    }

    /// Responder's port.
    pub(super) fn port(&self) -> u16 {
        self.flow.point(self.direction.orig.other()).port
    }

    /// First packet.
    pub(super) const fn first(&self) -> Stamp {
        self.flow.first
    }

    /// When it began, by the clock that all points are compared by.
    pub(super) const fn began(&self) -> Time {
        Time::from_nanos(self.flow.first.time.as_nanos().saturating_add(self.shift))
    }

    /// When it ended, by the same clock.
    pub(super) const fn ended(&self) -> Time {
        Time::from_nanos(self.flow.last.time.as_nanos().saturating_add(self.shift))
    }

    /// When it began by the clock of its own point, with that point.
    pub(super) const fn moment(&self) -> (usize, Time) {
        (self.point, self.flow.first.time)
    }

    /// How well a classification explains it; lower is better.
    pub(super) fn explained(&self) -> u8 {
        match (self.class.class, self.class.unexpected) {
            (Class::Unexpected, Some(UnexpectedKind::ConditionOff)) => 1,
            (Class::Unexpected, _) => 2,
            _ => 0,
        }
    }

    /// When a failed attempt was known to have failed, by its point's clock: by what came back, by silence, or when it had broken.
    pub(super) fn settled_at(&self) -> Time {
        if let Some(after) = self.after.as_ref().filter(|_| self.broke_early()) {
            return after.last.time;
        }
        let decided = self.attempt.decided.map_or(self.flow.first.time, |s| s.time);
        match self.attempt.outcome {
            Tried::Unanswered | Tried::HalfOpen => decided.plus(flow::patience(self.flow, &self.direction)),
            _ => decided,
        }
    }

    /// Whether the originator is known for sure.
    pub(super) fn certain(&self) -> bool {
        self.direction.certain
    }

    /// Whether it was under way when the capture began to see it.
    pub(super) fn headless(&self) -> bool {
        matches!(self.direction.method, Method::ServicePort | Method::FirstPacket)
    }

    /// What it says of the service, leaving aside the protocol spoken.
    pub(super) fn network(&self) -> Worked {
        match self.attempt.outcome {
            Tried::Established if self.broke_early() => Worked::Failed(self.broke().unwrap_or(Cause::Undetermined)),
            Tried::Established | Tried::Answered => Worked::Yes,
            // An error about a connection whose beginning was not seen is no failed attempt to open one.
            o if self.headless() && self.flow.key.proto == Proto::Tcp && failure(o).is_some() => {
                Worked::Open(Cause::Undetermined)
            }
            Tried::Withdrawn => Worked::Open(Cause::Withdrawn),
            o => failure(o).map_or(Worked::Open(Cause::Undetermined), Worked::Failed),
        }
    }

    /// How the network, or what acts in its name, broke it after the handshake. A host that does not read is none of that.
    pub(super) fn broke(&self) -> Option<Cause> {
        match self.after.as_ref()?.what {
            Break::MtuBlackHole => Some(Cause::MtuBlackHole),
            Break::IdleCut => Some(Cause::IdleCut),
            Break::Stalled => Some(Cause::Stalled),
            Break::ResetMidstream => Some(Cause::ResetMidstream),
            Break::ZeroWindow => None,
        }
    }

    /// Whether that came before it can have done its work. Of one that was under way when the capture began nobody knows what it
    /// had done.
    fn broke_early(&self) -> bool {
        self.broke().is_some() && self.after.as_ref().is_some_and(|a| a.early) && !self.headless()
    }

    /// What became of it, in words.
    pub(super) fn told(&self) -> String {
        match self.after.as_ref().filter(|_| self.broke_early()) {
            Some(a) => format!("the handshake succeeded, then {}", a.reason),
            None => self.attempt.reason.to_string(),
        }
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
