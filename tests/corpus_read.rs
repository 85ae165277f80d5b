//! Public captures with ground truth: every packet of every supported file is counted in the right flow.
//!
//! The captures lie outside the project; `PORTWITNESS_CORPUS` names their folder. Without it the test says so and passes,
//! except under CI, where it must be set.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::indexing_slicing, reason = "a test")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use portwitness::base::{InputId, ProblemKind};
use portwitness::capture::{CaptureFile, Event, FrameSource, InputMeta};
use portwitness::packet::{Body, Packet, TcpFlags, decode};

/// Why several of the lists' files are there.
const LINK: &str = "a link type that is not decoded, reported by name";
const CARRIER: &str =
    "first fragments of tunnels: the inner packet counts whole, tshark counts the fragment's share or none";
const FRAGMENT: &str = "a first fragment counts its own payload; tshark gives the datagram's length, or none for TCP";

/// Files whose flows are not compared, each with the reason. Their frames are counted all the same.
const FLOWS_DIFFER: &[(&str, &str)] = &[
    ("arkime__80211http.pcap", LINK),
    (
        "arkime__arkime_synthetic.pcap",
        "UDP length 0: the packet tells the payload; VXLAN-GPE without the P bit and ERSPAN with half a header: no tunnels",
    ),
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
    ("tcpdump__LINKTYPE_IPV4_invalid.pcap", "an IPv6 packet on a link of IPv4 only: malformed, though tshark reads it"),
    ("tcpdump__bigtcp-ipv4-vxlan-ipv4.pcap", "UDP length 0 (offload): tshark finds no payload, hence no VXLAN"),
    ("tcpdump__ipoib.pcap", LINK),
    ("zeek__nflog-http.pcap", LINK),
    ("zeek__wlanmon.pcap", LINK),
];

/// Files whose payload sums are not compared, each with the reason; packets and flags are.
const PAYLOAD_DIFFERS: &[(&str, &str)] = &[
    ("pcpp__ex_frag_http_req.pcap", FRAGMENT),
    ("pcpp__frag_with_padding.pcap", FRAGMENT),
    ("pcpp__ip4_fragments.pcap", FRAGMENT),
    ("suricata__defrag_bug-6887-defrag-ipv6-tcp_frag-ip-tcp.pcap", FRAGMENT),
    ("tcpdump__babel_update_oobr.pcap", "UDP lengths beyond their packets: the packet bounds the payload"),
    (
        "tcpdump__udp-length-heapoverflow.pcap",
        "the UDP length was not captured: the packet tells the payload, tshark says 0",
    ),
    ("zeek__erspan.pcap", CARRIER),
    ("zeek__ipv4_fragmented-3.pcap", FRAGMENT),
    ("zeek__ipv6-fragmented-dns.pcap", FRAGMENT),
    ("zeek__tunnels_gtp_gtp1_gn_normal_incl_fragmentation.pcap", CARRIER),
    ("zeek__tunnels_gtp_gtp2_different_udp_port.pcap", CARRIER),
];

/// Files that are not read at all, each with the words that must be in the error.
const NOT_READ: &[(&str, &str)] = &[];

/// Files of which another number of frames is read than tshark reads, with that number and the reason.
const FRAMES_DIFFER: &[(&str, u64, &str)] = &[
    ("pcapng-gen__output_be_basic_test018.pcapng", 4, "tshark counts custom blocks as packets"),
    ("pcapng-gen__output_le_advanced_test102.pcapng", 5, "tshark counts custom blocks as packets"),
    ("tcpdump__dsa.pcap", 8, "tshark does not know the link type and reads nothing"),
];

type Key = (&'static str, (IpAddr, u16), (IpAddr, u16));

/// What one side sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sent {
    packets: u64,
    payload: u64,
    syn: u64,
    syn_ack: u64,
    rst: u64,
    fin: u64,
}

/// Per flow, what the lower and what the upper end sent.
type Flows = BTreeMap<Key, [Sent; 2]>;

#[derive(Debug, Default)]
struct Seen {
    flows: Flows,
    problems: BTreeMap<(ProblemKind, String), u64>,
}

fn key(proto: &'static str, from: (IpAddr, u16), to: (IpAddr, u16)) -> (Key, usize) {
    if from <= to { ((proto, from, to), 0) } else { ((proto, to, from), 1) }
}

fn count(flows: &mut Flows, p: &Packet<'_>) {
    let (proto, ports, sent) = match p.body {
        Body::Tcp(t) => {
            let has = |mask| u64::from(t.flags.has(mask));
            let ack = has(TcpFlags::ACK);
            let sent = Sent {
                packets: 1,
                payload: u64::from(t.payload_len),
                syn: has(TcpFlags::SYN) & (1 - ack),
                syn_ack: has(TcpFlags::SYN) & ack,
                rst: has(TcpFlags::RST),
                fin: has(TcpFlags::FIN),
            };
            ("tcp", (t.src_port, t.dst_port), sent)
        }
        Body::Udp(u) => {
            ("udp", (u.src_port, u.dst_port), Sent { packets: 1, payload: u64::from(u.payload_len), ..Sent::default() })
        }
        _ => return,
    };
    let (key, side) = key(proto, (p.src, ports.0), (p.dst, ports.1));
    let to = &mut flows.entry(key).or_default()[side];
    to.packets += sent.packets;
    to.payload += sent.payload;
    to.syn += sent.syn;
    to.syn_ack += sent.syn_ack;
    to.rst += sent.rst;
    to.fin += sent.fin;
}

fn read(source: &mut impl FrameSource) -> (Seen, InputMeta) {
    let mut seen = Seen::default();
    while let Some(event) = source.next() {
        let problem = match event {
            Event::Frame(frame) => {
                let decoded = decode(&frame);
                if let Some(p) = &decoded.packet {
                    count(&mut seen.flows, p);
                }
                decoded.issue.map(|i| i.problem(&frame))
            }
            Event::Problem(p) => Some(p),
            Event::Counted(_) | Event::Host(_) => unreachable!("in files there are none"),
        };
        if let Some(p) = problem {
            *seen.problems.entry((p.kind, p.detail)).or_default() += p.count;
        }
    }
    (seen, source.finish())
}

/// The flows tshark saw.
fn truth(path: &Path) -> Flows {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|l| l.split('\t').collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let mut flows = Flows::new();
    for row in lines {
        let text = |name: &str| row[names.iter().position(|n| *n == name).unwrap()];
        let number = |name: &str| text(name).parse::<u64>().unwrap();
        if number("pkts_ab") + number("pkts_ba") == 0 {
            continue; // Only ever carried other packets.
        }
        let end = |a: &str, p: &str| (text(a).parse().unwrap(), text(p).parse().unwrap());
        let proto = if text("proto") == "tcp" { "tcp" } else { "udp" };
        let (key, a) = key(proto, end("src", "sport"), end("dst", "dport"));
        for (side, direction, name) in [(a, "ab", "a"), (1 - a, "ba", "b")] {
            let flag = |f: &str| number(&format!("{f}_{name}"));
            flows.entry(key).or_default()[side] = Sent {
                packets: number(&format!("pkts_{direction}")),
                payload: number(&format!("payload_{direction}")),
                syn: flag("syn"),
                syn_ack: flag("synack"),
                rst: flag("rst"),
                fin: flag("fin"),
            };
        }
    }
    flows
}

fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("PORTWITNESS_CORPUS").map(PathBuf::from);
    assert!(folder.is_some() || std::env::var_os("CI").is_none(), "PORTWITNESS_CORPUS must be set under CI");
    if folder.is_none() {
        skip("corpus: PORTWITNESS_CORPUS names no folder of captures");
    }
    folder
}

/// Name and number of packets of every file.
fn index(folder: &Path) -> Vec<(String, Option<u64>)> {
    let text = std::fs::read_to_string(folder.join("INDEX.tsv")).unwrap();
    let rows = text.lines().skip(1).map(|l| l.split('\t').collect::<Vec<_>>());
    rows.map(|r| (r[0].to_owned(), r[4].parse().ok())).collect()
}

fn listed<'a, T>(list: &'a [T], name: &str, of: impl Fn(&T) -> &str) -> Option<&'a T> {
    list.iter().find(|t| of(t) == name)
}

#[test]
fn every_packet_of_the_corpus_is_counted_in_its_flow() {
    let Some(folder) = corpus() else { return };
    let mut wrong = Vec::new();
    for (name, packets) in index(&folder) {
        let path = folder.join("files").join(&name);
        let opened = CaptureFile::open(&path, InputId(0));
        let file = match (opened, listed(NOT_READ, &name, |e| e.0)) {
            (Err(e), Some((_, words))) if e.to_string().contains(words) => continue,
            (Err(e), _) => {
                wrong.push(format!("{name}: {e}"));
                continue;
            }
            (Ok(_), Some(_)) => {
                wrong.push(format!("{name}: expected not to be readable"));
                continue;
            }
            (Ok(file), None) => file,
        };
        let (mut seen, meta) = read(&mut file.frames());
        let expected = listed(FRAMES_DIFFER, &name, |e| e.0).map_or(packets, |e| Some(e.1));
        if Some(meta.packets) != expected {
            wrong.push(format!("{name}: {} frames, expected {expected:?}; {:?}", meta.packets, seen.problems));
        }
        let mut flows = truth(&folder.join("truth").join(format!("{name}.flows.tsv")));
        if listed(PAYLOAD_DIFFERS, &name, |e| e.0).is_some() {
            if flows == seen.flows {
                wrong.push(format!("{name}: payload is equal now; take it off the list"));
            }
            [&mut flows, &mut seen.flows].into_iter().for_each(forget_payload);
        }
        let equal = flows == seen.flows;
        match listed(FLOWS_DIFFER, &name, |e| e.0) {
            Some(_) if equal => wrong.push(format!("{name}: flows are equal now; take it off the list")),
            None if !equal => wrong.push(difference(&name, &flows, &seen)),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{} files differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn forget_payload(flows: &mut Flows) {
    flows.values_mut().flatten().for_each(|s| s.payload = 0);
}

fn difference(name: &str, truth: &Flows, seen: &Seen) -> String {
    let mut out = format!("{name}: flows differ; {:?}\n", seen.problems);
    let keys: std::collections::BTreeSet<_> = truth.keys().chain(seen.flows.keys()).collect();
    for key in keys.into_iter().filter(|k| truth.get(k) != seen.flows.get(k)).take(4) {
        out += &format!("  {key:?}\n    truth {:?}\n    seen  {:?}\n", truth.get(key), seen.flows.get(key));
    }
    out
}

/// The listed reasons must name files that exist.
#[test]
fn no_exception_names_a_file_that_is_gone() {
    let Some(folder) = corpus() else { return };
    let names: Vec<String> = index(&folder).into_iter().map(|(n, _)| n).collect();
    let listed = FLOWS_DIFFER.iter().map(|e| e.0).chain(NOT_READ.iter().map(|e| e.0));
    let listed = listed.chain(PAYLOAD_DIFFERS.iter().map(|e| e.0));
    for name in listed.chain(FRAMES_DIFFER.iter().map(|e| e.0)) {
        assert!(names.iter().any(|n| n == name), "{name} is not in the corpus");
    }
}

/// Says what was not tested, past the runner that hides what passing tests print.
fn skip(what: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "SKIP {what}");
}
