//! What became of a connection after its handshake: the first that applies of a small table, or nothing to tell.
//!
//! A wrong "it was cut" sends people to a firewall that did nothing, so each reading needs packets that ordinary ends of
//! ordinary stacks do not leave. A RST is how Windows programs and many servers close: one that acknowledges everything, or
//! that follows a FIN, or by which a client gives up what it was receiving, is no failure. Bytes sent again count only while
//! they are the first unacknowledged ones to the very end: a stall that recovered is history.

use crate::base::{Span, Time};

use super::model::{Flow, Hole, Repeated, Rst, Side, Silence};
use super::orient::Orientation;
use crate::base::Stamp;

/// How a connection broke.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Break {
    /// Full-sized segments of one side do not arrive; smaller ones do.
    MtuBlackHole,
    /// What one side sent after a long silence did not arrive, or was answered with a RST.
    IdleCut,
    /// What one side sent did not arrive, however often.
    Stalled,
    /// A RST in the middle of the conversation.
    ResetMidstream,
    /// The receiver's window is closed: that host does not read. The network is fine.
    ZeroWindow,
}

impl Break {
    /// As in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MtuBlackHole => "mtu_black_hole",
            Self::IdleCut => "idle_cut",
            Self::Stalled => "stalled",
            Self::ResetMidstream => "reset_midstream",
            Self::ZeroWindow => "zero_window",
        }
    }
}

/// How an established connection broke, and what shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// How.
    pub what: Break,
    /// Whose bytes do not arrive; of a RST, in whose name it came; of a closed window, who closed it.
    pub side: Side,
    /// First packet that shows it.
    pub first: Stamp,
    /// Last packet that shows it.
    pub last: Stamp,
    /// Time to live of the RST and that of the host's other packets in the flow, where it does not fit: consistent with a
    /// device in the path.
    pub device: Option<(u8, (u8, u8))>,
    /// Sequence number of the bytes that do not arrive.
    pub seq: Option<u32>,
    /// Payload bytes acknowledged before, of both sides.
    pub carried: u64,
    /// Whether it broke before it can have done its work.
    pub early: bool,
    /// In plain words.
    pub reason: String,
}

/// Sendings again, beside the first sending, that make a stall.
const TIMES: u64 = 3;
/// Over at least so long. Also how long a capture must go on after the last one.
const LASTING: Span = Span::from_secs(3);
/// A segment so long may meet a path that does not carry it: what is shorter fits into IPv6's smallest MTU of 1280 bytes
/// (RFC 8200 section 5) with headers and options, and tunnels leave at least as much.
const FULL_SIZE: u32 = 1200;
/// Payload that greetings, certificates, logins and binds of the protocols in question stay below. A connection that has
/// carried more was let through, whatever ended it.
const WORK: u64 = 64 * 1024;
/// What ends a connection is its last word: no acknowledgement rises later than this after it.
const LAST_WORD: Span = Span::from_secs(1);

/// What became of an established TCP connection. `open`: how long the capture went on without a hole after a moment.
pub fn after(flow: &Flow, direction: &Orientation, open: &dyn Fn(Time) -> Span) -> Option<After> {
    let look = Look { flow, direction, open };
    let both = flow.ends.iter().all(|e| e.packets > 0);
    if !both || !look.return_path() {
        return None;
    }
    let sides = [direction.orig, direction.resp()];
    let stall =
        sides.into_iter().find_map(|s| look.repeats(s)).or_else(|| sides.into_iter().find_map(|s| look.hole(s)));
    stall.or_else(|| look.reset()).or_else(|| sides.into_iter().find_map(|s| look.closed_window(s)))
}

struct Look<'a> {
    flow: &'a Flow,
    direction: &'a Orientation,
    open: &'a dyn Fn(Time) -> Span,
}

impl Look<'_> {
    /// Both directions in one lane: what one side would have answered would have been seen.
    fn return_path(&self) -> bool {
        let [a, b] = &self.flow.ends;
        a.lanes.iter().any(|l| b.lanes.contains(l))
    }

    fn addr(&self, side: Side) -> std::net::IpAddr {
        self.flow.point(side).addr
    }

    fn tell(&self, what: Break, side: Side, (first, last): (Stamp, Stamp), reason: String) -> After {
        let carried = self.flow.ends.iter().map(|e| e.acked_bytes).fold(0, u64::saturating_add);
        // An idle cut ends what had worked before the silence, and full-sized segments never got through at all.
        let early = match what {
            Break::MtuBlackHole => true,
            Break::IdleCut => self.flow.ends.iter().any(|e| e.acked_bytes == 0),
            Break::Stalled | Break::ResetMidstream => carried < WORK,
            Break::ZeroWindow => false,
        };
        After { what, side, first, last, device: None, seq: None, carried, early, reason }
    }

    /// Whether a side had said that it is done, before some moment.
    fn done_before(&self, side: Side, at: Stamp) -> bool {
        let end = self.flow.end(side);
        let rst = end.rst_seen.first().map(|r| r.at);
        [end.fin_first, rst].into_iter().flatten().any(|s| s <= at)
    }

    /// Whether the capture shows how it ended: either side gave up, or nothing more came for long enough. Acknowledgements in a
    /// hole of the capture cannot be ruled out.
    fn waited_out(&self, from: Stamp, last: Stamp, patience: Span) -> bool {
        let seen_until = from.time.plus((self.open)(from.time));
        let given_up = self.flow.ends.iter().any(|e| e.rsts > 0 || e.fin_first.is_some_and(|f| f > from));
        let needed = if given_up { self.flow.last.time } else { last.time.plus(patience) };
        seen_until >= needed
    }

    /// The same bytes again and again, and no acknowledgement.
    fn repeats(&self, side: Side) -> Option<After> {
        let (end, peer) = (self.flow.end(side), self.flow.end(side.other()));
        let r = end.repeated.filter(|r| r.times >= TIMES && r.last.time.since(r.first.time) >= LASTING)?;
        let closed_window = peer.zero_window.is_some_and(|z| z >= r.first);
        let patience = LASTING.max(r.interval.times(2));
        if closed_window || self.done_before(side.other(), r.first) || !self.waited_out(r.first, r.last, patience) {
            return None;
        }
        let what = format!(
            "{} sent the same {} {} times more within {}, and {} never acknowledged them",
            self.addr(side),
            bytes(u64::from(r.len)),
            r.times,
            seconds(r.last.time.since(r.first.time)),
            self.addr(side.other())
        );
        let (kind, reason) = self.why(side, &r, what);
        Some(After { seq: Some(r.seq), ..self.tell(kind, side, (r.first, r.last), reason) })
    }

    fn why(&self, side: Side, r: &Repeated, what: String) -> (Break, String) {
        let (end, peer) = (self.flow.end(side), self.flow.end(side.other()));
        let alive = peer.last.is_some_and(|l| l > r.first);
        if alive && r.never_so_long && r.len >= FULL_SIZE {
            return (Break::MtuBlackHole, format!("{what}; smaller segments got through. {}", self.too_big(side)));
        }
        let before = |s: &&Silence| {
            s.to <= r.first.time
                && peer.last.is_none_or(|l| l.time <= s.from)
                && end.acked_last.is_none_or(|a| a.time <= s.from)
        };
        if let Some(s) = self.flow.silences.iter().find(before) {
            return (Break::IdleCut, format!("after {} without a packet {what}", minutes(s.to.since(s.from))));
        }
        let alive = if alive { ", whose own packets still came" } else { "" };
        (Break::Stalled, format!("{what}{alive}"))
    }

    /// What ICMP says of segments that are too long.
    fn too_big(&self, side: Side) -> String {
        let error = self
            .flow
            .icmp
            .iter()
            .find(|e| e.quoted == side && matches!((e.v6, e.ty, e.code), (false, 3, 4) | (true, 2, _)));
        match error {
            Some(e) => format!(
                "{} said that they are too long (ICMP{} {}/{}), to no effect",
                e.reporter,
                if e.v6 { "v6" } else { "" },
                e.ty,
                e.code
            ),
            None => "No ICMP message that they are too long was seen here".to_owned(),
        }
    }

    /// Bytes that the receiver waits for to the end, while later ones arrived: seen from behind the place where they are lost.
    fn hole(&self, side: Side) -> Option<After> {
        let (end, peer) = (self.flow.end(side), self.flow.end(side.other()));
        let hole: Hole = end.hole?;
        let last = peer.last?;
        let since = end.acked_last.map_or(hole.at, |a| a.max(hole.at));
        // A RST counts as a last word only where it repeats what its sender waits for.
        let repeats = peer.rst_seen.iter().all(|r| r.ack == Some(hole.seq));
        let closed_window = peer.zero_window.is_some_and(|z| z >= hole.at);
        if last.time.since(since.time) < LASTING
            || !repeats
            || closed_window
            || self.done_before(side.other(), hole.at)
            || !self.waited_out(hole.at, last, LASTING)
        {
            return None;
        }
        let what = format!(
            "{} from {} never arrived, though later ones did; {} was still waiting for them {} later",
            bytes(hole.len),
            self.addr(side),
            self.addr(side.other()),
            seconds(last.time.since(hole.at.time))
        );
        let alive = end.last.is_some_and(|l| l.time.since(hole.at.time) >= LASTING);
        let too_long = hole.len >= u64::from(FULL_SIZE) && end.largest < FULL_SIZE;
        let (kind, reason) = if alive && too_long {
            let largest = bytes(u64::from(end.largest));
            let why = format!("the longest segment of this connection that came has {largest}. {}", self.too_big(side));
            (Break::MtuBlackHole, format!("{what}; {why}"))
        } else {
            (Break::Stalled, what)
        };
        Some(After { seq: Some(hole.seq), ..self.tell(kind, side, (hole.at, last), reason) })
    }

    /// A RST that is no way to close.
    fn reset(&self) -> Option<After> {
        let first = |side: Side| self.flow.end(side).rst_seen.first().map(|r| (r, side));
        let (rst, side) = [Side::A, Side::B].into_iter().filter_map(first).min_by_key(|(r, _)| r.at)?;
        let ends = &self.flow.ends;
        let closed = ends.iter().any(|e| e.fin_first.is_some_and(|f| f <= rst.at));
        let talked = ends.iter().any(|e| e.first_payload.is_some_and(|p| p < rst.at));
        let went_on = ends.iter().any(|e| e.acked_last.is_some_and(|a| a.time.since(rst.at.time) > LAST_WORD));
        let seen_until = rst.at.time.plus((self.open)(rst.at.time));
        if closed || went_on || !talked || seen_until < self.flow.last.time {
            return None;
        }
        let device = self.device(side, rst);
        // A stack that closes acknowledges what it has read. One that knows of no such connection does not (RFC 9293
        // section 3.5.2): after a handshake it is not that host's own, or not its own any more.
        let in_flight = self.flow.end(side).reset_in_flight;
        let unknown = in_flight > 0 && rst.ack.is_none();
        let idle = self.silence_before(rst);
        let cut = idle.is_some() && (unknown || device.is_some());
        if !cut && device.is_none() && !(unknown && side == self.direction.resp()) {
            return None;
        }
        let mut reason = format!("a RST in the name of {}", self.addr(side));
        if in_flight > 0 {
            reason.push_str(&format!(" met {} that {} had sent", bytes(in_flight), self.addr(side.other())));
        } else {
            reason.push_str(" ended the connection, and nobody had closed it");
        }
        if let Some(s) = idle.filter(|_| cut) {
            reason = format!("after {} without a packet {reason}", minutes(s.to.since(s.from)));
        }
        if let Some((ttl, usual)) = device {
            reason.push_str(&format!(
                "; its TTL is {ttl}, that of the host's other packets {}: consistent with a device in the path",
                range(usual)
            ));
        }
        let kind = if cut { Break::IdleCut } else { Break::ResetMidstream };
        Some(After { device, ..self.tell(kind, side, (rst.at, rst.at), reason) })
    }

    /// A silence that the connection did not outlive.
    fn silence_before(&self, rst: &Rst) -> Option<&Silence> {
        let silent = |s: &&Silence| {
            s.to <= rst.at.time && self.flow.ends.iter().all(|e| e.acked_last.is_none_or(|a| a.time <= s.from))
        };
        self.flow.silences.iter().rev().find(silent)
    }

    /// The time to live of a side's RSTs and of its other packets, where none of the former fits the latter.
    fn device(&self, side: Side, rst: &Rst) -> Option<(u8, (u8, u8))> {
        let end = self.flow.end(side);
        let (low, high) = end.ttl?;
        let strange = |r: &Rst| r.ttl < low || high < r.ttl;
        end.rst_seen.iter().all(strange).then_some((rst.ttl, (low, high)))
    }

    /// A receiver that took nothing more to the end.
    fn closed_window(&self, side: Side) -> Option<After> {
        let (end, peer) = (self.flow.end(side), self.flow.end(side.other()));
        let zero = end.zero_window.filter(|z| Some(*z) == end.last)?;
        let since = peer.acked_last?;
        let ended = self.flow.ends.iter().any(|e| e.rsts > 0 || e.fin_first.is_some());
        let lasted = self.flow.last.time.since(since.time);
        if ended || peer.acked_bytes == 0 || lasted < LASTING {
            return None;
        }
        let reason = format!(
            "{} has closed its window and took nothing more for {}: that host does not read what it is sent; the network is fine",
            self.addr(side),
            seconds(lasted)
        );
        Some(self.tell(Break::ZeroWindow, side, (since, zero), reason))
    }
}

fn bytes(n: u64) -> String {
    format!("{n} byte{}", if n == 1 { "" } else { "s" })
}

fn seconds(span: Span) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

fn minutes(span: Span) -> String {
    let secs = span.as_nanos() / 1_000_000_000;
    if secs < 120 { format!("{secs} s") } else { format!("{} min", secs / 60) }
}

fn range((low, high): (u8, u8)) -> String {
    if low == high { low.to_string() } else { format!("{low} to {high}") }
}
