//! One flow as a record of the report; the same for `verify` and `flows`.

use std::sync::Arc;

use crate::app::Speaks;
use crate::base::{Proto, Span, Time};
use crate::flow::{self, After, Attempt, Break, ConnState, EndPoint, Flow, FlowId, Method, Orientation, Outcome, Side};
use crate::observe::InputSummary;
use crate::report::{
    AfterRecord, AppRecord, Direction, EndRecord, FlowFilter, FlowRecord, ProcessRecord, RefusalRecord, Teller,
    TunnelRecord,
};

/// Facts of a flow as a record, without roles and class.
pub fn flow_record(
    flow: &Flow,
    id: FlowId,
    direction: Orientation,
    attempt: &Attempt,
    after: Option<&After>,
    state: ConnState,
    inputs: &[InputSummary],
) -> FlowRecord {
    let (orig, resp) = (direction.orig, direction.orig.other());
    let (o, r) = (flow.end(orig), flow.end(resp));
    FlowRecord {
        id,
        proto: flow.key.proto,
        orig: end(flow.point(orig)),
        resp: end(flow.point(resp)),
        direction: direction_word(direction.method),
        conn_state: if flow.key.proto == Proto::Tcp { state.name() } else { "" },
        attempt: attempt.outcome.name(),
        attempt_reason: Arc::clone(&attempt.reason),
        after: after.map(|a| Box::new(broken(flow, direction, a))),
        class: None,
        unexpected: None,
        assumed: false,
        reason: None,
        rules: Vec::new(),
        label: None,
        app: app(flow, orig),
        first: flow.first.time,
        last: flow.last.time,
        orig_packets: o.packets + o.fragments,
        orig_bytes: o.ip_bytes,
        resp_packets: r.packets + r.fragments,
        resp_bytes: r.ip_bytes,
        orig_payload: o.payload_bytes,
        resp_payload: r.payload_bytes,
        attempts: flow.syns.iter().filter(|s| s.from == orig).count() as u64,
        vlans: vlans(flow),
        untunnelled_packets: untunnelled(flow),
        tunnels: tunnels(flow),
        icmp: icmp(flow),
        dropped: dropped(flow),
        processes: processes(flow, orig),
        warnings: attempt.warnings.iter().map(|&w| warning(w)).collect(),
        input: inputs
            .iter()
            .find(|i| i.input == flow.first.at.input)
            .map_or_else(|| "".into(), |i| Arc::clone(&i.name)),
        first_frame: flow.first.at.frame,
        observation_point: None,
        connection: None,
        display_filter: FlowFilter::of(flow),
    }
}

/// How an established TCP connection broke. `open`: how long the capture went on without a hole after a moment.
pub fn after(flow: &Flow, direction: &Orientation, attempt: &Attempt, open: &dyn Fn(Time) -> Span) -> Option<After> {
    let established = flow.key.proto == Proto::Tcp && attempt.outcome == Outcome::Established;
    established.then(|| flow::after(flow, direction, open)).flatten()
}

fn broken(flow: &Flow, direction: Orientation, a: &After) -> AfterRecord {
    let which = match (a.what, a.seq) {
        (Break::ZeroWindow, _) => " && tcp.window_size_value == 0".to_owned(),
        (_, Some(seq)) => format!(" && tcp.seq_raw == {seq}"),
        (_, None) => " && tcp.flags.reset == 1".to_owned(),
    };
    AfterRecord {
        outcome: a.what,
        side: if a.side == direction.orig { "orig" } else { "resp" }.to_owned(),
        reason: a.reason.clone(),
        first: a.first.time,
        first_frame: a.first.at.frame,
        last: a.last.time,
        last_frame: a.last.at.frame,
        carried: a.carried,
        early: a.early,
        device_suspected: a.device.is_some(),
        display_filter: format!("{}{which}", FlowFilter::of(flow)),
    }
}

fn end(p: EndPoint) -> EndRecord {
    EndRecord { addr: p.addr, port: p.port, host: None, roles: None }
}

const fn direction_word(method: Method) -> Direction {
    match method {
        Method::Syn => Direction::Syn,
        Method::SynAck => Direction::SynAck,
        Method::ServicePort => Direction::ServicePort,
        Method::FirstPacket => Direction::FirstPacket,
    }
}

fn warning(w: flow::Warning) -> String {
    match w {
        flow::Warning::HandshakeOnly => "handshake_only".to_owned(),
    }
}

fn app(flow: &Flow, orig: Side) -> AppRecord {
    let e = &flow.evidence;
    let known = e.speaks.iter().find_map(|s| if let Speaks::Known(p) = s { Some(*p) } else { None });
    let other = e.speaks.contains(&Speaks::Other);
    let protocol = known.map(|p| p.word().to_owned()).or_else(|| other.then(|| "other".to_owned()));
    let refusal = e.refusal.as_ref().map(|r| {
        Box::new(RefusalRecord {
            step: r.step,
            by: r.side_a.map(|a| if a == (orig == Side::A) { Teller::Originator } else { Teller::Responder }),
            code: r.code,
            name: r.name.clone(),
            text: r.text.clone(),
            at: r.at,
        })
    });
    AppRecord { protocol, state: None, summary: e.summary(), facts: e.facts.clone(), mapper: e.mapper.clone(), refusal }
}

fn vlans(flow: &Flow) -> Vec<String> {
    let mut all: Vec<String> = [Side::A, Side::B]
        .into_iter()
        .flat_map(|s| &flow.end(s).lanes)
        .map(|l| l.vlans.iter().filter(|&&v| v != 0).map(ToString::to_string).collect::<Vec<_>>().join("."))
        .filter(|v| !v.is_empty())
        .collect();
    all.sort();
    all.dedup();
    all
}

fn tunnels(flow: &Flow) -> Vec<TunnelRecord> {
    let mut all: Vec<flow::Tunnel> = Vec::new();
    for t in flow.ends.iter().flat_map(|e| &e.tunnels) {
        match all.iter_mut().find(|k| flow::Tunnel { packets: t.packets, ..**k } == *t) {
            Some(known) => known.packets = known.packets.saturating_add(t.packets),
            None => all.push(*t),
        }
    }
    all.sort_unstable();
    let record = |t: flow::Tunnel| TunnelRecord {
        encapsulation: t.encapsulation,
        id: t.id,
        from: t.ends.map(|e| e.0.to_string()),
        to: t.ends.map(|e| e.1.to_string()),
        depth: t.depth,
        packets: t.packets,
    };
    all.into_iter().map(record).collect()
}

/// Packets in no tunnel, where some were in one.
fn untunnelled(flow: &Flow) -> Option<u64> {
    let tunnels = || flow.ends.iter().flat_map(|e| &e.tunnels);
    let inside: u64 = tunnels().filter(|t| t.depth == 0).map(|t| t.packets).sum();
    let all: u64 = flow.ends.iter().map(|e| e.packets).sum();
    tunnels().next().map(|_| all.saturating_sub(inside))
}

fn icmp(flow: &Flow) -> Vec<String> {
    flow.icmp.iter().map(|e| format!("{}/{} by {} x{}", e.ty, e.code, e.reporter, e.count)).collect()
}

fn dropped(flow: &Flow) -> Vec<String> {
    let told = |d: &flow::LocalDrop| {
        let what = if d.answer { "SYN-ACK" } else { "SYN" };
        format!("{what} by {}, {} x{}", flow.point(d.side).addr, d.reason, d.count)
    };
    flow.local.drops.iter().map(told).collect()
}

fn processes(flow: &Flow, orig: Side) -> Vec<ProcessRecord> {
    let record = |o: &flow::Owner| ProcessRecord {
        side: if o.side == orig { "orig" } else { "resp" }.to_owned(),
        listens: o.listens,
        pid: o.process.pid,
        program: o.process.program.clone(),
        unit: o.process.unit.clone(),
    };
    // Who listens at a port that a flow began from has nothing to do with it.
    flow.local.owners.iter().filter(|o| !o.listens || o.side != orig).map(record).collect()
}
