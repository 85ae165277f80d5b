//! Breaking lines by display width.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Narrowest column text is broken to; below it lines run over rather than become a column of letters.
const LEAST: usize = 16;

/// Breaks text at spaces into lines of at most `width` columns; a longer word is broken inside. At least one line.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(LEAST);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
        } else if !line.is_empty() {
            line.push(' ');
        }
        let mut rest = word;
        while rest.width() > width {
            let (head, tail) = rest.split_at(fits(rest, width));
            lines.push(head.to_owned());
            rest = tail;
        }
        line.push_str(rest);
    }
    lines.push(line);
    lines
}

/// Bytes of the longest beginning of at most `width` columns; at least one character.
fn fits(text: &str, width: usize) -> usize {
    let mut used = 0;
    let mut end = text.chars().next().map_or(0, char::len_utf8);
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        end = at + c.len_utf8();
    }
    end
}

/// Text for a terminal that shows ASCII only: our own symbols have stand-ins, anything else its code.
pub(in crate::report) fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_ascii() => out.push(c),
            '→' => out.push_str("->"),
            '✓' => out.push('+'),
            '✗' => out.push('x'),
            '•' => out.push('*'),
            '·' => out.push('.'),
            '–' | '—' => out.push('-'),
            '…' => out.push_str("..."),
            '’' | '‘' => out.push('\''),
            '“' | '”' => out.push('"'),
            c => out.extend(c.escape_unicode()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_and_nothing_is_wider_than_asked() {
        let text = "alpha beta 0123456789012345678901234567890123456789 gamma héé→日本語日本語日本語日本語 end";
        for width in 16..100 {
            let lines = wrap(text, width);
            assert!(lines.iter().all(|l| l.width() <= width), "{width}: {lines:?}");
            let letters = |s: &str| s.replace(' ', "");
            assert_eq!(letters(&lines.concat()), letters(text));
        }
        assert_eq!(wrap("", 20), [""]);
    }

    #[test]
    fn ascii_terminals_get_stand_ins_and_codes() {
        assert_eq!(ascii("✓ a → ü"), "+ a -> \\u{fc}");
    }
}
