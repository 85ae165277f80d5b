//! LDAP (RFC 4511 section 4): binds, searches and StartTLS, and the result codes of their answers; over UDP as domain
//! controllers are located (MS-ADTS section 6.3.3).
//!
//! Names, filters and passwords are passed over.

use super::der::{self, ENUMERATED, INTEGER, OCTETS, SEQUENCE};
use super::model::{AppFacts, LdapOperation};
use super::outcome::{Outcome, Stop, needed, require};
use super::part::Part;
use crate::base::Stamp;

/// Protocol operations: application tags.
const BIND_REQUEST: u8 = 0x60;
const BIND_RESPONSE: u8 = 0x61;
const UNBIND: u8 = 0x42;
const SEARCH: u8 = 0x63;
const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const EXTENDED_REQUEST: u8 = 0x77;
const EXTENDED_RESPONSE: u8 = 0x78;

/// StartTLS (RFC 4511 section 4.14.1), and its refusal in the form of a notice of disconnection (section 4.4.1).
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

/// Most facts of one flow.
const MAX_FACTS: usize = 8;
/// Longest message believed as the first one.
const MAX_MESSAGE: usize = 1 << 24;

/// Recognises a message at the start of one side's bytes.
pub(super) fn parse(bytes: &[u8]) -> Outcome<()> {
    opening(bytes).into()
}

fn opening(bytes: &[u8]) -> Result<(), Stop> {
    let mut rest = bytes;
    take(&mut rest, |b| b == SEQUENCE)?;
    // Any length byte that may begin one, before the rest is waited for: text in front of us must not look like more to come.
    require(rest.first().is_none_or(|b| matches!(b, 7..=0x7f | 0x81..=0x84)))?;
    let outer = der::length(&mut rest)?;
    require((7..=MAX_MESSAGE).contains(&outer))?;
    take(&mut rest, |b| b == INTEGER)?;
    let id = take(&mut rest, |b| matches!(b, 1..=4))?;
    let (id, more) = needed(rest.split_at_checked(usize::from(id)))?;
    rest = more;
    require(id.first().is_none_or(|b| *b < 0x80))?;
    let operation = take(&mut rest, is_opening)?;
    let inner = der::length(&mut rest)?;
    require(inner < outer)?;
    match operation {
        UNBIND => require(inner == 0),
        BIND_REQUEST => {
            take(&mut rest, |b| b == INTEGER)?;
            take(&mut rest, |b| b == 1)?;
            take(&mut rest, |b| matches!(b, 2 | 3)).map(|_| ())
        }
        SEARCH | SEARCH_ENTRY => take(&mut rest, |b| b == OCTETS).map(|_| ()),
        EXTENDED_REQUEST => take(&mut rest, |b| b == 0x80).map(|_| ()),
        _ => {
            take(&mut rest, |b| b == ENUMERATED)?;
            take(&mut rest, |b| b == 1).map(|_| ())
        }
    }
}

const fn is_opening(operation: u8) -> bool {
    matches!(
        operation,
        BIND_REQUEST
            | BIND_RESPONSE
            | UNBIND
            | SEARCH
            | SEARCH_ENTRY
            | SEARCH_DONE
            | EXTENDED_REQUEST
            | EXTENDED_RESPONSE
    )
}

fn take(rest: &mut &[u8], fits: impl Fn(u8) -> bool) -> Result<u8, Stop> {
    let (&b, more) = needed(rest.split_first())?;
    require(fits(b))?;
    *rest = more;
    Ok(b)
}

/// A message of a stream is as long as its outermost value.
pub(super) fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut rest = bytes.strip_prefix(&[SEQUENCE])?;
    let length = der::length(&mut rest).ok()?;
    let head = bytes.len() - rest.len();
    (length <= MAX_MESSAGE).then(|| (0, head + length))
}

/// A request or answer, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message {
    id: u32,
    operation: LdapOperation,
    /// Of an answer: its result code, where it was captured.
    answer: Option<Option<u8>>,
    at: Stamp,
}

fn message(part: &Part<'_>) -> Option<Message> {
    let body = der::find(part.bytes, SEQUENCE)?.body;
    let mut all = der::each(body);
    let (id, op) = (der::number(all.next()?)?, all.next()?);
    let code = || der::find(op.body, ENUMERATED).and_then(der::number).and_then(|n| u8::try_from(n).ok());
    let (operation, answer) = match op.tag {
        BIND_REQUEST => (LdapOperation::Bind, None),
        BIND_RESPONSE => (LdapOperation::Bind, Some(code())),
        SEARCH => (LdapOperation::Search, None),
        SEARCH_DONE => (LdapOperation::Search, Some(code())),
        EXTENDED_REQUEST if der::find(op.body, 0x80)?.body == START_TLS => (LdapOperation::StartTls, None),
        EXTENDED_REQUEST => (LdapOperation::Extended, None),
        EXTENDED_RESPONSE => (LdapOperation::Extended, Some(code())),
        _ => return None,
    };
    Some(Message { id, operation, answer, at: part.at })
}

/// An operation and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) operation: LdapOperation,
    pub(super) result: Option<u8>,
    /// The answer came from the first of the two sides, and when.
    pub(super) answered: Option<(bool, Stamp)>,
}

/// Operations in the order they were asked for; an answer alone stands for its question.
pub(super) fn done(sides: [&[Part<'_>]; 2]) -> Vec<Done> {
    let [a, b] = sides.map(|parts| parts.iter().filter_map(message).collect::<Vec<_>>());
    let mut all = Vec::new();
    for (asks, answers, by_a) in [(&a, &b, false), (&b, &a, true)] {
        for q in asks.iter().filter(|m| m.answer.is_none()) {
            let reply = answers.iter().find(|m| m.answer.is_some() && m.id == q.id);
            let (result, answered) = (reply.and_then(|m| m.answer).flatten(), reply.map(|m| (by_a, m.at)));
            all.push(Done { operation: q.operation, result, answered });
        }
        let known = |m: &&Message| asks.iter().any(|q| q.answer.is_none() && q.id == m.id);
        for m in answers.iter().filter(|m| m.answer.is_some()).filter(|m| !known(m)) {
            all.push(Done { operation: m.operation, result: m.answer.flatten(), answered: Some((by_a, m.at)) });
        }
    }
    all
}

/// Each operation with its result once.
pub(super) fn facts(all: &[Done]) -> Vec<AppFacts> {
    let mut facts = Vec::new();
    for d in all {
        let fact = AppFacts::Ldap { operation: d.operation, result: d.result };
        if facts.len() < MAX_FACTS && !facts.contains(&fact) {
            facts.push(fact);
        }
    }
    facts
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::der::tlv;
    use super::super::part::part;
    use super::*;

    fn envelope(id: u8, operation: u8, body: &[u8]) -> Vec<u8> {
        tlv(SEQUENCE, &[tlv(INTEGER, &[id]), tlv(operation, body)].concat())
    }

    /// A simple bind.
    pub(in crate::app) fn bind(id: u8) -> Vec<u8> {
        envelope(id, BIND_REQUEST, &[tlv(INTEGER, &[3]), tlv(OCTETS, b"cn=x"), tlv(0x80, b"secret")].concat())
    }

    /// Its answer.
    pub(in crate::app) fn bound(id: u8, code: u8) -> Vec<u8> {
        envelope(id, BIND_RESPONSE, &[tlv(ENUMERATED, &[code]), tlv(OCTETS, b""), tlv(OCTETS, b"no")].concat())
    }

    #[test]
    fn operations_are_told_with_the_result_of_their_answers() {
        let tls = envelope(2, EXTENDED_REQUEST, &tlv(0x80, START_TLS));
        let refused =
            envelope(2, EXTENDED_RESPONSE, &[tlv(ENUMERATED, &[52]), tlv(OCTETS, b""), tlv(OCTETS, b"")].concat());
        let (b, r) = (bind(1), bound(1, 49));
        let found = facts(&done([&[part(&b), part(&tls)], &[part(&r), part(&refused)]]));
        let fact = |operation, result| AppFacts::Ldap { operation, result };
        assert_eq!(found, [fact(LdapOperation::Bind, Some(49)), fact(LdapOperation::StartTls, Some(52))]);
        assert_eq!(parse(&b), Outcome::Evidence(()));
        assert_eq!(parse(&r), Outcome::Evidence(()));
        assert_eq!(parse(&tls), Outcome::Evidence(()));
    }

    #[test]
    fn lengths_in_the_long_form_are_read_and_text_is_not_ldap() {
        // As Windows writes them.
        let long =
            [&[0x30, 0x84, 0, 0, 0, 13, 2, 1, 7, 0x60, 0x84, 0, 0, 0, 7][..], &[2, 1, 3, 4, 0, 0x80, 0]].concat();
        assert_eq!(parse(&long), Outcome::Evidence(()));
        assert_eq!(frame(&long), Some((0, 19)));
        for text in [&b"0123456789"[..], b"0\r\n\r\n", b"0 OK"] {
            assert_eq!(parse(text), Outcome::No);
        }
        for (i, wrong) in [(0, 0x31), (2, 3), (3, 5), (4, 0x80), (5, 0x6f), (7, 3), (9, 4)] {
            let mut bytes = bind(1);
            bytes[i] = wrong;
            assert_eq!(parse(&bytes), Outcome::No, "byte {i}");
        }
    }
}
