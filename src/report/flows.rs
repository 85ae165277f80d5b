//! Flows as an aligned table, one line each: a line is never broken, so that it can be filtered and cut by other tools.

use unicode_width::UnicodeWidthStr as _;

use super::FlowRecord;
use super::text::{Style, ascii, size};
use crate::base::visible;

/// Column titles. Times are UTC.
const HEAD: [&str; 8] = [
    "TIME (UTC)",
    "PROTO",
    "ORIGINATOR > RESPONDER",
    "DIRECTION",
    "STATE",
    "ATTEMPT",
    "APP",
    "PACKETS/BYTES OUT, BACK",
];

/// Renders flows. An empty list is an empty table with its titles.
pub fn render(flows: &[FlowRecord], style: &Style) -> String {
    let mut rows: Vec<Vec<String>> = vec![HEAD.iter().map(|h| (*h).to_owned()).collect()];
    if style.verbose {
        rows.iter_mut().for_each(|r| r.push("ID".to_owned()));
    }
    rows.extend(flows.iter().map(|f| cells(f, style)));
    let columns = rows.first().map_or(0, Vec::len);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|t| t.width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width()) + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn cells(f: &FlowRecord, style: &Style) -> Vec<String> {
    let arrow = if style.ascii { "->" } else { "→" };
    let (orig, resp) = (f.orig.socket(), f.resp.socket());
    let traffic = format!("{}/{}, {}/{}", f.orig_packets, size(f.orig_bytes), f.resp_packets, size(f.resp_bytes));
    let app = if f.app.summary.is_empty() { "-" } else { f.app.summary.as_str() };
    let mut cells = vec![
        f.first.short(),
        f.proto.to_string(),
        format!("{orig} {arrow} {resp}"),
        f.direction.word().to_owned(),
        if f.conn_state.is_empty() { "-" } else { f.conn_state }.to_owned(),
        f.after.as_ref().map_or_else(|| f.attempt.to_owned(), |a| format!("{}, {}", f.attempt, a.outcome.name())),
        app.to_owned(),
        traffic,
    ];
    if style.verbose {
        cells.push(f.id.0.to_string());
    }
    for cell in &mut cells {
        let shown = visible(cell);
        *cell = if style.ascii { ascii(&shown) } else { shown.into_owned() };
    }
    cells
}
