//! Seeded traffic for the benchmarks: the same bytes on every machine, as capture files.
//!
//! Every set holds one restore between the roles of `benches/site.toml` amid other traffic, so that a verdict is reached.
//!
//! ```text
//! traffic [--out FOLDER] [--packets N] [SET...]
//! ```
//! SET: snap, bulk, small, scan, rotated, brief, ng, zst; all of them where none is named. N is the number of packets of *snap*; the
//! other sets and the numbers of flows scale with it. A set that is there in the same size is left alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool of the benchmarks: it reads nothing but its own arguments and stops at the first surprise"
)]

mod files;
mod flows;
mod packet;
mod random;
mod scan;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use files::{Pcap, PcapNg, Rotated, Sink};
use flows::Mix;

/// Raised where the bytes of a set change, so that old ones are made anew.
const VERSION: u32 = 1;
/// Packets of *snap*, unless told otherwise.
const PACKETS: u64 = 20_000_000;
const SETS: [&str; 8] = ["snap", "bulk", "small", "scan", "rotated", "brief", "ng", "zst"];
/// Files of *rotated* and of *brief*.
const FILES: u64 = 20;
const BRIEF_FILES: u64 = 1000;

/// One set to be made: how many packets, how many flows.
struct Size {
    packets: u64,
    flows: u64,
}

fn size(set: &str, packets: u64) -> Size {
    let of = |p: u64, f: u64| Size {
        packets: (packets * p / PACKETS).max(2_000),
        flows: (packets * f / PACKETS).clamp(40.min(f), f),
    };
    match set {
        "bulk" => of(3_000_000, 200),
        "small" => of(20_000_000, 20_000),
        "scan" => of(10_000_000, 2_000_000),
        "brief" => of(16_000_000, 950_000),
        _ => of(20_000_000, 2_000),
    }
}

fn main() -> ExitCode {
    let mut out = PathBuf::from("target/bench");
    let mut packets = PACKETS;
    let mut sets: Vec<String> = Vec::new();
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--out" => out = args.next().expect("--out needs a folder").into(),
            "--packets" => {
                packets = args.next().and_then(|n| n.replace('_', "").parse().ok()).expect("--packets needs a number")
            }
            // What `cargo bench` adds.
            "--bench" => {}
            set if SETS.contains(&set) => sets.push(set.to_owned()),
            other => {
                eprintln!("traffic: not a set: {other}; sets are {}", SETS.join(", "));
                return ExitCode::from(2);
            }
        }
    }
    if sets.is_empty() {
        sets = SETS.map(str::to_owned).to_vec();
    }
    fs::create_dir_all(&out).expect("folder for the sets");
    for set in &sets {
        make(set, &out, &size(set, packets));
    }
    ExitCode::SUCCESS
}

/// The path of a set: a file, or a folder for *rotated* and *brief*.
fn path(out: &Path, set: &str) -> PathBuf {
    out.join(match set {
        "rotated" | "brief" => set.to_owned(),
        "ng" => "ng.pcapng".to_owned(),
        "zst" => "zst.pcap.zst".to_owned(),
        other => format!("{other}.pcap"),
    })
}

fn make(set: &str, out: &Path, size: &Size) {
    let to = path(out, set);
    let note = out.join(format!("{set}.made"));
    let wanted = format!("version {VERSION}, {} packets, {} flows\n", size.packets, size.flows);
    if to.exists() && fs::read_to_string(&note).is_ok_and(|had| had == wanted) {
        return println!("{}: there", to.display());
    }
    let _ = fs::remove_file(&note);
    match set {
        "bulk" => fill(Pcap::new(&to, 262_144), &Mix::bulk(size.packets, size.flows)),
        "small" => fill(Pcap::new(&to, 262_144), &Mix::small(size.packets, size.flows)),
        "scan" => {
            let mut sink = Pcap::new(&to, 128);
            scan::write(&mut sink, size.packets, size.flows);
            sink.finish();
        }
        "rotated" | "brief" => {
            let _ = fs::remove_dir_all(&to);
            fs::create_dir_all(&to).expect("folder of the rotated files");
            let (files, mix) = match set {
                "brief" => (BRIEF_FILES, Mix::brief(size.packets, size.flows)),
                _ => (FILES, Mix::snap(size.packets, size.flows)),
            };
            fill(Rotated::new(&to, 128, size.packets.div_ceil(files)), &mix);
        }
        "ng" => fill(PcapNg::new(&to, 128), &Mix::snap(size.packets, size.flows)),
        "zst" => compress(&to, size),
        _ => fill(Pcap::new(&to, 128), &Mix::snap(size.packets, size.flows)),
    }
    fs::write(&note, wanted).expect("note of what was made");
    println!("{}: {} packets, {} flows", to.display(), size.packets, size.flows);
}

fn fill(mut sink: impl Sink, mix: &Mix) {
    flows::write(&mut sink, mix);
    sink.finish();
}

/// With the zstd program: a library for it would be a dependency for this alone.
fn compress(to: &Path, size: &Size) {
    let plain = to.with_extension("");
    fill(Pcap::new(&plain, 128), &Mix::snap(size.packets, size.flows));
    let status = Command::new("zstd").args(["-q", "-f", "-3", "-T0", "--rm", "-o"]).arg(to).arg(&plain).status();
    assert!(status.expect("the zstd program").success(), "zstd failed");
}
