//! The port matrix as data: who may open which port to whom, who is expected to, and what breaks without it.

use std::collections::{BTreeMap, BTreeSet};

use super::vocab::{Carries, ExportAs, Need, Operation, Os, RestoreTo, Role, Scenario, StartedFrom};
use crate::base::{PortRange, PortSet, Service};

/// Facts about the restore that conditions ask for. `None`: not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreFacts {
    /// What an export writes.
    pub export_as: Option<ExportAs>,
    /// Which state is restored.
    pub restore_to: Option<RestoreTo>,
    /// Whether the backup was explored without application-aware processing.
    pub explore: Option<bool>,
    /// Who started a plug-in restore.
    pub started_from: Option<StartedFrom>,
    /// Operating system of the backed-up machine.
    pub os: Option<Os>,
}

/// A condition on one operation and the facts of the restore; all parts that are given must hold.
///
/// `is_*` holds only where the fact is given and equal; what must not hold stands in `unless`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// One of these operations; empty: any.
    pub operations: Vec<Operation>,
    /// The fact must be this.
    pub is_export_as: Option<ExportAs>,
    /// The fact must be this.
    pub is_restore_to: Option<RestoreTo>,
    /// Whether `restore_to` is given at all: an unsaid restore point may be a transaction.
    pub restore_to_given: Option<bool>,
    /// The fact must be this.
    pub is_explore: Option<bool>,
    /// The fact must be this.
    pub is_os: Option<Os>,
    /// The fact must be this.
    pub is_started_from: Option<StartedFrom>,
    /// The combination must not hold (`unless` in a file): all parts of the inner condition together.
    pub unless: Option<Box<Condition>>,
}

impl Condition {
    /// Whether it holds for one operation of a restore.
    pub fn holds(&self, operation: Operation, facts: &RestoreFacts) -> bool {
        fn is<T: PartialEq>(asked: Option<T>, fact: Option<T>) -> bool {
            asked.is_none() || asked == fact
        }
        (self.operations.is_empty() || self.operations.contains(&operation))
            && is(self.is_export_as, facts.export_as)
            && is(self.is_restore_to, facts.restore_to)
            && self.restore_to_given.is_none_or(|given| given == facts.restore_to.is_some())
            && is(self.is_explore, facts.explore)
            && is(self.is_os, facts.os)
            && is(self.is_started_from, facts.started_from)
            && !self.unless.as_ref().is_some_and(|c| c.holds(operation, facts))
    }
}

/// When a role takes part at all: any of the conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participation {
    /// The role.
    pub role: Role,
    /// Alternatives.
    pub when: Vec<Condition>,
    /// Needs on this role drop to `expected` while `restore_to` is not given.
    pub soften_without_restore_to: bool,
}

/// Who stands at an end of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// A host with this role.
    Role(Role),
    /// A host with any role (`any-role`).
    AnyRole,
    /// A host without a role (`outside`).
    Outside,
}

/// One kind of originator of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Who.
    pub peer: Peer,
    /// Operations in which it is expected to open the rule's ports.
    pub drives: Vec<Operation>,
    /// Operations in which it is allowed to.
    pub may: Vec<Operation>,
    /// Another need than the port's in some operations; those are driven, too.
    pub need: BTreeMap<Operation, Need>,
    /// Only under this condition.
    pub when: Condition,
}

impl Source {
    /// The need of a driver in an operation: `None` where it does not drive it.
    ///
    /// `port` is the need of the port. A source's own need replaces it, except that a permitted port stays permitted.
    pub fn drive(&self, operation: Operation, facts: &RestoreFacts, port: Need) -> Option<Need> {
        if !self.when.holds(operation, facts) {
            return None;
        }
        match self.need.get(&operation) {
            Some(&need) => Some(if port == Need::Permitted { port } else { need }),
            None => self.drives.contains(&operation).then_some(port),
        }
    }

    /// Whether it may open the rule's ports in an operation, as driver or otherwise.
    pub fn allowed(&self, operation: Operation, facts: &RestoreFacts) -> bool {
        self.when.holds(operation, facts)
            && (self.drives.contains(&operation) || self.may.contains(&operation) || self.need.contains_key(&operation))
    }
}

/// How a later success heals a failed attempt on the same pair of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Healing {
    /// A single port: any later success on it.
    SamePort,
    /// A range from which one port is assigned per session: any later success in the range.
    Range,
    /// Ports named by the endpoint mapper: that port, or one named for the same interface; otherwise as `Range`.
    Mapper,
    /// Each component takes the next free port: the failed port, or one not used before.
    NextFree,
}

/// One port or range of a rule: a requirement of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulePort {
    /// Protocol and ports.
    pub service: Service,
    /// How much it is needed where it is driven.
    pub need: Need,
    /// What it carries.
    pub carries: Option<Carries>,
    /// Ports used instead where this one cannot be reached.
    pub fallback: Option<PortRange>,
    /// Another single port of the same rule that does this one's job, too.
    pub substituted_by: Option<u16>,
    /// How failures heal; applies to the fallback range as `Range`.
    pub healing: Healing,
    /// Only in these revisions of the page, in our words.
    pub note: Option<String>,
}

impl RulePort {
    /// The fallback as a service: same protocol as the primary.
    pub fn fallback_service(&self) -> Option<Service> {
        self.fallback.map(|ports| Service { proto: self.service.proto, ports })
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `image.ssh`
    pub id: String,
    /// Table; `None`: both.
    pub scenario: Option<Scenario>,
    /// Originators.
    pub from: Vec<Source>,
    /// Responders.
    pub to: Vec<Peer>,
    /// One requirement per host of these roles that the operations use, on whichever side they stand.
    pub each: Vec<Role>,
    /// A staging server stands at an end of this rule only with this operating system; `None`: with any.
    pub staging_os: Option<Os>,
    /// Ports.
    pub ports: Vec<RulePort>,
    /// Position in the restore, from 1; `None`: no order.
    pub stage: Option<u8>,
    /// What it is for, one sentence.
    pub purpose: String,
    /// What the administrator sees when it is blocked.
    pub blocked_symptom: String,
    /// What to check and change when it is blocked.
    pub next_step: String,
    /// Footnotes and conditions in words.
    pub notes: Vec<String>,
    /// Where the reading comes from: page and date, or "inferred".
    pub basis: String,
    /// Fewest packets a session of it takes: with fewer packets lost than that, absence can still be claimed.
    pub least_packets: u64,
}

impl Rule {
    /// Whether a staging server of this system may stand at an end of the rule. An unknown system may be either.
    pub fn takes_staging(&self, os: Option<Os>) -> bool {
        os.is_none() || self.staging_os.is_none() || os == self.staging_os
    }

    /// Whether an attempt by a driver shows that a restore ran: a step after the first that a restore cannot do without. What
    /// goes to the backup server does not: consoles and plug-ins talk to it all day.
    pub fn shows_restore(&self) -> bool {
        self.stage.is_some_and(|s| s > 1)
            && self.ports.iter().any(|p| p.need == Need::Required)
            && !self.to.contains(&Peer::Role(Role::BackupServer))
    }
}

/// Matrix or companion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetKind {
    /// The vendor's matrix: its flows are `expected`.
    Matrix,
    /// Real traffic the matrix does not list: its flows are `related`.
    Companion,
}

/// One rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSet {
    /// `veeam-oracle-13.0.1`, `infrastructure`
    pub id: String,
    /// One line.
    pub title: String,
    /// Kind.
    pub kind: SetKind,
    /// Product build the page applies to.
    pub build: Option<String>,
    /// The vendor's page.
    pub page: Option<String>,
    /// Date of the page, ISO.
    pub date: Option<String>,
    /// Lower-case hex SHA-256 of the file.
    pub digest: String,
    /// When roles take part.
    pub participation: Vec<Participation>,
    /// Rows in the file's order.
    pub rules: Vec<Rule>,
}

/// All rule sets at hand, chosen ones and others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matrix {
    /// Sets: the matrix first, then companions, in the order of their ids.
    pub sets: Vec<RuleSet>,
}

impl Matrix {
    /// Sets that a site uses: every matrix and the named companions.
    pub fn chosen<'a>(&'a self, companions: &'a [String]) -> impl Iterator<Item = &'a RuleSet> {
        self.sets.iter().filter(move |s| s.kind == SetKind::Matrix || companions.contains(&s.id))
    }

    /// A rule by id.
    pub fn rule(&self, id: &str) -> Option<(&RuleSet, &Rule)> {
        self.sets.iter().find_map(|s| s.rules.iter().find(|r| r.id == id).map(|r| (s, r)))
    }

    /// Every service a responder may offer, for orienting flows by port.
    ///
    /// Left out are ports inside 49152-65535: Windows takes its client ports there, so they orient nothing.
    pub fn service_ports(&self) -> PortSet {
        let mut ports = PortSet::none();
        for port in self.sets.iter().flat_map(|s| &s.rules).flat_map(|r| &r.ports) {
            let ranges = [Some(port.service.ports), port.fallback];
            for ports_range in ranges.into_iter().flatten().filter(|r| r.hi() < 49152) {
                ports.insert(Service { proto: port.service.proto, ports: ports_range });
            }
        }
        ports
    }

    /// Whether a role takes part in any of the operations; true where no set says anything of it.
    pub fn takes_part(&self, role: Role, operations: &BTreeSet<Operation>, facts: &RestoreFacts) -> bool {
        let mut said = self.sets.iter().flat_map(|s| &s.participation).filter(|p| p.role == role).peekable();
        said.peek().is_none() || said.any(|p| p.when.iter().any(|c| operations.iter().any(|&o| c.holds(o, facts))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_holds_where_all_its_parts_do_and_not_all_of_unless() {
        let files = Condition { is_export_as: Some(ExportAs::Files), is_os: Some(Os::Windows), ..Condition::default() };
        let condition = Condition {
            operations: vec![Operation::Export],
            unless: Some(Box::new(files.clone())),
            ..Condition::default()
        };
        let given = |export_as, os| RestoreFacts { export_as, os, ..RestoreFacts::default() };
        assert!(condition.holds(Operation::Export, &given(None, None)));
        assert!(condition.holds(Operation::Export, &given(Some(ExportAs::Files), None)), "the system is not known");
        assert!(!condition.holds(Operation::Export, &given(Some(ExportAs::Files), Some(Os::Windows))));
        assert!(!condition.holds(Operation::Publish, &given(None, None)));
        assert!(!files.holds(Operation::Export, &given(Some(ExportAs::Files), None)));
    }

    #[test]
    fn whether_a_restore_point_is_given_can_be_asked() {
        let unsaid = Condition { restore_to_given: Some(false), ..Condition::default() };
        let latest = RestoreFacts { restore_to: Some(RestoreTo::Latest), ..RestoreFacts::default() };
        assert!(unsaid.holds(Operation::Publish, &RestoreFacts::default()));
        assert!(!unsaid.holds(Operation::Publish, &latest));
    }

    #[test]
    fn a_need_of_its_own_leaves_permitted_ports_alone() {
        let source = Source {
            peer: Peer::AnyRole,
            drives: vec![Operation::Publish],
            may: vec![Operation::Export],
            need: BTreeMap::from([(Operation::InstantRecovery, Need::Expected)]),
            when: Condition::default(),
        };
        let drive = |operation, port| source.drive(operation, &RestoreFacts::default(), port);
        assert_eq!(drive(Operation::Publish, Need::Required), Some(Need::Required));
        assert_eq!(drive(Operation::InstantRecovery, Need::Required), Some(Need::Expected));
        assert_eq!(drive(Operation::InstantRecovery, Need::Permitted), Some(Need::Permitted));
        assert_eq!(drive(Operation::Export, Need::Required), None);
        assert!(source.allowed(Operation::Export, &RestoreFacts::default()));
    }
}
