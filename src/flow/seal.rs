//! Reading a flow's facts off an instance; what is left of its payload afterwards is evidence.

use crate::app::{self, Evidence, Stream};
use crate::base::{Proto, Stamp};

use super::body::Quote;
use super::datagrams::Datagrams;
use super::head::{HEAD, heads};
use super::instance::{Instance, resolution};
use super::local::Local;
use super::lone::Lone;
use super::model::{End, Flow, FlowKey, Hole, IcmpError, Repeated, Sent, Side, Silence, SynRun};
use super::piece::{Head, Piece, Pieces, prefix_cap};
use super::space::Space;
use super::sums::Sums;
use super::told::{Opening, Openings, Told};

/// Distinct ICMP errors kept per flow.
const ICMP_KEPT: usize = 8;

/// Where a side's stream begins in its sequence space.
#[derive(Clone, Copy)]
struct Start {
    /// Offset of the first payload byte.
    off: i64,
    /// From an initial sequence number, not from what was seen first.
    exact: bool,
    /// The side's own SYN or SYN-ACK said so.
    own: bool,
}

/// A flow without its ordinal. `None` where no packet was seen.
pub(crate) fn seal(key: FlowKey, instance: Instance) -> Option<Flow> {
    let mut instance = instance;
    let sums = [Side::A, Side::B].map(|side| total(&instance, side));
    let first = sums.iter().filter_map(|s| s.first).min()?;
    let last = sums.iter().filter_map(|s| s.last).max()?;
    let mut spaces = instance.body.spaces.take();
    let starts = [Side::A, Side::B].map(|side| start(&instance, side, spaces.as_ref().map(|s| side.of(s))));
    for head in &instance.heads {
        let side = head.run.from;
        if head.run.payload > 0 && newest_isn(&instance, side) == Some(head.run.isn) {
            side.of_mut(spaces.get_or_insert_default()).cover_syn(
                side.of(&starts).off,
                head.run.payload,
                head.sums.payload_bytes,
            );
        }
    }
    let mut ends = [Side::A, Side::B].map(|side| {
        let space = spaces.as_ref().map(|s| side.of(s));
        end(&instance, side, side.of(&sums), space, *side.of(&starts))
    });
    if let Some(spaces) = &spaces {
        for side in [Side::A, Side::B] {
            let in_flight = in_flight(side.of(&ends), side, spaces, &starts);
            side.of_mut(&mut ends).reset_in_flight = in_flight;
        }
    }
    let streams = [Side::A, Side::B]
        .map(|side| stream(&key, &instance, side, spaces.as_ref().map(|s| side.of(s)), *side.of(&starts)));
    let told = instance.told.as_ref().and_then(|t| t.heads);
    for (end, head) in ends.iter_mut().zip(told.unwrap_or_else(|| [0, 1].map(|i| first_bytes(streams.get(i))))) {
        end.heads = head;
    }
    let [a, b] = &streams;
    let datagrams = instance.body.datagrams.take();
    let evidence = match instance.told.take() {
        Some(told) => told.evidence([Side::A, Side::B].map(|side| {
            let start = *side.of(&starts);
            let sealed = openings(&instance, side, spaces.as_ref().map(|s| side.of(s)), start);
            sealed.speaks(Some(start.off).filter(|_| start.own))
        })),
        None if key.proto == Proto::Udp => datagram_evidence(datagrams.as_deref()),
        None => app::evidence(a, b),
    };
    let mut icmp: Vec<IcmpError> = instance.body.quotes.iter().map(error).collect();
    icmp.sort_by_key(|e| e.at);
    icmp.truncate(ICMP_KEPT);
    Some(Flow {
        key,
        ordinal: 0,
        first,
        last,
        group: sums.iter().any(|s| s.group),
        ends: ends.map(Sent::from),
        icmp,
        evidence,
        silences: instance.body.silences.iter().map(|&(from, to)| Silence { from, to }).collect(),
        syns: instance.heads.into_iter().map(|h| h.run).collect(),
        local: Local::default(),
    })
}

/// The flow of an attempt that nothing else was seen of, without its ordinal: what [`seal`] makes of it, where there are millions.
pub(crate) fn seal_lone(key: FlowKey, lone: &Lone) -> Option<Flow> {
    let Head { run, sums, .. } = lone.head();
    let (first, last) = (sums.first?, sums.last?);
    let mut ends = [Sent::default(), Sent::default()];
    *run.from.of_mut(&mut ends) = sent(&sums).into();
    Some(Flow {
        key,
        ordinal: 0,
        first,
        last,
        group: sums.group,
        ends,
        icmp: Vec::new(),
        evidence: Evidence::none(),
        silences: Vec::new(),
        syns: vec![run],
        local: Local::default(),
    })
}

/// An attempt of which no packet was captured.
pub(crate) fn unseen(key: FlowKey, run: SynRun, (first, last): (Stamp, Stamp)) -> Flow {
    Flow {
        key,
        ordinal: 0,
        first,
        last,
        group: false,
        ends: [Sent::default(), Sent::default()],
        icmp: Vec::new(),
        evidence: Evidence::none(),
        silences: Vec::new(),
        syns: vec![run],
        local: Local::default(),
    }
}

fn datagram_evidence(datagrams: Option<&[Datagrams; 2]>) -> Evidence {
    let parts = |side: Side| datagrams.map(|d| side.of(d).parts().collect::<Vec<_>>()).unwrap_or_default();
    app::datagram_evidence(&parts(Side::A), &parts(Side::B))
}

/// Drops the payload of one key's pieces; what it told stays, with the instance that it is about as far as that is known.
pub(crate) fn forget(key: &FlowKey, pieces: &mut Pieces) {
    if pieces.as_mut_slice().iter().all(|p| !p.holds_payload()) {
        return;
    }
    let resolved = resolution(key, pieces.clone());
    pieces.as_mut_slice().iter_mut().for_each(Piece::seal);
    for (i, instance) in resolved.instances.iter().enumerate() {
        let spaces = instance.body.spaces.as_deref();
        let starts = [Side::A, Side::B].map(|side| start(instance, side, spaces.map(|s| side.of(s))));
        let streams =
            [Side::A, Side::B].map(|side| stream(key, instance, side, spaces.map(|s| side.of(s)), *side.of(&starts)));
        let [a, b] = &streams;
        let mut told = match (key.proto, instance.body.datagrams.as_deref()) {
            (Proto::Udp, Some(datagrams)) => Some(Told::of_datagrams(datagram_evidence(Some(datagrams)))),
            _ => Some(Told::new(app::evidence(a, b))).filter(|_| streams.iter().any(|s| s.sent() > 0)),
        };
        let digests = [0, 1].map(|i| first_bytes(streams.get(i)));
        told.iter_mut().filter(|_| digests != [[None; 3]; 2]).for_each(|t| t.heads = Some(digests));
        let mut openings = [Side::A, Side::B].map(|side| opening(side.of(&streams), side.of(&starts)));
        let mine = resolved.homes.iter().zip(pieces.as_mut_slice()).filter(|(home, _)| **home == Some(i));
        for (_, piece) in mine {
            piece.told = told.take().map(Box::new);
            piece.note(&mut openings);
        }
        // Nothing but SYNs carried payload: it lies beside them.
        for side in [Side::A, Side::B] {
            let Some((off, is)) = side.of_mut(&mut openings).take() else { continue };
            let off = off.saturating_sub(side.of(&starts).off);
            let isn = newest_isn(instance, side);
            let mut heads = pieces.as_mut_slice().iter_mut().filter_map(|p| p.head.as_mut());
            let head = heads.find(|h| h.run.from == side && Some(h.run.isn) == isn);
            head.into_iter().for_each(|h| h.data.seal(Some((off, is))));
        }
    }
}

/// What was sealed of one side, by offset in its sequence space. What a SYN carried lies at the start.
fn openings(instance: &Instance, side: Side, space: Option<&Space>, start: Start) -> Openings {
    let mut all = Openings::default();
    let syn = instance.heads.iter().rev().find(|h| h.run.from == side);
    syn.iter().for_each(|h| all.append(h.data.openings(), start.off));
    space.iter().for_each(|s| all.append(s.prefix().openings(), 0));
    all
}

fn first_bytes(stream: Option<&Stream>) -> [Option<u64>; 3] {
    stream.map_or([None; 3], |s| heads(s.start(HEAD)))
}

fn opening(stream: &Stream, start: &Start) -> Option<(i64, Opening)> {
    match app::opening(stream) {
        Some((off, outcome)) => Some((start.off.saturating_add(off), Opening::new(&outcome))),
        None => (stream.sent() > 0).then_some((start.off, Opening::Stray)),
    }
}

const fn error(q: &Quote) -> IcmpError {
    IcmpError {
        reporter: q.reporter,
        at: q.at,
        count: q.count,
        v6: q.v6,
        ty: q.ty,
        code: q.code,
        quoted: q.quoted,
        seq: q.seq,
    }
}

fn total(instance: &Instance, side: Side) -> Sums {
    let mut sums = side.of(&instance.body.sums).clone();
    instance.heads.iter().filter(|h| h.run.from == side).for_each(|h| sums.merge(&h.sums));
    sums
}

fn newest_isn(instance: &Instance, side: Side) -> Option<u32> {
    instance.heads.iter().rev().find(|h| h.run.from == side).map(|h| h.run.isn)
}

/// The ISN of a side by its own SYN or SYN-ACK, else by the SYN-ACK that answered it. Of several SYN-ACK numbers (SYN cookies
/// vary them) the one the peer went on to acknowledge counts, else the first.
fn start(instance: &Instance, side: Side, space: Option<&Space>) -> Start {
    let opening = || space.and_then(Space::opening).unwrap_or(0);
    let at = |seq: u32| space.map_or(0, |s| s.offset(seq));
    let chosen = |seqs: &mut dyn Iterator<Item = u32>| -> Option<u32> {
        let all: Vec<u32> = seqs.collect();
        let acked = space.and_then(|s| s.acked.opening()).map(|a| a.0);
        all.iter().find(|n| acked == Some(at(**n))).or(all.first()).copied()
    };
    let syn = newest_isn(instance, side).map(|isn| isn.wrapping_add(1));
    let own = syn.or_else(|| {
        let seen = &side.of(&instance.body.signals).syn_ack_seen;
        chosen(&mut seen.iter().map(|s| s.seq.wrapping_add(1)))
    });
    let answered = || side.other().of(&instance.body.signals).syn_ack_seen.first().map(|s| s.ack);
    match own.or_else(answered) {
        Some(seq) => Start { off: at(seq), exact: true, own: own.is_some() },
        None => Start { off: opening(), exact: false, own: false },
    }
}

/// What an end's sums say of it.
fn sent(sums: &Sums) -> End {
    End {
        packets: sums.packets,
        ip_bytes: sums.ip_bytes,
        payload_bytes: sums.payload_bytes,
        first: sums.first,
        last: sums.last,
        ttl: sums.ttl,
        first_payload: sums.first_payload,
        window: sums.window,
        lanes: sums.lanes.iter().collect(),
        tunnels: sums.tunnels.to_vec(),
        ..End::new()
    }
}

fn end(instance: &Instance, side: Side, sums: &Sums, space: Option<&Space>, start: Start) -> End {
    let signals = side.of(&instance.body.signals).clone();
    let mut end = End {
        syn_acks: signals.syn_acks,
        syn_ack_seen: signals.syn_ack_seen,
        fins: signals.fins,
        fin_first: signals.fin_first,
        rsts: signals.rsts,
        rst_seen: signals.rst_seen,
        zero_window: signals.zero_window,
        ..sent(sums)
    };
    if let Some(space) = space {
        let floor = if start.exact { start.off } else { i64::MIN };
        end.acked_handshake = space.sent.reached(floor);
        end.payload_acked = space.first_byte().and_then(|byte| space.acked.reached(byte.saturating_add(1)));
        end.retransmitted = space.retransmitted();
        end.unseen_acked = if sums.packets > 0 { space.unseen(start.off, start.exact) } else { 0 };
        end.approximate = space.inexact();
        afterwards(&mut end, space, start);
    }
    end
}

/// What a side's space says of how the connection went on.
fn afterwards(end: &mut End, space: &Space, start: Start) {
    let exact = start.exact.then_some(start.off);
    let Some(frontier) = space.acked.highest().max(exact) else { return };
    end.largest = space.largest();
    end.acked_last = space.acked.reached(frontier);
    let begin = exact.or(space.first_byte()).unwrap_or(frontier);
    end.acked_bytes = frontier.min(space.edge().unwrap_or(begin)).saturating_sub(begin).max(0).unsigned_abs();
    end.repeated = space.run_at(frontier).map(|(run, never_so_long)| Repeated {
        seq: space.number(run.off),
        len: run.len,
        times: run.again.saturating_add(1),
        first: run.first,
        last: run.last,
        interval: run.interval,
        never_so_long,
    });
    end.hole = space.hole_at(frontier, exact).map(|(len, at)| Hole { seq: space.number(frontier), len, at });
}

/// What the peer had under way when a side first reset. Nothing where the RST's number lies beyond what the side was seen to
/// send: something of it was missed, perhaps its FIN.
fn in_flight(end: &End, side: Side, spaces: &[Space; 2], starts: &[Start; 2]) -> u64 {
    let Some(rst) = end.rst_seen.first() else { return 0 };
    let (own, peer) = (side.of(spaces), side.other().of(spaces));
    let sent = own.edge().unwrap_or(side.of(starts).off);
    if own.near(rst.seq).is_some_and(|seq| seq > sent) {
        return 0;
    }
    let start = side.other().of(starts);
    let begin = if start.exact { start.off } else { peer.first_byte().unwrap_or(start.off) };
    peer.in_flight_at_reset(begin, rst.ack)
}

/// The side's first bytes, from its ISN where that is known, else from what was seen first.
fn stream(key: &FlowKey, instance: &Instance, side: Side, space: Option<&Space>, start: Start) -> Stream {
    let cap = u32::try_from(prefix_cap(key)).unwrap_or(u32::MAX);
    let mut stream = if start.own { Stream::new(cap) } else { Stream::around(cap) };
    stream.set_from_start(start.own);
    let syn = instance.heads.iter().rev().find(|h| h.run.from == side);
    syn.iter().flat_map(|h| h.data.runs()).for_each(|(off, bytes, at)| stream.insert(off, bytes, at));
    if let Some(prefix) = space.map(Space::prefix) {
        let mut runs = prefix.runs().map(|(off, bytes, at)| (off.saturating_sub(start.off), bytes, at));
        if let Some((off, bytes, at)) = runs.next() {
            stream.insert(off, bytes, at);
            let (frames, bytes) = prefix.size();
            stream.reserve(frames, bytes);
        }
        runs.for_each(|(off, bytes, at)| stream.insert(off, bytes, at));
    }
    stream
}
