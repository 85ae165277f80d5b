//! A page of terminal text: the one door through which a report's strings reach a terminal.
//!
//! Everything handed in is made visible first, then wrapped, then coloured, so that colour never counts as width and
//! foreign text never counts as colour.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style as Sgr};
use unicode_width::UnicodeWidthStr as _;

use super::Style;
use super::wrap::{ascii, wrap};
use crate::base::visible;

/// What a piece of text means, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
    Warn,
}

impl Ink {
    fn sgr(self) -> Sgr {
        let colour = |c: AnsiColor| Sgr::new().fg_color(Some(c.into()));
        match self {
            Self::Plain => Sgr::new(),
            Self::Bold => Sgr::new().bold(),
            Self::Dim => Sgr::new().dimmed(),
            Self::Good => colour(AnsiColor::Green),
            Self::Bad => colour(AnsiColor::Red).bold(),
            Self::Warn => colour(AnsiColor::Yellow),
        }
    }
}

/// One row of a table: the first cell carries the ink; notes follow below it.
pub(super) struct Row {
    pub(super) ink: Ink,
    pub(super) cells: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// Text under construction.
pub(super) struct Page {
    style: Style,
    out: String,
}

/// Columns that labels of fields take.
const LABEL: usize = 10;

impl Page {
    pub(super) const fn new(style: Style) -> Self {
        Self { style, out: String::new() }
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    pub(super) const fn verbose(&self) -> bool {
        self.style.verbose
    }

    /// Text fit for this terminal: nothing it would obey, nothing it cannot show.
    fn clean(&self, text: &str) -> String {
        let text = visible(text);
        if self.style.ascii { ascii(&text) } else { text.into_owned() }
    }

    fn paint(&self, ink: Ink, text: &str) -> String {
        if self.style.color && ink != Ink::Plain && !text.is_empty() {
            let sgr = ink.sgr();
            format!("{sgr}{text}{sgr:#}")
        } else {
            text.to_owned()
        }
    }

    fn line(&mut self, line: &str) {
        // Trailing spaces come from empty last cells; they are invisible and spoil comparisons.
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    pub(super) fn blank(&mut self) {
        self.out.push('\n');
    }

    /// A section's title, after an empty line.
    pub(super) fn heading(&mut self, title: &str) {
        self.blank();
        self.para(0, Ink::Bold, title);
    }

    /// A wrapped paragraph.
    pub(super) fn para(&mut self, indent: usize, ink: Ink, text: &str) {
        self.hanging(indent, ("", Ink::Plain), 0, ink, text);
    }

    /// A wrapped paragraph behind a mark.
    pub(super) fn bullet(&mut self, indent: usize, mark: (&str, Ink), text: &str) {
        let hang = self.clean(mark.0).width() + 1;
        self.hanging(indent, mark, hang, Ink::Plain, text);
    }

    /// A label and its wrapped value; the label may be empty to continue the field above.
    pub(super) fn field(&mut self, indent: usize, label: &str, text: &str) {
        self.hanging(indent, (label, Ink::Dim), LABEL, Ink::Plain, text);
    }

    /// A label and a value to be copied: never broken, since a break inside it would be copied, too.
    pub(super) fn copyable(&mut self, indent: usize, label: &str, text: &str) {
        let lead = format!("{:indent$}{}", "", self.paint(Ink::Dim, &format!("{label:<LABEL$}")));
        let text = self.clean(text);
        self.line(&format!("{lead}{text}"));
    }

    fn hanging(&mut self, indent: usize, mark: (&str, Ink), hang: usize, ink: Ink, text: &str) {
        let mark = (self.clean(mark.0), mark.1);
        let room = self.style.width.saturating_sub(indent + hang);
        for (i, piece) in wrap(&self.clean(text), room).iter().enumerate() {
            let head = if i == 0 { mark.0.as_str() } else { "" };
            let pad = " ".repeat(hang.saturating_sub(head.width()));
            let line = format!("{:indent$}{}{pad}{}", "", self.paint(mark.1, head), self.paint(ink, piece));
            self.line(&line);
        }
    }

    /// Aligned rows. Where they do not fit side by side, the last column goes to a line of its own under the second.
    pub(super) fn table(&mut self, indent: usize, rows: &[Row]) {
        let rows: Vec<Row> = rows.iter().map(|r| self.clean_row(r)).collect();
        let columns = rows.iter().map(|r| r.cells.len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|c| rows.iter().filter_map(|r| r.cells.get(c)).map(|t| t.width()).max().unwrap_or(0))
            .collect();
        let total = |n: usize| indent + widths.iter().take(n).map(|w| w + 2).sum::<usize>().saturating_sub(2);
        let stacked = total(columns) > self.style.width;
        // On a narrow terminal the column under the second would leave no room for text.
        let under = (indent + widths.first().map_or(0, |w| w + 2)).min(self.style.width / 2);
        for row in &rows {
            let beside = if stacked { columns.saturating_sub(1) } else { columns };
            self.cells(indent, row, widths.get(..beside).unwrap_or_default());
            if let (true, Some(last)) = (stacked, row.cells.get(beside)) {
                self.para(under, Ink::Plain, last);
            }
            row.notes.iter().for_each(|note| self.para(under, Ink::Dim, note));
        }
    }

    fn clean_row(&self, row: &Row) -> Row {
        let clean = |texts: &[String]| texts.iter().map(|t| self.clean(t)).collect();
        Row { ink: row.ink, cells: clean(&row.cells), notes: clean(&row.notes) }
    }

    fn cells(&mut self, indent: usize, row: &Row, widths: &[usize]) {
        let plain: usize = indent + widths.iter().map(|w| w + 2).sum::<usize>().saturating_sub(2);
        if plain > self.style.width {
            // A very narrow terminal: cells follow each other like words.
            let text = row.cells.get(..widths.len()).unwrap_or_default().join("  ");
            return self.hanging(indent, ("", Ink::Plain), 0, row.ink, &text);
        }
        let mut line = " ".repeat(indent);
        for (i, (cell, width)) in row.cells.iter().zip(widths).enumerate() {
            let ink = if i == 0 { row.ink } else { Ink::Plain };
            let pad = width.saturating_sub(cell.width()) + 2;
            let _infallible = write!(line, "{}{:pad$}", self.paint(ink, cell), "");
        }
        self.line(&line);
    }
}
