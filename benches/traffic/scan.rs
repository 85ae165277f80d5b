//! A SYN flood from forged addresses around a restore.
//!
//! Every forged flow repeats its SYN with the same sequence number, as a system would; nothing answers. One flow in sixteen aims
//! at the restore's target, the others at hosts without a role.

use crate::files::{Captured, Sink};
use crate::flows::{BEGIN, LASTS, Mix, World};
use crate::packet::{Header, Ip, SYN, Segment, Way};
use crate::random::mix;

/// When SYNs of one flow are sent, in microseconds after the first (a common system's waits).
const AGAIN: [u64; 5] = [0, 1_000_000, 3_000_000, 7_000_000, 15_000_000];
/// Packets of the restore and a few neighbours.
const RESTORE: u64 = 2_000;

pub(crate) fn write(sink: &mut impl Sink, packets: u64, flows: u64) {
    let mut world = World::new(&Mix::snap(RESTORE.min(packets / 2), 20));
    let syns = packets.saturating_sub(RESTORE.min(packets / 2));
    let flows = flows.min(syns).max(1);
    let begin = 5_000_000;
    let gap = (LASTS - 2 * begin - AGAIN[4]) as f64 / flows as f64;
    let at = |flow: u64, turn: usize| begin + (flow as f64 * gap) as u64 + AGAIN[turn];
    // Each turn passes over all flows in order, so that five counters keep everything sorted.
    let mut next = [0_u64; AGAIN.len()];
    for _ in 0..syns {
        let turn = (0..AGAIN.len()).filter(|&t| next[t] < flows).min_by_key(|&t| at(next[t], t));
        let Some(turn) = turn else { break };
        let when = at(next[turn], turn);
        while world.next(sink, when) {}
        syn(sink, next[turn], BEGIN + when);
        next[turn] += 1;
    }
    while world.next(sink, u64::MAX) {}
}

fn syn(sink: &mut impl Sink, flow: u64, micros: u64) {
    let n = mix(flow);
    let [a, b, c, d, p, q, ..] = n.to_be_bytes();
    let from = Ip::V4([100 + a % 100, b, c, d]);
    let to = if flow.is_multiple_of(16) { [10, 77, 1, 20] } else { [10, 30, 1, (flow % 251) as u8] };
    let ports = [1_024 | u16::from_be_bytes([p, q]), 1_024 + (mix(n) % 2_000) as u16];
    let way = Way { from, to: Ip::V4(to), ports, ttl: 47, tcp: true };
    let segment = Segment { flags: SYN, seq: mix(!n) as u32, ack: 0, len: 0, id: (n >> 3) as u16 };
    let header = Header::new(&way, &segment);
    sink.frame(&Captured { micros, header: header.as_slice(), payload: &[], wire: header.wire });
}
