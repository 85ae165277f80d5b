//! A capture that ends early, however it was cut, makes no pass: what came after was never seen.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod support;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use support::run;

/// A bundled capture and its site, in a folder of their own.
struct Case {
    folder: tempfile::TempDir,
    bytes: Vec<u8>,
    site: String,
}

fn case(capture: &str, site: &str) -> Case {
    let captures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("captures");
    let site = fs::read_to_string(captures.join(site)).unwrap();
    Case { folder: tempfile::tempdir().unwrap(), bytes: fs::read(captures.join(capture)).unwrap(), site }
}

impl Case {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Judges bytes as a capture; the status and the JSON report.
    fn judge(&self, name: &str, bytes: &[u8], more: &[&str]) -> (i32, Value) {
        fs::write(self.path().join(name), bytes).unwrap();
        self.verify(name, more)
    }

    fn verify(&self, name: &str, more: &[&str]) -> (i32, Value) {
        fs::write(self.path().join("site.toml"), &self.site).unwrap();
        let args = [&["verify", "--site", "site.toml", "--format", "json", name], more].concat();
        let (status, out, err) = run(self.path(), &args);
        let report = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {err}"));
        (status, report)
    }

    /// The site with another window; from and to in place of its own.
    fn windowed(&mut self, from: &str, to: &str) {
        let line = |l: &str| match l.split_whitespace().next() {
            Some("from") => format!("from = \"{from}\""),
            Some("to") => format!("to = \"{to}\""),
            _ => l.to_owned(),
        };
        self.site = self.site.lines().map(line).collect::<Vec<_>>().join("\n");
    }
}

fn reasons(report: &Value) -> String {
    report["reasons"].as_array().unwrap().iter().map(|r| format!("{}\n", r.as_str().unwrap())).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

#[test]
fn a_failed_restore_cut_before_its_failure_is_no_pass() {
    let c = case("rpc-dynamic-dropped.console.pcapng", "rpc-dynamic-dropped.site.toml");
    let (status, report) = c.judge("whole.pcapng", &c.bytes, &[]);
    assert_eq!((status, &report["verdict"]), (1, &Value::from("fail")));
    let (status, report) = c.judge("cut.pcapng", &c.bytes[..20_000], &[]);
    assert_eq!((status, &report["verdict"]), (3, &Value::from("inconclusive")));
    assert!(report["headline"].as_str().unwrap().ends_with(", the capture ends early"), "{}", report["headline"]);
    let at = report["captures"][0]["truncated"].as_u64().unwrap();
    let told = reasons(&report);
    assert!(
        told.contains(&format!("cut.pcapng is cut off at byte {at}, ")) && told.contains("get the whole file"),
        "{told}"
    );
    let (_, text, _) = run(c.path(), &["verify", "--site", "site.toml", "cut.pcapng"]);
    assert!(text.starts_with("INCONCLUSIVE, 2 of 6 required in view, the capture ends early\n"), "{text}");
    let (_, line, _) = run(c.path(), &["verify", "--site", "site.toml", "--format", "line", "cut.pcapng"]);
    assert!(line.contains("INCONCLUSIVE 2/6") && line.contains("cut.pcapng is cut off"), "{line}");
}

#[test]
fn a_cut_after_the_failure_leaves_it_a_failure() {
    let mut c = case("rpc-dynamic-dropped.console.pcapng", "rpc-dynamic-dropped.site.toml");
    c.windowed("2026-11-23T16:13:59Z", "2026-11-23T16:15:00Z");
    let (status, report) = c.judge("cut.pcapng", &c.bytes[..c.bytes.len() - 40], &[]);
    assert_eq!((status, &report["verdict"]), (1, &Value::from("fail")));
    assert!(!reasons(&report).contains("ends early"), "{report}");
    assert!(report["headline"].as_str().unwrap().ends_with(", the capture ends early"), "{}", report["headline"]);
}

/// The clean restore takes 1.46 s, from 16:13:54.256 to 16:13:55.717 UTC.
#[test]
fn a_cut_last_record_makes_no_pass_unless_the_restore_had_ended_before() {
    let mut c = case("restore-clean.mount-server.pcap", "restore-clean.site.toml");
    let cut = c.bytes[..c.bytes.len() - 10].to_vec();
    let (status, report) = c.judge("cut.pcap", &cut, &[]);
    assert_eq!((status, reasons(&report).contains("ends early")), (0, false), "its window ends before: {report}");
    c.windowed("2026-11-23T16:13:54.300Z", "2026-11-23T16:14:30Z");
    let (status, report) = c.verify("cut.pcap", &[]);
    assert_eq!(status, 3);
    assert!(reasons(&report).contains("the capture ends early: cut.pcap is cut off at byte "), "{report}");
    let (status, _) =
        c.judge("whole.pcap", &c.bytes, &["--from", "2026-11-23T16:13:54.300Z", "--to", "2026-11-23T16:13:55.700Z"]);
    assert_eq!(status, 0);
    c.site = c
        .site
        .split("[[window]]")
        .enumerate()
        .map(|(n, part)| if n == 0 { part } else { part.split_once("\n\n").unwrap().1 })
        .collect();
    let (status, report) = c.verify("cut.pcap", &[]);
    assert_eq!(status, 3, "no window: nobody knows when it ended");
    assert!(reasons(&report).contains("(--from, --to)"), "{report}");
    assert_eq!(c.verify("whole.pcap", &[]).0, 0, "a whole capture needs no window to pass");
    let (status, _) = c.verify("cut.pcap", &["--from", "2026-11-23T16:13:54.300Z", "--to", "2026-11-23T16:13:55.700Z"]);
    assert_eq!(status, 0, "the restore had ended before the damage");
}

#[test]
fn what_is_compressed_or_saved_carries_the_cut_on() {
    let c = case("restore-clean.mount-server.pcap", "restore-clean.site.toml");
    let whole = gzip(&c.bytes);
    assert_eq!(c.judge("whole.pcap.gz", &whole, &[]).0, 0);
    let (status, report) = c.judge("cut.pcap.gz", &whole[..whole.len() / 2], &[]);
    let told = reasons(&report);
    assert!(status == 3 && told.contains("cut.pcap.gz") && told.contains(" of what it unpacks to"), "{told}");
    let (status, ..) = run(c.path(), &["observe", "cut.pcap.gz", "-o", "cut.obs"]);
    assert_eq!(status, 0);
    let (status, saved) = c.verify("cut.obs", &[]);
    assert_eq!((status, reasons(&saved)), (3, told));
    assert_eq!(run(c.path(), &["observe", "whole.pcap.gz", "-o", "whole.obs"]).0, 0);
    assert_eq!(c.verify("whole.obs", &[]).0, 0);
    let bytes = fs::read(c.path().join("whole.obs")).unwrap();
    let (status, report) = c.judge("half.obs", &bytes[..bytes.len() - bytes.len() / 8], &[]);
    assert_eq!(status, 3, "a saved observation that is not whole: {report}");
    assert!(reasons(&report).contains("ends early"), "{report}");
}

#[test]
fn a_file_of_a_series_is_no_early_end_where_the_next_goes_on_at_once() {
    let c = case("restore-clean.mount-server.pcap", "restore-clean.site.toml");
    // Records follow the file's header of 24 bytes; the captured length stands 8 bytes into each.
    let mut starts = vec![24_usize];
    while let Some(len) = c.bytes.get(starts[starts.len() - 1] + 8..).and_then(|b| b.first_chunk::<4>()) {
        starts.push(starts[starts.len() - 1] + 16 + u32::from_le_bytes(*len) as usize);
    }
    let half = starts[starts.len() / 2];
    let second = [&c.bytes[..24], &c.bytes[half..]].concat();
    fs::write(c.path().join("b.pcap"), second).unwrap();
    // A record's header of which nothing follows: what a killed capture leaves.
    let (status, report) = c.judge("a.pcap", &c.bytes[..half + 7], &["b.pcap"]);
    assert_eq!(status, 0, "{report}");
    let (status, report) = c.judge("a.pcap", &c.bytes[..half + 7], &[]);
    assert_eq!(status, 3, "without the next file: {report}");
}

#[test]
fn a_capture_of_which_no_frame_can_be_read_may_have_held_any_time() {
    let c = case("restore-clean.mount-server.pcap", "restore-clean.site.toml");
    fs::write(c.path().join("whole.pcap"), &c.bytes).unwrap();
    // An empty one is whole; of the other, a record was begun.
    assert_eq!(c.judge("empty.pcap", &c.bytes[..24], &["whole.pcap"]).0, 0);
    let (status, report) = c.judge("begun.pcap", &c.bytes[..31], &["whole.pcap"]);
    assert_eq!(status, 3, "{report}");
    assert!(reasons(&report).contains("the capture ends early: begun.pcap is cut off at byte 24"), "{report}");
    let told = report["captures"][0]["cannot_tell"].to_string();
    assert!(told.contains("nothing is called missing that was due after the damage, nor is there a pass"), "{told}");
}
