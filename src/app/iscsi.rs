//! iSCSI login (RFC 7143 sections 11.12 and 11.13, text format section 6.1).
//!
//! There is no magic number, so everything the RFC fixes is compared: reserved fields, versions, stages, and that text follows. An
//! unknown vendor protocol must not pass for iSCSI.

use super::outcome::Outcome;
use super::reader::Reader;
use crate::base::WireText;

/// What one side said while logging in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// This side sent login requests.
    pub(super) asks: bool,
    /// `InitiatorName`.
    pub(super) initiator: Option<WireText>,
    /// `TargetName`.
    pub(super) target: Option<WireText>,
    /// Status class (high byte) and detail of the response that ended the login; 0x0000 is success.
    pub(super) status: Option<u16>,
    /// Index of that response's last byte.
    pub(super) ended: usize,
    /// `AuthMethod`.
    pub(super) auth: Option<WireText>,
    /// Names in the answer to `SendTargets`.
    pub(super) targets: Vec<WireText>,
}

const HEADER: usize = 48;
/// Login requests are always immediate: opcode 0x03 with the I bit.
const REQUEST: u8 = 0x43;
const RESPONSE: u8 = 0x23;
/// The answer to a text request (RFC 7143 section 11.11).
const TEXT_RESPONSE: u8 = 0x24;
const TRANSIT: u8 = 0x80;
const CONTINUE: u8 = 0x40;
const FULL_FEATURE: u8 = 3;

/// Target names kept.
const MAX_TARGETS: usize = 8;

/// Longest data segment during login: the default MaxRecvDataSegmentLength (RFC 7143 section 13.12).
const MAX_DATA: usize = 8192;

/// Recognises a login request or response at the start of one side's bytes.
pub(super) fn parse(bytes: &[u8]) -> Outcome<Facts> {
    let Some(&opcode) = bytes.first() else { return Outcome::NeedMore };
    if !matches!(opcode, REQUEST | RESPONSE) || !fits(bytes, opcode) {
        return Outcome::No;
    }
    let asks = opcode == REQUEST;
    match data_length(bytes) {
        None => Outcome::NeedMore,
        // A request names its initiator; a refusal may come without text.
        Some(0) if asks => Outcome::No,
        Some(n) if n > MAX_DATA => Outcome::No,
        Some(_) if bytes.len() < HEADER => Outcome::NeedMore,
        Some(0) if !ends_with_reason(bytes) => Outcome::No,
        Some(0) => Outcome::Evidence(login(bytes, asks)),
        Some(_) => match bytes.get(HEADER) {
            None => Outcome::NeedMore,
            // Keys begin with a capital letter (RFC 7143 sections 6.1 and 13).
            Some(b'A'..=b'Z') => Outcome::Evidence(login(bytes, asks)),
            Some(_) => Outcome::No,
        },
    }
}

/// Whether every header byte that came so far may stand in a login.
fn fits(bytes: &[u8], opcode: u8) -> bool {
    bytes.iter().take(HEADER).enumerate().all(|(i, &b)| match (i, opcode) {
        (1, _) => stages(b),
        // Versions, and the length of additional headers, which logins do not have.
        (2..=4, _) => b == 0,
        (22 | 23 | 32..=47, REQUEST) => b == 0,
        (36, RESPONSE) => b <= 3,
        (20..=23 | 38..=47, RESPONSE) => b == 0,
        _ => true,
    })
}

/// An empty response must end a stage or the login and answer a session identifier: a length of 0x23 in front of zeros, as other
/// protocols send, does not.
fn ends_with_reason(header: &[u8]) -> bool {
    let transit = header.get(1).is_some_and(|f| f & TRANSIT != 0);
    let failed = header.get(36).is_some_and(|class| *class != 0);
    (transit || failed) && header.get(8..14).is_some_and(|isid| isid.iter().any(|b| *b != 0))
}

/// T, C, two reserved bits, current and next stage (RFC 7143 section 11.12.1-3).
const fn stages(flags: u8) -> bool {
    let (transit, more) = (flags & TRANSIT != 0, flags & CONTINUE != 0);
    let (current, next) = (flags >> 2 & 3, flags & 3);
    let forward = next > current && next != 2;
    flags & 0x30 == 0 && current <= 1 && !(transit && more) && (!transit || forward)
}

fn data_length(header: &[u8]) -> Option<usize> {
    Reader::big(header.get(5..)?).be24()
}

/// Walks the PDUs of the login phase.
fn login(bytes: &[u8], asks: bool) -> Facts {
    let opcode = if asks { REQUEST } else { RESPONSE };
    let mut facts = Facts { asks, ..Facts::default() };
    let mut text = Vec::new();
    let mut r = Reader::big(bytes);
    while let Some(header) = r.take(HEADER) {
        if !asks && header.first() == Some(&TEXT_RESPONSE) {
            let n = data_length(header).unwrap_or(0).min(r.rest().len());
            facts.targets = targets(r.take(n).unwrap_or_default());
            break;
        }
        let data = data_length(header).filter(|n| *n <= MAX_DATA);
        let (Some(n), true) = (data, header.first() == Some(&opcode) && fits(header, opcode)) else { break };
        // The last PDU kept may be cut: its text counts as far as it came.
        let n_here = n.min(r.rest().len());
        text.extend_from_slice(r.take(n_here).unwrap_or_default());
        if !asks && facts.status.is_none() {
            facts.status = ending(header);
            facts.ended = (bytes.len() - r.rest().len()).saturating_sub(1);
        }
        // Data segments are padded to four bytes.
        if n_here < n || r.skip(n.next_multiple_of(4) - n).is_none() {
            break;
        }
    }
    facts.initiator = value(&text, b"InitiatorName=");
    facts.target = value(&text, b"TargetName=");
    facts.auth = value(&text, b"AuthMethod=");
    facts
}

/// Class and detail of a response that ends the login: a failure or redirection, or the transit to full feature phase.
fn ending(header: &[u8]) -> Option<u16> {
    let flags = *header.get(1)?;
    let status = Reader::big(header.get(36..)?).u16()?;
    let done = flags & TRANSIT != 0 && flags & 3 == FULL_FEATURE;
    (status >> 8 != 0 || done).then_some(status)
}

/// Targets in the answer to `SendTargets` (RFC 7143 appendix C).
fn targets(text: &[u8]) -> Vec<WireText> {
    let names = text.split(|b| *b == 0).filter_map(|pair| pair.strip_prefix(b"TargetName="));
    names.take(MAX_TARGETS).map(WireText::new).collect()
}

/// The value of a key, where its terminating NUL was captured.
fn value(text: &[u8], key: &[u8]) -> Option<WireText> {
    let ended = text.get(..text.iter().rposition(|b| *b == 0)?)?;
    ended.split(|b| *b == 0).find_map(|pair| pair.strip_prefix(key)).map(WireText::new)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn pdu(opcode: u8, flags: u8, status: u16, text: &[u8]) -> Vec<u8> {
        let mut h = vec![opcode, flags, 0, 0];
        h.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        h.extend([0x80, 1, 2, 3, 0, 1, 0, 0]);
        h.resize(HEADER, 0);
        h[36..38].copy_from_slice(&status.to_be_bytes());
        h.extend_from_slice(text);
        h.resize(h.len().next_multiple_of(4), 0);
        h
    }

    /// A login request to full feature phase, its text in two PDUs.
    pub(in crate::app) fn request() -> Vec<u8> {
        let first = pdu(REQUEST, CONTINUE | 4, 0, b"InitiatorName=iqn.1991-05.com.microsoft:win\0TargetNa");
        [first, pdu(REQUEST, TRANSIT | 4 | 3, 0, b"me=iqn.2000-01.example:mount\0SessionType=Normal\0")].concat()
    }

    /// The response with a status.
    pub(in crate::app) fn response(status: u16) -> Vec<u8> {
        let first = pdu(RESPONSE, 4, 0, b"TargetPortalGroupTag=1\0");
        [first, pdu(RESPONSE, TRANSIT | 4 | 3, status, b"")].concat()
    }

    fn found(bytes: &[u8]) -> Facts {
        match parse(bytes) {
            Outcome::Evidence(f) => f,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_are_put_together_over_pdus() {
        let facts = found(&request());
        assert_eq!(facts.initiator.unwrap().terminal(), "iqn.1991-05.com.microsoft:win");
        assert_eq!(facts.target.unwrap().terminal(), "iqn.2000-01.example:mount");
        assert_eq!((facts.asks, facts.status), (true, None));
    }

    #[test]
    fn only_a_response_that_ends_the_login_has_a_status() {
        assert_eq!(found(&response(0)).status, Some(0));
        assert_eq!(found(&pdu(RESPONSE, 4, 0, b"AuthMethod=CHAP\0")).status, None);
        assert_eq!(found(&pdu(RESPONSE, 0, 0x0201, b"")).status, Some(0x0201));
    }

    #[test]
    fn the_method_of_authentication_and_discovered_targets_are_told() {
        let offer = pdu(REQUEST, 0x81, 0, b"InitiatorName=iqn.a\0AuthMethod=CHAP,None\0");
        assert_eq!(found(&offer).auth.unwrap().terminal(), "CHAP,None");
        let list = pdu(TEXT_RESPONSE, 0x80, 0, b"TargetName=iqn.b\0TargetAddress=10.0.0.1:3260,1\0TargetName=iqn.c\0");
        let told = found(&[response(0), list].concat());
        let names: Vec<_> = told.targets.iter().map(WireText::terminal).collect();
        assert_eq!((names, told.ended), (vec!["iqn.b".to_owned(), "iqn.c".to_owned()], response(0).len() - 1));
    }

    #[test]
    fn a_name_cut_in_the_middle_is_no_name() {
        let bytes = pdu(REQUEST, TRANSIT | 4 | 3, 0, b"InitiatorName=iqn.a\0TargetName=iqn.b");
        assert_eq!(found(&bytes).target, None);
        assert_eq!(found(&bytes).initiator.unwrap().terminal(), "iqn.a");
    }

    #[test]
    fn what_the_rfc_forbids_is_not_iscsi() {
        let good = request();
        for (i, wrong) in
            [(0, 3), (1, 0x14), (1, 0xc7), (1, 0x86), (1, 0x0c), (2, 1), (4, 1), (5, 1), (22, 1), (40, 1), (48, 0)]
        {
            let mut bytes = good.clone();
            bytes[i] = wrong;
            assert_eq!(parse(&bytes), Outcome::No, "byte {i}");
        }
        let mut bytes = response(0);
        bytes[36] = 4;
        assert_eq!(parse(&bytes), Outcome::No);
        assert_eq!(parse(&pdu(REQUEST, 0x87, 0, b"")), Outcome::No);
        assert_eq!(parse(&[&[0x23][..], &[0; 60]].concat()), Outcome::No);
        assert_eq!(parse(&good[..48]), Outcome::NeedMore);
    }
}
