//! What the screen shows, and what keys do to it. Pure: a terminal is the caller's business, so a test can look at it, too.
//!
//! Usable at 80 columns and 24 lines; every colour has a symbol beside it.

use std::sync::Arc;
use std::time::Instant;

use portwitness::base::visible;
use portwitness::report::{Class, EndRecord, FlowRecord, Report, Requirement};
use portwitness::watch::{Counts, State};
use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Clear, Paragraph, Row, Table, TableState, Wrap};

/// What was judged last, and how fast it comes.
pub(super) struct View {
    pub(super) report: Arc<Report>,
    pub(super) name: String,
    pub(super) began: Instant,
    /// Packets and bytes in a second.
    pub(super) rate: (u64, u64),
}

/// What can be shown where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Can {
    pub(super) color: bool,
    pub(super) ascii: bool,
}

/// Which list the keys move in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Requirements,
    Flows,
}

/// What a key asks of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    Quit,
}

/// The screen's own state.
pub(super) struct Screen {
    can: Can,
    view: Option<Arc<View>>,
    list: List,
    selected: usize,
    filter: String,
    typing: bool,
    paused: bool,
    open: bool,
    /// Both lists as filtered, made anew when the view or the filter changes.
    items: Option<(Vec<Item>, Vec<Item>)>,
}

/// Flows listed: the newest that pass the filter.
const LISTED: usize = 1000;

/// A row of a list: what it looks like, what filters see, and what opening it shows.
struct Item {
    ink: Ink,
    cells: Vec<String>,
    details: Vec<String>,
}

#[derive(Clone, Copy)]
struct Ink {
    unicode: &'static str,
    ascii: &'static str,
    color: Color,
}

const GOOD: Ink = Ink { unicode: "✓", ascii: "+", color: Color::Green };
const BAD: Ink = Ink { unicode: "✗", ascii: "X", color: Color::Red };
const WARN: Ink = Ink { unicode: "!", ascii: "!", color: Color::Yellow };
const WAIT: Ink = Ink { unicode: "…", ascii: "~", color: Color::Yellow };
const PLAIN: Ink = Ink { unicode: "·", ascii: ".", color: Color::Reset };

impl Screen {
    pub(super) fn new(can: Can) -> Self {
        let (list, filter) = (List::Requirements, String::new());
        Self { can, view: None, list, selected: 0, filter, typing: false, paused: false, open: false, items: None }
    }

    /// Shows what was judged last, unless it is paused.
    pub(super) fn show(&mut self, view: Arc<View>) {
        if !self.paused || self.view.is_none() {
            (self.view, self.items) = (Some(view), None);
        }
    }

    /// Does what a key asks for.
    pub(super) fn key(&mut self, key: KeyEvent) -> Wanted {
        if key.kind == KeyEventKind::Release {
            return Wanted::Nothing;
        }
        self.items = None;
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Wanted::Quit,
            KeyCode::Enter if self.typing => self.typing = false,
            KeyCode::Esc if self.typing => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace if self.typing => drop(self.filter.pop()),
            KeyCode::Char(c) if self.typing => self.filter.push(c),
            KeyCode::Char('q') => return Wanted::Quit,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('/') => (self.typing, self.open) = (true, false),
            KeyCode::Enter => self.open = !self.open,
            KeyCode::Esc if self.open => self.open = false,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Tab | KeyCode::BackTab => {
                self.list = if self.list == List::Flows { List::Requirements } else { List::Flows };
                (self.selected, self.open) = (0, false);
            }
            KeyCode::Down | KeyCode::Char('j') => self.selected = self.selected.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::PageDown => self.selected = self.selected.saturating_add(10),
            KeyCode::PageUp => self.selected = self.selected.saturating_sub(10),
            _ => {}
        }
        Wanted::Nothing
    }

    /// Draws everything.
    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        let Some(view) = self.view.clone() else {
            let text = "portwitness: waiting for the first packet   (q or Ctrl-C ends it)";
            return frame.render_widget(Paragraph::new(text), frame.area());
        };
        let made = self.items.take().unwrap_or_else(|| {
            let flows = self.matching(flows(&view.report)).take(LISTED).collect();
            (self.matching(requirements(&view.report)).collect(), flows)
        });
        let (requirements, flows) = &made;
        let area = frame.area();
        let wanted = u16::try_from(requirements.len()).unwrap_or(u16::MAX).saturating_add(1);
        let top = wanted.min(area.height.saturating_sub(4) * 3 / 5);
        let [head, above, below, foot] = Layout::vertical([
            Constraint::Length(3),
            Constraint::Length(top),
            Constraint::Min(1),
            Constraint::Length(1),
        ])
        .areas(area);
        self.head(frame, head, &view);
        let len = if self.list == List::Flows { flows.len() } else { requirements.len() };
        self.selected = self.selected.min(len.saturating_sub(1));
        self.table(frame, above, List::Requirements, requirements);
        self.table(frame, below, List::Flows, flows);
        self.foot(frame, foot);
        if self.open {
            let items = if self.list == List::Flows { flows } else { requirements };
            self.details(frame, area, items.get(self.selected));
        }
        self.items = Some(made);
    }

    fn matching<'i>(&self, items: impl Iterator<Item = Item> + 'i) -> impl Iterator<Item = Item> + 'i {
        let wanted = self.filter.to_lowercase();
        items.filter(move |i| wanted.is_empty() || i.cells.iter().any(|c| c.to_lowercase().contains(&wanted)))
    }

    fn style(&self, ink: Ink) -> Style {
        if self.can.color { Style::new().fg(ink.color) } else { Style::new() }
    }

    fn symbol(&self, ink: Ink) -> &'static str {
        if self.can.ascii { ink.ascii } else { ink.unicode }
    }

    fn head(&self, frame: &mut Frame<'_>, area: Rect, view: &View) {
        let secs = view.began.elapsed().as_secs();
        let (packets, bytes) = view.rate;
        let capture = view.report.captures.first();
        let (seen, drops) = capture.map_or((0, "unknown".to_owned()), |c| (c.packets, drops(c)));
        let name = visible(&view.name);
        let first = format!(
            "{name}  {:02}:{:02}:{:02}  {seen} packets, {packets}/s, {}/s  drops {drops}{}",
            secs / 3600,
            secs / 60 % 60,
            secs % 60,
            size(bytes),
            if self.paused { "  PAUSED" } else { "" }
        );
        let n = Counts::of(&view.report.requirements);
        let odd = view.report.classes.unexpected + view.report.classes.unexpected_warning;
        let counts = [
            (GOOD, n.satisfied, "satisfied"),
            (BAD, n.blocked, "blocked"),
            (WAIT, n.waiting, "open"),
            (PLAIN, n.out_of_sight, "out of sight"),
            (if view.report.classes.unexpected > 0 { BAD } else { WARN }, odd, "unexpected flows"),
        ];
        let counts: Vec<_> = counts
            .iter()
            .map(|(ink, n, word)| {
                let style = if *n > 0 { self.style(*ink) } else { Style::new() };
                ratatui::text::Span::styled(format!("{} {n} {word}   ", self.symbol(*ink)), style)
            })
            .collect();
        let bold = Style::new().add_modifier(Modifier::BOLD);
        frame.render_widget(Paragraph::new(vec![Line::styled(first, bold), Line::from(counts)]), area);
    }

    fn table(&self, frame: &mut Frame<'_>, area: Rect, list: List, items: &[Item]) {
        let rows = items.iter().map(|item| {
            let cells = item.cells.iter().map(|c| Cell::new(c.clone()));
            Row::new(std::iter::once(Cell::new(self.symbol(item.ink))).chain(cells)).style(self.style(item.ink))
        });
        let (titles, widths) = match list {
            List::Requirements => (
                ["", "Requirement", "Service", "Between", "State"],
                [
                    Constraint::Length(1),
                    Constraint::Length(20),
                    Constraint::Length(14),
                    Constraint::Min(16),
                    Constraint::Length(12),
                ],
            ),
            List::Flows => (
                ["", "Flow began", "Service", "Between", "What"],
                [
                    Constraint::Length(1),
                    Constraint::Length(12),
                    Constraint::Length(10),
                    Constraint::Min(20),
                    Constraint::Length(24),
                ],
            ),
        };
        let active = self.list == list;
        let head = Style::new().add_modifier(if active {
            Modifier::BOLD | Modifier::UNDERLINED
        } else {
            Modifier::UNDERLINED
        });
        let table = Table::new(rows, widths)
            .header(Row::new(titles).style(head))
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        let mut state = TableState::new();
        if active && !items.is_empty() {
            state.select(Some(self.selected));
        }
        frame.render_stateful_widget(table, area, &mut state);
    }

    fn foot(&self, frame: &mut Frame<'_>, area: Rect) {
        let text = match (self.typing, self.filter.as_str()) {
            (true, filter) => format!("filter: {}_   (Enter keeps it, Esc drops it)", visible(filter)),
            (false, "") => "q quit and report  p pause  / filter  Enter open  Tab other list  Up Down move".to_owned(),
            (false, filter) => format!("filter: {}   (Esc drops it)   q quit and report", visible(filter)),
        };
        frame.render_widget(Paragraph::new(text).style(Style::new().add_modifier(Modifier::DIM)), area);
    }

    fn details(&self, frame: &mut Frame<'_>, area: Rect, item: Option<&Item>) {
        let Some(item) = item else { return };
        let [_, middle, _] =
            Layout::vertical([Constraint::Length(3), Constraint::Min(1), Constraint::Length(1)]).areas(area);
        let mut lines = vec![Line::styled(
            format!("{} {}", self.symbol(item.ink), item.cells.join("  ")),
            self.style(item.ink).add_modifier(Modifier::BOLD),
        )];
        lines.extend(item.details.iter().map(|d| Line::raw(d.clone())));
        lines.push(Line::raw(""));
        lines.push(Line::raw("Enter or Esc closes this"));
        frame.render_widget(Clear, middle);
        frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), middle);
    }
}

fn requirements(report: &Report) -> impl Iterator<Item = Item> + '_ {
    let applies = |r: &&Requirement| State::of(r) != State::NotApplicable;
    report.requirements.iter().filter(applies).map(|r| requirement(report, r))
}

fn requirement(report: &Report, r: &Requirement) -> Item {
    let state = State::of(r);
    let ink = match state {
        State::Satisfied => GOOD,
        State::Blocked => BAD,
        State::Waiting => WAIT,
        State::Inconclusive => WARN,
        State::OutOfSight | State::NotApplicable => PLAIN,
    };
    let from: Vec<&str> = r.from.iter().map(|f| label(f)).collect();
    let to: Vec<&str> = r.to.split(", ").map(label).collect();
    let between = format!("{} > {}", from.join(" or "), to.join(" or "));
    let mut details = vec![format!("{} to {}, {}", r.from.join(" or "), r.to, r.need)];
    // While it waits, its reason would claim absence.
    if state != State::Waiting {
        details.push(r.reason.clone());
    }
    if state == State::Blocked {
        details.extend(r.symptom.iter().map(|s| format!("shown in the product: {s}")));
        details.extend(r.next_step.iter().map(|s| format!("next: {s}")));
    }
    let own = report.flows.iter().filter(|f| r.flows.contains(&f.id)).take(8);
    details.extend(own.map(|f| format!("flow {}: {} > {}, {}", f.id.0, end(&f.orig), end(&f.resp), f.attempt_reason)));
    details.push(format!("Wireshark: {}", r.display_filter));
    let cells = vec![r.rule.clone(), r.service.clone(), between, state.words().to_owned()];
    item(ink, cells, details)
}

/// The newest first.
fn flows(report: &Report) -> impl Iterator<Item = Item> + '_ {
    report.flows.iter().rev().map(|f| flow(f))
}

fn flow(f: &FlowRecord) -> Item {
    let ink = match (f.class, f.unexpected) {
        (Some(Class::Unexpected), Some(kind)) if kind.fails() => BAD,
        (Some(Class::Unexpected | Class::Ambiguous), _) => WARN,
        (Some(Class::Expected), _) => GOOD,
        _ => PLAIN,
    };
    let what = match (f.class, f.unexpected) {
        (_, Some(kind)) => format!("{}, {}", kind.words(), f.attempt),
        (Some(class), None) => format!("{}, {}", class.words(), f.attempt),
        (None, None) => f.attempt.to_owned(),
    };
    let short = f.first.short();
    let clock = short.split_once(' ').map_or(short.as_str(), |(_, clock)| clock).to_owned();
    let name = |e: &EndRecord| e.host.clone().unwrap_or_else(|| e.addr.to_string());
    let between = format!("{} > {}", name(&f.orig), name(&f.resp));
    let details = vec![
        format!("{} > {}", end(&f.orig), end(&f.resp)),
        f.reason.as_deref().unwrap_or_default().to_owned(),
        format!("attempt: {}; state {}", f.attempt_reason, f.conn_state),
        format!(
            "packets {} > and {} <, bytes {} > and {} <",
            f.orig_packets, f.resp_packets, f.orig_bytes, f.resp_bytes
        ),
        format!("speaks: {}", f.app.summary),
        format!("flow {}, first in frame {}", f.id.0, f.first_frame),
        format!("Wireshark: {}", f.display_filter),
    ];
    item(ink, vec![clock, format!("{}/{}", f.proto, f.resp.port), between, what], details)
}

/// What came from the wire or a file must not be obeyed by the terminal.
fn item(ink: Ink, cells: Vec<String>, details: Vec<String>) -> Item {
    let shown = |all: Vec<String>| all.into_iter().map(|t| visible(&t).into_owned()).collect();
    Item { ink, cells: shown(cells), details: shown(details) }
}

fn end(e: &EndRecord) -> String {
    format!("{}:{}", e.named(), e.port)
}

/// `mnt01 (10.77.0.12)` by its label alone.
fn label(end: &str) -> &str {
    end.split(" (").next().unwrap_or(end)
}

fn drops(c: &portwitness::report::Capture) -> String {
    let known = [c.loss.kernel.get(), c.loss.interface.get()];
    match known.into_iter().flatten().reduce(|a, b| a + b) {
        Some(n) => n.to_string(),
        None => "unknown".to_owned(),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}
