//! HTTP/1 request and status lines (RFC 9112 sections 3 and 4), and HTTP/2's preface (RFC 9113 section 3.4).

use super::outcome::{Outcome, starts_with};
use crate::base::WireText;

/// What the first line said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// The first line without its end; `None` where it was cut.
    pub(super) line: Option<WireText>,
}

/// Longest first line waited for (RFC 9112 section 3 recommends at least 8000 octets).
const MAX_LINE: usize = 8 * 1024;

/// Longest method name; the longest registered one has 17 letters.
const MAX_METHOD: usize = 24;

/// Recognises a request or status line at the start of one side's bytes.
pub(super) fn parse(bytes: &[u8]) -> Outcome<Facts> {
    match starts_with(bytes, b"HTTP/") {
        Outcome::Evidence(()) => status(bytes),
        Outcome::NeedMore => Outcome::NeedMore,
        Outcome::No => request(bytes),
    }
}

/// `HTTP/1.1 200`, enough to know; the line may go on.
fn status(bytes: &[u8]) -> Outcome<Facts> {
    let fits = |(i, b): (usize, &u8)| match i {
        0..5 => true,
        5 => *b == b'1',
        6 => *b == b'.',
        8 => *b == b' ',
        _ => b.is_ascii_digit(),
    };
    if !bytes.iter().take(12).enumerate().all(fits) {
        Outcome::No
    } else if bytes.len() < 12 {
        Outcome::NeedMore
    } else {
        Outcome::Evidence(Facts { line: line(bytes).map(WireText::new) })
    }
}

/// `METHOD target HTTP/1.1`, known only with its line end: short text alone could be any protocol.
fn request(bytes: &[u8]) -> Outcome<Facts> {
    let method = bytes.iter().take_while(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_')).count();
    if method > MAX_METHOD || (method == 0 && !bytes.is_empty()) {
        return Outcome::No;
    }
    if bytes.get(method).is_some_and(|b| *b != b' ') {
        return Outcome::No;
    }
    let text = bytes.iter().take(MAX_LINE).take_while(|b| matches!(b, b' '..=b'~')).count();
    match bytes.get(text) {
        None => Outcome::NeedMore,
        Some(b'\r') if bytes.len() == text + 1 => Outcome::NeedMore,
        Some(b'\r' | b'\n') => match line(bytes) {
            Some(l) if l.len() == text && has_version(l) => Outcome::Evidence(Facts { line: Some(WireText::new(l)) }),
            _ => Outcome::No,
        },
        Some(_) => Outcome::No,
    }
}

/// Three words, the last one a version.
fn has_version(line: &[u8]) -> bool {
    let mut words = line.split(|b| *b == b' ');
    let (method, target, version, end) = (words.next(), words.next(), words.next(), words.next());
    let version = version.unwrap_or_default();
    let preface = method == Some(b"PRI") && version == b"HTTP/2.0";
    end.is_none() && target.is_some_and(|t| !t.is_empty()) && (preface || matches!(version, b"HTTP/1.0" | b"HTTP/1.1"))
}

/// Whether a request line is one that only proxies get: `CONNECT`, or a whole URI (RFC 9112 section 3.2).
pub(super) fn asks_a_proxy(bytes: &[u8]) -> bool {
    let line = line(bytes).unwrap_or_default();
    let target = line.split(|b| *b == b' ').nth(1).unwrap_or_default();
    line.starts_with(b"CONNECT ") || target.starts_with(b"http://") || target.starts_with(b"https://")
}

/// Status codes of the lines that look like status lines, and where each line ends.
pub(super) fn statuses(bytes: &[u8]) -> Vec<(u16, usize)> {
    let mut codes = Vec::new();
    let mut at = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        at += line.len();
        if matches!(status(line), Outcome::Evidence(_)) {
            let digits = line.get(9..12).and_then(|d| std::str::from_utf8(d).ok());
            codes.extend(digits.and_then(|d| d.parse().ok()).map(|code| (code, at - 1)));
        }
    }
    codes
}

/// The first line without CR LF or LF.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().take(MAX_LINE).position(|b| *b == b'\n')?;
    let text = bytes.get(..end)?;
    Some(text.strip_suffix(b"\r").unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(bytes: &[u8]) -> bool {
        matches!(parse(bytes), Outcome::Evidence(_))
    }

    #[test]
    fn request_and_status_lines_are_known() {
        let facts = Facts { line: Some(WireText::new(b"GET / HTTP/1.1")) };
        assert_eq!(parse(b"GET / HTTP/1.1\r\nHost: a\r\n"), Outcome::Evidence(facts));
        assert!(known(b"RPC_IN_DATA /rpc/rpcproxy.dll?x:593 HTTP/1.1\n"));
        assert!(known(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        assert_eq!(parse(b"HTTP/1.1 200"), Outcome::Evidence(Facts { line: None }));
    }

    #[test]
    fn a_proxy_is_told_by_the_form_of_the_request() {
        assert!(asks_a_proxy(b"CONNECT a:443 HTTP/1.1\r\n") && asks_a_proxy(b"GET http://a/ HTTP/1.1\r\n"));
        assert!(!asks_a_proxy(b"GET /http://a HTTP/1.1\r\n"));
        let answers = b"HTTP/1.1 407 Auth\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n";
        assert_eq!(statuses(answers), [(407, 18), (200, answers.len() - 1)]);
    }

    #[test]
    fn other_text_is_not() {
        for bytes in [
            &b"OPTIONS sip:a@b SIP/2.0\r\n"[..],
            b"HELO mail\r\n",
            b"GET  HTTP/1.1\r\n",
            b"GET /\x80 HTTP/1.1\r\n",
            b"HTTP/2.0 200",
            b"HTTP/1.1 2x0",
            b"GET /\r\rHTTP/1.1\n",
            b" / HTTP/1.1\r\n",
        ] {
            assert_eq!(parse(bytes), Outcome::No, "{}", bytes.escape_ascii());
        }
        assert_eq!(parse(b""), Outcome::NeedMore);
        assert_eq!(parse(b"GET / HTTP/1.1\r"), Outcome::NeedMore);
        assert_eq!(parse(&[&b"GET /"[..], &[b'a'; MAX_LINE]].concat()), Outcome::No);
    }
}
