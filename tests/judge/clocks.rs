//! Clocks of several places: how far they are apart, and that no outcome rests on an order that is not known.

use portwitness::base::{Known, Proto};
use portwitness::report::text::{self, Style};
use portwitness::report::{Cause, Outcome, Report, Verdict};
use portwitness::verdict::Options;
use proptest::prelude::*;

use crate::world::*;

const PLACES: &str = "\n[[observation_point]]\nat = \"console\"\ncomplete = true\ncaptures = [\"con*\"]\n[[observation_point]]\nat = \"mount-server\"\ncomplete = true\ncaptures = [\"mnt*\"]\n[[observation_point]]\nat = \"target-windows\"\ncomplete = true\ncaptures = [\"tgt*\"]\n";

fn judged(points: Vec<(&str, World)>) -> Report {
    let points: Vec<_> = points.into_iter().map(|(name, w)| w.point(Some(name))).collect();
    judge_points(&points, &format!("{ROLES}{PLACES}"), &Options::default())
}

/// What a host's own capture shows of everything.
fn at_host(mut w: World, host: &str) -> World {
    let host: std::net::IpAddr = host.parse().unwrap();
    w.flows.retain(|f| f.key.ends.iter().any(|e| e.addr == host));
    w
}

type Outcomes = Vec<(String, String, Outcome, Option<Cause>)>;

fn outcomes(r: &Report) -> (Verdict, Outcomes) {
    (r.verdict, r.requirements.iter().map(|q| (q.rule.clone(), q.service.clone(), q.outcome, q.cause)).collect())
}

/// A restore in which the runtime fails at first and works later, the data mover's port is never tried, and a stranger asks.
fn eventful() -> World {
    let mut w = World::clean().without(6162);
    w.ping(MOUNT, REPO, 29.0);
    w.flow(Proto::Tcp, CONSOLE, 61_000, TARGET, 1035, 23.0).unanswered();
    w.flow(Proto::Tcp, STRANGER, 61_001, TARGET, 8080, 45.0).refused();
    w
}

/// Stopped at the dynamic port.
fn stopped() -> World {
    let mut w = World::clean().without(1035).without(6162).without(6160).without(3260).without_from(MOUNT, 445);
    w = w.without(49154);
    w.flow(Proto::Tcp, CONSOLE, 61_000, TARGET, 49154, 22.0).unanswered();
    w.flow(Proto::Tcp, CONSOLE, 61_002, MOUNT, 6170, 5.0).works(None);
    w.ping(MOUNT, REPO, 1.0).ping(MOUNT, TARGET, 1.0);
    w
}

fn places(of: fn() -> World, shifts: [f64; 3]) -> Report {
    let [con, mnt, tgt] = shifts;
    judged(vec![
        ("console", at_host(of(), CONSOLE).shifted(con)),
        ("mount-server", at_host(of(), MOUNT).shifted(mnt)),
        ("target-windows", at_host(of(), TARGET).shifted(tgt)),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn no_clock_that_is_wrong_by_any_amount_changes_an_outcome(
        shifts in prop::array::uniform3(prop_oneof![-9_000.0..9_000.0f64, -2.0..2.0f64, Just(0.0)]),
        which in 0usize..3,
    ) {
        let of = [World::clean, eventful, stopped][which];
        prop_assert_eq!(outcomes(&places(of, shifts)), outcomes(&places(of, [0.0; 3])));
    }
}

#[test]
fn the_difference_of_two_clocks_is_told_with_its_uncertainty() {
    let r = places(World::clean, [0.0, 0.0, 2.31]);
    let c =
        r.clocks.iter().find(|c| (c.of.as_str(), c.against.as_str()) == ("target-windows", "mount-server")).unwrap();
    assert_eq!((c.ahead_nanos, c.connections), (Known::Known(2_310_000_000), 3));
    let text = text::render(&r, &Style { width: 200, ..Style::default() });
    assert!(text.contains("target-windows is 2.310 s ahead of mount-server, ±1.000 us, from 3 connections"), "{text}");
}

#[test]
fn without_a_common_connection_the_difference_is_unknown_and_no_order_is_used() {
    let (mut con, mut mnt) = (World::new(), World::new());
    con.tcp(CONSOLE, BACKUP, 443, 10.0).works(None);
    con.tcp(CONSOLE, TARGET, 445, 20.0).works(None);
    con.tcp(CONSOLE, TARGET, 135, 21.0).unanswered();
    con.tcp(CONSOLE, TARGET, 1035, 24.0).unanswered();
    con.ping(CONSOLE, TARGET, 1.0);
    mnt.ping(MOUNT, REPO, 1.0).ping(MOUNT, TARGET, 1.0);
    mnt.flow(Proto::Tcp, TARGET, 62_001, MOUNT, 3260, 50.0).works(None);
    for shift in [-7_000.0, 0.0, 7_000.0] {
        let r = judged(vec![
            ("console", at_host(stopped(), CONSOLE)),
            ("mount-server", {
                let mut w = at_host(stopped(), MOUNT).without(6170);
                w.flow(Proto::Tcp, MOUNT, 62_000, TARGET, 6160, 100.0).works(None);
                w.shifted(shift)
            }),
        ]);
        let c = &r.clocks[0];
        assert_eq!((c.ahead_nanos, c.connections), (Known::Unknown, 0));
        let q = requirement(&r, "image.data-mover", "tcp/6162");
        assert_eq!(q.outcome, Outcome::Inconclusive, "{shift}: {}", q.reason);
        let r =
            judged(vec![("console", at_host(con_of(&con), CONSOLE)), ("mount-server", con_of(&mnt).shifted(shift))]);
        assert_eq!(outcome(&r, "image.data-mover", "tcp/6162"), Outcome::Inconclusive, "{shift}");
        assert_eq!(outcome(&r, "image.oracle-runtime", "tcp/1035-1075"), Outcome::Blocked, "{shift}");
    }
}

fn con_of(w: &World) -> World {
    let mut copy = World::new();
    copy.flows.clone_from(&w.flows);
    copy
}

/// The runtime's failure is in the console's capture only, its success in the target's only.
fn failed_here_worked_there(common: bool, shift: f64) -> Report {
    let (mut con, mut tgt) =
        (at_host(World::clean(), CONSOLE).without(1035), at_host(World::clean(), TARGET).without(1035));
    if !common {
        tgt.flows.retain(|f| f.key.ends.iter().all(|e| e.addr.to_string() != CONSOLE));
    }
    con.flow(Proto::Tcp, CONSOLE, 61_000, TARGET, 1035, 24.0).unanswered();
    con.input.last = Some(at(60.0));
    tgt.flow(Proto::Tcp, CONSOLE, 61_003, TARGET, 1035, 90.0).works(None);
    judged(vec![("console", con), ("target-windows", tgt.shifted(shift))])
}

#[test]
fn a_success_at_another_place_heals_only_where_it_is_known_to_be_later() {
    for shift in [-5_000.0, -80.0, 0.0, 5_000.0] {
        let r = failed_here_worked_there(true, shift);
        assert_eq!(outcome(&r, "image.oracle-runtime", "tcp/1035-1075"), Outcome::Satisfied, "{shift}");
        let r = failed_here_worked_there(false, shift);
        let q = requirement(&r, "image.oracle-runtime", "tcp/1035-1075");
        assert_eq!((q.outcome, q.cause), (Outcome::Inconclusive, Some(Cause::Clocks)), "{shift}: {}", q.reason);
    }
}

#[test]
fn rewritten_sequence_numbers_are_seen_through_by_what_was_said_first() {
    let (mut con, mut tgt) = (World::new(), World::new());
    for (n, port) in (0u64..).zip([1035, 445, 135]) {
        con.tcp(CONSOLE, TARGET, port, 20.0).works(None).heads(n * 100, n * 100 + 50);
        tgt.tcp(CONSOLE, TARGET, port, 25.0)
            .works(None)
            .heads(n * 100, n * 100 + 50)
            .numbered(77 + u32::from(port), 99 + u32::from(port));
    }
    let r = judged(vec![("console", con), ("target-windows", tgt)]);
    assert_eq!((r.clocks[0].ahead_nanos, r.clocks[0].connections), (Known::Known(5_000_000_000), 3));
    let q = requirement(&r, "image.oracle-runtime", "tcp/1035-1075");
    assert!(!q.reason.contains("connections"), "{}", q.reason);
}

#[test]
fn what_fits_two_connections_is_matched_with_neither() {
    let (mut con, mut tgt) = (World::new(), World::new());
    for client in [61_000u16, 61_001] {
        con.flow(Proto::Tcp, CONSOLE, client, TARGET, 1035, 20.0).works(None).heads(100, 150);
        tgt.flow(Proto::Tcp, CONSOLE, client + 100, TARGET, 1035, 20.0)
            .works(None)
            .heads(100, 150)
            .numbered(client.into(), 9);
    }
    let r = judged(vec![("console", con), ("target-windows", tgt)]);
    assert_eq!((r.clocks[0].ahead_nanos, r.clocks[0].connections), (Known::Unknown, 0));
}
