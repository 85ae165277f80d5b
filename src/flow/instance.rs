//! From the pieces of a 5-tuple to its instances, once everything is known.
//!
//! One instance per originator's initial sequence number. Three SYNs with a new number begin none: Windows' repetition after a
//! RST, the other side's SYN of a simultaneous open, and a SYN captured behind its own SYN-ACK.

use std::collections::BTreeMap;

use crate::base::{Proto, Span};

use super::body::{Body, Quote};
use super::model::{FlowKey, Side};
use super::piece::{Head, Pieces, prefix_cap, tell};
use super::told::Told;

/// Windows repeats a refused SYN within this time and calls it one attempt.
const REPEATS_WITHIN: Span = Span::from_secs(1);
/// The other side's SYN is an answer only this soon.
const CROSSES_WITHIN: Span = Span::from_secs(60);

/// One instance, before its facts are read off.
#[derive(Debug, Default)]
pub(crate) struct Instance {
    /// SYN runs in the order in which they began.
    pub(crate) heads: Vec<Head>,
    pub(crate) body: Body,
    /// What sealed pieces told of it.
    pub(crate) told: Option<Box<Told>>,
}

/// Resolves the pieces of one key: its instances, and ICMP errors that none of them can have caused.
pub(crate) fn resolve(key: &FlowKey, pieces: Pieces) -> (Vec<Instance>, Vec<Quote>) {
    let Resolution { instances, orphans, .. } = resolution(key, pieces);
    (instances, orphans)
}

/// Instances, stray ICMP errors, and to which instance the body of each piece went.
pub(crate) struct Resolution {
    pub(crate) instances: Vec<Instance>,
    pub(crate) orphans: Vec<Quote>,
    pub(crate) homes: Vec<Option<usize>>,
}

/// As [`resolve`], with what became of each piece.
pub(crate) fn resolution(key: &FlowKey, pieces: Pieces) -> Resolution {
    let cap = prefix_cap(key);
    let mut found = Found::default();
    let (mut early, mut homes) = (Vec::new(), Vec::new());
    for piece in pieces.into_vec() {
        if piece.only_quotes() && found.instances.is_empty() {
            early.extend(piece.body.into_iter().flat_map(|b| b.quotes));
            homes.push(None);
            continue;
        }
        match piece.head {
            Some(head) => found.open(*head, cap),
            None if found.instances.is_empty() || key.proto == Proto::Udp => found.instances.push(Instance::default()),
            None => {}
        }
        if let Some(newest) = found.instances.last_mut() {
            tell(&mut newest.told, piece.told);
            piece.body.into_iter().for_each(|body| newest.body.append(*body, cap));
        }
        homes.push(found.instances.len().checked_sub(1));
    }
    let orphans = found.place_quotes(early);
    Resolution { instances: found.instances, orphans, homes }
}

#[derive(Default)]
struct Found {
    instances: Vec<Instance>,
    /// Which instance a SYN belongs to.
    seen: BTreeMap<(Side, u32), usize>,
}

impl Found {
    fn open(&mut self, head: Head, cap: usize) {
        let id = (head.run.from, head.run.isn);
        if let Some(known) = self.seen.get(&id).and_then(|&i| self.instances.get_mut(i)) {
            if let Some(own) = known.heads.iter_mut().find(|h| (h.run.from, h.run.isn) == id) {
                own.merge(head, cap);
            }
            return;
        }
        match self.instances.last_mut() {
            Some(newest) if newest.takes(&head) => newest.heads.push(head),
            _ => self.instances.push(Instance { heads: vec![head], ..Instance::default() }),
        }
        self.seen.insert(id, self.instances.len() - 1);
    }

    /// Gives ICMP errors that quote a SYN to the instance of that SYN. Others stay with the instance that was newest when they
    /// were seen; without one, they are returned.
    fn place_quotes(&mut self, early: Vec<Quote>) -> Vec<Quote> {
        let mut stray = Vec::new();
        for (i, instance) in self.instances.iter_mut().enumerate() {
            let seen = &self.seen;
            let home = |q: &Quote| q.seq.and_then(|seq| seen.get(&(q.quoted, seq))).copied().unwrap_or(i);
            let (own, others) = std::mem::take(&mut instance.body.quotes).into_iter().partition(|q| home(q) == i);
            instance.body.quotes = own;
            stray.extend::<Vec<Quote>>(others);
        }
        let mut orphans = Vec::new();
        for q in early.into_iter().chain(stray) {
            let home = q.seq.and_then(|seq| self.seen.get(&(q.quoted, seq))).and_then(|&i| self.instances.get_mut(i));
            match home {
                Some(instance) => instance.body.quote(q),
                None => orphans.push(q),
            }
        }
        orphans
    }
}

impl Instance {
    /// Whether a SYN with a new number belongs to this instance, the newest of its tuple.
    fn takes(&self, head: &Head) -> bool {
        match self.heads.last() {
            None => self.answered_before(head),
            Some(last) if last.run.from == head.run.from => self.repeats(last, head),
            Some(last) => self.crosses(last, head),
        }
    }

    /// A new SYN from the same side, soon after the peer's RST refused the one before.
    fn repeats(&self, last: &Head, head: &Head) -> bool {
        let Some(again) = head.run.stamps.first() else { return false };
        let side = head.run.from;
        let refused = side.other().of(&self.body.signals).rst_seen.iter().any(|r| {
            r.ack.is_some_and(|ack| acknowledges_syn(ack, last.run.isn, last.run.payload))
                && r.at.time <= again.time
                && again.time.since(r.at.time) <= REPEATS_WITHIN
        });
        refused && side.of(&self.body.signals).rsts == 0 && self.body.spaces.is_none()
    }

    /// The other side's SYN while the first one has had no answer: both opened at once.
    fn crosses(&self, last: &Head, head: &Head) -> bool {
        let soon = match (last.run.stamps.last(), head.run.stamps.first()) {
            (Some(a), Some(b)) => b.time.since(a.time) <= CROSSES_WITHIN,
            _ => false,
        };
        soon && self.heads.iter().all(|h| h.run.from == last.run.from) && head.run.from.of(&self.body.sums).packets == 0
    }

    /// The capture shows the answer before the SYN: nothing but SYN-ACKs that acknowledge it.
    fn answered_before(&self, head: &Head) -> bool {
        let peer = head.run.from.other();
        let signals = peer.of(&self.body.signals);
        signals.syn_acks > 0
            && signals.syn_acks == peer.of(&self.body.sums).packets
            && head.run.from.of(&self.body.sums).packets == 0
            && signals.syn_ack_seen.iter().all(|s| acknowledges_syn(s.ack, head.run.isn, head.run.payload))
    }
}

/// Whether a number acknowledges a SYN, or the SYN and what it carried.
pub(crate) const fn acknowledges_syn(ack: u32, isn: u32, payload: u32) -> bool {
    let next = isn.wrapping_add(1);
    ack == next || ack == next.wrapping_add(payload)
}
