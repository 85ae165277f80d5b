//! Reading configuration files: a TOML tree with spans, and errors that point at the line. All errors of a file at once.

mod error;
mod reader;

pub use error::{ConfigError, LoadError, nearest, read_text};
pub(crate) use reader::{Doc, Fields, Node, Text, integer, text, texts, word, wrong_type};

/// A closed vocabulary that configuration files use.
pub trait Word: Copy + 'static {
    /// What such a word is called in messages.
    const NAME: &'static str;
    /// Every word.
    fn all() -> &'static [Self];
    /// The word itself.
    fn text(self) -> &'static str;
}
