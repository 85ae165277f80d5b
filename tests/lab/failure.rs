//! The one error of the lab: a text that says what was tried and what came back.
//!
//! A lab failure is read by a person, often in a CI log where the namespaces are long gone, so it
//! must carry the command, its standard error and the tails of the server logs by itself.

use std::fmt;

/// What went wrong, in words. Its `Debug` is plain, because the test runner prints that one.
pub(crate) struct Failure(String);

/// Result of everything in the lab.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The same failure with more text after it, such as logs.
    pub(crate) fn and(self, more: &str) -> Self {
        if more.is_empty() {
            return self;
        }
        Self(format!("{}\n{more}", self.0))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was being done when any error came up.
pub(crate) trait Context<T> {
    fn context(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|e| Failure(format!("{what}: {e}")))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.ok_or_else(|| Failure(what.to_string()))
    }
}
