//! `[hosts]` and `[roles]`: which addresses are one host, and what each host is.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;

use ipnet::{IpNet, Ipv4Net};

use super::model::{Host, HostId};
use crate::config::{Doc, Fields, Node, Text, text, texts, word};
use crate::matrix::{Os, Role};

/// Words that may not be labels: they mean something where hosts are named.
const TAKEN: [&str; 2] = ["any", "mirror"];

/// What a word of a site file names.
pub(super) enum Named {
    /// A role.
    Role(Role),
    /// A host by its label.
    Host(HostId),
    /// An address.
    Addr(IpAddr),
    /// A block of addresses.
    Net(IpNet),
}

/// A role given to a host, and where.
struct Given {
    host: HostId,
    role: Role,
    span: Range<usize>,
}

/// Hosts as they are read.
#[derive(Default)]
pub(super) struct Hosts {
    /// The hosts, labelled ones first, each in the file's order.
    pub(super) hosts: Vec<Host>,
    /// Roles of blocks.
    pub(super) nets: Vec<(Role, IpNet)>,
    /// Roles that stand in the file, with hosts or without, and where.
    pub(super) named: Vec<(Role, Range<usize>)>,
    label_spans: Vec<Range<usize>>,
    os_spans: Vec<Option<Range<usize>>>,
    given: Vec<Given>,
    role_os: Vec<(Role, Os, Range<usize>)>,
}

impl Hosts {
    /// Reads both tables.
    pub(super) fn read<'a>(fields: &Fields<'a>) -> Self {
        let mut hosts = Self::default();
        if let Some((table, _)) = fields.table("hosts") {
            Fields::in_order(table).into_iter().for_each(|(label, node)| hosts.label(fields.doc, label, node));
        }
        if fields.get("roles").is_none() {
            fields.missing("roles", "a table [roles] with lines such as mount-server = [\"10.77.0.12\"]");
        }
        if let Some((table, span)) = fields.table("roles") {
            Fields::in_order(table).into_iter().for_each(|(role, node)| hosts.role(fields.doc, &role, node));
            if table.is_empty() {
                let help = "expected lines such as mount-server = [\"10.77.0.12\"]";
                fields.doc.error(span, "[roles] is empty", Some(help.to_owned()));
            }
        }
        hosts.hidden_labels(fields.doc);
        hosts
    }

    /// Hosts with a role.
    pub(super) fn with_role(&self, role: Role) -> Vec<HostId> {
        let has = |(i, h): (usize, &Host)| h.roles.contains(&role).then_some(HostId(i));
        self.hosts.iter().enumerate().filter_map(has).collect()
    }

    /// Whether a role has a host or a block.
    pub(super) fn present(&self, role: Role) -> bool {
        self.nets.iter().any(|(r, _)| *r == role) || self.hosts.iter().any(|h| h.roles.contains(&role))
    }

    /// What a word names: a role before a label of the same name, then labels, addresses, blocks.
    pub(super) fn resolve(&self, doc: &Doc<'_>, word: &Text<'_>, also: &[&str]) -> Option<Named> {
        if let Some(role) = Role::from_word(word.text) {
            return Some(Named::Role(role));
        }
        let roles = Role::ALL.iter().map(|r| r.word()).chain(also.iter().copied()).collect();
        self.host_word(doc, word, roles)
    }

    /// What a word names where roles are not meant: a label, an address, a block.
    fn host_word(&self, doc: &Doc<'_>, word: &Text<'_>, others: Vec<&str>) -> Option<Named> {
        if let Some(host) = self.hosts.iter().take(self.label_spans.len()).position(|h| h.label == word.text) {
            return Some(Named::Host(HostId(host)));
        }
        if let Ok(addr) = word.text.parse::<IpAddr>() {
            return Some(Named::Addr(addr.to_canonical()));
        }
        if word.text.contains('/') {
            return block(doc, word);
        }
        let labels = self.hosts.iter().take(self.label_spans.len()).map(|h| h.label.as_str());
        let near = crate::config::nearest(word.text, labels.chain(others));
        let help = near.map_or_else(
            || "expected a label of [hosts], an address such as 10.77.0.12 or fd00:77::12, or a block such as 10.77.0.0/24".to_owned(),
            |near| format!("did you mean '{near}'?"),
        );
        doc.error(word.span.clone(), format!("'{}' names no host of this site", word.text), Some(help));
        None
    }

    /// The host that has an address.
    pub(super) fn by_addr(&self, addr: IpAddr) -> Option<HostId> {
        self.hosts.iter().position(|h| h.addrs.contains(&addr)).map(HostId)
    }

    fn label<'a>(&mut self, doc: &'a Doc<'a>, label: Text<'a>, node: &'a Node<'a>) {
        if TAKEN.contains(&label.text) || label.text.trim().is_empty() || is_address(label.text) {
            let help = "expected a name such as mnt01; addresses, \"any\" and \"mirror\" mean something else";
            doc.error(
                label.span.clone(),
                format!("'{}' cannot be the label of a host", label.text),
                Some(help.to_owned()),
            );
        }
        let (words, os) = host_value(doc, node, "addresses", &format!("host '{}'", label.text));
        let mut addrs = Vec::new();
        for word in &words {
            self.address(doc, word, &mut addrs);
        }
        if words.is_empty() && !doc.failed() {
            doc.error(node.span(), format!("host '{}' has no address", label.text), None);
        }
        let (os, os_span) = os.unzip();
        self.hosts.push(Host { label: label.text.to_owned(), addrs, roles: BTreeSet::new(), os });
        self.label_spans.push(label.span);
        self.os_spans.push(os_span);
    }

    fn address(&self, doc: &Doc<'_>, word: &Text<'_>, addrs: &mut Vec<IpAddr>) {
        let Ok(addr) = word.text.parse::<IpAddr>() else {
            let help = "expected an IPv4 or IPv6 address; names are labels and are never resolved";
            doc.error(word.span.clone(), format!("'{}' is not an address", word.text), Some(help.to_owned()));
            return;
        };
        let addr = addr.to_canonical();
        not_a_host(doc, word, addr);
        if let Some(other) = self.by_addr(addr).and_then(|id| self.hosts.get(id.0).zip(self.label_spans.get(id.0))) {
            let message =
                format!("{addr} already belongs to host '{}' in line {}", other.0.label, doc.line(other.1.start));
            doc.error(word.span.clone(), message, Some("an address belongs to one host".to_owned()));
        } else if addrs.contains(&addr) {
            doc.warn(word.span.clone(), format!("{addr} stands here twice"), None);
        } else {
            addrs.push(addr);
        }
    }

    fn role<'a>(&mut self, doc: &'a Doc<'a>, key: &Text<'a>, node: &'a Node<'a>) {
        let Some(role) = word::<Role>(doc, key) else { return };
        self.named.push((role, key.span.clone()));
        let (words, os) = host_value(doc, node, "hosts", &format!("role '{role}'"));
        if let Some((os, span)) = os {
            self.role_os.push((role, os, span));
        }
        for word in words {
            self.member(doc, role, &word);
        }
        if !doc.failed() && !self.present(role) {
            let help = "give it a host, or leave the line out where the restore has none".to_owned();
            doc.warn(key.span.clone(), format!("role '{role}' has no host"), Some(help));
        }
    }

    fn member(&mut self, doc: &Doc<'_>, role: Role, word: &Text<'_>) {
        let host = match self.host_word(doc, word, Vec::new()) {
            Some(Named::Host(host)) => host,
            Some(Named::Addr(addr)) => self.bare(doc, word, addr),
            Some(Named::Net(net)) => return self.nets.push((role, net)),
            Some(Named::Role(_)) | None => return,
        };
        if self.hosts.get_mut(host.0).is_some_and(|h| !h.roles.insert(role)) {
            doc.warn(word.span.clone(), format!("'{}' has the role '{role}' already", word.text), None);
        }
        self.given.push(Given { host, role, span: word.span.clone() });
    }

    /// A bare address: the host that has it, or a host of its own.
    fn bare(&mut self, doc: &Doc<'_>, word: &Text<'_>, addr: IpAddr) -> HostId {
        if let Some(host) = self.by_addr(addr) {
            return host;
        }
        not_a_host(doc, word, addr);
        self.hosts.push(Host { label: addr.to_string(), addrs: vec![addr], roles: BTreeSet::new(), os: None });
        self.os_spans.push(None);
        HostId(self.hosts.len() - 1)
    }

    /// A label that is a role's name is fine where it is that role's host; elsewhere it would never be meant.
    fn hidden_labels(&self, doc: &Doc<'_>) {
        for (host, span) in self.hosts.iter().zip(&self.label_spans) {
            if Role::from_word(&host.label).is_some_and(|role| !host.roles.contains(&role)) {
                let help = "call the host something else: where hosts are named, this word means the role".to_owned();
                doc.warn(
                    span.clone(),
                    format!("host '{}' is called like a role it does not have", host.label),
                    Some(help),
                );
            }
        }
    }

    /// The backup's system by the targets there are; `None` with both or none.
    pub(super) fn target_os(&self) -> Option<Os> {
        match (self.present(Role::TargetWindows), self.present(Role::TargetLinux)) {
            (true, false) => Some(Os::Windows),
            (false, true) => Some(Os::Linux),
            _ => None,
        }
    }

    /// Settles every host's system: its own, its role's, the one its target role implies; a staging server's is else
    /// that of the backup.
    pub(super) fn settle_os(&mut self, doc: &Doc<'_>, backup: Option<Os>) {
        for given in &self.given {
            let Some(host) = self.hosts.get_mut(given.host.0) else { continue };
            let by_role = self.role_os.iter().find(|(role, ..)| *role == given.role);
            let implied = match given.role {
                Role::TargetWindows => Some(Os::Windows),
                Role::TargetLinux => Some(Os::Linux),
                _ => None,
            };
            let own_span = self.os_spans.get(given.host.0).cloned().flatten();
            let by_role = by_role.map(|(_, os, span)| (*os, span.clone()));
            for (os, span) in by_role.into_iter().chain(implied.map(|os| (os, given.span.clone()))) {
                if let Some(had) = host.os.filter(|&had| had != os) {
                    let help = "a host has one operating system; a second one is a host of its own".to_owned();
                    let message = format!("host '{}' cannot be both {had} and {os}", host.label);
                    doc.error(own_span.clone().unwrap_or(span), message, Some(help));
                } else {
                    host.os = Some(os);
                }
            }
        }
        for host in self.hosts.iter_mut().filter(|h| h.roles.contains(&Role::StagingServer)) {
            host.os = host.os.or(backup);
        }
        self.unknown_staging(doc);
    }

    fn unknown_staging(&self, doc: &Doc<'_>) {
        let unknown =
            |g: &&Given| g.role == Role::StagingServer && self.hosts.get(g.host.0).is_some_and(|h| h.os.is_none());
        if let Some(given) = self.given.iter().find(unknown) {
            let help = "say it: staging-server = { hosts = [...], os = \"windows\" }".to_owned();
            doc.warn(given.span.clone(), "the operating system of the staging server is not known", Some(help));
        }
    }
}

/// The value of a host or role: a string, a list, or a table with the list under `key` and an operating system.
fn host_value<'a>(
    doc: &'a Doc<'a>,
    node: &'a Node<'a>,
    key: &'static str,
    what: &str,
) -> (Vec<Text<'a>>, Option<(Os, Range<usize>)>) {
    let Some(table) = node.get_ref().as_table() else {
        return (texts(doc, node, what), None);
    };
    let known: [&str; 2] = [key, "os"];
    let fields = Fields::new(doc, (table, node.span()), "this table", &known);
    if fields.get(key).is_none() {
        fields.missing(key, &format!("{key} = [...]"));
    }
    let os = fields.get("os").and_then(|n| text(doc, n, "'os'")).and_then(|t| Some((word::<Os>(doc, &t)?, t.span)));
    (fields.texts(key), os)
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok()
}

/// Notes addresses that are never a host's.
fn not_a_host(doc: &Doc<'_>, word: &Text<'_>, addr: IpAddr) {
    let broadcast = matches!(addr, IpAddr::V4(v4) if v4.is_broadcast());
    if addr.is_unspecified() || addr.is_multicast() || broadcast {
        doc.error(word.span.clone(), format!("{addr} is not the address of a host"), None);
    }
}

/// A block of addresses; one that holds a single address is that address.
fn block(doc: &Doc<'_>, word: &Text<'_>) -> Option<Named> {
    let Ok(net) = word.text.parse::<IpNet>() else {
        let help = "expected a block such as 10.77.0.0/24 or fd00:77::/64";
        doc.error(word.span.clone(), format!("'{}' is not a block of addresses", word.text), Some(help.to_owned()));
        return None;
    };
    let net = canonical(net);
    if net.prefix_len() == net.max_prefix_len() {
        return Some(Named::Addr(net.addr()));
    }
    if net.addr() != net.network() {
        let help = format!("did you mean the block {}, or the address {}?", net.trunc(), net.addr());
        doc.error(word.span.clone(), format!("'{}' is an address inside a block", word.text), Some(help));
        return None;
    }
    Some(Named::Net(net))
}

/// IPv4 blocks written as IPv4-mapped IPv6 are IPv4 blocks.
fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let mapped = v6.addr().to_ipv4_mapped().filter(|_| v6.prefix_len() >= 96);
    mapped.and_then(|v4| Ipv4Net::new(v4, v6.prefix_len() - 96).ok()).map_or(net, IpNet::V4)
}
