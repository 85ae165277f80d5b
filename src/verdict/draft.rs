//! A draft of a site from traffic: a commented file for a person to check, not a fact.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

use super::infer::infer;
use super::points::own_addresses;
use super::{PointSeen, words};
use crate::base::Proto;
use crate::flow;
use crate::matrix::{Matrix, Role};
use crate::report::InferredRole;

/// What one address was seen doing.
#[derive(Debug, Default)]
struct Doing {
    serves: BTreeSet<(Proto, u16)>,
    asks: BTreeSet<(Proto, u16)>,
}

/// Most services listed per host, and hosts listed: a scan must not bury the roles.
const SHOWN: usize = 8;
const HOSTS: usize = 40;

/// A commented `site.toml` with the roles that traffic suggests and every host that was seen.
pub fn draft_site(matrix: &Matrix, points: &[PointSeen]) -> String {
    let ports = matrix.service_ports();
    let (site, roles) = infer(points, &ports);
    let mut out = String::from(
        "# Drafted from packets. Roles are suggestions: check each against the product before judging by them.\n",
    );
    let _ = writeln!(out, "scenario   = \"{}\"   # image-level or plug-in", site.scenario);
    out.push_str(
        "operations = [\"application-item\"]   # also publish, export, instant-recovery, enterprise-manager\n",
    );
    out.push_str(&observed_from(points, &roles));
    out.push_str("\n[roles]\n");
    for &role in Role::ALL {
        out.push_str(&role_lines(role, &roles));
    }
    out.push_str(WINDOW);
    out.push_str(&others(points, &ports, &roles));
    out
}

const WINDOW: &str = "
# When the restore ran: lets absence be judged where no later step was seen.
# [[window]]
# from = \"2026-01-31T22:00:00+01:00\"
# to   = \"2026-01-31T22:40:00+01:00\"
";

/// The place of the capture, where its packets tell: the host that is an end of nearly all of them.
fn observed_from(points: &[PointSeen], roles: &[InferredRole]) -> String {
    let own: BTreeSet<IpAddr> = points.iter().flat_map(|p| own_addresses(&p.observation)).collect();
    let of = |a: &IpAddr| roles.iter().find(|r| r.address == a.to_string()).map(|r| r.role);
    let known: Vec<Role> = own.iter().filter_map(of).collect();
    match known.as_slice() {
        [one] => format!("observed_from = [\"{one}\"]   # an end of nearly every packet\n"),
        _ => "# observed_from = [\"mount-server\"]   # role, host or address of the capture; \"mirror\" for a mirror port\n"
            .to_owned(),
    }
}

fn role_lines(role: Role, roles: &[InferredRole]) -> String {
    let mine: Vec<&InferredRole> = roles.iter().filter(|r| r.role == role).collect();
    if mine.is_empty() {
        return format!("# {role} = []   # {}\n", where_to_look(role));
    }
    let mut out = String::new();
    for r in &mine {
        let _ = writeln!(out, "# {} {}", r.address, r.because);
    }
    let list: Vec<String> = mine.iter().map(|r| format!("\"{}\"", r.address)).collect();
    let _ = writeln!(out, "{role} = [{}]", list.join(", "));
    out
}

/// Where in the product a role's host is named.
const fn where_to_look(role: Role) -> &'static str {
    match role {
        Role::Console => "the machine the console ran on",
        Role::BackupServer => "the server the console is connected to",
        Role::MountServer => "Backup Infrastructure, Backup Repositories, properties of the repository, Mount Server",
        Role::Repository => "Backup Infrastructure, Backup Repositories: its server, extent or gateway",
        Role::TargetWindows => "the Windows machine the database is restored to",
        Role::StagingServer => "only where the wizard asked for a staging server",
        Role::TargetLinux => "the Linux machine the database is restored to",
    }
}

/// Hosts without a suggested role, with what they were seen doing.
fn others(points: &[PointSeen], ports: &crate::base::PortSet, roles: &[InferredRole]) -> String {
    let mut hosts = BTreeMap::<IpAddr, Doing>::new();
    for f in points.iter().flat_map(|p| &p.observation.flows).filter(|f| !f.group) {
        if !matches!(f.key.proto, Proto::Tcp | Proto::Udp) {
            continue;
        }
        let direction = flow::orient(f, ports);
        let (o, r) = (f.point(direction.orig), f.point(direction.resp()));
        hosts.entry(o.addr).or_default().asks.insert((f.key.proto, r.port));
        hosts.entry(r.addr).or_default().serves.insert((f.key.proto, r.port));
    }
    hosts.retain(|a, _| !roles.iter().any(|r| r.address == a.to_string()));
    if hosts.is_empty() {
        return String::new();
    }
    let mut out = String::from("\n# Hosts without a suggested role:\n");
    for (addr, doing) in hosts.iter().take(HOSTS) {
        let _ = writeln!(out, "#   {addr}: {}", doing.words());
    }
    if hosts.len() > HOSTS {
        let _ = writeln!(out, "#   and {} more", hosts.len() - HOSTS);
    }
    out
}

impl Doing {
    fn words(&self) -> String {
        let list = |all: &BTreeSet<(Proto, u16)>| {
            let mut shown: Vec<String> = all.iter().take(SHOWN).map(|(p, n)| format!("{p}/{n}")).collect();
            if all.len() > SHOWN {
                shown.push(format!("and {}", words::count((all.len() - SHOWN) as u64, "other")));
            }
            shown.join(", ")
        };
        match (self.serves.is_empty(), self.asks.is_empty()) {
            (false, true) => format!("serves {}", list(&self.serves)),
            (true, _) => format!("asks for {}", list(&self.asks)),
            (false, false) => format!("serves {}; asks for {}", list(&self.serves), list(&self.asks)),
        }
    }
}
