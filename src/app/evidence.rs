//! From the kept bytes of both sides to what they say.

use super::model::{AppFacts, AppProto, Evidence, Speaks};
use super::outcome::Outcome;
use super::part::{Part, framed};
use super::stream::{Piece, Stream};
use super::tls_records::{self, Told};
use super::{dns, http, iscsi, kerberos, ldap, ntp, refusal, rpc, smb, smb_session, ssh, tls, tns};
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
struct Side<'a> {
    speaks: Speaks,
    found: Option<Found>,
    pieces: &'a [Piece],
}

impl<'a> Side<'a> {
    fn of(stream: &'a Stream) -> Self {
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
    of_tls(&sides, &mut evidence);
    of_ssh(&sides, &mut evidence);
    of_smb(&sides, &mut evidence);
    of_iscsi(&sides, &mut evidence);
    of_http(&sides, &mut evidence);
    of_messages(&sides, &mut evidence);
    of_rpc(&sides, &mut evidence);
    evidence.speaks = sides.map(|s| s.speaks);
    evidence
}

/// Facts that one side tells alone.
fn fact(found: &Found, side_a: bool) -> Option<AppFacts> {
    match found {
        Found::Tls(tls::Facts::Client { server_name, alpn }) => {
            Some(AppFacts::TlsClient { server_name: server_name.clone(), alpn: alpn.clone() })
        }
        Found::Tls(tls::Facts::Server { version, alpn }) => {
            Some(AppFacts::TlsServer { version: *version, alpn: alpn.clone() })
        }
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

/// Certificates and alerts behind the hellos.
fn of_tls(sides: &[Side<'_>; 2], evidence: &mut Evidence) {
    let told = sides.each_ref().map(|s| {
        let piece = s.pieces.first().filter(|_| matches!(s.found, Some(Found::Tls(_))))?;
        Some((tls_records::read(&piece.bytes), piece))
    });
    for (side, side_a) in told.iter().zip([true, false]) {
        if let Some((Told { certificate: Some(c), .. }, _)) = side {
            evidence.facts.push(AppFacts::TlsCertificate {
                side_a,
                subject: c.subject.clone(),
                names: c.names.clone(),
                issuer: c.issuer.clone(),
                not_before: c.not_before,
                not_after: c.not_after,
            });
        }
    }
    evidence.refuse(refusal::of_tls(told.each_ref().map(|s| s.as_ref().map(|(t, piece)| (t, *piece)))));
}

/// Why SSH ended before it began.
fn of_ssh(sides: &[Side<'_>; 2], evidence: &mut Evidence) {
    let ssh = |s: &Side<'_>| matches!(s.found, Some(Found::Ssh(_)));
    let [a, b] = sides;
    let (Some(x), Some(y)) = (a.pieces.first(), b.pieces.first()) else { return };
    match (ssh(a), ssh(b)) {
        (true, true) => evidence.refuse(refusal::of_ssh(x, y)),
        // A server that is too busy says so in place of its identification.
        (true, false) => evidence.refuse(refusal::turned_away(y, false)),
        (false, true) => evidence.refuse(refusal::turned_away(x, true)),
        (false, false) => {}
    }
}

/// The dialect that the server chose, and whom and what it let in.
fn of_smb(sides: &[Side<'_>; 2], evidence: &mut Evidence) {
    let smb = sides.each_ref().map(|s| if let Some(Found::Smb(f)) = &s.found { Some(f) } else { None });
    if smb.iter().all(Option::is_none) {
        return;
    }
    let chosen = smb.iter().flatten().find_map(|f| f.dialect);
    evidence.facts.extend(chosen.map(AppFacts::SmbDialect));
    let [a, b] = sides;
    let told = smb_session::read([a.pieces.first(), b.pieces.first()]);
    evidence.facts.extend(told.session.map(|(status, _)| AppFacts::SmbSession { status }));
    let named = told.shares.iter().filter(|s| !s.name.as_bytes().is_empty());
    evidence.facts.extend(named.map(|s| AppFacts::SmbShare {
        server: s.server.clone(),
        share: s.name.clone(),
        status: s.answer.map(|(status, _)| status),
    }));
    evidence.facts.extend(told.pipes.iter().map(|name| AppFacts::SmbPipe { name: name.clone() }));
    if told.encrypted > 0 {
        evidence.facts.push(AppFacts::SmbEncrypted { messages: told.encrypted });
    }
    evidence.refuse(told.failed().map(refusal::of_smb));
}

/// One login from both sides: names from whoever asked, the status from the answer.
fn of_iscsi(sides: &[Side<'_>; 2], evidence: &mut Evidence) {
    let logins = || sides.iter().filter_map(|s| if let Some(Found::Iscsi(f)) = &s.found { Some(f) } else { None });
    if logins().next().is_none() {
        return;
    }
    let text = |asks: bool, f: fn(&iscsi::Facts) -> &Option<WireText>| {
        logins().find_map(|l| if l.asks == asks { f(l).clone() } else { None })
    };
    evidence.facts.push(AppFacts::IscsiLogin {
        initiator: text(true, |f| &f.initiator),
        target: text(true, |f| &f.target),
        auth_offered: text(true, |f| &f.auth),
        auth_chosen: text(false, |f| &f.auth),
        status: logins().find_map(|l| l.status),
    });
    if let Some(l) = logins().find(|l| !l.targets.is_empty()) {
        evidence.facts.push(AppFacts::IscsiTargets { names: l.targets.clone() });
    }
    for (side, side_a) in sides.iter().zip([true, false]) {
        if let (Some(Found::Iscsi(l)), Some(piece)) = (&side.found, side.pieces.first())
            && let (Some(status), Some(at)) = (l.status, piece.stamp(l.ended))
        {
            evidence.refuse(refusal::of_iscsi(status, at, side_a));
        }
    }
}

fn of_http(sides: &[Side<'_>; 2], evidence: &mut Evidence) {
    let http = |s: &Side<'_>| matches!(s.found, Some(Found::Http(_)));
    let [a, b] = sides;
    if let (true, true, Some(x), Some(y)) = (http(a), http(b), a.pieces.first(), b.pieces.first()) {
        evidence.refuse(refusal::of_http(&x.bytes, y, false));
        evidence.refuse(refusal::of_http(&y.bytes, x, true));
    }
}

fn of_rpc(sides: &[Side<'_>; 2], evidence: &mut Evidence) {
    if !sides.iter().any(|s| matches!(s.found, Some(Found::DceRpc))) {
        return;
    }
    let [a, b] = sides;
    for (client, server, server_a) in [(a, b, false), (b, a, true)] {
        let said = rpc::follow(client.pieces, server.pieces);
        evidence.facts.extend(said.facts);
        evidence.mapper.extend(said.answers);
        evidence.refuse(said.refused.map(|(step, code, at)| refusal::of_rpc(step, code, at, server_a)));
    }
}

/// Facts of protocols of separate messages, from both sides.
fn of_messages(sides: &[Side<'_>; 2], evidence: &mut Evidence) {
    let spoken = sides.iter().find_map(|s| if let Some(Found::Spoken(p)) = &s.found { Some(*p) } else { None });
    let Some(proto) = spoken else { return };
    let frame: fn(&[u8]) -> Option<(usize, usize)> = match proto {
        AppProto::Kerberos => kerberos::frame,
        AppProto::Tns => tns::frame,
        AppProto::Dns => dns::frame,
        _ => ldap::frame,
    };
    let [a, b] = sides.each_ref().map(|s| framed(s.pieces.first(), frame));
    of_parts(proto, [&a, &b], evidence);
}

fn of_parts(proto: AppProto, sides: [&[Part<'_>]; 2], evidence: &mut Evidence) {
    match proto {
        AppProto::Kerberos => {
            evidence.facts.extend(kerberos::facts(sides));
            evidence.refuse(refusal::of_kerberos(sides));
        }
        AppProto::Tns => {
            evidence.facts.extend(tns::facts(sides));
            evidence.refuse(refusal::of_tns(sides));
        }
        AppProto::Ldap => {
            let done = ldap::done(sides);
            evidence.facts.extend(ldap::facts(&done));
            evidence.refuse(refusal::of_ldap(&done));
        }
        AppProto::Dns => evidence.facts.extend(dns::facts(sides)),
        AppProto::Ntp => evidence.facts.extend(ntp::facts(sides)),
        _ => {}
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
    if let Some(proto) = spoken {
        of_parts(proto, [a, b], &mut evidence);
    }
    evidence
}
