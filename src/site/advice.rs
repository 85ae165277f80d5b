//! What is allowed in a site file and still worth telling.

use std::ops::Range;

use super::model::Site;
use crate::config::Fields;
use crate::matrix::{ExportAs, Matrix, Need, Operation, Peer, Role, Rule, Scenario};

/// Roles that a restore has one of, or none: their absence is told in its own words.
const ENDS: [Role; 3] = [Role::TargetWindows, Role::TargetLinux, Role::StagingServer];

/// Notes warnings about a site without errors.
pub(super) fn advise(fields: &Fields<'_>, site: &Site, matrix: &Matrix, named: &[(Role, Range<usize>)]) {
    facts(fields, site);
    absent_roles(fields, site, matrix);
    absent_ends(fields, site, matrix);
    blocks(fields, site, named);
    overrides(fields, site, matrix);
}

/// Where to point for what the operations ask for.
fn at(fields: &Fields<'_>) -> Range<usize> {
    fields.entry("operations").or_else(|| fields.entry("scenario")).map_or(0..0, |(span, _)| span)
}

fn present(site: &Site, role: Role) -> bool {
    site.with_role(role).next().is_some() || site.role_nets.iter().any(|(r, _)| *r == role)
}

fn facts(fields: &Fields<'_>, site: &Site) {
    let plug_in = site.scenario == Scenario::PlugIn;
    if site.facts.export_as.is_some() && !site.operations.contains(&Operation::Export) {
        fields.doc.warn(fields.key_span("export_as"), "'export_as' is without effect: the site has no export", None);
    }
    if site.facts.started_from.is_some() && !plug_in {
        let message = "'started_from' is without effect: only a plug-in restore can be started from RMAN";
        fields.doc.warn(fields.key_span("started_from"), message, None);
    }
    if site.facts.export_as == Some(ExportAs::Files) && site.facts.os.is_none() {
        let help = "say os = \"windows\" or os = \"linux\": files of a Windows backup are exported without staging";
        let message = "the operating system of the backup is not known";
        fields.doc.warn(fields.key_span("export_as"), message, Some(help.to_owned()));
    }
    let targets = [(Role::TargetWindows, crate::matrix::Os::Linux), (Role::TargetLinux, crate::matrix::Os::Windows)];
    let matching = |os| targets.iter().any(|&(role, other)| present(site, role) && os != other);
    let any_target = targets.iter().any(|&(role, _)| present(site, role));
    if let Some(os) = site.facts.os.filter(|&os| any_target && !matching(os)) {
        let message = format!("the backup is of {os} and no target is");
        fields.doc.warn(
            fields.key_span("os"),
            message,
            Some("a database is restored to the system it came from".to_owned()),
        );
    }
}

/// Rules of this site's table that an operation requires.
fn required<'m>(site: &'m Site, matrix: &'m Matrix) -> impl Iterator<Item = &'m Rule> {
    let driven = |rule: &Rule| {
        rule.ports.iter().any(|port| {
            let need = |o: &Operation| rule.from.iter().filter_map(|s| s.drive(*o, &site.facts, port.need)).max();
            site.operations.iter().filter_map(need).max() == Some(Need::Required)
        })
    };
    let rules = matrix.chosen(&site.companions).flat_map(|set| &set.rules);
    rules.filter(move |r| r.scenario.is_none_or(|s| s == site.scenario)).filter(move |r| driven(r))
}

/// A role that a required rule cannot do without, the rule's other side being there.
fn absent_roles(fields: &Fields<'_>, site: &Site, matrix: &Matrix) {
    for &role in Role::ALL.iter().filter(|r| !ENDS.contains(r) && !present(site, **r)) {
        let rules: Vec<&str> =
            required(site, matrix).filter(|r| lacks(r, site, role)).map(|rule| rule.id.as_str()).collect();
        if !rules.is_empty() {
            let message = format!("no host has the role '{role}': what needs it is not judged");
            fields.doc.warn(at(fields), message, Some(format!("asked for by {}", rules.join(", "))));
        }
    }
}

fn lacks(rule: &Rule, site: &Site, role: Role) -> bool {
    let is_there = |p: &Peer| matches!(p, Peer::Role(r) if present(site, *r));
    let drives =
        |s: &&crate::matrix::Source| site.operations.iter().any(|o| s.drive(*o, &site.facts, Need::Required).is_some());
    let from: Vec<Peer> = rule.from.iter().filter(drives).map(|s| s.peer).collect();
    let side = |side: &[Peer], other: &[Peer]| {
        side.contains(&Peer::Role(role)) && !side.iter().any(is_there) && other.iter().any(is_there)
    };
    side(&from, &rule.to) || side(&rule.to, &from)
}

fn absent_ends(fields: &Fields<'_>, site: &Site, matrix: &Matrix) {
    let takes = |role| matrix.takes_part(role, &site.operations, &site.facts);
    let targets = [Role::TargetWindows, Role::TargetLinux];
    if targets.into_iter().any(takes) && !targets.into_iter().any(|r| present(site, r)) {
        let help = Some("expected a role target-windows or target-linux in [roles]".to_owned());
        fields.doc.warn(at(fields), "the operations restore to a target, and the site has none", help);
    }
    let said = site.facts.restore_to.is_some() || site.operations.contains(&Operation::Export);
    let staged = said || site.facts.explore == Some(true);
    if site.scenario == Scenario::ImageLevel
        && staged
        && takes(Role::StagingServer)
        && !present(site, Role::StagingServer)
    {
        let help = Some("expected the role staging-server in [roles]".to_owned());
        fields.doc.warn(at(fields), "the operations use a staging server, and the site has none", help);
    }
}

/// A role with blocks only: nothing can be required of it.
fn blocks(fields: &Fields<'_>, site: &Site, named: &[(Role, Range<usize>)]) {
    for (role, span) in named {
        let block = site.role_nets.iter().any(|(r, _)| r == role);
        if block && site.with_role(*role).next().is_none() {
            let message = format!("role '{role}' has only blocks of addresses: nothing is required of it");
            fields.doc.warn(span.clone(), message, Some("add the hosts that the restore uses".to_owned()));
        }
    }
}

fn overrides(fields: &Fields<'_>, site: &Site, matrix: &Matrix) {
    for (over, (_, span)) in site.overrides.iter().zip(fields.tables("override")) {
        let chosen = matrix.chosen(&site.companions).flat_map(|s| &s.rules).find(|r| r.id == over.rule);
        let used = chosen.is_some_and(|r| r.scenario.is_none_or(|s| s == site.scenario));
        if !used {
            let message = format!("the override is without effect: '{}' is not judged in this site", over.rule);
            let help = "its scenario is another one, or its companion set is not chosen".to_owned();
            fields.doc.warn(span, message, Some(help));
        }
    }
}
