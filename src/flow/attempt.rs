//! What became of an attempt to open a connection: the first outcome of the table that applies.

use std::cell::LazyCell;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::{Proto, Span, Stamp};

use super::instance::acknowledges_syn;
use super::model::{Flow, IcmpError, Rst, Side, SynRun};
use super::orient::Orientation;

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The handshake's third step was seen, or payload was acknowledged.
    Established,
    /// A RST that acknowledges the SYN, or an ICMP error that says nobody listens.
    Refused,
    /// An ICMP error that says it is forbidden.
    Prohibited,
    /// An ICMP error that says there is no way.
    Unreachable,
    /// The capturing host's own kernel dropped it. No packet source says so; kernel hooks do.
    DroppedLocally,
    /// SYN and SYN-ACK, one of them repeated, never the third step.
    HalfOpen,
    /// The originator reset its own SYN.
    Withdrawn,
    /// SYNs without any answer, although one would have been seen.
    Unanswered,
    /// The packets do not decide.
    Undetermined,
    /// Protocols without connections: the other side sent something too.
    Answered,
    /// Protocols without connections: one side only. Never a failure.
    Silent,
}

impl Outcome {
    /// As in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::Refused => "refused",
            Self::Prohibited => "prohibited",
            Self::Unreachable => "unreachable",
            Self::DroppedLocally => "dropped_locally",
            Self::HalfOpen => "half_open",
            Self::Withdrawn => "withdrawn",
            Self::Unanswered => "unanswered",
            Self::Undetermined => "undetermined",
            Self::Answered => "answered",
            Self::Silent => "silent",
        }
    }
}

/// Doubts about an outcome that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// Established, but the responder sent no payload: a SYN proxy completes handshakes for a host that does not answer.
    HandshakeOnly,
}

/// Who or what made an attempt fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A RST in the responder's name.
    Reset {
        /// The responder's address; the RST bears it whoever sent it.
        reporter: IpAddr,
        /// Its time to live as captured.
        ttl: u8,
        /// The time to live of the responder's other packets, where it does not fit: consistent with a device in the path.
        host_ttl: Option<(u8, u8)>,
    },
    /// An ICMP error.
    Icmp {
        /// Who sent it.
        reporter: IpAddr,
        /// ICMPv6.
        v6: bool,
        /// Type.
        ty: u8,
        /// Code.
        code: u8,
    },
}

/// What must be known beside the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptContext {
    /// How long the capture went on after the last SYN without a hole.
    pub open: Span,
    /// Whether a hole ended that, rather than the capture's end.
    pub hole: bool,
    /// Whether an answer would have been seen: packets from the responder towards the originator were, in the same lane, or the
    /// capture is at the originator and shows both directions.
    pub return_path: bool,
    /// Whether ICMP errors were cut before the packet they quote: one of them may be the answer.
    pub errors_cut: bool,
    /// Lowest and highest time to live of the responder's packets in these lanes, RSTs left out; `None` where there is none.
    pub resp_ttl: Option<(u8, u8)>,
}

/// What became of an attempt, and why that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The outcome.
    pub outcome: Outcome,
    /// Who made it fail.
    pub cause: Option<Cause>,
    /// In plain words.
    pub reason: Arc<str>,
    /// When the attempt began.
    pub first: Stamp,
    /// The packet that decided; where silence did, the last SYN.
    pub decided: Option<Stamp>,
    /// Doubts.
    pub warnings: Vec<Warning>,
}

/// SYNs closer than this are copies of one, as mirror ports make them.
const DISTINCT: Span = Span::from_millis(200);
/// Least time for an answer after the last SYN.
const PATIENCE: Span = Span::from_secs(3);

/// What became of a flow's attempt. Pure. `context` is asked, once, where the flow alone does not decide.
pub fn attempt(flow: &Flow, direction: &Orientation, context: &dyn Fn() -> AttemptContext) -> Attempt {
    let look = Look { flow, orig: direction.orig, context: LazyCell::new(context) };
    if flow.key.proto != Proto::Tcp {
        return look.datagrams();
    }
    look.established()
        .or_else(|| look.reset())
        .or_else(|| look.icmp())
        .or_else(|| look.dropped_locally())
        .or_else(|| look.half_open())
        .or_else(|| look.withdrawn())
        .or_else(|| look.unanswered())
        .unwrap_or_else(|| look.result(Outcome::Undetermined, look.doubt(), None))
}

/// How long after its last SYN an originator may still wait for an answer: at least 3 s, and twice the last interval.
pub fn patience(flow: &Flow, direction: &Orientation) -> Span {
    runs(flow, direction.orig).filter_map(patience_after).last().unwrap_or(PATIENCE)
}

/// The SYNs of a side.
fn runs(flow: &Flow, side: Side) -> impl Iterator<Item = &SynRun> {
    flow.syns.iter().filter(move |r| r.from == side)
}

/// Time for an answer that must have passed after SYNs; `None` where none was repeated.
fn patience_after(run: &SynRun) -> Option<Span> {
    let apart = distinct(&run.stamps).map(|s| s.time);
    let last = apart.fold((None, None), |(_, before), t| (before, Some(t)));
    let (before, last) = (last.0?, last.1?);
    Some(PATIENCE.max(last.since(before).times(2)))
}

struct Look<'a> {
    flow: &'a Flow,
    orig: Side,
    context: LazyCell<AttemptContext, &'a dyn Fn() -> AttemptContext>,
}

impl Look<'_> {
    fn result(&self, outcome: Outcome, reason: impl Into<Arc<str>>, decided: Option<Stamp>) -> Attempt {
        let first = self.runs().filter_map(|r| r.stamps.first()).min().copied().unwrap_or(self.flow.first);
        Attempt { outcome, cause: None, reason: reason.into(), first, decided, warnings: Vec::new() }
    }

    fn runs(&self) -> impl Iterator<Item = &SynRun> {
        runs(self.flow, self.orig)
    }

    fn resp(&self) -> Side {
        self.orig.other()
    }

    fn addr(&self, side: Side) -> IpAddr {
        self.flow.point(side).addr
    }

    fn last_syn(&self) -> Option<Stamp> {
        self.runs().filter_map(|r| r.stamps.last()).max().copied()
    }

    fn established(&self) -> Option<Attempt> {
        let (orig, resp) = (self.flow.end(self.orig), self.flow.end(self.resp()));
        let fast = self.runs().any(|r| {
            let all = r.isn.wrapping_add(1).wrapping_add(r.payload);
            r.payload > 0 && resp.syn_ack_seen.iter().any(|s| s.ack == all)
        });
        let fast = fast.then(|| resp.syn_ack_seen.first().map(|s| s.at)).flatten();
        // Without the ISN an ACK proves a connection only where the other side had its say as well.
        let known = self.runs().next().is_some() || resp.syn_acks > 0 || resp.acked_handshake.is_some();
        let third = orig.acked_handshake.filter(|_| known);
        let payload = [orig.payload_acked, resp.payload_acked, fast].into_iter().flatten().min();
        let (at, reason) = match (third, payload) {
            (Some(a), Some(p)) if p < a => (p, "payload was acknowledged"),
            (Some(a), _) => (a, "the originator acknowledged the handshake"),
            (None, Some(p)) => (p, "payload was acknowledged"),
            (None, None) => return None,
        };
        let mut attempt = self.result(Outcome::Established, reason.to_owned(), Some(at));
        if resp.payload_bytes == 0 {
            attempt.warnings.push(Warning::HandshakeOnly);
        }
        Some(attempt)
    }

    fn reset(&self) -> Option<Attempt> {
        let refuses = |r: &&Rst| r.ack.is_some_and(|ack| self.runs().any(|s| acknowledges_syn(ack, s.isn, s.payload)));
        let rst = self.flow.end(self.resp()).rst_seen.iter().find(refuses)?;
        let host_ttl = self.context.resp_ttl.filter(|&(low, high)| rst.ttl < low || rst.ttl > high);
        let reporter = self.addr(self.resp());
        let mut reason = format!("{reporter} answered the SYN with a RST");
        if let Some((low, high)) = host_ttl {
            let usual = if low == high { low.to_string() } else { format!("{low} to {high}") };
            reason = format!(
                "{reason} of TTL {}, while its other packets have {usual}: consistent with a device in the path",
                rst.ttl
            );
        }
        let mut attempt = self.result(Outcome::Refused, reason, Some(rst.at));
        attempt.cause = Some(Cause::Reset { reporter, ttl: rst.ttl, host_ttl });
        Some(attempt)
    }

    /// Errors that quote the attempt: the originator's packet and, where the number was quoted and is known, its SYN.
    fn icmp(&self) -> Option<Attempt> {
        let syn = |e: &IcmpError| match e.seq {
            Some(seq) if self.runs().next().is_some() => self.runs().any(|r| r.isn == seq),
            _ => true,
        };
        let about = || self.flow.icmp.iter().filter(|e| e.quoted == self.orig && syn(e));
        let (outcome, error) = [Outcome::Refused, Outcome::Prohibited, Outcome::Unreachable]
            .into_iter()
            .find_map(|o| about().find(|e| meaning(e) == Some(o)).map(|e| (o, e)))?;
        let what = match outcome {
            Outcome::Refused => "says nobody listens there",
            Outcome::Prohibited => "says it is administratively prohibited",
            _ => "says it cannot be reached, often a host that is down",
        };
        let version = if error.v6 { "ICMPv6" } else { "ICMP" };
        let reason = format!("{} {what} ({version} {}/{})", error.reporter, error.ty, error.code);
        let mut attempt = self.result(outcome, reason, Some(error.at));
        attempt.cause = Some(Cause::Icmp { reporter: error.reporter, v6: error.v6, ty: error.ty, code: error.code });
        Some(attempt)
    }

    /// The capturing host's own kernel dropped every SYN that is known of, or what answered them.
    fn dropped_locally(&self) -> Option<Attempt> {
        let drops = || self.flow.local.drops.iter();
        let all = |r: &SynRun| {
            let of_run = drops().filter(|d| !d.answer && d.side == self.orig && d.seq == r.isn);
            of_run.map(|d| d.count).sum::<u64>() >= r.count
        };
        let syns = self.runs().next().is_some() && self.runs().all(all) && self.nothing_back();
        let drop = drops().find(|d| if d.answer { d.side == self.resp() } else { syns && d.side == self.orig })?;
        let what = if drop.answer { "the answer (SYN-ACK)" } else { "the SYN" };
        let times = if drop.count == 1 { String::new() } else { format!(", {} times", drop.count) };
        let reason = format!(
            "the kernel of the capturing host itself dropped {what} from {} to {}{times}: {}",
            self.addr(drop.side),
            self.addr(drop.side.other()),
            drop.reason
        );
        Some(self.result(Outcome::DroppedLocally, reason, Some(drop.last)))
    }

    fn half_open(&self) -> Option<Attempt> {
        self.runs().next()?;
        let answers: Vec<Stamp> = self.flow.end(self.resp()).syn_ack_seen.iter().map(|s| s.at).collect();
        let last = *answers.last()?;
        let again = |stamps: &[Stamp]| distinct(stamps).nth(1).is_some();
        if !again(&answers) && !self.runs().any(|r| again(&r.stamps)) {
            return None;
        }
        let reason = "SYN and SYN-ACK were repeated and the handshake never completed: the return path, or the \
                      originator's own firewall";
        Some(self.result(Outcome::HalfOpen, reason.to_owned(), self.last_syn().max(Some(last))))
    }

    fn withdrawn(&self) -> Option<Attempt> {
        self.runs().next()?;
        let rst = self.flow.end(self.orig).rst_seen.first()?;
        Some(self.result(Outcome::Withdrawn, "the originator reset its own SYN".to_owned(), Some(rst.at)))
    }

    /// Time for an answer that must have passed after the last SYN; `None` where no SYN was repeated.
    fn patience(&self) -> Option<Span> {
        self.runs().filter_map(patience_after).last()
    }

    fn nothing_back(&self) -> bool {
        let resp = self.flow.end(self.resp());
        resp.packets == 0 && resp.fragments == 0
    }

    fn unanswered(&self) -> Option<Attempt> {
        let patience = self.patience()?;
        if !self.nothing_back() {
            return None;
        }
        if self.context.open < patience || !self.context.return_path || self.context.errors_cut {
            return None;
        }
        let count: u64 = self.runs().map(|r| r.count).sum();
        let reason =
            format!("{count} SYNs and no answer, though the capture went on for {} more", seconds(self.context.open));
        Some(self.result(Outcome::Unanswered, reason, self.last_syn()))
    }

    /// Why nothing could be decided.
    fn doubt(&self) -> String {
        let resp = self.flow.end(self.resp());
        if self.runs().next().is_none() {
            let what = if resp.syn_acks > 0 { "only the answer to its SYN" } else { "its beginning not" };
            return format!("the connection was seen in part: {what} seen");
        }
        if resp.syn_acks > 0 {
            return "one SYN-ACK and no third step".to_owned();
        }
        if resp.rsts > 0 {
            return "a RST came back that does not acknowledge the SYN".to_owned();
        }
        if !self.nothing_back() {
            return "the responder's packets do not answer the SYN".to_owned();
        }
        let Some(patience) = self.patience() else {
            return "one SYN only".to_owned();
        };
        let open = self.context.open;
        if open < patience {
            let what = if self.context.hole { "the capture has a hole" } else { "the capture ended" };
            return format!("{what} {} after the last SYN, {} are needed", seconds(open), seconds(patience));
        }
        if self.context.errors_cut {
            return "ICMP errors were cut before the packet they quote: one may be the answer".to_owned();
        }
        let (from, to) = (self.addr(self.resp()), self.addr(self.orig));
        format!("no packet from {from} towards {to}'s side was seen: return path unproven")
    }

    fn datagrams(&self) -> Attempt {
        if !self.nothing_back() {
            let at = self.flow.end(self.resp()).first;
            return self.result(Outcome::Answered, "the other side sent packets too".to_owned(), at);
        }
        let silent = || self.result(Outcome::Silent, "no packet came back".to_owned(), None);
        self.icmp().unwrap_or_else(silent)
    }
}

/// Whether a reason for which Linux drops packets (its `enum skb_drop_reason`, without the prefix) is that somebody wanted it:
/// a firewall, a policy or a program. Others say that nobody listens, that a buffer is full or that a packet is damaged.
pub(crate) fn is_protection(reason: &str) -> bool {
    const WANTED: [&str; 9] =
        ["NETFILTER_", "BPF_", "TC_", "XDP", "XFRM_", "IP_RPFILTER", "SECURITY_", "SOCKET_FILTER", "LSM"];
    WANTED.iter().any(|w| reason.starts_with(w))
}

/// What an ICMP error means for an attempt; "fragmentation needed" and everything that is no failure mean nothing.
const fn meaning(e: &IcmpError) -> Option<Outcome> {
    match (e.v6, e.ty, e.code) {
        (false, 3, 2 | 3) | (true, 1, 4) => Some(Outcome::Refused),
        (false, 3, 9 | 10 | 13) | (true, 1, 1 | 5 | 6) => Some(Outcome::Prohibited),
        (false, 3, 4) => None,
        (false, 3 | 11, _) | (true, 1 | 3, _) => Some(Outcome::Unreachable),
        _ => None,
    }
}

/// Stamps at least [`DISTINCT`] apart, greedily from the first.
fn distinct(stamps: &[Stamp]) -> impl Iterator<Item = Stamp> {
    let mut last: Option<Stamp> = None;
    let apart = move |s: &Stamp| {
        let apart = last.is_none_or(|last| s.time.since(last.time) >= DISTINCT);
        last = if apart { Some(*s) } else { last };
        apart
    };
    stamps.iter().copied().filter(apart)
}

fn seconds(span: Span) -> String {
    format!("{:.1} s", span.as_secs_f64())
}
