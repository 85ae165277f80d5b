//! Live capture by a program in the kernel: data in order and the acknowledgements of it are counted where they pass, and
//! only what says more rises, as ordinary frames. What is counted and what rises come to the same flows as all frames would.
//!
//! The program is a filter of packet sockets (`sieve.bpf.c`): it sees frames and changes none, and it is gone with the
//! process, however that ends. Its time is the kernel's monotonic clock, moved by an offset measured when it begins.

mod btf;
mod host;
mod procfs;
mod record;
mod socket;
mod source;

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use aya::maps::lpm_trie::{Key as NetKey, LpmTrie};
use aya::maps::{Array, HashMap, MapData, MapError, RingBuf};
use aya::programs::{ProgramError, SocketFilter};
use aya::{Ebpf, EbpfError, EbpfLoader};
use ipnet::IpNet;
use rustix::net::netdevice::name_to_index;
use rustix::thread::{CapabilitySet, capabilities};

pub use self::host::{HostProbes, WithHost};
use self::record::{FLOW, KEY};
pub use self::source::Source;
use super::interfaces::ANY;

/// The program, as clang made it.
static SIEVE: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sieve.bpf.o"));

/// Networks a site filter may have.
const NETS: usize = 4096;
/// Hardware types whose frames begin with an Ethernet header: Ethernet itself and loopback.
const FRAMED: [u16; 2] = [1, 772];

/// What to capture.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Interfaces by name.
    pub interfaces: Vec<String>,
    /// Bytes of the ring that frames rise through; made a power of two.
    pub ring: u32,
    /// Flows that may be counted at a time; 0 for as many as usual. What has no room rises whole.
    pub flows: u32,
    /// Addresses that what rises has to do with; empty for all.
    pub site: Vec<IpNet>,
    /// What `site` stands for in libpcap's language, as the report names it.
    pub filter: Option<String>,
}

/// Why it cannot be used here, in plain words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unable(pub String);

impl std::fmt::Display for Unable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unable {}

/// What the kernel lets privileged programs alone do, and how it is called: load programs, look at memory of the kernel and
/// follow pointers, capture. CAP_NET_ADMIN is not needed.
const NEEDED: [(CapabilitySet, &str); 3] =
    [(CapabilitySet::BPF, "CAP_BPF"), (CapabilitySet::PERFMON, "CAP_PERFMON"), (CapabilitySet::NET_RAW, "CAP_NET_RAW")];

/// Capabilities that this process lacks, by name.
pub fn missing_capabilities() -> Vec<&'static str> {
    let Ok(sets) = capabilities(None) else { return Vec::new() };
    let lacks = |(set, _): &&(CapabilitySet, &str)| !sets.effective.contains(*set);
    NEEDED.iter().filter(lacks).map(|(_, name)| *name).collect()
}

/// The sieve, in the kernel and attached; what it lets rise waits there.
pub struct Sieve {
    maps: Maps,
    sockets: Vec<Socket>,
    /// Addresses of its interfaces, but for those that every host has.
    addresses: Vec<IpAddr>,
    filter: Option<String>,
    /// Whether frames begin with an Ethernet header.
    framed: bool,
    offset: i64,
}

struct Maps {
    ring: RingBuf<MapData>,
    flows: HashMap<MapData, [u8; KEY], [u8; FLOW]>,
    lost: Array<MapData, u64>,
}

struct Socket {
    name: String,
    /// 0 for all interfaces.
    index: u32,
    // Closed when this is dropped, and with it the filter.
    socket: OwnedFd,
}

impl Socket {
    /// Whether there is no such interface any more.
    fn is_gone(&self) -> bool {
        name_to_index(&self.socket, &self.name) != Ok(self.index)
    }
}

impl Sieve {
    /// Loads the program and attaches it. Privileges can be given up afterwards.
    ///
    /// # Errors
    /// Where the kernel does not do it, or not for this process.
    pub fn open(asked: &Asked) -> Result<Self, Unable> {
        let any = asked.interfaces.iter().any(|i| i == ANY);
        if any && asked.interfaces.len() > 1 {
            return Err(Unable(format!("\"{ANY}\" and other interfaces together")));
        }
        allowed()?;
        readable_later()?;
        let framed = !any;
        let mut program = load(asked, framed)?;
        let sockets = asked.interfaces.iter().map(|name| attach(&mut program, name, framed));
        let sockets = sockets.collect::<Result<_, _>>()?;
        let maps = Maps::of(&mut program)?;
        Ok(Self {
            maps,
            sockets,
            addresses: addresses(&asked.interfaces),
            filter: asked.filter.clone(),
            framed,
            offset: source::offset(),
        })
    }
}

impl Maps {
    fn of(program: &mut Ebpf) -> Result<Self, Unable> {
        let mut take =
            |name: &str| program.take_map(name).ok_or_else(|| Unable(format!("its map {name} is not there")));
        let said = |e: MapError| Unable(format!("its maps are not as expected: {e}"));
        Ok(Self {
            ring: RingBuf::try_from(take("ring")?).map_err(said)?,
            flows: HashMap::try_from(take("flows")?).map_err(said)?,
            lost: Array::try_from(take("lost")?).map_err(said)?,
        })
    }
}

fn load(asked: &Asked, framed: bool) -> Result<Ebpf, Unable> {
    let nets: Vec<IpNet> = asked.site.iter().map(IpNet::trunc).collect();
    if nets.len() > NETS {
        return Err(Unable(format!("the site has more than {NETS} addresses")));
    }
    let ring = asked.ring.clamp(4096, 1 << 30).next_power_of_two();
    let (framed, filtered, wake) = (u32::from(framed), u32::from(!nets.is_empty()), ring / 4);
    let mut loader = EbpfLoader::new();
    loader
        .override_global("framed", &framed, true)
        .override_global("filtered", &filtered, true)
        .override_global("wake_above", &wake, true)
        .map_max_entries("ring", ring);
    if asked.flows > 0 {
        loader.map_max_entries("flows", asked.flows);
    }
    let mut program = loader.load(SIEVE).map_err(|e| refused(&e))?;
    let site = program.map_mut("site").ok_or_else(|| Unable("its map of addresses is not there".to_owned()))?;
    let mut site: LpmTrie<_, [u8; 16], u32> =
        LpmTrie::try_from(site).map_err(|e| Unable(format!("its map of addresses is not as expected: {e}")))?;
    for net in nets {
        let (bits, octets) = match net {
            IpNet::V4(n) => (96 + u32::from(n.prefix_len()), n.addr().to_ipv6_mapped().octets()),
            IpNet::V6(n) => (u32::from(n.prefix_len()), n.addr().octets()),
        };
        site.insert(&NetKey::new(bits, octets), 1, 0).map_err(|e| Unable(format!("addresses are refused: {e}")))?;
    }
    let filter = sieve(&mut program)?;
    filter.load().map_err(|e| not_loaded(&e))?;
    Ok(program)
}

fn sieve(program: &mut Ebpf) -> Result<&mut SocketFilter, Unable> {
    let found = program.program_mut("sieve").and_then(|p| p.try_into().ok());
    found.ok_or_else(|| Unable("the program is not there".to_owned()))
}

fn attach(program: &mut Ebpf, name: &str, framed: bool) -> Result<Socket, Unable> {
    let failed = |doing: &str, e: io::Error| {
        let lacking = missing(&e);
        Unable(format!("cannot {doing} {name}: {e}{lacking}"))
    };
    let socket = socket::open(framed).map_err(|e| failed("open a packet socket for", e))?;
    let index = if framed { name_to_index(&socket, name).map_err(|e| failed("find", e.into()))? } else { 0 };
    sieve(program)?.attach(&socket).map_err(|e| Unable(format!("cannot attach to {name}: {e}")))?;
    socket::bind(&socket, index).map_err(|e| failed("listen on", e))?;
    let hardware = socket::hardware(&socket).map_err(|e| failed("ask for", e))?;
    if framed && !FRAMED.contains(&hardware) {
        return Err(Unable(format!("{name} is no Ethernet interface (hardware type {hardware})")));
    }
    Ok(Socket { name: name.to_owned(), index, socket })
}

/// The addresses of interfaces, as far as libpcap can list them.
fn addresses(names: &[String]) -> Vec<IpAddr> {
    let cards = super::interfaces::list().unwrap_or_default();
    let ours = cards.into_iter().filter(|c| names.iter().any(|n| n == ANY || *n == c.name));
    ours.flat_map(|c| c.addresses).filter(|a| !a.is_loopback()).collect()
}

/// Maps are read after privileges were given up. Before Linux 5.19 that needs them where programs of others are forbidden.
fn readable_later() -> Result<(), Unable> {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map(|n| n.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let forbidden = std::fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled");
    if version < (5, 19) && forbidden.is_ok_and(|f| f.trim() != "0") {
        return Err(Unable(format!("Linux {release} lets only privileged programs read what is counted; 5.19 does")));
    }
    Ok(())
}

fn refused(error: &EbpfError) -> Unable {
    if let EbpfError::MapError(MapError::CreateError { io_error, .. }) = error {
        return Unable(format!("the kernel makes no map: {io_error}{}", missing(io_error)));
    }
    Unable(format!("the program cannot be loaded: {error}"))
}

fn not_loaded(error: &ProgramError) -> Unable {
    match error {
        // The verifier's log is for those who write programs.
        ProgramError::LoadError { io_error, .. } => {
            Unable(format!("the kernel does not take the program: {io_error}{}", missing(io_error)))
        }
        other => Unable(format!("the program cannot be loaded: {other}")),
    }
}

/// Whether this process may load programs at all. Where the kernel's capabilities are older than these, it will say so itself.
fn allowed() -> Result<(), Unable> {
    let lacking = missing_capabilities();
    let lacking: Vec<&str> = lacking.into_iter().filter(|c| *c != "CAP_NET_RAW").collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Unable(format!("missing {}", lacking.join(" and "))))
}

/// Which capability may be missing, where that is the trouble.
fn missing(error: &io::Error) -> String {
    let lacking = missing_capabilities();
    if error.kind() == io::ErrorKind::PermissionDenied && !lacking.is_empty() {
        format!("; missing {}", lacking.join(", "))
    } else {
        String::new()
    }
}

impl std::fmt::Debug for Sieve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.sockets.iter().map(|s| s.name.as_str()).collect();
        write!(f, "sieve on {}", names.join(", "))
    }
}
