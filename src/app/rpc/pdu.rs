//! Connection-oriented DCE/RPC PDUs (C706 section 12.6, MS-RPCE section 2.2.2).

use crate::app::outcome::Outcome;
use crate::app::reader::Reader;
use crate::app::stream::Piece;
use crate::base::Stamp;

/// Length of the common header.
pub(super) const HEADER: usize = 16;
/// Security trailer in front of the authentication value (MS-RPCE section 2.2.2.11).
const TRAILER: usize = 8;

pub(super) const REQUEST: u8 = 0;
pub(super) const RESPONSE: u8 = 2;
pub(super) const FAULT: u8 = 3;
pub(super) const BIND: u8 = 11;
pub(super) const BIND_ACK: u8 = 12;
pub(super) const BIND_NAK: u8 = 13;
pub(super) const ALTER_CONTEXT: u8 = 14;
pub(super) const ALTER_CONTEXT_RESP: u8 = 15;
const LAST_TYPE: u8 = 19;

pub(super) const FIRST_FRAGMENT: u8 = 0x01;
pub(super) const LAST_FRAGMENT: u8 = 0x02;
pub(super) const OBJECT_UUID: u8 = 0x80;

/// Authentication level "packet privacy": the stub is encrypted (MS-RPCE section 2.2.1.1.8).
pub(super) const PRIVACY: u8 = 6;

/// One PDU.
#[derive(Clone, Debug)]
pub(super) struct Pdu<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// Integers are big endian.
    pub(super) big: bool,
    pub(super) call: u32,
    /// What follows the common header, without the security trailer and its padding.
    pub(super) body: &'a [u8],
    /// Authentication type and level, where there is a trailer.
    pub(super) auth: Option<(u8, u8)>,
    /// Frame that brought the last byte.
    pub(super) at: Stamp,
}

/// Recognises the first PDU of a connection: a bind or its answer.
pub(super) fn first(bytes: &[u8]) -> Outcome<()> {
    if !bytes.iter().take(HEADER).enumerate().all(fits) {
        return Outcome::No;
    }
    if bytes.get(2).is_some_and(|kind| !matches!(*kind, BIND | BIND_ACK | BIND_NAK)) {
        return Outcome::No;
    }
    match header(bytes) {
        Some(_) => Outcome::Evidence(()),
        None if bytes.len() < HEADER => Outcome::NeedMore,
        None => Outcome::No,
    }
}

/// Header bytes that have few legal values: version 5.0 or 5.1, PDU type, data representation (C706 section 14.1).
fn fits((i, b): (usize, &u8)) -> bool {
    match i {
        0 => *b == 5,
        1 => *b <= 1,
        2 => *b <= LAST_TYPE,
        4 => *b >> 4 <= 1 && *b & 0x0f <= 1,
        5 => *b <= 3,
        6 | 7 => *b == 0,
        _ => true,
    }
}

struct Header {
    kind: u8,
    flags: u8,
    big: bool,
    length: usize,
    auth: usize,
    call: u32,
}

/// The common header, checked.
fn header(bytes: &[u8]) -> Option<Header> {
    let bytes = bytes.get(..HEADER)?;
    if !bytes.iter().enumerate().all(fits) {
        return None;
    }
    let big = bytes.get(4)? >> 4 == 0;
    let mut r = Reader::ordered(bytes, big);
    r.skip(2)?;
    let (kind, flags) = (r.u8()?, r.u8()?);
    r.skip(4)?;
    let (length, auth, call) = (usize::from(r.u16()?), usize::from(r.u16()?), r.u32()?);
    let least = HEADER + least_body(kind) + if auth > 0 { auth + TRAILER } else { 0 };
    (length >= least).then_some(Header { kind, flags, big, length, auth, call })
}

/// Shortest body of a type.
const fn least_body(kind: u8) -> usize {
    match kind {
        // Sizes, group, and one context with one transfer syntax.
        BIND | ALTER_CONTEXT => 12 + 44,
        REQUEST | RESPONSE => 8,
        FAULT => 12,
        BIND_ACK | ALTER_CONTEXT_RESP => 10,
        BIND_NAK => 2,
        _ => 0,
    }
}

/// All whole PDUs of one side. A gap inside a PDU loses that PDU; a gap over a header loses all up to the next piece that begins
/// with a header.
pub(super) fn walk(pieces: &[Piece]) -> Vec<Pdu<'_>> {
    let mut pdus = Vec::new();
    let mut next = i64::MIN;
    for piece in pieces {
        let mut at = usize::try_from(next.saturating_sub(piece.offset)).unwrap_or(0);
        while let Some(rest) = piece.bytes.get(at..).filter(|r| !r.is_empty()) {
            let Some(h) = header(rest) else {
                at = piece.bytes.len();
                break;
            };
            at += h.length;
            if let (Some(bytes), Some(stamp)) = (rest.get(..h.length), piece.stamp(at - 1)) {
                pdus.extend(pdu(&h, bytes, stamp));
            }
        }
        next = piece.offset.saturating_add_unsigned(u64::try_from(at).unwrap_or(u64::MAX));
    }
    pdus
}

fn pdu<'a>(h: &Header, bytes: &'a [u8], at: Stamp) -> Option<Pdu<'a>> {
    let mut end = h.length;
    let mut auth = None;
    if h.auth > 0 {
        let trailer = h.length.checked_sub(h.auth + TRAILER)?;
        let mut r = Reader::big(bytes.get(trailer..)?);
        let (kind, level, padding) = (r.u8()?, r.u8()?, r.u8()?);
        auth = Some((kind, level));
        end = trailer.checked_sub(usize::from(padding))?;
    }
    let body = bytes.get(HEADER..end)?;
    Some(Pdu { kind: h.kind, flags: h.flags, big: h.big, call: h.call, body, auth, at })
}
