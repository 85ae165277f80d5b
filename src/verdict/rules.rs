//! The rules in force at a site: chosen sets, the scenario's table, overrides applied.

use std::collections::BTreeSet;

use crate::base::{Proto, Time};
use crate::matrix::{Matrix, Operation, Os, Peer, RestoreFacts, Role, Rule, RulePort, RuleSet, SetKind, Source};
use crate::site::{HostId, Override, Site};

/// One rule as it applies here.
#[derive(Clone, Debug)]
pub(super) struct InForce<'a> {
    /// The set it comes from.
    pub(super) set: &'a RuleSet,
    /// The rule, with the site's overrides applied.
    pub(super) rule: Rule,
    /// Per port: the override that changed it (index in the site).
    pub(super) changed: Vec<Option<usize>>,
    /// Per port: an override says not to ask for it.
    pub(super) skipped: Vec<bool>,
}

impl InForce<'_> {
    /// Whether its flows are `related` rather than `expected`.
    pub(super) fn is_companion(&self) -> bool {
        self.set.kind == SetKind::Companion
    }
}

/// One port of a rule that explains a flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    /// Index into [`Rules::list`].
    pub(super) rule: usize,
    /// Index of the port.
    pub(super) port: usize,
    /// Through the fallback range.
    pub(super) fallback: bool,
    /// How many ends are named by role, then how few ports: more specific first.
    rank: (u8, std::cmp::Reverse<u32>),
}

/// All rules in force.
#[derive(Clone, Debug)]
pub(super) struct Rules<'a> {
    pub(super) matrix: &'a Matrix,
    pub(super) list: Vec<InForce<'a>>,
    operations: &'a BTreeSet<Operation>,
    facts: RestoreFacts,
}

/// One end of a flow as rules see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerView<'a> {
    /// Roles of the end.
    pub(super) roles: &'a BTreeSet<Role>,
    /// Its operating system, where the site says (staging servers).
    pub(super) os: Option<Os>,
}

impl<'a> PeerView<'a> {
    /// An end with these roles.
    pub(super) fn new(site: &Site, host: Option<HostId>, roles: &'a BTreeSet<Role>) -> Self {
        Self { roles, os: host.and_then(|h| site.host(h)).and_then(|h| h.os) }
    }

    /// Whether it may stand for a peer of a rule.
    fn fits(self, rule: &Rule, peer: Peer) -> bool {
        fits(peer, self.roles) && (peer != Peer::Role(Role::StagingServer) || rule.takes_staging(self.os))
    }
}

impl<'a> Rules<'a> {
    /// Rules of a site at capture time `at`: overrides that expired before it are left out.
    pub(super) fn new(matrix: &'a Matrix, site: &'a Site, at: Option<Time>) -> Self {
        let mut list: Vec<InForce<'a>> = Vec::new();
        for set in matrix.chosen(&site.companions) {
            for rule in set.rules.iter().filter(|r| r.scenario.is_none_or(|s| s == site.scenario)) {
                let n = rule.ports.len();
                list.push(InForce { set, rule: rule.clone(), changed: vec![None; n], skipped: vec![false; n] });
            }
        }
        for (index, o) in site.overrides.iter().enumerate().filter(|(_, o)| !expired(o.expires, at)) {
            list.iter_mut().filter(|r| r.rule.id == o.rule).for_each(|r| apply(r, o, index));
        }
        Self { matrix, list, operations: &site.operations, facts: site.facts }
    }

    /// Whether a role takes part in one operation.
    pub(super) fn takes_part(&self, role: Role, operation: Operation) -> bool {
        self.matrix.takes_part(role, &BTreeSet::from([operation]), &self.facts)
    }

    /// Operations of this restore.
    pub(super) fn operations(&self) -> impl Iterator<Item = Operation> + '_ {
        self.operations.iter().copied()
    }

    /// Facts of this restore.
    pub(super) const fn facts(&self) -> &RestoreFacts {
        &self.facts
    }

    /// Ports of rules that explain a flow from `orig` to `resp`, most specific first: those whose condition is on, and those
    /// that only another operation would allow.
    pub(super) fn explain(
        &self,
        orig: PeerView<'_>,
        resp: PeerView<'_>,
        proto: Proto,
        port: u16,
    ) -> (Vec<Hit>, Vec<Hit>) {
        let (mut on, mut off) = (Vec::new(), Vec::new());
        for (index, r) in self.list.iter().enumerate() {
            // Most rules are about other ports, and that costs less to see than whom they are about.
            if !r.rule.ports.iter().any(|p| covers(p, proto, port).is_some()) {
                continue;
            }
            let Some((named, allowed)) = self.peers(r, orig, resp) else { continue };
            for (p, rule_port) in r.rule.ports.iter().enumerate() {
                let Some((fallback, width)) = covers(rule_port, proto, port) else { continue };
                let hit = Hit { rule: index, port: p, fallback, rank: (named, std::cmp::Reverse(width)) };
                if allowed { on.push(hit) } else { off.push(hit) }
            }
        }
        let order = |h: &Hit| (std::cmp::Reverse(h.rank), self.companion_last(h), h.rule, h.port);
        on.sort_by_key(order);
        off.sort_by_key(order);
        (on, off)
    }

    /// Whether an originator with these roles is expected to open the hit's rule after the restore's first step.
    pub(super) fn drives(&self, hit: &Hit, roles: &BTreeSet<Role>) -> bool {
        let Some(r) = self.list.get(hit.rule).filter(|r| r.rule.stage.is_some_and(|s| s > 1)) else { return false };
        let need = r.rule.ports.get(hit.port).map_or(crate::matrix::Need::Permitted, |p| p.need);
        let sources = r.rule.from.iter().filter(|s| fits(s.peer, roles));
        sources.into_iter().any(|s| self.operations().any(|o| s.drive(o, &self.facts, need).is_some()))
    }

    fn companion_last(&self, hit: &Hit) -> bool {
        self.list.get(hit.rule).is_some_and(InForce::is_companion)
    }

    /// Whether the rule's ends fit: how many of them by role, and whether this restore's operations allow it.
    fn peers(&self, r: &InForce<'_>, orig: PeerView<'_>, resp: PeerView<'_>) -> Option<(u8, bool)> {
        let mut best: Option<(u8, bool)> = None;
        for source in r.rule.from.iter().filter(|s| orig.fits(&r.rule, s.peer)) {
            for &to in r.rule.to.iter().filter(|&&p| resp.fits(&r.rule, p)) {
                let named = u8::from(matches!(source.peer, Peer::Role(_))) + u8::from(matches!(to, Peer::Role(_)));
                let allowed = self.allowed(source, to);
                best = Some(best.map_or((named, allowed), |(n, a)| (n.max(named), a || allowed)));
            }
        }
        best
    }

    fn allowed(&self, source: &Source, to: Peer) -> bool {
        self.operations.iter().any(|&o| {
            source.allowed(o, &self.facts)
                && [source.peer, to].iter().all(|p| match p {
                    Peer::Role(role) => self.takes_part(*role, o),
                    Peer::AnyRole | Peer::Outside => true,
                })
        })
    }
}

/// Whether an exception's date had passed when the capture was taken.
pub(super) fn expired(expires: Option<Time>, at: Option<Time>) -> bool {
    matches!((expires, at), (Some(e), Some(at)) if e < at)
}

fn apply(r: &mut InForce<'_>, o: &Override, index: usize) {
    let ports = r.rule.ports.iter_mut().zip(r.changed.iter_mut()).zip(r.skipped.iter_mut());
    for ((port, changed), skipped) in ports.filter(|((p, _), _)| o.is_about(p)) {
        *changed = Some(index);
        match o.apply(port) {
            Some(other) => *port = other,
            None => *skipped = true,
        }
    }
}

fn fits(peer: Peer, roles: &BTreeSet<Role>) -> bool {
    match peer {
        Peer::Role(role) => roles.contains(&role),
        Peer::AnyRole => !roles.is_empty(),
        Peer::Outside => roles.is_empty(),
    }
}

/// Whether a rule's port covers a responder's port: through the fallback or not, and how wide the set is.
fn covers(p: &RulePort, proto: Proto, port: u16) -> Option<(bool, u32)> {
    if p.service.contains(proto, port) {
        return Some((false, p.service.ports.count()));
    }
    let fallback = p.fallback.filter(|f| p.service.proto == proto && f.contains(port))?;
    Some((true, fallback.count()))
}
