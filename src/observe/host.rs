//! What the capturing host's kernel says, given to the flows it is about.
//!
//! It lies beside the pieces of flows and not in them: it is no packet, and only a watched host has it. A segment that was
//! dropped on its way out was never captured; the attempt it belongs to then becomes a flow without packets.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::base::{FrameRef, InputId, Proto, Span, Stamp, Time};
use crate::capture::{Dropped, HostFact, Point, Process, Socket};
use crate::flow::{EndPoint, Flow, FlowKey, LocalDrop, Owner, Side, SynRun, is_protection, unseen};

/// Connections with a process that are kept at most; what comes later is not told.
const KEPT: usize = 65_536;
/// Attempts that were dropped, kept at most. A flood is not worth more.
const DROPS: usize = 4096;
/// A process begins to connect at most so long before its first SYN passes.
const SOON: Span = Span::from_millis(200);

/// A process that connected.
#[derive(Clone, Debug)]
struct Connect {
    at: Time,
    local: (IpAddr, Option<u16>),
    process: Process,
}

/// All that was said so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Host {
    addresses: Vec<IpAddr>,
    drops: BTreeMap<FlowKey, Vec<LocalDrop>>,
    dropped: usize,
    connects: Vec<Connect>,
    /// By where they connect to.
    to: BTreeMap<Point, Vec<usize>>,
    /// The newest of a socket.
    of: BTreeMap<u64, usize>,
    listens: BTreeMap<Point, Process>,
}

fn end((addr, port): Point) -> EndPoint {
    EndPoint { addr, port }
}

impl Host {
    /// Takes in what is said. `frame`: the one captured before.
    pub(super) fn take(&mut self, fact: HostFact, frame: FrameRef) {
        match fact {
            HostFact::Addresses(addresses) => self.addresses = addresses,
            HostFact::Dropped(dropped) => self.dropped(dropped, frame),
            HostFact::Owns(Socket::Listens(at), Some(process)) => {
                if self.listens.len() < KEPT {
                    self.listens.insert(at, process);
                }
            }
            HostFact::Owns(Socket::Connects { at, local, remote, socket }, Some(process)) => {
                if self.connects.len() < KEPT {
                    self.of.insert(socket, self.connects.len());
                    self.to.entry(remote).or_default().push(self.connects.len());
                    self.connects.push(Connect { at, local, process });
                }
            }
            HostFact::Owns(Socket::Bound { socket, port }, _) => {
                let newest = self.of.remove(&socket).and_then(|i| self.connects.get_mut(i));
                newest.into_iter().for_each(|c| c.local.1 = Some(port));
            }
            HostFact::Owns(..) => {}
        }
    }

    /// What was dropped for other reasons than somebody's wish needs no telling: nobody listens, a buffer is full, it is damaged.
    fn dropped(&mut self, d: Dropped, frame: FrameRef) {
        if !is_protection(&d.reason) {
            return;
        }
        let (key, side) = FlowKey::new(Proto::Tcp, end(d.src), end(d.dst));
        let at = Stamp { time: d.at, at: frame };
        let known = self.drops.entry(key).or_default();
        let same = |k: &&mut LocalDrop| (k.side, k.answer, k.seq) == (side, d.answer, d.seq) && k.reason == d.reason;
        if let Some(k) = known.iter_mut().find(same) {
            (k.count, k.last) = (k.count.saturating_add(1), k.last.max(at));
        } else if self.dropped < DROPS {
            self.dropped += 1;
            let (answer, seq, reason) = (d.answer, d.seq, d.reason);
            known.push(LocalDrop { side, answer, seq, reason, count: 1, first: at, last: at });
        }
    }

    /// Gives all of it to the flows it is about.
    pub(super) fn tell(&self, flows: &mut Vec<Flow>) {
        self.tell_drops(flows);
        self.name_all(flows);
    }

    /// Keys of dropped segments.
    pub(super) fn keys_of_drops(&self) -> impl Iterator<Item = FlowKey> + '_ {
        self.drops.keys().copied()
    }

    /// Takes back what was told of drops: flows are then as their packets made them.
    pub(super) fn take_back(&self, flows: &mut Vec<Flow>) {
        if self.dropped > 0 {
            // Any other flow has a packet.
            flows.retain(|f| f.ends.iter().any(|e| e.packets > 0));
            flows.iter_mut().for_each(|f| f.local.drops.clear());
        }
    }

    /// Gives drops to the flows they are about, and makes flows of attempts of which no packet was captured.
    pub(super) fn tell_drops(&self, flows: &mut Vec<Flow>) {
        let mut of: BTreeMap<FlowKey, Vec<usize>> = BTreeMap::new();
        for (i, flow) in flows.iter().enumerate().filter(|(_, f)| self.drops.contains_key(&f.key)) {
            of.entry(flow.key).or_default().push(i);
        }
        let mut more = Vec::new();
        for (key, drops) in &self.drops {
            let places = of.get(key).map_or(&[][..], Vec::as_slice);
            let own = more.len();
            for drop in drops {
                if !give(flows, places, drop) {
                    add(&mut more, *key, drop);
                }
            }
            // Numbered behind those that were captured, whose names so do not depend on it.
            let numbers = (1..).skip(places.len());
            numbers.zip(more.iter_mut().skip(own)).for_each(|(n, flow): (u32, &mut Flow)| flow.ordinal = n);
        }
        if !more.is_empty() {
            flows.append(&mut more);
            flows.sort_by_key(|f| (f.first, f.key, f.ordinal));
        }
    }

    /// Tells all flows which processes they are of.
    pub(super) fn name_all(&self, flows: &mut [Flow]) {
        flows.iter_mut().for_each(|flow| self.own(flow));
    }

    /// Tells the flows of these keys.
    pub(super) fn name(&self, flows: &mut [Flow], keys: &[FlowKey]) {
        if self.connects.is_empty() && self.listens.is_empty() {
            return;
        }
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        flows.iter_mut().filter(|f| keys.binary_search(&f.key).is_ok()).for_each(|flow| self.own(flow));
    }

    fn own(&self, flow: &mut Flow) {
        if flow.key.proto == Proto::Tcp {
            let owners = [Side::A, Side::B].into_iter().filter_map(|side| self.owner(flow, side));
            flow.local.owners = owners.collect();
        }
    }

    fn owner(&self, flow: &Flow, side: Side) -> Option<Owner> {
        let (own, other) = (flow.point(side), flow.point(side.other()));
        if !self.addresses.contains(&own.addr) {
            return None;
        }
        let all = self.to.get(&(other.addr, other.port)).map_or(&[][..], Vec::as_slice);
        let began = flow.first.time;
        let is = |c: &&Connect| {
            let near = match c.local.1 {
                Some(port) => port == own.port && c.at <= began.plus(SOON),
                // Its port is not known yet: its SYN passed at once.
                None => c.at <= began && began.since(c.at) <= SOON,
            };
            c.local.0 == own.addr && near
        };
        let connect = all.iter().rev().filter_map(|&i| self.connects.get(i)).find(is);
        if let Some(connect) = connect {
            return Some(Owner { side, listens: false, process: connect.process.clone() });
        }
        let any = |addr: IpAddr| if addr.is_ipv4() { [0_u8; 4].into() } else { IpAddr::from([0_u8; 16]) };
        // A socket of IPv6 may take IPv4, too.
        let places = [own.addr, any(own.addr), IpAddr::from([0_u8; 16])];
        let process = places.into_iter().find_map(|addr| self.listens.get(&(addr, own.port)))?;
        Some(Owner { side, listens: true, process: process.clone() })
    }
}

/// Gives a drop to the instance it is about; `false` where there is none.
fn give(flows: &mut [Flow], places: &[usize], drop: &LocalDrop) -> bool {
    let is = |f: &Flow| {
        f.first.time <= drop.last.time && f.syns.iter().any(|r| drop.answer || r.from == drop.side && r.isn == drop.seq)
    };
    // Of several the newest one that had begun.
    let home = places.iter().rev().copied().find(|&i| flows.get(i).is_some_and(is));
    let flow = home.and_then(|i| flows.get_mut(i));
    flow.map(|flow| flow.local.drops.push(drop.clone())).is_some()
}

/// Makes a flow of an attempt that never left the host.
fn add(more: &mut Vec<Flow>, key: FlowKey, drop: &LocalDrop) {
    if drop.answer {
        return;
    }
    let same = |f: &&mut Flow| f.key == key && f.syns.iter().any(|r| r.from == drop.side && r.isn == drop.seq);
    if let Some(flow) = more.iter_mut().find(same) {
        flow.local.drops.push(drop.clone());
        return;
    }
    let mut stamps = vec![drop.first];
    stamps.extend(Some(drop.last).filter(|last| *last > drop.first));
    let run = SynRun { from: drop.side, isn: drop.seq, payload: 0, count: drop.count, stamps };
    let mut flow = unseen(key, run, (drop.first, drop.last));
    flow.local.drops.push(drop.clone());
    more.push(flow);
}

/// A frame that nothing was captured before.
pub(super) const fn none(input: InputId) -> FrameRef {
    FrameRef { input, frame: 0 }
}
