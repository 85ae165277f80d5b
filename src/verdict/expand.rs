//! From rules to requirements: one per port and per host of the rule's `each` roles that the operations use.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::{InForce, Rules};
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
    pub(super) driver_roles: Vec<Role>,
    pub(super) responders: Vec<HostId>,
    pub(super) need: Need,
    pub(super) operations: Vec<Operation>,
    pub(super) stage: Option<u8>,
    /// Why nothing is asked for here, where that is so.
    pub(super) not_applicable: Option<String>,
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
        self.site.with_role(role).next().is_some().then_some((role, need))
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
        if let Some((role, host)) = each {
            if self.is_source(role) { drivers = vec![host] } else { responders = vec![host] }
        }
        if responders.is_empty() {
            return None;
        }
        let on_wire = drivers.iter().any(|d| responders.iter().any(|r| r != d));
        let mut demand = Demand { each: each.map(|(_, h)| h), drivers, responders, need, ..self.none(String::new()) };
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
        if absent(&to) {
            format!("no host of this site is {}", words(&to))
        } else if absent(&from) {
            format!("no host of this site is {}", words(&from))
        } else {
            "nothing in this restore is expected to open it".to_owned()
        }
    }
}
