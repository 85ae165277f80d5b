//! The truth table: for every situation and every view of it, what has to come out. Printed as `TRUTH.md` beside this file.

use std::collections::BTreeMap;

use crate::expect::{Expected, Facts, View};
use crate::judge::{name, views};
use crate::rows::Row;
use crate::situation::{ALL, Situation};
use crate::story::{MAPPED, Story};

/// What has to come out of a situation seen this way.
pub(crate) fn expected(situation: &Situation, view: &View) -> Expected {
    let story = Story::until(&(situation.scenario)(), &(situation.blocks)(), view.cut);
    let (topology, operation) = ((situation.topology)(), view.claimed.unwrap_or(situation.operation));
    Facts { topology: &topology, story: &story, view }.expect(operation.rows(situation.cast))
}

/// What is in sight of it in words, rows of the same outcome together.
pub(crate) fn told(situation: &Situation, view: &View) -> String {
    let mut by_outcome: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (row, outcome) in expected(situation, view).rows.iter().filter(|(_, o)| *o != "not_observable") {
        by_outcome.entry(outcome).or_default().push(short(row));
    }
    let told = by_outcome.iter().map(|(outcome, rows)| format!("{}: {}", outcome.replace('_', " "), rows.join(", ")));
    told.collect::<Vec<_>>().join("; ")
}

/// A row's rule without its scenario, its port and, where several hosts have one, its host.
fn short(row: &Row) -> String {
    let rule = row.rule.trim_start_matches("image.").trim_start_matches("plugin.");
    let host = row.each.filter(|h| h.name() != h.role()).map(|h| format!(" ({})", h.name()));
    format!("{rule} {}{}", row.service.trim_start_matches("tcp/"), host.unwrap_or_default())
}

/// How many situations the table has: each view of each recording is one.
pub(crate) fn size() -> usize {
    ALL.iter().map(|s| views(s).len()).sum()
}

const HEAD: &str = "# What has to come out

Every situation of the lab, from every place, as `expect.rs` derives it from what the lab does (its script and its
blocks) and from the rows in `rows.rs`. The program is held against this table; nothing here comes from the program.
Written by `PORTWITNESS_BLESS=1 cargo test --test lab truth_table`; a test compares it.

A place is a host, `router` (every interface of it) or `mirror` (the bridge of the first subnet). \"all hosts\" judges
the captures of all hosts at once. \"undeclared\" means that the site says neither that the capture is complete nor
when the restore ran: much of what is missing is then only inconclusive. \"cut after n\" means that the captures end
after the n-th step of the restore, and \"as x\" that the site says x was run.

`ok` satisfied, `fallback` satisfied by fallback, `BLOCKED`, `MISSING`, `unreached` not reached, `-` not observable,
`?` inconclusive. The last column counts connections by class and names those that did not come about or should not
have; 49152 stands for the port that the mapper named.
";

/// The whole table as Markdown.
pub(crate) fn markdown() -> String {
    let mut text = format!("{HEAD}\n{} situations.\n", size());
    for situation in ALL {
        text += &format!("\n## {}\n\n{}\n\n", situation.file, situation.story);
        for block in (situation.blocks)() {
            let (from, to, ports) = (block.from.name(), block.to.name(), &block.ports);
            let ports = if ports.start() == ports.end() {
                ports.start().to_string()
            } else {
                format!("{}-{}", ports.start(), ports.end())
            };
            text += &format!("Block at {}: {from} to {to} {ports}, {:?}.\n\n", block.place.name(), block.fate);
        }
        text += &of_situation(situation);
    }
    text
}

fn of_situation(situation: &Situation) -> String {
    let mut text = String::new();
    let mut head = Vec::new();
    for view in &views(situation) {
        let expected = expected(situation, view);
        let names = columns(&expected);
        if names != head {
            head.clone_from(&names);
            text += if text.is_empty() { "" } else { "\n" };
            text += &format!("| place | verdict | {} | connections |\n", names.join(" | "));
            text += &format!("|---|---|{}---|\n", "---|".repeat(names.len()));
        }
        let outcomes: Vec<_> = expected.rows.iter().map(|(_, outcome)| cell(outcome)).collect();
        let connections = connections(&expected);
        text += &format!("| {} | {} | {} | {connections} |\n", name(view), expected.verdict, outcomes.join(" | "));
    }
    text
}

/// Names of the rows. Where two differ only in who drives them and how much they are needed, that is told.
fn columns(expected: &Expected) -> Vec<String> {
    let names: Vec<_> = expected.rows.iter().map(|(row, _)| short(row)).collect();
    let told = |(n, name): (usize, &String)| {
        let twice = names.iter().filter(|x| *x == name).count() > 1;
        let drivers: Vec<_> = expected.rows[n].0.drivers.iter().map(|d| d.name()).collect();
        if twice { format!("{name} by {}", drivers.join(", ")) } else { name.clone() }
    };
    names.iter().enumerate().map(told).collect()
}

fn cell(outcome: &str) -> &str {
    match outcome {
        "satisfied" => "ok",
        "satisfied_by_fallback" => "fallback",
        "blocked" => "BLOCKED",
        "missing" => "MISSING",
        "not_reached" => "unreached",
        "not_observable" => "-",
        "inconclusive" => "?",
        other => other,
    }
}

fn connections(expected: &Expected) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut odd = Vec::new();
    for (from, to, port, attempt, class) in &expected.flows {
        *counts.entry(class).or_default() += 1;
        if *attempt != "established" || class.starts_with("unexpected") {
            let port = if *port == MAPPED { "49152".to_owned() } else { port.to_string() };
            odd.push(format!("{} to {} {port} {}", from.name(), to.name(), attempt.replace('_', " ")));
        }
    }
    let mut parts: Vec<_> = counts.iter().map(|(class, n)| format!("{n} {class}")).collect();
    parts.extend(odd);
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}
