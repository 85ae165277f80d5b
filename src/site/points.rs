//! Where captures were taken: `observed_from` and `[[observation_point]]`.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::hosts::{Hosts, Named};
use super::model::{HostId, Place, PointDecl};
use crate::config::{Doc, Fields, Node, Text, text, wrong_type};

/// Reads both forms, the short one first.
pub(super) fn points(fields: &Fields<'_>, hosts: &Hosts) -> Vec<PointDecl> {
    let mut points: Vec<(PointDecl, Range<usize>)> = Vec::new();
    for word in fields.texts("observed_from") {
        let point = PointDecl {
            name: word.text.to_owned(),
            places: places(fields.doc, hosts, &word),
            captures: Vec::new(),
            complete: false,
            sees: Vec::new(),
        };
        points.push((point, word.span));
    }
    for table in fields.tables("observation_point") {
        points.extend(long(fields.doc, hosts, table));
    }
    doubles(fields.doc, &points);
    points.into_iter().map(|(point, _)| point).collect()
}

/// Two points of one name can only be told apart by their captures.
fn doubles(doc: &Doc<'_>, points: &[(PointDecl, Range<usize>)]) {
    for (i, (point, span)) in points.iter().enumerate() {
        let same = |(p, _): &&(PointDecl, Range<usize>)| p.name == point.name;
        if let Some((other, at)) = points.iter().take(i).find(same)
            && (other.captures.is_empty() || point.captures.is_empty())
        {
            let message =
                format!("the observation point '{}' stands in line {} already", point.name, doc.line(at.start));
            doc.error(span.clone(), message, Some("tell them apart by 'captures'".to_owned()));
        }
    }
}

fn long<'a>(
    doc: &'a Doc<'a>,
    hosts: &Hosts,
    table: (&'a DeTable<'a>, Range<usize>),
) -> Option<(PointDecl, Range<usize>)> {
    let fields = Fields::new(doc, table, "an observation point", &["at", "captures", "complete", "sees"]);
    let at = fields.required("at", "a role, a host, an address or \"mirror\"");
    let captures = fields.texts("captures").into_iter().map(|t| t.text.to_owned()).collect();
    let complete = fields.flag("complete").unwrap_or(false);
    let sees = fields.get("sees").map(|node| pairs(doc, hosts, node)).unwrap_or_default();
    let at = at?;
    let point = PointDecl { name: at.text.to_owned(), places: places(doc, hosts, &at), captures, complete, sees };
    Some((point, at.span))
}

fn places(doc: &Doc<'_>, hosts: &Hosts, word: &Text<'_>) -> Vec<Place> {
    if word.text == "mirror" {
        return vec![Place::Mirror];
    }
    one_or_more(doc, hosts, word, &["mirror"]).into_iter().map(Place::Host).collect()
}

/// The hosts a word names; where it names none of this site, that is noted.
fn one_or_more(doc: &Doc<'_>, hosts: &Hosts, word: &Text<'_>, also: &[&str]) -> Vec<HostId> {
    let (found, message) = match hosts.resolve(doc, word, also) {
        None => return Vec::new(),
        Some(Named::Host(host)) => return vec![host],
        Some(Named::Role(role)) => (hosts.with_role(role), format!("role '{role}' has no host in this site")),
        Some(Named::Addr(addr)) => {
            (hosts.by_addr(addr).into_iter().collect(), format!("{addr} is no host of this site"))
        }
        Some(Named::Net(_)) => (Vec::new(), format!("'{}' is a block of addresses, not a place", word.text)),
    };
    if found.is_empty() {
        let help = "expected a role with hosts in [roles], a label of [hosts] or an address that stands in either";
        doc.error(word.span.clone(), message, Some(help.to_owned()));
    }
    found
}

fn pairs(doc: &Doc<'_>, hosts: &Hosts, node: &Node<'_>) -> Vec<(HostId, HostId)> {
    let expected = "pairs, such as sees = [[\"mount-server\", \"repository\"]]";
    let Some(items) = node.get_ref().as_array() else {
        wrong_type(doc, node, "'sees'", expected);
        return Vec::new();
    };
    items.iter().flat_map(|item| pair(doc, hosts, item, expected)).collect()
}

/// One pair of words: every pair of hosts they name.
fn pair(doc: &Doc<'_>, hosts: &Hosts, item: &Node<'_>, expected: &str) -> Vec<(HostId, HostId)> {
    let ends = match item.get_ref() {
        DeValue::Array(ends) => ends.iter().collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    let [a, b] = ends.as_slice() else {
        doc.error(item.span(), "'sees' lists something that is not a pair", Some(format!("expected {expected}")));
        return Vec::new();
    };
    let end = |node| text(doc, node, "an end of a pair").map(|t| one_or_more(doc, hosts, &t, &[])).unwrap_or_default();
    let (a, b) = (end(a), end(b));
    a.iter().flat_map(|&x| b.iter().map(move |&y| (x, y))).filter(|(x, y)| x != y).collect()
}
