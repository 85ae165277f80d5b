//! Flows against the matrix: expected, unexpected, related, ambiguous.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::rules::{Hit, InForce, PeerView, Rules, expired};
use super::seen::{Seen, Worked};
use crate::app::{AppProto, Speaks};
use crate::base::{Proto, Time};
use crate::flow::Side;
use crate::matrix::Carries;
use crate::report::{AppState, Class, UnexpectedKind};
use crate::site::{AllowPeer, HostId, Site};

/// What the matrix and the site say of a flow.
#[derive(Clone, Debug)]
pub(super) struct Classed {
    pub(super) class: Class,
    pub(super) unexpected: Option<UnexpectedKind>,
    pub(super) reason: Arc<str>,
    /// Rules that allow it, the naming one first.
    pub(super) hits: Vec<Hit>,
    pub(super) label: Option<String>,
    pub(super) app: Option<AppState>,
    /// The allow-list entry that explains it.
    pub(super) allow: Option<usize>,
    /// A driver's flow of a step after the first: where it was under way at the start, so was the restore.
    pub(super) restore_step: bool,
}

impl Classed {
    /// A flow nobody asks about.
    pub(super) fn unrelated() -> Self {
        Self {
            class: Class::Unrelated,
            unexpected: None,
            reason: Arc::default(),
            hits: Vec::new(),
            label: None,
            app: None,
            allow: None,
            restore_step: false,
        }
    }

    fn new(class: Class, reason: impl Into<Arc<str>>) -> Self {
        Self { class, reason: reason.into(), ..Self::unrelated() }
    }

    fn unexpected(kind: UnexpectedKind, reason: fmt::Arguments<'_>) -> Self {
        let reason = format!("{}: {reason}", kind.name());
        Self { unexpected: Some(kind), ..Self::new(Class::Unexpected, reason) }
    }

    /// Whether another protocol was seen on the rule's port.
    pub(super) fn is_wrong_protocol(&self) -> bool {
        self.unexpected == Some(UnexpectedKind::WrongProtocol)
    }
}

/// What classifying needs.
pub(super) struct Classifier<'a, 'p> {
    pub(super) site: &'a Site,
    pub(super) rules: &'p Rules<'a>,
    /// When the capture was taken, for expiry dates.
    pub(super) at: Option<Time>,
}

impl Classifier<'_, '_> {
    /// Classifies an oriented flow with at least one role.
    pub(super) fn classify(&self, s: &Seen<'_>) -> Classed {
        if s.orig_host.is_some() && s.orig_host == s.resp_host {
            return Classed::new(Class::Unrelated, "both ends are the same host");
        }
        let proto = s.flow.key.proto;
        if matches!(proto, Proto::Icmp | Proto::Icmp6) {
            let mut c = Classed::new(Class::Related, "ICMP between hosts is ordinary host noise");
            c.label = Some("host noise".to_owned());
            return c;
        }
        if matches!(proto, Proto::Other(_)) {
            let mut c = Classed::new(Class::Related, "neither TCP nor UDP: no row is about it, and it is not read");
            c.label = Some("other IP protocols".to_owned());
            return c;
        }
        if s.flow.key.ends.iter().all(|e| e.port == 0) {
            // Evidence that the two hosts talk, as their ICMP is; what about cannot be told.
            let mut c =
                Classed::new(Class::Related, "its headers were cut before the ports: what it is cannot be told");
            c.label = Some("headers cut by the capture".to_owned());
            return c;
        }
        let (orig, resp) = self.peers(s);
        let (on, off) = self.rules.explain(orig, resp, proto, s.port());
        let (on, outside): (Vec<Hit>, Vec<Hit>) = on.into_iter().partition(|h| self.in_window(h, s));
        let (matrix, companion): (Vec<Hit>, Vec<Hit>) = on.into_iter().partition(|h| !self.rule(h).is_companion());
        if !matrix.is_empty() {
            return self.allowed(s, matrix, &companion);
        }
        if let Some(c) = self.related(s, companion).or_else(|| self.excepted(s)) {
            return c;
        }
        let off: Vec<Hit> = off.into_iter().chain(outside).collect();
        self.unexplained(s, off)
    }

    fn peers<'s>(&self, s: &'s Seen<'_>) -> (PeerView<'s>, PeerView<'s>) {
        (PeerView::new(self.site, s.orig_host, &s.orig_roles), PeerView::new(self.site, s.resp_host, &s.resp_roles))
    }

    #[expect(clippy::indexing_slicing, reason = "a hit is made from an index of this very list")]
    fn rule(&self, hit: &Hit) -> &InForce<'_> {
        &self.rules.list[hit.rule]
    }

    /// A row that only a restore opens is off outside the declared windows.
    fn in_window(&self, hit: &Hit, s: &Seen<'_>) -> bool {
        let rule = &self.rule(hit).rule;
        let bound = !self.rule(hit).is_companion()
            && rule.stage.is_some_and(|n| n > 1)
            && rule.from.iter().all(|f| f.may.is_empty());
        !bound || overlaps_window(self.site, s)
    }

    fn carries(&self, hit: &Hit) -> Option<Carries> {
        self.rule(hit).rule.ports.get(hit.port).filter(|_| !hit.fallback).and_then(|p| p.carries)
    }

    fn allowed(&self, s: &Seen<'_>, mut hits: Vec<Hit>, companion: &[Hit]) -> Classed {
        // Ranges may overlap where hosts share roles: the bytes decide, not the order of the rules.
        if hits.iter().any(|h| self.state(s, h) == AppState::Confirmed) {
            hits.sort_by_key(|h| self.state(s, h) != AppState::Confirmed);
        } else if let Some(reason) = self.two_readings(&hits, companion) {
            let settled = companion.iter().filter(|h| self.state(s, h) == AppState::Confirmed).copied().collect();
            let ambiguous = || Classed { hits, ..Classed::new(Class::Ambiguous, reason) };
            return self.related(s, settled).unwrap_or_else(ambiguous);
        }
        let Some(naming) = hits.first().copied() else { return Classed::unrelated() };
        let state = self.state(s, &naming);
        let id = &self.rule(&naming).rule.id;
        let mut c = if state == AppState::WrongProtocol && s.network() == Worked::Yes {
            let told = s.flow.evidence.summary();
            Classed::unexpected(
                UnexpectedKind::WrongProtocol,
                format_args!("{id} allows this port for {}, but its bytes are {told}", carried(self.carries(&naming))),
            )
        } else {
            Classed::new(
                Class::Expected,
                format!("{id} allows it{}", if naming.fallback { " as fallback" } else { "" }),
            )
        };
        c.app = Some(state);
        c.restore_step = self.rules.drives(&naming, &s.orig_roles);
        c.hits = hits;
        c
    }

    /// Two different services whose ranges both hold the port, and no bytes that settle it.
    fn two_readings(&self, hits: &[Hit], companion: &[Hit]) -> Option<String> {
        let is_range = |h: &&Hit| {
            let port = self.rule(h).rule.ports.get(h.port);
            h.fallback || port.is_some_and(|p| !p.service.ports.is_single())
        };
        let ranged: Vec<&Hit> = hits.iter().chain(companion).filter(is_range).collect();
        let carried: BTreeSet<_> = ranged.iter().map(|h| self.carries(h)).collect();
        if carried.len() < 2 || !hits.iter().all(|h| is_range(&h)) {
            return None;
        }
        let ids: BTreeSet<&str> = ranged.iter().map(|h| self.rule(h).rule.id.as_str()).collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        Some(format!("the port lies in the ranges of {}, and its bytes do not tell which", ids.join(" and ")))
    }

    fn related(&self, s: &Seen<'_>, hits: Vec<Hit>) -> Option<Classed> {
        let naming = hits.first()?;
        let rule = self.rule(naming);
        let reason = format!("companion set {}: {}", rule.set.id, rule.rule.id);
        let mut c = Classed::new(Class::Related, reason);
        c.label = Some(rule.rule.purpose.clone());
        c.app = Some(self.state(s, naming));
        c.hits = hits;
        Some(c)
    }

    fn excepted(&self, s: &Seen<'_>) -> Option<Classed> {
        let orig = s.flow.point(s.direction.orig).addr;
        let resp = s.flow.point(s.direction.orig.other()).addr;
        let (index, allow) = self.site.allow.iter().enumerate().find(|(_, a)| {
            !expired(a.expires, self.at)
                && a.service.contains(s.flow.key.proto, s.port())
                && self.is_peer(&a.from, orig, s.orig_host)
                && self.is_peer(&a.to, resp, s.resp_host)
        })?;
        let mut c = Classed::new(Class::Related, format!("allowed by the site, line {}: {}", allow.line, allow.reason));
        c.label = Some(allow.reason.clone());
        c.allow = Some(index);
        Some(c)
    }

    fn is_peer(&self, peer: &AllowPeer, addr: IpAddr, host: Option<HostId>) -> bool {
        match peer {
            AllowPeer::Any => true,
            AllowPeer::Role(r) => self.site.roles_of(addr).contains(r),
            AllowPeer::Host(h) => host == Some(*h),
            AllowPeer::Net(n) => n.contains(&addr),
        }
    }

    fn unexplained(&self, s: &Seen<'_>, off: Vec<Hit>) -> Classed {
        let service = format!("{}/{}", s.flow.key.proto, s.port());
        if let Some(hit) = off.first() {
            let id = self.rule(hit).rule.id.clone();
            let mut c = Classed::unexpected(
                UnexpectedKind::ConditionOff,
                format_args!("{id} allows it only in another operation or outside the time given"),
            );
            c.hits = off;
            return c;
        }
        if s.orig_roles.is_empty() || s.resp_roles.is_empty() {
            return Classed::unexpected(
                UnexpectedKind::UnknownPeer,
                format_args!("one end has no role, and no companion rule or exception names {service}"),
            );
        }
        // The originator's own port says nothing: it may lie in the range of dynamic RPC.
        let (orig, resp) = self.peers(s);
        let (back, _) = self.rules.explain(resp, orig, s.flow.key.proto, s.port());
        let reversed = back.iter().find(|h| !self.rule(h).is_companion());
        match reversed {
            Some(hit) if s.certain() => Classed::unexpected(
                UnexpectedKind::Reversed,
                format_args!("{} allows it only in the other direction", self.rule(hit).rule.id),
            ),
            _ => Classed::unexpected(
                UnexpectedKind::NoRule,
                format_args!("no rule allows {} to open {service} there", roles(&s.orig_roles)),
            ),
        }
    }

    /// Application evidence against what a rule's port carries.
    fn state(&self, s: &Seen<'_>, hit: &Hit) -> AppState {
        let Some(expected) = self.carries(hit).and_then(app_proto) else { return AppState::Unconfirmed };
        let speaks = |side: Side| s.flow.evidence.speaks.get(side.index());
        let (orig, resp) = (speaks(s.direction.orig), speaks(s.direction.orig.other()));
        let is = |v: Option<&Speaks>| matches!(v, Some(Speaks::Known(p)) if *p == expected);
        let other = |v: Option<&Speaks>| matches!(v, Some(Speaks::Known(p)) if *p != expected);
        match () {
            () if is(resp) => AppState::Confirmed,
            () if other(resp) || other(orig) => AppState::WrongProtocol,
            () if is(orig) => AppState::Confirmed,
            () => AppState::Unconfirmed,
        }
    }
}

/// Whether a flow overlaps a declared window; true where none is declared.
pub(super) fn overlaps_window(site: &Site, s: &Seen<'_>) -> bool {
    site.windows.is_empty() || site.windows.iter().any(|w| s.began() <= w.to && s.ended() >= w.from)
}

/// The protocol that confirms what a port carries; the vendor's own cannot be told.
const fn app_proto(carries: Carries) -> Option<AppProto> {
    match carries {
        Carries::Ssh => Some(AppProto::Ssh),
        Carries::Tls => Some(AppProto::Tls),
        Carries::Smb => Some(AppProto::Smb),
        Carries::Rpc => Some(AppProto::DceRpc),
        Carries::Iscsi => Some(AppProto::Iscsi),
        Carries::Vendor => None,
    }
}

fn carried(c: Option<Carries>) -> &'static str {
    c.map_or("another protocol", Carries::word)
}

fn roles(roles: &BTreeSet<crate::matrix::Role>) -> String {
    roles.iter().map(|r| r.word()).collect::<Vec<_>>().join("+")
}
