//! An attempt that nothing else was seen of: a few SYNs that are alike.
//!
//! Scans and floods consist of nothing else, and there may be millions. A whole piece takes several allocations and most of a
//! kilobyte; this lies in the store's own entry. Whatever does not fit into it makes a piece of it.

use crate::base::{FrameRef, InputId, Stamp, Time, fetch};
use crate::packet::Tcp;

use super::model::{Lane, Side};
use super::piece::{Head, Piece};
use super::shift::Shift;
use super::sums::Seen;

/// SYNs told apart: Windows sends three, Linux seven.
const KEPT: usize = 8;

/// SYNs of one side and sequence number, without payload, in order of time, from one input over one lane.
#[derive(Clone, Debug)]
pub(crate) struct Lone {
    times: [Time; KEPT],
    frames: [u32; KEPT],
    isn: u32,
    ip_bytes: u32,
    input: InputId,
    lane: Lane,
    window: u16,
    ttl: u8,
    count: u8,
    from: Side,
}

impl Lone {
    /// A first SYN; `None` where it is no plain one.
    pub(crate) fn new(side: Side, p: &Seen, t: &Tcp<'_>) -> Option<Self> {
        if !t.opens() || p.payload > 0 || p.group {
            return None;
        }
        let mut lone = Self {
            times: [p.at.time; KEPT],
            frames: [0; KEPT],
            isn: t.seq,
            ip_bytes: p.ip_bytes,
            input: p.at.at.input,
            lane: p.lane,
            window: t.window,
            ttl: p.ttl,
            count: 0,
            from: side,
        };
        lone.push(p.at).then_some(lone)
    }

    /// Takes in another SYN; `false` where it is not like those before it, or there is no room.
    pub(crate) fn add(&mut self, side: Side, p: &Seen, t: &Tcp<'_>) -> bool {
        let like = t.opens()
            && p.payload == 0
            && !p.group
            && side == self.from
            && t.seq == self.isn
            && t.window == self.window
            && p.ttl == self.ttl
            && p.ip_bytes == self.ip_bytes
            && p.lane == self.lane;
        like && self.push(p.at)
    }

    /// Takes in what came later; `false` where it is not alike, or there is no room.
    pub(crate) fn append(&mut self, later: &Self) -> bool {
        let like = later.from == self.from
            && later.isn == self.isn
            && later.window == self.window
            && later.ttl == self.ttl
            && later.ip_bytes == self.ip_bytes
            && later.lane == self.lane
            && usize::from(self.count) + usize::from(later.count) <= KEPT;
        let before = self.clone();
        let fits = like && later.stamps().all(|at| self.push(at));
        if !fits {
            *self = before;
        }
        fits
    }

    /// Has all of it fetched.
    #[inline]
    pub(crate) fn fetch(&self) {
        fetch(&self.times, 0);
        fetch(&self.frames, KEPT - 1);
    }

    fn push(&mut self, at: Stamp) -> bool {
        let in_order = self.last().is_none_or(|last| last <= at);
        let place = usize::from(self.count);
        let (Some(time), Some(frame)) = (self.times.get_mut(place), self.frames.get_mut(place)) else { return false };
        let Ok(number) = u32::try_from(at.at.frame) else { return false };
        if !in_order || at.at.input != self.input {
            return false;
        }
        (*time, *frame) = (at.time, number);
        self.count += 1;
        true
    }

    fn stamps(&self) -> impl DoubleEndedIterator<Item = Stamp> {
        let stamp = |(&time, &frame)| Stamp { time, at: FrameRef { input: self.input, frame: u64::from(frame) } };
        let all = self.times.iter().zip(&self.frames).map(stamp);
        all.rev().skip(KEPT - usize::from(self.count)).rev()
    }

    /// When the first one was seen.
    pub(crate) fn first(&self) -> Option<Stamp> {
        self.stamps().next()
    }

    fn last(&self) -> Option<Stamp> {
        self.stamps().next_back()
    }

    /// How many there are.
    pub(crate) const fn count(&self) -> u64 {
        self.count as u64
    }

    /// Who sent them, where they were seen, with which time to live.
    pub(crate) const fn sender(&self) -> (Side, Lane, u8) {
        (self.from, self.lane, self.ttl)
    }

    /// The same as a piece.
    pub(crate) fn piece(&self) -> Piece {
        Piece { head: Some(Box::new(self.head())), ..Piece::default() }
    }

    /// The same as what a piece begins with.
    pub(crate) fn head(&self) -> Head {
        let mut head = Head::new(self.from, self.isn);
        for at in self.stamps() {
            let seen = Seen { at, lane: self.lane, ttl: self.ttl, ip_bytes: self.ip_bytes, payload: 0, group: false };
            head.add_plain(&seen, self.window);
        }
        head
    }

    /// Moves the frame numbers; `false`, and nothing moved, where one becomes too large.
    pub(crate) fn shift(&mut self, by: &Shift) -> bool {
        let (mut moved, mut input) = (self.clone(), self.input);
        for (frame, mut at) in moved.frames.iter_mut().zip(self.stamps()) {
            by.stamp(&mut at);
            let Ok(number) = u32::try_from(at.at.frame) else { return false };
            (*frame, input) = (number, at.at.input);
        }
        *self = Self { input, ..moved };
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::Proto;
    use crate::flow::{EndPoint, FlowKey, Pieces, resolve, seal, seal_lone};
    use crate::packet::{TcpFlags, Vlans};

    const LAST: u64 = u32::MAX as u64;

    proptest! {
        #[test]
        fn it_seals_to_what_a_piece_of_the_same_packets_does(
            (b, interface) in (any::<bool>(), 0..3_u32),
            (isn, window, ttl) in (any::<u32>(), any::<u16>(), any::<u8>()),
            first in prop_oneof![1..9_u64, LAST - 9..LAST + 3],
            gaps in prop::collection::vec((0..9_i64, 1..3_u64), 0..9),
        ) {
            let end = |n| EndPoint { addr: [192, 0, 2, n].into(), port: 1000 + u16::from(n) };
            let key = FlowKey::new(Proto::Tcp, end(1), end(2)).0;
            let side = if b { Side::B } else { Side::A };
            let syn = Tcp {
                src_port: key.ends[side.index()].port,
                dst_port: key.ends[side.other().index()].port,
                seq: isn,
                ack: 0,
                flags: TcpFlags(TcpFlags::SYN),
                window,
                payload: &[],
                payload_len: 0,
                first_fragment: None,
            };
            let mut at = Stamp { time: Time::from_nanos(7), at: FrameRef { input: InputId(3), frame: first } };
            let lane = Lane::new(interface, Vlans::NONE);
            let mut pieces = Pieces::default();
            for (nanos, frames) in std::iter::once((0, 0)).chain(gaps.iter().copied()) {
                at.time = Time::from_nanos(at.time.as_nanos() + nanos);
                at.at.frame += frames;
                pieces.tcp(&key, side, &Seen { at, lane, ttl, ip_bytes: 40, payload: 0, group: false }, &syn);
            }
            let short = pieces.lone().and_then(|lone| seal_lone(key, lone));
            prop_assert_eq!(short.is_some(), gaps.len() < KEPT && at.at.frame <= LAST);
            let (instances, orphans) = resolve(&key, pieces);
            let mut long = instances.into_iter().filter_map(|i| seal(key, i));
            let flow = long.next();
            prop_assert!(flow.is_some() && long.next().is_none() && orphans.is_empty());
            prop_assert!(short.is_none() || short == flow);
        }
    }
}
