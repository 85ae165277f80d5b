//! What a rules file cannot mean, beyond the wording of single fields.

use std::collections::BTreeSet;
use std::ops::Range;

use super::model::{Matrix, Participation, Peer, RestoreFacts, Rule, RulePort, RuleSet, Source};
use super::parse::Parsed;
use super::parse_rule::Places;
use super::vocab::{ExportAs, Need, Operation, Os, RestoreTo, Role, Scenario, StartedFrom};
use crate::base::{PortRange, Proto};
use crate::config::{ConfigError, Doc};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file is used; something in it is without effect.
    Warning,
}

/// One finding in a rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Where and what.
    pub error: ConfigError,
}

/// Findings in the file's order.
pub(super) fn diagnostics(errors: Vec<ConfigError>, warnings: Vec<ConfigError>) -> Vec<Diagnostic> {
    let of = |severity| move |error| Diagnostic { severity, error };
    let errors = errors.into_iter().map(of(Severity::Error));
    let mut all: Vec<Diagnostic> = errors.chain(warnings.into_iter().map(of(Severity::Warning))).collect();
    all.sort_by_key(|d| (d.error.line, d.error.column));
    all
}

/// Notes what is wrong in a parsed set.
pub(super) fn check(doc: &Doc<'_>, parsed: &Parsed) {
    for (rule, places) in parsed.set.rules.iter().zip(&parsed.places) {
        ports(doc, rule, places);
        each(doc, rule, places);
        contradictions(doc, rule, places);
    }
    // A word that could not be read may be what makes a rule reachable.
    if !doc.failed() {
        let rules = parsed.set.rules.iter().zip(&parsed.places);
        rules.for_each(|(rule, places)| reach(doc, &parsed.set, rule, places));
    }
}

fn overlap(proto: (Proto, Proto), a: PortRange, b: PortRange) -> bool {
    proto.0 == proto.1 && a.overlaps(b)
}

fn ports(doc: &Doc<'_>, rule: &Rule, places: &Places) {
    let mut before: Vec<&RulePort> = Vec::new();
    for (port, span) in rule.ports.iter().zip(&places.ports) {
        for other in &before {
            let protos = (port.service.proto, other.service.proto);
            let fallbacks = [(port.fallback, Some(other.service.ports)), (Some(port.service.ports), other.fallback)];
            let shared = overlap(protos, port.service.ports, other.service.ports)
                || fallbacks.iter().any(|&(a, b)| a.zip(b).is_some_and(|(a, b)| overlap(protos, a, b)));
            if shared {
                let message = format!("{} and {} of the same rule overlap", other.service, port.service);
                doc.error(span.clone(), message, Some("each port belongs to one requirement of a rule".to_owned()));
            }
        }
        if let Some(fallback) = port.fallback.filter(|f| f.overlaps(port.service.ports)) {
            let message = format!("the fallback {fallback} contains the primary port {}", port.service);
            doc.error(span.clone(), message, Some("a fallback is used where the primary fails".to_owned()));
        }
        substitute(doc, rule, port, span);
        before.push(port);
    }
}

fn substitute(doc: &Doc<'_>, rule: &Rule, port: &RulePort, span: &Range<usize>) {
    let Some(by) = port.substituted_by else { return };
    let there = rule.ports.iter().any(|p| {
        p.service.proto == port.service.proto && p.service.ports == PortRange::one(by) && p.service != port.service
    });
    if !there {
        let others: Vec<String> =
            rule.ports.iter().filter(|p| p.service != port.service).map(|p| p.service.to_string()).collect();
        let help = format!("expected another single port of the rule; it has {}", others.join(", "));
        doc.error(span.clone(), format!("port {by} cannot stand in: it is no other port of the rule"), Some(help));
    }
}

fn each(doc: &Doc<'_>, rule: &Rule, places: &Places) {
    let ends = || rule.from.iter().map(|s| s.peer).chain(rule.to.iter().copied());
    for role in rule.each.iter().filter(|&&role| !ends().any(|p| p == Peer::Role(role))) {
        let message = format!("'each' names {role}, which is on neither side of the rule");
        doc.error(places.each.clone(), message, Some("expected a role of 'from' or 'to'".to_owned()));
    }
}

/// One role in two tables of a rule: they must not say different things of the same operation and condition.
fn contradictions(doc: &Doc<'_>, rule: &Rule, places: &Places) {
    for (i, (source, span)) in rule.from.iter().zip(&places.sources).enumerate() {
        for earlier in rule.from.iter().take(i).filter(|e| e.peer == source.peer && e.when == source.when) {
            let clash = |&&o: &&Operation| said(earlier, o).zip(said(source, o)).is_some_and(|(a, b)| a != b);
            if let Some(operation) = Operation::ALL.iter().find(clash) {
                let message = format!("the role drives and may, or needs differently, in '{operation}'");
                let help = "an earlier [[rule.from]] says otherwise under the same condition".to_owned();
                doc.error(span.clone(), message, Some(help));
            }
        }
    }
}

/// What a source says of an operation, its condition apart: nothing, may (`None` inside), drives with the port's need
/// or with one of its own.
fn said(source: &Source, operation: Operation) -> Option<Option<Option<Need>>> {
    if source.drives.contains(&operation) {
        Some(Some(None))
    } else if let Some(&need) = source.need.get(&operation) {
        Some(Some(Some(need)))
    } else {
        source.may.contains(&operation).then_some(None)
    }
}

/// Every restore there can be, as far as conditions ask.
fn all_facts() -> Vec<RestoreFacts> {
    fn optional<T: Copy>(all: &[T]) -> Vec<Option<T>> {
        std::iter::once(None).chain(all.iter().copied().map(Some)).collect()
    }
    let mut facts = vec![RestoreFacts::default()];
    let mut spread = |by: &dyn Fn(&RestoreFacts) -> Vec<RestoreFacts>| facts = facts.iter().flat_map(by).collect();
    spread(&|f| optional(ExportAs::ALL).into_iter().map(|export_as| RestoreFacts { export_as, ..*f }).collect());
    spread(&|f| optional(RestoreTo::ALL).into_iter().map(|restore_to| RestoreFacts { restore_to, ..*f }).collect());
    spread(&|f| optional(&[false, true]).into_iter().map(|explore| RestoreFacts { explore, ..*f }).collect());
    spread(&|f| optional(StartedFrom::ALL).into_iter().map(|s| RestoreFacts { started_from: s, ..*f }).collect());
    spread(&|f| optional(Os::ALL).into_iter().map(|os| RestoreFacts { os, ..*f }).collect());
    facts
}

fn reach(doc: &Doc<'_>, set: &RuleSet, rule: &Rule, places: &Places) {
    let operations: Vec<Operation> =
        Operation::ALL.iter().copied().filter(|o| rule.scenario != Some(Scenario::PlugIn) || o.in_plug_in()).collect();
    let facts = all_facts();
    let restores = || operations.iter().flat_map(|&o| facts.iter().map(move |f| (o, f)));
    let reached = |source: &Source| {
        restores().any(|(o, f)| {
            source.allowed(o, f)
                && takes_part(&set.participation, source.peer, o, f)
                && rule.to.iter().any(|&to| takes_part(&set.participation, to, o, f))
        })
    };
    let dead: Vec<_> = rule.from.iter().zip(&places.sources).filter(|(source, _)| !reached(source)).collect();
    if !rule.from.is_empty() && dead.len() == rule.from.len() {
        let help = "no role of 'from' may open it in any operation in which a role of 'to' takes part".to_owned();
        doc.error(places.id.clone(), format!("no restore can reach the rule '{}'", rule.id), Some(help));
        return;
    }
    for (_, span) in dead {
        doc.warn(span.clone(), format!("this source of '{}' is without effect in every operation", rule.id), None);
    }
}

fn takes_part(said: &[Participation], peer: Peer, operation: Operation, facts: &RestoreFacts) -> bool {
    let Peer::Role(role) = peer else { return true };
    takes_part_role(said, role, operation, facts)
}

fn takes_part_role(said: &[Participation], role: Role, operation: Operation, facts: &RestoreFacts) -> bool {
    let mut of_role = said.iter().filter(|p| p.role == role).peekable();
    of_role.peek().is_none() || of_role.any(|p| p.when.iter().any(|c| c.holds(operation, facts)))
}

impl Matrix {
    /// Whether a role takes part in one operation; true where no set says anything of it.
    pub fn takes_part_in(&self, role: Role, operation: Operation, facts: &RestoreFacts) -> bool {
        self.takes_part(role, &BTreeSet::from([operation]), facts)
    }
}
