//! A site file: from its TOML tree to a checked [`Site`], with every error of the file at once.

use std::collections::BTreeSet;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::hosts::Hosts;
use super::model::Site;
use super::times::{Zone, windows};
use super::{advice, exceptions, points};
use crate::config::{ConfigError, Doc, Fields, LoadError, Text, read_text, word};
use crate::matrix::{Matrix, Operation, RestoreFacts, Scenario, SetKind};

const SITE: &[&str] = &[
    "scenario",
    "operations",
    "observed_from",
    "companions",
    "timezone",
    "export_as",
    "restore_to",
    "explore",
    "started_from",
    "os",
    "hosts",
    "roles",
    "observation_point",
    "window",
    "allow",
    "override",
];

/// Reads a site file's text; `path` is its name in messages. With the site come warnings.
///
/// # Errors
/// Everything in the file that is unknown, misspelt, contradictory or incomplete, in the file's order.
pub fn load(path: &str, text: &str, matrix: &Matrix) -> Result<(Site, Vec<ConfigError>), Vec<ConfigError>> {
    let doc = Doc::new(path, text);
    let tree = doc.parse();
    let site = tree.as_ref().and_then(|tree| {
        let fields = Fields::new(&doc, (tree.get_ref(), 0..0), "a site", SITE);
        site(&fields, path, text, matrix)
    });
    let (errors, warnings) = {
        drop(tree);
        doc.finish()
    };
    match site {
        Some(site) if errors.is_empty() => Ok((site, warnings)),
        _ => Err(errors),
    }
}

impl Site {
    /// Reads a site file; with the site come warnings.
    ///
    /// # Errors
    /// [`LoadError::Run`] where it cannot be read or is not text, [`LoadError::Config`] with everything wrong in it.
    pub fn load_file(path: &Path, matrix: &Matrix) -> Result<(Self, Vec<ConfigError>), LoadError> {
        let text = read_text(path, "site file").map_err(LoadError::Run)?;
        load(&path.display().to_string(), &text, matrix).map_err(LoadError::Config)
    }
}

fn site(fields: &Fields<'_>, path: &str, text: &str, matrix: &Matrix) -> Option<Site> {
    let zone = Zone::read(fields);
    let scenario = scenario(fields);
    let operations = operations(fields, scenario);
    let mut hosts = Hosts::read(fields);
    let given_os = fields.word("os");
    let facts = RestoreFacts {
        export_as: fields.word("export_as"),
        restore_to: fields.word("restore_to"),
        explore: fields.flag("explore"),
        started_from: fields.word("started_from"),
        os: given_os.or(hosts.target_os()),
    };
    hosts.settle_os(fields.doc, facts.os);
    let points = points::points(fields, &hosts);
    let windows = windows(fields, &zone);
    let allow = exceptions::allows(fields, &hosts, &zone);
    let overrides = exceptions::overrides(fields, matrix, &zone);
    let companions = companions(fields, scenario, matrix);
    let named = hosts.named;
    let site = Site {
        path: Some(path.to_owned()),
        digest: Some(Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()),
        scenario: scenario?,
        operations,
        facts,
        companions,
        timezone: zone.name(),
        hosts: hosts.hosts,
        role_nets: hosts.nets,
        points,
        windows,
        allow,
        overrides,
    };
    if !fields.doc.failed() {
        advice::advise(fields, &site, matrix, &named);
    }
    Some(site)
}

fn scenario(fields: &Fields<'_>) -> Option<Scenario> {
    if fields.get("scenario").is_none() {
        let at = fields.entry("operations").map_or(0..0, |(span, _)| span);
        let help =
            "expected scenario = \"image-level\" or scenario = \"plug-in\": which of the vendor's tables applies";
        fields.doc.error(at, "a site lacks 'scenario'", Some(help.to_owned()));
    }
    fields.word("scenario")
}

fn operations(fields: &Fields<'_>, scenario: Option<Scenario>) -> BTreeSet<Operation> {
    let Some(node) = fields.get("operations") else { return BTreeSet::from([Operation::ApplicationItem]) };
    let words = fields.texts("operations");
    if words.is_empty() && !fields.doc.failed() {
        let help = Some("leave the line out for [\"application-item\"]".to_owned());
        fields.doc.error(node.span(), "'operations' is empty: a restore does something", help);
    }
    let mut operations = BTreeSet::new();
    for text in words {
        let Some(operation) = word::<Operation>(fields.doc, &text) else { continue };
        if scenario == Some(Scenario::PlugIn) && !operation.in_plug_in() {
            not_in_plug_in(fields.doc, &text);
        }
        if !operations.insert(operation) {
            fields.doc.warn(text.span, format!("'{operation}' stands here twice"), None);
        }
    }
    operations
}

fn not_in_plug_in(doc: &Doc<'_>, text: &Text<'_>) {
    let message = format!("a plug-in scenario has no '{}'", text.text);
    let help = "plug-in backups are only restored: publish, export and instant recovery are for image-level backups";
    doc.error(text.span.clone(), message, Some(help.to_owned()));
}

/// Companion sets: those named, or the usual ones of the scenario.
fn companions(fields: &Fields<'_>, scenario: Option<Scenario>, matrix: &Matrix) -> Vec<String> {
    if fields.get("companions").is_none() {
        let plugin = (scenario == Some(Scenario::PlugIn)).then_some("plugin-rman-13");
        return ["infrastructure", "veeam-13"].into_iter().chain(plugin).map(str::to_owned).collect();
    }
    let mut ids: Vec<String> = Vec::new();
    for text in fields.texts("companions") {
        match matrix.sets.iter().find(|s| s.id == text.text).map(|s| s.kind) {
            Some(SetKind::Companion) if ids.iter().any(|i| i == text.text) => {
                fields.doc.warn(text.span, format!("'{}' stands here twice", text.text), None);
            }
            Some(SetKind::Companion) => ids.push(text.text.to_owned()),
            Some(SetKind::Matrix) => {
                let help = Some("the matrix itself always applies; name companion sets only".to_owned());
                fields.doc.error(text.span, format!("'{}' is not a companion set", text.text), help);
            }
            None => {
                let known = matrix.sets.iter().filter(|s| s.kind == SetKind::Companion).map(|s| s.id.as_str());
                fields.doc.unknown(text.span, "companion set", text.text, known);
            }
        }
    }
    ids
}
