//! Where on its way an attempt was lost: each claim, and each condition that forbids it.

use portwitness::base::{Known, Proto};
use portwitness::observe::Hole;
use portwitness::report::text::{self, Style};
use portwitness::report::{Outcome, Path, PathKind, Report};
use portwitness::verdict::Options;

use crate::world::*;

const PLACES: &str = "\n[[observation_point]]\nat = \"console\"\ncomplete = true\ncaptures = [\"con*\"]\n[[observation_point]]\nat = \"target-windows\"\ncomplete = true\ncaptures = [\"tgt*\"]\n";

/// A connection of every kind but the runtime's, seen at both places.
fn both() -> World {
    let mut w = World::new();
    w.flow(Proto::Tcp, CONSOLE, 50_001, TARGET, 445, 10.0).works(None);
    w.flow(Proto::Tcp, CONSOLE, 50_002, TARGET, 445, 60.0).works(None);
    w
}

fn runtime(w: &mut World, t: f64) -> FlowFacts<'_> {
    w.flow(Proto::Tcp, CONSOLE, 61_000, TARGET, 1035, t)
}

fn judged(con: World, tgt: World) -> Report {
    let points = [con.point(Some("console")), tgt.point(Some("target-windows"))];
    judge_points(&points, &format!("{ROLES}{PLACES}"), &Options::default())
}

fn path(con: World, tgt: World) -> Option<Path> {
    let r = judged(con, tgt);
    let q = requirement(&r, "image.oracle-runtime", "tcp/1035-1075");
    assert_eq!(q.outcome, Outcome::Blocked, "{}", q.reason);
    q.path.clone()
}

fn kind(con: World, tgt: World) -> Option<PathKind> {
    path(con, tgt).map(|p| p.kind)
}

fn lost() -> (World, World) {
    let (mut con, tgt) = (both(), both());
    runtime(&mut con, 24.0).unanswered();
    (con, tgt)
}

#[test]
fn a_syn_that_left_one_place_and_never_reached_the_other_is_lost_between_them() {
    let (con, tgt) = lost();
    let p = path(con, tgt).unwrap();
    assert_eq!(
        (p.kind, p.from.as_str(), p.to.as_str(), p.loss_unknown),
        (PathKind::SynLost, "console", "target-windows", true)
    );
    assert_eq!(p.frames.len(), 1);
    assert!(
        p.text.contains("the SYN left console (test.pcap:31) and never reached target-windows")
            && p.text.contains("loss there unknown"),
        "{}",
        p.text
    );
    let (con, tgt) = lost();
    let text = text::render(&judged(con, tgt), &Style { width: 300, ..Style::default() });
    assert!(text.contains("the SYN left console"), "{text}");
}

/// A change to what the two places saw.
type Change = fn(&mut World, &mut World);

#[test]
fn a_syn_is_not_called_lost_where_the_other_place_may_have_missed_it_or_shows_what_it_may_have_become() {
    let spoilt: [(&str, Change); 10] = [
        ("a drop known there", |_, t| t.input.loss_kernel = Known::Known(1)),
        ("bytes acknowledged but not seen", |_, t| t.flows[0].ends[0].unseen_acked = 10),
        ("a filter", |_, t| t.input.filter = Known::Known("port 445".into())),
        ("a short capture length", |_, t| (t.input.cut_frames, t.input.snaplen) = (1, Known::Known(60))),
        ("a capture that began later", |_, t| t.input.first = Some(at(24.5))),
        ("a capture that ended earlier", |_, t| t.input.last = Some(at(26.0))),
        ("a hole", |_, t| t.observation.holes.push(Hole { from: at(25.0), to: at(25.5) })),
        ("flows left out", |_, t| t.observation.evicted = 1),
        ("a SYN with other numbers", |_, t| {
            runtime(t, 24.0).unanswered().numbered(7, 7);
        }),
        ("a SYN from a translated address", |_, t| {
            t.flow(Proto::Tcp, "192.0.2.9", 7_000, TARGET, 1035, 24.0).unanswered();
        }),
    ];
    for (what, spoil) in spoilt {
        let (mut con, mut tgt) = lost();
        spoil(&mut con, &mut tgt);
        let p = path(con, tgt);
        assert!(p.as_ref().is_none_or(|p| p.kind != PathKind::SynLost), "{what}: {p:?}");
    }
}

#[test]
fn a_syn_is_not_called_lost_where_the_clocks_cannot_be_compared() {
    let (mut con, tgt) = lost();
    con.flows.retain(|f| f.key.ends.iter().all(|e| e.port != 445));
    con.flow(Proto::Tcp, CONSOLE, 50_007, TARGET, 445, 10.0).works(None);
    assert_eq!(kind(con, tgt), None);
}

#[test]
fn a_wrong_clock_neither_makes_nor_hides_a_loss() {
    for shift in [-3_600.0, -30.0, 30.0, 3_600.0] {
        let (con, tgt) = lost();
        assert_eq!(kind(con, tgt.shifted(shift)), Some(PathKind::SynLost), "{shift}");
        let (con, mut tgt) = lost();
        tgt.input.last = Some(at(26.0));
        assert_eq!(kind(con, tgt.shifted(shift)), None, "{shift}");
    }
}

#[test]
fn a_syn_that_reached_the_responder_and_met_silence_is_told_with_both_frames() {
    let (mut con, mut tgt) = lost();
    runtime(&mut tgt, 24.0).unanswered();
    let p = path(con, tgt).unwrap();
    assert_eq!((p.kind, p.frames.len()), (PathKind::ResponderSilent, 2));
    con = lost().0;
    let mut tgt = both();
    runtime(&mut tgt, 24.0).unanswered();
    tgt.input.loss_kernel = Known::Known(1);
    assert_eq!(kind(con, tgt), None, "its answer may have been dropped from the capture");
}

#[test]
fn an_answer_that_left_the_responder_and_never_came_back_is_lost_on_the_way_back() {
    let answered = || {
        let (con, mut tgt) = lost();
        runtime(&mut tgt, 24.0).half_open();
        (con, tgt)
    };
    let (con, tgt) = answered();
    let p = path(con, tgt).unwrap();
    assert_eq!((p.kind, p.from.as_str(), p.to.as_str()), (PathKind::AnswerLost, "target-windows", "console"));
    let spoilt: [(&str, Change); 3] = [
        ("a drop known at the originator", |c, _| c.input.loss_interface = Known::Known(1)),
        ("a hole there", |c, _| c.observation.holes.push(Hole { from: at(23.9), to: at(24.1) })),
        ("an answer to a translated address", |c, _| {
            c.flow(Proto::Tcp, "192.0.2.9", 7_000, CONSOLE, 1035, 24.0).headless(None);
        }),
    ];
    for (what, spoil) in spoilt {
        let (mut con, mut tgt) = answered();
        spoil(&mut con, &mut tgt);
        assert_ne!(kind(con, tgt), Some(PathKind::AnswerLost), "{what}");
    }
}

#[test]
fn a_reset_that_the_responder_did_not_send_came_from_a_device_in_between() {
    let reset = |ttl| {
        let (mut con, mut tgt) = (both(), both());
        runtime(&mut con, 24.0).refused_by_ttl(ttl);
        runtime(&mut tgt, 24.0).unanswered();
        (con, tgt)
    };
    let (con, tgt) = reset(64);
    let p = path(con, tgt).unwrap();
    assert_eq!((p.kind, p.frames.len()), (PathKind::ResetBetween, 2));
    assert!(p.text.contains("a device in between"), "{}", p.text);
    let (con, mut tgt) = reset(64);
    tgt.input.loss_kernel = Known::Known(2);
    assert_eq!(kind(con, tgt), None);
    let (mut con, mut tgt) = (both(), both());
    runtime(&mut con, 24.0).refused();
    runtime(&mut tgt, 24.0).refused();
    assert_eq!(kind(con, tgt), None, "the responder's own reset");
}

#[test]
fn translated_addresses_are_one_flow_with_both_forms() {
    let (mut con, mut tgt) = (both(), both());
    runtime(&mut con, 24.0).works(None);
    tgt.flow(Proto::Tcp, "192.0.2.9", 7_000, TARGET, 1035, 24.0).works(None).numbered_as(61_000);
    let r = judged(con, tgt);
    let q = requirement(&r, "image.oracle-runtime", "tcp/1035-1075");
    assert!(
        q.outcome == Outcome::Satisfied && q.reason.contains("at target-windows as 192.0.2.9:7000"),
        "{}",
        q.reason
    );
    assert_eq!((r.classes.expected, r.classes.unexpected, r.classes.unexpected_warning), (3, 0, 0));
    assert_eq!(r.exposure.needed.used, 2);
    assert!(r.warnings.iter().all(|w| w.kind != "unexpected"), "{:?}", r.warnings);
}

#[test]
fn what_several_places_see_counts_once() {
    let one =
        |w: World| judge_points(&[w.point(Some("target-windows"))], &format!("{ROLES}{PLACES}"), &Options::default());
    let stranger = || {
        let mut w = both();
        w.flow(Proto::Tcp, TARGET, 61_500, CONSOLE, 8080, 30.0).refused();
        w.ping(CONSOLE, TARGET, 31.0);
        w
    };
    let (single, double) = (one(stranger()), judged(stranger().shifted(-50.0), stranger()));
    assert_eq!(single.classes, double.classes);
    let unexpected = |r: &Report| r.reasons.iter().filter(|x| x.starts_with("unexpected")).cloned().collect::<Vec<_>>();
    assert_eq!(unexpected(&single), unexpected(&double));
    assert_eq!(single.exposure, double.exposure);
}

#[test]
fn a_host_captured_on_two_interfaces_shows_what_either_shows() {
    let site =
        format!("{ROLES}{PLACES}[[observation_point]]\nat = \"10.77.1.20\"\ncomplete = true\ncaptures = [\"if2*\"]\n");
    let path = |second: World, first: World| {
        let mut con = both();
        runtime(&mut con, 24.0).unanswered();
        let points =
            [con.point(Some("console")), first.point(Some("target-windows")), second.point(Some("10.77.1.20"))];
        let r = judge_points(&points, &site, &Options::default());
        requirement(&r, "image.oracle-runtime", "tcp/1035-1075").path.clone().map(|p| p.kind)
    };
    assert_eq!(path(both(), both()), Some(PathKind::SynLost));
    let seen = |answered: bool| {
        let mut w = both();
        let f = runtime(&mut w, 24.0);
        if answered {
            f.half_open()
        } else {
            f.unanswered()
        };
        w
    };
    assert_eq!(path(both(), seen(false)), Some(PathKind::ResponderSilent));
    assert_eq!(path(seen(true), seen(false)), Some(PathKind::AnswerLost));
}

#[test]
fn one_capture_given_as_two_places_changes_nothing_but_the_list_of_captures() {
    let site =
        format!("{ROLES}{PLACES}[[observation_point]]\nat = \"10.77.1.20\"\ncomplete = true\ncaptures = [\"if2*\"]\n");
    let judged = |points: &[portwitness::verdict::PointSeen]| judge_points(points, &site, &Options::default());
    let (one, two) = (|| World::clean().point(Some("target-windows")), World::clean().point(Some("10.77.1.20")));
    let (single, double) = (judged(&[one()]), judged(&[one(), two]));
    assert_eq!(
        (single.classes, &single.exposure, &single.coverage),
        (double.classes, &double.exposure, &double.coverage)
    );
    let told = |r: &Report| r.requirements.iter().map(|q| (q.rule.clone(), q.outcome)).collect::<Vec<_>>();
    assert_eq!(told(&single), told(&double));
}
