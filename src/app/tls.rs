//! TLS hellos: records (RFC 8446 section 5.1), ClientHello and ServerHello (section 4.1), server name (RFC 6066 section 3),
//! supported versions (RFC 8446 section 4.2.1).
//!
//! Only what can open a connection counts: a hello, or an alert in clear. Records from the middle of a connection are not evidence
//! here: their type byte alone is too little to tell.

use tls_parser::{
    SNIType, TlsExtension, parse_tls_extension_sni_content, parse_tls_handshake_client_hello,
    parse_tls_handshake_server_hello,
};

use super::outcome::Outcome;
use super::reader::Reader;
use crate::base::WireText;

/// What the first message said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Facts {
    /// A whole ClientHello.
    Client {
        /// The server name asked for.
        server_name: Option<WireText>,
        /// Application protocols offered.
        alpn: Vec<WireText>,
    },
    /// A whole ServerHello or HelloRetryRequest.
    Server {
        /// The version chosen, as on the wire: 0x0304 for TLS 1.3.
        version: u16,
        /// Application protocol chosen, where it is said in the clear.
        alpn: Option<WireText>,
    },
    /// An alert in clear (RFC 8446 section 6).
    Alert {
        /// 1 warning, 2 fatal.
        level: u8,
        /// E.g. 40: handshake failure.
        description: u8,
    },
    /// A hello of which not every byte was captured, or whose body is malformed.
    Cut,
}

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

/// Longest plaintext fragment (RFC 8446 section 5.1).
const MAX_FRAGMENT: u16 = 1 << 14;

/// Longest hello believed; real ones stay below a few KiB.
const MAX_HELLO: usize = 1 << 17;

/// Extension numbers (IANA "TLS ExtensionType Values").
const SERVER_NAME: u16 = 0;
const SUPPORTED_VERSIONS: u16 = 43;
const ALPN: u16 = 16;

/// Application protocols kept.
const MAX_ALPN: usize = 4;

/// Recognises a hello or alert at the start of one side's bytes.
pub(super) fn parse(bytes: &[u8]) -> Outcome<Facts> {
    match bytes.first() {
        None => Outcome::NeedMore,
        Some(&ALERT) => alert(bytes),
        Some(&HANDSHAKE) => hello(bytes),
        Some(_) => Outcome::No,
    }
}

/// `15 03 xx 00 02 level description`; an encrypted alert is longer.
fn alert(bytes: &[u8]) -> Outcome<Facts> {
    let fits = |(i, b): (usize, &u8)| match i {
        1 => *b == 3,
        2 => *b <= 4,
        3 => *b == 0,
        4 => *b == 2,
        5 => matches!(b, 1 | 2),
        _ => true,
    };
    match *bytes {
        _ if !bytes.iter().enumerate().all(fits) => Outcome::No,
        [_, _, _, _, _, level, description, ..] => Outcome::Evidence(Facts::Alert { level, description }),
        _ => Outcome::NeedMore,
    }
}

/// A hello, possibly spread over several records.
fn hello(bytes: &[u8]) -> Outcome<Facts> {
    let mut message = Vec::new();
    let mut rest = Reader::big(bytes);
    loop {
        match recognised(&message) {
            Outcome::No => return Outcome::No,
            Outcome::Evidence(length) if message.len() >= 4 + length => {
                return Outcome::Evidence(facts(&message, length));
            }
            known => {
                // A record that is none ends a hello already recognised, and denies one that is not.
                let open = matches!(known, Outcome::NeedMore);
                match fragment(&mut rest) {
                    Outcome::Evidence(more) => message.extend_from_slice(more),
                    Outcome::No if open => return Outcome::No,
                    Outcome::NeedMore if open => return Outcome::NeedMore,
                    _ => return Outcome::Evidence(Facts::Cut),
                }
            }
        }
    }
}

/// The next handshake fragment, as much of it as there is.
fn fragment<'a>(r: &mut Reader<'a>) -> Outcome<&'a [u8]> {
    let header = r.rest();
    let fits = |(i, b): (usize, &u8)| match i {
        0 => *b == HANDSHAKE,
        1 => *b == 3,
        2 => *b <= 4,
        _ => true,
    };
    if !header.iter().take(5).enumerate().all(fits) {
        return Outcome::No;
    }
    let length = (r.skip(3), r.u16()).1;
    match length {
        None => Outcome::NeedMore,
        // Zero-length fragments of handshake messages are forbidden.
        Some(0) => Outcome::No,
        Some(n) if n > MAX_FRAGMENT => Outcome::No,
        Some(n) => {
            let n = usize::from(n).min(r.rest().len());
            match r.take(n) {
                Some(part) if !part.is_empty() => Outcome::Evidence(part),
                _ => Outcome::NeedMore,
            }
        }
    }
}

/// The body length of a hello, from its first six bytes: type, 24-bit length, version.
fn recognised(message: &[u8]) -> Outcome<usize> {
    let mut r = Reader::big(message);
    match r.u8() {
        None | Some(CLIENT_HELLO | SERVER_HELLO) => {}
        Some(_) => return Outcome::No,
    }
    let Some(length) = r.be24() else { return Outcome::NeedMore };
    // Version, random, session id length, cipher and compression (RFC 8446 section 4.1.3).
    if !(38..=MAX_HELLO).contains(&length) {
        return Outcome::No;
    }
    match (r.u8(), r.u8()) {
        (Some(3), Some(0..=4)) => Outcome::Evidence(length),
        (None | Some(3), None) => Outcome::NeedMore,
        _ => Outcome::No,
    }
}

fn facts(message: &[u8], length: usize) -> Facts {
    let body = message.get(4..4 + length).unwrap_or_default();
    let found = match message.first() {
        Some(&CLIENT_HELLO) => client(body),
        _ => server(body),
    };
    found.unwrap_or(Facts::Cut)
}

fn client(body: &[u8]) -> Option<Facts> {
    let (_, hello) = parse_tls_handshake_client_hello(body).ok()?;
    let alpn = alpn(hello.ext.unwrap_or_default());
    let names = extension(hello.ext.unwrap_or_default(), SERVER_NAME).and_then(|e| {
        let (_, names) = parse_tls_extension_sni_content(e).ok()?;
        if let TlsExtension::SNI(names) = names { Some(names) } else { None }
    });
    let name = names.unwrap_or_default().into_iter().find(|(kind, _)| *kind == SNIType::HostName);
    Some(Facts::Client { server_name: name.map(|(_, n)| WireText::new(n)), alpn })
}

fn server(body: &[u8]) -> Option<Facts> {
    let (_, hello) = parse_tls_handshake_server_hello(body).ok()?;
    let chosen = extension(hello.ext.unwrap_or_default(), SUPPORTED_VERSIONS).and_then(|e| Reader::big(e).u16());
    let alpn = alpn(hello.ext.unwrap_or_default()).into_iter().next();
    Some(Facts::Server { version: chosen.unwrap_or(hello.version.0), alpn })
}

/// Names of application protocols (RFC 7301 section 3.1): a list behind its length, each name behind its own.
fn alpn(extensions: &[u8]) -> Vec<WireText> {
    let mut names = Vec::new();
    let Some(body) = extension(extensions, ALPN) else { return names };
    let mut r = Reader::big(body);
    let _ = r.u16();
    while let Some(name) = r.u8().and_then(|n| r.take(usize::from(n))).filter(|_| names.len() < MAX_ALPN) {
        names.push(WireText::new(name));
    }
    names
}

/// The body of the first extension of a kind. Walked here, so that one malformed extension does not hide those after it.
fn extension(extensions: &[u8], kind: u16) -> Option<&[u8]> {
    let mut r = Reader::big(extensions);
    loop {
        let (found, length) = (r.u16()?, r.u16()?);
        let body = r.take(usize::from(length))?;
        if found == kind {
            return Some(body);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn sized(n: usize, bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&length[4 - n..], bytes].concat()
    }

    fn ext(kind: u16, body: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &sized(2, body)].concat()
    }

    fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind][..], &sized(3, body)].concat()
    }

    fn records(message: &[u8], fragment: usize) -> Vec<u8> {
        message.chunks(fragment).flat_map(|c| [&[22, 3, 1][..], &sized(2, c)].concat()).collect()
    }

    /// A ClientHello for `name`, cut into records of `fragment` bytes.
    pub(in crate::app) fn client_hello(name: &str, fragment: usize) -> Vec<u8> {
        let sni = sized(2, &[&[0][..], &sized(2, name.as_bytes())].concat());
        let alpn = sized(2, &[&sized(1, b"h2")[..], &sized(1, b"http/1.1")].concat());
        let extensions =
            [ext(0x2a2a, b""), ext(22, b"odd"), ext(SERVER_NAME, &sni), ext(ALPN, &alpn), ext(43, &[2, 3, 4])].concat();
        let body = [&[3, 3][..], &[7; 32], &[0], &sized(2, &[0x13, 1]), &[1, 0], &sized(2, &extensions)].concat();
        records(&handshake(CLIENT_HELLO, &body), fragment)
    }

    /// A ServerHello that chose TLS 1.3.
    pub(in crate::app) fn server_hello() -> Vec<u8> {
        let body = [&[3, 3][..], &[9; 32], &[0, 0x13, 1, 0], &sized(2, &ext(43, &[3, 4]))].concat();
        records(&handshake(SERVER_HELLO, &body), 1000)
    }

    #[test]
    fn the_name_is_found_however_the_hello_is_split() {
        let alpn = vec![WireText::new(b"h2"), WireText::new(b"http/1.1")];
        let expected = Facts::Client { server_name: Some(WireText::new(b"vbr.example")), alpn };
        for fragment in [1, 2, 5, 7, 64, 1000] {
            let mut bytes = client_hello("vbr.example", fragment);
            bytes.extend_from_slice(b"\x14\x03\x03\x00\x01\x01");
            assert_eq!(parse(&bytes), Outcome::Evidence(expected.clone()), "{fragment}");
        }
    }

    #[test]
    fn a_server_hello_says_the_version_of_its_extension() {
        assert_eq!(parse(&server_hello()), Outcome::Evidence(Facts::Server { version: 0x0304, alpn: None }));
        let old = [&[3, 1][..], &[9; 32], &[0, 0, 0x2f, 0]].concat();
        let old = records(&handshake(SERVER_HELLO, &old), 1000);
        assert_eq!(parse(&old), Outcome::Evidence(Facts::Server { version: 0x0301, alpn: None }));
    }

    #[test]
    fn a_cut_hello_names_nothing() {
        let bytes = client_hello("vbr.example", 1000);
        assert_eq!(parse(&bytes[..bytes.len() - 1]), Outcome::Evidence(Facts::Cut));
        assert_eq!(parse(&bytes[..10]), Outcome::NeedMore);
        assert_eq!(parse(&bytes[..11]), Outcome::Evidence(Facts::Cut));
    }

    #[test]
    fn an_alert_in_clear_is_tls_and_encrypted_records_are_not_a_hello() {
        let alert = Facts::Alert { level: 2, description: 40 };
        assert_eq!(parse(&[21, 3, 3, 0, 2, 2, 40]), Outcome::Evidence(alert));
        assert_eq!(parse(&[21, 3, 3, 0, 26, 1, 2, 3]), Outcome::No);
        assert_eq!(parse(&[23, 3, 3, 0, 26, 1, 2, 3]), Outcome::No);
        assert_eq!(parse(&[22, 3, 3, 0, 40, 0x91, 2, 3, 8]), Outcome::No);
        assert_eq!(parse(&[22, 3, 3, 0, 0]), Outcome::No);
        assert_eq!(parse(&[22, 3, 3, 0x40, 1, 1]), Outcome::No);
    }
}
