//! Errors of configuration files that point at the line.

use std::fmt;
use std::ops::Range;

/// One thing wrong in a configuration file: where, what, what was expected, and the nearest name that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// File as the user named it.
    pub file: String,
    /// 1-based line.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What was expected, or the nearest name.
    pub help: Option<String>,
    /// The rendered excerpt of the file, without colour.
    pub excerpt: String,
}

impl ConfigError {
    /// An error at a byte range of a file's text.
    pub fn at(file: &str, source: &str, span: Range<usize>, message: impl Into<String>, help: Option<String>) -> Self {
        let start = span.start.min(source.len());
        let before = source.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let message = message.into();
        let excerpt = render(file, source, span, &message, help.as_deref());
        Self { file: file.to_owned(), line, column, message, help, excerpt }
    }
}

fn render(file: &str, source: &str, span: Range<usize>, message: &str, help: Option<&str>) -> String {
    use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
    let end = span.end.clamp(span.start.min(source.len()), source.len());
    let span = span.start.min(source.len())..end;
    let mut group = Level::ERROR
        .primary_title(message)
        .element(Snippet::source(source).path(file).annotation(AnnotationKind::Primary.span(span)));
    if let Some(help) = help {
        group = group.element(Level::HELP.message(help));
    }
    Renderer::plain().render(&[group]).to_string()
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.excerpt)
    }
}

impl std::error::Error for ConfigError {}

/// The candidate nearest to a misspelt word, where one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(word, c), c))
        .filter(|(d, c)| *d <= 1 + c.len() / 4)
        .min()
        .map(|(_, c)| c)
}
