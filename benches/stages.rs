//! Times each stage in process, on one thread: what a packet costs to read, to decode, to find its flow, and what is left to do
//! when all were seen.
//!
//! ```text
//! make bench                        snap, small and scan, 2 million packets each
//! cargo bench --bench stages -- --site benches/site.toml --rounds 5 CAPTURE...
//! ```
//!
//! Reading and decoding are timed alone, the flows with reading in front of them, since frames live only in the reader's buffer;
//! the time of reading is subtracted. Figures are medians. They compare stages with each other; `make bench-peers` compares the
//! program with others.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark stops at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portwitness::base::{InputId, Problem};
use portwitness::capture::{CaptureFile, Frame, InputMeta, Sink};
use portwitness::matrix::Matrix;
use portwitness::observe::{Options, Partial, observe};
use portwitness::packet;
use portwitness::report::{json, text};
use portwitness::site::Site;
use portwitness::verdict::{Case, PointSeen, judge};

/// Counts bytes, so that reading is not optimised away.
#[derive(Default)]
struct Bytes(u64);

impl Sink for Bytes {
    fn frame(&mut self, frame: &Frame<'_>) {
        self.0 += frame.data.iter().take(64).step_by(16).map(|b| u64::from(*b)).sum::<u64>();
    }
    fn problem(&mut self, _: Problem) {}
}

/// Decodes in general, as the long way does.
#[derive(Default)]
struct Decoded(u64);

impl Sink for Decoded {
    fn frame(&mut self, frame: &Frame<'_>) {
        self.0 += u64::from(packet::decode(frame).packet.is_some());
    }
    fn problem(&mut self, _: Problem) {}
}

/// Flows of the first and of the second half, so that there is something to fold.
struct Halves {
    parts: [Partial; 2],
    half: u64,
}

impl Sink for Halves {
    fn frame(&mut self, frame: &Frame<'_>) {
        let [early, late] = &mut self.parts;
        if frame.number <= self.half { early.frame(frame) } else { late.frame(frame) }
    }
    fn problem(&mut self, _: Problem) {}
}

fn open(path: &Path) -> CaptureFile {
    CaptureFile::open(path, InputId(0)).expect("a readable capture")
}

fn read(path: &Path, sink: &mut impl Sink) -> (InputMeta, Duration) {
    let mut reader = open(path).frames();
    let began = Instant::now();
    let meta = reader.each(sink);
    (meta, began.elapsed())
}

/// The stages, in order.
const STAGES: [&str; 7] = ["read", "decode (general)", "flow", "fold", "resolve and evidence", "judge", "report"];

fn round(path: &Path, matrix: &Matrix, site: &Site) -> (u64, [Duration; 7]) {
    let (mut bytes, mut decoded) = (Bytes::default(), Decoded::default());
    let (meta, reading) = read(path, &mut bytes);
    let (_, with_decoding) = read(path, &mut decoded);
    std::hint::black_box((bytes.0, decoded.0));
    let half = meta.packets / 2;
    let mut halves = Halves { parts: [Partial::default(), Partial::default()], half };
    let (_, with_flows) = read(path, &mut halves);
    let [mut early, mut late] = halves.parts;
    early.set_frames(InputId(0), half);
    late.set_frames(InputId(0), meta.packets - half);
    let fold = timed(|| early.append(late)).1;
    let evidence = timed(|| early.finish(Vec::new(), Vec::new())).1;
    let input = vec![(InputId(0), Ok(open(path)))];
    let seen = observe(input, &Options { threads: 1, ..Options::default() }).expect("an observation");
    let points = [PointSeen { name: Some("mirror".to_owned()), observation: seen }];
    let options = portwitness::verdict::Options::default();
    let case = Case { matrix, site: Some(site), points: &points, options: &options };
    let (report, judging) = timed(|| judge(&case));
    let reporting = timed(|| {
        let shown = text::render(&report, &text::Style::default()).len();
        let mut all = Vec::new();
        json::write_report(&report, &mut all).expect("JSON");
        std::hint::black_box(shown + all.len());
    });
    let alone = |with: Duration| with.saturating_sub(reading);
    (meta.packets, [reading, alone(with_decoding), alone(with_flows), fold, evidence, judging, reporting.1])
}

fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = what();
    (done, began.elapsed())
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    of.get(of.len() / 2).copied().unwrap_or_default()
}

fn main() {
    let (mut site, mut rounds, mut captures) = (PathBuf::from("benches/site.toml"), 3, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--site" => site = args.next().map(PathBuf::from).expect("--site FILE"),
            "--rounds" => rounds = args.next().and_then(|n| n.parse().ok()).expect("--rounds N"),
            // What `cargo bench` adds.
            "--bench" => {}
            _ => captures.push(PathBuf::from(arg)),
        }
    }
    let matrix = Matrix::embedded();
    let (site, _) = Site::load_file(&site, &matrix).expect("a site");
    for path in captures {
        let all: Vec<_> = (0..rounds).map(|_| round(&path, &matrix, &site)).collect();
        let packets = all.first().map_or(1, |(n, _)| *n).max(1);
        println!("{}: {packets} packets, {rounds} rounds, one thread", path.display());
        for (i, stage) in STAGES.iter().enumerate() {
            let time = median(all.iter().filter_map(|(_, t)| t.get(i).copied()).collect());
            let each = time.as_secs_f64() * 1e9 / packets as f64;
            println!("  {stage:<22}{:>10.1} ms{each:>10.1} ns per packet", time.as_secs_f64() * 1e3);
        }
    }
}
