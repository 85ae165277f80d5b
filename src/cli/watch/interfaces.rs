//! `watch -i`: what is asked of an interface.

use std::path::PathBuf;
use std::time::Duration;

use portwitness::base::RunError;
use portwitness::site::{Site, capture_filters, widened};

use super::engine::{Choice, EngineArgs};
use super::keep;
use super::stop;

/// Bytes kept of each packet where nothing is said.
const SNAPLEN: u32 = 262_144;

/// Interfaces and how to capture on them.
#[derive(Debug, clap::Args)]
pub(super) struct InterfaceArgs {
    /// Capture on this interface; "any": on all of them
    #[arg(long, short, value_name = "IFACE")]
    pub(super) interface: Vec<String>,
    #[command(flatten)]
    engine: EngineArgs,
    /// Bytes kept of each packet
    #[arg(long, value_name = "BYTES", default_value_t = SNAPLEN, requires = "interface")]
    snaplen: u32,
    /// The kernel's buffer per interface, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024), requires = "interface")]
    buffer: u32,
    /// Also packets for other hosts, as at a mirror port
    #[arg(long, requires = "interface")]
    promiscuous: bool,
    /// Also what this libpcap filter takes
    #[arg(long, value_name = "EXPRESSION", requires = "interface")]
    filter: Option<String>,
    /// Do not leave packets to the kernel that cannot concern the site
    #[arg(long, requires = "interface")]
    no_site_filter: bool,
    /// Keep what is captured
    #[arg(long, value_name = "FILE.pcapng", requires = "interface")]
    write: Option<PathBuf>,
    /// Begin another file after so many MB
    #[arg(long, value_name = "MB", requires = "write")]
    rotate_size: Option<u64>,
    /// Begin another file after so long: 90s, 30m, 2h
    #[arg(long, value_name = "TIME", value_parser = stop::duration, requires = "write")]
    rotate_time: Option<Duration>,
    /// Keep only the newest files
    #[arg(long, value_name = "FILES", requires = "write")]
    ring: Option<usize>,
}

/// What the arguments mean.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) interfaces: Vec<String>,
    pub(super) snaplen: u32,
    /// In bytes.
    pub(super) buffer: u32,
    pub(super) promiscuous: bool,
    pub(super) filters: Vec<String>,
    /// The filter was asked for.
    pub(super) strict: bool,
    pub(super) keep: Option<keep::How>,
    pub(super) engine: Choice,
}

impl InterfaceArgs {
    /// What is wanted; `None` where no interface is named.
    ///
    /// # Errors
    /// A ring of files without what begins another one.
    pub(super) fn wanted(self, site: Option<&Site>) -> Result<Option<Wanted>, RunError> {
        if self.interface.is_empty() {
            return Ok(None);
        }
        if self.ring.is_some() && self.rotate_size.is_none() && self.rotate_time.is_none() {
            let text = "--ring needs --rotate-size or --rotate-time: otherwise there is one file";
            return Err(RunError::Config(text.to_owned()));
        }
        let only_pcap = only_pcap(&self);
        let engine = self.engine.choice(only_pcap, site.filter(|_| !self.no_site_filter));
        let mut interfaces: Vec<String> = Vec::new();
        for name in self.interface {
            if !interfaces.contains(&name) {
                interfaces.push(name);
            }
        }
        if interfaces.len() > 1 && interfaces.iter().any(|i| i == "any") {
            let text = "\"-i any\" takes all interfaces; name no other one beside it";
            return Err(RunError::Config(text.to_owned()));
        }
        let site = if self.no_site_filter { Vec::new() } else { site.map(capture_filters).unwrap_or_default() };
        let filters = match &self.filter {
            None => site,
            Some(own) if site.is_empty() => vec![own.clone()],
            Some(own) => widened(&site, own),
        };
        let (size, time, ring) = (self.rotate_size.map(|mb| mb.saturating_mul(1_000_000)), self.rotate_time, self.ring);
        Ok(Some(Wanted {
            interfaces,
            snaplen: self.snaplen.clamp(1, 262_144),
            buffer: self.buffer.saturating_mul(1024 * 1024).min(i32::MAX.unsigned_abs()),
            promiscuous: self.promiscuous,
            strict: self.filter.is_some(),
            filters,
            engine,
            keep: self.write.map(|path| keep::How { path, size, time, ring }),
        }))
    }
}

/// What is asked for that only libpcap does.
fn only_pcap(args: &InterfaceArgs) -> Option<&'static str> {
    let asked = [
        (args.write.is_some(), "--write"),
        (args.filter.is_some(), "--filter"),
        (args.promiscuous, "--promiscuous"),
        (args.snaplen != SNAPLEN, "--snaplen"),
    ];
    asked.into_iter().find(|(asked, _)| *asked).map(|(_, what)| what)
}

impl Wanted {
    /// As the report names it.
    pub(super) fn name(&self) -> String {
        self.interfaces.join(",")
    }
}
