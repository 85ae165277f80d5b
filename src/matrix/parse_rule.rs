//! One `[[rule]]`: who, to whom, on which ports.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::model::{Condition, Healing, Peer, Rule, RulePort, SetKind, Source};
use super::parse::{condition, operations};
use super::vocab::{Need, Operation, Role};
use crate::base::{PortRange, Proto, Service};
use crate::config::{Doc, Fields, Node, Text, Word, integer, text, texts, word, wrong_type};

const RULE: &[&str] = &[
    "id",
    "scenario",
    "from",
    "to",
    "each",
    "staging_os",
    "port",
    "stage",
    "purpose",
    "blocked_symptom",
    "next_step",
    "notes",
    "basis",
    "least_packets",
];
const PORT: &[&str] = &["tcp", "udp", "icmp", "need", "carries", "fallback", "substituted_by", "healing", "note"];

/// Sessions of TCP take at least a handshake.
const LEAST_PACKETS: u64 = 3;

/// Where the parts of a rule stand.
pub(super) struct Places {
    /// Its id.
    pub(super) id: Range<usize>,
    /// Its sources, in order.
    pub(super) sources: Vec<Range<usize>>,
    /// Its ports, in order.
    pub(super) ports: Vec<Range<usize>>,
    /// The key `each`.
    pub(super) each: Range<usize>,
}

/// Reads a rule; `None` where too little of it is there to check it further.
pub(super) fn rule<'a>(
    doc: &'a Doc<'a>,
    table: (&'a DeTable<'a>, Range<usize>),
    kind: SetKind,
) -> Option<(Rule, Places)> {
    let fields = Fields::new(doc, table, "a rule", RULE);
    let sources = sources(&fields, kind);
    let ports = ports(&fields, kind);
    let to = to(&fields);
    let words = words(&fields, &ports, kind);
    let id = fields.required("id", "a name such as \"image.ssh\"")?;
    let (sources, source_spans) = sources.into_iter().unzip();
    let (ports, port_spans) = ports.into_iter().unzip();
    let places = Places { id: id.span, sources: source_spans, ports: port_spans, each: fields.key_span("each") };
    let rule = Rule {
        id: id.text.to_owned(),
        scenario: fields.word("scenario"),
        from: sources,
        to,
        each: fields.words("each"),
        staging_os: fields.word("staging_os"),
        ports,
        stage: stage(&fields),
        least_packets: fields.number("least_packets").unwrap_or(LEAST_PACKETS),
        ..words
    };
    Some((rule, places))
}

/// The prose of a rule; the other parts are left empty.
fn words(fields: &Fields<'_>, ports: &[(RulePort, Range<usize>)], kind: SetKind) -> Rule {
    let purpose = fields.required("purpose", "one sentence that says what the traffic is for");
    let basis = fields.required("basis", "where the row comes from: page and date, or \"inferred\"");
    let fails = kind == SetKind::Matrix || ports.iter().any(|(p, _)| p.need > Need::Permitted);
    if fails && fields.get("blocked_symptom").is_none() {
        fields.missing("blocked_symptom", "what the administrator sees when it is blocked");
    }
    if fails && fields.get("next_step").is_none() {
        fields.missing("next_step", "what to check and change when it is blocked");
    }
    Rule {
        id: String::new(),
        scenario: None,
        from: Vec::new(),
        to: Vec::new(),
        each: Vec::new(),
        staging_os: None,
        ports: Vec::new(),
        stage: None,
        purpose: purpose.map(|t| t.text.to_owned()).unwrap_or_default(),
        blocked_symptom: fields.owned("blocked_symptom"),
        next_step: fields.owned("next_step"),
        notes: fields.texts("notes").into_iter().map(|t| t.text.to_owned()).collect(),
        basis: basis.map(|t| t.text.to_owned()).unwrap_or_default(),
        least_packets: LEAST_PACKETS,
    }
}

fn stage(fields: &Fields<'_>) -> Option<u8> {
    let number = fields.number("stage")?;
    let stage = u8::try_from(number).ok().filter(|&n| n > 0);
    if stage.is_none() {
        let span = fields.get("stage").map_or(0..0, toml::Spanned::span);
        fields.doc.error(span, format!("stage {number} is outside 1 to 255"), None);
    }
    stage
}

/// A role, `any-role` or `outside`.
fn peer(doc: &Doc<'_>, text: &Text<'_>) -> Option<Peer> {
    let role = Role::ALL.iter().copied().find(|r| r.word() == text.text).map(Peer::Role);
    let peer = match text.text {
        "any-role" => Some(Peer::AnyRole),
        "outside" => Some(Peer::Outside),
        _ => role,
    };
    if peer.is_none() {
        let words = Role::ALL.iter().map(|r| r.word()).chain(["any-role", "outside"]);
        doc.unknown(text.span.clone(), "role", text.text, words);
    }
    peer
}

fn to(fields: &Fields<'_>) -> Vec<Peer> {
    if fields.get("to").is_none() {
        fields.missing("to", "the roles that are connected to, such as to = [\"repository\"]");
    }
    let texts = fields.texts("to");
    not_empty(fields, "to", "the roles that are connected to, such as to = [\"repository\"]");
    texts.iter().filter_map(|text| peer(fields.doc, text)).collect()
}

/// An empty list is as good as none.
fn not_empty(fields: &Fields<'_>, key: &str, expected: &str) {
    let Some(node) = fields.get(key) else { return };
    if node.get_ref().as_array().is_some_and(|items| items.is_empty()) {
        fields.doc.error(node.span(), format!("'{key}' is empty"), Some(format!("expected {expected}")));
    }
}

fn sources(fields: &Fields<'_>, kind: SetKind) -> Vec<(Source, Range<usize>)> {
    not_empty(fields, "from", "[[rule.from]] tables");
    let doc = fields.doc;
    let Some(node) = fields.get("from") else {
        fields.missing("from", "[[rule.from]] tables, or a list such as from = [\"any-role\"]");
        return Vec::new();
    };
    let one = |item: &Node<'_>| match item.get_ref() {
        DeValue::String(_) => text(doc, item, "'from'").and_then(|t| source_word(doc, &t, kind)),
        DeValue::Table(table) => {
            let fields = Fields::new(doc, (table, item.span()), "a source", &["role", "drives", "may", "need", "when"]);
            source(&fields, kind)
        }
        _ => {
            wrong_type(doc, item, "an item of 'from'", "a role or a table");
            None
        }
    };
    match node.get_ref() {
        DeValue::Array(items) => items.iter().filter_map(one).collect(),
        _ => one(node).into_iter().collect(),
    }
}

/// The short form: allowed in every operation. Only a companion may leave it at that.
fn source_word(doc: &Doc<'_>, text: &Text<'_>, kind: SetKind) -> Option<(Source, Range<usize>)> {
    if kind == SetKind::Matrix {
        let help = "expected [[rule.from]] with 'drives', 'may' or 'need'; the short form is for companion sets";
        doc.error(text.span.clone(), "a rule of a matrix has to say when the role drives it", Some(help.to_owned()));
    }
    let source = Source {
        peer: peer(doc, text)?,
        drives: Vec::new(),
        may: Operation::ALL.to_vec(),
        need: BTreeMap::new(),
        when: Condition::default(),
    };
    Some((source, text.span.clone()))
}

fn source(fields: &Fields<'_>, kind: SetKind) -> Option<(Source, Range<usize>)> {
    let silent = ["drives", "may", "need"].iter().all(|key| fields.get(key).is_none());
    if silent && kind == SetKind::Matrix {
        fields.missing("drives", "'drives', 'may' or 'need' with the operations");
    }
    let may = if silent { Operation::ALL.to_vec() } else { operations(fields, "may") };
    let source = Source {
        peer: peer(fields.doc, &fields.required("role", "a role, \"any-role\" or \"outside\"")?)?,
        drives: operations(fields, "drives"),
        may,
        need: needs(fields),
        when: fields.table("when").map(|t| condition(fields.doc, t)).unwrap_or_default(),
    };
    for operation in Operation::ALL {
        let said =
            [source.drives.contains(operation), source.may.contains(operation), source.need.contains_key(operation)];
        if said.iter().filter(|&&s| s).count() > 1 {
            let message = format!("'{operation}' stands in more than one of 'drives', 'may' and 'need'");
            fields.doc.error(
                fields.span.clone(),
                message,
                Some("a role either drives a rule or merely may".to_owned()),
            );
        }
    }
    Some((source, fields.span.clone()))
}

fn needs(fields: &Fields<'_>) -> BTreeMap<Operation, Need> {
    let Some((table, _)) = fields.table("need") else { return BTreeMap::new() };
    let pair = |(key, node): (Text<'_>, &Node<'_>)| {
        let operation = word(fields.doc, &key);
        let need = text(fields.doc, node, "a need").and_then(|t| word(fields.doc, &t));
        operation.zip(need)
    };
    Fields::in_order(table).into_iter().filter_map(pair).collect()
}

fn ports(fields: &Fields<'_>, kind: SetKind) -> Vec<(RulePort, Range<usize>)> {
    not_empty(fields, "port", "[[rule.port]] tables");
    let Some(node) = fields.get("port") else {
        fields.missing("port", "[[rule.port]] tables, or a list such as port = [\"udp/53\"]");
        return Vec::new();
    };
    let one = |item: &Node<'_>| match item.get_ref() {
        DeValue::Table(table) => port_table(&Fields::new(fields.doc, (table, item.span()), "a port", PORT), kind),
        _ => texts(fields.doc, item, "'port'").iter().filter_map(|t| port_word(fields.doc, t, kind)).collect(),
    };
    match node.get_ref() {
        DeValue::Array(items) => items.iter().flat_map(one).collect(),
        _ => one(node),
    }
}

/// The short form of a port: permitted, single ports and ranges heal as such.
fn port_word(doc: &Doc<'_>, text: &Text<'_>, kind: SetKind) -> Option<(RulePort, Range<usize>)> {
    if kind == SetKind::Matrix {
        let help = "expected [[rule.port]] with 'need'; the short form is for companion sets";
        doc.error(text.span.clone(), "a port of a matrix has to say how much it is needed", Some(help.to_owned()));
    }
    match Service::parse(text.text) {
        Ok(service) => Some((plain(service), text.span.clone())),
        Err(message) => {
            doc.error(text.span.clone(), message, None);
            None
        }
    }
}

fn plain(service: Service) -> RulePort {
    RulePort {
        service,
        need: Need::Permitted,
        carries: None,
        fallback: None,
        substituted_by: None,
        healing: if service.ports.is_single() { Healing::SamePort } else { Healing::Range },
        note: None,
    }
}

fn port_table(fields: &Fields<'_>, kind: SetKind) -> Vec<(RulePort, Range<usize>)> {
    if kind == SetKind::Matrix && fields.get("need").is_none() {
        fields.missing("need", "\"required\", \"expected\" or \"permitted\"");
    }
    let services = services(fields);
    let fallback = fields.get("fallback").and_then(|n| range(fields.doc, n));
    let substituted_by = fields.get("substituted_by").and_then(|n| range(fields.doc, n)).map(PortRange::lo);
    let port = |service: Service| RulePort {
        need: fields.word("need").unwrap_or(Need::Permitted),
        carries: fields.word("carries"),
        fallback,
        substituted_by,
        healing: healing(fields, service),
        note: fields.text("note").map(|t| t.text.to_owned()),
        ..plain(service)
    };
    services.into_iter().map(|(service, span)| (port(service), span)).collect()
}

fn services(fields: &Fields<'_>) -> Vec<(Service, Range<usize>)> {
    let given: Vec<_> = ["tcp", "udp", "icmp"].into_iter().filter_map(|key| Some((key, fields.get(key)?))).collect();
    match given.as_slice() {
        [("icmp", _)] if fields.flag("icmp") == Some(true) => {
            let any = |proto| (Service { proto, ports: PortRange::one(0) }, fields.span.clone());
            vec![any(Proto::Icmp), any(Proto::Icmp6)]
        }
        [(key @ ("tcp" | "udp"), node)] => {
            let proto = if *key == "tcp" { Proto::Tcp } else { Proto::Udp };
            let range = range(fields.doc, node);
            range.into_iter().map(|ports| (Service { proto, ports }, node.span())).collect()
        }
        _ => {
            let help = Some("expected exactly one of tcp = PORT, udp = PORT, icmp = true".to_owned());
            fields.doc.error(fields.span.clone(), "a port names one protocol", help);
            Vec::new()
        }
    }
}

/// A port as a number, or a range as `"3260-3270"`.
fn range(doc: &Doc<'_>, node: &Node<'_>) -> Option<PortRange> {
    let text = match (integer(node), node.get_ref().as_str()) {
        (Some(number), _) => number.to_string(),
        (None, Some(text)) => text.to_owned(),
        (None, None) => {
            wrong_type(doc, node, "a port", "a number such as 445, or a range such as \"3260-3270\"");
            return None;
        }
    };
    match port_range(&text) {
        Ok(range) => Some(range),
        Err(message) => {
            let help = "expected a number from 1 to 65535, or a range such as \"3260-3270\"";
            doc.error(node.span(), message, Some(help.to_owned()));
            None
        }
    }
}

fn port_range(text: &str) -> Result<PortRange, String> {
    let (lo, hi) = text.split_once('-').unwrap_or((text, text));
    let number = |n: &str| n.trim().parse::<u16>().map_err(|_| format!("'{text}' is not a port or a range of ports"));
    match (number(lo)?, number(hi)?) {
        (0, _) => Err(format!("'{text}': port 0 names no service")),
        (lo, hi) => PortRange::new(lo, hi).ok_or_else(|| format!("'{text}': the range is empty, {lo} is above {hi}")),
    }
}

fn healing(fields: &Fields<'_>, service: Service) -> Healing {
    let single = service.ports.is_single();
    let Some(text) = fields.text("healing") else { return plain(service).healing };
    let healing = word::<Healing>(fields.doc, &text);
    if healing.is_some_and(|h| (h == Healing::SamePort) != single) {
        let help = if single {
            "a single port heals as \"same-port\""
        } else {
            "a range heals as \"range\", \"mapper\" or \"next-free\""
        };
        let message = format!("healing '{}' does not fit {service}", text.text);
        fields.doc.error(text.span, message, Some(help.to_owned()));
    }
    healing.unwrap_or(plain(service).healing)
}

impl Word for Healing {
    const NAME: &'static str = "kind of healing";
    fn all() -> &'static [Self] {
        &[Self::SamePort, Self::Range, Self::Mapper, Self::NextFree]
    }
    fn text(self) -> &'static str {
        match self {
            Self::SamePort => "same-port",
            Self::Range => "range",
            Self::Mapper => "mapper",
            Self::NextFree => "next-free",
        }
    }
}
