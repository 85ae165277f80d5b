//! A TOML tree whose every key and value knows its place, read without stopping at the first error.
//!
//! Deserialising into structs stops at the first wrong field; here each accessor notes what is wrong and goes on.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ConfigError, Word, nearest};

/// A value and its place.
pub(crate) type Node<'a> = Spanned<DeValue<'a>>;

/// One file being read, and what was found wrong so far.
pub(crate) struct Doc<'a> {
    file: &'a str,
    source: &'a str,
    errors: RefCell<Vec<ConfigError>>,
    warnings: RefCell<Vec<ConfigError>>,
}

impl<'a> Doc<'a> {
    /// A file by name and text.
    pub(crate) const fn new(file: &'a str, source: &'a str) -> Self {
        Self { file, source, errors: RefCell::new(Vec::new()), warnings: RefCell::new(Vec::new()) }
    }

    /// The tree; `None` (and the errors noted) where the text is not TOML.
    pub(crate) fn parse(&self) -> Option<Spanned<DeTable<'a>>> {
        let (table, errors) = DeTable::parse_recoverable(self.source);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            // An unquoted word is taken for the nearest thing without quotes: inf, nan, true, false.
            let word = self.source.get(span.start..).is_some_and(|rest| rest.starts_with(char::is_alphabetic));
            let unquoted = word && (message.contains("float") || message.contains("bool"));
            let help = unquoted.then(|| "words are written in double quotes".to_owned());
            self.error(span, message, help);
        }
        errors.is_empty().then_some(table)
    }

    /// Notes an error.
    pub(crate) fn error(&self, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        self.errors.borrow_mut().push(ConfigError::at(self.file, self.source, span, message, help));
    }

    /// Notes a warning.
    pub(crate) fn warn(&self, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        self.warnings.borrow_mut().push(ConfigError::warning(self.file, self.source, span, message, help));
    }

    /// Notes that a word is none of a vocabulary, with the nearest one or all of them.
    pub(crate) fn unknown<'w>(
        &self,
        span: Range<usize>,
        what: &str,
        word: &str,
        words: impl IntoIterator<Item = &'w str>,
    ) {
        let words: Vec<&str> = words.into_iter().collect();
        self.error(span, format!("'{word}' is not a known {what}"), suggest(word, &words));
    }

    /// 1-based line of a place.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.source.get(..at).unwrap_or_default().matches('\n').count() + 1
    }

    /// Whether anything wrong was found so far.
    pub(crate) fn failed(&self) -> bool {
        !self.errors.borrow().is_empty()
    }

    /// Errors and warnings in the file's order.
    pub(crate) fn finish(self) -> (Vec<ConfigError>, Vec<ConfigError>) {
        let sorted = |list: RefCell<Vec<ConfigError>>| {
            let mut list = list.into_inner();
            list.sort_by_key(|e| (e.line, e.column));
            list.dedup();
            list
        };
        (sorted(self.errors), sorted(self.warnings))
    }
}

/// What was probably meant, or what there is to choose from.
fn suggest(word: &str, words: &[&str]) -> Option<String> {
    match nearest(word, words.iter().copied()) {
        Some(near) => Some(format!("did you mean '{near}'?")),
        None if words.is_empty() => None,
        None => Some(format!("expected one of: {}", words.join(", "))),
    }
}

/// A string and its place.
#[derive(Clone, Debug)]
pub(crate) struct Text<'a> {
    /// The string, never empty.
    pub(crate) text: &'a str,
    /// Where it stands.
    pub(crate) span: Range<usize>,
}

/// The fields of one table.
pub(crate) struct Fields<'a> {
    /// The file.
    pub(crate) doc: &'a Doc<'a>,
    /// Where the table stands.
    pub(crate) span: Range<usize>,
    table: &'a DeTable<'a>,
    what: &'static str,
    /// Keys that were probably meant by unknown ones: their absence is not told again.
    meant: Vec<String>,
}

impl<'a> Fields<'a> {
    /// A table of which these keys are known; others are noted as errors.
    pub(crate) fn new(
        doc: &'a Doc<'a>,
        (table, span): (&'a DeTable<'a>, Range<usize>),
        what: &'static str,
        known: &[&str],
    ) -> Self {
        let mut meant = Vec::new();
        for (key, _) in table.iter().filter(|(key, _)| !known.contains(&key.get_ref().as_ref())) {
            let word: &str = key.get_ref();
            meant.extend(nearest(word, known.iter().copied()).map(str::to_owned));
            doc.error(key.span(), format!("{what} has no key '{word}'"), suggest(word, known));
        }
        Self { doc, span, table, what, meant }
    }

    /// Key and value, where the key is there.
    pub(crate) fn entry(&self, key: &str) -> Option<(Range<usize>, &'a Node<'a>)> {
        self.table.iter().find(|(k, _)| k.get_ref() == key).map(|(k, v)| (k.span(), v))
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Node<'a>> {
        self.entry(key).map(|(_, v)| v)
    }

    /// Where a key stands; the table where it is absent.
    pub(crate) fn key_span(&self, key: &str) -> Range<usize> {
        self.entry(key).map_or_else(|| self.span.clone(), |(span, _)| span)
    }

    /// Notes that a key is absent.
    pub(crate) fn missing(&self, key: &str, expected: &str) {
        if self.meant.iter().any(|m| m == key) {
            return;
        }
        self.doc.error(self.span.clone(), format!("{} lacks '{key}'", self.what), Some(format!("expected {expected}")));
    }

    /// A string that is not empty.
    pub(crate) fn text(&self, key: &str) -> Option<Text<'a>> {
        text(self.doc, self.get(key)?, &format!("'{key}'"))
    }

    /// A string that has to be there.
    pub(crate) fn required(&self, key: &str, expected: &str) -> Option<Text<'a>> {
        if self.get(key).is_none() {
            self.missing(key, expected);
        }
        self.text(key)
    }

    /// An owned string, empty where absent.
    pub(crate) fn owned(&self, key: &str) -> String {
        self.text(key).map(|t| t.text.to_owned()).unwrap_or_default()
    }

    /// A truth value.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        let node = self.get(key)?;
        let flag = node.get_ref().as_bool();
        if flag.is_none() {
            wrong_type(self.doc, node, &format!("'{key}'"), "true or false");
        }
        flag
    }

    /// A whole number.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        let node = self.get(key)?;
        let number = integer(node);
        if number.is_none() {
            wrong_type(self.doc, node, &format!("'{key}'"), "a whole number, 0 or more");
        }
        number
    }

    /// A word of a vocabulary.
    pub(crate) fn word<W: Word>(&self, key: &str) -> Option<W> {
        word(self.doc, &self.text(key)?)
    }

    /// A string or an array of strings.
    pub(crate) fn texts(&self, key: &str) -> Vec<Text<'a>> {
        self.get(key).map(|node| texts(self.doc, node, &format!("'{key}'"))).unwrap_or_default()
    }

    /// Words of a vocabulary with their places; a repeated one is an error.
    pub(crate) fn words<W: Word + PartialEq>(&self, key: &str) -> Vec<W> {
        let mut words = Vec::new();
        for text in self.texts(key) {
            match word(self.doc, &text) {
                Some(w) if words.contains(&w) => {
                    self.doc.error(text.span, format!("'{}' stands here twice", text.text), None);
                }
                Some(w) => words.push(w),
                None => {}
            }
        }
        words
    }

    /// A table.
    pub(crate) fn table(&self, key: &str) -> Option<(&'a DeTable<'a>, Range<usize>)> {
        let node = self.get(key)?;
        let table = node.get_ref().as_table().map(|t| (t, node.span()));
        if table.is_none() {
            wrong_type(self.doc, node, &format!("'{key}'"), &format!("a table: [{key}]"));
        }
        table
    }

    /// An array of tables, each with its place.
    pub(crate) fn tables(&self, key: &str) -> Vec<(&'a DeTable<'a>, Range<usize>)> {
        let Some((_, node)) = self.entry(key) else { return Vec::new() };
        let Some(items) = node.get_ref().as_array() else {
            wrong_type(self.doc, node, &format!("'{key}'"), &format!("a list of tables: [[{key}]]"));
            return Vec::new();
        };
        let one = |item: &'a Node<'a>| {
            let table = item.get_ref().as_table().map(|t| (t, item.span()));
            if table.is_none() {
                wrong_type(self.doc, item, &format!("an item of '{key}'"), "a table");
            }
            table
        };
        items.iter().filter_map(one).collect()
    }

    /// Keys and values in the file's order.
    pub(crate) fn in_order(table: &'a DeTable<'a>) -> Vec<(Text<'a>, &'a Node<'a>)> {
        let entry = |(k, v): (&'a Spanned<std::borrow::Cow<'a, str>>, &'a Node<'a>)| {
            (Text { text: k.get_ref(), span: k.span() }, v)
        };
        let mut entries: Vec<_> = table.iter().map(entry).collect();
        entries.sort_by_key(|(k, _)| k.span.start);
        entries
    }
}

/// A non-negative integer that fits.
pub(crate) fn integer(node: &Node<'_>) -> Option<u64> {
    let integer = node.get_ref().as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A string that is not empty.
pub(crate) fn text<'a>(doc: &Doc<'_>, node: &'a Node<'a>, what: &str) -> Option<Text<'a>> {
    match node.get_ref().as_str() {
        Some(text) if text.trim().is_empty() => {
            doc.error(node.span(), format!("{what} is empty"), None);
            None
        }
        Some(text) => Some(Text { text, span: node.span() }),
        None => {
            wrong_type(doc, node, what, "a string");
            None
        }
    }
}

/// A string or an array of strings.
pub(crate) fn texts<'a>(doc: &Doc<'_>, node: &'a Node<'a>, what: &str) -> Vec<Text<'a>> {
    match node.get_ref() {
        DeValue::Array(items) => {
            items.iter().filter_map(|item| text(doc, item, &format!("an item of {what}"))).collect()
        }
        DeValue::String(_) => text(doc, node, what).into_iter().collect(),
        _ => {
            wrong_type(doc, node, what, "a string or a list of strings");
            Vec::new()
        }
    }
}

/// A word of a vocabulary.
pub(crate) fn word<W: Word>(doc: &Doc<'_>, text: &Text<'_>) -> Option<W> {
    let found = W::all().iter().copied().find(|w| w.text() == text.text);
    if found.is_none() {
        doc.unknown(text.span.clone(), W::NAME, text.text, W::all().iter().map(|w| w.text()));
    }
    found
}

/// Notes a value of the wrong type.
pub(crate) fn wrong_type(doc: &Doc<'_>, node: &Node<'_>, what: &str, expected: &str) {
    let is = match node.get_ref().type_str() {
        is @ ("integer" | "array") => format!("an {is}"),
        is => format!("a {is}"),
    };
    doc.error(node.span(), format!("{what} is {is}"), Some(format!("expected {expected}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_counted_in_characters_and_errors_come_in_order() {
        let source = "a = \"\u{e4}\u{1f980}\"\nb = [\"\u{e4}\", 5]\n";
        let doc = Doc::new("f", source);
        let tree = doc.parse().unwrap();
        let fields = Fields::new(&doc, (tree.get_ref(), 0..0), "a file", &["b"]);
        assert_eq!(fields.texts("b").len(), 1);
        assert_eq!(fields.number("b"), None);
        drop(tree);
        let places: Vec<_> = doc.finish().0.iter().map(|e| (e.line, e.column)).collect();
        assert_eq!(places, [(1, 1), (2, 5), (2, 11)]);
    }

    #[test]
    fn a_misspelt_key_is_not_missing_as_well() {
        let doc = Doc::new("f", "reson = \"x\"");
        let tree = doc.parse().unwrap();
        let fields = Fields::new(&doc, (tree.get_ref(), 0..0), "a file", &["reason"]);
        assert!(fields.required("reason", "a reason").is_none());
        drop(tree);
        assert_eq!(doc.finish().0.len(), 1);
    }
}
