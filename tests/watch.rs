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
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use portwitness::base::InputId;
use portwitness::capture::{CaptureFile, FrameSource};
use portwitness::observe::{self, Growing, Observation};
use proptest::prelude::*;
use serde_json::Value;
use support::{Pcap, portwitness, told};

const MOUNT: [u8; 4] = [10, 77, 0, 12];
const LINUX: [u8; 4] = [10, 77, 1, 22];
const REPOSITORY: [u8; 4] = [10, 77, 0, 13];
const STRANGER: [u8; 4] = [10, 77, 0, 99];

const SITE: &str = r#"
scenario      = "image-level"
operations    = ["enterprise-manager"]
observed_from = ["mount-server"]

[hosts]
mnt01 = ["10.77.0.12"]
rep01 = ["10.77.0.13"]
lin01 = ["10.77.1.22"]

[roles]
mount-server  = ["mnt01"]
repository    = ["rep01"]
target-linux  = ["lin01"]
"#;

/// Nothing here takes a tenth of this; what does hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// SSH works, a flow that no rule explains, then the data mover works.
fn restore() -> Pcap {
    let mut pcap = Pcap::new();
    pcap.session((MOUNT, 50022), (LINUX, 22), b"SSH-2.0-PuTTY_0.80\r\n", b"SSH-2.0-OpenSSH_9.2p1\r\n").wait(500);
    pcap.session((LINUX, 50023), (REPOSITORY, 3389), b"x", b"y").wait(500);
    pcap.session((MOUNT, 50024), (REPOSITORY, 6162), b"hello", b"hello").wait(4000);
    pcap.session((MOUNT, 50025), (STRANGER, 8080), b"hello", b"hello");
    pcap
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("site.toml"), SITE).unwrap();
    dir
}

/// A running `watch`, its standard output line by line as it comes.
struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn begin(folder: &Path, args: &[&str]) -> Self {
        let mut all = vec!["watch", "--site", "site.toml"];
        all.extend(args);
        let mut command = portwitness(folder, &all);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        thread::spawn(move || {
            let mut line = String::new();
            while std::io::BufRead::read_line(&mut stdout, &mut line).is_ok_and(|n| n > 0) {
                if send.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn write(&mut self, bytes: &[u8]) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    /// Lines until one holds all of these words.
    fn until(&self, words: &[&str]) -> Vec<String> {
        let (begun, mut seen) = (Instant::now(), Vec::new());
        while begun.elapsed() < PATIENCE {
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => {
                    let found = words.iter().all(|w| line.contains(w));
                    seen.push(line);
                    if found {
                        return seen;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        panic!("no line with {words:?} in {seen:#?}");
    }

    fn close(&mut self) {
        drop(self.child.stdin.take());
    }

    #[cfg(target_os = "linux")]
    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// What is left of its output, and its status.
    fn end(mut self) -> (i32, String, String) {
        let rest: String = self.lines.iter().collect();
        let mut err = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code().expect("ended by a signal"), rest, err)
    }
}

/// What `verify` says of these bytes on its standard input.
fn verify(folder: &Path, format: &str, bytes: &[u8]) -> (i32, String) {
    let mut command = portwitness(folder, &["verify", "--site", "site.toml", "--format", format, "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let owned = bytes.to_vec();
    let writing = thread::spawn(move || stdin.write_all(&owned));
    let (status, out, _) = told(&child.wait_with_output().unwrap());
    writing.join().unwrap().unwrap();
    (status, out)
}

fn written(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("report")).unwrap()
}

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

/// Observes a stream that comes in pieces of these sizes, and looks at it whenever nothing more was there and after so many events.
fn watched(bytes: &[u8], sizes: &[usize], every: u64) -> Observation {
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
    loop {
        if let Some(event) = reader.next() {
            growing.take(event);
        } else if reader.is_waiting() {
            arrivals.wait(Duration::from_millis(10));
        } else {
            return growing.finish(reader.finish());
        }
        if growing.events().is_multiple_of(every) {
            let meta = reader.finish();
            let seen = growing.seen(meta);
            assert!(seen.flows.len() as u64 <= growing.events());
        }
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
        every in 1_u64..200,
        cut in 0_usize..2000,
    ) {
        let mut names: Vec<PathBuf> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("captures"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "pcap" || e == "pcapng"))
            .collect();
        names.sort();
        let mut bytes = std::fs::read(which.get(&names)).unwrap();
        bytes.truncate(bytes.len() - cut.min(bytes.len() - 200));
        prop_assert_eq!(watched(&bytes, &sizes, every), in_one_go(&bytes));
    }
}

/// Not run by itself: `cargo test --release --test watch -- --ignored --nocapture cost` prints what a look costs.
#[test]
#[ignore = "a measurement"]
fn cost_of_a_look() {
    for flows in [1000_u32, 5000, 20_000] {
        let mut pcap = Pcap::new();
        for n in 0..flows {
            let from = ([10, 77, 2 + (n / 20_000) as u8, (n % 200) as u8], 20_000 + (n / 200) as u16);
            pcap.session(from, (MOUNT, 6162), &[b'x'; 800], &[b'y'; 800]);
        }
        let file =
            CaptureFile::from_read("-", InputId(0), Box::new(std::io::Cursor::new(pcap.bytes().to_vec()))).unwrap();
        let mut reader = file.frames();
        let mut growing = Growing::new("-");
        while let Some(event) = reader.next() {
            growing.take(event);
        }
        let begun = Instant::now();
        let seen = growing.seen(reader.finish());
        println!("{flows} flows: {} seen in {:?}", seen.flows.len(), begun.elapsed());
    }
}
