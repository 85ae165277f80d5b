//! Where results go, and what can be shown there.

use std::ffi::OsString;
use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, StdoutLock, Write};

use portwitness::base::{RunError, visible};
use portwitness::report::text::Style;

/// Columns where there is no terminal to ask.
const WIDTH: usize = 80;

/// Longest lines: beyond this the eye loses them.
const WIDEST: usize = 160;

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR, CLICOLOR=0 or TERM=dumb ask for none.
    #[default]
    Auto,
    /// Also into a pipe.
    Always,
    /// Never.
    Never,
}

/// What the environment says of the place of printing.
struct Place {
    terminal: bool,
    columns: Option<u16>,
    var: fn(&str) -> Option<OsString>,
}

/// The style for standard output.
pub(super) fn style(color: Color, verbose: bool) -> Style {
    let terminal = io::stdout().is_terminal() && obeys_escapes();
    let columns = terminal.then(terminal_size::terminal_size).flatten().map(|(w, _)| w.0);
    Place { terminal, columns, var: |name| std::env::var_os(name) }.style(color, verbose)
}

/// Whether standard output is a terminal that can be drawn on. A Windows console has no TERM.
pub(super) fn is_screen() -> bool {
    let able = std::env::var_os("TERM").map_or(cfg!(windows), |t| t != "dumb" && !t.is_empty());
    io::stdout().is_terminal() && able && obeys_escapes()
}

/// Whether a terminal obeys escape sequences. A Windows console has to be asked to, and old ones do not.
#[cfg(windows)]
fn obeys_escapes() -> bool {
    ratatui::crossterm::ansi_support::supports_ansi()
}

/// Any other terminal does.
#[cfg(not(windows))]
const fn obeys_escapes() -> bool {
    true
}

/// The style for a file: that of a pipe.
pub(super) fn style_of_file(verbose: bool) -> Style {
    Place { terminal: false, columns: None, var: |name| std::env::var_os(name) }.style(Color::Never, verbose)
}

/// Columns to wrap at.
pub(super) fn width() -> usize {
    style(Color::Never, false).width
}

impl Place {
    fn style(&self, color: Color, verbose: bool) -> Style {
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => self.terminal && !self.wants_none(),
        };
        let width = self.columns.map_or(WIDTH, usize::from).min(WIDEST);
        Style { width, color, verbose, ascii: !self.shows_unicode() }
    }

    /// no-color.org (set and not empty), CLICOLOR=0, TERM=dumb.
    fn wants_none(&self) -> bool {
        let is = |name, value: &str| (self.var)(name).is_some_and(|v| v == value);
        (self.var)("NO_COLOR").is_some_and(|v| !v.is_empty()) || is("CLICOLOR", "0") || is("TERM", "dumb")
    }

    /// The character set of the locale: the first of LC_ALL, LC_CTYPE and LANG that is set and not empty. Windows has none
    /// of them, and its terminals show Unicode.
    fn shows_unicode(&self) -> bool {
        let set = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| (self.var)(name)).find(|v| !v.is_empty());
        set.map_or(cfg!(windows), |v| {
            let v = v.to_string_lossy().to_ascii_lowercase();
            v.contains("utf-8") || v.contains("utf8")
        })
    }
}

/// Standard output, locked and buffered: the one way out for results.
pub(super) struct Out(BufWriter<StdoutLock<'static>>);

impl Out {
    pub(super) fn new() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    /// Runs the writing and flushes. A reader that has seen enough is no failure: the rest is left unwritten, quietly.
    pub(super) fn write(mut self, f: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), RunError> {
        match f(&mut self.0).and_then(|()| self.0.flush()) {
            Err(e) if e.kind() != ErrorKind::BrokenPipe => {
                Err(RunError::Io { path: "standard output".into(), doing: "write to", source: e })
            }
            _ => Ok(()),
        }
    }

    /// Writes a text that is fit to print.
    pub(super) fn text(self, text: &str) -> Result<(), RunError> {
        self.write(|w| w.write_all(text.as_bytes()))
    }

    /// Writes a text that quotes a file: what a terminal would obey in it becomes visible.
    pub(super) fn quoting(self, text: &str) -> Result<(), RunError> {
        self.write(|w| text.lines().try_for_each(|line| writeln!(w, "{}", visible(line))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(terminal: bool, var: fn(&str) -> Option<OsString>) -> Place {
        Place { terminal, columns: Some(300), var }
    }

    #[test]
    fn colour_is_for_terminals_that_did_not_ask_for_none() {
        let auto = |terminal, var| place(terminal, var).style(Color::Auto, false).color;
        assert!(auto(true, |_| None));
        assert!(!auto(false, |_| None));
        assert!(!auto(true, |n| (n == "NO_COLOR").then(|| "1".into())));
        assert!(auto(true, |n| (n == "NO_COLOR").then(|| "".into())));
        assert!(!auto(true, |n| (n == "CLICOLOR").then(|| "0".into())));
        assert!(!auto(true, |n| (n == "TERM").then(|| "dumb".into())));
        assert!(place(false, |n| (n == "NO_COLOR").then(|| "1".into())).style(Color::Always, false).color);
        assert!(!place(true, |_| None).style(Color::Never, false).color);
    }

    #[test]
    fn symbols_follow_the_locale_and_lines_stay_readable() {
        let ascii = |var| place(true, var).style(Color::Auto, false).ascii;
        assert!(!ascii(|n| (n == "LANG").then(|| "de_DE.UTF-8".into())));
        assert!(ascii(|n| Some(if n == "LC_ALL" { "C".into() } else { "en_US.UTF-8".into() })));
        assert!(!ascii(|n| Some(if n == "LC_ALL" { "".into() } else { "C.utf8".into() })));
        assert_eq!(place(true, |_| None).style(Color::Auto, false).width, WIDEST);
    }
}
