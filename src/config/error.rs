//! Errors of configuration files that point at the line.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::base::RunError;

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
        Self::with_level(Level::ERROR, file, source, span, message.into(), help)
    }

    /// A warning at a byte range of a file's text: the file is used all the same.
    pub fn warning(
        file: &str,
        source: &str,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Self {
        Self::with_level(Level::WARNING, file, source, span, message.into(), help)
    }

    fn with_level(
        level: Level<'static>,
        file: &str,
        source: &str,
        span: Range<usize>,
        message: String,
        help: Option<String>,
    ) -> Self {
        let start = span.start.min(source.len());
        let before = source.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let excerpt = render(level, file, source, span, &message, help.as_deref());
        Self { file: file.to_owned(), line, column, message, help, excerpt }
    }
}

fn render(level: Level<'_>, file: &str, source: &str, span: Range<usize>, message: &str, help: Option<&str>) -> String {
    let end = span.end.clamp(span.start.min(source.len()), source.len());
    let span = span.start.min(source.len())..end;
    let mut group = level
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
///
/// A word cut short is near to what it begins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let begins = |c: &str| word.len() >= 3 && c.starts_with(word);
    candidates
        .into_iter()
        .map(|c| (if begins(c) { 0 } else { strsim::damerau_levenshtein(word, c) }, c))
        .filter(|(d, c)| *d <= 1 + c.len() / 4 && *d < word.chars().count())
        .min()
        .map(|(_, c)| c)
}

/// Why a configuration cannot be used: exit status 2.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be read, or is not text.
    Run(RunError),
    /// The file says something it cannot mean; every place that does, in the file's order.
    Config(Vec<ConfigError>),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(error) => error.fmt(f),
            Self::Config(errors) => {
                let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join("\n\n"))
            }
        }
    }
}

impl std::error::Error for LoadError {}

impl From<LoadError> for RunError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Run(error) => error,
            config @ LoadError::Config(_) => Self::Config(config.to_string()),
        }
    }
}

/// Reads a configuration file as text; the error names the file and says why it cannot be one.
pub fn read_text(path: &Path, what: &str) -> Result<String, RunError> {
    let io = |source| RunError::Io { path: path.to_owned(), doing: "read", source };
    if path.is_dir() {
        return Err(RunError::Config(format!("cannot read {}: it is a directory, not a {what}", path.display())));
    }
    let bytes = std::fs::read(path).map_err(io)?;
    String::from_utf8(bytes).map_err(|e| {
        let offset = e.utf8_error().valid_up_to();
        RunError::Config(format!(
            "cannot read {}: a {what} is UTF-8 text, and the byte at offset {offset} is not",
            path.display()
        ))
    })
}
