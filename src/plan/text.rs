//! A plan for people: which places, what to run there, what it shows, and how to judge it.

use std::fmt::Write;

use super::{Command, PlacePlan, Plan, Shown, Tool};
use crate::matrix::Need;

/// Renders a plan for a terminal of so many columns. Commands are never broken: they are to be copied.
pub fn render(plan: &Plan, width: usize) -> String {
    let mut page = Page { out: String::new(), width };
    let chosen: Vec<&PlacePlan> = plan.places.iter().filter(|p| p.chosen).collect();
    page.para(0, &headline(plan, chosen.len()));
    page.para(0, "Start before the restore, stop 30 seconds after it ended or failed.");
    for place in &chosen {
        page.place(place);
    }
    page.notes(&chosen);
    page.others(plan);
    if !plan.only_at_responder.is_empty() {
        page.line("");
        page.para(
            0,
            &format!(
                "Seen at the responder only: {}. If a firewall in between drops those, the attempt itself shows only where it starts; capture there, too, if that is suspected.",
                plan.only_at_responder.join(", ")
            ),
        );
    }
    page.line("");
    page.line("Then");
    page.line(&format!("  {}", plan.verify));
    page.out
}

fn headline(plan: &Plan, places: usize) -> String {
    let n = if places == 1 { "1 place".to_owned() } else { format!("{places} places") };
    let rows = if plan.shown == plan.required {
        format!("all {} required rows", plan.required)
    } else {
        format!("{} of {} required rows", plan.shown, plan.required)
    };
    let fewest = if plan.fewest { "; with fewer places some would be out of sight" } else { "" };
    format!("Capture at {n} to see {rows}{fewest}.")
}

struct Page {
    out: String,
    width: usize,
}

impl Page {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
    }

    /// A paragraph, its further lines as deep as the first.
    fn para(&mut self, indent: usize, text: &str) {
        self.field(indent, "", text);
    }

    /// A label and a paragraph beside it.
    fn field(&mut self, indent: usize, label: &str, text: &str) {
        let hang = if label.is_empty() { 0 } else { 9 };
        let room = self.width.saturating_sub(indent + hang).max(20);
        let mut line = String::new();
        let mut head = format!("{label:<hang$}");
        for word in text.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
                self.line(&format!("{:indent$}{head}{line}", ""));
                head = " ".repeat(hang);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(&format!("{:indent$}{head}{line}", ""));
    }

    fn place(&mut self, place: &PlacePlan) {
        self.line("");
        let addresses =
            if place.addresses.is_empty() { String::new() } else { format!(" {}", place.addresses.join(" ")) };
        self.para(0, &format!("{}{addresses}: {} ({})", place.place, place.os, place.os_because));
        self.field(2, "shows", &shown(&place.shows));
        let frames = if place.snaplen == 0 { "whole".to_owned() } else { format!("first {} bytes", place.snaplen) };
        self.field(2, "frames", &format!("{frames}: {}", place.snaplen_because));
        for (i, command) in place.commands.iter().enumerate() {
            self.command(command, i > 0);
        }
    }

    fn command(&mut self, command: &Command, other: bool) {
        self.field(2, if other { "or" } else { "run" }, &format!("{}, {}:", command.tool.word(), command.when));
        command.start.iter().for_each(|l| self.line(&format!("      {l}")));
        if !command.stop.is_empty() {
            self.field(2, "after", "the restore:");
            command.stop.iter().for_each(|l| self.line(&format!("      {l}")));
        }
    }

    /// What to know of the commands shown, each once.
    fn notes(&mut self, chosen: &[&PlacePlan]) {
        let mut told: Vec<(Tool, &str)> = Vec::new();
        for command in chosen.iter().flat_map(|p| &p.commands) {
            for note in command.notes.iter().map(|n| (command.tool, n.as_str())) {
                if !told.contains(&note) {
                    told.push(note);
                }
            }
        }
        if told.is_empty() {
            return;
        }
        self.line("");
        self.line("Notes");
        for (tool, note) in told {
            self.field(2, tool.word(), note);
        }
    }

    /// Places that are not needed, and what each would add.
    fn others(&mut self, plan: &Plan) {
        let others: Vec<&PlacePlan> = plan.places.iter().filter(|p| !p.chosen).collect();
        if others.is_empty() {
            return;
        }
        self.line("");
        self.line("Other places (--format json has their commands)");
        for place in others {
            self.para(2, &format!("{} {}: {}", place.place, place.addresses.join(" "), shown(&place.shows)));
        }
    }
}

/// Rows in order, each once, with what is particular about them.
fn shown(rows: &[Shown]) -> String {
    let word = |s: &Shown| {
        let need = if s.need == Need::Required { String::new() } else { format!(" ({})", s.need) };
        let part = if s.whole { "" } else { " in part" };
        format!("{} {}{need}{part}", s.rule, s.service)
    };
    let mut words: Vec<String> = Vec::new();
    for w in rows.iter().map(word) {
        if !words.contains(&w) {
            words.push(w);
        }
    }
    if words.is_empty() { "nothing that is asked for".to_owned() } else { words.join(", ") }
}
