//! `--from` and `--to`: the window of a restore given on the command line.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::cast_possible_truncation, reason = "a test's own small numbers")]

mod support;

use std::path::Path;

use serde_json::Value;
use support::run;

/// The project's own clean capture, its window moved by the command line.
fn verify(more: &[&str]) -> (i32, String, String) {
    let site = "captures/restore-clean.site.toml";
    let args =
        [&["verify", "--site", site, "captures/restore-clean.target-windows.pcap", "--format", "json"], more].concat();
    let done = run(Path::new(env!("CARGO_MANIFEST_DIR")), &args);
    (done.0, done.1, done.2)
}

fn kinds(report: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(report).unwrap();
    let kinds = report["flows"].as_array().unwrap().iter().filter_map(|f| f["unexpected"].as_str().map(str::to_owned));
    kinds.collect()
}

#[test]
fn a_window_of_the_command_line_takes_the_place_of_the_sites() {
    let (_, whole, _) = verify(&[]);
    assert_eq!(kinds(&whole), Vec::<String>::new());
    let (_, outside, _) = verify(&["--from", "2020-01-01T00:00:00Z", "--to", "2020-01-01T01:00:00+01:00"]);
    assert!(kinds(&outside).contains(&"condition_off".to_owned()), "{outside}");
    let (_, inside, _) = verify(&["--from", "2020-01-01T00:00:00Z", "--to", "2030-01-01T00:00:00Z"]);
    assert_eq!(kinds(&inside), Vec::<String>::new());
}

#[test]
fn a_window_that_cannot_be_read_ends_the_run() {
    for (args, word) in [
        (&["--from", "2020-01-01T00:00:00Z"][..], "--to"),
        (&["--from", "yesterday", "--to", "2020-01-01T00:00:00Z"], "--from yesterday is not a time"),
        (&["--from", "2021-01-01T00:00:00Z", "--to", "2020-01-01T00:00:00Z"], "later than"),
    ] {
        let (status, _, told) = verify(args);
        assert_eq!(status, 2, "{told}");
        assert!(told.contains(word), "{told}");
    }
}
