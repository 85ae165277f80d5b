//! What can be given as a capture on the command line: pipes, patterns, compressed files; and their digests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::cast_possible_truncation, reason = "a test's own small numbers")]

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use support::{End, Pcap, portwitness, run, told};

const A: End = ([10, 0, 0, 1], 50_000);
const B: End = ([10, 0, 0, 2], 445);

fn capture(wait: u64, port: u16) -> Vec<u8> {
    Pcap::new().wait(wait).session((A.0, port), B, b"hello", b"world").bytes().to_vec()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// Runs it with `chunks` on standard input, one after the other with pauses.
fn piped(folder: &Path, args: &[&str], chunks: &[&[u8]]) -> (i32, String, String) {
    let mut command = portwitness(folder, args);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it was built");
    let mut stdin = child.stdin.take().unwrap();
    for chunk in chunks {
        stdin.write_all(chunk).unwrap();
        stdin.flush().unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(stdin);
    told(&child.wait_with_output().unwrap())
}

#[test]
fn standard_input_may_be_slow_and_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = capture(0, 50_000);
    std::fs::write(folder.path().join("x.pcap"), &bytes).unwrap();
    let (status, expected, _) = run(folder.path(), &["flows", "x.pcap"]);
    assert!(status == 0 && expected.contains("10.0.0.2"), "{expected}");
    let packed = gzip(&bytes);
    for bytes in [&bytes, &packed] {
        let pieces: Vec<&[u8]> = bytes.chunks(bytes.len() / 20 + 1).collect();
        for chunks in [&pieces[..], &[&bytes[..]], &[&bytes[..1], &bytes[1..25], &bytes[25..]]] {
            let (status, out, err) = piped(folder.path(), &["flows", "-"], chunks);
            assert_eq!((status, out, err), (0, expected.clone(), String::new()));
        }
    }
    let (status, out, _) = piped(folder.path(), &["verify", "--hash", "--format", "json", "-"], &[&packed]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &report["captures"][0]["format"]), (3, &Value::from("pcap, gzip")));
    assert_eq!(report["captures"][0]["sha256"], Value::from(digest(&packed)));
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn patterns_are_expanded_where_the_shell_did_not() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("r_00002.pcap", &capture(0, 50_000));
    write("r_00001.pcap.gz", &gzip(&capture(60_000, 50_001)));
    write("notes.txt", b"r\n");
    let (status, out, err) = run(folder.path(), &["flows", "--format", "json", "r_*"]);
    assert_eq!((status, out.lines().count(), &*err), (0, 2, ""), "{out}");
    let (_, named, _) = run(folder.path(), &["flows", "--format", "json", "r_00001.pcap.gz", "r_00002.pcap"]);
    assert_eq!(out, named, "sorted by name");
    let (_, out, _) = run(folder.path(), &["verify", "--format", "json", "--at", "console=r_*"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["captures"].as_array().unwrap().len(), 2);
    let (status, _, err) = run(folder.path(), &["flows", "none*.pcap"]);
    assert!(status == 2 && err.contains("cannot read none*.pcap: no such file"), "{err}");
}

#[test]
fn digests_are_added_and_nothing_else_changes() {
    let folder = tempfile::tempdir().unwrap();
    let files = [("a.pcap", capture(0, 50_000)), ("b.pcap.gz", gzip(&capture(3, 50_001)))];
    files.iter().for_each(|(name, bytes)| std::fs::write(folder.path().join(name), bytes).unwrap());
    let json = |args: &[&str]| {
        let (_, out, err) = run(folder.path(), &[&["verify", "--format", "json", "*.p*"][..], args].concat());
        assert_eq!(err, "");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let (without, mut with) = (json(&[]), json(&["--hash"]));
    for (n, (_, bytes)) in files.iter().enumerate() {
        assert_eq!(without["captures"][n]["sha256"], Value::Null);
        assert_eq!(with["captures"][n]["sha256"].take(), Value::from(digest(bytes)));
    }
    assert_eq!(with, without);
}
