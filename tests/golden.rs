//! The bundled captures through the real binary: outcomes as a table, and whole reports kept word for word.
//!
//! `PORTWITNESS_BLESS=1 cargo test --test golden` writes the kept reports anew; read the difference before committing it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a test stops at the first surprise, and so may its helpers"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Situation, place, file ending, exit status, and outcomes by rule and service.
type Row = (&'static str, &'static str, &'static str, i32, &'static [(&'static str, &'static str, &'static str)]);

const CONSOLE_SIDE: [(&str, &str, &str); 5] = [
    ("image.console", "tcp/443", "satisfied"),
    ("image.rpc-deploy", "tcp/445", "satisfied"),
    ("image.rpc-deploy", "tcp/135", "satisfied"),
    ("image.rpc-dynamic", "tcp/49152-65535", "satisfied"),
    ("image.oracle-runtime", "tcp/1035-1075", "satisfied"),
];

const MOUNT_SIDE: [(&str, &str, &str); 3] = [
    ("image.installer", "tcp/6160", "satisfied"),
    ("image.installer", "tcp/445", "satisfied"),
    ("image.iscsi", "tcp/3260-3270", "satisfied"),
];

const CASES: &[Row] = &[
    ("restore-clean", "console", "pcapng", 0, &CONSOLE_SIDE),
    ("restore-clean", "mount-server", "pcap", 0, &MOUNT_SIDE),
    (
        "restore-clean",
        "mount-server",
        "pcap",
        0,
        &[("image.data-mover", "tcp/6162", "satisfied"), ("image.rpc-deploy", "tcp/445", "not_observable")],
    ),
    ("restore-clean", "target-windows", "pcap", 0, &MOUNT_SIDE),
    (
        "restore-clean",
        "target-windows",
        "pcap",
        0,
        &[
            ("image.rpc-deploy", "tcp/445", "satisfied"),
            ("image.rpc-dynamic", "tcp/49152-65535", "satisfied"),
            ("image.oracle-runtime", "tcp/1035-1075", "satisfied"),
            ("image.data-mover", "tcp/6162", "not_observable"),
        ],
    ),
    ("restore-clean", "router", "pcap", 0, &CONSOLE_SIDE),
    ("restore-clean", "router", "pcap", 0, &MOUNT_SIDE),
    (
        "rpc-dynamic-dropped",
        "console",
        "pcapng",
        1,
        &[
            ("image.rpc-deploy", "tcp/445", "satisfied"),
            ("image.rpc-dynamic", "tcp/49152-65535", "blocked"),
            ("image.oracle-runtime", "tcp/1035-1075", "not_observable"),
            ("image.data-mover", "tcp/6162", "not_observable"),
        ],
    ),
    (
        "rpc-dynamic-dropped",
        "target-windows",
        "pcap",
        3,
        &[
            ("image.rpc-deploy", "tcp/445", "satisfied"),
            ("image.rpc-dynamic", "tcp/49152-65535", "inconclusive"),
            ("image.oracle-runtime", "tcp/1035-1075", "inconclusive"),
            ("image.iscsi", "tcp/3260-3270", "inconclusive"),
        ],
    ),
    (
        "rpc-dynamic-dropped",
        "mount-server",
        "pcap",
        3,
        &[
            ("image.rpc-dynamic", "tcp/49152-65535", "not_observable"),
            ("image.data-mover", "tcp/6162", "inconclusive"),
            ("image.iscsi", "tcp/3260-3270", "inconclusive"),
        ],
    ),
    ("data-mover-fallback", "mount-server", "pcap", 0, &[("image.data-mover", "tcp/6162", "satisfied_by_fallback")]),
    ("data-mover-fallback", "mount-server", "pcap", 0, &MOUNT_SIDE),
    (
        "data-mover-fallback",
        "repository",
        "pcap",
        0,
        &[
            ("image.data-mover", "tcp/6162", "satisfied_by_fallback"),
            ("image.iscsi", "tcp/3260-3270", "not_observable"),
        ],
    ),
    ("data-mover-fallback", "target-windows", "pcap", 0, &MOUNT_SIDE),
    ("data-mover-fallback", "console", "pcapng", 0, &CONSOLE_SIDE),
];

/// One recording per further situation and its exit status; `captures/README.md` says what each shows.
const RANGE: &[(&str, &str, i32)] = &[
    ("publish-installer-reset", "mount-server.pcap", 1),
    ("instant-iscsi-half-open", "target-windows.pcap", 1),
    ("enterprise-runtime-refused", "mirror.pcap", 1),
    ("export-mapper-prohibited", "console.pcapng", 0),
    ("linux-shared-host", "target-linux.pcap", 0),
    ("own-firewall", "mirror.pcap", 1),
    ("plugin-windows", "target-windows.pcap", 0),
    ("plugin-linux-prohibited", "target-linux.pcap", 1),
    ("two-targets", "console.pcapng", 1),
    ("ipv6-lossy", "target-windows.pcap", 0),
    ("dual-stack-unreachable", "console.pcapng", 1),
    ("nat-black-hole", "target-windows.pcap", 1),
    ("strangers", "mirror.pcap", 1),
    ("wrong-service", "console.pcapng", 1),
];

/// Runs `verify` on a bundled capture, from the project's root so that paths in reports are relative.
fn verify(situation: &str, capture: &str, more: &[&str]) -> (String, i32) {
    let site = format!("captures/{situation}.site.toml");
    let out = Command::new(env!("CARGO_BIN_EXE_portwitness"))
        .env("LC_ALL", "C.UTF-8")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("SOURCE_DATE_EPOCH")
        .args(["verify", "--site", &site, capture])
        .args(more)
        .output()
        .unwrap();
    (String::from_utf8(out.stdout).unwrap(), out.status.code().unwrap())
}

fn json(situation: &str, capture: &str) -> (Value, i32) {
    let (text, status) = verify(situation, capture, &["--format", "json"]);
    (serde_json::from_str(&text).unwrap(), status)
}

#[test]
fn the_bundled_situations_are_judged_right_from_every_place() {
    for (situation, place, ending, status, outcomes) in CASES {
        let capture = format!("captures/{situation}.{place}.{ending}");
        let (report, got) = json(situation, &capture);
        assert_eq!(got, *status, "{capture}: {}", report["reasons"]);
        for (rule, service, outcome) in *outcomes {
            let found: Vec<&Value> = report["requirements"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|r| r["rule"] == *rule && r["service"] == *service)
                .map(|r| &r["outcome"])
                .collect();
            assert_eq!(found, [outcome], "{capture}: {rule} {service}");
        }
        let counted = |class: &str| report["classes"][class].as_u64().unwrap();
        assert_eq!(
            (counted("unexpected"), counted("unexpected_warning")),
            (0, 0),
            "{capture}: nothing strange was played"
        );
    }
}

#[test]
fn all_places_of_a_situation_together_leave_nothing_out_of_sight() {
    let run = |situation: &str| {
        let mut captures: Vec<String> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("captures"))
            .unwrap()
            .map(|e| format!("captures/{}", e.unwrap().file_name().to_str().unwrap()))
            .filter(|f| {
                f.starts_with(&format!("captures/{situation}.")) && f.contains(".pcap") && !f.contains("router")
            })
            .collect();
        captures.sort();
        let (first, rest) = captures.split_first().unwrap();
        let mut more = vec!["--format", "json"];
        more.extend(rest.iter().map(String::as_str));
        let (text, status) = verify(situation, first, &more);
        (serde_json::from_str::<Value>(&text).unwrap(), status)
    };
    let (clean, status) = run("restore-clean");
    assert_eq!((clean["headline"].as_str(), status), (Some("PASS, 6 of 6 required in view"), 0));
    let (dropped, status) = run("rpc-dynamic-dropped");
    assert_eq!(status, 1);
    let of = |rule: &str| {
        let all = dropped["requirements"].as_array().unwrap();
        all.iter().find(|r| r["rule"] == rule).unwrap()["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!(of("image.rpc-dynamic"), "blocked");
    assert_eq!(of("image.oracle-runtime"), "inconclusive", "the same stage: it may or may not have been due");
    for later in ["image.data-mover", "image.installer", "image.iscsi"] {
        assert_eq!(of(later), "not_reached", "one cause, not five");
    }
    let (fallback, status) = run("data-mover-fallback");
    assert_eq!((fallback["headline"].as_str(), status), (Some("PASS, 6 of 6 required in view"), 0));
}

#[test]
fn captures_of_several_places_in_the_short_form_are_told_apart_by_their_packets() {
    let dir = tempfile::tempdir().unwrap();
    let site = dir.path().join("site.toml");
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/site.toml")).unwrap();
    std::fs::write(&site, format!("observed_from = [\"console\", \"mount-server\"]\n{text}")).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_portwitness"))
        .env("LC_ALL", "C.UTF-8")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["verify", "--format", "json", "--site"])
        .arg(&site)
        .args(["captures/restore-clean.mount-server.pcap", "captures/restore-clean.console.pcapng"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    let places: Vec<&str> =
        report["observation_points"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(places, ["mount-server", "console"]);
    assert_eq!(report["headline"], "PASS, 6 of 6 required in view");
}

#[test]
fn reports_stay_word_for_word() {
    for (situation, capture) in [
        ("restore-clean", "captures/restore-clean.mount-server.pcap"),
        ("rpc-dynamic-dropped", "captures/rpc-dynamic-dropped.console.pcapng"),
        ("rpc-dynamic-dropped", "captures/rpc-dynamic-dropped.target-windows.pcap"),
        ("data-mover-fallback", "captures/data-mover-fallback.mount-server.pcap"),
    ] {
        for (format, ending) in [("text", "txt"), ("json", "json"), ("line", "line")] {
            let (text, _) = verify(situation, capture, &["--format", format]);
            let name = Path::new(capture).file_stem().unwrap().to_str().unwrap();
            compare(&kept(&format!("{name}.{ending}")), &text);
        }
    }
}

#[test]
fn the_range_of_situations_stays_word_for_word() {
    for (situation, place, status) in RANGE {
        let capture = format!("captures/{situation}.{place}");
        for (format, ending) in [("text", "txt"), ("json", "json")] {
            let (text, got) = verify(situation, &capture, &["--format", format]);
            assert_eq!(got, *status, "{capture}: {text}");
            let name = Path::new(&capture).file_stem().unwrap().to_str().unwrap();
            compare(&kept(&format!("{name}.{ending}")), &text);
        }
    }
}

#[test]
fn the_bundled_captures_are_small() {
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")).unwrap();
    let sizes: Vec<u64> = entries.map(|e| e.unwrap().metadata().unwrap().len()).collect();
    assert!(sizes.iter().all(|s| *s < 300_000) && sizes.iter().sum::<u64>() < 4_000_000, "{sizes:?}");
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let capture = "captures/restore-clean.router.pcap";
    let run = |n: &str| verify("restore-clean", capture, &["--format", "json", "--threads", n]).0;
    let one = run("1");
    for n in ["2", "3", "8"] {
        assert_eq!(run(n), one, "{n} threads");
    }
}

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn compare(path: &Path, text: &str) {
    if std::env::var_os("PORTWITNESS_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == text,
        "{} differs; PORTWITNESS_BLESS=1 keeps the new one. It is now:\n{text}",
        path.file_name().unwrap().display()
    );
}
