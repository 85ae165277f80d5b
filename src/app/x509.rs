//! The names and dates of a certificate (RFC 5280 section 4.1): what an administrator compares with the name asked for.
//!
//! A walk over six nested values; nothing is verified, so a library for certificates would not earn its place.

use super::der::{self, INTEGER, OCTETS, SEQUENCE, context};
use crate::base::{Time, WireText};

const OID: u8 = 0x06;
const SET: u8 = 0x31;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// 2.5.4.3 and 2.5.4.10 (RFC 5280 appendix A.1).
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ORGANIZATION: &[u8] = &[0x55, 4, 10];
/// 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// `dNSName` and `iPAddress` of a general name (RFC 5280 section 4.2.1.6).
const DNS_NAME: u8 = 0x82;
const ADDRESS: u8 = 0x87;

/// Most alternative names kept.
const MAX_NAMES: usize = 8;

/// What is told of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) subject: Option<WireText>,
    pub(super) names: Vec<WireText>,
    pub(super) issuer: Option<WireText>,
    pub(super) not_before: Option<Time>,
    pub(super) not_after: Option<Time>,
}

/// Reads a whole certificate.
pub(super) fn certificate(bytes: &[u8]) -> Option<Certificate> {
    let body = der::inside(bytes, &[SEQUENCE, SEQUENCE])?;
    // Version (absent in version 1), serial number, algorithm, issuer, validity, subject, key, ..., extensions.
    let mut fields = der::each(body).skip_while(|t| t.tag == context(0));
    fields.next().filter(|t| t.tag == INTEGER)?;
    let mut sequence = || fields.next().filter(|t| t.tag == SEQUENCE && t.whole).map(|t| t.body);
    let (_algorithm, issuer, validity, subject) = (sequence()?, sequence()?, sequence()?, sequence()?);
    let mut dates = der::each(validity).map(|t| time(t.tag, t.body));
    let extensions = der::inside(body, &[context(3), SEQUENCE]).unwrap_or_default();
    Some(Certificate {
        subject: name(subject),
        names: names(extensions),
        issuer: name(issuer),
        not_before: dates.next().flatten(),
        not_after: dates.next().flatten(),
    })
}

/// The common name, else the organization.
fn name(body: &[u8]) -> Option<WireText> {
    let attribute = |wanted: &[u8]| {
        let sets = der::each(body).filter(|t| t.tag == SET);
        sets.flat_map(|set| der::each(set.body)).find_map(|pair| {
            let mut parts = der::each(pair.body);
            let oid = parts.next().filter(|t| t.tag == OID && t.body == wanted);
            oid.and_then(|_| parts.next()).map(|t| WireText::new(t.body))
        })
    };
    attribute(COMMON_NAME).or_else(|| attribute(ORGANIZATION))
}

fn names(extensions: &[u8]) -> Vec<WireText> {
    let wanted = der::each(extensions).find(|e| der::find(e.body, OID).is_some_and(|o| o.body == SUBJECT_ALT_NAME));
    let list = wanted.and_then(|e| der::inside(e.body, &[OCTETS, SEQUENCE])).unwrap_or_default();
    let text = |t: der::Tlv<'_>| match (t.tag, t.body) {
        (DNS_NAME, name) => Some(WireText::new(name)),
        (ADDRESS, &[a, b, c, d]) => Some(WireText::new(std::net::Ipv4Addr::new(a, b, c, d).to_string().as_bytes())),
        (ADDRESS, v6) => {
            let v6 = <[u8; 16]>::try_from(v6).ok()?;
            Some(WireText::new(std::net::Ipv6Addr::from(v6).to_string().as_bytes()))
        }
        _ => None,
    };
    der::each(list).filter_map(text).take(MAX_NAMES).collect()
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ` (RFC 5280 section 4.1.2.5); two digits below 50 are of this century.
fn time(tag: u8, body: &[u8]) -> Option<Time> {
    let digits =
        std::str::from_utf8(body.strip_suffix(b"Z")?).ok().filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?;
    let whole = match (tag, digits.len()) {
        (UTC_TIME, 12) => format!("{}{digits}", if digits < "50" { "20" } else { "19" }),
        (GENERALIZED_TIME, 14) => digits.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| whole.get(from..to).unwrap_or_default();
    let text =
        format!("{}-{}-{}T{}:{}:{}Z", part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 12), part(12, 14));
    Time::parse(&text).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::der::tlv;
    use super::*;

    fn rdn(oid: &[u8], text: &[u8]) -> Vec<u8> {
        tlv(SEQUENCE, &tlv(SET, &tlv(SEQUENCE, &[tlv(OID, oid), tlv(0x0c, text)].concat())))
    }

    /// A certificate without key and signature: what is read of it is whole.
    pub(in crate::app) fn sample() -> Vec<u8> {
        let dates = [tlv(UTC_TIME, b"240102030405Z"), tlv(GENERALIZED_TIME, b"20511231235959Z")].concat();
        let alternatives =
            tlv(SEQUENCE, &[tlv(DNS_NAME, b"vbr.example.test"), tlv(ADDRESS, &[10, 77, 0, 11])].concat());
        let extension = tlv(SEQUENCE, &[tlv(OID, SUBJECT_ALT_NAME), tlv(OCTETS, &alternatives)].concat());
        let tbs = [
            tlv(context(0), &tlv(INTEGER, &[2])),
            tlv(INTEGER, &[0x11; 16]),
            tlv(SEQUENCE, &tlv(OID, &[1, 2])),
            rdn(ORGANIZATION, b"Example CA"),
            tlv(SEQUENCE, &dates),
            rdn(COMMON_NAME, b"vbr"),
            tlv(SEQUENCE, b""),
            tlv(context(3), &tlv(SEQUENCE, &extension)),
        ];
        tlv(SEQUENCE, &tlv(SEQUENCE, &tbs.concat()))
    }

    #[test]
    fn names_issuer_and_dates_are_read() {
        let text = |t: &str| WireText::new(t.as_bytes());
        let expected = Certificate {
            subject: Some(text("vbr")),
            names: vec![text("vbr.example.test"), text("10.77.0.11")],
            issuer: Some(text("Example CA")),
            not_before: Some(Time::parse("2024-01-02T03:04:05Z").unwrap()),
            not_after: Some(Time::parse("2051-12-31T23:59:59Z").unwrap()),
        };
        assert_eq!(certificate(&sample()), Some(expected));
    }

    #[test]
    fn a_cut_or_odd_certificate_names_what_is_whole_and_never_panics() {
        let whole = sample();
        for n in 0..whole.len() {
            let _ = certificate(&whole[..n]);
        }
        assert_eq!(certificate(b"\x30\x80"), None);
        assert_eq!(time(UTC_TIME, b"991332000000Z"), None);
    }
}
