//! Endpoint-mapper answers of public captures against what a reference dissector saw in them, every row.
//!
//! The captures are not part of the project: `PORTWITNESS_CORPUS` names the folder. Without it the test is skipped and says so; under CI that
//! is a failure.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use portwitness::base::{InputId, Proto};
use portwitness::capture::CaptureFile;
use portwitness::flow::{EndPoint, Flow, FlowKey};
use portwitness::observe::{Observation, Options, observe};

/// Rows of `truth/EPM.tsv` (file, frame) that differ, and why that is right.
const EXCEPTIONS: &[(&str, u64, &str)] = &[];

/// NDR, and "no object": in every list of UUIDs and no interface.
const NO_INTERFACE: [&str; 2] = ["8a885d04-1ceb-11c9-9fe8-08002b104860", "00000000-0000-0000-0000-000000000000"];

fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("PORTWITNESS_CORPUS").map(PathBuf::from);
    if folder.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI must set PORTWITNESS_CORPUS");
        let _ = writeln!(std::io::stderr(), "SKIP corpus_mapper: PORTWITNESS_CORPUS names no folder of captures");
    }
    folder
}

type Row = BTreeMap<String, String>;

fn table(path: &Path) -> Vec<Row> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let row = |line: &str| names.iter().zip(line.split('\t')).map(|(n, v)| ((*n).to_owned(), v.to_owned())).collect();
    lines.filter(|l| !l.is_empty()).map(row).collect()
}

fn read(path: &Path) -> Observation {
    observe(vec![(InputId(0), CaptureFile::open(path, InputId(0)))], &Options::default()).unwrap()
}

fn key(addrs: [&str; 2], ports: [&str; 2]) -> FlowKey {
    let end = |i: usize| EndPoint { addr: addrs[i].parse().unwrap(), port: ports[i].parse().unwrap() };
    FlowKey::new(Proto::Tcp, end(0), end(1)).0
}

fn items(list: &str) -> Vec<&str> {
    list.split(',').filter(|s| !s.is_empty()).collect()
}

/// What the row's frame gave out: interface, address, port, in order.
fn expected(row: &Row) -> Vec<(String, IpAddr, u16)> {
    let interfaces = items(&row["uuids"]).into_iter().filter(|u| !NO_INTERFACE.contains(u));
    let places = items(&row["epm_ip"]).into_iter().zip(items(&row["epm_tcp_port"]));
    interfaces.zip(places).map(|(u, (a, p))| (u.to_owned(), a.parse().unwrap(), p.parse().unwrap())).collect()
}

/// Compares one row; a difference in words.
fn differs(row: &Row, flows: &[Flow], streams: &[Row]) -> Option<String> {
    let mine = key([&row["src"], &row["dst"]], [&row["sport"], &row["dport"]]);
    let frame: u64 = row["frame"].parse().unwrap();
    let answers = || flows.iter().filter(|f| f.key == mine).flat_map(|f| &f.evidence.mapper);
    if row["dcerpc_pkt_type"] != "2" {
        // A request: what it asks for is what some answer of the connection is for.
        let asked = items(&row["uuids"]).into_iter().find(|u| !NO_INTERFACE.contains(u));
        let answered = |u: &str| answers().any(|a| a.interface == u);
        return asked.filter(|u| !answered(u)).map(|u| format!("{u} was asked for and no answer is for it"));
    }
    let found: Vec<_> =
        answers().filter(|a| a.at.at.frame == frame).map(|a| (a.interface.clone(), a.addr, a.port)).collect();
    let told = expected(row);
    if found != told {
        return Some(format!("{found:?}, not {told:?}"));
    }
    // `192.168.0.2:4997->streams 16/17; `
    for use_of in row["follow_up"].split(';').map(str::trim).filter(|s| !s.is_empty()) {
        let (place, numbers) = use_of.split_once("->streams ").unwrap();
        let (addr, port) = place.rsplit_once(':').unwrap();
        let place = EndPoint { addr: addr.parse().unwrap(), port: port.parse().unwrap() };
        let stream = |n: &str| {
            let s = streams.iter().find(|s| s["stream"] == n).unwrap();
            key([&s["src"], &s["dst"]], [&s["sport"], &s["dport"]])
        };
        let theirs: BTreeSet<FlowKey> = numbers.split('/').map(|n| stream(n.trim())).collect();
        let ours: BTreeSet<FlowKey> =
            flows.iter().filter(|f| f.key.proto == Proto::Tcp && f.key.ends.contains(&place)).map(|f| f.key).collect();
        if ours != theirs {
            return Some(format!("{place:?} was used by {ours:?}, not {theirs:?}"));
        }
    }
    None
}

#[test]
fn endpoint_mapper_answers_equal_the_reference_row_by_row() {
    let Some(folder) = corpus() else { return };
    let rows = table(&folder.join("truth/EPM.tsv"));
    assert!(rows.len() > 10, "no truth");
    let mut seen: BTreeMap<String, (Vec<Flow>, Vec<Row>)> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    let mut ports = 0;
    for row in &rows {
        let file = &row["file"];
        let (flows, streams) = seen.entry(file.clone()).or_insert_with(|| {
            (read(&folder.join("files").join(file)).flows, table(&folder.join(format!("truth/{file}.tcp.tsv"))))
        });
        ports += if row["dcerpc_pkt_type"] == "2" { expected(row).len() } else { 0 };
        let frame: u64 = row["frame"].parse().unwrap();
        let exception = EXCEPTIONS.iter().position(|(f, n, _)| f == file && *n == frame);
        match (differs(row, flows, streams), exception) {
            (Some(why), None) => wrong.push(format!("{file} frame {frame}: {why}")),
            (Some(_), Some(i)) => {
                used.insert(i);
            }
            (None, _) => {}
        }
    }
    let stale: Vec<_> = (0..EXCEPTIONS.len()).filter(|i| !used.contains(i)).map(|i| EXCEPTIONS[i]).collect();
    assert!(wrong.is_empty() && stale.is_empty(), "{}\nstale: {stale:?}", wrong.join("\n"));
    println!("{} rows, {ports} ports", rows.len());
    assert!(ports >= 5, "the reference names ports");
}
