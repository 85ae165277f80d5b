//! Capture commands. Syntax after the manuals of pktmon (Microsoft, "pktmon start", "pktmon filter add", "pktmon etl2pcap"),
//! dumpcap (Wireshark 4) and tcpdump 4.99.
//!
//! Filters are by address, never by port: later fragments carry no ports, and ICMP errors come from routers in between, so all
//! ICMP is kept. dumpcap gets no filter: it would be recorded in the file, and what a recorded filter could have left out is
//! never called missing.

use std::net::IpAddr;

use serde::Serialize;

use crate::matrix::Os;

/// pktmon takes up to eight filters on the oldest Windows that has it.
const PKTMON_FILTERS: usize = 8;

/// A capture filter longer than this is left out: it would not be typed, and a host sees its own traffic anyway.
const PEERS: usize = 24;

/// A program that captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// Comes with Windows 10 2004, Server 2022 and later.
    Pktmon,
    /// Comes with Wireshark.
    Dumpcap,
    /// On nearly every Linux.
    Tcpdump,
}

impl Tool {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pktmon => "pktmon",
            Self::Dumpcap => "dumpcap",
            Self::Tcpdump => "tcpdump",
        }
    }
}

/// One way to capture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Command {
    /// The program.
    pub tool: Tool,
    /// When to take this one.
    pub when: String,
    /// Lines to run before the restore.
    pub start: Vec<String>,
    /// Lines to run 30 seconds after it; empty: Ctrl-C.
    pub stop: Vec<String>,
    /// What to know.
    pub notes: Vec<String>,
}

/// What to capture.
pub(super) struct Job {
    /// File name without its ending.
    pub(super) stem: String,
    /// Addresses of the other hosts.
    pub(super) peers: Vec<IpAddr>,
    /// Bytes of each frame; 0: all.
    pub(super) snaplen: u32,
    /// On a mirror port.
    pub(super) mirror: bool,
}

impl Job {
    /// File that the first command leaves.
    pub(super) fn file(&self, os: Os) -> String {
        match os {
            Os::Windows => format!("{}.pcapng", self.stem),
            Os::Linux => format!("{}.pcap", self.stem),
        }
    }

    /// Ways to capture under an operating system.
    pub(super) fn commands(&self, os: Os) -> Vec<Command> {
        match os {
            Os::Windows => vec![self.pktmon(), self.dumpcap("Ethernet")],
            Os::Linux => vec![self.tcpdump(), self.rotating(), self.dumpcap("any")],
        }
    }

    fn v6(&self) -> bool {
        self.peers.iter().any(IpAddr::is_ipv6)
    }

    fn pktmon(&self) -> Command {
        let mut start = vec!["pktmon stop".to_owned(), "pktmon filter remove".to_owned()];
        let icmp = if self.v6() { vec!["ICMP", "ICMPv6"] } else { vec!["ICMP"] };
        let filtered = self.peers.len() + icmp.len() <= PKTMON_FILTERS;
        if filtered {
            start.extend(self.peers.iter().map(|a| format!("pktmon filter add -i {a}")));
            start.extend(icmp.iter().map(|t| format!("pktmon filter add -t {t}")));
        }
        start.push(format!(
            "pktmon start --capture --comp nics --pkt-size {} --file-size 4096 --file-name {}.etl",
            self.snaplen, self.stem
        ));
        let stop = vec!["pktmon stop".to_owned(), format!("pktmon etl2pcap {0}.etl --out {0}.pcapng", self.stem)];
        let mut notes = vec![
            "As administrator. Without --pkt-size it keeps 128 bytes of a frame, without --comp nics it repeats a packet for every component of the stack.".to_owned(),
            "The file holds 4096 MB; after that the oldest packets are overwritten.".to_owned(),
        ];
        if !filtered {
            notes.push(format!(
                "No filters: {} addresses and ICMP are more than the {PKTMON_FILTERS} that pktmon may take.",
                self.peers.len()
            ));
        }
        Command { tool: Tool::Pktmon, when: "nothing to install".to_owned(), start, stop, notes }
    }

    fn dumpcap(&self, interface: &str) -> Command {
        let snaplen = if self.snaplen == 0 { String::new() } else { format!(" -s {}", self.snaplen) };
        let interface = if self.mirror { "IFACE" } else { interface };
        let start = vec![format!("dumpcap -i {interface} -B 64{snaplen} -w {}.pcapng", self.stem)];
        let mut notes = vec![
            "No capture filter: the file would record it, and what it could have left out is never called missing."
                .to_owned(),
        ];
        if interface != "any" {
            notes.push("dumpcap -D lists the interfaces; repeat -i for several.".to_owned());
        }
        Command {
            tool: Tool::Dumpcap,
            when: "where Wireshark is installed: the file records losses".to_owned(),
            start,
            stop: Vec::new(),
            notes,
        }
    }

    fn tcpdump(&self) -> Command {
        let mut notes = Vec::new();
        if self.mirror {
            notes.push("IFACE is the interface behind the mirror port; tcpdump -D lists them. The filter's second half is for frames with a VLAN tag.".to_owned());
        } else {
            notes.push("-i any takes every interface: the site may say complete = true for this place. A tcpdump that does not know LINUX_SLL2 runs without -y.".to_owned());
        }
        notes.push("A packet that this host's own firewall drops on its way out is not in the file.".to_owned());
        Command {
            tool: Tool::Tcpdump,
            when: "as root".to_owned(),
            start: vec![self.tcpdump_line("", &format!("{}.pcap", self.stem))],
            stop: Vec::new(),
            notes,
        }
    }

    /// Twenty files of a gigabyte (tcpdump counts millions of bytes), the oldest overwritten.
    fn rotating(&self) -> Command {
        Command {
            tool: Tool::Tcpdump,
            when: "for days, in 20 files of 1 GB of which the oldest is overwritten".to_owned(),
            start: vec![self.tcpdump_line(" -C 1000 -W 20 -Z root", &format!("{}.pcap", self.stem))],
            stop: Vec::new(),
            notes: vec![
                "Rotated files are numbered: give verify each of them, --at PLACE=FILE once per file.".to_owned(),
            ],
        }
    }

    fn tcpdump_line(&self, rotation: &str, file: &str) -> String {
        let from = if self.mirror { "-i IFACE" } else { "-i any -y LINUX_SLL2" };
        let filter = self.filter().map_or_else(String::new, |f| format!(" '{f}'"));
        format!("tcpdump -n {from} -s {} -B 16384 -U{rotation} -w {file}{filter}", self.snaplen)
    }

    /// A filter in libpcap's language. Behind a mirror port frames may carry a VLAN tag, which hides the addresses from the
    /// plain form; `vlan` shifts all that follows it, so it stands last.
    fn filter(&self) -> Option<String> {
        if self.peers.is_empty() || self.peers.len() > PEERS {
            return None;
        }
        let hosts: Vec<String> = self.peers.iter().map(|a| format!("host {a}")).collect();
        let plain = format!("{} or icmp or icmp6", hosts.join(" or "));
        Some(if self.mirror { format!("{plain} or (vlan and ({plain}))") } else { plain })
    }
}
