//! The restore lab: real servers and clients on a network of namespaces, captured while a restore
//! plays, with firewalls in the way where a situation wants them.
//!
//! `README.md` beside this file says how to run it and how to add to it.

mod block;
mod capture;
mod clients;
mod cmd;
mod failure;
mod iscsi;
mod lab;
mod net;
mod peer;
mod play;
mod record;
mod scenario;
mod scrub;
mod seal;
mod servers;
mod situation;
mod truth;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Instant, UNIX_EPOCH};

use block::{Block, Fate};
use failure::{Context, Failure, Result};
use lab::{Lab, Recording};
use net::{Host, Place, Topology};
use scenario::{Act, Scenario, Stage, Step};
use seal::sealed;
use situation::{CLEAN, DATA_MOVER_FALLBACK, RPC_DYNAMIC_DROPPED, Situation};
use truth::{Served, Truth};

const CONSOLE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 10);
const BACKUP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);
const MOUNT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 12);
const REPOSITORY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 13);
const TARGET: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 20);

/// Stands for whatever port the endpoint mapper named.
const MAPPED: u16 = 0;

#[test]
fn clean_restore_uses_every_port() -> Result<()> {
    sealed("clean_restore_uses_every_port", |work| {
        let evidence = run(&CLEAN, work)?;
        let console = [(CONSOLE, BACKUP, 443)];
        let deploy =
            [(CONSOLE, TARGET, 445), (CONSOLE, TARGET, 135), (CONSOLE, TARGET, MAPPED), (CONSOLE, TARGET, 1035)];
        let repository = [(MOUNT, REPOSITORY, 6162)];
        let install = [(MOUNT, TARGET, 6160), (MOUNT, TARGET, 445), (TARGET, MOUNT, 3260)];
        expect(&evidence, Host::MountServer, &[&repository[..], &install].concat(), &[])?;
        expect(&evidence, Host::TargetWindows, &[&deploy[..], &install].concat(), &[])?;
        expect(&evidence, Host::Console, &[&console[..], &deploy].concat(), &[])?;
        // The router carries everything, bridged or routed, several times over.
        let all = [&console[..], &deploy, &repository, &install].concat();
        expect_at(&evidence, Place::Router, &all, &[])
    })
}

#[test]
fn dropped_dynamic_port_stops_the_restore() -> Result<()> {
    sealed("dropped_dynamic_port_stops_the_restore", |work| {
        let evidence = run(&RPC_DYNAMIC_DROPPED, work)?;
        let deploy = [(CONSOLE, TARGET, 445), (CONSOLE, TARGET, 135)];
        expect(&evidence, Host::MountServer, &[], &[])?;
        // The SYNs die at the router: the target answers its mapper and sees nothing more.
        expect(&evidence, Host::TargetWindows, &deploy, &[])?;
        expect(
            &evidence,
            Host::Console,
            &[&[(CONSOLE, BACKUP, 443)], &deploy[..]].concat(),
            &[(CONSOLE, TARGET, MAPPED)],
        )
    })
}

#[test]
fn dropped_data_mover_port_falls_back() -> Result<()> {
    sealed("dropped_data_mover_port_falls_back", |work| {
        let evidence = run(&DATA_MOVER_FALLBACK, work)?;
        if evidence.recording.log.port_of(Stage::DataMover) != Some(2500) {
            return Err(Failure::new("the mount server did not use 2500"));
        }
        let (worked, dropped) = ([(MOUNT, REPOSITORY, 2500)], [(MOUNT, REPOSITORY, 6162)]);
        let install = [(MOUNT, TARGET, 6160), (MOUNT, TARGET, 445), (TARGET, MOUNT, 3260)];
        expect(&evidence, Host::MountServer, &[&worked[..], &install].concat(), &dropped)?;
        // A capture sits in front of the host's own firewall: the dropped SYNs are seen arriving.
        expect(&evidence, Host::Repository, &worked, &dropped)
    })
}

#[test]
fn ssh_server_answers() -> Result<()> {
    sealed("ssh_server_answers", |work| {
        let mut lab = Lab::up(work)?;
        lab.capture(&[Place::At(Host::TargetLinux)])?;
        let step = Step { stage: Stage::RpcDeploy, from: Host::MountServer, to: Host::TargetLinux, act: Act::Ssh(22) };
        let scenario = Scenario { before: vec![], restore: vec![step], after: vec![] };
        let evidence = Evidence::of(lab.play(&scenario)?)?;
        let target = Topology::routed().address(Host::TargetLinux)?;
        expect(&evidence, Host::TargetLinux, &[(MOUNT, target, 22)], &[]).map_err(|e| lab.explain(e))
    })
}

#[test]
fn every_fate_of_a_packet_shows_its_own_sign() -> Result<()> {
    sealed("every_fate_of_a_packet_shows_its_own_sign", |work| {
        let mut lab = Lab::up(work)?;
        let (from, target, repository) = (Host::MountServer, Host::TargetWindows, Host::Repository);
        let block = |to, port, fate| Block { place: Place::Router, from, to, ports: port..=port, fate };
        lab.block(&block(target, 6160, Fate::Prohibited))?;
        lab.block(&block(target, 1035, Fate::PortUnreachable))?;
        lab.block(&block(target, 445, Fate::HostUnreachable))?;
        // Within the subnet: the router meets what it merely bridges.
        lab.block(&block(repository, 6162, Fate::Reset))?;
        lab.block(&block(repository, 2500, Fate::Drop))?;
        lab.block(&block(repository, 443, Fate::Loss(5)))?;
        lab.capture(&[Place::At(from)])?;
        let send = |to, ports: &[u16]| Step {
            stage: Stage::Before,
            from,
            to,
            act: Act::Send { ports: ports.to_vec(), bytes: 1 },
        };
        // Before the restore nothing stops at a failure.
        let before = vec![send(target, &[6160, 1035, 445]), send(repository, &[6162, 2500])];
        let mut after = vec![send(repository, &[9])];
        after.push(Step { stage: Stage::After, from, to: repository, act: Act::Ping });
        let evidence = Evidence::of(lab.play(&Scenario { before, restore: vec![], after })?)?;
        let truth = evidence.truths.get(&Place::At(from)).context("no capture")?;
        let refused = vec![(MOUNT, REPOSITORY, 9), (MOUNT, REPOSITORY, 6162)];
        let story = (&truth.unreachable[..], truth.refused(), truth.unanswered(), truth.worked());
        if story != (&[13, 3, 1][..], refused, vec![(MOUNT, REPOSITORY, 2500)], vec![]) {
            return Err(lab.explain(Failure::new(format!("{story:?}"))));
        }
        Ok(())
    })
}

/// A recording and what tshark says of each of its captures.
struct Evidence {
    recording: Recording,
    truths: BTreeMap<Place, Truth>,
}

impl Evidence {
    fn of(recording: Recording) -> Result<Self> {
        // Seen with --nocapture, and when the test fails.
        let _ = writeln!(std::io::stdout(), "\n{}", recording.log);
        let truth = |(place, file): (&Place, &PathBuf)| Ok((*place, Truth::of(file)?));
        let truths = recording.captures.iter().map(truth).collect::<Result<_>>()?;
        Ok(Self { recording, truths })
    }
}

/// Plays a situation and checks what holds in every one: where the restore stopped, and that the
/// captures began before it and outlasted it.
fn run(situation: &Situation, work: &Path) -> Result<Evidence> {
    let began = Instant::now();
    let mut lab = Lab::up(work)?;
    for block in (situation.blocks)() {
        lab.block(&block)?;
    }
    lab.capture(situation.places)?;
    let up = began.elapsed();
    let evidence = Evidence::of(lab.play(&(situation.scenario)())?)?;
    let _ = writeln!(std::io::stdout(), "{}: up after {up:.1?}, all of {:.1?}", situation.file, began.elapsed());
    let stopped = evidence.recording.log.stopped_at();
    if stopped != situation.stops_at {
        return Err(lab.explain(Failure::new(format!("stopped at {stopped:?}, expected {:?}", situation.stops_at))));
    }
    framed(&evidence)?;
    record::keep(situation, &evidence.recording)?;
    Ok(evidence)
}

fn framed(evidence: &Evidence) -> Result<()> {
    let (began, ended) = evidence.recording.log.restore;
    let began = began.duration_since(UNIX_EPOCH).context("the clock")?.as_secs_f64();
    let ended = ended.duration_since(UNIX_EPOCH).context("the clock")?.as_secs_f64();
    for (place, truth) in &evidence.truths {
        if !(truth.first < began && ended < truth.last) {
            let text = format!("{}: {} to {} does not hold {began} to {ended}", place.name(), truth.first, truth.last);
            return Err(Failure::new(text));
        }
    }
    Ok(())
}

/// Exactly these connections worked at this host, exactly those went unanswered, and nothing else was tried.
fn expect(evidence: &Evidence, host: Host, worked: &[Served], unanswered: &[Served]) -> Result<()> {
    expect_at(evidence, Place::At(host), worked, unanswered)
}

fn expect_at(evidence: &Evidence, place: Place, worked: &[Served], unanswered: &[Served]) -> Result<()> {
    let truth = evidence.truths.get(&place).context(format!("no capture at {}", place.name()))?;
    let mapped = |expected: &[Served]| {
        let port = |port| if port == MAPPED { truth.mapped.first().copied().unwrap_or(MAPPED) } else { port };
        let mut all: Vec<_> = expected.iter().map(|&(from, to, p)| (from, to, port(p))).collect();
        all.sort();
        all
    };
    for (what, seen, expected) in [
        ("worked", truth.worked(), mapped(worked)),
        ("went unanswered", truth.unanswered(), mapped(unanswered)),
        ("is unclear", truth.unclear(), Vec::new()),
    ] {
        if seen != expected {
            let text = format!("at {}, what {what}: {seen:?}\nexpected: {expected:?}", place.name());
            return Err(Failure::new(text));
        }
    }
    Ok(())
}

/// The verdict on one capture of a recording.
///
/// To be filled when the program can judge: run `env!("CARGO_BIN_EXE_portwitness")` with
/// `verify --site <record::site(...)> --at <place>=<capture> --format json` and parse what it prints.
/// The tests above then compare requirement by requirement with the truth they already establish.
#[allow(dead_code, reason = "waits for the program")]
fn judge(place: Place, recording: &Recording) -> serde_json::Value {
    let capture = recording.captures.get(&place).map(|p| p.display().to_string());
    serde_json::json!({ "place": place.name(), "capture": capture, "verdict": null })
}
