//! The endpoint mapper's story, one line per port.

use super::page::{Ink, Page, Row};
use super::plural;
use crate::report::{MapperEntry, MapperKind, MapperOutcome, Report};

/// Rows printed without `--verbose`.
const SHOWN: usize = 12;

/// Ports given out and what became of them, and what could not be read.
pub(super) fn story(page: &mut Page, report: &Report) {
    if report.endpoint_mapper.is_empty() {
        return;
    }
    page.heading("What endpoint mappers gave out");
    let shown = if page.verbose() { report.endpoint_mapper.len() } else { SHOWN };
    let rows: Vec<Row> = report.endpoint_mapper.iter().take(shown).map(row).collect();
    page.table(2, &rows);
    let more = report.endpoint_mapper.len().saturating_sub(shown);
    if more > 0 {
        page.para(2, Ink::Dim, &format!("and {} (--verbose)", plural(more as u64, "more answer")));
    }
}

fn row(e: &MapperEntry) -> Row {
    let (symbol, ink) = match e.outcome {
        MapperOutcome::Reached => ("✓", Ink::Good),
        MapperOutcome::Blocked => ("✗", Ink::Bad),
        MapperOutcome::Open | MapperOutcome::NotTried => ("?", Ink::Warn),
        MapperOutcome::Unread => ("·", Ink::Plain),
    };
    let cause = e.cause.map_or(String::new(), |c| format!(", {}", c.words()));
    let pipe = || e.pipe.as_ref().map(crate::base::WireText::terminal).unwrap_or_default();
    let what = match e.kind {
        MapperKind::Port => e.service.clone().unwrap_or_default(),
        MapperKind::Pipe => format!("pipe {}", pipe()),
        MapperKind::Encrypted => "answer encrypted".to_owned(),
        MapperKind::Refused => e.status.map_or("refused".to_owned(), |s| match s {
            0x16c9_a0d6 => "not registered".to_owned(),
            other => format!("refused (0x{other:08x})"),
        }),
        MapperKind::OverSmb => "asked over SMB".to_owned(),
        MapperKind::Activation => "DCOM activation".to_owned(),
    };
    let interface = e.interface_name.clone().or_else(|| e.interface.clone()).unwrap_or_default();
    let cells = vec![
        format!("{symbol} {}{cause}", e.outcome.words()),
        what,
        interface,
        format!("{} → {}", e.asked_by, e.host),
        format!("{}:{}", e.input, e.frame),
    ];
    Row { ink, cells, notes: Vec::new() }
}
