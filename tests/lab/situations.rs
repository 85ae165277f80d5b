//! One test per situation: it is played, held against its own story and against tshark, and judged from every place.

use std::io::Write;
use std::path::Path;
use std::time::{Instant, UNIX_EPOCH};

use crate::expect::{Facts, View};
use crate::failure::{Context, Failure, Result};
use crate::hosts::Place;
use crate::lab::{Lab, Recording};
use crate::live::Live;
use crate::seal::sealed;
use crate::situation::{self, Situation};
use crate::story::{End, MAPPED, Story};
use crate::truth::{self, Truth};
use crate::{judge, record};

macro_rules! situations {
    ($($test:ident: $situation:ident;)*) => {$(
        #[test]
        fn $test() -> Result<()> {
            sealed(concat!("situations::", stringify!($test)), |work| run(&situation::$situation, work))
        }
    )*};
}

situations! {
    restore_clean: CLEAN;
    rpc_dynamic_dropped: RPC_DYNAMIC_DROPPED;
    data_mover_fallback: DATA_MOVER_FALLBACK;
    publish_installer_reset: PUBLISH_INSTALLER_RESET;
    instant_iscsi_half_open: INSTANT_ISCSI_HALF_OPEN;
    enterprise_runtime_refused: ENTERPRISE_RUNTIME_REFUSED;
    export_mapper_prohibited: EXPORT_MAPPER_PROHIBITED;
    linux_shared_host: LINUX_SHARED;
    own_firewall: OWN_FIREWALL;
    plugin_windows: PLUGIN_WINDOWS_SERVER_CONSOLE;
    plugin_linux_prohibited: PLUGIN_LINUX_PROHIBITED;
    two_targets: TWO_TARGETS;
    ipv6_lossy: IPV6_LOSSY;
    dual_stack_unreachable: DUAL_UNREACHABLE;
    nat_black_hole: NAT_BLACK_HOLE;
    strangers: STRANGERS;
    wrong_service: WRONG_SERVICE;
}

/// Plays a situation, checks that it went as its story says, and judges every capture of it.
fn run(situation: &Situation, work: &Path) -> Result<()> {
    let began = Instant::now();
    let (scenario, blocks) = ((situation.scenario)(), (situation.blocks)());
    let story = Story::of(&scenario, &blocks);
    let mut lab = Lab::up((situation.topology)(), situation.cast, &scenario.restore, &blocks, work)?;
    lab.capture(&judge::places(situation))?;
    let live = Live::start(situation, work)?;
    let up = began.elapsed();
    let recording = lab.play(&scenario)?;
    let watched = live.hold(&recording);
    let played = began.elapsed();
    // Seen with --nocapture, and when the test fails.
    let _ = writeln!(std::io::stdout(), "\n{}", recording.log);
    if (recording.log.of_restore(), recording.log.stopped_at()) != (story.steps.clone(), situation.stops_at) {
        let text = format!("not played as the story says: {:?}", recording.log.stopped_at());
        return Err(lab.explain(Failure::new(text)));
    }
    for place in judge::places(situation) {
        second_opinion(situation, &story, place, &recording).map_err(|e| lab.explain(e))?;
    }
    watched.map_err(|e| lab.explain(e))?;
    record::keep(situation, &recording)?;
    let judged = judge::hold(situation, &recording);
    let (file, all) = (situation.file, began.elapsed());
    let _ = writeln!(std::io::stdout(), "{file}: up after {up:.1?}, played after {played:.1?}, all of {all:.1?}");
    judged
}

/// What tshark says of a capture: it holds the whole restore, and what worked or went unanswered is what the story has.
///
/// A translating router shows one connection under two addresses, so only its time is held against the story there.
fn second_opinion(situation: &Situation, story: &Story, place: Place, recording: &Recording) -> Result<()> {
    let truth = Truth::of(recording.captures.get(&place).context("no capture")?)?;
    let seconds = |time: std::time::SystemTime| {
        Ok::<_, Failure>(time.duration_since(UNIX_EPOCH).context("the clock")?.as_secs_f64())
    };
    let (began, ended) = (seconds(recording.log.ran.0)?, seconds(recording.log.ran.1)?);
    let (topology, view) = ((situation.topology)(), View::of(vec![place], true));
    let facts = Facts { topology: &topology, story, view: &view };
    if facts.carries() && !(truth.first < began && ended < truth.last) {
        let text = format!("{}: {} to {} does not hold {began} to {ended}", place.name(), truth.first, truth.last);
        return Err(Failure::new(text));
    }
    if topology.nat {
        return Ok(());
    }
    let all = facts.expect(situation.operation.rows(situation.cast)).flows;
    for (attempt, seen) in [("established", truth.worked()), ("unanswered", truth.unanswered())] {
        let mut right = Vec::new();
        let mut other = Vec::new();
        for (from, to, port, shown, _) in &all {
            let port = if *port == MAPPED { truth.mapped.first().copied().unwrap_or(MAPPED) } else { *port };
            let served = (topology.source(*from, *to)?, topology.address(*to)?, port);
            if *shown == attempt { right.push(served) } else { other.push(served) }
        }
        // A connection that a block broke half-way worked and did not; an error from the router is no answer to tshark.
        let broken = |port: u16| story.tries.iter().any(|t| t.port == port && matches!(t.end, End::Broken(_)));
        right.retain(|s| !broken(s.2));
        right.sort();
        let clear = |s: &truth::Served| !broken(s.2) && (attempt == "established" || !other.contains(s));
        let seen: Vec<_> = seen.into_iter().filter(clear).collect();
        if seen != right {
            return Err(Failure::new(format!("at {}, {attempt}: {seen:?}\nof the story: {right:?}", place.name())));
        }
    }
    Ok(())
}
