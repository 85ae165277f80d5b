//! An event on one line, for people.

use super::event::{Event, RequirementEvent};
use super::state::State;
use crate::base::{Known, Time, visible};
use crate::report::text::Style;

/// Renders an event as one line without its end. The report itself has no line.
pub fn plain(event: &Event, style: &Style) -> Option<String> {
    let (at, ink, rest) = match event {
        Event::Requirement(r) => (r.at, ink(r.state), requirement(r)),
        Event::Unexpected(u) => {
            let ink = if u.fails { BAD } else { WARN };
            let rest = format!("unexpected ({}): {} to {} {}, {}", u.kind.words(), u.from, u.to, u.service, u.attempt);
            (u.at, ink, rest)
        }
        Event::Explained { at, flow } => (*at, GOOD, format!("explained by what came later: flow {}", flow.0)),
        Event::Problem { at, kind, detail, count } => {
            let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
            let times = if *count > 1 { format!(", {count} times") } else { String::new() };
            (*at, WARN, format!("problem: {}{detail}{times}", kind.words()))
        }
        Event::Loss { at, kernel, interface } => (*at, WARN, loss(*kernel, *interface)),
        Event::Further { at, unexpected } => {
            (*at, WARN, format!("and {unexpected} more unexpected flows, see the report"))
        }
        Event::NotShown { events } => (None, WARN, format!("{events} events were not shown: nobody read the output")),
        Event::End { at, why, requirements: n } => {
            let rest = format!(
                "end: {}; {} satisfied, {} blocked, {} open, {} out of sight",
                why.words(),
                n.satisfied,
                n.blocked,
                n.waiting,
                n.out_of_sight
            );
            (*at, PLAIN, rest)
        }
        Event::Report { .. } => return None,
    };
    let line = visible(&format!("{} {} {rest}", time(at), symbol(ink, style.ascii))).into_owned();
    Some(if style.color && ink.style != anstyle::Style::new() {
        format!("{}{line}{}", ink.style.render(), ink.style.render_reset())
    } else {
        line
    })
}

/// `image.ssh: waiting -> satisfied, mnt01 (10.77.0.12) to lin01 (10.77.1.22) tcp/22 (required)`, and why it is blocked.
fn requirement(r: &RequirementEvent) -> String {
    let was = r.was.map_or(String::new(), |was| format!("{}, now ", was.words()));
    let from = if r.from.is_empty() { "nobody here".to_owned() } else { r.from.join(" or ") };
    let head = format!("{} {was}{}: {from} to {} {} ({})", r.rule, r.state.words(), r.to, r.service, r.need);
    let reason = r.reason.as_deref().filter(|_| matches!(r.state, State::Blocked | State::Inconclusive));
    reason.map_or(head.clone(), |reason| format!("{head}. {reason}"))
}

fn loss(kernel: Known<u64>, interface: Known<u64>) -> String {
    let told = |n: Known<u64>| n.get().map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    format!("packets dropped while capturing: by the system {}, by the interface {}", told(kernel), told(interface))
}

/// `21:00:03.250`, of packets; no packet yet: dashes of the same width.
fn time(at: Option<Time>) -> String {
    let short = at.map(Time::short).unwrap_or_default();
    short.split_once(' ').map_or_else(|| "--:--:--.---".to_owned(), |(_, clock)| clock.to_owned())
}

/// Colour and symbol: never colour alone.
#[derive(Clone, Copy)]
struct Ink {
    unicode: &'static str,
    ascii: &'static str,
    style: anstyle::Style,
}

const fn in_color(unicode: &'static str, ascii: &'static str, color: anstyle::AnsiColor) -> Ink {
    Ink { unicode, ascii, style: anstyle::Style::new().fg_color(Some(anstyle::Color::Ansi(color))) }
}

const GOOD: Ink = in_color("✓", "ok  ", anstyle::AnsiColor::Green);
const BAD: Ink = in_color("✗", "FAIL", anstyle::AnsiColor::Red);
const WARN: Ink = in_color("!", "!   ", anstyle::AnsiColor::Yellow);
const WAIT: Ink = in_color("…", "wait", anstyle::AnsiColor::Yellow);
const PLAIN: Ink = Ink { unicode: "·", ascii: "    ", style: anstyle::Style::new() };

const fn ink(state: State) -> Ink {
    match state {
        State::Satisfied => GOOD,
        State::Blocked => BAD,
        State::Waiting => WAIT,
        State::Inconclusive => WARN,
        State::OutOfSight | State::NotApplicable => PLAIN,
    }
}

const fn symbol(ink: Ink, ascii: bool) -> &'static str {
    if ascii { ink.ascii } else { ink.unicode }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Need;
    use crate::watch::Ended;

    fn event(state: State, was: Option<State>) -> Event {
        Event::Requirement(RequirementEvent {
            at: Time::parse("2026-11-20T21:00:03.25Z").ok(),
            state,
            was,
            rule: "image.ssh".to_owned(),
            from: vec!["mnt01 (10.77.0.12)".to_owned()],
            to: "lin01\u{1b} (10.77.1.22)".to_owned(),
            service: "tcp/22".to_owned(),
            need: Need::Required,
            outcome: None,
            cause: None,
            reason: Some("3 SYNs met silence.".to_owned()),
            symptom: None,
            next_step: None,
            flows: Vec::new(),
        })
    }

    #[test]
    fn a_line_has_time_symbol_change_and_ends_and_nothing_a_terminal_obeys() {
        let style = Style::default();
        let first = plain(&event(State::Waiting, None), &style).unwrap();
        assert!(first.starts_with("21:00:03.250 … image.ssh waiting: mnt01 (10.77.0.12) to lin01"), "{first}");
        assert!(!first.contains('\u{1b}') && first.ends_with("tcp/22 (required)"), "{first}");
        let ascii = Style { ascii: true, ..style };
        let then = plain(&event(State::Blocked, Some(State::Waiting)), &ascii).unwrap();
        assert!(then.starts_with("21:00:03.250 FAIL image.ssh waiting, now blocked: "), "{then}");
        assert!(then.ends_with("tcp/22 (required). 3 SYNs met silence."), "{then}");
        let colour = plain(&event(State::Satisfied, None), &Style { color: true, ..style }).unwrap();
        assert!(colour.starts_with("\u{1b}[32m21:00") && colour.ends_with("\u{1b}[0m"), "{colour}");
        let end = Event::End { at: None, why: Ended::Signal, requirements: super::super::Counts::default() };
        assert!(plain(&end, &style).unwrap().starts_with("--:--:--.--- · end: stopped; 0 satisfied"));
    }
}
