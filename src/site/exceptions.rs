//! `[[allow]]` and `[[override]]`: exceptions, each with its reason.

use std::ops::Range;

use ipnet::IpNet;
use toml::de::DeTable;

use super::hosts::{Hosts, Named};
use super::model::{Allow, AllowPeer, Change, Override};
use super::times::{Zone, until};
use crate::base::{Service, Time};
use crate::config::{Doc, Fields, Text};
use crate::matrix::{Matrix, Rule};

/// Reads the `[[allow]]` tables.
pub(super) fn allows(fields: &Fields<'_>, hosts: &Hosts, zone: &Zone) -> Vec<Allow> {
    fields.tables("allow").into_iter().filter_map(|table| allow(fields.doc, hosts, zone, table)).collect()
}

/// What every exception carries: why, by whom, until when, and its line.
struct Signed {
    reason: Option<String>,
    approved_by: Option<String>,
    expires: Option<Time>,
    line: usize,
}

fn signed(fields: &Fields<'_>, zone: &Zone) -> Signed {
    let reason = fields.required("reason", "why this is an exception, such as reason = \"change 4711\"");
    Signed {
        reason: reason.map(|t| t.text.to_owned()),
        approved_by: fields.text("approved_by").map(|t| t.text.to_owned()),
        expires: fields.get("expires").and_then(|node| until(fields.doc, node, "'expires'", zone)),
        line: fields.doc.line(fields.span.start),
    }
}

fn allow<'a>(doc: &'a Doc<'a>, hosts: &Hosts, zone: &Zone, table: (&'a DeTable<'a>, Range<usize>)) -> Option<Allow> {
    let known = &["from", "to", "service", "reason", "approved_by", "expires"];
    let fields = Fields::new(doc, table, "an exception [[allow]]", known);
    let end = |key| {
        let word = fields.required(key, "a role, a host, an address, a block such as 10.0.0.0/24, or \"any\"")?;
        allow_peer(doc, hosts, &word)
    };
    let (from, to) = (end("from"), end("to"));
    let service = fields.required("service", "a service such as \"udp/53\"").and_then(|t| service(doc, &t));
    let signed = signed(&fields, zone);
    let (from, to) = (from?, to?);
    if is_any(&from) && is_any(&to) {
        let help = "name a role, a host or a block on one side at least".to_owned();
        doc.error(fields.key_span("to"), "an exception from anybody to anybody would explain everything", Some(help));
    }
    Some(Allow {
        from,
        to,
        service: service?,
        reason: signed.reason?,
        approved_by: signed.approved_by,
        expires: signed.expires,
        line: signed.line,
    })
}

/// `any`, or a block that holds every address.
fn is_any(peer: &AllowPeer) -> bool {
    match peer {
        AllowPeer::Any => true,
        AllowPeer::Net(net) => net.prefix_len() == 0,
        AllowPeer::Role(_) | AllowPeer::Host(_) => false,
    }
}

fn allow_peer(doc: &Doc<'_>, hosts: &Hosts, word: &Text<'_>) -> Option<AllowPeer> {
    if word.text == "any" {
        return Some(AllowPeer::Any);
    }
    Some(match hosts.resolve(doc, word, &["any"])? {
        Named::Role(role) => {
            if !hosts.present(role) {
                doc.warn(
                    word.span.clone(),
                    format!("role '{role}' has no host: the exception is without effect"),
                    None,
                );
            }
            AllowPeer::Role(role)
        }
        Named::Host(host) => AllowPeer::Host(host),
        // One address of a host with several: the exception is for that address, not for the others.
        Named::Addr(addr) => AllowPeer::Net(IpNet::from(addr)),
        Named::Net(net) => AllowPeer::Net(net),
    })
}

fn service(doc: &Doc<'_>, text: &Text<'_>) -> Option<Service> {
    Service::parse(text.text).map_err(|message| doc.error(text.span.clone(), message, None)).ok()
}

/// Reads the `[[override]]` tables.
pub(super) fn overrides(fields: &Fields<'_>, matrix: &Matrix, zone: &Zone) -> Vec<Override> {
    let mut overrides: Vec<Override> = Vec::new();
    for table in fields.tables("override") {
        let span = table.1.clone();
        let Some(one) = override_(fields.doc, matrix, zone, table) else { continue };
        let same = |o: &&Override| o.rule == one.rule && (o.port == one.port || o.port.is_none() || one.port.is_none());
        if let Some(other) = overrides.iter().find(same) {
            let message = format!("'{}' is overridden in line {} already", one.rule, other.line);
            fields.doc.error(span, message, Some("each port of a rule is overridden once".to_owned()));
        }
        overrides.push(one);
    }
    overrides
}

fn override_<'a>(
    doc: &'a Doc<'a>,
    matrix: &Matrix,
    zone: &Zone,
    table: (&'a DeTable<'a>, Range<usize>),
) -> Option<Override> {
    let known = &["rule", "port", "service", "need", "skip", "reason", "approved_by", "expires"];
    let fields = Fields::new(doc, table, "an exception [[override]]", known);
    let name = fields.required("rule", "the id of a rule, such as \"image.ssh\"");
    let rule = name.as_ref().and_then(|name| find_rule(doc, matrix, name));
    let port = rule.and_then(|rule| port(&fields, rule));
    let change = change(&fields, port);
    let signed = signed(&fields, zone);
    if let (Some(rule), None, Some(Change::Service(_)), true) = (rule, port, &change, fields.get("port").is_none()) {
        let help = format!("say which: port = one of {}", ports_of(rule));
        doc.error(fields.key_span("service"), format!("'{}' has several ports", rule.id), Some(help));
    }
    Some(Override {
        rule: rule?.id.clone(),
        port,
        change: change?,
        reason: signed.reason?,
        approved_by: signed.approved_by,
        expires: signed.expires,
        line: signed.line,
    })
}

fn find_rule<'m>(doc: &Doc<'_>, matrix: &'m Matrix, name: &Text<'_>) -> Option<&'m Rule> {
    let found = matrix.rule(name.text).map(|(_, rule)| rule);
    if found.is_none() {
        let ids = matrix.sets.iter().flat_map(|s| &s.rules).map(|r| r.id.as_str());
        doc.unknown(name.span.clone(), "rule", name.text, ids);
    }
    found
}

/// The port that is meant: it has to be one of the rule's. A rule with one port needs none.
fn port(fields: &Fields<'_>, rule: &Rule) -> Option<Service> {
    let Some(text) = fields.text("port") else {
        let only = match rule.ports.as_slice() {
            [only] if fields.get("port").is_none() => Some(only.service),
            _ => None,
        };
        return only;
    };
    let port = service(fields.doc, &text)?;
    if rule.ports.iter().any(|p| p.service == port || p.fallback_service() == Some(port)) {
        return Some(port);
    }
    let message = format!("{port} is no port of '{}'", rule.id);
    fields.doc.error(text.span, message, Some(format!("expected one of {}", ports_of(rule))));
    None
}

fn ports_of(rule: &Rule) -> String {
    let services = rule.ports.iter().flat_map(|p| [Some(p.service), p.fallback_service()]).flatten();
    services.map(|s| format!("\"{s}\"")).collect::<Vec<_>>().join(", ")
}

/// Exactly one of service, need, skip.
fn change(fields: &Fields<'_>, port: Option<Service>) -> Option<Change> {
    let given: Vec<&str> = ["service", "need", "skip"].into_iter().filter(|k| fields.get(k).is_some()).collect();
    match given.as_slice() {
        ["service"] => {
            let text = fields.text("service")?;
            let service = service(fields.doc, &text)?;
            if let Some(port) = port.filter(|p| p.proto != service.proto) {
                let help = format!("{port} speaks {}; an override moves it to other ports", port.proto);
                fields.doc.error(text.span, format!("{service} is another protocol"), Some(help));
            }
            Some(Change::Service(service))
        }
        ["need"] => fields.word("need").map(Change::Need),
        ["skip"] => {
            let skip = fields.flag("skip")?;
            if !skip {
                fields.doc.error(
                    fields.key_span("skip"),
                    "skip = false changes nothing",
                    Some("leave it out".to_owned()),
                );
            }
            skip.then_some(Change::Skip)
        }
        _ => {
            let help = Some("expected exactly one of 'service', 'need', 'skip'".to_owned());
            let message =
                if given.is_empty() { "the override changes nothing" } else { "the override changes several things" };
            fields.doc.error(fields.span.clone(), message, help);
            None
        }
    }
}
