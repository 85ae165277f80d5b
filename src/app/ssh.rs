//! SSH identification strings (RFC 4253 section 4.2).
//!
//! A server may send lines of UTF-8 text before its identification. Until the identification comes, such text may be any other
//! text protocol; that is why this parser is asked last.

use super::outcome::{Outcome, starts_with};
use crate::base::WireText;

/// What an identification said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// The whole identification without its line end; `None` where the line was cut, too long, or not printable.
    pub(super) identification: Option<WireText>,
}

/// Longest identification, line end included (RFC 4253 section 4.2).
const MAX_IDENTIFICATION: usize = 255;

/// Most bytes of text before an identification that are waited through. The RFC sets no limit; text that long without an
/// identification is taken for something else.
const MAX_PREAMBLE: usize = 4096;

/// Recognises an identification at the start of one side's bytes.
pub(super) fn parse(bytes: &[u8]) -> Outcome<Facts> {
    let mut rest = bytes;
    loop {
        match identification(rest) {
            Outcome::No => {}
            found => return found,
        }
        if bytes.len() - rest.len() > MAX_PREAMBLE {
            return Outcome::No;
        }
        let line = rest.split_inclusive(|b| *b == b'\n').next().unwrap_or_default();
        if !is_text(line) || line.len() > MAX_PREAMBLE {
            return Outcome::No;
        }
        if line.last() != Some(&b'\n') {
            return Outcome::NeedMore;
        }
        rest = rest.get(line.len()..).unwrap_or_default();
    }
}

/// `SSH-protoversion-softwareversion`, at the start of a line.
fn identification(line: &[u8]) -> Outcome<Facts> {
    match starts_with(line, b"SSH-") {
        Outcome::Evidence(()) => {}
        Outcome::NeedMore => return Outcome::NeedMore,
        Outcome::No => return Outcome::No,
    }
    let version = line.iter().skip(4).take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    match line.get(4 + version) {
        _ if version > 8 => Outcome::No,
        None => Outcome::NeedMore,
        Some(b'-') if version > 0 => Outcome::Evidence(Facts { identification: whole(line) }),
        Some(_) => Outcome::No,
    }
}

/// The line without its end: CR LF, or a lone LF as old versions send.
fn whole(line: &[u8]) -> Option<WireText> {
    let end = line.iter().take(MAX_IDENTIFICATION).position(|b| *b == b'\n')?;
    let text = line.get(..end)?;
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    text.iter().all(|b| matches!(b, b' '..=b'~')).then(|| WireText::new(text))
}

/// UTF-8 without control characters other than tab, CR and LF; a character cut at the end is let pass.
fn is_text(line: &[u8]) -> bool {
    let utf8 = std::str::from_utf8(line).map_or_else(|e| e.error_len().is_none(), |_| true);
    utf8 && line.iter().all(|b| !b.is_ascii_control() || matches!(b, b'\t' | b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8]) -> Option<String> {
        match parse(bytes) {
            Outcome::Evidence(f) => f.identification.map(|t| t.terminal()),
            _ => None,
        }
    }

    #[test]
    fn an_identification_is_the_line_without_its_end() {
        assert_eq!(said(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\x00\x00\x05").unwrap(), "SSH-2.0-OpenSSH_9.2p1 Debian-2");
        assert_eq!(said(b"SSH-1.99-x\n").unwrap(), "SSH-1.99-x");
    }

    #[test]
    fn lines_before_it_are_allowed() {
        assert_eq!(said(b"Welcome\r\nstay out \xc3\xa4\r\nSSH-2.0-x\r\n").unwrap(), "SSH-2.0-x");
        assert_eq!(parse(b"Welcome\r\n"), Outcome::NeedMore);
        assert_eq!(parse(b"bell \x07\r\nSSH-2.0-x\r\n"), Outcome::No);
        assert_eq!(parse(&b"220 mail ready\r\n".repeat(300)), Outcome::No);
        assert_eq!(parse(&[b'a'; MAX_PREAMBLE + 1]), Outcome::No);
    }

    #[test]
    fn too_few_bytes_are_undecided_and_a_long_line_has_no_name() {
        assert_eq!(parse(b"SSH"), Outcome::NeedMore);
        assert_eq!(parse(b"SSH-2."), Outcome::NeedMore);
        let mut long = b"SSH-2.0-".to_vec();
        long.resize(300, b'a');
        long.push(b'\n');
        assert_eq!(parse(&long), Outcome::Evidence(Facts { identification: None }));
        assert_eq!(parse(b"SSH-2.0-\x1b[2J\r\n"), Outcome::Evidence(Facts { identification: None }));
    }
}
