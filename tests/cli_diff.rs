//! `portwitness diff` as users run it: reports of real captures, and files that are no reports.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests may stop at the first surprise, too"
)]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::run;

const CLEAN: &str = "restore-clean";
const DROPPED: &str = "rpc-dynamic-dropped";

/// A folder with reports of two captures taken at the console, `clean.json` and `dropped.json`.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    for (name, situation, expected) in [("clean.json", CLEAN, 0), ("dropped.json", DROPPED, 1)] {
        let at = format!("console={situation}.console.pcapng");
        let (status, out, err) = run(&captures, &["verify", "--site", "site.toml", "--at", &at, "--format", "json"]);
        assert_eq!(status, expected, "{err}");
        fs::write(dir.path().join(name), out).unwrap();
    }
    dir
}

#[test]
fn a_port_that_a_firewall_drops_now_is_worse() {
    let dir = folder();
    let (status, out, err) = run(dir.path(), &["diff", "clean.json", "dropped.json"]);
    assert_eq!((status, err.as_str()), (1, ""), "{out}");
    for part in
        ["WORSE", "was       PASS", "now       FAIL", "✗ worse: image.rpc-dynamic", "blocked, unanswered", "next"]
    {
        assert!(out.contains(part), "lacks {part:?}: {out}");
    }
    assert!(!out.contains("Not judged by the same rules") && !out.contains("new: "), "{out}");
    let (status, out, _) = run(dir.path(), &["diff", "dropped.json", "clean.json"]);
    assert_eq!(status, 0, "{out}");
    assert!(out.starts_with("BETTER, nothing got worse") && !out.contains("✗"), "{out}");
}

#[test]
fn a_report_does_not_differ_from_itself() {
    let dir = folder();
    for report in ["clean.json", "dropped.json"] {
        let (status, out, err) = run(dir.path(), &["diff", report, report]);
        assert_eq!((status, err.as_str(), out.lines().count()), (0, "", 3), "{out}");
        assert!(out.starts_with("NO CHANGE"), "{out}");
    }
}

#[test]
fn the_difference_is_also_data() {
    let dir = folder();
    let (status, out, _) = run(dir.path(), &["diff", "--format", "json", "clean.json", "dropped.json"]);
    let diff: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &diff["schema"], &diff["change"]), (1, &"portwitness.diff/1".into(), &"worse".into()));
    let dynamic = diff["requirements"].as_array().unwrap().iter().find(|r| r["rule"] == "image.rpc-dynamic").unwrap();
    assert_eq!(dynamic["old"]["outcome"], "satisfied");
    assert_eq!((&dynamic["new"]["cause"], &dynamic["change"]), (&"unanswered".into(), &"worse".into()));
    assert_eq!(diff["counts"][0]["what"], "coverage");
}

#[test]
fn another_site_is_said_before_anything_else() {
    let dir = folder();
    let mut report: Value = serde_json::from_str(&fs::read_to_string(dir.path().join("clean.json")).unwrap()).unwrap();
    report["site"]["digest"] = "00ff".into();
    report["a_later_field"] = "ignored".into();
    fs::write(dir.path().join("other.json"), report.to_string()).unwrap();
    let (status, out, _) = run(dir.path(), &["diff", "clean.json", "other.json"]);
    assert_eq!(status, 0, "{out}");
    assert!(out.starts_with("Not judged by the same rules") && out.contains("now       sha256 00ff"), "{out}");
}

#[test]
fn what_powershell_redirects_is_read() {
    let dir = folder();
    let text = fs::read_to_string(dir.path().join("clean.json")).unwrap();
    let bytes: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    fs::write(dir.path().join("utf16.json"), bytes).unwrap();
    let (status, out, err) = run(dir.path(), &["diff", "utf16.json", "clean.json"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.starts_with("NO CHANGE"), "{out}");
}

#[test]
fn files_that_are_no_reports_are_named_with_what_was_expected() {
    let dir = folder();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    let good = fs::read(dir.path().join("clean.json")).unwrap();
    write("empty.json", b"");
    write("text.json", b"PASS, 3 of 6 required in view\n");
    write("binary.json", b"\x0a\x0d\x0d\x0a\xff\xff");
    write("cut.json", &good[..good.len() / 2]);
    write("other.json", b"{\"schema\": \"portwitness.report/2\", \"verdict\": \"pass\"}");
    write("bare.json", b"{\"schema\": \"portwitness.report/1\", \"verdict\": \"pass\"}");
    write("evil.json", b"{\"schema\": \"\\u001b[2J\"}");
    fs::create_dir(dir.path().join("folder")).unwrap();
    for (name, says) in [
        ("nowhere.json", "cannot read nowhere.json"),
        ("folder", "cannot compare folder: it is a directory"),
        ("empty.json", "cannot compare empty.json: it is empty"),
        ("text.json", "cannot compare text.json: it is not one JSON document"),
        ("binary.json", "cannot compare binary.json: it is not text"),
        ("cut.json", "cannot compare cut.json: it is not one JSON document"),
        ("other.json", "its schema is 'portwitness.report/2'; expected a report of portwitness.report/1"),
        ("bare.json", "missing field `headline`"),
        ("evil.json", "cannot compare evil.json: its schema is"),
    ] {
        for args in [["diff", name, "clean.json"], ["diff", "clean.json", name]] {
            let (status, out, err) = run(dir.path(), &args);
            assert_eq!((status, out.as_str()), (2, ""), "{args:?}: {err}");
            assert!(err.starts_with("portwitness: ") && err.contains(says), "{args:?}: {err}");
            assert!(!err.contains('\u{1b}') && !err.contains("panicked"), "{err}");
            assert!(name == "nowhere.json" || err.contains("verify --format json"), "{err}");
        }
    }
    let (status, _, err) = run(dir.path(), &["diff", "clean.json"]);
    assert!(status == 2 && err.contains("<NEW.json>"), "{err}");
}

#[test]
fn help_says_what_the_exit_status_means() {
    let dir = tempfile::tempdir().unwrap();
    let (status, out, _) = run(dir.path(), &["diff", "--help"]);
    assert_eq!(status, 0);
    assert!(out.lines().count() <= 40 && out.contains("Example"), "{out}");
    assert!(out.contains("0 nothing got worse, 1 something did, 2 the run itself failed"), "{out}");
    assert!(out.lines().all(|l| l.chars().count() <= 100), "{out}");
}
