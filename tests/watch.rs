//! Watching a stream while it is written: however it arrives and whenever it is looked at, the end is what `verify` says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::panic,
    reason = "helpers of tests may stop at the first surprise, too"
)]

mod support;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use portwitness::base::InputId;
use portwitness::capture::{CaptureFile, FrameSource, InputMeta};
use portwitness::matrix::{self, Matrix};
use portwitness::observe::{self, Changes, Growing, Observation};
use portwitness::report::Report;
use portwitness::site::Site;
use portwitness::verdict::{self, Case, Memo, PointSeen};
use portwitness::watch::Ledger;
use proptest::prelude::*;
use serde_json::Value;
use support::watching::{LINUX, MOUNT, PATIENCE, REPOSITORY, Watching, folder, restore, verify, written};
use support::{Pcap, portwitness};

#[test]
fn a_capture_that_drips_through_a_pipe_ends_in_the_report_of_verify_in_every_format() {
    let dir = folder();
    let capture = restore();
    for format in ["text", "line", "json"] {
        let mut watching = Watching::begin(dir.path(), &["-", "-o", "report", "--format", format]);
        for piece in capture.bytes().chunks(97) {
            watching.write(piece);
            thread::sleep(Duration::from_millis(10));
        }
        watching.close();
        let (status, out, err) = watching.end();
        assert_eq!((status, written(dir.path())), verify(dir.path(), format, capture.bytes()), "{out}{err}");
        assert!(out.contains("end: the source ended") && err.is_empty(), "{out}{err}");
    }
}

#[test]
fn what_happens_is_told_while_it_happens_and_absence_is_not() {
    let dir = folder();
    let capture = restore();
    let session = 24 + 8 * (16 + 54) + 20 + 23;
    let mut watching = Watching::begin(dir.path(), &["-", "--plain"]);
    watching.write(&capture.bytes()[..24 + 70]);
    let first = watching.until(&["image.ssh", "waiting", "(required)"]);
    watching.write(&capture.bytes()[24 + 70..session]);
    let then = watching.until(&["image.ssh", "satisfied"]);
    // Two seconds at rest: nothing is said where nothing came.
    assert_eq!(watching.lines.recv_timeout(Duration::from_secs(2)), Err(RecvTimeoutError::Timeout));
    watching.write(&capture.bytes()[session..]);
    let last = watching.until(&["image.data-mover", "satisfied"]);
    watching.close();
    let (status, rest, _) = watching.end();
    let (expected, report) = verify(dir.path(), "text", capture.bytes());
    assert_eq!(status, expected);
    assert!(rest.ends_with(&report), "{rest}\n--- expected\n{report}");
    let live: String = [first, then, last].concat().concat() + rest.split_once("end: ").unwrap().0;
    assert!(live.contains("unexpected (no rule): lin01 (10.77.1.22) to rep01 (10.77.0.13) tcp/3389"), "{live}");
    assert!(!live.contains("missing") && !live.contains("PASS") && !live.contains("FAIL"), "{live}");
}

#[test]
fn every_line_of_json_is_an_event_and_the_last_one_is_the_report() {
    let dir = folder();
    let capture = restore();
    let mut watching = Watching::begin(dir.path(), &["-", "--json"]);
    watching.write(capture.bytes());
    watching.close();
    let (_, out, _) = watching.end();
    let events: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let report: Value = serde_json::from_str(&verify(dir.path(), "json", capture.bytes()).1).unwrap();
    let [.., end, last] = events.as_slice() else { panic!("{out}") };
    assert_eq!((last["event"].as_str(), &last["report"]), (Some("report"), &report));
    assert_eq!((end["event"].as_str(), end["why"].as_str()), (Some("end"), Some("source")));
    let state = |e: &&Value| e["rule"] == "image.ssh" && e["state"] == "satisfied";
    assert!(events.iter().any(|e| state(&e)), "{out}");
    let unexpected = |e: &&Value| e["event"] == "unexpected" && e["kind"] == "no_rule" && e["fails"] == true;
    assert_eq!(events.iter().filter(unexpected).count(), 1, "{out}");
}

#[test]
fn a_stream_that_breaks_off_or_is_no_capture_is_told_as_verify_tells_it() {
    let dir = folder();
    let capture = restore();
    for cut in [capture.bytes().len() - 7, 24 + 16 + 3, 24] {
        let bytes = &capture.bytes()[..cut];
        let mut watching = Watching::begin(dir.path(), &["-", "-o", "report", "--format", "json"]);
        watching.write(bytes);
        watching.close();
        let (status, out, _) = watching.end();
        assert_eq!((status, written(dir.path())), verify(dir.path(), "json", bytes), "{cut}: {out}");
        assert_eq!(out.contains("problem: "), cut != 24, "{cut}: {out}");
    }
    for (bytes, why) in
        [(&b""[..], "it is empty"), (b"hello\n", "it is text"), (&capture.bytes()[..10], "10 of the 24")]
    {
        let mut watching = Watching::begin(dir.path(), &["-"]);
        watching.write(bytes);
        watching.close();
        let (status, _, err) = watching.end();
        assert!(status == 2 && err.contains(why), "{status} {err}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_it_at_the_last_whole_packet_though_the_stream_stays_open() {
    let dir = folder();
    let capture = restore();
    let session = 24 + 8 * (16 + 54) + 20 + 23;
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        let mut watching = Watching::begin(dir.path(), &["-", "-o", "report", "--format", "json"]);
        watching.write(&capture.bytes()[..session + 30]);
        watching.until(&["image.ssh", "satisfied"]);
        watching.signal(signal);
        watching.until(&["end: stopped"]);
        let kept = watching.child.stdin.take();
        let (status, out, _) = watching.end();
        drop(kept);
        let expected = verify(dir.path(), "json", &capture.bytes()[..session]);
        assert_eq!((status, written(dir.path())), expected, "{out}");
    }
}

#[test]
fn it_ends_by_itself_when_asked_to() {
    let dir = folder();
    let capture = restore();
    let mut watching = Watching::begin(dir.path(), &["-", "--until", "satisfied", "-o", "report"]);
    let far = 24 + 24 * (16 + 54) + 20 + 23 + 2 + 10;
    watching.write(&capture.bytes()[..far]);
    watching.until(&["end: everything required was seen working"]);
    let kept = watching.child.stdin.take();
    let (status, out, _) = watching.end();
    drop(kept);
    assert_eq!((status, written(dir.path())), verify(dir.path(), "text", &capture.bytes()[..far]), "{out}");

    let mut watching = Watching::begin(dir.path(), &["-", "--for", "1s", "-o", "report"]);
    watching.write(&capture.bytes()[..24]);
    watching.until(&["end: the time asked for is over"]);
    let kept = watching.child.stdin.take();
    let (status, _, _) = watching.end();
    drop(kept);
    assert_eq!((status, written(dir.path())), verify(dir.path(), "text", &capture.bytes()[..24]));
}

#[test]
fn a_reader_that_leaves_ends_it_and_one_that_is_slow_loses_nothing_of_the_report() {
    let dir = folder();
    let capture = restore();
    let mut command = portwitness(dir.path(), &["watch", "--site", "site.toml", "--json", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(capture.bytes()).unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE, "still running");
        thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(status.code(), Some(1), "the verdict's status");
    drop(stdin);

    let scan = scan();
    let mut command = portwitness(dir.path(), &["watch", "--site", "site.toml", "--json", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = scan.bytes().to_vec();
    let writing = thread::spawn(move || stdin.write_all(&bytes).unwrap());
    thread::sleep(Duration::from_secs(2));
    let (mut out, mut stdout) = (Vec::new(), child.stdout.take().unwrap());
    let mut piece = [0; 4096];
    loop {
        let n = stdout.read(&mut piece).unwrap();
        if n == 0 {
            break;
        }
        out.extend_from_slice(&piece[..n]);
        thread::sleep(Duration::from_millis(1));
    }
    writing.join().unwrap();
    child.wait().unwrap();
    let last: Value = serde_json::from_slice(out.trim_ascii_end().rsplit(|b| *b == b'\n').next().unwrap()).unwrap();
    let report: Value = serde_json::from_str(&verify(dir.path(), "json", scan.bytes()).1).unwrap();
    assert_eq!(last["report"], report);
}

/// A thousand flows that no rule explains.
fn scan() -> Pcap {
    let mut pcap = restore();
    for port in 1..1000 {
        pcap.tcp((LINUX, 50000), (REPOSITORY, port), support::SYN, 1, 0, b"");
    }
    pcap
}

/// A stream whose pieces come when they come.
struct Pieces(std::vec::IntoIter<Vec<u8>>, std::io::Cursor<Vec<u8>>);

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let n = self.1.read(buf)?;
            if n > 0 {
                return Ok(n);
            }
            let Some(next) = self.0.next() else { return Ok(0) };
            self.1 = std::io::Cursor::new(next);
        }
    }
}

/// Observes a stream that comes in pieces of these sizes, and looks at it after so many events. What each look shows is what
/// the frames so far show, and what is judged of it what they are judged to be.
fn watched(bytes: &[u8], sizes: &[usize], every: u64, site: Option<&Site>) -> Observation {
    let mut pieces = Vec::new();
    let (mut rest, mut sizes) = (bytes, sizes.iter().cycle());
    while !rest.is_empty() {
        let (piece, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = later;
    }
    let stream = Pieces(pieces.into_iter(), std::io::Cursor::default());
    let file = CaptureFile::from_read("-", InputId(0), Box::new(stream)).unwrap();
    let (mut reader, arrivals) = file.live().unwrap();
    let mut growing = Growing::new("-");
    let mut judge = Judge::new(site);
    loop {
        if let Some(event) = reader.next() {
            growing.take(event);
        } else if reader.is_waiting() {
            arrivals.wait(Duration::from_millis(10));
            continue;
        } else {
            return growing.finish(reader.finish());
        }
        if growing.events().is_multiple_of(every) {
            judge.look(&mut growing, reader.finish());
            judge.check(&growing, reader.finish());
        }
    }
}

/// Judges what grows, again and again.
struct Judge<'s> {
    matrix: Matrix,
    options: verdict::Options,
    site: Option<&'s Site>,
    points: [PointSeen; 1],
    memo: Memo,
    report: Option<Report>,
}

impl<'s> Judge<'s> {
    fn new(site: Option<&'s Site>) -> Self {
        let (matrix, options) = (matrix::load(&[]).unwrap(), verdict::Options::default());
        let points = [PointSeen { name: None, observation: Observation::default() }];
        Self { matrix, options, site, points, memo: Memo::default(), report: None }
    }

    fn look(&mut self, growing: &mut Growing, meta: InputMeta) {
        let changes = growing.look(meta, &mut self.points[0].observation);
        self.judge(changes);
    }

    fn judge(&mut self, changes: Changes) {
        self.memo.note(changes);
        let case = Case { matrix: &self.matrix, site: self.site, points: &self.points, options: &self.options };
        self.report = Some(verdict::judge_again(&case, &mut self.memo));
    }

    fn fresh(&self, growing: &Growing, meta: InputMeta) -> (Observation, Report) {
        let points = [PointSeen { name: None, observation: growing.seen(meta) }];
        let case = Case { matrix: &self.matrix, site: self.site, points: &points, options: &self.options };
        let report = verdict::judge(&case);
        let [point] = points;
        (point.observation, report)
    }

    fn check(&self, growing: &Growing, meta: InputMeta) {
        let (observation, report) = self.fresh(growing, meta);
        assert_eq!(self.points[0].observation, observation, "after {} events", growing.events());
        let text = |r: &Report| serde_json::to_string_pretty(r).unwrap();
        assert_eq!(self.report.as_ref().map(text), Some(text(&report)), "after {} events", growing.events());
    }
}

fn in_one_go(bytes: &[u8]) -> Observation {
    let file = CaptureFile::from_read("-", InputId(0), Box::new(std::io::Cursor::new(bytes.to_vec()))).unwrap();
    observe::observe(vec![(InputId(0), Ok(file))], &observe::Options::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_schedule_of_looks_ends_in_the_observation_of_the_whole(
        which in any::<prop::sample::Index>(),
        sizes in prop::collection::vec(1_usize..5000, 1..20),
        every in 3_u64..200,
        cut in 0_usize..2000,
    ) {
        let mut names: Vec<PathBuf> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("captures"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "pcap" || e == "pcapng"))
            .collect();
        names.sort();
        let capture = which.get(&names);
        let mut bytes = std::fs::read(capture).unwrap();
        bytes.truncate(bytes.len() - cut.min(bytes.len() - 200));
        let name = capture.file_name().unwrap().to_string_lossy().into_owned();
        let site = capture.with_file_name(format!("{}.site.toml", name.split('.').next().unwrap()));
        let (mut site, _) = Site::load_file(&site, &matrix::load(&[]).unwrap()).unwrap();
        // The one stream is at the one place.
        site.points.retain(|p| p.captures.contains(&name));
        site.points.iter_mut().for_each(|p| p.captures.clear());
        prop_assert_eq!(watched(&bytes, &sizes, every, Some(&site)), in_one_go(&bytes));
    }
}

#[test]
fn looks_at_long_flows_at_fragments_at_errors_and_without_a_site_are_fresh_ones_too() {
    let mut pcap = Pcap::new();
    let (a, b) = ((MOUNT, 50_000), (REPOSITORY, 6162));
    pcap.tcp(a, b, support::SYN, 1, 0, b"").tcp(b, a, support::SYN | support::ACK, 1, 2, b"");
    // Long enough for the short way, with bytes that are wanted and bytes that are not.
    for n in 0..300_u32 {
        pcap.tcp(a, b, support::ACK, 2 + n * 100, 2 + n * 100, &[7; 100]);
        pcap.tcp(b, a, support::ACK, 2 + n * 100, 102 + n * 100, &[8; 100]);
        // Datagrams go a short way of their own.
        pcap.udp((MOUNT, 40_000), (LINUX, 53), &[9; 40]).udp((LINUX, 53), (MOUNT, 40_000), &[9; 90]);
        if n % 50 == 7 {
            pcap.silence((MOUNT, 40_000 + n as u16), (LINUX, 22));
        }
        if n % 60 == 9 {
            // The same numbers again: another instance of the same connection.
            pcap.tcp(a, b, support::SYN, 77 + n, 0, b"");
        }
    }
    let mut bytes = pcap.bytes().to_vec();
    assert_eq!(watched(&bytes, &[999], 7, None), in_one_go(&bytes));
    // Later fragments, whose first one comes before or behind them.
    let mut fragments = Pcap::new();
    for n in 0..20_u16 {
        fragments.fragment(MOUNT, REPOSITORY, n, n % 3 != 0, 0);
        fragments.fragment(MOUNT, REPOSITORY, n, true, 8);
    }
    bytes.extend(&fragments.bytes()[24..]);
    assert_eq!(watched(&bytes, &[4000], 5, None), in_one_go(&bytes));
}

/// Not run by itself: `cargo test --release --test watch -- --ignored --nocapture cost` prints what a look costs, at all flows
/// anew and at a hundred that changed.
#[test]
#[ignore = "a measurement"]
fn cost_of_a_look() {
    let dir = folder();
    let (site, _) = Site::load_file(&dir.path().join("site.toml"), &matrix::load(&[]).unwrap()).unwrap();
    for flows in [20_000_u32, 200_000] {
        let mut pcap = Pcap::new();
        for n in 0..flows + 200 {
            let from = ([10, 78, (n / 5000) as u8, (n % 250) as u8], 20_000 + (n % 5000 / 250) as u16);
            pcap.session(from, (MOUNT, 6162), &[b'x'; 100], &[b'y'; 100]);
        }
        let stream = Box::new(std::io::Cursor::new(pcap.bytes().to_vec()));
        let mut reader = CaptureFile::from_read("-", InputId(0), stream).unwrap().frames();
        let (mut growing, mut judge, mut ledger) = (Growing::new("-"), Judge::new(Some(&site)), Ledger::default());
        let mut taken = 0;
        for until in [flows, flows + 100, flows + 200] {
            while taken < until * 8 {
                growing.take(reader.next().unwrap());
                taken += 1;
            }
            let begun = Instant::now();
            let changes = growing.look(reader.finish(), &mut judge.points[0].observation);
            let shown = begun.elapsed();
            judge.judge(changes);
            let looked = begun.elapsed();
            let events = ledger.update(judge.report.as_ref().unwrap()).len();
            let told = begun.elapsed() - looked;
            let begun = Instant::now();
            let (seen, _) = judge.fresh(&growing, reader.finish());
            let fresh = begun.elapsed();
            println!(
                "{} flows: look {looked:?}, of it to see {shown:?}; told {told:?} ({events} events); from scratch {fresh:?}",
                seen.flows.len()
            );
        }
    }
}
