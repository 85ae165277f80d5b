//! What one side of TLS says in the clear after its hello: certificates (RFC 5246 section 7.4.2) and alerts (section 7.2), up to
//! its ChangeCipherSpec or the first application data; beyond those everything is encrypted.

use super::reader::Reader;
use super::x509::{self, Certificate};

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const CERTIFICATE: u8 = 11;
const FATAL: u8 = 2;

/// Most bytes of handshake messages put together.
const MAX_HANDSHAKE: usize = 64 * 1024;

/// A fatal alert, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alert {
    pub(super) description: u8,
    /// Index of its last byte.
    pub(super) last: usize,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The first certificate of the chain: the side's own.
    pub(super) certificate: Option<Certificate>,
    pub(super) alert: Option<Alert>,
}

/// Reads the records at the start of a side's bytes.
pub(super) fn read(bytes: &[u8]) -> Told {
    let (mut told, mut handshake) = (Told::default(), Vec::new());
    let mut r = Reader::big(bytes);
    while let Some((kind, body)) = record(&mut r) {
        match (kind, body) {
            (HANDSHAKE, part) if handshake.len() < MAX_HANDSHAKE => handshake.extend_from_slice(part),
            (ALERT, &[FATAL, description]) => {
                let last = bytes.len() - r.rest().len() - 1;
                told.alert = Some(Alert { description, last });
                break;
            }
            // A warning ends nothing; an encrypted alert is longer.
            (ALERT, &[1, _]) => {}
            _ => break,
        }
    }
    told.certificate = certificate(&handshake);
    told
}

/// The next record, the last one as far as it was captured.
fn record<'a>(r: &mut Reader<'a>) -> Option<(u8, &'a [u8])> {
    let (kind, major, minor, length) = (r.u8()?, r.u8()?, r.u8()?, r.u16()?);
    let plain = matches!(kind, CHANGE_CIPHER_SPEC | ALERT | HANDSHAKE) && major == 3 && minor <= 4;
    let here = usize::from(length).min(r.rest().len());
    plain.then(|| r.take(here)).flatten().map(|body| (kind, body))
}

/// The first certificate of a Certificate message. In TLS 1.3 it is encrypted, so none is found.
fn certificate(handshake: &[u8]) -> Option<Certificate> {
    let mut r = Reader::big(handshake);
    loop {
        let (kind, length) = (r.u8()?, r.be24()?);
        if kind == CERTIFICATE {
            r.be24()?;
            let first = r.be24()?;
            return x509::certificate(r.take(first)?);
        }
        r.skip(length)?;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn of(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind, 3, 3][..], &u16::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
    }

    /// A Certificate message behind a server's hello, in records of so many bytes.
    pub(in crate::app) fn certificate_records(size: usize) -> Vec<u8> {
        let certificate = super::super::x509::tests::sample();
        let n = |extra: usize| u32::try_from(certificate.len() + extra).unwrap().to_be_bytes()[1..].to_vec();
        let message = [&[CERTIFICATE][..], &n(6), &n(3), &n(0), &certificate].concat();
        message.chunks(size).flat_map(|c| of(HANDSHAKE, c)).collect()
    }

    #[test]
    fn a_certificate_is_found_however_it_is_split() {
        for size in [7, 100, 1000] {
            let bytes = [super::super::tls::tests::server_hello(), certificate_records(size)].concat();
            assert!(read(&bytes).certificate.is_some(), "{size}");
            assert!(read(&bytes[..bytes.len() - 9]).certificate.is_none());
        }
    }

    #[test]
    fn an_alert_counts_in_the_clear_and_only_where_it_is_fatal() {
        let hello = super::super::tls::tests::client_hello("vbr.example", 500);
        let with =
            |more: &[u8]| read(&[&hello[..], more].concat()).alert.map(|a| (a.description, a.last - hello.len()));
        assert_eq!(with(&of(ALERT, &[2, 48])), Some((48, 6)));
        assert_eq!(with(&of(ALERT, &[1, 0])), None, "close_notify");
        assert_eq!(with(&[of(ALERT, &[1, 90]), of(ALERT, &[2, 40])].concat()), Some((40, 13)));
        assert_eq!(with(&[of(CHANGE_CIPHER_SPEC, &[1]), of(ALERT, &[2, 48])].concat()), None, "encrypted from here on");
        assert_eq!(with(&of(ALERT, &[2; 26])), None);
    }
}
