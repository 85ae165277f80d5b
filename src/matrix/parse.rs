//! A rules file: from its TOML tree to a checked [`RuleSet`]. One rule's own table is read in `parse_rule`.

use std::ops::Range;

use sha2::{Digest, Sha256};
use toml::de::DeTable;

use super::model::{Condition, Participation, Rule, RuleSet, SetKind};
use super::parse_rule::{self, Places};
use super::vocab::Operation;
use crate::config::{Doc, Fields, Text, wrong_type};

/// Keys of a condition.
const CONDITION: &[&str] =
    &["operations", "export_as", "restore_to", "restore_to_given", "explore", "os", "started_from", "unless"];

/// A rule set and where its rules stand.
pub(super) struct Parsed {
    /// The set.
    pub(super) set: RuleSet,
    /// Places of its rules, in the same order.
    pub(super) places: Vec<Places>,
    /// Where the id of the set stands.
    pub(super) id_span: Range<usize>,
}

/// Reads one file. What is wrong is noted in `doc`; what could be read is returned all the same, for further checks.
pub(super) fn parse(doc: &Doc<'_>, source: &str) -> Option<Parsed> {
    let tree = doc.parse()?;
    let known = &["id", "title", "kind", "build", "page", "date", "participation", "rule"];
    let fields = Fields::new(doc, (tree.get_ref(), 0..0), "a rules file", known);
    let id_span = fields.get("id").map_or(0..0, toml::Spanned::span);
    let kind = kind(&fields);
    let id = fields.required("id", "a name such as \"veeam-oracle-13.0.1\"");
    let title = fields.required("title", "one line that says what the file is about");
    let mut set = RuleSet {
        id: id.map(|t| t.text.to_owned()).unwrap_or_default(),
        title: title.map(|t| t.text.to_owned()).unwrap_or_default(),
        kind,
        build: fields.text("build").map(|t| t.text.to_owned()),
        page: fields.text("page").map(|t| t.text.to_owned()),
        date: date(&fields),
        digest: hex(&Sha256::digest(source.as_bytes())),
        participation: fields.tables("participation").into_iter().filter_map(|t| participation(doc, t)).collect(),
        rules: Vec::new(),
    };
    let mut places: Vec<Places> = Vec::new();
    for table in fields.tables("rule") {
        let Some((rule, place)) = parse_rule::rule(doc, table, kind) else { continue };
        check_id(doc, &set.rules, &places, &rule, &place);
        set.rules.push(rule);
        places.push(place);
    }
    if set.rules.is_empty() && !doc.failed() {
        doc.error(0..0, "the file has no rule", Some("expected at least one [[rule]]".to_owned()));
    }
    Some(Parsed { set, places, id_span })
}

fn check_id(doc: &Doc<'_>, rules: &[Rule], places: &[Places], rule: &Rule, place: &Places) {
    if let Some((_, first)) = rules.iter().zip(places).find(|(r, _)| r.id == rule.id) {
        let line = doc.line(first.id.start);
        doc.error(
            place.id.clone(),
            format!("two rules are called '{}'", rule.id),
            Some(format!("the first one is in line {line}; ids are unique")),
        );
    }
}

fn kind(fields: &Fields<'_>) -> SetKind {
    let expected = "\"matrix\" or \"companion\"";
    match fields.required("kind", expected) {
        Some(Text { text: "companion", .. }) => SetKind::Companion,
        Some(Text { text: "matrix", .. }) | None => SetKind::Matrix,
        Some(other) => {
            fields.doc.unknown(other.span, "kind of rules file", other.text, ["matrix", "companion"]);
            SetKind::Matrix
        }
    }
}

/// The date of the vendor's page: a TOML date or the same as a string.
fn date(fields: &Fields<'_>) -> Option<String> {
    let node = fields.get("date")?;
    let text = match (node.get_ref().as_datetime(), node.get_ref().as_str()) {
        (Some(date), _) => date.to_string(),
        (_, Some(text)) => text.to_owned(),
        _ => {
            wrong_type(fields.doc, node, "'date'", "a date such as 2025-12-23");
            return None;
        }
    };
    if text.parse::<jiff::civil::Date>().is_err() || text.len() != 10 {
        let help = Some("expected a date such as 2025-12-23".to_owned());
        fields.doc.error(node.span(), format!("'{text}' is not a date"), help);
    }
    Some(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn participation<'a>(doc: &'a Doc<'a>, table: (&'a DeTable<'a>, Range<usize>)) -> Option<Participation> {
    let fields = Fields::new(doc, table, "a participation", &["role", "when", "soften_without_restore_to"]);
    if fields.get("role").is_none() {
        fields.missing("role", "the role it is about");
    }
    if fields.get("when").is_none() {
        fields.missing("when", "a list of conditions, such as when = [{ operations = [\"export\"] }]");
    }
    Some(Participation {
        role: fields.word("role")?,
        when: fields.tables("when").into_iter().map(|t| condition(doc, t)).collect(),
        soften_without_restore_to: fields.flag("soften_without_restore_to").unwrap_or(false),
    })
}

/// Reads a condition.
pub(super) fn condition<'a>(doc: &'a Doc<'a>, table: (&'a DeTable<'a>, Range<usize>)) -> Condition {
    let fields = Fields::new(doc, table, "a condition", CONDITION);
    Condition {
        operations: operations(&fields, "operations"),
        is_export_as: fields.word("export_as"),
        is_restore_to: fields.word("restore_to"),
        restore_to_given: fields.flag("restore_to_given"),
        is_explore: fields.flag("explore"),
        is_os: fields.word("os"),
        is_started_from: fields.word("started_from"),
        unless: fields.table("unless").map(|t| Box::new(condition(doc, t))),
    }
}

/// Operations by name; the word `all` alone means every one.
pub(super) fn operations(fields: &Fields<'_>, key: &str) -> Vec<Operation> {
    match fields.get(key).and_then(|node| node.get_ref().as_str()) {
        Some("all") => Operation::ALL.to_vec(),
        _ => fields.words(key),
    }
}
