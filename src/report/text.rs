//! The report for a terminal, ordered as somebody at night needs it: the answer, why, what failed and what to do about it,
//! then everything it rests on. Pure: where it is printed is the caller's business and comes in as a [`Style`].

mod captures;
pub mod diff;
mod mapper;
mod moment;
mod page;
mod requirements;
#[cfg(test)]
mod tests;
mod traffic;
mod wrap;

use self::moment::Clock;
use self::page::{Ink, Page};
use super::{Report, Verdict};
use crate::base::{shell_word, visible};

pub(super) use self::moment::first_last_utc;
pub(crate) use self::moment::size;
pub(super) use self::wrap::ascii;

/// What the place of printing can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns.
    pub width: usize,
    /// Whether to use colour.
    pub color: bool,
    /// Whether to print all flows, the evidence of what was satisfied, and the details of companions.
    pub verbose: bool,
    /// Whether only ASCII can be shown.
    pub ascii: bool,
}

impl Default for Style {
    /// 80 columns, no colour: what a pipe gets.
    fn default() -> Self {
        Self { width: 80, color: false, verbose: false, ascii: false }
    }
}

/// Renders a report.
pub fn render(report: &Report, style: &Style) -> String {
    let mut page = Page::new(*style);
    let clock = Clock::new(report.site.as_ref().and_then(|s| s.timezone.as_deref()));
    headline(&mut page, report, &clock);
    why(&mut page, report);
    if report.site.is_none() {
        inferred_roles(&mut page, report);
        to_a_site(&mut page, report);
    }
    let blocks = requirements::Blocks::new(report, &clock);
    blocks.failing(&mut page);
    requirements::disagreements(&mut page, report, &clock);
    requirements::table(&mut page, report);
    blocks.harmless(&mut page);
    blocks.open(&mut page);
    if style.verbose {
        blocks.satisfied(&mut page);
    }
    mapper::story(&mut page, report);
    traffic::unexpected(&mut page, report, &clock);
    traffic::ambiguous(&mut page, report, &clock);
    traffic::related(&mut page, report);
    warnings(&mut page, report);
    exceptions(&mut page, report, &clock);
    coverage(&mut page, report);
    captures::captures(&mut page, report, &clock);
    captures::sight(&mut page, report);
    captures::clocks(&mut page, report);
    traffic::all(&mut page, report, &clock);
    limits(&mut page, report);
    made_by(&mut page, report);
    page.finish()
}

fn headline(page: &mut Page, report: &Report, clock: &Clock) {
    let ink = match report.verdict {
        Verdict::Pass => Ink::Good,
        Verdict::Fail => Ink::Bad,
        Verdict::Inconclusive => Ink::Warn,
    };
    page.para(0, ink, &report.headline);
    if let (Some(first), Some(last)) = (report.scope.first, report.scope.last) {
        page.para(0, Ink::Dim, &format!("captured {}", clock.span(first, last)));
    }
}

fn why(page: &mut Page, report: &Report) {
    if report.reasons.is_empty() {
        return;
    }
    page.heading("Why");
    report.reasons.iter().for_each(|r| page.bullet(2, ("•", Ink::Plain), r));
}

fn inferred_roles(page: &mut Page, report: &Report) {
    page.heading("Roles worked out from traffic (no site was given)");
    if report.inferred_roles.is_empty() {
        page.para(2, Ink::Plain, NO_ROLES);
    }
    let rows = report.inferred_roles.iter().map(|r| page::Row {
        ink: Ink::Plain,
        cells: vec![r.address.clone(), r.role.to_string(), r.because.clone()],
        notes: Vec::new(),
    });
    page.table(2, &rows.collect::<Vec<_>>());
}

/// What no stranger's traffic has: said where no role was suggested, so that nobody waits for one.
const NO_ROLES: &str = "None. No host was seen at what only a restore does: asking for the data mover (tcp/6162), for the \
installer (tcp/6160), for the runtime (tcp/1035-1075 with tcp/445), or for iSCSI together with one of these. Say in a site \
which address has which role; `portwitness flows` lists what the capture holds.";

/// Captures named in a command before it is left to the reader.
const NAMED: usize = 6;

/// The commands that lead from here to a verdict, ready to be copied.
fn to_a_site(page: &mut Page, report: &Report) {
    page.heading("Next: a site, for a verdict");
    // A name that cannot be shown as it is cannot be copied either.
    let name = |c: &super::Capture| match visible(&c.path) == c.path {
        true => shell_word(&c.path).into_owned(),
        false => "CAPTURE".to_owned(),
    };
    let mut names: Vec<String> = report.captures.iter().take(NAMED).map(name).collect();
    if report.captures.len() > NAMED {
        names.push("...".to_owned());
    }
    let names = names.join(" ");
    page.copyable(2, "draft", &format!("portwitness site init {names} -o site.toml"));
    page.field(2, "check", "each role in site.toml, and where the captures were taken (observed_from)");
    page.copyable(2, "judge", &format!("portwitness verify --site site.toml {names}"));
}

fn warnings(page: &mut Page, report: &Report) {
    if report.warnings.is_empty() {
        return;
    }
    page.heading("Warnings");
    for warning in &report.warnings {
        page.bullet(2, ("!", Ink::Warn), &warning.text);
        if page.verbose() && !warning.flows.is_empty() {
            let ids: Vec<&str> = warning.flows.iter().map(|f| &*f.0).collect();
            page.para(4, Ink::Dim, &format!("flows {}", ids.join(" ")));
        }
    }
}

fn exceptions(page: &mut Page, report: &Report, clock: &Clock) {
    if report.exceptions.is_empty() {
        return;
    }
    page.heading("Exceptions of the site");
    for e in &report.exceptions {
        let mut text = format!("{} ({}, line {}): {}", e.what, e.kind, e.line, e.reason);
        if let Some(by) = &e.approved_by {
            text.push_str(&format!("; approved by {by}"));
        }
        if let Some(until) = e.expires {
            text.push_str(&format!("; until {}", clock.moment(until)));
        }
        if e.flows > 0 {
            text.push_str(&format!("; {}", plural(e.flows, "flow")));
        }
        let (mark, ink) = match e.state {
            super::ExceptionState::InForce => ("•", Ink::Plain),
            super::ExceptionState::Unused => ("–", Ink::Dim),
            super::ExceptionState::Expired => ("!", Ink::Warn),
        };
        page.bullet(2, (mark, ink), &format!("{}: {text}", e.state.words()));
    }
}

fn coverage(page: &mut Page, report: &Report) {
    page.heading("Coverage and exposure");
    let c = &report.coverage;
    let mut text = format!("{} of {} required rows seen working", c.exercised, c.required);
    if !c.not_exercised.is_empty() {
        text.push_str(&format!("; not seen working: {}", c.not_exercised.join(", ")));
    }
    page.field(2, "coverage", &text);
    let e = &report.exposure;
    let kinds =
        [("needed", e.needed), ("fallback", e.fallback), ("permitted", e.permitted), ("companion", e.companion)];
    let open = kinds.iter().filter(|(_, o)| o.opened > 0);
    let parts: Vec<String> = open.map(|(name, o)| format!("{name} {} of {}", o.used, o.opened)).collect();
    if !parts.is_empty() {
        page.field(2, "exposure", &format!("openings used: {} (unused is not unneeded)", parts.join(", ")));
    }
}

fn limits(page: &mut Page, report: &Report) {
    if report.limits.is_empty() {
        return;
    }
    page.heading("What this does not say");
    report.limits.iter().for_each(|l| page.bullet(2, ("–", Ink::Dim), l));
}

fn made_by(page: &mut Page, report: &Report) {
    page.blank();
    let mut parts = vec![format!("{} {}", report.tool.name, report.tool.version)];
    let main = report.matrix.main();
    let companions = report.matrix.companions.iter().filter(|_| page.verbose()).map(|s| ("companion", s));
    for (what, set) in std::iter::once(("matrix", &main)).chain(companions) {
        let build = set.build.as_ref().map(|b| format!("build {b}"));
        let page_of = set.date.as_ref().map(|d| format!("page of {d}"));
        let digest = page.verbose().then(|| format!("sha256 {}", set.digest));
        let about: Vec<String> = [build, page_of, digest].into_iter().flatten().collect();
        let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
        parts.push(format!("{what} {}{about}", set.id));
    }
    if let Some(site) = &report.site {
        let digest = if page.verbose() { format!(" (sha256 {})", site.digest) } else { String::new() };
        parts.push(format!("site {}{digest}", site.path));
    }
    if let Some(at) = report.tool.run_at {
        parts.push(format!("run at {at}"));
    }
    page.para(0, Ink::Dim, &parts.join("; "));
    if !page.verbose() {
        page.para(
            0,
            Ink::Dim,
            "--verbose adds every flow and the evidence of what was satisfied; --format json has all of it",
        );
    }
}

/// `1 flow`, `2 flows`
pub(super) fn plural(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
