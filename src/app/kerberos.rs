//! Kerberos tickets asked for and given (RFC 4120 section 5.4), and errors (section 5.9), over UDP and TCP (section 7.2).
//!
//! Who asked is not kept: the service, the realm and the error tell what an administrator has to know.

use super::der::{self, INTEGER, SEQUENCE, context};
use super::model::AppFacts;
use super::outcome::{Outcome, Stop, expect, needed, require};
use super::part::Part;
use super::reader::Reader;
use crate::base::WireText;

/// Longest message believed in a stream; tickets with large authorisation data stay below it.
const MAX_MESSAGE: usize = 1 << 20;
/// Most facts of one flow.
const MAX_FACTS: usize = 8;

/// Application tags of the messages: 10 to 13 and 30.
const AS_REQ: u8 = 0x6a;
const AS_REP: u8 = 0x6b;
const TGS_REQ: u8 = 0x6c;
const TGS_REP: u8 = 0x6d;
const ERROR: u8 = 0x7e;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    tag: u8,
    realm: Option<WireText>,
    service: Option<WireText>,
    pub(super) error: Option<u32>,
}

impl Message {
    /// Whether it comes from the key distribution centre.
    pub(super) const fn is_answer(&self) -> bool {
        matches!(self.tag, AS_REP | TGS_REP | ERROR)
    }
}

/// Recognises a datagram.
pub(super) fn datagram(bytes: &[u8]) -> Outcome<()> {
    head(bytes).map(|_| ()).into()
}

/// Recognises the start of a stream: messages behind four bytes of length.
pub(super) fn stream(bytes: &[u8]) -> Outcome<()> {
    opening(bytes).into()
}

fn opening(bytes: &[u8]) -> Result<(), Stop> {
    let mut r = Reader::big(bytes);
    // The first byte is 0 for every length believed; without that, text could wait here for more.
    require(needed(r.u8())? == 0)?;
    let length = needed(r.be24())?;
    require((16..=MAX_MESSAGE).contains(&length))?;
    head(r.rest()).map(|_| ())
}

/// Header of a message in a stream: bytes to pass over, and its length.
pub(super) fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let length = usize::try_from(Reader::big(bytes).u32()?).ok()?;
    (length <= MAX_MESSAGE).then_some((4, length))
}

/// The tag, and what stands inside the sequence: version 5 and a message type that fits the tag.
fn head(bytes: &[u8]) -> Result<(u8, &[u8]), Stop> {
    let mut rest = bytes;
    let (&tag, more) = needed(rest.split_first())?;
    rest = more;
    let (number, first) = match tag {
        AS_REQ => (10, 1),
        AS_REP => (11, 0),
        TGS_REQ => (12, 1),
        TGS_REP => (13, 0),
        ERROR => (30, 0),
        _ => return Err(Stop::No),
    };
    let outer = der::length(&mut rest)?;
    expect(&mut rest, &[SEQUENCE])?;
    let inner = der::length(&mut rest)?;
    require(inner < outer)?;
    let body = rest;
    expect(&mut rest, &[context(first), 3, INTEGER, 1, 5])?;
    expect(&mut rest, &[context(first + 1), 3, INTEGER, 1, number])?;
    Ok((tag, body))
}

/// Reads a message as far as its bytes go.
pub(super) fn message(bytes: &[u8]) -> Option<Message> {
    let (tag, body) = head(bytes).ok()?;
    let mut m = Message { tag, realm: None, service: None, error: None };
    match tag {
        AS_REQ | TGS_REQ => {
            let asked = der::inside(body, &[context(4), SEQUENCE])?;
            m.realm = string(asked, 2);
            m.service = principal(asked, 3);
        }
        ERROR => {
            m.error = der::find(body, context(6)).and_then(|t| der::find(t.body, INTEGER)).and_then(der::number);
            m.realm = string(body, 9);
            m.service = principal(body, 10);
        }
        _ => m.realm = string(body, 3),
    }
    Some(m)
}

fn string(body: &[u8], n: u8) -> Option<WireText> {
    let inner = der::find(body, context(n))?;
    let text = der::each(inner.body).next()?;
    text.whole.then(|| WireText::new(text.body))
}

/// `krbtgt/EXAMPLE.TEST`: the parts of a principal's name.
fn principal(body: &[u8], n: u8) -> Option<WireText> {
    let names = der::inside(body, &[context(n), SEQUENCE, context(1), SEQUENCE])?;
    let parts: Vec<&[u8]> = der::each(names).filter(|t| t.whole).map(|t| t.body).collect();
    (!parts.is_empty()).then(|| WireText::new(&parts.join(&b'/')))
}

/// Each message once.
pub(super) fn facts(sides: [&[Part<'_>]; 2]) -> Vec<AppFacts> {
    let mut facts: Vec<AppFacts> = Vec::new();
    for (parts, side_a) in sides.into_iter().zip([true, false]) {
        for m in parts.iter().filter_map(|p| message(p.bytes)) {
            let fact = AppFacts::Kerberos {
                side_a,
                message: tag_name(m.tag).to_owned(),
                realm: m.realm,
                service: m.service,
                error: m.error,
            };
            if facts.len() < MAX_FACTS && !facts.contains(&fact) {
                facts.push(fact);
            }
        }
    }
    facts
}

const fn tag_name(tag: u8) -> &'static str {
    match tag {
        AS_REQ => "AS-REQ",
        AS_REP => "AS-REP",
        TGS_REQ => "TGS-REQ",
        TGS_REP => "TGS-REP",
        _ => "KRB-ERROR",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::der::tlv;
    use super::super::part::part;
    use super::*;

    fn int(n: u8, value: u8) -> Vec<u8> {
        tlv(context(n), &tlv(INTEGER, &[value]))
    }

    fn name(n: u8, parts: &[&str]) -> Vec<u8> {
        let strings: Vec<u8> = parts.iter().flat_map(|p| tlv(0x1b, p.as_bytes())).collect();
        tlv(context(n), &tlv(SEQUENCE, &[int(0, 2), tlv(context(1), &tlv(SEQUENCE, &strings))].concat()))
    }

    fn realm(n: u8) -> Vec<u8> {
        tlv(context(n), &tlv(0x1b, b"EXAMPLE.TEST"))
    }

    /// A request for a ticket-granting ticket.
    pub(in crate::app) fn request() -> Vec<u8> {
        let body =
            [tlv(context(0), &[3, 5, 0, 0, 0, 0, 0]), name(1, &["u"]), realm(2), name(3, &["krbtgt", "EXAMPLE.TEST"])];
        let body = tlv(context(4), &tlv(SEQUENCE, &body.concat()));
        tlv(AS_REQ, &tlv(SEQUENCE, &[int(1, 5), int(2, 10), body].concat()))
    }

    /// An error.
    pub(in crate::app) fn error(code: u8) -> Vec<u8> {
        let fields = [int(0, 5), int(1, 30), int(5, 1), int(6, code), realm(9), name(10, &["krbtgt", "EXAMPLE.TEST"])];
        tlv(ERROR, &tlv(SEQUENCE, &fields.concat()))
    }

    /// A message as it stands in a stream.
    pub(in crate::app) fn in_stream(m: &[u8]) -> Vec<u8> {
        [&u32::try_from(m.len()).unwrap().to_be_bytes()[..], m].concat()
    }

    #[test]
    fn requests_and_errors_name_service_realm_and_code() {
        let (q, e) = (request(), error(25));
        let fact = |side_a, message: &str, error| AppFacts::Kerberos {
            side_a,
            message: message.to_owned(),
            realm: Some(WireText::new(b"EXAMPLE.TEST")),
            service: Some(WireText::new(b"krbtgt/EXAMPLE.TEST")),
            error,
        };
        let found = facts([&[part(&q)], &[part(&e)]]);
        assert_eq!(found, [fact(true, "AS-REQ", None), fact(false, "KRB-ERROR", Some(25))]);
        assert_eq!(stream(&in_stream(&q)), Outcome::Evidence(()));
        assert_eq!(datagram(&q), Outcome::Evidence(()));
    }

    #[test]
    fn version_type_and_tag_have_to_fit() {
        let good = request();
        for (i, wrong) in [(0, 0x6f), (1, 0x80), (2, 0x31), (4, 0xa0), (8, 4), (13, 11)] {
            let mut bytes = good.clone();
            bytes[i] = wrong;
            assert_eq!(datagram(&bytes), Outcome::No, "byte {i}");
        }
        assert_eq!(stream(&in_stream(&[0x6a; 8])), Outcome::No);
        assert_eq!(stream(b"SSH-"), Outcome::No);
    }
}
