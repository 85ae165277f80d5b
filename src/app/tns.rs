//! Oracle TNS: connect, accept, refuse, redirect, resend; the service or SID asked for, and the listener's reason.
//!
//! The protocol has no public specification. The layout is that which Wireshark's `packet-tns.c` and Oracle's open source thin
//! driver (`python-oracledb`, `thin/constants.pxi`) agree on.

use super::model::AppFacts;
use super::outcome::{Outcome, Stop, needed, require};
use super::part::Part;
use super::reader::Reader;
use crate::base::WireText;

const CONNECT: u8 = 1;
const ACCEPT: u8 = 2;
const REFUSE: u8 = 4;
const REDIRECT: u8 = 5;
const RESEND: u8 = 11;

/// Header: length, checksum, type, flags, checksum of the header.
const HEADER: u16 = 8;
/// Fixed part of a connect packet up to where its data begins.
const CONNECT_LEAST: u16 = 34;
/// Versions seen: 8i's 309 up to 23ai's 319, with room on both sides.
const VERSIONS: std::ops::RangeInclusive<u16> = 200..=399;

/// Recognises the first packet of one side.
pub(super) fn parse(bytes: &[u8]) -> Outcome<()> {
    opening(bytes).into()
}

fn opening(bytes: &[u8]) -> Result<(), Stop> {
    let mut r = Reader::big(bytes);
    let length = needed(r.u16())?;
    require(length >= HEADER)?;
    // Nobody computes either checksum.
    require(needed(r.u8())? == 0)?;
    require(needed(r.u8())? == 0)?;
    let kind = needed(r.u8())?;
    require(matches!(kind, CONNECT | ACCEPT | REFUSE | REDIRECT | RESEND))?;
    needed(r.u8())?;
    require(needed(r.u8())? == 0)?;
    require(needed(r.u8())? == 0)?;
    match kind {
        CONNECT => {
            require(length >= CONNECT_LEAST)?;
            let version = needed(r.u16())?;
            require(VERSIONS.contains(&version) && needed(r.u16())? <= version)?;
            needed(r.take(12))?;
            let (data, offset) = (needed(r.u16())?, needed(r.u16())?);
            // Data that does not fit follows in a packet of its own.
            require((CONNECT_LEAST..=512).contains(&offset) && (data == 0 || length >= offset))
        }
        ACCEPT => require(length >= 24 && VERSIONS.contains(&needed(r.u16())?)),
        REFUSE => {
            needed(r.u16())?;
            require(needed(r.u16())? <= length - HEADER)?;
            text_follows(length, 12, &r)
        }
        REDIRECT => {
            require(needed(r.u16())? < 4096)?;
            text_follows(length, 10, &r)
        }
        _ => require(length == HEADER),
    }
}

/// Reasons and addresses are in brackets; a redirection may send its address later.
fn text_follows(length: u16, head: u16, r: &Reader<'_>) -> Result<(), Stop> {
    require(length >= head)?;
    if length == head { Ok(()) } else { require(*needed(r.rest().first())? == b'(') }
}

/// A packet of a stream, as long as lengths have two bytes: during connection setup.
pub(super) fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let length = Reader::big(bytes).u16()?;
    (length >= HEADER).then_some((0, usize::from(length)))
}

/// What a packet says, apart from its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Connect { service: Option<WireText>, sid: Option<WireText> },
    Accept,
    Refuse { error: Option<u32> },
    Redirect,
}

/// Reads a packet of connection setup.
pub(super) fn packet(bytes: &[u8]) -> Option<Packet> {
    let kind = *bytes.get(4)?;
    Some(match kind {
        CONNECT => {
            let offset = usize::from(Reader::big(bytes.get(26..)?).u16()?);
            let data = bytes.get(offset..).unwrap_or_default();
            Packet::Connect { service: value(data, b"SERVICE_NAME"), sid: value(data, b"SID") }
        }
        ACCEPT => Packet::Accept,
        REFUSE => {
            let error = value(bytes.get(12..).unwrap_or_default(), b"ERR");
            Packet::Refuse { error: error.and_then(|t| t.terminal().parse().ok()) }
        }
        REDIRECT => Packet::Redirect,
        _ => return None,
    })
}

/// The value of `(KEY=value)`, where its closing bracket was captured. Keys are written in any case, spaces are allowed.
fn value(data: &[u8], key: &[u8]) -> Option<WireText> {
    data.split(|b| *b == b'(').find_map(|field| {
        let (name, rest) = field.split_at_checked(field.iter().position(|b| *b == b'=')?)?;
        if !name.trim_ascii().eq_ignore_ascii_case(key) {
            return None;
        }
        let rest = rest.get(1..)?;
        let text = rest.get(..rest.iter().position(|b| *b == b')')?)?.trim_ascii();
        (!text.is_empty()).then(|| WireText::new(text))
    })
}

/// What was asked for and what came of it.
pub(super) fn facts(sides: [&[Part<'_>]; 2]) -> Vec<AppFacts> {
    let all = || sides.into_iter().flatten().filter_map(|p| packet(p.bytes));
    let asked = all().find_map(|p| if let Packet::Connect { service, sid } = p { Some((service, sid)) } else { None });
    // A server may ask for a connect packet again, or send it elsewhere: what came last counts.
    let answer = all().rfind(|p| !matches!(p, Packet::Connect { .. }));
    if asked.is_none() && answer.is_none() {
        return Vec::new();
    }
    let (service, sid) = asked.unwrap_or_default();
    let (answer, error) = match answer {
        Some(Packet::Accept) => (Some("accept"), None),
        Some(Packet::Refuse { error }) => (Some("refuse"), error),
        Some(Packet::Redirect) => (Some("redirect"), None),
        _ => (None, None),
    };
    vec![AppFacts::Tns { service, sid, answer: answer.map(str::to_owned), error }]
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::part::part;
    use super::*;

    fn packet_of(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap() + HEADER;
        [&length.to_be_bytes()[..], &[0, 0, kind, 0, 0, 0], body].concat()
    }

    /// A connect packet that asks for a service.
    pub(in crate::app) fn connect() -> Vec<u8> {
        let data =
            b"(DESCRIPTION=(CONNECT_DATA=(Service_Name = orcl.example.test)(CID=(PROGRAM=x)))(ADDRESS=(HOST=h)))";
        let mut body = vec![1, 0x3e, 1, 0x2c, 0x0c, 0x41, 0x20, 0, 0xff, 0xff, 0x7f, 8, 0, 0, 0, 1];
        body.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        body.extend([0, 70]);
        body.resize(70 - 8, 0);
        packet_of(CONNECT, &[&body[..], data].concat())
    }

    /// A listener's refusal.
    pub(in crate::app) fn refuse(code: &str) -> Vec<u8> {
        let text =
            format!("(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR={code})(ERROR_STACK=(ERROR=(CODE={code})(EMFI=4))))");
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        packet_of(REFUSE, &[&[0x22, 0][..], &length, text.as_bytes()].concat())
    }

    #[test]
    fn the_service_asked_for_and_the_listener_s_reason_are_told() {
        let (c, r) = (connect(), refuse("12514"));
        let fact = AppFacts::Tns {
            service: Some(WireText::new(b"orcl.example.test")),
            sid: None,
            answer: Some("refuse".to_owned()),
            error: Some(12514),
        };
        assert_eq!(facts([&[part(&c)], &[part(&r)]]), [fact]);
        assert_eq!(parse(&c), Outcome::Evidence(()));
        assert_eq!(parse(&r), Outcome::Evidence(()));
        assert_eq!(parse(&packet_of(RESEND, b"")), Outcome::Evidence(()));
    }

    #[test]
    fn what_setup_never_looks_like_is_not_tns() {
        let good = connect();
        for (i, wrong) in [(2, 1), (3, 1), (4, 3), (4, 6), (6, 1), (8, 3), (26, 9)] {
            let mut bytes = good.clone();
            bytes[i] = wrong;
            assert_eq!(parse(&bytes), Outcome::No, "byte {i}");
        }
        assert_eq!(parse(&packet_of(REFUSE, &[0, 0, 0, 1, b'x'])), Outcome::No);
        assert_eq!(parse(&packet_of(RESEND, b"x")), Outcome::No);
    }
}
