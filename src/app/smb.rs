//! SMB over direct TCP (MS-SMB2 section 2.1, MS-SMB section 2.1) and over NetBIOS sessions (RFC 1002 section 4.3), and the dialect
//! a server chose (MS-SMB2 section 2.2.4, MS-CIFS section 2.2.4.52.2).

use super::outcome::{Outcome, starts_with};
use super::reader::Reader;

/// What the first messages said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The dialect this side chose, where it is a server: as on the wire (0x0311), 0 for SMB 1. 0x02ff is a server that answered an
    /// SMB 1 negotiate and whose final choice was not seen.
    pub(super) dialect: Option<u16>,
}

const SESSION_MESSAGE: u8 = 0x00;
const SESSION_REQUEST: u8 = 0x81;
const POSITIVE_RESPONSE: u8 = 0x82;
const NEGATIVE_RESPONSE: u8 = 0x83;

const NEGOTIATE_1: u8 = 0x72;
const NEGOTIATE_2: u16 = 0;
const WILDCARD: u16 = 0x02ff;

/// Messages looked at for the final dialect.
const MAX_MESSAGES: usize = 4;

/// Recognises SMB at the start of one side's bytes.
pub(super) fn parse(bytes: &[u8]) -> Outcome<Facts> {
    match bytes.first() {
        None => Outcome::NeedMore,
        Some(&SESSION_MESSAGE) => message(bytes).map(|()| Facts { dialect: dialect(bytes) }),
        Some(&SESSION_REQUEST) => session_request(bytes).map(|()| Facts::default()),
        Some(&POSITIVE_RESPONSE) => match starts_with(bytes, &[POSITIVE_RESPONSE, 0, 0, 0]) {
            Outcome::Evidence(()) => {
                let rest = bytes.get(4..).unwrap_or_default();
                message(rest).map(|()| Facts { dialect: dialect(rest) })
            }
            other => other.map(|()| Facts::default()),
        },
        Some(&NEGATIVE_RESPONSE) => match starts_with(bytes, &[NEGATIVE_RESPONSE, 0, 0, 1]) {
            Outcome::Evidence(()) => match bytes.get(4) {
                None => Outcome::NeedMore,
                Some(0x80..=0x83 | 0x8f) => Outcome::Evidence(Facts::default()),
                Some(_) => Outcome::No,
            },
            other => other.map(|()| Facts::default()),
        },
        Some(_) => Outcome::No,
    }
}

/// A session message whose payload is an SMB 1 negotiate, an SMB 2 header, or an encrypted or compressed one.
fn message(bytes: &[u8]) -> Outcome<()> {
    let mut r = Reader::big(bytes);
    match r.u8() {
        None => return Outcome::NeedMore,
        Some(SESSION_MESSAGE) => {}
        Some(_) => return Outcome::No,
    }
    let Some(length) = r.be24() else { return Outcome::NeedMore };
    if length < 32 {
        return Outcome::No;
    }
    let payload = r.rest();
    let (expected, at) = match payload.first() {
        None => return Outcome::NeedMore,
        Some(0xff) => (&[NEGOTIATE_1][..], 4),
        // The header's structure size.
        Some(0xfe) => (&[64, 0][..], 4),
        Some(0xfc | 0xfd) => (&[][..], 4),
        Some(_) => return Outcome::No,
    };
    match starts_with(payload.get(1..).unwrap_or_default(), b"SMB") {
        Outcome::Evidence(()) => starts_with(payload.get(at..).unwrap_or_default(), expected),
        other => other,
    }
}

/// `81 00 00 44`, then the called name: 32 half-bytes as letters (RFC 1001 section 14.1). The calling name behind it is not needed.
fn session_request(bytes: &[u8]) -> Outcome<()> {
    let fits = |(i, b): (usize, &u8)| match i {
        0 => true,
        1 | 2 => *b == 0,
        3 => *b == 68,
        4 => *b == 32,
        37 => *b == 0,
        _ => matches!(b, b'A'..=b'P'),
    };
    if !bytes.iter().take(38).enumerate().all(fits) {
        Outcome::No
    } else if bytes.len() < 38 {
        Outcome::NeedMore
    } else {
        Outcome::Evidence(())
    }
}

/// The last dialect chosen in the negotiate responses at the start.
fn dialect(bytes: &[u8]) -> Option<u16> {
    let mut r = Reader::big(bytes);
    let mut chosen = None;
    for _ in 0..MAX_MESSAGES {
        let Some((0, length)) = r.u8().zip(r.be24()) else { break };
        let Some(payload) = r.take(length) else { break };
        match response(payload) {
            Some(d) => chosen = Some(d),
            None => break,
        }
        if chosen != Some(WILDCARD) {
            break;
        }
    }
    chosen
}

/// The dialect of one negotiate response.
fn response(payload: &[u8]) -> Option<u16> {
    let mut r = Reader::little(payload);
    match r.take(4)? {
        b"\xfeSMB" => {
            r.skip(4)?;
            let (status, command) = (r.u32()?, r.u16()?);
            r.skip(2)?;
            let flags = r.u32()?;
            r.skip(44)?;
            let (size, _security) = (r.u16()?, r.u16()?);
            // Bit 0 of the flags: from the server. 65 is the size of a negotiate response; an error response has 9.
            (status == 0 && command == NEGOTIATE_2 && flags & 1 == 1 && size == 65).then(|| r.u16()).flatten()
        }
        b"\xffSMB" => {
            let (command, status, flags) = (r.u8()?, r.u32()?, r.u8()?);
            r.skip(22)?;
            let (words, index) = (r.u8()?, r.u16()?);
            // 0xffff: none of the offered dialects.
            (command == NEGOTIATE_1 && status == 0 && flags & 0x80 != 0 && words > 0 && index != 0xffff).then_some(0)
        }
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn framed(payload: &[u8]) -> Vec<u8> {
        [&u32::try_from(payload.len()).unwrap().to_be_bytes()[..], payload].concat()
    }

    /// An SMB 2 negotiate: a request, or a response that chose `dialect`.
    pub(in crate::app) fn negotiate(dialect: Option<u16>) -> Vec<u8> {
        let mut h = b"\xfeSMB\x40\x00".to_vec();
        h.resize(64, 0);
        match dialect {
            None => h.extend([36, 0, 1, 0]),
            Some(d) => {
                h[16] = 1;
                h.extend([65, 0, 1, 0]);
                h.extend(d.to_le_bytes());
            }
        }
        h.resize(130, 0);
        framed(&h)
    }

    /// A NetBIOS session request to `*SMBSERVER`.
    pub(in crate::app) fn session_request() -> Vec<u8> {
        let name = [&[32][..], b"CKFDENECFDEFFCFGEFFCCACACACACACA", &[0]].concat();
        [&[0x81, 0, 0, 68][..], &name, &name].concat()
    }

    fn negotiate_1(reply: bool, index: u16) -> Vec<u8> {
        let mut h = b"\xffSMB\x72\0\0\0\0".to_vec();
        h.push(if reply { 0x98 } else { 0x18 });
        h.resize(32, 0);
        h.push(if reply { 17 } else { 0 });
        h.extend(index.to_le_bytes());
        h.resize(69, 0);
        framed(&h)
    }

    fn chose(bytes: &[u8]) -> Option<u16> {
        match parse(bytes) {
            Outcome::Evidence(f) => f.dialect,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_dialect_is_the_servers_last_choice() {
        assert_eq!(chose(&negotiate(Some(0x0311))), Some(0x0311));
        assert_eq!(chose(&negotiate(None)), None);
        let multi = [negotiate(Some(WILDCARD)), negotiate(Some(0x0302))].concat();
        assert_eq!(chose(&multi), Some(0x0302));
        assert_eq!(chose(&multi[..multi.len() - 1]), Some(WILDCARD));
        assert_eq!(chose(&negotiate_1(true, 5)), Some(0));
        assert_eq!(chose(&negotiate_1(true, 0xffff)), None);
        assert_eq!(chose(&negotiate_1(false, 0)), None);
        assert_eq!(chose(b"\x00\x00\x00\x50\xfdSMB"), None);
    }

    #[test]
    fn netbios_sessions_are_known_by_their_names() {
        let request = session_request();
        assert_eq!(parse(&request), Outcome::Evidence(Facts::default()));
        assert_eq!(parse(&request[..37]), Outcome::NeedMore);
        assert_eq!(parse(&[0x81, 0, 0, 68, 33]), Outcome::No);
        let accepted = [&[0x82, 0, 0, 0][..], &negotiate(Some(0x0210))].concat();
        assert_eq!(chose(&accepted), Some(0x0210));
        assert_eq!(parse(&accepted[..4]), Outcome::NeedMore);
        assert_eq!(parse(&[0x83, 0, 0, 1, 0x82]), Outcome::Evidence(Facts::default()));
        assert_eq!(parse(&[0x83, 0, 0, 1, 0]), Outcome::No);
    }

    #[test]
    fn a_length_in_front_is_not_smb() {
        assert_eq!(parse(&[0, 0, 0, 80, 1, 2, 3, 4]), Outcome::No);
        assert_eq!(parse(&[0, 0, 0, 8, 0xfe]), Outcome::No);
        assert_eq!(parse(b"\x00\x00\x00\x50\xfeSMB\x41\x00"), Outcome::No);
        assert_eq!(parse(b"\x00\x00\x00\x50\xffSMB\x73"), Outcome::No);
    }
}
