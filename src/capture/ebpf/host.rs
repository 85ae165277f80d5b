//! Two probes that tell what packets cannot: which segments the host's own kernel drops (`dropped.bpf.c`), and which process
//! has a connection (`opened.bpf.c`). Each works without the other, and without the sieve.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::os::linux::fs::MetadataExt as _;

use aya::maps::{MapData, RingBuf};
use aya::programs::{ProgramError, RawTracePoint};
use aya::{Btf, Ebpf, EbpfLoader};
use ipnet::IpNet;

use super::super::event::{Event, FrameSource, Growth};
use super::super::host::{Dropped, HostFact, Process, Socket};
use super::super::meta::InputMeta;
use super::record::{array, u16_at, u32_at, u64_at};
use super::{Unable, allowed, btf, missing, procfs, refused, source};
use crate::base::{Time, WireText};

static DROPPED: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/dropped.bpf.o"));
static OPENED: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/opened.bpf.o"));

const TYPES: &str = "/sys/kernel/btf/vmlinux";
/// How the kernel's names of reasons begin.
const PREFIX: &str = "SKB_DROP_REASON_";
/// Flags of a segment that answers a SYN.
const ACK: u8 = 0x10;
/// States of TCP sockets as the kernel numbers them.
const SYN_SENT: u8 = 2;
const LISTENING: u8 = 10;

/// What each probe tells.
const DROPS: &str = "packets that this host's own firewall drops";
const PROCESSES: &str = "processes that open and accept connections";

/// A probe in the kernel.
struct Probe {
    ring: RingBuf<MapData>,
    // The program is taken off with it.
    _program: Ebpf,
}

/// What the host's kernel says.
pub struct HostProbes {
    drops: Option<Probe>,
    opens: Option<Probe>,
    reasons: BTreeMap<u32, String>,
    site: Vec<IpNet>,
    offset: i64,
    ready: VecDeque<HostFact>,
    /// What will not be told, and why.
    pub missing: Vec<(&'static str, Unable)>,
}

impl HostProbes {
    /// What will be told.
    pub fn told(&self) -> Vec<&'static str> {
        let both = [(self.drops.is_some(), DROPS), (self.opens.is_some(), PROCESSES)];
        both.into_iter().filter(|(told, _)| *told).map(|(_, what)| what).collect()
    }

    /// Opens both probes as far as that is possible. `site`: addresses that drops are told about; empty for all.
    pub fn open(addresses: Vec<IpAddr>, site: Vec<IpNet>) -> Self {
        let types = fs::read(TYPES).unwrap_or_default();
        let mut this = Self {
            drops: None,
            opens: None,
            reasons: btf::enumeration(&types, "skb_drop_reason"),
            site,
            offset: source::offset(),
            ready: VecDeque::from([HostFact::Addresses(addresses)]),
            missing: Vec::new(),
        };
        let drops = if let Err(why) = allowed() {
            Err(why)
        } else if this.reasons.is_empty() {
            Err(Unable("this kernel's type information has no reasons of drops (Linux 5.17 with BTF has)".to_owned()))
        } else {
            probe(DROPPED, "dropped", "kfree_skb")
        };
        match drops {
            Ok(probe) => this.drops = Some(probe),
            Err(why) => this.missing.push((DROPS, why)),
        }
        match allowed().and_then(|()| probe(OPENED, "opened", "inet_sock_set_state")) {
            Ok(probe) => {
                this.opens = Some(probe);
                // After the probe has begun, so that nothing falls between.
                this.ready.extend(procfs::sockets().into_iter().map(|(socket, p)| HostFact::Owns(socket, Some(p))));
            }
            Err(why) => this.missing.push((PROCESSES, why)),
        }
        this
    }

    fn time(&self, kernel: u64) -> Time {
        Time::from_nanos(self.offset.saturating_add_unsigned(kernel))
    }

    /// The next thing that was said.
    fn next(&mut self) -> Option<HostFact> {
        if let Some(fact) = self.ready.pop_front() {
            return Some(fact);
        }
        loop {
            let raw = self.drops.as_mut().and_then(|p| p.ring.next().map(|item| item.to_vec()));
            let Some(raw) = raw else { break };
            if let Some(fact) = self.dropped(&raw) {
                return Some(fact);
            }
        }
        loop {
            let raw = self.opens.as_mut().and_then(|p| p.ring.next().map(|item| item.to_vec()))?;
            if let Some(fact) = self.owned(&raw) {
                return Some(fact);
            }
        }
    }

    fn dropped(&self, raw: &[u8]) -> Option<HostFact> {
        let (src, dst) = (address(raw, 28)?, address(raw, 44)?);
        let port = |at| array(raw, at).map(u16::from_be_bytes);
        let of_site = |a: IpAddr| self.site.iter().any(|n| n.contains(&a));
        if !self.site.is_empty() && !of_site(src) && !of_site(dst) {
            return None;
        }
        let reason = u32_at(raw, 8)?;
        let name = self.reasons.get(&reason).map_or_else(|| format!("reason {reason}"), |n| short(n).to_owned());
        // Seen beside a switch or a bridge, and never this host's.
        if name == "OTHERHOST" {
            return None;
        }
        let [flags] = array(raw, 12)?;
        Some(HostFact::Dropped(Dropped {
            at: self.time(u64_at(raw, 0)?),
            src: (src, port(16)?),
            dst: (dst, port(18)?),
            seq: array(raw, 20).map(u32::from_be_bytes)?,
            answer: flags & ACK != 0,
            reason: name,
        }))
    }

    fn owned(&self, raw: &[u8]) -> Option<HostFact> {
        let (local, remote) = (address(raw, 28)?, address(raw, 44)?);
        let [_, after] = array(raw, 20)?;
        let (port, to) = (u16_at(raw, 24)?, array(raw, 26).map(u16::from_be_bytes)?);
        let text = |at: usize| {
            let bytes: [u8; 64] = array(raw, at)?;
            let end = bytes.iter().position(|b| *b == 0)?;
            Some(WireText::new(bytes.get(..end).filter(|b| !b.is_empty())?))
        };
        let pid = u32_at(raw, 16).filter(|pid| *pid != 0);
        let process = text(60).map(|program| Process { pid, program, unit: text(124) });
        let socket = u64_at(raw, 8)?;
        let at = self.time(u64_at(raw, 0)?);
        Some(match after {
            LISTENING => HostFact::Owns(Socket::Listens((local, port)), process),
            SYN_SENT => {
                let local = (local, Some(port).filter(|p| *p != 0));
                HostFact::Owns(Socket::Connects { at, local, remote: (remote, to), socket }, process)
            }
            _ => HostFact::Owns(Socket::Bound { socket, port: Some(port).filter(|p| *p != 0)? }, None),
        })
    }
}

fn short(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

fn address(raw: &[u8], at: usize) -> Option<IpAddr> {
    let addr = Ipv6Addr::from(array::<16>(raw, at)?);
    Some(addr.to_ipv4_mapped().map_or(IpAddr::V6(addr), IpAddr::V4))
}

/// Loads a program and hangs it onto a raw tracepoint.
fn probe(object: &[u8], name: &str, at: &str) -> Result<Probe, Unable> {
    let types = Btf::from_sys_fs().map_err(|_| Unable(format!("this kernel has no type information ({TYPES})")))?;
    let inode = |path: &str| fs::metadata(path).map_or((0, 0), |m| (m.st_dev(), m.st_ino()));
    let (netns, (device, pidns)) = (inode("/proc/self/ns/net").1, inode("/proc/self/ns/pid"));
    let netns = u32::try_from(netns).unwrap_or_default();
    let mut loader = EbpfLoader::new();
    loader
        .btf(Some(&types))
        .override_global("netns", &netns, true)
        .override_global("pidns_device", &device, false)
        .override_global("pidns", &pidns, false);
    let mut program = loader.load(object).map_err(|e| refused(&e))?;
    let ring = program.take_map("ring").and_then(|m| RingBuf::try_from(m).ok());
    let ring = ring.ok_or_else(|| Unable("its ring is not there".to_owned()))?;
    let found = program.program_mut(name).and_then(|p| <&mut RawTracePoint>::try_from(p).ok());
    let found = found.ok_or_else(|| Unable("the program is not there".to_owned()))?;
    let said = |e: ProgramError| match e {
        ProgramError::LoadError { io_error, .. } => {
            Unable(format!("the kernel does not take the program: {io_error}{}", missing(&io_error)))
        }
        other => Unable(format!("it cannot be attached to {at}: {other}")),
    };
    found.load().map_err(said)?;
    found.attach(at).map_err(said)?;
    Ok(Probe { ring, _program: program })
}

/// A source of frames, and what the host's kernel says beside them.
pub struct WithHost {
    inner: Box<dyn Growth>,
    host: HostProbes,
}

impl WithHost {
    /// Both together.
    pub fn new(inner: Box<dyn Growth>, host: HostProbes) -> Self {
        Self { inner, host }
    }
}

impl FrameSource for WithHost {
    fn next(&mut self) -> Option<Event<'_>> {
        match self.host.next() {
            Some(fact) => Some(Event::Host(fact)),
            None => self.inner.next(),
        }
    }

    fn finish(&mut self) -> InputMeta {
        self.inner.finish()
    }
}

impl Growth for WithHost {
    fn is_waiting(&self) -> bool {
        self.inner.is_waiting()
    }
}

impl std::fmt::Debug for HostProbes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "probes: drops {}, processes {}", self.drops.is_some(), self.opens.is_some())
    }
}

impl std::fmt::Debug for WithHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.host.fmt(f)
    }
}
