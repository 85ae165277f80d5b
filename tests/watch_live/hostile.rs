//! Conditions under which a capture suffers: a flood, a buffer that overflows, a process that is killed.
//!
//! `PORTWITNESS_FLOOD_SECS` makes the floods longer (`make flood-test`: a minute).

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use portwitness::base::Time;
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};
use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::cmd::Running;
use crate::failure::{Context as _, Result};
use crate::seal;
use crate::world::{LIMIT, SITE, json, servers, settle, talk, traffic, verify, watch, wires};

const MOUNT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 12);
/// SYNs in a second: what a debug build takes in beside everything else that tests do.
const RATE: u64 = 20_000;

/// How long a flood lasts.
fn seconds() -> u64 {
    std::env::var("PORTWITNESS_FLOOD_SECS").ok().and_then(|s| s.parse().ok()).unwrap_or(3)
}

fn begin(work: &Path) -> Result<()> {
    wires()?;
    servers()?;
    fs::write(work.join("site.toml"), SITE.replace("POINT", "observed_from = [\"mount-server\"]")).context("site")
}

/// An IPv4 packet with a TCP SYN; nobody checks its checksum before the capture does.
fn syn(from: Ipv4Addr, from_port: u16, to_port: u16) -> Vec<u8> {
    let mut p = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
    p.extend(from.octets());
    p.extend(MOUNT.octets());
    p.extend(from_port.to_be_bytes());
    p.extend(to_port.to_be_bytes());
    p.extend([0, 0, 0, 9, 0, 0, 0, 0, 0x50, 2, 0xfa, 0xf0, 0, 0, 0, 0]);
    p
}

/// Sends SYNs from the far side for so long, at most so many in a second; how many it were.
fn flood(lasting: Duration, rate: u64, of: impl Fn(u64) -> Vec<u8> + Send + 'static) -> JoinHandle<u64> {
    thread::spawn(move || {
        let far = File::open("/run/netns/far").unwrap();
        move_into_link_name_space(far.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW)).unwrap();
        let (begun, mut sent, to) = (Instant::now(), 0_u64, SocketAddrV4::new(MOUNT, 0));
        while begun.elapsed() < lasting {
            let due = u64::try_from(begun.elapsed().as_micros()).unwrap().saturating_mul(rate) / 1_000_000;
            while sent < due {
                // A full queue drops it, as the wire would.
                let _dropped = sendto(&raw, &of(sent), SendFlags::empty(), &to);
                sent += 1;
            }
            thread::sleep(Duration::from_millis(2));
        }
        sent
    })
}

/// From everywhere, to every port.
fn from_strangers(n: u64) -> Vec<u8> {
    let low = u16::try_from(n % 65_521).unwrap();
    syn(Ipv4Addr::from(0xc612_0000 + u32::try_from(n % 131_071).unwrap()), 1024 + low / 2, low)
}

/// From a host of the site: none of these is let go.
fn from_the_repository(n: u64) -> Vec<u8> {
    let part = |n: u64| u16::try_from(n % 60_000).unwrap();
    syn(Ipv4Addr::new(10, 77, 0, 13), 1024 + part(n / 60_000), 1 + part(n))
}

/// The most memory it has had until it ends, in MiB.
fn most_memory(watch: &Running) -> JoinHandle<u64> {
    let status = format!("/proc/{}/status", watch.id());
    thread::spawn(move || {
        let mut most = 0;
        // A process that has ended has no memory left to tell of.
        while let Some(line) = fs::read_to_string(&status)
            .ok()
            .and_then(|s| s.lines().find_map(|l| l.strip_prefix("VmHWM:").map(str::to_owned)))
        {
            most = line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024;
            thread::sleep(Duration::from_millis(2));
        }
        most
    })
}

fn outcome<'r>(report: &'r Value, rule: &str) -> &'r Value {
    report["requirements"].as_array().unwrap().iter().find(|r| r["rule"] == rule).unwrap()
}

fn problem(report: &Value, kind: &str) -> u64 {
    let problems = report["captures"][0]["problems"].as_array().unwrap();
    problems.iter().filter(|p| p["kind"] == kind).filter_map(|p| p["count"].as_u64()).sum()
}

/// What a capture dropped, as its report knows.
fn dropped(report: &Value) -> u64 {
    report["captures"][0]["loss"]["kernel"].as_u64().unwrap()
}

fn under_a_flood(work: &Path, of: impl Fn(u64) -> Vec<u8> + Send + 'static) -> Result<Value> {
    const MOST: u64 = 128;
    begin(work)?;
    let mut watch = watch(work, &format!("-i w0 --max-memory {MOST}M --write kept.pcapng"))?;
    let flood = flood(Duration::from_secs(seconds()), RATE, of);
    while !flood.is_finished() {
        traffic()?;
        thread::sleep(Duration::from_millis(200));
    }
    let sent = flood.join().unwrap();
    settle();
    let memory = most_memory(&watch);
    watch.interrupt()?;
    watch.wait(LIMIT * 2)?;
    let memory = memory.join().unwrap();
    let live = json(&work.join("report"));
    let seen = live["captures"][0]["packets"].as_u64().unwrap();
    let lost = dropped(&live);
    // Seen with --nocapture, and when the test fails.
    let _ = writeln!(std::io::stdout(), "{sent} SYNs, {seen} packets seen, {lost} dropped, {memory} MiB at most");
    assert!(memory < MOST, "{memory} MiB");
    assert!(seen + dropped(&live) > sent * 9 / 10, "{sent} SYNs, {seen} packets");
    for rule in ["image.ssh", "image.data-mover"] {
        assert_eq!(outcome(&live, rule)["outcome"], "satisfied", "{rule}");
    }
    Ok(live)
}

#[test]
fn a_flood_of_strangers_is_counted_and_the_restore_still_judged_within_memory() -> Result<()> {
    seal::sealed("hostile::a_flood_of_strangers_is_counted_and_the_restore_still_judged_within_memory", |work| {
        let live = under_a_flood(work, from_strangers)?;
        assert!(problem(&live, "attempts_counted") > RATE, "{}", live["captures"][0]["problems"]);
        // What it kept says the same, though a file is read with more room.
        let (_, kept) = verify(work, "--max-memory 128M kept.pcapng");
        assert_eq!((&kept["verdict"], &kept["requirements"]), (&live["verdict"], &live["requirements"]));
        Ok(())
    })
}

#[test]
fn a_flood_in_the_name_of_the_sites_own_host_stays_within_memory_too() -> Result<()> {
    seal::sealed("hostile::a_flood_in_the_name_of_the_sites_own_host_stays_within_memory_too", |work| {
        under_a_flood(work, from_the_repository).map(drop)
    })
}

#[test]
fn a_buffer_that_overflows_forbids_what_can_no_longer_be_claimed() -> Result<()> {
    seal::sealed("hostile::a_buffer_that_overflows_forbids_what_can_no_longer_be_claimed", |work| {
        begin(work)?;
        let point = "\n[[observation_point]]\nat = \"mount-server\"\ncomplete = true\n";
        fs::write(work.join("site.toml"), SITE.replace("POINT", "") + point).context("site")?;
        let mut watch = watch(work, "-i w0 --buffer 1 --max-memory 64M --write kept.pcapng")?;
        let from = now();
        talk("10.77.0.22:22", b"SSH-2.0-PuTTY_0.80\r\n")?;
        let to = now();
        settle();
        // Nobody empties the buffer meanwhile.
        watch.signal(Signal::STOP)?;
        flood(Duration::from_secs(2), 50_000, from_strangers).join().unwrap();
        watch.signal(Signal::CONT)?;
        settle();
        watch.interrupt()?;
        watch.wait(LIMIT)?;
        let live = json(&work.join("report"));
        assert!(dropped(&live) > 1000, "{}", live["captures"]);
        assert!(watch.text().contains(r#""event":"loss""#), "{}", watch.text());
        // What was seen was seen; what was not may have been dropped. Without drops it would be missing in this time.
        let (_, kept) = verify(work, &format!("--from {from} --to {to} kept.pcapng"));
        for report in [&live, &kept] {
            assert_eq!(outcome(report, "image.ssh")["outcome"], "satisfied");
            assert_eq!(outcome(report, "image.data-mover")["outcome"], "inconclusive");
            assert_ne!(report["verdict"], "pass");
        }
        let missing = outcome(&kept, "image.data-mover");
        assert_eq!(missing["cause"], "loss", "{missing}");
        Ok(())
    })
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Time::from_nanos(i64::try_from(since.as_nanos()).unwrap())
}

#[test]
fn killed_it_leaves_a_file_that_is_judged_and_nothing_else() -> Result<()> {
    seal::sealed("hostile::killed_it_leaves_a_file_that_is_judged_and_nothing_else", |work| {
        begin(work)?;
        let before = names(work);
        let mut watch = watch(work, "-i w0 --write kept.pcapng")?;
        traffic()?;
        let flood = flood(Duration::from_secs(1), RATE / 4, from_strangers);
        settle();
        watch.signal(Signal::KILL)?;
        let status = watch.wait(LIMIT)?;
        assert_eq!(status.code(), None, "it was killed");
        flood.join().unwrap();
        let left: Vec<String> = names(work).into_iter().filter(|n| !before.contains(n)).collect();
        assert_eq!(left, ["kept.pcapng", "report"]);
        assert_eq!(fs::metadata(work.join("report")).context("report")?.len(), 0, "no report was made");
        let (status, kept) = verify(work, "kept.pcapng");
        assert!(status != 2 && outcome(&kept, "image.data-mover")["outcome"] == "satisfied", "{kept}");
        // Cut within a block, as a full disk would: named, with its place.
        let bytes = fs::read(work.join("kept.pcapng")).context("kept")?;
        fs::write(work.join("cut.pcapng"), &bytes[..bytes.len() * 9 / 10 - 3]).context("cut")?;
        let (status, cut) = verify(work, "cut.pcapng");
        let damaged = &cut["captures"][0]["truncated"];
        assert!(status != 2 && damaged.as_u64().is_some_and(|at| at > 1000), "{}", cut["captures"]);
        assert!(problem(&cut, "file_truncated") > 0, "{}", cut["captures"][0]["problems"]);
        assert_eq!(outcome(&cut, "image.ssh")["outcome"], "satisfied");
        Ok(())
    })
}

fn names(folder: &Path) -> Vec<String> {
    let all = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    let mut all: Vec<String> = all.collect();
    all.sort();
    all
}
