//! Saved observations: what is saved judges as the captures do, appends as they do, and survives any damage.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise"
)]

mod support;
mod synth;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portwitness::app::{AppProto, Speaks};
use portwitness::base::{InputId, ProblemKind};
use portwitness::capture::CaptureFile;
use portwitness::flow::Flow;
use portwitness::observe::{Collected, Keep, Limits, Observation, Options, Saved, collect};
use proptest::prelude::*;
use serde_json::Value;
use support::run;
use synth::random::packets;
use synth::{Pk, addr, pcap};

/// Captures and saved observations in a folder, by number.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// Observes captures and saved observations, numbered from 0 in the order given.
fn collected(paths: &[PathBuf]) -> Collected {
    collected_by(paths, &Options::default(), &Limits::default())
}

fn collected_by(paths: &[PathBuf], options: &Options, limits: &Limits) -> Collected {
    let (mut captures, mut saved, mut next) = (Vec::new(), Vec::new(), 0_u32);
    for path in paths {
        match Saved::open(path).unwrap() {
            Some(file) => {
                let n = file.inputs() as u32;
                saved.push((file, (next..next + n).map(InputId).collect()));
                next += n;
            }
            None => {
                let id = InputId(next);
                captures.push((id, CaptureFile::open(path, id).map(CaptureFile::hashed)));
                next += 1;
            }
        }
    }
    collect(captures, saved, options, limits).unwrap()
}

fn save(paths: &[PathBuf], to: PathBuf) -> PathBuf {
    let mut bytes = Vec::new();
    collected(paths).save(&mut bytes).unwrap();
    fs::write(&to, bytes).unwrap();
    to
}

fn observed(paths: &[PathBuf]) -> Observation {
    collected(paths).finish()
}

/// Without what first bytes are needed for, which a seam may have parted from the handshake: digests of them.
fn undigested(mut o: Observation) -> Observation {
    o.flows.iter_mut().flat_map(|f| &mut f.ends).for_each(|e| e.heads = [None; 3]);
    o
}

/// Without evidence, and without the copies that are not recognised across the ends of saved files.
fn bare(o: Observation) -> Observation {
    let mut o = undigested(o);
    o.problems.retain(|p| p.kind != ProblemKind::RepeatedPackets);
    o.flows.iter_mut().for_each(|f| f.evidence = portwitness::app::Evidence::none());
    o
}

fn is_exact(o: &Observation) -> bool {
    o.flows.iter().flat_map(|f| &f.ends).all(|e| !e.approximate)
}

/// Packets whose times rise strictly, so that files cut from them do not overlap.
fn rising(mut packets: Vec<Pk>) -> Vec<Pk> {
    let mut last = i64::MIN;
    for p in &mut packets {
        p.at = p.at.max(last + 1);
        last = p.at;
    }
    packets
}

/// Flows of one host, and those that later fragments belong to: they are held whatever is kept.
fn held(o: &Observation) -> (Vec<Flow>, Vec<Flow>) {
    let fragments = |f: &&Flow| f.ends.iter().any(|e| e.fragments > 0);
    let keys: BTreeSet<_> = o.flows.iter().filter(fragments).map(|f| f.key).collect();
    let ours = |f: &Flow| keys.contains(&f.key) || f.key.ends.iter().any(|e| e.addr == addr(1));
    o.flows.iter().cloned().partition(ours)
}

/// How many flows, their unicast packets, and bytes of them that were acknowledged and never seen.
fn summed(flows: &[Flow]) -> (u64, u64, u64) {
    let packets = flows.iter().filter(|f| !f.group).flat_map(|f| &f.ends).map(|e| e.packets).sum();
    let both = flows.iter().filter(|f| f.ends.iter().all(|e| e.packets > 0));
    (flows.len() as u64, packets, both.flat_map(|f| &f.ends).map(|e| e.unseen_acked).sum())
}

const PROTOS: [AppProto; 6] =
    [AppProto::Ssh, AppProto::Tls, AppProto::Smb, AppProto::DceRpc, AppProto::Iscsi, AppProto::Http];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn saved_one_by_one_and_appended_in_any_grouping_equals_one_run_over_all(
        packets in packets(60),
        cuts in prop::collection::vec(any::<usize>(), 0..4),
        joins in prop::collection::vec(any::<usize>(), 1..4),
    ) {
        let folder = Folder::new();
        let packets = rising(packets);
        let mut at: Vec<usize> = cuts.iter().map(|c| c % (packets.len() + 1)).chain([0, packets.len()]).collect();
        at.sort_unstable();
        at.dedup();
        let captures: Vec<PathBuf> = at
            .windows(2)
            .map(|w| folder.write(&format!("{}.pcap", w[0]), &pcap(&packets[w[0]..w[1]])))
            .collect();
        prop_assume!(!captures.is_empty());
        let whole = observed(&captures);
        let mut parts: Vec<PathBuf> =
            captures.iter().map(|c| save(std::slice::from_ref(c), c.with_extension("obs"))).collect();
        let mut joins = joins.iter().cycle();
        let mut made = 0;
        while parts.len() > 1 {
            let first = joins.next().unwrap() % (parts.len() - 1);
            let later = parts.remove(first + 1);
            made += 1;
            parts[first] = save(&[parts[first].clone(), later], folder.path(&format!("joined-{made}.obs")));
        }
        let cut = observed(&parts);
        prop_assume!(is_exact(&whole) && is_exact(&cut));
        for (a, b) in whole.flows.iter().zip(&cut.flows) {
            for proto in PROTOS {
                let (before, after) = (&a.evidence, &b.evidence);
                prop_assert!(!after.confirms(proto) || before.confirms(proto), "{proto:?} confirmed only when saved: {before:?} {after:?}");
                prop_assert!(!after.contradicts(proto) || before.contradicts(proto), "{proto:?} wrong only when saved: {before:?} {after:?}");
            }
        }
        if captures.len() == 1 {
            prop_assert_eq!(&whole, &cut);
        }
        // What is not held is summed up alike, whether it was counted when it was saved, joined, or read from captures.
        let few = Limits::default().keeping(Keep::of(|key| key.ends.iter().any(|e| e.addr == addr(1))));
        let of = |paths: &[PathBuf], threads| {
            collected_by(paths, &Options { threads, ..Options::default() }, &few).finish()
        };
        let (few_whole, few_cut) = (of(&captures, 1), of(&parts, 1));
        prop_assert_eq!(&of(&parts, 3), &few_cut);
        let (ours, others) = held(&whole);
        let rest = &few_whole.rest;
        prop_assert_eq!((rest.flows, rest.packets, rest.unseen), summed(&others));
        prop_assert_eq!(rest, &few_cut.rest);
        prop_assert_eq!(&few_whole.flows, &ours);
        prop_assert_eq!(&few_cut.flows, &held(&cut).0);
        prop_assert_eq!(bare(whole), bare(cut));
    }
}

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name)
}

fn unpacked(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut stream = portwitness::capture::saved_stream(path).unwrap().unwrap();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_capture_saved_and_read_is_what_it_was_and_holds_no_payload() {
    let folder = Folder::new();
    for name in ["restore-clean.console.pcapng", "rpc-dynamic-dropped.console.pcapng", "wrong-service.console.pcapng"] {
        let capture = vec![root(name)];
        let saved = save(&capture, folder.path(name));
        assert_eq!(observed(&capture), observed(std::slice::from_ref(&saved)), "{name}");
        assert_eq!(fs::read(&saved).unwrap(), fs::read(save(&capture, folder.path("again"))).unwrap(), "{name}");
        let again = save(std::slice::from_ref(&saved), folder.path("twice"));
        assert_eq!(unpacked(&saved), unpacked(&again), "{name}: saving what was saved changes nothing");
    }
}

#[test]
fn payload_that_was_seen_is_not_in_the_file() {
    let folder = Folder::new();
    let secret = b"SSH-2.0-x\r\nhunter2-hunter2";
    let packets = [
        Pk::tcp(1, (1, 5000), (2, 22), synth::SYN, 10, 0, b""),
        Pk::tcp(2, (2, 22), (1, 5000), synth::SYN | synth::ACK, 90, 11, b""),
        Pk::tcp(3, (1, 5000), (2, 22), synth::ACK, 11, 91, secret),
    ];
    let saved = save(&[folder.write("a.pcap", &pcap(&packets))], folder.path("a.obs"));
    let text = String::from_utf8_lossy(&unpacked(&saved)).into_owned();
    assert!(text.contains("SSH-2.0-x"), "the identification is a fact: {text}");
    assert!(!text.contains("hunter2"), "{text}");
    let flow = &observed(&[saved]).flows[0];
    assert_eq!(flow.evidence.speaks, [Speaks::Known(AppProto::Ssh), Speaks::Nothing]);
}

/// Three files in one connection each of which is cut in the middle of what is said.
#[test]
fn a_hello_cut_by_a_seam_confirms_less_and_is_never_wrong() {
    let folder = Folder::new();
    let hello = b"SSH-2.0-OpenSSH_9.2\r\n";
    let packets = [
        Pk::tcp(1, (1, 5000), (2, 22), synth::SYN, 10, 0, b""),
        Pk::tcp(2, (2, 22), (1, 5000), synth::SYN | synth::ACK, 90, 11, b""),
        Pk::tcp(3, (1, 5000), (2, 22), synth::ACK, 11, 91, b"GET / HTTP/1.1\r\n\r\n"),
        Pk::tcp(4, (2, 22), (1, 5000), synth::ACK, 91, 29, &hello[..3]),
        Pk::tcp(5, (2, 22), (1, 5000), synth::ACK, 94, 29, &hello[3..]),
    ];
    let capture = |name: &str, part: &[Pk]| folder.write(name, &pcap(part));
    let captures = [capture("a", &packets[..4]), capture("b", &packets[4..])];
    let saved: Vec<PathBuf> = captures.iter().map(|c| save(std::slice::from_ref(c), c.with_extension("obs"))).collect();
    let whole = &observed(&captures).flows[0].evidence;
    assert!(!whole.contradicts(AppProto::Ssh));
    let apart = &observed(&saved).flows[0].evidence;
    assert!(!apart.contradicts(AppProto::Ssh), "{apart:?}");
    // A seam between the handshake and the first bytes loses nothing.
    let captures = [capture("c", &packets[..2]), capture("d", &packets[2..])];
    let saved: Vec<PathBuf> = captures.iter().map(|c| save(std::slice::from_ref(c), c.with_extension("obs"))).collect();
    assert_eq!(undigested(observed(&captures)), undigested(observed(&saved)));
}

fn json(args: &[&str]) -> (i32, Value) {
    let (status, out, err) = run(Path::new(env!("CARGO_MANIFEST_DIR")), args);
    (status, serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out}{err}")))
}

/// A report without names and digests of captures.
fn judged(mut report: Value) -> Value {
    for capture in report["captures"].as_array_mut().unwrap() {
        capture["path"] = Value::Null;
        capture["sha256"] = Value::Null;
    }
    report
}

#[test]
fn bundled_captures_and_what_is_saved_of_them_give_one_report() {
    let folder = Folder::new();
    let situations =
        ["console", "mount-server", "target-windows"].map(|p| (p, format!("captures/rpc-dynamic-dropped.{p}.pcap")));
    let site = "captures/rpc-dynamic-dropped.site.toml";
    let mut given = ["verify", "--format", "json", "--site", site].iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut mixed = given.clone();
    for (n, (place, capture)) in situations.into_iter().enumerate() {
        let capture =
            if Path::new(env!("CARGO_MANIFEST_DIR")).join(&capture).exists() { capture } else { capture + "ng" };
        let saved = folder.path(&format!("{place}.obs")).display().to_string();
        let (status, out, err) = run(Path::new(env!("CARGO_MANIFEST_DIR")), &["observe", &capture, "-o", &saved]);
        assert_eq!((status, out.as_str(), err.as_str()), (0, "", ""));
        given.push(format!("--at={place}={capture}"));
        mixed.push(format!("--at={place}={}", if n == 1 { capture } else { saved }));
    }
    let text = |args: &[String]| json(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let ((status, whole), (same, saved)) = (text(&given), text(&mixed));
    assert_eq!(status, same);
    assert_eq!(judged(whole), judged(saved));
}

#[test]
fn a_file_cut_or_changed_anywhere_never_stops_the_run_and_never_supports_absence() {
    let folder = Folder::new();
    let saved = save(&[root("rpc-dynamic-dropped.console.pcapng")], folder.path("whole.obs"));
    let plain = unpacked(&saved);
    let packed = fs::read(&saved).unwrap();
    let whole = observed(&[saved]);
    let told = |bytes: &[u8]| {
        let path = folder.write("damaged.obs", bytes);
        match Saved::open(&path) {
            Ok(Some(file)) => {
                let ids: Vec<InputId> = (0..file.inputs() as u32).map(InputId).collect();
                let seen =
                    collect(Vec::new(), vec![(file, ids)], &Options::default(), &Limits::default()).unwrap().finish();
                let forbids =
                    seen.problems.iter().any(|p| p.kind == ProblemKind::SavedIncomplete && p.kind.forbids().absence);
                assert!(forbids || seen == whole, "something else without a word");
                assert!(seen.flows.len() <= whole.flows.len());
                Some(seen.flows.len())
            }
            Ok(None) | Err(_) => None,
        }
    };
    let mut kept = Vec::new();
    for n in (0..plain.len()).step_by(17).chain([plain.len() - 1]) {
        kept.extend(told(&plain[..n]));
    }
    assert!(kept.is_sorted() && kept.iter().any(|n| *n > 0), "more bytes, more flows: {kept:?}");
    for n in (0..packed.len()).step_by(7) {
        told(&packed[..n]);
        let mut flipped = packed.clone();
        flipped[n] ^= 1 << (n % 8);
        told(&flipped);
    }
    for n in (0..plain.len()).step_by(11) {
        let mut flipped = plain.clone();
        flipped[n] ^= 1 << (n % 7);
        told(&flipped);
    }
}

#[test]
fn another_major_version_and_a_bomb_are_refused() {
    let folder = Folder::new();
    let newer = folder.write("new.obs", b"{\"schema\":\"portwitness.observation/1\",\"x\":1}\n");
    let (status, _, err) = run(Path::new(env!("CARGO_MANIFEST_DIR")), &["flows", newer.to_str().unwrap()]);
    assert_eq!(status, 2);
    assert!(err.contains("it is a saved observation: it is of version 1; expected version 2"), "{err}");
    let mut long = b"{\"schema\":\"portwitness.observation/2\",\"pad\":\"".to_vec();
    long.resize(20 << 20, b'x');
    let bomb = zstd::bulk::compress(&long, 1).unwrap();
    assert!(bomb.len() < 1 << 20);
    let (status, _, err) =
        run(Path::new(env!("CARGO_MANIFEST_DIR")), &["flows", folder.write("bomb.obs", &bomb).to_str().unwrap()]);
    assert_eq!(status, 2);
    assert!(err.contains("a line is too long"), "{err}");
}

#[test]
fn overlapping_saved_observations_of_the_same_connections_are_not_guessed_at() {
    let folder = Folder::new();
    let one = |from: i64| [0, 5, 10].map(|t| Pk::udp(from + t, (1, 5000), (2, 53), b"x"));
    let paths = [folder.write("a.pcap", &pcap(&one(0))), folder.write("b.pcap", &pcap(&one(3)))];
    let saved = [0, 1].map(|i: usize| save(&paths[i..=i], folder.path(&format!("{i}.obs"))));
    let seen = observed(&saved);
    assert!(seen.problems.iter().any(|p| p.kind == ProblemKind::InputUnreadable), "{:?}", seen.problems);
    assert_eq!(seen.flows[0].ends[0].packets, 3);
    // The same capture twice is no trouble.
    let seen = observed(&[saved[0].clone(), paths[0].clone()]);
    assert_eq!(seen.problems.iter().map(|p| p.kind).collect::<Vec<_>>(), [ProblemKind::DuplicateInput]);
}

/// Thirty files, one after the other; connections of several of them, attempts at the end of each.
fn many(folder: &Folder) -> Vec<PathBuf> {
    let packets = |file: u16| {
        let at = i64::from(file) * 1_000_000_000;
        let flow = |n: u16| {
            let (from, to) = ((1 + (n % 5) as u8, 2000 + n), (9, 443));
            let seq = 10 + u32::from(file);
            [
                Pk::tcp(at + i64::from(n) * 1000, from, to, synth::ACK, seq, 90, b"x"),
                Pk::tcp(at + i64::from(n) * 1000 + 500, to, from, synth::ACK, 90, seq + 1, b""),
            ]
        };
        let attempt = Pk::tcp(at + 900_000_000, (3, 100 + file), (4, 80), synth::SYN, 5, 0, b"");
        let answer = Pk::tcp(at + 1000, (4, 80), (3, 100 + file.saturating_sub(1)), synth::SYN | synth::ACK, 9, 6, b"");
        let mut all: Vec<Pk> = (file * 20..file * 20 + 30).flat_map(flow).chain([answer, attempt]).collect();
        all.sort_by_key(|p| p.at);
        all
    };
    let capture = |file: u16| folder.write(&format!("{file}.pcap"), &pcap(&packets(file)));
    let saved = |file: u16| save(&[capture(file)], folder.path(&format!("{file}.obs")));
    (1..31).map(saved).collect()
}

#[test]
fn the_number_of_threads_does_not_show_whatever_the_memory() {
    let folder = Folder::new();
    let saved = many(&folder);
    let captures: Vec<PathBuf> = saved.iter().map(|s| s.with_extension("pcap")).collect();
    let seen = |bytes, keep: &Keep, threads| {
        let limits = Limits::new(bytes, Arc::default()).keeping(keep.clone());
        collected_by(&saved, &Options { threads, ..Options::default() }, &limits).finish()
    };
    let some = Keep::of(|key| key.ends.iter().any(|e| e.addr == addr(1)));
    assert_eq!(bare(seen(Limits::BYTES, &Keep::all(), 1)), bare(observed(&captures)));
    for keep in [Keep::all(), some] {
        let whole = seen(Limits::BYTES, &keep, 1).flows.len();
        for bytes in [Limits::BYTES, 1 << 20, 1 << 18, 1 << 16] {
            let one = seen(bytes, &keep, 1);
            let told = one.problems.iter().any(|p| p.kind == ProblemKind::StoreOverflow && p.kind.forbids().absence);
            assert!(one.flows.len() == whole || told, "{bytes}: flows are missing without a word");
            for threads in [2, 3, 8] {
                assert_eq!(seen(bytes, &keep, threads), one, "{bytes} bytes, {threads} threads");
            }
        }
        assert!(seen(1 << 16, &keep, 1).flows.len() < whole, "so little memory is too little");
    }
}
