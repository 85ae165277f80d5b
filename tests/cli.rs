//! The binary as users run it, mostly when something is wrong: every message names the file, the place and what was expected.

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

use support::{Pcap, portwitness, run, told};

const MOUNT: [u8; 4] = [10, 77, 0, 12];
const LINUX: [u8; 4] = [10, 77, 1, 22];

const SITE: &str = r#"
scenario      = "image-level"
operations    = ["application-item"]
observed_from = ["mount-server"]

[hosts]
con01 = ["10.77.0.10"]
bak01 = ["10.77.0.11"]
mnt01 = ["10.77.0.12"]
rep01 = ["10.77.0.13"]
lin01 = ["10.77.1.22"]

[roles]
console       = ["con01"]
backup-server = ["bak01"]
mount-server  = ["mnt01"]
repository    = ["rep01"]
target-linux  = ["lin01"]
"#;

const ALLOW: &str = "\n[[allow]]\nfrom = \"FROM\"\nto = \"TO\"\nservice = \"udp/53\"\nreason = \"site DNS\"\n";

/// A folder with captures and sites, good and bad.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    let good = good();
    write("good.pcap", good.bytes());
    write("cut.pcap", &good.bytes()[..good.bytes().len() - 10]);
    write("empty.pcap", b"");
    write("header.pcap", &good.bytes()[..10]);
    write("text.pcap", b"this is a note about the capture, not the capture\n");
    write("site.toml", SITE.as_bytes());
    write("role.toml", SITE.replace("repository    =", "repositry     =").as_bytes());
    write("operation.toml", SITE.replace("application-item", "aplication-item").as_bytes());
    write("any.toml", (SITE.to_owned() + &ALLOW.replace("FROM", "any").replace("TO", "any")).as_bytes());
    write("blocked.pcap", blocked().bytes());
    let expired = ALLOW.replace("FROM", "mount-server").replace("TO", "10.0.0.53") + "expires = \"2026-01-31\"\n";
    write("expired.toml", (SITE.to_owned() + &expired).as_bytes());
    write("broken.toml", b"scenario = \n");
    write("rules.toml", b"id = 7\n");
    let long = "\n[[observation_point]]\nat = \"mount-server\"\ncaptures = [\"mnt-*.pcap\"]\n";
    write("points.toml", (SITE.replace("observed_from", "# observed_from") + long).as_bytes());
    fs::create_dir(dir.path().join("captures")).unwrap();
    dir
}

fn good() -> Pcap {
    let mut pcap = Pcap::new();
    for port in 50022..50025 {
        pcap.session((MOUNT, port), (LINUX, 22), b"SSH-2.0-PuTTY_0.80\r\n", b"SSH-2.0-OpenSSH_9.2p1\r\n").wait(50);
    }
    pcap
}

/// SSH to the Linux target is never answered, although packets come back from it.
fn blocked() -> Pcap {
    let mut pcap = Pcap::new();
    pcap.session((LINUX, 40000), (MOUNT, 6162), b"a", b"b");
    pcap.silence((MOUNT, 50022), (LINUX, 22)).wait(30_000).session((LINUX, 40001), (MOUNT, 6162), b"a", b"b");
    pcap
}

/// Arguments, exit status, what standard error says, what standard output says.
type Row = (&'static str, i32, &'static [&'static str], &'static [&'static str]);

fn check(rows: &[Row]) {
    let dir = folder();
    for (args, status, errors, output) in rows {
        let args: Vec<&str> = args.split_whitespace().collect();
        let (got, out, err) = run(dir.path(), &args);
        let all = format!("portwitness {}\nstatus {got}\n--- stdout\n{out}--- stderr\n{err}", args.join(" "));
        assert_eq!(got, *status, "{all}");
        errors.iter().for_each(|e| assert!(err.contains(e), "stderr lacks {e:?}: {all}"));
        output.iter().for_each(|o| assert!(out.contains(o), "stdout lacks {o:?}: {all}"));
        assert!(err.is_empty() || err.starts_with("portwitness: ") || args.is_empty(), "{all}");
        assert!(!err.contains("panicked") && !err.contains('\u{1b}'), "{all}");
    }
}

#[test]
fn usage_errors_say_what_was_expected_and_end_with_status_2() {
    check(&[
        ("", 2, &["Usage: portwitness <COMMAND>"], &[]),
        ("frobnicate", 2, &["unrecognized subcommand 'frobnicate'"], &[]),
        ("verify", 2, &["<CAPTURE>"], &[]),
        ("verify --format xml good.pcap", 2, &["'xml'", "text, line, json"], &[]),
        ("verify --threads 0 good.pcap", 2, &["'0'", "--threads"], &[]),
        ("verify --at good.pcap", 2, &["PLACE=FILE"], &[]),
        ("verify --at moon=good.pcap", 2, &["--at moon", "a role, an address or \"mirror\""], &[]),
        ("verify --at mount-servr=good.pcap", 2, &["did you mean 'mount-server'?"], &[]),
        ("verify --site site.toml --at mnt02=good.pcap", 2, &["--at mnt02", "did you mean 'mnt01'?"], &[]),
        ("verify --site site.toml --at staging-server=good.pcap", 2, &["no host of site.toml"], &[]),
        ("verify --at mirror=good.pcap --at 10.77.0.12=good.pcap", 2, &["one place per capture"], &[]),
        ("flows", 2, &["<CAPTURE>"], &[]),
        ("explain image.shh", 2, &["image.shh", "image.ssh"], &[]),
        ("matrix show veem", 2, &["veem", "veeam-oracle-13.0.1"], &[]),
    ]);
}

#[test]
fn inputs_that_are_no_captures_are_named_with_the_reason() {
    check(&[
        ("verify nowhere.pcap", 2, &["cannot read nowhere.pcap: no such file", "no capture could be read"], &[]),
        ("verify captures", 2, &["cannot read captures: it is a directory; expected a pcap or pcapng file"], &[]),
        ("verify empty.pcap", 2, &["cannot read empty.pcap: it is empty"], &[]),
        ("verify header.pcap", 2, &["header.pcap", "10 of the 24 bytes"], &[]),
        ("verify text.pcap", 2, &["cannot read text.pcap: it is text; expected pcap or pcapng"], &[]),
        ("verify good.pcap/inside", 2, &["good.pcap/inside"], &[]),
        ("flows empty.pcap nowhere.pcap", 2, &["empty.pcap", "nowhere.pcap"], &[]),
    ]);
}

#[test]
fn configuration_errors_point_at_the_place() {
    check(&[
        ("verify --site nowhere.toml good.pcap", 2, &["cannot read nowhere.toml"], &[]),
        ("verify --site captures good.pcap", 2, &["captures: it is a directory"], &[]),
        ("verify --site broken.toml good.pcap", 2, &["broken.toml:1"], &[]),
        ("verify --site role.toml good.pcap", 2, &["role.toml:17", "repositry", "repository"], &[]),
        (
            "verify --site operation.toml good.pcap",
            2,
            &["operation.toml:3", "aplication-item", "application-item"],
            &[],
        ),
        ("verify --site any.toml good.pcap", 2, &["any.toml:22", "any"], &[]),
        ("verify --rules rules.toml good.pcap", 2, &["rules.toml:1", "id"], &[]),
        ("verify --rules nowhere.toml good.pcap", 2, &["cannot read nowhere.toml"], &[]),
        ("matrix lint nowhere.toml", 2, &["cannot read nowhere.toml"], &[]),
        ("matrix lint rules.toml", 1, &[], &["rules.toml:1"]),
    ]);
}

#[test]
fn a_pattern_that_matches_nothing_is_told() {
    let dir = folder();
    let (_, _, err) = run(dir.path(), &["verify", "--site", "points.toml", "good.pcap"]);
    let says = "points.toml: observation point mount-server expects mnt-*.pcap, which does not match good.pcap";
    assert!(err.contains(says), "{err}");
    let (_, out, err) = run(dir.path(), &["verify", "--site", "points.toml", "--at", "mount-server=good.pcap"]);
    assert!(err.is_empty() && out.contains("at mount-server"), "{out}{err}");
}

#[test]
fn help_fits_a_screen_and_has_an_example() {
    let dir = folder();
    for (args, lines) in [
        (&["--help"][..], 24),
        (&["verify", "--help"], 40),
        (&["flows", "--help"], 40),
        (&["explain", "--help"], 40),
        (&["matrix", "--help"], 40),
    ] {
        let (status, out, err) = run(dir.path(), args);
        assert_eq!((status, err.as_str()), (0, ""));
        assert!(out.lines().count() <= lines && out.contains("Example"), "{args:?}: {out}");
    }
    let (status, out, _) = run(dir.path(), &["--version"]);
    assert_eq!((status, out), (0, format!("portwitness {}\n", env!("CARGO_PKG_VERSION"))));
}

/// Starts it with a reader that is gone before the first byte.
fn with_closed_pipe(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut child = portwitness(folder, args)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    told(&child.wait_with_output().unwrap())
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let dir = folder();
    for args in [&["matrix", "list"][..], &["--help"], &["flows", "good.pcap"]] {
        assert_eq!(with_closed_pipe(dir.path(), args), (0, String::new(), String::new()), "{args:?}");
    }
    let verify = with_closed_pipe(dir.path(), &["verify", "--site", "site.toml", "blocked.pcap"]);
    assert_eq!(verify, (1, String::new(), String::new()), "the verdict stands whoever reads it");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_a_failure_of_the_run() {
    let dir = folder();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = portwitness(dir.path(), &["matrix", "list"]).stdout(full).output().unwrap();
    let (status, _, err) = told(&output);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("cannot write to standard output"), "{err}");
}

#[test]
fn one_unreadable_capture_of_many_is_told_and_forbids_a_pass() {
    let dir = folder();
    let (status, out, err) = run(dir.path(), &["verify", "--site", "site.toml", "good.pcap", "text.pcap"]);
    assert!(matches!(status, 1 | 3), "{out}{err}");
    assert!(err.contains("cannot read text.pcap"), "{err}");
    assert!(out.contains("text.pcap: unreadable") && out.contains("cannot be read: it is text"), "{out}");
}

#[test]
fn damage_repeats_and_expired_exceptions_are_in_the_report() {
    check(&[
        ("verify cut.pcap", 3, &[], &["damage", "the file ends in the middle of a record"]),
        ("verify good.pcap good.pcap ./good.pcap", 3, &[], &["the same capture was given before, 2 times"]),
        (
            "verify --format line good.pcap",
            3,
            &[],
            &["portwitness INCONCLUSIVE", "capture good.pcap 2026-11-20T21:00:00Z"],
        ),
    ]);
    let dir = folder();
    let (_, out, err) = run(dir.path(), &["verify", "--site", "expired.toml", "good.pcap"]);
    assert!(out.contains("expired, ignored") && out.contains("line 20"), "{out}{err}");
}

#[test]
fn a_blocked_port_is_on_the_first_screen_with_what_to_do() {
    let dir = folder();
    let (status, out, err) = run(dir.path(), &["verify", "--site", "site.toml", "blocked.pcap"]);
    assert_eq!((status, err.as_str()), (1, ""), "{out}");
    let screen: Vec<&str> = out.lines().take(24).collect();
    let screen = screen.join("\n");
    for part in ["FAIL", "image.ssh", "mnt01 (10.77.0.12)", "lin01 (10.77.1.22)", "tcp/22", "unanswered", "next"] {
        assert!(screen.contains(part), "the first screen lacks {part}: {out}");
    }
    let (status, line, _) = run(dir.path(), &["verify", "--site", "site.toml", "--format", "line", "blocked.pcap"]);
    assert_eq!((status, line.lines().count()), (1, 1));
    assert!(line.contains("blocked: image.ssh mnt01 (10.77.0.12) -> lin01 (10.77.1.22) tcp/22 unanswered"), "{line}");
}

#[test]
fn flows_are_listed_one_per_line() {
    let dir = folder();
    let (status, out, err) = run(dir.path(), &["flows", "--format", "json", "good.pcap"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert_eq!(out.lines().count(), 3, "{out}");
    for line in out.lines() {
        let flow: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(flow["attempt"], "established");
        assert_eq!(flow["resp"], serde_json::json!({ "addr": "10.77.1.22", "port": 22, "host": null}));
        assert!(flow.get("class").is_none());
    }
    let (_, out, _) = run(dir.path(), &["flows", "good.pcap"]);
    assert_eq!(out.lines().count(), 4, "{out}");
    assert!(out.contains("10.77.0.12:50022 → 10.77.1.22:22"), "{out}");
}

#[test]
fn standard_input_is_a_capture_named_by_a_dash() {
    let dir = folder();
    let stdin = fs::File::open(dir.path().join("good.pcap")).unwrap();
    let output = portwitness(dir.path(), &["flows", "-"]).stdin(stdin).output().unwrap();
    let (status, out, err) = told(&output);
    assert_eq!((status, out.lines().count()), (0, 4), "{out}{err}");
}

#[test]
fn the_same_input_gives_the_same_bytes_whatever_the_threads() {
    let dir = folder();
    let one = |threads: &str| {
        run(dir.path(), &["verify", "--site", "site.toml", "--format", "json", "--threads", threads, "good.pcap"])
    };
    let first = one("1");
    assert!(matches!(first.0, 0 | 1 | 3), "{}", first.2);
    assert_eq!(first, one("4"));
    let value: serde_json::Value = serde_json::from_str(&first.1).unwrap();
    assert_eq!(value["schema"], "portwitness.report/1");
    assert_eq!(value["tool"]["run_at"], serde_json::Value::Null);
    let dated = portwitness(dir.path(), &["verify", "--format", "json", "good.pcap"])
        .env("SOURCE_DATE_EPOCH", "1600000000")
        .output()
        .unwrap();
    assert!(told(&dated).1.contains("\"run_at\": \"2020-09-13T12:26:40.000000000Z\""));
}
