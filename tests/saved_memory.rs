//! `--max-memory` holds for saved observations: as the system measures it, and what is left out is told.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod synth;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use synth::{ACK, Pk, SYN, pcap};

/// Flows of the large file.
const FLOWS: u32 = 24_000;
const MIB: u64 = 1 << 20;

fn packets(flows: u32) -> Vec<Pk> {
    let flow = |n: u32| {
        let (from, to) = ((10 + (n % 200) as u8, 1024 + (n / 200) as u16), (9, 443));
        let at = i64::from(n) * 10_000;
        [
            Pk::tcp(at, from, to, SYN, n, 0, b""),
            Pk::tcp(at + 1000, to, from, SYN | ACK, 7, n + 1, b""),
            Pk::tcp(at + 2000, from, to, ACK, n + 1, 8, b"SSH-2.0-x\r\n"),
        ]
    };
    (0..flows).flat_map(flow).collect()
}

fn saved(folder: &Path, name: &str, flows: u32) -> PathBuf {
    let (capture, saved) = (folder.join(format!("{name}.pcap")), folder.join(format!("{name}.obs")));
    fs::write(&capture, pcap(&packets(flows))).unwrap();
    let made =
        Command::new(env!("CARGO_BIN_EXE_portwitness")).arg("observe").arg(&capture).arg("-o").arg(&saved).status();
    assert!(made.unwrap().success());
    saved
}

/// Judges, and returns the report and the peak of resident memory, in bytes.
fn judged(file: &Path, most: &str) -> (Value, u64) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portwitness"))
        .args(["verify", "--format", "json", "--threads", "2", "--max-memory", most])
        .arg(file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let out = child.stdout.take().unwrap();
    let report = thread::spawn(move || serde_json::from_reader(out).unwrap());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or_default() * 1024);
        thread::sleep(Duration::from_millis(1));
    }
    (report.join().unwrap(), peak)
}

fn overflow(report: &Value) -> u64 {
    let problems = report["captures"].as_array().unwrap().iter().flat_map(|c| c["problems"].as_array().unwrap());
    problems.filter(|p| p["kind"] == "store_overflow").map(|p| p["count"].as_u64().unwrap()).sum()
}

#[test]
fn a_small_cap_holds_and_what_has_no_room_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (few, many) = (saved(folder.path(), "few", 100), saved(folder.path(), "many", FLOWS));
    let (_, base) = judged(&few, "16M");
    let (whole, wanted) = judged(&many, "1G");
    let (some, capped) = judged(&many, "16M");
    println!("peak: {} MiB for few flows, {} MiB uncapped, {} MiB capped", base / MIB, wanted / MIB, capped / MIB);
    assert!(wanted > base + 32 * MIB, "uncapped it takes no more than the cap: nothing is shown");
    assert!(capped <= base + 16 * MIB, "the cap does not hold");
    assert_eq!(overflow(&whole), 0);
    let told = overflow(&some);
    assert!(told > u64::from(FLOWS) / 2 && told < u64::from(FLOWS), "{told} flows without room");
}
