//! Text that somebody else wrote.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// Bytes that came from the wire or out of a capture file, at most 1 KiB.
///
/// There is no `Display`: a server name may hold a terminal escape or a closing tag. Each output format has its own door,
/// and the JSON door is what serde uses.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireText(Vec<u8>);

impl WireText {
    /// Longest text kept, in bytes; the rest is cut.
    pub const MAX: usize = 1024;

    /// Keeps at most the first [`Self::MAX`] bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.iter().copied().take(Self::MAX).collect())
    }

    /// The bytes as they came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn escaped(&self, escape: impl Fn(char, &mut String)) -> String {
        let mut out = String::with_capacity(self.0.len());
        for chunk in self.0.utf8_chunks() {
            chunk.valid().chars().for_each(|c| escape(c, &mut out));
            for b in chunk.invalid() {
                out.push_str(&format!("\\x{b:02x}"));
            }
        }
        out
    }

    /// For a terminal: control characters, bidirectional overrides and backslashes become visible escapes.
    pub fn terminal(&self) -> String {
        self.escaped(|c, out| match c {
            '\\' => out.push_str("\\\\"),
            c if is_hidden(c) => out.extend(c.escape_default()),
            c => out.push(c),
        })
    }

    /// For JSON: a plain string whose quoting is left to the JSON writer; bytes that are not UTF-8 appear as `\xNN`.
    pub fn json(&self) -> String {
        self.escaped(|c, out| if c == '\\' { out.push_str("\\\\") } else { out.push(c) })
    }

    /// For HTML text and attribute values.
    pub fn html(&self) -> String {
        let mut out = String::new();
        for c in self.terminal().chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                c => out.push(c),
            }
        }
        out
    }

    /// For CSV: quoted, and a leading `=`, `+`, `-` or `@` disarmed, since spreadsheets run those.
    pub fn csv(&self) -> String {
        let text = self.terminal().replace('"', "\"\"");
        let guard = if text.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
        format!("\"{guard}{text}\"")
    }
}

/// Makes control characters, bidirectional overrides and invisible characters of a composed text visible.
///
/// Unlike [`WireText::terminal`] it leaves backslashes alone: what it is given may hold escapes already, and Windows paths.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// A word of a command line, quoted for a shell where it has to be: for commands that are printed to be copied.
pub fn shell_word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=+@,%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', "'\\''")))
}

/// Characters that a terminal obeys, or that change how others read without being seen.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

impl fmt::Debug for WireText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WireText({:?})", self.terminal())
    }
}

impl Serialize for WireText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.json())
    }
}

impl<'de> Deserialize<'de> for WireText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|s| Self::new(s.as_bytes()))
    }
}

impl schemars::JsonSchema for WireText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WireText".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Text from the wire, at most 1 KiB; bytes that are not UTF-8 appear as \\xNN"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_commands_are_quoted_where_a_shell_would_split_or_expand_them() {
        for (text, word) in
            [("a/b-1.pcap", "a/b-1.pcap"), ("", "''"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("$x", "'$x'")]
        {
            assert_eq!(shell_word(text), word);
        }
    }

    #[test]
    fn every_door_disarms_what_its_format_would_obey() {
        let evil = WireText::new(b"\x1b[2J<script>\"=cmd\xff\\\xe2\x80\xae");
        let terminal = evil.terminal();
        assert!(!terminal.contains('\x1b') && !terminal.contains('\u{202e}'));
        assert!(terminal.contains("\\xff"));
        assert!(!evil.html().contains('<'));
        assert_eq!(WireText::new(b"=1+1").csv(), "\"'=1+1\"");
        assert!(serde_json::to_string(&evil).unwrap().contains("\\u001b"));
        assert_eq!(WireText::new(&[b'a'; 4096]).as_bytes().len(), WireText::MAX);
    }
}
