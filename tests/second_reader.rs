//! The flows of every bundled capture as two other readers see them: tshark packet by packet, nfdump flow by flow.
//!
//! Both are installed by `tests/setup.sh`. Without one of them its test is skipped and says so; under CI that is a failure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise, and so may its helpers"
)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Source address and port, destination address and port.
type Way = (String, u16, String, u16);
/// Packets and bytes; which bytes is the reader's choice.
type Sums = BTreeMap<Way, (u64, u64)>;

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "pcap" || e == "pcapng"))
        .collect();
    all.sort();
    assert!(all.len() > 10, "the bundled captures");
    all
}

/// Whether a program is there; says so where it is not.
fn available(program: &str, version: &str) -> bool {
    let found = Command::new(program).arg(version).output().is_ok();
    if !found {
        assert!(std::env::var_os("CI").is_none(), "CI must have {program}: tests/setup.sh installs it");
        let _ = writeln!(std::io::stderr(), "SKIP readers: {program} is not installed");
    }
    found
}

fn output(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Our TCP flows by direction: packets, and either payload or IP bytes.
fn ours(capture: &Path, payload: bool) -> Sums {
    let text = output(env!("CARGO_BIN_EXE_portwitness"), &["flows", "--format", "json", capture.to_str().unwrap()]);
    let mut sums = Sums::new();
    for line in text.lines() {
        let f: serde_json::Value = serde_json::from_str(line).unwrap();
        if f["proto"] != "tcp" {
            continue;
        }
        let end = |e: &str| {
            let port = u16::try_from(f[e]["port"].as_u64().unwrap()).unwrap();
            (f[e]["addr"].as_str().unwrap().to_owned(), port)
        };
        let ((o, op), (r, rp)) = (end("orig"), end("resp"));
        let bytes = if payload { ["orig_payload", "resp_payload"] } else { ["orig_bytes", "resp_bytes"] };
        for (way, packets, bytes) in
            [((o.clone(), op, r.clone(), rp), "orig_packets", bytes[0]), ((r, rp, o, op), "resp_packets", bytes[1])]
        {
            let sum = sums.entry(way).or_default();
            sum.0 += f[packets].as_u64().unwrap();
            sum.1 += f[bytes].as_u64().unwrap();
        }
    }
    sums.retain(|_, s| s.0 > 0);
    sums
}

fn tsharks(capture: &Path) -> Sums {
    let fields = ["ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport", "tcp.len"];
    let mut args = vec!["-n", "-r", capture.to_str().unwrap(), "-Y", "tcp && !icmp && !icmpv6", "-T", "fields"];
    args.extend(fields.iter().flat_map(|f| ["-e", f]));
    let mut sums = Sums::new();
    for line in output("tshark", &args).lines() {
        let f: Vec<&str> = line.split('\t').collect();
        let either = |a: usize| if f[a].is_empty() { f[a + 1] } else { f[a] }.to_owned();
        let port = |i: usize| f[i].parse::<u16>().unwrap();
        let sum = sums.entry((either(0), port(2), either(3), port(5))).or_default();
        sum.0 += 1;
        sum.1 += f[6].parse::<u64>().unwrap();
    }
    sums
}

fn nfdumps(capture: &Path) -> Sums {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    let _ = output("nfpcapd", &["-r", capture.to_str().unwrap(), "-l", folder]);
    let text =
        output("nfdump", &["-q", "-N", "-R", folder, "-o", "fmt:%pr|%sa|%sp|%da|%dp|%ipkt|%ibyt", "-6", "proto tcp"]);
    let mut sums = Sums::new();
    for line in text.lines() {
        let f: Vec<&str> = line.split('|').map(str::trim).collect();
        let [proto, sa, sp, da, dp, packets, bytes] = f.as_slice() else { continue };
        if !matches!(*proto, "TCP" | "6") {
            continue;
        }
        let way = ((*sa).to_owned(), sp.parse().unwrap(), (*da).to_owned(), dp.parse().unwrap());
        let sum = sums.entry(way).or_default();
        sum.0 += packets.parse::<u64>().unwrap();
        sum.1 += bytes.parse::<u64>().unwrap();
    }
    sums
}

#[test]
fn tshark_sees_the_same_packets_and_payload_in_every_direction() {
    if !available("tshark", "--version") {
        return;
    }
    for capture in captures() {
        assert_eq!(ours(&capture, true), tsharks(&capture), "{}", capture.display());
    }
}

#[test]
fn nfdump_sees_the_same_packets_and_bytes_where_it_can_read() {
    if !available("nfpcapd", "-V") {
        return;
    }
    let mut compared = 0;
    for capture in captures() {
        let theirs = nfdumps(&capture);
        if theirs.is_empty() {
            // It knows Ethernet and the first cooked format only.
            let _ = writeln!(std::io::stderr(), "nfdump reads nothing from {}", capture.file_name().unwrap().display());
            continue;
        }
        compared += 1;
        assert_eq!(ours(&capture, false), theirs, "{}", capture.display());
    }
    assert!(compared > 10, "only {compared} captures compared");
}
