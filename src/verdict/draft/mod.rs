//! A draft of a site from traffic: a commented file for a person to check, not a fact.
//!
//! The file loads as it is. What packets only suggest and what a person must decide (when the restore ran, which traffic is
//! right here) stands in it as comments that load, too, once their marks are taken off.

mod hosts;
mod traffic;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use super::infer::infer;
use super::points::own_addresses;
use super::{Case, Options, PointSeen, judge};
use crate::base::WireText;
use crate::matrix::{Matrix, Role, Scenario};
use crate::report::InferredRole;
use crate::site::Site;

/// What a draft is made from, and a person's answers where there are some.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Site that traffic suggests; its hosts and roles may be edited before rendering.
    pub site: Site,
    /// Why each role was suggested.
    pub reasons: Vec<InferredRole>,
}

impl Draft {
    /// What traffic suggests.
    pub fn new(matrix: &Matrix, points: &[PointSeen]) -> Self {
        let (site, reasons) = infer(points, &matrix.service_ports());
        Self { site, reasons }
    }

    /// Addresses that a role has, in the order of hosts.
    pub fn with_role(&self, role: Role) -> Vec<IpAddr> {
        self.site.with_role(role).filter_map(|id| self.site.host(id)).flat_map(|h| h.addrs.clone()).collect()
    }

    /// Gives a role to exactly these addresses. Each address is a host of its own.
    pub fn set_role(&mut self, role: Role, addrs: &[IpAddr]) {
        for host in &mut self.site.hosts {
            host.roles.remove(&role);
        }
        for &addr in addrs {
            if let Some(host) = self.site.hosts.iter_mut().find(|h| h.addrs.contains(&addr)) {
                host.roles.insert(role);
            } else {
                let roles = BTreeSet::from([role]);
                self.site.hosts.push(crate::site::Host { label: addr.to_string(), addrs: vec![addr], roles, os: None });
            }
        }
        self.site.hosts.retain(|h| !h.roles.is_empty());
    }

    /// Why an address was suggested for a role.
    pub fn reason(&self, addr: IpAddr, role: Role) -> Option<&str> {
        let addr = addr.to_string();
        self.reasons.iter().find(|r| r.address == addr && r.role == role).map(|r| r.because.as_str())
    }

    /// The commented `site.toml`.
    pub fn render(&self, matrix: &Matrix, points: &[PointSeen]) -> String {
        let ports = matrix.service_ports();
        let report = judge(&Case { matrix, site: Some(&self.site), points, options: &Options::default() });
        let mut out = head(points);
        out.push_str(&self.facts());
        let (short, long) = self.places(points);
        out.push_str(&short);
        out.push_str(&self.roles());
        out.push_str(&long);
        out.push_str(&traffic::window(&report));
        out.push_str(&traffic::allows(&report));
        out.push_str(&hosts::seen(points, &ports, &self.site));
        out
    }

    fn facts(&self) -> String {
        let operations = self.site.operations.iter().map(|o| format!("\"{o}\"")).collect::<Vec<_>>().join(", ");
        let why = if self.site.scenario == Scenario::PlugIn { "the plug-in's port tcp/10006 was used" } else { "" };
        let mut out = format!(
            "scenario   = \"{}\"   # image-level: backup of a whole machine; plug-in: backup by the RMAN plug-in\n",
            self.site.scenario
        );
        if !why.is_empty() {
            let _ = writeln!(out, "# suggested, because {why}");
        }
        let _ = writeln!(
            out,
            "operations = [{operations}]   # what was done: publish, export, instant-recovery, enterprise-manager"
        );
        out.push_str("# timezone = \"Europe/Berlin\"   # reports then show local time beside UTC\n");
        out
    }

    fn roles(&self) -> String {
        let mut out = String::from("\n[roles]\n");
        let none = self.site.hosts.is_empty();
        if none {
            out.push_str(
                "# This traffic suggests no role. Fill in what you know; leave out what the restore has none of.\n",
            );
        }
        for &role in Role::ALL {
            let addrs = self.with_role(role);
            for addr in &addrs {
                let _ = writeln!(out, "# {addr} {}", self.reason(*addr, role).unwrap_or("as answered"));
            }
            if role == Role::TargetWindows && !addrs.is_empty() {
                out.push_str("# (an export's staging server looks the same from the network)\n");
            }
            let list = addrs.iter().map(|a| format!("\"{a}\"")).collect::<Vec<_>>().join(", ");
            let key = format!("{:<14} = [{list}]", role.word());
            let _ = match addrs.is_empty() {
                false => writeln!(out, "{key}"),
                true if none && NEEDED.contains(&role) => writeln!(out, "{key}   # {}", where_to_look(role)),
                true => writeln!(out, "# {key}   # {}", where_to_look(role)),
            };
        }
        out
    }

    /// The place of each capture, where its packets tell: the short form, which stands above the tables, and the long form for
    /// several places.
    fn places(&self, points: &[PointSeen]) -> (String, String) {
        let places: Vec<(Vec<String>, Option<IpAddr>)> = points.iter().map(|p| (names(p), self.place(p))).collect();
        let known: BTreeSet<IpAddr> = places.iter().filter_map(|(_, p)| *p).collect();
        if self.site.hosts.is_empty() {
            return (OR_SAY.to_owned(), String::new());
        }
        if known.is_empty() {
            return (format!("{NO_PLACE}{OR_SAY}"), String::new());
        }
        if let (1, Some(addr), true) = (known.len(), known.first(), places.iter().all(|(_, p)| p.is_some())) {
            let word = self.word(*addr);
            return (
                format!("observed_from = [{word}]   # {addr} is an end of nearly every packet captured\n"),
                String::new(),
            );
        }
        let mut long = String::new();
        for addr in known {
            let files: Vec<String> =
                places.iter().filter(|(_, p)| *p == Some(addr)).flat_map(|(n, _)| n).map(|n| quoted(n)).collect();
            let _ = write!(
                long,
                "\n[[observation_point]]   # {addr} is an end of nearly every packet in it\nat       = {}\ncaptures = [{}]\n# complete = true   # if every interface of that host was captured\n",
                self.word(addr),
                files.join(", ")
            );
        }
        for (files, _) in places.iter().filter(|(_, p)| p.is_none()) {
            let files = files.iter().map(|n| quoted(n)).collect::<Vec<_>>().join(", ");
            let _ = write!(
                long,
                "\n# No single host is an end of nearly every packet in this one: a router or a mirror port?\n# [[observation_point]]\n# at       = \"mirror\"\n# captures = [{files}]\n"
            );
        }
        (String::new(), long)
    }

    /// The one host with a role that is an end of nearly every packet.
    fn place(&self, point: &PointSeen) -> Option<IpAddr> {
        let own = own_addresses(&point.observation);
        let mine: Vec<IpAddr> = own.into_iter().filter(|a| self.site.host_of(*a).is_some()).collect();
        if let [one] = mine.as_slice() { Some(*one) } else { None }
    }

    /// How a host is named where places are: by its role, if that is only its own.
    fn word(&self, addr: IpAddr) -> String {
        let own = self.site.roles_of(addr).into_iter().find(|r| self.with_role(*r) == [addr]);
        own.map_or_else(|| format!("\"{addr}\""), |r| format!("\"{r}\""))
    }
}

/// A commented `site.toml` with the roles that traffic suggests and every host that was seen.
pub fn draft_site(matrix: &Matrix, points: &[PointSeen]) -> String {
    Draft::new(matrix, points).render(matrix, points)
}

/// Roles that nearly every restore has.
const NEEDED: [Role; 4] = [Role::Console, Role::BackupServer, Role::MountServer, Role::Repository];

const NO_PLACE: &str =
    "# Where it was captured does not show: not exactly one host with a role is an end of nearly every packet.\n";
const OR_SAY: &str = "# observed_from = [\"mount-server\"]   # role or address where it was captured; \"mirror\" for a mirror port or router\n";

fn head(points: &[PointSeen]) -> String {
    let mut out = String::from(
        "# A draft from packets. Check each role against the product before you judge by it;\n# what the packets do not tell is yours to fill in. Made from:\n",
    );
    for input in points.iter().flat_map(|p| &p.observation.inputs).take(hosts::SHOWN) {
        let span = match (input.first, input.last) {
            (Some(first), Some(last)) => format!(", {} to {} UTC", first.short(), last.short()),
            _ => String::new(),
        };
        let name = WireText::new(input.name.as_bytes()).terminal();
        let _ = writeln!(out, "#   {name}: {} packets{span}", input.packets);
    }
    out.push('\n');
    out
}

/// File names of a point's captures, as patterns are compared with them.
fn names(point: &PointSeen) -> Vec<String> {
    let name = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
    point.observation.inputs.iter().map(|i| name(&i.name)).collect()
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Where in the product a role's host is named.
pub const fn where_to_look(role: Role) -> &'static str {
    match role {
        Role::Console => "the machine on which the console and its Explorer ran",
        Role::BackupServer => "the server named in the console's login window",
        Role::MountServer => "Backup Infrastructure > Backup Repositories > properties > Mount Server",
        Role::Repository => "Backup Infrastructure > Backup Repositories: its server, extent or gateway",
        Role::TargetWindows => "the Windows machine that the database is restored to",
        Role::StagingServer => "only where the restore wizard asked for a staging server",
        Role::TargetLinux => "the Linux machine that the database is restored to",
    }
}
