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
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::cmd::command;
use crate::failure::{Context, Failure, Result};
use crate::hosts::{Family, Host, HostSpec, Look, Place, Topology};

const BRIDGED_FRAMES: [&str; 2] = ["net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables"];

impl Topology {
    /// Whether a rule on the router would meet packets between two hosts.
    pub(crate) fn can_filter(&self, from: Host, to: Host) -> Result<bool> {
        if !self.neighbours(from, to)? {
            return Ok(true);
        }
        let [v4, _] = BRIDGED_FRAMES;
        let setting = || Ok(fs::read_to_string(format!("/proc/sys/{v4}")).unwrap_or_default());
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
        let v6 = self.family != Family::V4;
        inside(Place::Router, || tune_router(v6))?;
        for spec in &self.hosts {
            inside(Place::At(spec.host), || tune(spec.look, v6))?;
        }
        ip_batch(Some(Place::Router.namespace()), &self.plan_router())?;
        for spec in &self.hosts {
            ip_batch(Some(spec.host.name()), &plan_host(spec, v6))?;
            inside(Place::At(spec.host), || offload_off("eth0"))?;
        }
        inside(Place::Router, || self.hosts.iter().try_for_each(|s| offload_off(&port_name(s))))?;
        if self.nat { self.translate() } else { Ok(()) }
    }

    /// Source addresses of the first subnet become addresses of the second, one for one.
    fn translate(&self) -> Result<()> {
        let inner: Vec<_> = self.hosts.iter().filter(|s| s.address.octets()[2] == 0).collect();
        let mut rules = String::from(
            "table ip translation {\n  chain leaving {\n    type nat hook postrouting priority 100; policy accept;\n",
        );
        let mut plan = String::new();
        for spec in inner {
            let (own, outer) = (spec.address, spec.translated());
            rules += &format!("    ip saddr {own} ip daddr 10.77.1.0/24 snat to {outer}\n");
            plan += &format!("addr add {outer}/32 dev br1\n");
        }
        rules += "  }\n}\n";
        ip_batch(Some(Place::Router.namespace()), &plan)?;
        inside(Place::Router, || feed(&mut command("nft", &["-f", "-"]), &rules))
    }

    fn plan_namespaces(&self) -> String {
        let names = self.hosts.iter().map(|s| s.host.name()).chain([Place::Router.namespace()]);
        names.map(|n| format!("netns add {n}\n")).collect()
    }

    fn plan_router(&self) -> String {
        let mut plan = String::from("link set lo up\n");
        for gw in self.gateways() {
            let bridge = bridge_name(gw);
            plan += &format!("link add {bridge} address {} type bridge forward_delay 0 mcast_snooping 0\n", mac(gw));
            plan += &format!("link set {bridge} up\naddr add {gw}/24 dev {bridge}\n");
            if self.family != Family::V4 {
                plan += &format!("addr add fd00:77:{}::1/64 dev {bridge} nodad\n", gw.octets()[2]);
            }
        }
        for spec in &self.hosts {
            let (port, role, mac) = (port_name(spec), spec.host.name(), mac(spec.address));
            plan += &format!("link add {port} type veth peer name eth0 address {mac} netns {role}\n");
            plan += &format!("link set {port} master {} up\n", bridge_name(spec.address));
        }
        plan
    }
}

fn plan_host(spec: &HostSpec, v6: bool) -> String {
    let (address, gw) = (spec.address, gateway(spec.address));
    let mut plan =
        format!("link set lo up\nlink set eth0 up\naddr add {address}/24 dev eth0\nroute add default via {gw}\n");
    if v6 {
        let subnet = gw.octets()[2];
        plan += &format!("addr add {}/64 dev eth0 nodad\nroute add default via fd00:77:{subnet}::1\n", spec.v6());
    }
    plan
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

fn tune_router(v6: bool) -> Result<()> {
    ipv6(v6)?;
    set("net/ipv4/ip_forward", "1")?;
    if v6 {
        set("net/ipv6/conf/all/forwarding", "1")?;
    }
    // With 1 a rule of the router also meets frames it only bridges within a subnet. Where the kernel
    // cannot, only a block that needs it fails (`can_filter`).
    for setting in BRIDGED_FRAMES {
        let _ = set(setting, "1");
    }
    Ok(())
}

/// Before any device exists, or its neighbour discovery is in the captures.
fn ipv6(wanted: bool) -> Result<()> {
    let disable = if wanted { "0" } else { "1" };
    set("net/ipv6/conf/all/disable_ipv6", disable)?;
    set("net/ipv6/conf/default/disable_ipv6", disable)?;
    set("net/ipv6/conf/default/accept_ra", "0")
}

fn tune(look: Look, v6: bool) -> Result<()> {
    ipv6(v6)?;
    // SYN at 0, 1 and 3 s, failure at 7 s: the classic rhythm, and short enough for a test.
    // Kernels before 6.5 have no linear SYN timeouts to switch off.
    let _ = set("net/ipv4/tcp_syn_linear_timeouts", "0");
    set("net/ipv4/tcp_syn_retries", "2")?;
    set("net/ipv4/ping_group_range", "0 0")?;
    if look == Look::Windows {
        set("net/ipv4/ip_default_ttl", "128")?;
        set("net/ipv6/conf/default/hop_limit", "128")?;
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
    feed(cmd.args(["-batch", "-"]), plan)
}

/// Runs a program on a plan given to its standard input.
fn feed(cmd: &mut Command, plan: &str) -> Result<()> {
    cmd.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = cmd.spawn().context(format!("cannot start {cmd:?}"))?;
    let mut pipe = child.stdin.take().context("no standard input")?;
    pipe.write_all(plan.as_bytes()).context("cannot write a plan")?;
    drop(pipe);
    let out = child.wait_with_output().context("cannot wait for a plan")?;
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
    let path = format!("/run/netns/{}", place.namespace());
    let file = File::open(&path).context(format!("cannot open {path}"))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).context(format!("cannot enter {path}"))
}

/// Whether something in the calling thread's namespace listens on a TCP port. Makes no packet.
fn listening(port: u16) -> bool {
    // "thread-self": plain /proc/net is the view of the process, not of the thread that entered.
    let read = |table: &str| fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap_or_default();
    let table = read("tcp") + &read("tcp6");
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
                return Err(Failure::new(format!("nothing listens on {silent:?} of {} after {limit:?}", host.name())));
            }
            thread::sleep(Duration::from_millis(10));
        }
    })
}
