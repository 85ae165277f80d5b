//! From the kept bytes of both sides to what they say.

use super::model::{AppFacts, AppProto, Evidence, Speaks};
use super::outcome::Outcome;
use super::part::{Part, framed};
use super::stream::{Piece, Stream};
use super::{dns, http, iscsi, kerberos, ldap, ntp, rpc, smb, ssh, tls, tns};
use crate::base::WireText;

/// What a recognised side said.
enum Found {
    Tls(tls::Facts),
    Smb(smb::Facts),
    DceRpc,
    Iscsi(iscsi::Facts),
    Http(http::Facts),
    Ssh(ssh::Facts),
    /// One of those whose meaning needs both sides.
    Spoken(AppProto),
}

impl Found {
    const fn proto(&self) -> AppProto {
        match self {
            Self::Tls(_) => AppProto::Tls,
            Self::Smb(_) => AppProto::Smb,
            Self::DceRpc => AppProto::DceRpc,
            Self::Iscsi(_) => AppProto::Iscsi,
            Self::Http(_) => AppProto::Http,
            Self::Ssh(_) => AppProto::Ssh,
            Self::Spoken(proto) => *proto,
        }
    }
}

type Parser = fn(&[u8]) -> Outcome<Found>;

/// Parsers in the order in which they are asked: those whose first byte decides come first, text last, and SSH behind HTTP,
/// because a server may send any text before its identification.
const ORDER: [Parser; 10] = [
    |b| tls::parse(b).map(Found::Tls),
    |b| smb::parse(b).map(Found::Smb),
    |b| rpc::parse(b).map(|()| Found::DceRpc),
    |b| iscsi::parse(b).map(Found::Iscsi),
    |b| kerberos::stream(b).map(|()| Found::Spoken(AppProto::Kerberos)),
    |b| tns::parse(b).map(|()| Found::Spoken(AppProto::Tns)),
    |b| dns::stream(b).map(|()| Found::Spoken(AppProto::Dns)),
    |b| ldap::parse(b).map(|()| Found::Spoken(AppProto::Ldap)),
    |b| http::parse(b).map(Found::Http),
    |b| ssh::parse(b).map(Found::Ssh),
];

/// The first parser that does not say no decides, even where it needs more: so more bytes never turn one protocol into another.
fn identify(bytes: &[u8]) -> Outcome<Found> {
    ORDER.iter().map(|parse| parse(bytes)).find(|o| !matches!(o, Outcome::No)).unwrap_or(Outcome::No)
}

/// Where the first bytes of a side lie and what they are, whether or not a stream begins there.
pub fn opening(stream: &Stream) -> Option<(i64, Outcome<AppProto>)> {
    stream.pieces().first().map(|p| (p.offset, identify(&p.bytes).map(|f| f.proto())))
}

/// One side, taken apart.
struct Side {
    speaks: Speaks,
    found: Option<Found>,
    pieces: Vec<Piece>,
}

impl Side {
    fn of(stream: &Stream) -> Self {
        let pieces = stream.pieces();
        let head = pieces.first();
        let at_start = stream.from_start() && head.is_some_and(|p| p.offset == 0);
        // Without the start, what the first bytes are is not judged, but what they plainly show is kept as facts.
        let outcome = head.map(|p| identify(&p.bytes));
        let speaks = match &outcome {
            None if stream.sent() == 0 => Speaks::Nothing,
            _ if !at_start => Speaks::NoStart,
            None | Some(Outcome::NeedMore) => Speaks::Undecided,
            Some(Outcome::No) => Speaks::Other,
            Some(Outcome::Evidence(found)) => Speaks::Known(found.proto()),
        };
        let found = outcome.and_then(|o| if let Outcome::Evidence(f) = o { Some(f) } else { None });
        Self { speaks, found, pieces }
    }
}

/// What payload says: `a` is what `key.ends[0]` sent, `b` what `key.ends[1]` sent. Sees bytes only, never ports.
///
/// A side is [`Speaks::Other`] only where enough bytes from its very start are there and every parser says no. More bytes may turn
/// `Undecided` into `Known` or `Other`, and nothing else.
pub fn evidence(a: &Stream, b: &Stream) -> Evidence {
    let sides = [Side::of(a), Side::of(b)];
    let mut evidence = Evidence::none();
    for (side, side_a) in sides.iter().zip([true, false]) {
        evidence.facts.extend(side.found.as_ref().and_then(|f| fact(f, side_a)));
    }
    evidence.facts.extend(smb_dialect(&sides));
    evidence.facts.extend(iscsi_login(&sides));
    evidence.facts.extend(of_messages(&sides));
    let [side_a, side_b] = &sides;
    if sides.iter().any(|s| matches!(s.found, Some(Found::DceRpc))) {
        for (client, server) in [(side_a, side_b), (side_b, side_a)] {
            let said = rpc::follow(&client.pieces, &server.pieces);
            evidence.facts.extend(said.facts);
            evidence.mapper.extend(said.answers);
        }
    }
    evidence.speaks = sides.map(|s| s.speaks);
    evidence
}

/// Facts that one side tells alone.
fn fact(found: &Found, side_a: bool) -> Option<AppFacts> {
    match found {
        Found::Tls(tls::Facts::Client { server_name }) => {
            Some(AppFacts::TlsClient { server_name: server_name.clone() })
        }
        Found::Tls(tls::Facts::Server { version }) => Some(AppFacts::TlsServer { version: *version }),
        Found::Tls(tls::Facts::Alert { level, description }) => {
            Some(AppFacts::TlsAlert { side_a, level: *level, description: *description })
        }
        Found::Ssh(facts) => {
            facts.identification.clone().map(|identification| AppFacts::Ssh { side_a, identification })
        }
        Found::Http(facts) => facts.line.clone().map(|line| AppFacts::Http { side_a, line }),
        Found::Tls(tls::Facts::Cut) | Found::Smb(_) | Found::DceRpc | Found::Iscsi(_) | Found::Spoken(_) => None,
    }
}

/// Facts of protocols of separate messages, from both sides.
fn of_messages(sides: &[Side; 2]) -> Vec<AppFacts> {
    let spoken = sides.iter().find_map(|s| if let Some(Found::Spoken(p)) = &s.found { Some(*p) } else { None });
    let Some(proto) = spoken else { return Vec::new() };
    let frame: fn(&[u8]) -> Option<(usize, usize)> = match proto {
        AppProto::Kerberos => kerberos::frame,
        AppProto::Tns => tns::frame,
        AppProto::Dns => dns::frame,
        _ => ldap::frame,
    };
    let [a, b] = sides.each_ref().map(|s| framed(s.pieces.first(), frame));
    facts_of(proto, [&a, &b])
}

fn facts_of(proto: AppProto, sides: [&[Part<'_>]; 2]) -> Vec<AppFacts> {
    match proto {
        AppProto::Kerberos => kerberos::facts(sides),
        AppProto::Tns => tns::facts(sides),
        AppProto::Dns => dns::facts(sides),
        AppProto::Ldap => ldap::facts(&ldap::done(sides)),
        AppProto::Ntp => ntp::facts(sides),
        _ => Vec::new(),
    }
}

type DatagramParser = fn(&Part<'_>) -> Outcome<()>;

/// Parsers of datagrams in the order in which they are asked, the one with the least to go by last.
const DATAGRAMS: [(AppProto, DatagramParser); 4] = [
    (AppProto::Kerberos, |p| kerberos::datagram(p.bytes)),
    (AppProto::Ldap, |p| ldap::parse(p.bytes)),
    (AppProto::Dns, |p| dns::datagram(p.bytes, p.wire)),
    (AppProto::Ntp, |p| ntp::datagram(p.bytes, p.wire)),
];

/// What the first datagrams say: `a` is what `key.ends[0]` sent, `b` what `key.ends[1]` sent. A side speaks what its first one is.
pub fn datagram_evidence(a: &[Part<'_>], b: &[Part<'_>]) -> Evidence {
    let mut evidence = Evidence::none();
    evidence.speaks = [a, b].map(|parts| {
        let Some(first) = parts.first() else { return Speaks::Nothing };
        let known = DATAGRAMS.iter().map(|(p, parse)| (p, parse(first))).find(|(_, o)| *o != Outcome::No);
        match known {
            Some((proto, Outcome::Evidence(()))) => Speaks::Known(*proto),
            Some(_) => Speaks::Undecided,
            None => Speaks::Other,
        }
    });
    let spoken = evidence.speaks.iter().find_map(|s| if let Speaks::Known(p) = s { Some(*p) } else { None });
    evidence.facts = spoken.map(|p| facts_of(p, [a, b])).unwrap_or_default();
    evidence
}

/// The dialect that the server chose, whichever side it is.
fn smb_dialect(sides: &[Side; 2]) -> Option<AppFacts> {
    let chosen = sides.iter().find_map(|s| if let Some(Found::Smb(f)) = &s.found { f.dialect } else { None });
    chosen.map(AppFacts::SmbDialect)
}

/// One login from both sides: names from whoever asked, the status from the answer.
fn iscsi_login(sides: &[Side; 2]) -> Option<AppFacts> {
    let logins = || sides.iter().filter_map(|s| if let Some(Found::Iscsi(f)) = &s.found { Some(f) } else { None });
    logins().next()?;
    let text =
        |f: fn(&iscsi::Facts) -> &Option<WireText>| logins().find_map(|l| if l.asks { f(l).clone() } else { None });
    let (initiator, target) = (text(|f| &f.initiator), text(|f| &f.target));
    Some(AppFacts::IscsiLogin { initiator, target, status: logins().find_map(|l| l.status) })
}
