//! What `--format parquet` writes is what `--format json` says, as DuckDB reads it. `make parquet-test` installs DuckDB.
#![cfg(feature = "parquet")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::indexing_slicing, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use portwitness::report::parquet::{Column, FLOW, REQUIREMENT, finding};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Python with DuckDB; `None`, with a word, where it is not installed.
fn python() -> Option<PathBuf> {
    let python = root().join("target/duckdb/bin/python3");
    if python.exists() {
        return Some(python);
    }
    assert!(std::env::var_os("CI").is_none(), "DuckDB is not installed: make parquet-test");
    eprintln!("SKIP parquet: DuckDB is not installed; make parquet-test installs it into target/duckdb");
    None
}

fn run(args: &[&str], to: &Path) {
    let made = Command::new(env!("CARGO_BIN_EXE_portwitness")).current_dir(root()).args(args).output().unwrap();
    assert!(made.status.code().is_some_and(|c| c < 2 || c == 3), "{args:?}: {}", String::from_utf8_lossy(&made.stderr));
    fs::write(to, made.stdout).unwrap();
}

/// Writes both forms and compares them; what DuckDB found.
fn compared(python: &Path, kind: &str, args: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let (table, json) = (folder.path().join("table.parquet"), folder.path().join("table.json"));
    run(&[args, &["--format", "parquet"]].concat(), &table);
    run(&[args, &["--format", "json"]].concat(), &json);
    let compare = root().join("tests/parquet/compare.py");
    let out = Command::new(python).arg(compare).arg(kind).arg(&table).arg(&json).output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(out.status.success(), "{args:?}: {}{}", said(&out.stdout), said(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn names(found: &Value) -> Vec<&str> {
    found["types"].as_object().unwrap().keys().map(String::as_str).collect()
}

/// Captures of every bundled situation.
fn captures() -> Vec<String> {
    let entries = fs::read_dir(root().join("captures")).unwrap();
    let names = entries.map(|e| format!("captures/{}", e.unwrap().file_name().into_string().unwrap()));
    let mut all: Vec<String> = names.filter(|n| n.contains(".pcap")).collect();
    all.sort();
    all
}

#[test]
fn flows_are_those_of_the_json() {
    let Some(python) = python() else { return };
    let captures = captures();
    let args: Vec<&str> = ["flows"].into_iter().chain(captures.iter().map(String::as_str)).collect();
    let found = compared(&python, "flows", &args);
    let rows = found["rows"].as_u64().unwrap();
    assert!(rows > 100 && found["values"].as_u64().unwrap() > 20 * rows, "{found}");
    let mut columns: Vec<&str> = FLOW.iter().map(|c| c.name).collect();
    columns.sort_unstable();
    let mut read = names(&found);
    read.sort_unstable();
    assert_eq!(read, columns);
    // Nothing seen is a table without rows.
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pcap");
    fs::write(&empty, [&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0][..], &[0; 8], &[255, 255, 0, 0, 1, 0, 0, 0]].concat())
        .unwrap();
    assert_eq!(compared(&python, "flows", &["flows", empty.to_str().unwrap()])["rows"], 0);
}

#[test]
fn findings_are_those_of_the_report() {
    let Some(python) = python() else { return };
    let site = ["--site", "captures/site.toml"];
    let mut rows = 0;
    for capture in captures().iter().filter(|c| c.contains(".console.")) {
        let at = format!("console={capture}");
        let found = compared(&python, "findings", &[&["verify", "--at", &at][..], &site].concat());
        rows += found["rows"].as_u64().unwrap();
        assert_eq!(names(&found).len(), finding().len());
    }
    assert!(rows > 50, "{rows} findings");
    // Without a site there are roles, requirements and flows, too.
    compared(&python, "findings", &["verify", "captures/rpc-dynamic-dropped.console.pcapng"]);
}

/// A list in docs/parquet.md, under its heading.
fn documented<'d>(docs: &'d str, heading: &str) -> Vec<&'d str> {
    let part = docs.split(heading).nth(1).unwrap();
    let part = part.split("\n## ").next().unwrap();
    part.lines().filter(|l| l.starts_with("| `")).collect()
}

#[test]
fn every_column_is_documented() {
    let docs = fs::read_to_string(root().join("docs/parquet.md")).unwrap();
    let line = |c: &Column| format!("| `{}` | {} | `{}` |", c.name, c.kind.name(), c.pointer);
    for (heading, columns) in [("\n## Flows\n", FLOW), ("\n## Requirements\n", REQUIREMENT)] {
        let lines: Vec<String> = columns.iter().map(line).collect();
        assert_eq!(documented(&docs, heading), lines, "{heading}: expected\n{}", lines.join("\n"));
    }
}
