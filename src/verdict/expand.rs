//! From rules to requirements: one per port and per host of the rule's `each` roles that the operations use.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::{InForce, Rules};
use super::seen::Seen;
use crate::matrix::{Need, Operation, Peer, Role, RulePort, Source};
use crate::site::{HostId, Site};

/// Something the restore must show.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    /// Index of the rule in [`Rules::list`].
    pub(super) rule: usize,
    /// Index of its port.
    pub(super) port: usize,
    /// The host of an `each` role it is about.
    pub(super) each: Option<HostId>,
    pub(super) drivers: Vec<HostId>,
    /// Driving roles that blocks of addresses have, too: whoever of them is seen drives, and nobody of them can be missed.
    pub(super) driver_blocks: BTreeSet<Role>,
    pub(super) driver_roles: Vec<Role>,
    pub(super) responders: Vec<HostId>,
    /// Responding roles that blocks of addresses have.
    pub(super) responder_blocks: BTreeSet<Role>,
    pub(super) need: Need,
    pub(super) operations: Vec<Operation>,
    pub(super) stage: Option<u8>,
    /// Why nothing is asked for here, where that is so.
    pub(super) not_applicable: Option<String>,
}

impl Demand {
    /// Whether a flow goes from one of its drivers to one of its responders, over the network.
    pub(super) fn is_between(&self, s: &Seen<'_>) -> bool {
        let from =
            s.orig_host.is_some_and(|h| self.drivers.contains(&h)) || !self.driver_blocks.is_disjoint(&s.orig_roles);
        let to = s.resp_host.is_some_and(|h| self.responders.contains(&h))
            || !self.responder_blocks.is_disjoint(&s.resp_roles);
        from && to && s.pair.0 != s.pair.1
    }

    /// A block of addresses at one end: of nobody in it can be said that he should have been seen.
    pub(super) fn has_block(&self) -> bool {
        !(self.driver_blocks.is_empty() && self.responder_blocks.is_empty())
    }

    /// A driver that is a responder, too: what it needs of itself never crosses the network.
    pub(super) fn local(&self) -> Option<HostId> {
        self.drivers.iter().copied().find(|d| self.responders.contains(d))
    }
}

/// Roles that drive together, with their need and the operations that ask for it.
type Groups = BTreeMap<BTreeSet<Role>, (Need, BTreeSet<Operation>)>;

/// All demands of the rules in force, in the order of stages, rules, ports and hosts.
pub(super) fn expand(rules: &Rules<'_>, site: &Site) -> Vec<Demand> {
    let mut all = Vec::new();
    for (index, r) in rules.list.iter().enumerate() {
        // A companion rule asks for something only where it carries a need of its own.
        for (p, port) in r.rule.ports.iter().enumerate().filter(|(_, p)| p.need > Need::Permitted) {
            let expansion = Expansion { rules, site, r, index, port: p, rule_port: port };
            all.extend(expansion.demands());
        }
    }
    all.sort_by_key(|d| (d.stage.unwrap_or(u8::MAX), d.rule));
    all
}

struct Expansion<'a, 'p> {
    rules: &'p Rules<'a>,
    site: &'p Site,
    r: &'p InForce<'a>,
    index: usize,
    port: usize,
    rule_port: &'p RulePort,
}

impl Expansion<'_, '_> {
    fn demands(&self) -> Vec<Demand> {
        let mut out: Vec<Demand> = if self.r.rule.each.is_empty() {
            self.for_each(None)
        } else {
            self.r.rule.each.iter().flat_map(|&role| self.for_role(role)).collect()
        };
        if out.is_empty() && !self.r.is_companion() {
            out.push(self.none(self.why_none()));
        }
        out
    }

    fn to_roles(&self) -> Vec<Role> {
        self.r.rule.to.iter().filter_map(|p| if let Peer::Role(r) = p { Some(*r) } else { None }).collect()
    }

    /// Demands for every host of one `each` role.
    fn for_role(&self, role: Role) -> Vec<Demand> {
        let takes = |host: &HostId| {
            role != Role::StagingServer || self.r.rule.takes_staging(self.site.host(*host).and_then(|h| h.os))
        };
        self.site.with_role(role).filter(takes).flat_map(|host| self.for_each(Some((role, host)))).collect()
    }

    /// Demands for one `each` host, or for the whole rule where it has none.
    fn for_each(&self, each: Option<(Role, HostId)>) -> Vec<Demand> {
        let groups = self.groups(each);
        let strongest: Vec<(BTreeSet<Role>, Need)> = groups.iter().map(|(r, (n, _))| (r.clone(), *n)).collect();
        groups
            .into_iter()
            .filter(|(roles, (need, _))| {
                // A weaker ask of roles that a stronger one already covers adds nothing.
                !strongest.iter().any(|(r, n)| n > need && roles.is_subset(r))
            })
            .filter(|(_, (need, _))| *need > Need::Permitted)
            .filter_map(|(roles, (need, operations))| self.demand(each, &roles, need, operations))
            .collect()
    }

    fn groups(&self, each: Option<(Role, HostId)>) -> Groups {
        let mut groups = Groups::new();
        for operation in self.rules.operations() {
            let mut by_need = BTreeMap::<Need, BTreeSet<Role>>::new();
            for source in &self.r.rule.from {
                let Some((role, need)) = self.driver(source, operation, each) else { continue };
                by_need.entry(need).or_default().insert(role);
            }
            for (need, roles) in by_need {
                let slot = groups.entry(roles).or_insert((need, BTreeSet::new()));
                slot.0 = slot.0.max(need);
                slot.1.insert(operation);
            }
        }
        groups
    }

    /// A source as driver in one operation, where the site has such a host and both ends take part.
    fn driver(&self, source: &Source, operation: Operation, each: Option<(Role, HostId)>) -> Option<(Role, Need)> {
        let Peer::Role(role) = source.peer else { return None };
        let mut need = source.drive(operation, self.rules.facts(), self.rule_port.need)?;
        let each_role = each.map(|(r, _)| r);
        let each_is_source = each_role.is_some_and(|r| self.is_source(r));
        if each_is_source && each_role != Some(role) {
            return None;
        }
        for r in each_role.into_iter().chain([role]) {
            if !self.rules.takes_part(r, operation) {
                return None;
            }
            need = self.softened(r, need);
        }
        // Where the staging server's system is not known, rows of either system are asked for, and one of them in vain.
        let os = each.filter(|(r, _)| *r == Role::StagingServer).map(|(_, h)| self.site.host(h).and_then(|h| h.os));
        if os == Some(None) && self.r.rule.staging_os.is_some() {
            need = need.min(Need::Expected);
        }
        (self.site.with_role(role).next().is_some() || self.is_block(role)).then_some((role, need))
    }

    /// Whether a role is given to a block of addresses.
    fn is_block(&self, role: Role) -> bool {
        self.site.role_nets.iter().any(|(r, _)| *r == role)
    }

    /// Whether a role stands on the originator's side of the rule and not on the responder's.
    fn is_source(&self, role: Role) -> bool {
        !self.r.rule.to.contains(&Peer::Role(role))
    }

    /// Needs on a role whose part in the restore depends on facts the site leaves out.
    fn softened(&self, role: Role, need: Need) -> Need {
        let soft = self.rules.facts().restore_to.is_none()
            && self
                .rules
                .matrix
                .sets
                .iter()
                .flat_map(|s| &s.participation)
                .any(|p| p.role == role && p.soften_without_restore_to);
        if soft { need.min(Need::Expected) } else { need }
    }

    fn demand(
        &self,
        each: Option<(Role, HostId)>,
        roles: &BTreeSet<Role>,
        need: Need,
        operations: BTreeSet<Operation>,
    ) -> Option<Demand> {
        let of_roles = |roles: &mut dyn Iterator<Item = Role>| {
            let hosts: BTreeSet<HostId> = roles.flat_map(|r| self.site.with_role(r).collect::<Vec<_>>()).collect();
            hosts.into_iter().collect::<Vec<_>>()
        };
        let mut drivers = of_roles(&mut roles.iter().copied());
        let mut responders = of_roles(&mut self.to_roles().into_iter());
        let blocks =
            |roles: &mut dyn Iterator<Item = Role>| roles.filter(|&r| self.is_block(r)).collect::<BTreeSet<_>>();
        let mut driver_blocks = blocks(&mut roles.iter().copied());
        let mut responder_blocks = blocks(&mut self.to_roles().into_iter());
        if let Some((role, host)) = each {
            if self.is_source(role) {
                (drivers, driver_blocks) = (vec![host], BTreeSet::new());
            } else {
                (responders, responder_blocks) = (vec![host], BTreeSet::new());
            }
        }
        if responders.is_empty() && responder_blocks.is_empty() {
            return None;
        }
        let on_wire = !(driver_blocks.is_empty() && responder_blocks.is_empty())
            || drivers.iter().any(|d| responders.iter().any(|r| r != d));
        let mut demand = Demand { each: each.map(|(_, h)| h), drivers, responders, need, ..self.none(String::new()) };
        (demand.driver_blocks, demand.responder_blocks) = (driver_blocks, responder_blocks);
        demand.driver_roles = roles.iter().copied().collect();
        demand.operations = operations.into_iter().collect();
        demand.not_applicable = if self.skipped() {
            Some("an exception of the site leaves it out".to_owned())
        } else if !on_wire {
            Some("both roles sit on the same host: it never crosses the network".to_owned())
        } else {
            None
        };
        Some(demand)
    }

    fn skipped(&self) -> bool {
        self.r.skipped.get(self.port).copied().unwrap_or_default()
    }

    fn none(&self, why: String) -> Demand {
        Demand {
            rule: self.index,
            port: self.port,
            each: None,
            drivers: Vec::new(),
            driver_blocks: BTreeSet::new(),
            responder_blocks: BTreeSet::new(),
            driver_roles: self
                .r
                .rule
                .from
                .iter()
                .filter_map(|s| if let Peer::Role(r) = s.peer { Some(r) } else { None })
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            responders: Vec::new(),
            need: self.rule_port.need,
            operations: Vec::new(),
            stage: self.r.rule.stage,
            not_applicable: Some(why),
        }
    }

    /// Why no host of the site has to show this row.
    fn why_none(&self) -> String {
        let absent = |roles: &[Role]| roles.iter().all(|&r| self.site.with_role(r).next().is_none());
        let words = |roles: &[Role]| roles.iter().map(|r| r.word()).collect::<Vec<_>>().join(" or ");
        let to = self.to_roles();
        let from = self.none(String::new()).driver_roles;
        let block = |roles: &[Role]| roles.iter().any(|&r| self.is_block(r));
        if absent(&to) && block(&to) {
            format!("only a block of addresses is {}: nothing is required of it", words(&to))
        } else if absent(&to) {
            format!("no host of this site is {}", words(&to))
        } else if absent(&from) {
            format!("no host of this site is {}", words(&from))
        } else {
            "nothing in this restore is expected to open it".to_owned()
        }
    }
}
