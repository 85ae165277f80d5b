//! Flows of public captures against what a reference dissector saw in them.
//!
//! The captures are not part of the project: `PORTWITNESS_CORPUS` names the folder. Without it the tests are skipped and say so; under CI that
//! is a failure.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise"
)]

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use portwitness::base::{InputId, Known, PortSet, ProblemKind, Proto};
use portwitness::capture::CaptureFile;
use portwitness::flow::{End, EndPoint, FlowKey, Outcome, Side, attempt, orient};
use portwitness::observe::{Observation, Options, PairIndex, observe};
use portwitness::verdict::after;

/// Why several of them are there.
const LINK: &str = "a link type that is not decoded, reported by name";
const CARRIER: &str =
    "first fragments of tunnels: the inner packet counts whole, tshark counts the fragment's share or none";
const FRAGMENT: &str = "a first fragment counts its own payload; tshark gives the datagram's length, or none for TCP";

/// Where the comparison differs, and why that is right.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("arkime__80211http.pcap", LINK),
    (
        "arkime__arkime_synthetic.pcap",
        "UDP length 0: the packet tells the payload; VXLAN-GPE without the P bit and ERSPAN with half a header: no tunnels",
    ),
    ("pcpp__ex_frag_http_req.pcap", FRAGMENT),
    ("pcpp__frag_with_padding.pcap", FRAGMENT),
    ("pcpp__ip4_fragments.pcap", FRAGMENT),
    (
        "pcpp__pcapng-example.pcapng",
        "one interface's times are 2^64 minus some microseconds: far outside representable years",
    ),
    ("pcpp__pcapng-example.pcapng.zst", "as without compression"),
    (
        "suricata__decode-too-small_test.pcap",
        "UDP headers that are too short on the wire: malformed, though tshark shows their ports",
    ),
    (
        "suricata__defrag_bug-6887-defrag-ipv4-tcp-syn_frag-ip-tcp-syn.pcap",
        "a first fragment of 8 octets has no TCP flags",
    ),
    ("suricata__defrag_bug-6887-defrag-ipv6-tcp_frag-ip-tcp.pcap", FRAGMENT),
    ("tcpdump__LINKTYPE_IPV4_invalid.pcap", "an IPv6 packet on a link of IPv4 only: malformed, though tshark reads it"),
    ("tcpdump__babel_update_oobr.pcap", "UDP lengths beyond their packets: the packet bounds the payload"),
    (
        "tcpdump__bigtcp-ipv4-vxlan-ipv4.pcap",
        "UDP length 0 (offload): the packet tells the payload and the VXLAN in it, tshark says 0",
    ),
    ("tcpdump__ipoib.pcap", LINK),
    (
        "tcpdump__udp-length-heapoverflow.pcap",
        "the UDP length was not captured: the packet tells the payload, tshark says 0",
    ),
    ("zeek__erspan.pcap", CARRIER),
    ("zeek__ipv4_fragmented-3.pcap", FRAGMENT),
    ("zeek__ipv6-fragmented-dns.pcap", FRAGMENT),
    ("zeek__nflog-http.pcap", LINK),
    ("zeek__tunnels_gtp_gtp1_gn_normal_incl_fragmentation.pcap", CARRIER),
    ("zeek__tunnels_gtp_gtp2_different_udp_port.pcap", CARRIER),
    ("zeek__wlanmon.pcap", LINK),
];

/// Packets, IP bytes, payload bytes, and whether SYN, SYN-ACK, RST, FIN were sent.
type Facts = (u64, u64, u64, [bool; 4]);
type Table = BTreeMap<FlowKey, [Facts; 2]>;

fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("PORTWITNESS_CORPUS").map(PathBuf::from);
    if folder.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI must set PORTWITNESS_CORPUS");
        skip("corpus: PORTWITNESS_CORPUS names no folder of captures");
    }
    folder
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(folder.join("files")).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    assert!(!all.is_empty(), "no captures");
    all
}

fn read(path: &Path, options: &Options) -> Option<Observation> {
    observe(vec![(InputId(0), CaptureFile::open(path, InputId(0)))], options).ok()
}

fn truth(path: &Path) -> Table {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let mut table = Table::new();
    for line in lines.filter(|l| !l.is_empty()) {
        let fields: BTreeMap<&str, &str> = names.iter().copied().zip(line.split('\t')).collect();
        let number = |name: &str| fields[name].parse::<u64>().unwrap();
        let end = |addr: &str, port: &str| EndPoint {
            addr: fields[addr].parse::<IpAddr>().unwrap(),
            port: u16::try_from(number(port)).unwrap(),
        };
        let proto = if fields["proto"] == "tcp" { Proto::Tcp } else { Proto::Udp };
        let (key, a) = FlowKey::new(proto, end("src", "sport"), end("dst", "dport"));
        let facts = |way: &str, side: &str| {
            let flag = |name: &str| number(&format!("{name}_{side}")) > 0;
            let count = |name: &str| number(&format!("{name}_{way}"));
            (count("pkts"), count("ipbytes"), count("payload"), [flag("syn"), flag("synack"), flag("rst"), flag("fin")])
        };
        let row = table.entry(key).or_default();
        *a.of_mut(row) = facts("ab", "a");
        *a.other().of_mut(row) = facts("ba", "b");
    }
    table
}

fn facts(end: &End, syn: bool) -> Facts {
    (end.packets, end.ip_bytes, end.payload_bytes, [syn, end.syn_acks > 0, end.rsts > 0, end.fins > 0])
}

/// Flows summed over the instances of their 5-tuple.
fn seen(observation: &Observation) -> Table {
    let mut table = Table::new();
    let ported = |k: &FlowKey| matches!(k.proto, Proto::Tcp | Proto::Udp) && k.ends.iter().any(|e| e.port != 0);
    for flow in observation.flows.iter().filter(|f| ported(&f.key)) {
        let row = table.entry(flow.key).or_default();
        for side in [Side::A, Side::B] {
            let own = facts(flow.end(side), flow.syns.iter().any(|s| s.from == side));
            let sum = side.of_mut(row);
            *sum = (sum.0 + own.0, sum.1 + own.1, sum.2 + own.2, std::array::from_fn(|i| sum.3[i] || own.3[i]));
        }
    }
    table
}

/// What differs, in words.
fn differences(truth: &Table, seen: &Table) -> Vec<String> {
    let mut out = Vec::new();
    let keys: std::collections::BTreeSet<&FlowKey> = truth.keys().chain(seen.keys()).collect();
    for key in keys {
        let (mut t, s) = (truth.get(key).copied().unwrap_or_default(), seen.get(key).copied().unwrap_or_default());
        for (t, s) in t.iter_mut().zip(&s) {
            // The reference gives 0 for segmentation offload and jumbograms.
            if t.1 == 0 {
                t.1 = s.1;
            }
        }
        if t != s {
            let [a, b] = key.ends;
            let name = format!("{} {}:{} {}:{}", key.proto, a.addr, a.port, b.addr, b.port);
            out.push(format!("{name}\n      expected {t:?}\n      seen     {s:?}"));
        }
    }
    out
}

fn problems(o: &Observation) -> Vec<(String, u64)> {
    o.problems.iter().map(|p| (format!("{:?} {}", p.kind, p.detail), p.count)).collect()
}

#[test]
fn flows_equal_the_reference() {
    let Some(folder) = corpus() else { return };
    let exceptions: BTreeMap<&str, &str> = EXCEPTIONS.iter().copied().collect();
    let (mut wrong, mut stale, mut flows) = (Vec::new(), Vec::new(), 0);
    let all = captures(&folder);
    for path in &all {
        let name = path.file_name().unwrap().to_str().unwrap();
        let read = read(path, &Options::default());
        let seen = read.as_ref().map(seen).unwrap_or_default();
        flows += seen.len();
        let found = differences(&truth(&folder.join(format!("truth/{name}.flows.tsv"))), &seen);
        match (exceptions.get(name), found.is_empty()) {
            (None, false) => {
                let own = read.map_or("unreadable".into(), |o| format!("{:?}", problems(&o)));
                let shown = found.iter().take(3).cloned().collect::<Vec<_>>().join("\n    ");
                wrong.push(format!("{name}: {} tuples; own problems: {own}\n    {shown}", found.len()));
            }
            (Some(why), true) => stale.push(format!("{name}: {why}")),
            _ => {}
        }
    }
    println!("{} captures, {flows} flows, {} exceptions", all.len(), exceptions.len());
    assert!(wrong.is_empty(), "{} captures differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(stale.is_empty(), "exceptions that no longer differ: {stale:?}");
}

/// ICMP errors by what they quote: how many of `icmp:3/3@192.0.2.1`.
type Errors = BTreeMap<FlowKey, BTreeMap<String, u64>>;

/// Where ICMP errors differ, and why that is right.
const ICMP_EXCEPTIONS: &[(&str, &str)] = &[];

/// Rows of the reference that ICMP errors quote, as flows that were seen and as flows of which only the quotes were.
fn quoted(folder: &Path, name: &str) -> (Errors, BTreeMap<String, u64>) {
    let (mut of_flows, mut stray) = (Errors::new(), BTreeMap::new());
    for (proto, word) in [(Proto::Tcp, "tcp"), (Proto::Udp, "udp")] {
        let text = fs::read_to_string(folder.join(format!("truth/{name}.{word}.tsv"))).unwrap();
        let names: Vec<&str> = text.lines().next().unwrap().split('\t').collect();
        for line in text.lines().skip(1).filter(|l| !l.is_empty()) {
            let fields: BTreeMap<&str, &str> = names.iter().copied().zip(line.split('\t')).collect();
            let point = |addr: &str, port: &str| EndPoint {
                addr: fields[addr].parse().unwrap(),
                port: fields[port].parse().unwrap(),
            };
            let (key, _) = FlowKey::new(proto, point("src", "sport"), point("dst", "dport"));
            for error in fields["icmp_errs"].split([';', ',', ' ']).filter(|e| !e.is_empty()) {
                let (what, count) = error.rsplit_once('x').unwrap();
                let count: u64 = count.parse().unwrap();
                if fields["state"] == "quoted_only" {
                    *stray.entry(what.split_once('@').unwrap().0.to_owned()).or_default() += count;
                } else {
                    *of_flows.entry(key).or_default().entry(what.to_owned()).or_default() += count;
                }
            }
        }
    }
    (of_flows, stray)
}

fn errors(observation: &Observation) -> Errors {
    let mut errors = Errors::new();
    for flow in observation.flows.iter().filter(|f| matches!(f.key.proto, Proto::Tcp | Proto::Udp)) {
        for e in &flow.icmp {
            let what = format!("{}:{}/{}@{}", if e.v6 { "icmpv6" } else { "icmp" }, e.ty, e.code, e.reporter);
            *errors.entry(flow.key).or_default().entry(what).or_default() += e.count;
        }
    }
    errors
}

/// ICMP errors about flows that were not seen, by `icmp:3/3`.
fn strays(observation: &Observation) -> BTreeMap<String, u64> {
    let of = observation.problems.iter().filter(|p| p.kind == ProblemKind::OrphanIcmp);
    of.map(|p| (p.detail.to_lowercase().replace(' ', ":"), p.count)).collect()
}

#[test]
fn icmp_errors_equal_the_reference_by_type_code_reporter_and_flow() {
    let Some(folder) = corpus() else { return };
    let exceptions: BTreeMap<&str, &str> = ICMP_EXCEPTIONS.iter().copied().collect();
    let (mut wrong, mut stale, mut rows) = (Vec::new(), Vec::new(), 0);
    for path in captures(&folder) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let (truth, truth_stray) = quoted(&folder, name);
        rows += truth.values().flat_map(BTreeMap::values).sum::<u64>() + truth_stray.values().sum::<u64>();
        let read = read(&path, &Options::default());
        let (own, own_stray) = read.as_ref().map(|o| (errors(o), strays(o))).unwrap_or_default();
        // What is quoted of other protocols than TCP and UDP is a stray of ours, too.
        let lacks = truth_stray.iter().any(|(what, n)| own_stray.get(what).is_none_or(|own| own < n));
        match (exceptions.get(name), truth != own || lacks) {
            (None, true) => {
                wrong.push(format!("{name}:\n  expected {truth:?} {truth_stray:?}\n  seen     {own:?} {own_stray:?}"));
            }
            (Some(why), false) => stale.push(format!("{name}: {why}")),
            _ => {}
        }
    }
    assert!(rows >= 51, "{rows} ICMP errors");
    assert!(wrong.is_empty(), "{} captures differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(stale.is_empty(), "exceptions that no longer differ: {stale:?}");
}

#[test]
fn threads_and_segments_change_nothing() {
    let Some(folder) = corpus() else { return };
    for path in captures(&folder) {
        let whole = read(&path, &Options { threads: 1, segment_len: u64::MAX });
        for (threads, segment_len) in [(2, 500), (3, 4_000)] {
            let cut = read(&path, &Options { threads, segment_len });
            assert_eq!(whole, cut, "{} in segments of {segment_len}", path.display());
        }
    }
}

#[test]
fn truncated_captures_are_read_up_to_the_damage() {
    let Some(folder) = corpus() else { return };
    let scratch = tempfile::tempdir().unwrap();
    for path in captures(&folder) {
        let bytes = fs::read(&path).unwrap();
        let whole = read(&path, &Options::default()).map_or(0, |o| o.inputs[0].packets);
        for tenth in 0..10 {
            for back in [0, 1, 7] {
                let cut = (bytes.len() * tenth / 10).saturating_sub(back);
                let file = scratch.path().join("cut");
                fs::write(&file, &bytes[..cut]).unwrap();
                let packets =
                    read(&file, &Options { threads: 2, segment_len: 100_000 }).map_or(0, |o| o.inputs[0].packets);
                assert!(packets <= whole, "{} cut at {cut}", path.display());
            }
        }
    }
}

/// Says what was not tested, past the runner that hides what passing tests print.
fn skip(what: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "SKIP {what}");
}

/// Each was looked at packet by packet: 15 minutes of silence, then data that meet a RST of a stack that knows of no connection.
const BROKEN: &[(&str, &str)] = &[("arkime__long-session.pcap", "idle_cut")];

#[test]
fn of_all_the_resets_and_repeats_in_the_corpus_nothing_but_the_known_is_a_broken_connection() {
    let Some(folder) = corpus() else { return };
    let (mut broken, mut resets) = (Vec::new(), 0);
    for path in captures(&folder) {
        let Some(seen) = read(&path, &Options::default()) else { continue };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let pairs = PairIndex::new(&seen);
        for flow in &seen.flows {
            let direction = orient(flow, &PortSet::none());
            let told = attempt(flow, &direction, &|| pairs.context(&seen, flow, &direction, Known::Unknown));
            resets += u64::from(told.outcome == Outcome::Established && flow.ends.iter().any(|e| e.rsts > 0));
            broken
                .extend(after(flow, &direction, &told, &|t| seen.open_after(t)).map(|a| (name.clone(), a.what.name())));
        }
    }
    assert!(resets > 25, "{resets} established connections that a RST ended: too few to mean anything");
    let known: Vec<(String, &str)> = BROKEN.iter().map(|(f, w)| ((*f).to_owned(), *w)).collect();
    assert_eq!(broken, known);
}
