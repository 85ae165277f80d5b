//! Live capture with libpcap: interfaces as one stream of pcapng blocks.
//!
//! A thread per interface receives and hands over, nothing else: packets as blocks, whole batches at a time, over a bounded
//! channel. What finds no room there is counted and told as the system's drops are. Counters are written every second, so the
//! stream says until when it saw nothing: once the packets from before they were read are in. A packet's time is the kernel's;
//! that of counters is this host's clock. Several interfaces are merged by time.

use std::io::{self, Cursor, Read};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use pcap::{Active, Capture, Device, Linktype, Precision};

use super::merge::{Batch, Merge};
use super::patience::{impatient, wait};
use super::write::{Counters, InterfaceHead, interface, packet, section, statistics};
use crate::base::{Span, Time};

/// Interface that stands for all of a Linux host's.
pub const ANY: &str = "any";
/// Linux cooked capture, version 2: it names the interface in every frame.
const SLL2: i32 = 276;
/// Whether times are asked for in nanoseconds. Only Linux' libpcap gives them; elsewhere asking does nothing, and is not told.
const NANO: bool = cfg!(target_os = "linux");
/// How long it is waited for packets before it counts that none came, and how long the kernel may wait for more of them.
const WAIT: Duration = Duration::from_millis(100);
/// Bytes after which a batch is handed over.
const BATCH: usize = 64 * 1024;
/// A batch is handed over at the latest after so long.
const AT_LATEST: Duration = Duration::from_millis(100);
/// Batches on their way.
const IN_FLIGHT: usize = 256;
/// Between two reports of the counters.
const REPORT: Duration = Duration::from_secs(1);
/// A packet is in libpcap's hands so long after it came: twice what the kernel waits for more of them.
const LATE: Span = Span::from_millis(2 * 100);
/// A packet waits so long for those of other interfaces.
const HOLD: Span = Span::from_secs(1);
/// What is still to be handed over at the end is waited for so long.
const AT_THE_END: Duration = Duration::from_secs(2);

/// An interface of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// Whether it is up.
    pub up: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// The interfaces of this host that can be captured on, if one may.
///
/// # Errors
/// Where libpcap cannot list them.
pub fn list() -> Result<Vec<Card>, InterfaceError> {
    let all = Device::list().map_err(|e| failed("any interface", &e))?;
    let card = |d: Device| {
        let addresses = d.addresses.iter().map(|a| a.addr).collect();
        Card { up: d.flags.is_up(), name: d.name, addresses }
    };
    Ok(all.into_iter().map(card).collect())
}

/// What to capture.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Interfaces by name.
    pub interfaces: Vec<String>,
    /// Bytes of each packet.
    pub snaplen: u32,
    /// Bytes of the kernel's buffer, per interface.
    pub buffer: u32,
    /// Whether to see packets for other hosts, too.
    pub promiscuous: bool,
    /// Capture filters in libpcap's language: the first one that an interface takes. Where it takes none, nothing is filtered.
    pub filters: Vec<String>,
    /// Whether the first filter must be taken.
    pub strict: bool,
}

/// Why there is no capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceError {
    /// There is no such interface; those there are.
    Unknown(String, Vec<String>),
    /// The system does not allow it.
    Permission(String),
    /// The filter cannot be used; libpcap's reason.
    Filter(String, String),
    /// Something else; libpcap's reason.
    Other(String, String),
}

impl std::fmt::Display for InterfaceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(name, known) => {
                write!(f, "there is no interface '{name}'; expected one of {}", known.join(", "))
            }
            Self::Permission(name) => write!(
                f,
                "no permission to capture on {name}: it needs root or CAP_NET_RAW; \"portwitness doctor\" says how to grant it"
            ),
            Self::Filter(name, why) => write!(f, "{name} does not take the capture filter: {why}"),
            Self::Other(name, why) => write!(f, "cannot capture on {name}: {why}"),
        }
    }
}

impl std::error::Error for InterfaceError {}

/// Interfaces that are open; packets wait in the kernel.
pub struct Interfaces {
    open: Vec<Open>,
    /// What to know of how they were opened.
    pub notes: Vec<String>,
    start: Time,
}

struct Open {
    name: String,
    capture: Capture<Active>,
    link: u16,
    snaplen: u32,
    filter: Option<String>,
    /// Its addresses, with `any` all of the host; none where it shows others' packets, too.
    addresses: Vec<IpAddr>,
}

/// Ends a capture.
#[derive(Clone, Debug, Default)]
pub struct Halt(Arc<AtomicBool>);

impl Halt {
    /// Asks the capture to end: what was received is handed over, then the stream ends.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Interfaces {
    /// Opens interfaces. Privileges can be given up afterwards.
    ///
    /// # Errors
    /// An interface that is not there or not to be captured on, a filter that is none.
    pub fn open(asked: &Asked) -> Result<Self, InterfaceError> {
        let devices = list()?;
        let mut this = Self { open: Vec::new(), notes: Vec::new(), start: now() };
        for name in &asked.interfaces {
            if name != ANY && !devices.iter().any(|d| d.name == *name) {
                let known = devices.iter().map(|d| d.name.clone()).collect();
                return Err(InterfaceError::Unknown(name.clone(), known));
            }
            let own = devices.iter().filter(|d| name == ANY || d.name == *name);
            let own = own.flat_map(|d| d.addresses.iter().copied()).filter(|a| !a.is_loopback());
            let mut open = Open::new(name, asked, &mut this.notes)?;
            // Nothing makes all interfaces promiscuous.
            if name == ANY || !asked.promiscuous {
                open.addresses = own.collect();
            }
            this.open.push(open);
        }
        Ok(this)
    }

    /// The section's and the interfaces' declarations: what every file of this capture begins with.
    pub fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        section(&mut head);
        for open in &self.open {
            let filter = open.filter.as_deref();
            let Open { link, snaplen, name, addresses, .. } = open;
            interface(&mut head, &InterfaceHead { link: *link, snaplen: *snaplen, name, filter, addresses });
        }
        head
    }

    /// Begins to hand over. `keep` is given every batch of whole blocks in order, but not
    /// the declarations.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(self, halt: &Halt, keep: impl FnMut(&[u8]) + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        let (send, batches) = bounded(IN_FLIGHT);
        let head = self.head();
        let merge = (self.open.len() > 1).then(|| Merge::new(self.open.len()));
        for (number, open) in (0..).zip(self.open) {
            let worker = Worker {
                number,
                start: self.start,
                halt: halt.clone(),
                send: send.clone(),
                batch: Vec::with_capacity(BATCH * 2),
                until: self.start,
                several: merge.is_some(),
                packets: 0,
                unhanded: 0,
                totals: Totals::new(open.name == ANY),
                due: Due(None),
                name: open.name,
            };
            thread::Builder::new().name(format!("capture {number}")).spawn(move || worker.run(open.capture))?;
        }
        Ok(Box::new(Handed { batches, held: Cursor::new(head), merge, keep }))
    }
}

impl Open {
    fn new(name: &str, asked: &Asked, notes: &mut Vec<String>) -> Result<Self, InterfaceError> {
        let other = |e: pcap::Error| failed(name, &e);
        let snaplen = i32::try_from(asked.snaplen).unwrap_or(i32::MAX);
        let inactive = Capture::from_device(name).map_err(other)?;
        let mut capture = inactive
            .snaplen(snaplen)
            .buffer_size(i32::try_from(asked.buffer).unwrap_or(i32::MAX))
            .promisc(asked.promiscuous)
            .timeout(i32::try_from(WAIT.as_millis()).unwrap_or(i32::MAX))
            .precision(if NANO { Precision::Nano } else { Precision::Micro })
            .open()
            .map_err(other)?;
        if name == ANY {
            // Older libpcaps have only the first version, which does not name interfaces.
            let _as_it_was = capture.set_datalink(Linktype(SLL2));
        }
        let filter = Self::filter(name, &mut capture, asked, notes)?;
        let capture = impatient(capture).map_err(other)?;
        let link = u16::try_from(capture.get_datalink().0).unwrap_or(u16::MAX);
        let (name, addresses) = (name.to_owned(), Vec::new());
        Ok(Self { name, capture, link, snaplen: asked.snaplen, filter, addresses })
    }

    fn filter(
        name: &str,
        capture: &mut Capture<Active>,
        asked: &Asked,
        notes: &mut Vec<String>,
    ) -> Result<Option<String>, InterfaceError> {
        let mut refused = None;
        for filter in &asked.filters {
            match capture.filter(filter, true) {
                Ok(()) => return Ok(Some(filter.clone())),
                Err(e) if asked.strict => return Err(InterfaceError::Filter(name.to_owned(), e.to_string())),
                Err(e) => refused = Some(e),
            }
        }
        notes.extend(refused.map(|e| format!("{name} takes no capture filter and is captured whole: {e}")));
        Ok(None)
    }
}

/// libpcap tells by text alone what went wrong.
fn failed(name: &str, error: &pcap::Error) -> InterfaceError {
    let text = error.to_string();
    let lower = text.to_lowercase();
    if lower.contains("permission") || lower.contains("not permitted") {
        return InterfaceError::Permission(name.to_owned());
    }
    InterfaceError::Other(name.to_owned(), text)
}

/// Batches as they are read.
struct Handed<K> {
    batches: Receiver<Batch>,
    held: Cursor<Vec<u8>>,
    /// Where there are several interfaces.
    merge: Option<Merge>,
    keep: K,
}

impl<K> Handed<K> {
    /// The next blocks; `None` where all interfaces have ended.
    fn next(&mut self) -> Option<Vec<u8>> {
        let Some(merge) = &mut self.merge else { return self.batches.recv().ok().map(|b| b.blocks) };
        match self.batches.recv_timeout(AT_LATEST) {
            Ok(batch) => merge.add(batch),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Some(merge.rest()).filter(|rest| !rest.is_empty()),
        }
        Some(merge.take(now().minus(HOLD)))
    }
}

impl<K: FnMut(&[u8])> Read for Handed<K> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.held.read(buf)?;
            if n > 0 || buf.is_empty() {
                return Ok(n);
            }
            let Some(blocks) = self.next() else { return Ok(0) };
            if !blocks.is_empty() {
                (self.keep)(&blocks);
            }
            self.held = Cursor::new(blocks);
        }
    }
}

/// libpcap's counters have 32 bits and wrap; these do not.
#[derive(Clone, Copy, Debug)]
struct Totals {
    any: bool,
    last: [u32; 3],
    sums: [u64; 3],
}

impl Totals {
    const fn new(any: bool) -> Self {
        Self { any, last: [0; 3], sums: [0; 3] }
    }

    fn take(&mut self, now: [u32; 3]) {
        for ((sum, last), now) in self.sums.iter_mut().zip(&mut self.last).zip(now) {
            *sum += u64::from(now.wrapping_sub(*last));
            *last = now;
        }
    }

    /// `unhanded` packets were received and found no room. What all interfaces together dropped, nobody counts.
    fn counters(&self, unhanded: u64) -> Counters {
        let [received, system, interface] = self.sums;
        Counters {
            received,
            interface_drops: (!self.any && cfg!(target_os = "linux")).then_some(interface),
            system_drops: Some(system + unhanded),
        }
    }
}

/// Counters that were read, and when: written once nothing earlier will come, or the stream would say that it saw nothing
/// where libpcap still held packets. Behind them those would also wait for other interfaces' later packets.
struct Due(Option<(Time, Counters)>);

impl Due {
    /// The counters, where nothing earlier than `until` will come.
    fn take(&mut self, until: Time) -> Option<(Time, Counters)> {
        self.0.take_if(|(read, _)| *read <= until)
    }
}

struct Worker {
    number: u32,
    name: String,
    start: Time,
    halt: Halt,
    send: Sender<Batch>,
    batch: Vec<u8>,
    /// Nothing earlier than this will come.
    until: Time,
    /// Other interfaces wait for what this one says of time.
    several: bool,
    /// Packets in the batch.
    packets: u64,
    unhanded: u64,
    totals: Totals,
    due: Due,
}

impl Worker {
    fn run(mut self, mut capture: Capture<Active>) {
        let (mut handed, mut reported) = (Instant::now(), Instant::now());
        let mut asked = reported;
        self.read_counters(&mut capture);
        while !self.halt.is_asked() {
            let mut nothing = false;
            match capture.next_packet() {
                Ok(p) => {
                    let time = time(p.header.ts.tv_sec, p.header.ts.tv_usec);
                    packet(&mut self.batch, self.number, time, p.header.len, p.data);
                    self.packets += 1;
                    self.until = self.until.max(time);
                }
                // What came before libpcap was asked would be here. This thread may have slept since.
                Err(pcap::Error::TimeoutExpired) => {
                    self.until = self.until.max(before(now(), asked.elapsed()).minus(LATE));
                    nothing = true;
                }
                // Gone for good: libpcap itself waits for interfaces that are merely down.
                Err(_) => break,
            }
            if let Some(due) = self.due.take(self.until) {
                self.write(due);
            }
            let now = Instant::now();
            asked = now;
            if now - reported >= REPORT {
                reported = now;
                self.read_counters(&mut capture);
            }
            let something = self.several || !self.batch.is_empty();
            if self.batch.len() >= BATCH || now - handed >= AT_LATEST && something {
                handed = now;
                self.hand_over();
            }
            if nothing {
                wait(&capture, WAIT);
                asked = Instant::now();
            }
        }
        self.hand_over();
        self.due = Due(None);
        self.read_counters(&mut capture);
        self.until = Time::from_nanos(i64::MAX);
        if let Some(last) = self.due.take(self.until) {
            self.write(last);
        }
        let last = self.take();
        // Whoever reads has stopped.
        let _nobody_reads = self.send.send_timeout(last, AT_THE_END);
    }

    fn take(&mut self) -> Batch {
        let blocks = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH * 2));
        Batch { interface: self.number as usize, blocks, until: self.until }
    }

    fn hand_over(&mut self) {
        let full = self.take();
        if self.send.try_send(full).is_err() {
            self.unhanded += self.packets;
        }
        self.packets = 0;
    }

    fn read_counters(&mut self, capture: &mut Capture<Active>) {
        // Due for as long as it takes to the next: the clock was set back, or there is nothing to wait with.
        if let Some(overdue) = self.due.0.take() {
            self.write(overdue);
        }
        if let Ok(s) = capture.stats() {
            self.totals.take([s.received, s.dropped, s.if_dropped]);
        }
        self.due = Due(Some((now(), self.totals.counters(self.unhanded))));
    }

    fn write(&mut self, (read, counters): (Time, Counters)) {
        statistics(&mut self.batch, self.number, self.start, read, &counters);
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "capture on {}", self.name)
    }
}

/// A packet's time; the fraction is in nanoseconds with [`Precision::Nano`], else in microseconds.
fn time(secs: impl TryInto<i64>, fraction: impl TryInto<u32>) -> Time {
    let parts = secs.try_into().ok().zip(fraction.try_into().ok());
    let nanos = |n: u32| if NANO { n } else { n.saturating_mul(1000) };
    parts.and_then(|(s, n)| Time::from_parts(s, nanos(n))).unwrap_or(Time::from_nanos(0))
}

/// So much earlier.
fn before(time: Time, passed: Duration) -> Time {
    time.minus(Span::from_nanos(u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)))
}

/// This host's clock: the only one the library looks at, since a capture is where time comes from.
fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_32_bits_are_followed_beyond_their_end() {
        let mut totals = Totals::new(false);
        totals.take([u32::MAX - 1, 3, 0]);
        totals.take([1, 5, 0]);
        let counters = totals.counters(10);
        assert_eq!((counters.received, counters.system_drops), (u64::from(u32::MAX) + 2, Some(15)));
        assert_eq!(Totals::new(true).counters(0).interface_drops, None, "nobody counts it on all interfaces");
    }

    #[test]
    fn counters_wait_for_the_packets_from_before_they_were_read() {
        let at = Time::from_nanos;
        let mut due = Due(Some((at(20), Counters::default())));
        assert_eq!(due.take(at(19)), None, "a packet of 19 may still come");
        assert_eq!(due.take(at(20)), Some((at(20), Counters::default())));
        assert_eq!(due.take(at(30)), None, "once");
    }
}
