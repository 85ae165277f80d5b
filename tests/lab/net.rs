//! The wires: hosts as network namespaces, one bridge per subnet, and a router between the subnets.
//!
//! Every veth pair is created with both ends inside namespaces, so the surrounding system never gets
//! an address or a route of the lab. Segmentation and checksum offload are off: captures then show
//! what a wire would carry. A host on a Windows role looks like Windows where packets show it (TTL,
//! no TCP timestamps, client ports), because a judge may draw conclusions from exactly those.

use std::fs::{self, File};
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::cmd::command;
use crate::failure::{Context, Failure, Result};

const ROUTER: &str = "router";
const BRIDGED_FRAMES: &str = "net/bridge/bridge-nf-call-iptables";

/// A host of the lab, named by the role it plays in a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Host {
    Console,
    BackupServer,
    MountServer,
    Repository,
    TargetWindows,
    StagingServer,
    TargetLinux,
}

/// Where a program can run or a capture be taken: a host, or the router between the subnets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    At(Host),
    Router,
}

impl Host {
    /// Role name as the site file spells it; also the name of the namespace.
    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::BackupServer => "backup-server",
            Self::MountServer => "mount-server",
            Self::Repository => "repository",
            Self::TargetWindows => "target-windows",
            Self::StagingServer => "staging-server",
            Self::TargetLinux => "target-linux",
        }
    }
}

impl Place {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::At(host) => host.role(),
            Self::Router => ROUTER,
        }
    }
}

/// What the packets of a host look like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Windows,
    Linux,
}

/// One host and its place in the network.
#[derive(Clone, Copy)]
pub(crate) struct HostSpec {
    pub(crate) host: Host,
    pub(crate) address: Ipv4Addr,
    pub(crate) look: Look,
}

/// Hosts and the subnets (all /24, the router is .1) they sit in. Another topology is another table.
pub(crate) struct Topology {
    pub(crate) hosts: Vec<HostSpec>,
}

impl Topology {
    /// Backup infrastructure in one subnet, database machines in the other, a router between them.
    pub(crate) fn routed() -> Self {
        let spec = |host, subnet, last, look| HostSpec { host, address: Ipv4Addr::new(10, 77, subnet, last), look };
        Self {
            hosts: vec![
                spec(Host::Console, 0, 10, Look::Windows),
                spec(Host::BackupServer, 0, 11, Look::Windows),
                spec(Host::MountServer, 0, 12, Look::Windows),
                spec(Host::Repository, 0, 13, Look::Linux),
                spec(Host::TargetWindows, 1, 20, Look::Windows),
                spec(Host::StagingServer, 1, 21, Look::Windows),
                spec(Host::TargetLinux, 1, 22, Look::Linux),
            ],
        }
    }

    pub(crate) fn address(&self, host: Host) -> Result<Ipv4Addr> {
        let spec = self.hosts.iter().find(|s| s.host == host);
        Ok(spec.context(format!("{} is not in this topology", host.role()))?.address)
    }

    /// Whether a rule on the router would meet packets between two hosts.
    pub(crate) fn can_filter(&self, from: Host, to: Host) -> Result<bool> {
        if gateway(self.address(from)?) != gateway(self.address(to)?) {
            return Ok(true);
        }
        let setting = || Ok(fs::read_to_string(format!("/proc/sys/{BRIDGED_FRAMES}")).unwrap_or_default());
        Ok(inside(Place::Router, setting)?.trim() == "1")
    }

    fn gateways(&self) -> Vec<Ipv4Addr> {
        let mut all: Vec<_> = self.hosts.iter().map(|s| gateway(s.address)).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Builds the namespaces and the wires. Only to be called inside the seal.
    pub(crate) fn build(&self) -> Result<()> {
        ip_batch(None, &self.plan_namespaces())?;
        inside(Place::Router, tune_router)?;
        for spec in &self.hosts {
            inside(Place::At(spec.host), || tune(spec.look))?;
        }
        ip_batch(Some(ROUTER), &self.plan_router())?;
        for spec in &self.hosts {
            ip_batch(Some(spec.host.role()), &plan_host(spec))?;
            inside(Place::At(spec.host), || offload_off("eth0"))?;
        }
        inside(Place::Router, || self.hosts.iter().try_for_each(|s| offload_off(&port_name(s))))
    }

    fn plan_namespaces(&self) -> String {
        let names = self.hosts.iter().map(|s| s.host.role()).chain([ROUTER]);
        names.map(|n| format!("netns add {n}\n")).collect()
    }

    fn plan_router(&self) -> String {
        let mut plan = String::from("link set lo up\n");
        for gw in self.gateways() {
            let bridge = bridge_name(gw);
            plan += &format!("link add {bridge} address {} type bridge forward_delay 0 mcast_snooping 0\n", mac(gw));
            plan += &format!("link set {bridge} up\naddr add {gw}/24 dev {bridge}\n");
        }
        for spec in &self.hosts {
            let (port, role, mac) = (port_name(spec), spec.host.role(), mac(spec.address));
            plan += &format!("link add {port} type veth peer name eth0 address {mac} netns {role}\n");
            plan += &format!("link set {port} master {} up\n", bridge_name(spec.address));
        }
        plan
    }
}

fn plan_host(spec: &HostSpec) -> String {
    let (address, gw) = (spec.address, gateway(spec.address));
    format!("link set lo up\nlink set eth0 up\naddr add {address}/24 dev eth0\nroute add default via {gw}\n")
}

fn gateway(address: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, _] = address.octets();
    Ipv4Addr::new(a, b, c, 1)
}

fn bridge_name(address: Ipv4Addr) -> String {
    let [_, _, subnet, _] = address.octets();
    format!("br{subnet}")
}

fn port_name(spec: &HostSpec) -> String {
    let [_, _, subnet, last] = spec.address.octets();
    format!("p{subnet}-{last}")
}

/// Derived from the address, so that captures of two runs differ only where the traffic does.
fn mac(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

fn offload_off(device: &str) -> Result<()> {
    let cmd = &mut command("ethtool", &["-K", device, "tx", "off", "tso", "off", "gso", "off", "gro", "off"]);
    let out = cmd.output().context("cannot start ethtool")?;
    if out.status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("{cmd:?}: {}", String::from_utf8_lossy(&out.stderr))))
}

fn tune_router() -> Result<()> {
    no_ipv6()?;
    set("net/ipv4/ip_forward", "1")?;
    // With 1 a rule of the router also meets frames it only bridges within a subnet. Where the kernel
    // cannot, only a block that needs it fails (`can_filter`).
    let _ = set(BRIDGED_FRAMES, "1");
    Ok(())
}

/// Before any device exists, or its neighbour discovery is in the captures.
fn no_ipv6() -> Result<()> {
    set("net/ipv6/conf/all/disable_ipv6", "1")?;
    set("net/ipv6/conf/default/disable_ipv6", "1")
}

fn tune(look: Look) -> Result<()> {
    no_ipv6()?;
    // SYN at 0, 1 and 3 s, failure at 7 s: the classic rhythm, and short enough for a test.
    // Kernels before 6.5 have no linear SYN timeouts to switch off.
    let _ = set("net/ipv4/tcp_syn_linear_timeouts", "0");
    set("net/ipv4/tcp_syn_retries", "2")?;
    set("net/ipv4/ping_group_range", "0 0")?;
    if look == Look::Windows {
        set("net/ipv4/ip_default_ttl", "128")?;
        set("net/ipv4/tcp_timestamps", "0")?;
        set("net/ipv4/ip_local_port_range", "49152 65535")?;
    }
    Ok(())
}

fn set(key: &str, value: &str) -> Result<()> {
    fs::write(format!("/proc/sys/{key}"), value).context(format!("cannot set {key} to {value}"))
}

fn ip_batch(namespace: Option<&str>, plan: &str) -> Result<()> {
    let mut cmd = command("ip", &[]);
    if let Some(name) = namespace {
        cmd.args(["-n", name]);
    }
    cmd.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = cmd.spawn().context("cannot start ip")?;
    let mut pipe = child.stdin.take().context("ip has no standard input")?;
    pipe.write_all(plan.as_bytes()).context("cannot write to ip")?;
    drop(pipe);
    let out = child.wait_with_output().context("cannot wait for ip")?;
    if out.status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("{cmd:?}: {}\nof the plan:\n{plan}", String::from_utf8_lossy(&out.stderr))))
}

/// Runs `work` in the network namespace of `place`.
///
/// A thread of its own enters it: a namespace belongs to a thread, and sockets opened and programs
/// started by that thread stay where it was. So peers need neither a helper program nor unsafe code.
pub(crate) fn inside<T: Send>(place: Place, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let entered = scope.spawn(move || {
            enter(place)?;
            work()
        });
        entered.join().unwrap_or_else(|_| Err(Failure::new(format!("a thread inside {} panicked", place.name()))))
    })
}

fn enter(place: Place) -> Result<()> {
    let path = format!("/run/netns/{}", place.name());
    let file = File::open(&path).context(format!("cannot open {path}"))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).context(format!("cannot enter {path}"))
}

/// Whether something in the calling thread's namespace listens on a TCP port. Makes no packet.
fn listening(port: u16) -> bool {
    // "thread-self": plain /proc/net is the view of the process, not of the thread that entered.
    let table = fs::read_to_string("/proc/thread-self/net/tcp").unwrap_or_default();
    let wanted = format!(":{port:04X}");
    table.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|local| local.ends_with(&wanted)) && words.nth(1) == Some("0A")
    })
}

/// Waits until all `ports` of `host` are listened on; names those that are not.
pub(crate) fn await_listening(host: Host, ports: &[u16], limit: Duration) -> Result<()> {
    inside(Place::At(host), || {
        let until = std::time::Instant::now() + limit;
        loop {
            let silent: Vec<_> = ports.iter().filter(|p| !listening(**p)).collect();
            if silent.is_empty() {
                return Ok(());
            }
            if std::time::Instant::now() >= until {
                return Err(Failure::new(format!("nothing listens on {silent:?} of {} after {limit:?}", host.role())));
            }
            thread::sleep(Duration::from_millis(10));
        }
    })
}
