//! Every recording under every disturbance: the table beside this file, and what it has to come to.

use std::fmt::Write as _;
use std::path::Path;

use crate::claims::{Told, hold as held};
use crate::disturbances::ALL;
use crate::recording::{Case, Recording};
use crate::side_by_side;

const HEAD: &str = "# What remains to be said

Every kept recording of the lab under every disturbance of `disturbances.rs`, judged. Written by
`PORTWITNESS_BLESS=1 cargo test --test faults table`; a test compares it, and fails for any false claim.

Columns are rows of the matrix: `ok` satisfied, `fallback` satisfied by fallback, `BLOCKED`, `MISSING`, `unreached` not
reached, `-` not observable, `?` inconclusive. What differs from the first line, where nothing befell the recording,
is what the disturbance took away. The tables show recordings whose site declares the place and the time; the same
recordings without these declarations are judged and counted, too.
";

const COUNTED: &str = "\
A row is a *claim* where the undisturbed recording decides it. It stays *decided*, or becomes *undecided*. It is
*knowable* where every frame it rests on is left, uncut: those of its connections, or, where it says that there were
none, all frames of the recording. *As worded* are claims that are true of the capture, and say so, but not of the
network: absence of a connection of which every frame was lost and nothing tells (\"capture loss unknown\"), and a port
that was open but led to another service, of whose bytes none that tell are left. *False* is what the lab's script contradicts.
";

#[derive(Clone, Copy, Default)]
struct Counts {
    situations: usize,
    claims: usize,
    undecided: usize,
    knowable: usize,
    knowable_undecided: usize,
    as_worded: usize,
    lies: usize,
}

impl Counts {
    fn add(&mut self, told: &Told) {
        let undecided = |said: &str| matches!(said, "inconclusive" | "not_observable");
        self.situations += 1;
        self.as_worded += told.as_worded;
        self.lies += told.lies.len();
        for r in told.rows.iter().filter(|r| !undecided(r.expected)) {
            let open = usize::from(undecided(&r.said));
            self.claims += 1;
            self.undecided += open;
            self.knowable += usize::from(r.knowable);
            self.knowable_undecided += if r.knowable { open } else { 0 };
        }
    }

    fn line(&self, name: &str) -> String {
        let Self { situations, claims, undecided, knowable, knowable_undecided, as_worded, lies } = self;
        format!(
            "| {name} | {situations} | {claims} | {undecided} | {knowable} | {knowable_undecided} | {as_worded} | {lies} |\n"
        )
    }
}

/// Judges everything, compares the table with the kept one, and holds the counts.
pub(crate) fn hold() {
    let recordings = Recording::all();
    let cases: Vec<Case<'_>> = recordings.iter().flat_map(Recording::cases).collect();
    let all: Vec<(usize, usize)> = (0..cases.len()).flat_map(|c| (0..ALL.len()).map(move |d| (c, d))).collect();
    let told = side_by_side(&all, |&(c, d)| held(&cases[c], &cases[c].play(&ALL[d].1)));
    let mut lies = String::new();
    let mut by_disturbance = vec![Counts::default(); ALL.len()];
    let mut sum = Counts::default();
    for (&(c, d), t) in all.iter().zip(&told) {
        by_disturbance[d].add(t);
        sum.add(t);
        for l in &t.lies {
            let _ = writeln!(lies, "{}, {}: {l}", cases[c].name(), ALL[d].0);
        }
    }
    assert!(lies.is_empty(), "{} false claims:\n{lies}", sum.lies);
    assert!(sum.situations >= 200);
    let percent = sum.knowable_undecided * 100 / sum.knowable;
    assert!(percent < 15, "{percent} of a hundred knowable claims are undecided");

    let mut text = format!("{HEAD}\n## Counts\n\n{COUNTED}\n");
    text += "| disturbance | situations | claims | undecided | knowable | of them undecided | as worded | false |\n";
    text += "|---|---|---|---|---|---|---|---|\n";
    for (d, counts) in by_disturbance.iter().enumerate() {
        text += &counts.line(ALL[d].0);
    }
    text += &sum.line("all");
    for (c, case) in cases.iter().enumerate().filter(|(_, case)| case.declared) {
        text += &section(case, &told[c * ALL.len()..(c + 1) * ALL.len()]);
    }
    compare(&text);
}

fn section(case: &Case<'_>, told: &[Told]) -> String {
    let names: Vec<&str> = told[0].rows.iter().map(|r| r.row.as_str()).collect();
    let mut text = format!("\n## {}\n\n| disturbance | verdict | {} |\n", case.name(), names.join(" | "));
    text += &format!("|---|---|{}\n", "---|".repeat(names.len()));
    for ((name, _), t) in ALL.iter().zip(told) {
        let cells: Vec<&str> = t.rows.iter().map(|r| cell(&r.said)).collect();
        text += &format!("| {name} | {} | {} |\n", t.verdict, cells.join(" | "));
    }
    text
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

fn compare(text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/TABLE.md");
    if std::env::var_os("PORTWITNESS_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "tests/faults/TABLE.md is not what is said now; PORTWITNESS_BLESS=1 writes it anew");
}
