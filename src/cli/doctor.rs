//! `portwitness doctor`: whether this program can capture here, and what is in the way.

use std::fmt::Write as _;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use portwitness::base::{RunError, Time, visible};

use super::output::Out;

const EXAMPLE: &str = "\
Exit status: 0 this program can capture here, 1 it cannot.

Example:
  portwitness doctor";

/// Say whether this program can capture here, and what is missing
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {}

/// What was found: a line or more under a word.
struct Page(String);

impl Page {
    fn row(&mut self, word: &str, text: &str) {
        for (i, line) in text.lines().enumerate() {
            let word = if i == 0 { word } else { "" };
            // Writing to a string cannot fail.
            let _written = writeln!(self.0, "{word:<12} {}", visible(line));
        }
    }
}

/// Looks, and says.
pub(super) fn run(_: &Args) -> Result<u8, RunError> {
    let mut page = Page(String::new());
    let able = capture(&mut page);
    page.row("clock", &clock());
    page.row("offload", OFFLOAD);
    Out::new().text(&page.0)?;
    Ok(if able { 0 } else { 1 })
}

const OFFLOAD: &str =
    "Network cards join segments before they are captured and cut them after it: frames may then be longer
than the wire's. Bytes are counted as captured, which is right; counts of packets are not the wire's.
\"ethtool -k IFACE\" says what a card does. Nothing needs to be switched off.";

/// Time counts when captures of several places are compared.
fn clock() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Time::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
    let source = fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let source = source.map_or_else(|_| String::new(), |s| format!(", source {}", s.trim()));
    let synchronised = match fs::metadata("/run/systemd/timesync/synchronized") {
        Ok(_) => "synchronised by systemd-timesyncd",
        Err(_) => "whether it is synchronised is not known here (chronyc tracking, timedatectl)",
    };
    format!("{} UTC{source}; {synchronised}", now.short())
}

#[cfg(live_capture)]
fn capture(page: &mut Page) -> bool {
    use portwitness::capture::interfaces::{ANY, Asked, InterfaceError, Interfaces, list};
    page.row("libpcap", &library());
    page.row("privileges", &privileges());
    let all = match list() {
        Ok(all) => all,
        Err(error) => {
            page.row("interfaces", &error.to_string());
            return false;
        }
    };
    for (i, card) in all.iter().enumerate() {
        let state = if card.up { "up" } else { "down" };
        let addresses: Vec<String> = card.addresses.iter().map(ToString::to_string).collect();
        let addresses = if addresses.is_empty() { "no address".to_owned() } else { addresses.join(", ") };
        page.row(if i == 0 { "interfaces" } else { "" }, &format!("{:<18} {state:<5} {addresses}", card.name));
    }
    let names: Vec<&str> = all.iter().map(|c| c.name.as_str()).collect();
    let one = if cfg!(target_os = "linux") { ANY } else { names.first().copied().unwrap_or(ANY) };
    let asked = Asked {
        interfaces: vec![one.to_owned()],
        snaplen: 96,
        buffer: 1024 * 1024,
        promiscuous: false,
        filters: Vec::new(),
        strict: false,
    };
    let tried = Interfaces::open(&asked).map(drop);
    match &tried {
        Ok(()) => page.row("capture", &format!("works: portwitness watch --site site.toml -i {one}")),
        Err(InterfaceError::Permission(_)) => page.row("capture", &format!("not allowed.\n{}", grant())),
        Err(error) => page.row("capture", &error.to_string()),
    }
    kernel(page);
    tried.is_ok()
}

/// What the kernel's programs can do here; each part works without the others.
#[cfg(ebpf)]
fn kernel(page: &mut Page) {
    use portwitness::capture::ebpf::{Asked, HostProbes, Sieve, missing_capabilities};
    use portwitness::capture::interfaces::ANY;
    let asked = Asked { interfaces: vec![ANY.to_owned()], ring: 4096, flows: 16, ..Asked::default() };
    let counting = match Sieve::open(&asked) {
        Ok(_) => "works: counts plain packets in the kernel (watch --engine ebpf, auto)".to_owned(),
        Err(why) => format!("does not work; watch uses libpcap: {why}"),
    };
    page.row("ebpf", &counting);
    let probes = HostProbes::open(Vec::new(), Vec::new());
    for what in probes.told() {
        page.row("", &format!("tells {what}"));
    }
    for (what, why) in &probes.missing {
        page.row("", &format!("does not tell {what}: {why}"));
    }
    if !missing_capabilities().is_empty() {
        let program = program();
        page.row("", &format!("to allow it: sudo setcap cap_bpf,cap_net_raw,cap_perfmon=ep {program}"));
    }
}

#[cfg(all(live_capture, not(ebpf)))]
fn kernel(page: &mut Page) {
    page.row("ebpf", &format!("not in this program: {}", portwitness::capture::NO_EBPF));
}

#[cfg(not(live_capture))]
fn capture(page: &mut Page) -> bool {
    page.row("capture", "this program was built without live capture; it judges what other programs capture:");
    page.row("", "tcpdump -U -w - | portwitness watch --site site.toml -");
    false
}

/// This program, as a shell takes it.
#[cfg(live_capture)]
fn program() -> String {
    let program =
        std::env::current_exe().map_or_else(|_| "portwitness".to_owned(), |p| p.to_string_lossy().into_owned());
    portwitness::base::shell_word(&program).into_owned()
}

/// How to allow it.
#[cfg(live_capture)]
fn grant() -> String {
    let program = program();
    if cfg!(target_os = "linux") {
        format!("Run it as root, or allow this program alone:\n  sudo setcap cap_net_raw=ep {program}")
    } else {
        "Run it as root, or allow your user to read /dev/bpf*.".to_owned()
    }
}

/// Its version stands in the name of the file that was loaded: libpcap.so.1.10.5.
#[cfg(live_capture)]
fn library() -> String {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let file = maps.lines().filter_map(|l| l.split_whitespace().last()).find(|f| f.contains("libpcap"));
    file.unwrap_or("linked in; its version is not known here").to_owned()
}

#[cfg(all(live_capture, target_os = "linux"))]
fn privileges() -> String {
    use rustix::thread::{CapabilitySet, capabilities};
    let user = rustix::process::geteuid().as_raw();
    let root = if user == 0 { " (root)" } else { "" };
    let Ok(sets) = capabilities(None) else { return format!("user {user}{root}") };
    let has = |set: CapabilitySet, needed: CapabilitySet| if set.contains(needed) { "yes" } else { "no" };
    format!(
        "user {user}{root}; CAP_NET_RAW {}, CAP_NET_ADMIN {} (not needed)\nroot and capabilities are given up once interfaces are open",
        has(sets.effective, CapabilitySet::NET_RAW),
        has(sets.effective, CapabilitySet::NET_ADMIN)
    )
}

#[cfg(all(live_capture, not(target_os = "linux")))]
fn privileges() -> String {
    "as this user".to_owned()
}
