//! What captures on interfaces: libpcap, or a program in the kernel that counts where it can.

#[cfg(ebpf)]
use std::net::IpAddr;

use ipnet::IpNet;
#[cfg(ebpf)]
use portwitness::base::InputId;
use portwitness::base::RunError;
#[cfg(ebpf)]
use portwitness::capture::ebpf::{Asked, HostProbes, Sieve, WithHost};
#[cfg(ebpf)]
use portwitness::capture::interfaces::{ANY, Halt, list};
use portwitness::site::Site;

use super::interfaces::Wanted;
#[cfg(ebpf)]
use super::source::Opened;
use crate::cli::complain;

/// Which one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Engine {
    /// The kernel's counters where they can be used, libpcap otherwise.
    #[default]
    Auto,
    /// Every packet comes up.
    Pcap,
    /// Counters in the kernel, or nothing.
    Ebpf,
}

/// How to capture.
#[derive(Debug, clap::Args)]
pub(super) struct EngineArgs {
    /// pcap: every packet; ebpf: count plain ones in the kernel; auto: ebpf where that works
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "auto|pcap|ebpf",
        hide_possible_values = true,
        requires = "interface"
    )]
    engine: Engine,
    /// Bytes of the ring that the kernel writes, for tests
    #[arg(long, hide = true, value_name = "BYTES", requires = "interface")]
    ebpf_ring: Option<u32>,
    /// Flows the kernel counts at a time, for tests
    #[arg(long, hide = true, value_name = "FLOWS", default_value_t = 0, requires = "interface")]
    ebpf_flows: u32,
}

/// What the arguments mean.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) engine: Engine,
    #[cfg_attr(not(ebpf), allow(dead_code, reason = "only the kernel's counters read it"))]
    ring: Option<u32>,
    #[cfg_attr(not(ebpf), allow(dead_code, reason = "only the kernel's counters read it"))]
    flows: u32,
    #[cfg_attr(not(ebpf), allow(dead_code, reason = "only the kernel's counters read it"))]
    site: Vec<IpNet>,
    /// What was asked for that only libpcap does.
    only_pcap: Option<&'static str>,
}

impl EngineArgs {
    /// What is wanted. `only_pcap`: what was asked for that only libpcap does. `site`: where its filter is used.
    pub(super) fn choice(self, only_pcap: Option<&'static str>, site: Option<&Site>) -> Choice {
        let hosts = site.iter().flat_map(|s| s.hosts.iter()).flat_map(|h| h.addrs.iter().map(|a| IpNet::from(*a)));
        let nets = site.iter().flat_map(|s| s.role_nets.iter().map(|(_, net)| *net));
        let site = hosts.chain(nets).collect();
        Choice { engine: self.engine, ring: self.ebpf_ring, flows: self.ebpf_flows, site, only_pcap }
    }
}

/// Opens the kernel's counters where they are wanted; `None` where libpcap is to be used.
///
/// # Errors
/// Where they were asked for and cannot be used.
pub(super) fn open(wanted: &Wanted) -> Result<Option<Box<Counting>>, RunError> {
    let choice = &wanted.engine;
    let chosen = choice.engine == Engine::Ebpf;
    let refused = |why: &str| {
        if chosen { Err(RunError::Config(format!("--engine ebpf: {why}"))) } else { Ok(None) }
    };
    if choice.engine == Engine::Pcap {
        return Ok(None);
    }
    if let Some(what) = choice.only_pcap {
        return refused(&format!("{what} needs every packet, and counted ones are not captured; use --engine pcap"));
    }
    match Counting::new(wanted) {
        Ok(counting) => Ok(Some(Box::new(counting))),
        Err(why) if chosen => refused(&why),
        Err(why) => {
            complain(&format!("capturing with libpcap: {why} (\"portwitness doctor\" tells more)"));
            Ok(None)
        }
    }
}

/// The kernel's counters.
#[cfg(ebpf)]
pub(super) struct Counting {
    sieve: Sieve,
    name: String,
}

/// Addresses of the interfaces.
#[cfg(ebpf)]
fn addresses(wanted: &Wanted) -> Vec<IpAddr> {
    let is = |name: &str| wanted.interfaces.iter().any(|i| i == ANY || i == name);
    let cards = list().unwrap_or_default().into_iter().filter(|c| is(&c.name));
    cards.flat_map(|c| c.addresses).collect()
}

/// What the host's kernel says beside packets.
#[cfg(ebpf)]
pub(super) struct Beside(HostProbes);

#[cfg(ebpf)]
impl Beside {
    /// Opens it, unless only packets are wanted; what of it cannot be had is told.
    pub(super) fn open(wanted: &Wanted) -> Option<Box<Self>> {
        let choice = &wanted.engine;
        // What is kept has to be judged alike, and no file holds this.
        if choice.engine == Engine::Pcap || wanted.keep.is_some() {
            return None;
        }
        let probes = HostProbes::open(addresses(wanted), choice.site.clone());
        match probes.missing.as_slice() {
            [(drops, why), (processes, same)] if why == same => {
                complain(&format!("not told: {drops}, and {processes}: {why}"));
            }
            missing => missing.iter().for_each(|(what, why)| complain(&format!("not told: {what}: {why}"))),
        }
        Some(Box::new(Self(probes)))
    }

    pub(super) fn with(self, opened: Opened) -> Opened {
        Opened { reader: Box::new(WithHost::new(opened.reader, self.0)), ..opened }
    }
}

#[cfg(ebpf)]
impl Counting {
    fn new(wanted: &Wanted) -> Result<Self, String> {
        let choice = &wanted.engine;
        // What cannot be said in a report is not done.
        let filter = wanted.filters.first().cloned();
        let asked = Asked {
            interfaces: wanted.interfaces.clone(),
            ring: choice.ring.unwrap_or(wanted.buffer),
            flows: choice.flows,
            site: filter.as_ref().map_or_else(Vec::new, |_| choice.site.clone()),
            filter,
        };
        let sieve = Sieve::open(&asked).map_err(|e| e.to_string())?;
        Ok(Self { sieve, name: wanted.name() })
    }

    pub(super) fn start(self) -> Result<Opened, RunError> {
        let halt = Halt::default();
        let (source, arrivals) = self.sieve.start(&halt, InputId(0)).map_err(|e| RunError::NoInput(e.to_string()))?;
        Ok(Opened { reader: Box::new(source), arrivals, name: self.name, halt: Some(halt) })
    }
}

/// There is nothing.
#[cfg(not(ebpf))]
pub(super) enum Beside {}

#[cfg(not(ebpf))]
impl Beside {
    pub(super) const fn open(_: &Wanted) -> Option<Box<Self>> {
        None
    }

    pub(super) fn with(self, _: super::source::Opened) -> super::source::Opened {
        match self {}
    }
}

/// There are none.
#[cfg(not(ebpf))]
pub(super) enum Counting {}

#[cfg(not(ebpf))]
impl Counting {
    fn new(_: &Wanted) -> Result<Self, String> {
        Err(portwitness::capture::NO_EBPF.to_owned())
    }

    pub(super) fn start(self) -> Result<super::source::Opened, RunError> {
        match self {}
    }
}
