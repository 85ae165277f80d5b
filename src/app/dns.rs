//! DNS questions and answers (RFC 1035 section 4), over UDP and TCP.
//!
//! There is no magic number, so what a message with one question fixes is compared: reserved bits, counts, the form of the name,
//! the class. Multicast DNS answers, which carry no question, and NetBIOS names are none of ours.

use super::model::AppFacts;
use super::outcome::{Outcome, Stop, needed, require};
use super::part::Part;
use super::reader::Reader;
use crate::base::WireText;

/// Length of the header.
const HEADER: usize = 12;
/// Longest name (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 255;
/// Most facts of one flow.
const MAX_FACTS: usize = 8;

const RESPONSE: u16 = 0x8000;
const RESERVED: u16 = 0x0040;
/// Query, notify (RFC 1996), update (RFC 2136).
const OPCODES: [u16; 3] = [0, 4, 5];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    id: u16,
    response: bool,
    rcode: u8,
    name: WireText,
    kind: u16,
}

/// Recognises a datagram.
pub(super) fn datagram(bytes: &[u8], wire: u32) -> Outcome<()> {
    message(bytes, usize::try_from(wire).unwrap_or(usize::MAX)).map(|_| ()).into()
}

/// Recognises the start of a stream: messages behind their lengths (RFC 1035 section 4.2.2).
pub(super) fn stream(bytes: &[u8]) -> Outcome<()> {
    let mut r = Reader::big(bytes);
    let Some(length) = r.u16() else { return Outcome::NeedMore };
    message(r.rest(), usize::from(length)).map(|_| ()).into()
}

/// Header of a message in a stream: bytes to pass over, and its length.
pub(super) fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    Reader::big(bytes).u16().map(|n| (2, usize::from(n)))
}

fn message(bytes: &[u8], length: usize) -> Result<Message, Stop> {
    // A root name, type and class.
    require(length >= HEADER + 5)?;
    let mut r = Reader::big(bytes);
    let (id, flags) = (needed(r.u16())?, needed(r.u16())?);
    let (opcode, response) = (flags >> 11 & 0xf, flags & RESPONSE != 0);
    require(flags & RESERVED == 0 && OPCODES.contains(&opcode))?;
    require(response || flags & 0xf == 0)?;
    require(needed(r.u16())? == 1)?;
    let (answers, authorities, additional) = (needed(r.u16())?, needed(r.u16())?, needed(r.u16())?);
    require(response || opcode != 0 || (answers == 0 && authorities <= 1 && additional <= 4))?;
    require(answers <= 1024 && authorities <= 1024 && additional <= 1024)?;
    let name = name(&mut r)?;
    let (kind, class) = (needed(r.u16())?, needed(r.u16())?);
    require(kind != 0 && matches!(class & 0x7fff, 1 | 3 | 4 | 254 | 255))?;
    let [_, rcode] = (flags & 0xf).to_be_bytes();
    Ok(Message { id, response, rcode, name, kind })
}

/// A name without compression: labels of printable ASCII.
fn name(r: &mut Reader<'_>) -> Result<WireText, Stop> {
    let mut text = Vec::new();
    loop {
        let length = usize::from(needed(r.u8())?);
        if length == 0 {
            let root: &[u8] = b".";
            return Ok(WireText::new(if text.is_empty() { root } else { &text }));
        }
        require(length <= 63 && text.len() + length < MAX_NAME)?;
        let here = r.rest().get(..length).unwrap_or(r.rest());
        require(here.iter().all(u8::is_ascii_graphic))?;
        // NetBIOS names are half-bytes as letters (RFC 1001 section 14.1).
        require(here.len() < 32 || length != 32 || !here.iter().all(|b| matches!(b, b'A'..=b'P')))?;
        if !text.is_empty() {
            text.push(b'.');
        }
        text.extend_from_slice(needed(r.take(length))?);
    }
}

/// Each question once, with what the answer to it said.
pub(super) fn facts(sides: [&[Part<'_>]; 2]) -> Vec<AppFacts> {
    let all: Vec<Message> = sides
        .iter()
        .flat_map(|parts| parts.iter())
        .filter_map(|p| message(p.bytes, usize::try_from(p.wire).unwrap_or(usize::MAX)).ok())
        .collect();
    let mut facts: Vec<AppFacts> = Vec::new();
    for m in &all {
        let answer = all.iter().find(|a| a.response && (a.id, &a.name, a.kind) == (m.id, &m.name, m.kind));
        let fact = AppFacts::DnsQuestion { name: m.name.clone(), kind: m.kind, rcode: answer.map(|a| a.rcode) };
        if facts.len() < MAX_FACTS && !facts.contains(&fact) {
            facts.push(fact);
        }
    }
    facts
}

/// Usual name of a record type (IANA "Resource Record (RR) TYPEs").
pub(super) fn kind_name(kind: u16) -> String {
    let name = match kind {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        64 => "SVCB",
        65 => "HTTPS",
        255 => "ANY",
        other => return format!("TYPE{other}"),
    };
    name.to_owned()
}

/// Usual name of a response code (IANA "DNS RCODEs"), where it is an error.
pub(super) fn rcode_name(rcode: u8) -> Option<String> {
    let name = match rcode {
        0 => return None,
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        other => return Some(format!("rcode {other}")),
    };
    Some(name.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::part::part;
    use super::*;

    /// A message with one question.
    pub(in crate::app) fn ask(flags: u16, name: &str) -> Vec<u8> {
        let mut m = [&[0x12, 0x34][..], &flags.to_be_bytes(), &[0, 1, 0, 0, 0, 0, 0, 0]].concat();
        for label in name.split('.') {
            m.push(u8::try_from(label.len()).unwrap());
            m.extend(label.as_bytes());
        }
        m.extend([0, 0, 1, 0, 1]);
        m
    }

    /// The same behind its length.
    pub(in crate::app) fn ask_in_stream(flags: u16, name: &str) -> Vec<u8> {
        let m = ask(flags, name);
        [&u16::try_from(m.len()).unwrap().to_be_bytes()[..], &m].concat()
    }

    fn said(bytes: &[u8]) -> Outcome<()> {
        datagram(bytes, u32::try_from(bytes.len()).unwrap())
    }

    #[test]
    fn a_question_is_told_with_the_code_of_its_answer() {
        let (q, a) = (ask(0x0100, "dc01.example.test"), ask(0x8183, "dc01.example.test"));
        let fact = |rcode| AppFacts::DnsQuestion { name: WireText::new(b"dc01.example.test"), kind: 1, rcode };
        assert_eq!(facts([&[part(&q)], &[part(&a)]]), [fact(Some(3))]);
        assert_eq!(facts([&[part(&q)], &[]]), [fact(None)]);
        assert_eq!(said(&q), Outcome::Evidence(()));
        assert_eq!(stream(&ask_in_stream(0x0100, "a.b")), Outcome::Evidence(()));
    }

    #[test]
    fn what_a_question_may_not_have_is_not_dns() {
        for (i, wrong) in [(2, 0x79), (3, 0x40), (3, 0x03), (5, 2), (7, 1), (12, 0xc0), (13, 7), (23, 9)] {
            let mut bytes = ask(0x0100, "abcdef");
            bytes[i] = wrong;
            assert_eq!(said(&bytes), Outcome::No, "byte {i}");
        }
        let netbios = ask(0x0110, "CKFDENECFDEFFCFGEFFCCACACACACACA");
        assert_eq!(said(&netbios), Outcome::No);
        assert_eq!(datagram(b"\x12\x34", 9), Outcome::No, "too short on the wire");
    }
}
