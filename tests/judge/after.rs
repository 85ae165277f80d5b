//! Connections that open and then break: what that means for the rows, and what it does not.

use portwitness::app::AppProto;
use portwitness::flow::Break;
use portwitness::report::{Cause, Outcome, Report, Verdict};

use crate::world::*;

fn site() -> String {
    format!("{ROLES}{MIRROR}")
}

const ISCSI: (&str, &str) = ("image.iscsi", "tcp/3260-3270");
const MOVER: (&str, &str) = ("image.data-mover", "tcp/6162");

/// What became of a row, its cause, its reason and next step.
fn told(r: &Report, (rule, service): (&str, &str)) -> (Outcome, Option<Cause>, String) {
    let q = requirement(r, rule, service);
    (q.outcome, q.cause, format!("{} {}", q.reason, q.next_step.clone().unwrap_or_default()))
}

fn has(text: &str, words: &[&str]) {
    words.iter().for_each(|w| assert!(text.contains(w), "no '{w}' in: {text}"));
}

#[test]
fn full_sized_packets_that_vanish_block_a_row_and_no_port_rule_is_blamed() {
    let mut w = World::clean().without(6162).without(6160).without_from(MOUNT, 445).without(3260);
    w.tcp(MOUNT, REPO, 6162, 30.0).works(None).stalls(1460);
    let r = w.judge(&site());
    let (outcome, cause, text) = told(&r, MOVER);
    assert_eq!((outcome, cause), (Outcome::Blocked, Some(Cause::MtuBlackHole)));
    has(&text, &["the handshake succeeded, then", "1460 bytes", "MTU", MOUNT, REPO, "tcp/6162"]);
    assert_eq!(r.verdict, Verdict::Fail);
    has(&r.reasons[0], &["image.data-mover blocked (opens, then loses full-sized packets)"]);
    assert_eq!(told(&r, ISCSI).0, Outcome::NotReached);
    let f = flow(&r, 6162);
    let a = f.after.as_ref().unwrap();
    assert_eq!((f.attempt, a.outcome, a.side.as_str(), a.early), ("established", Break::MtuBlackHole, "orig", true));
    has(&a.display_filter, &["tcp.seq_raw == 1001", "tcp.port == 6162"]);
}

#[test]
fn a_stall_before_any_work_blocks_and_one_after_it_is_a_finding() {
    let mut w = World::clean().without(3260);
    w.tcp(TARGET, MOUNT, 3260, 50.0).works(Some(AppProto::Iscsi)).stalls(80);
    let (outcome, cause, text) = told(&w.judge(&site()), ISCSI);
    assert_eq!((outcome, cause), (Outcome::Blocked, Some(Cause::Stalled)));
    has(&text, &["handshake of tcp/3260 passes", "inspection", MOUNT]);

    let mut w = World::clean().without(3260);
    w.tcp(TARGET, MOUNT, 3260, 50.0).works(Some(AppProto::Iscsi)).carried(3_000_000_000).stalls(80);
    let r = w.judge(&site());
    let (outcome, cause, text) = told(&r, ISCSI);
    assert_eq!((outcome, cause), (Outcome::Satisfied, Some(Cause::Stalled)));
    has(&text, &["it carried 3.0 GB, and at 2026-11-20 21:00:52.000 UTC it broke", "The row is satisfied."]);
    assert_eq!(r.verdict, Verdict::Pass, "the port is open");
    let warning = r.warnings.iter().find(|w| w.kind == "broke_later").unwrap();
    has(&warning.text, &["tcp/3260 worked, then broke"]);
}

#[test]
fn a_later_connection_that_works_makes_a_broken_one_good() {
    let mut w = World::clean().without(3260);
    w.tcp(TARGET, MOUNT, 3260, 50.0).works(None).stalls(80);
    w.tcp(TARGET, MOUNT, 3260, 70.0).works(Some(AppProto::Iscsi));
    let (outcome, cause, text) = told(&w.judge(&site()), ISCSI);
    assert_eq!((outcome, cause), (Outcome::Satisfied, None));
    has(&text, &["1 earlier attempt failed before that", "the handshake succeeded, then"]);
}

#[test]
fn a_primary_port_that_is_reset_in_midstream_leaves_the_fallback() {
    let mut w = World::clean().without(6162);
    w.tcp(MOUNT, REPO, 6162, 30.0).works(None).reset_midstream(64);
    w.tcp(MOUNT, REPO, 2500, 37.0).works(None);
    let (outcome, cause, text) = told(&w.judge(&site()), MOVER);
    assert_eq!((outcome, cause), (Outcome::SatisfiedByFallback, Some(Cause::ResetMidstream)));
    has(&text, &["tcp/6162 failed (the handshake succeeded, then a RST in the name of", "A capture at"]);
}

#[test]
fn a_reset_whose_ttl_does_not_fit_points_to_a_device() {
    let mut w = World::clean().without(6160);
    w.tcp(MOUNT, TARGET, 6160, 40.0).works(None).reset_midstream(250);
    let r = w.judge(&site());
    let (outcome, cause, text) = told(&r, ("image.installer", "tcp/6160"));
    assert_eq!((outcome, cause), (Outcome::Blocked, Some(Cause::ResetMidstream)));
    has(&text, &["consistent with a device in the path", "a device in the path seems to reset it in the name of"]);
    assert!(flow(&r, 6160).after.as_ref().unwrap().device_suspected);
}

#[test]
fn an_idle_cut_of_what_had_worked_blocks_nothing() {
    let mut w = World::clean().without(3260);
    w.tcp(TARGET, MOUNT, 3260, 50.0)
        .works(Some(AppProto::Iscsi))
        .carried(40_000)
        .silent(1.5, 200.0)
        .reset_at(201.0, 64);
    let r = w.judge(&site());
    let (outcome, cause, text) = told(&r, ISCSI);
    assert_eq!((outcome, cause), (Outcome::Satisfied, Some(Cause::IdleCut)));
    has(&text, &["after 3 min without a packet", "idle timeout"]);
    assert_eq!(r.verdict, Verdict::Pass);
}

#[test]
fn what_a_connection_under_way_had_done_is_not_known() {
    let mut w = World::clean().without(6162);
    w.tcp(MOUNT, REPO, 6162, 1.0).headless(None).stalls(80);
    assert_eq!(told(&w.judge(&site()), MOVER).0, Outcome::Satisfied);
}

#[test]
fn a_receiver_that_stops_reading_is_no_failure_of_the_network() {
    let mut w = World::clean().without(3260);
    w.tcp(TARGET, MOUNT, 3260, 50.0).works(Some(AppProto::Iscsi)).carried(9_000).closes_window(60.0);
    let r = w.judge(&site());
    assert_eq!(told(&r, ISCSI).0, Outcome::Satisfied);
    assert!(r.warnings.iter().any(|w| w.kind == "zero_window"), "{:?}", r.warnings);
    assert_eq!(r.verdict, Verdict::Pass);
}

#[test]
fn the_place_that_saw_it_break_knows_more_than_the_one_that_saw_it_open() {
    let places = "\n[[observation_point]]\nat = \"mount-server\"\n[[observation_point]]\nat = \"repository\"\n";
    let place = |breaks: bool| {
        let mut w = World::new();
        let f = w.tcp(MOUNT, REPO, 6162, 30.0).works(None);
        if breaks {
            _ = f.stalls(1460);
        }
        w
    };
    for (mount, repository) in [(true, false), (false, true)] {
        let points = [place(mount).point(Some("mount-server")), place(repository).point(Some("repository"))];
        let r = judge_points(&points, &format!("{ROLES}{places}"), &portwitness::verdict::Options::default());
        assert_eq!(told(&r, MOVER).0, Outcome::Blocked);
    }
}
