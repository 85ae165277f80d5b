//! The sample outputs in README.md are what the program prints.
//!
//! A block under `<!-- run: ARGUMENTS; status N; first M lines -->` (the last part may be absent) is compared with a run of the
//! binary from the project's root. `PORTWITNESS_BLESS=1 cargo test --test readme` writes the blocks anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise, and so may its helpers"
)]

use std::path::Path;
use std::process::Command;

struct Sample {
    args: Vec<String>,
    status: i32,
    lines: Option<usize>,
}

fn sample(line: &str) -> Option<Sample> {
    let inside = line.strip_prefix("<!-- run: ")?.strip_suffix(" -->")?;
    let mut parts = inside.split("; ");
    let args = parts.next()?.split_whitespace().map(str::to_owned).collect();
    let status = parts.next()?.strip_prefix("status ")?.parse().ok()?;
    let lines = parts.next().map(|p| p.trim_start_matches("first ").trim_end_matches(" lines").parse().unwrap());
    Some(Sample { args, status, lines })
}

fn run(sample: &Sample) -> Vec<String> {
    let out = Command::new(env!("CARGO_BIN_EXE_portwitness"))
        .env("LC_ALL", "C.UTF-8")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("SOURCE_DATE_EPOCH")
        .args(&sample.args)
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(sample.status), "{:?}", sample.args);
    let text = String::from_utf8(out.stdout).unwrap();
    text.trim_end().lines().take(sample.lines.unwrap_or(usize::MAX)).map(str::to_owned).collect()
}

#[test]
fn the_readmes_samples_are_what_the_program_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut fresh: Vec<String> = Vec::new();
    let mut lines = text.lines();
    let mut samples = 0;
    while let Some(line) = lines.next() {
        fresh.push(line.to_owned());
        let Some(sample) = sample(line) else { continue };
        samples += 1;
        fresh.push(lines.next().filter(|l| l.starts_with("```")).expect("a block follows its marker").to_owned());
        let kept: Vec<&str> = lines.by_ref().take_while(|l| *l != "```").collect();
        let printed = run(&sample);
        if std::env::var_os("PORTWITNESS_BLESS").is_none() {
            assert_eq!(kept, printed, "README.md differs from {:?}; PORTWITNESS_BLESS=1 renews it", sample.args);
        }
        fresh.extend(printed);
        fresh.push("```".to_owned());
    }
    assert!(samples > 0, "README.md shows no sample");
    if std::env::var_os("PORTWITNESS_BLESS").is_some() {
        std::fs::write(path, fresh.join("\n") + "\n").unwrap();
    }
}
