//! What a capture shows, read with tshark: the ground truth that verdicts are held against.
//!
//! Deliberately a second implementation on a second tool, and a simple one: connections by their
//! SYN, whether they were answered, acknowledged, carried data. Nothing here knows roles or rules.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use crate::cmd::command;
use crate::failure::{Context, Failure, Result};

const SYN: u64 = 0x02;
const RST: u64 = 0x04;
const ACK: u64 = 0x10;

/// Originator, its port, responder, its port.
type Tuple = (IpAddr, u16, IpAddr, u16);

/// One TCP connection or attempt, told from its SYN.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection {
    /// Times of the SYNs, in seconds.
    syns: Vec<f64>,
    /// A SYN-ACK came, and the originator acknowledged it.
    answered: bool,
    acknowledged: bool,
    reset: bool,
    /// Payload of originator and responder.
    sent: u64,
    received: u64,
}

impl Connection {
    fn syn(&mut self, time: f64) {
        // The router's capture shows a packet once per interface; copies are microseconds apart.
        if self.syns.last().is_none_or(|last| time - last > 0.1) {
            self.syns.push(time);
        }
    }

    /// Established, with data from both sides.
    pub(crate) fn worked(&self) -> bool {
        self.answered && self.acknowledged && self.sent > 0 && self.received > 0
    }

    /// Several SYNs and nothing back, with the capture running long enough after the last one.
    fn unanswered(&self, end: f64) -> bool {
        let &[.., before, last] = self.syns.as_slice() else { return false };
        let open = f64::max(3.0, 2.0 * (last - before));
        !self.answered && !self.reset && end - last >= open
    }
}

/// All connections of one capture.
pub(crate) struct Truth {
    connections: BTreeMap<Tuple, Connection>,
    /// Time of the first and the last packet, in seconds.
    pub(crate) first: f64,
    pub(crate) last: f64,
    /// Ports the endpoint mapper named.
    pub(crate) mapped: Vec<u16>,
    /// Codes of the ICMP "destination unreachable" messages, in order.
    pub(crate) unreachable: Vec<u8>,
}

/// Who, to whom, on which port; the form in which tests say what they expect.
pub(crate) type Served = (IpAddr, IpAddr, u16);

impl Truth {
    pub(crate) fn of(capture: &Path) -> Result<Self> {
        let mut truth =
            Self { connections: BTreeMap::new(), first: f64::MAX, last: 0.0, mapped: vec![], unreachable: vec![] };
        for line in tshark(capture)?.lines() {
            truth.add(line).context(format!("tshark's line {line}"))?;
        }
        truth.mapped.dedup();
        Ok(truth)
    }

    fn add(&mut self, line: &str) -> Result<()> {
        let words: Vec<_> = line.split('\t').collect();
        let &[time, protocols, v4, v6, from_port, to4, to6, to_port, flags, length, mapped, rpc, icmp, code] =
            words.as_slice()
        else {
            return Err(Failure::new("has other columns"));
        };
        let (from, to) = if v4.is_empty() { (v6, to6) } else { (v4, to4) };
        let time: f64 = time.parse().context("time")?;
        self.first = self.first.min(time);
        self.last = self.last.max(time);
        // The request carries a port too, of no meaning; the response is type 2.
        if !mapped.is_empty() && rpc == "2" {
            self.mapped.push(mapped.parse().context("mapped port")?);
        }
        if icmp == "3" {
            self.unreachable.push(code.parse().context("ICMP code")?);
        }
        // An ICMP error quotes a TCP header; the quote is no packet of that connection.
        if from_port.is_empty() || protocols.contains("icmp") {
            return Ok(());
        }
        let (from, to): (IpAddr, IpAddr) = (from.parse().context("source")?, to.parse().context("destination")?);
        let (from_port, to_port) = (from_port.parse().context("port")?, to_port.parse().context("port")?);
        let flags = u64::from_str_radix(flags.trim_start_matches("0x"), 16).context("flags")?;
        let length: u64 = length.parse().context("length")?;
        let (there, back) = ((from, from_port, to, to_port), (to, to_port, from, from_port));
        if flags & (SYN | ACK) == SYN {
            self.connections.entry(there).or_default().syn(time);
        } else if let Some(connection) = self.connections.get_mut(&there) {
            connection.acknowledged |= connection.answered && flags & ACK != 0 && flags & RST == 0;
            connection.sent += length;
        } else if let Some(connection) = self.connections.get_mut(&back) {
            connection.answered |= flags & (SYN | ACK) == SYN | ACK;
            connection.reset |= flags & RST != 0;
            connection.received += length;
        }
        Ok(())
    }

    /// Every (originator, responder, port) that worked, in order, once each.
    pub(crate) fn worked(&self) -> Vec<Served> {
        self.filtered(Connection::worked)
    }

    /// Every (originator, responder, port) whose SYNs demonstrably stayed unanswered.
    pub(crate) fn unanswered(&self) -> Vec<Served> {
        self.filtered(|c| c.unanswered(self.last))
    }

    /// Every (originator, responder, port) that was answered with a reset instead of a SYN-ACK.
    pub(crate) fn refused(&self) -> Vec<Served> {
        self.filtered(|c| c.reset && !c.answered)
    }

    fn filtered(&self, keep: impl Fn(&Connection) -> bool) -> Vec<Served> {
        let kept = self.connections.iter().filter(|(_, c)| keep(c));
        let mut all: Vec<_> = kept.map(|(&(from, _, to, port), _)| (from, to, port)).collect();
        all.sort();
        all.dedup();
        all
    }
}

const FIELDS: [&str; 14] = [
    "frame.time_epoch",
    "frame.protocols",
    "ip.src",
    "ipv6.src",
    "tcp.srcport",
    "ip.dst",
    "ipv6.dst",
    "tcp.dstport",
    "tcp.flags",
    "tcp.len",
    "epm.proto.tcp_port",
    "dcerpc.pkt_type",
    "icmp.type",
    "icmp.code",
];

/// One line per packet. A small file needs no bound of its own beside the watchdog.
fn tshark(capture: &Path) -> Result<String> {
    let mut cmd = command("tshark", &["-n", "-r", &capture.to_string_lossy(), "-T", "fields", "-E", "occurrence=f"]);
    for field in FIELDS {
        cmd.args(["-e", field]);
    }
    let out = cmd.output().context("cannot start tshark")?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(Failure::new(format!("{cmd:?}: {}", String::from_utf8_lossy(&out.stderr))))
}
