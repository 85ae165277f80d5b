//! Several places: what each covers, and one connection seen at more than one of them.

use portwitness::app::AppProto;
use portwitness::base::Proto;
use portwitness::report::{Cause, Outcome, Report};
use portwitness::verdict::Options;

use crate::world::*;

const PLACES: &str = "\n[[observation_point]]\nat = \"console\"\ncaptures = [\"con*\"]\n[[observation_point]]\nat = \"mount-server\"\ncaptures = [\"mnt*\"]\n[[observation_point]]\nat = \"target-windows\"\ncaptures = [\"tgt*\"]\n";

fn judged(points: Vec<(&str, World)>, extra: &str) -> Report {
    let points: Vec<_> = points.into_iter().map(|(name, w)| w.point(Some(name))).collect();
    judge_points(&points, &format!("{ROLES}{PLACES}{extra}"), &Options::default())
}

/// What the console sees of a clean restore, and what the mount server sees of one without the data mover.
fn console() -> World {
    World::clean().without_from(MOUNT, 445).without(6160).without(6162).without(3260)
}

/// A connection that several places see: their clocks are compared by it.
fn common(w: &mut World, secs: f64) {
    w.flow(Proto::Tcp, CONSOLE, 40_000, MOUNT, 6170, secs).works(None);
}

fn mount() -> World {
    let mut w = World::clean().without(443).without_from(CONSOLE, 445).without(135).without(49154).without(1035);
    w = w.without(6162);
    w.ping(MOUNT, REPO, 29.0);
    w
}

#[test]
fn a_window_must_lie_inside_the_capture_that_sees_the_pair() {
    let window = "\n[[window]]\nfrom = \"2026-11-20T22:00:05+01:00\"\nto = \"2026-11-20T22:05:00+01:00\"\n";
    let r = judged(vec![("console", console()), ("mount-server", mount())], window);
    assert_eq!(outcome(&r, "image.data-mover", "tcp/6162"), Outcome::Missing);
    let mut short = mount();
    short.input.last = Some(at(60.0));
    let r = judged(vec![("console", console()), ("mount-server", short)], window);
    let q = requirement(&r, "image.data-mover", "tcp/6162");
    assert_eq!((q.outcome, q.cause), (Outcome::Inconclusive, Some(Cause::Time)), "{}", q.reason);
}

#[test]
fn a_capture_that_began_after_the_restore_did_elsewhere_proves_no_absence() {
    let both = |mut m: World| {
        let mut con = console();
        common(&mut con, 37.0);
        common(&mut m, 37.0);
        judged(vec![("console", con), ("mount-server", m)], "")
    };
    assert_eq!(outcome(&both(mount()), "image.data-mover", "tcp/6162"), Outcome::Missing);
    let mut late = mount();
    late.input.first = Some(at(35.0));
    late.flows.retain(|f| f.first.time >= at(35.0));
    late.ping(MOUNT, REPO, 36.0);
    let r = both(late);
    let q = requirement(&r, "image.data-mover", "tcp/6162");
    assert_eq!((q.outcome, q.cause), (Outcome::Inconclusive, Some(Cause::Time)), "{}", q.reason);
}

#[test]
fn a_syn_that_arrives_without_an_answer_points_at_the_responders_own_firewall() {
    let (mut con, mut tgt) = (console().without(1035), World::new());
    con.flow(Proto::Tcp, CONSOLE, 51_700, TARGET, 1035, 24.0).unanswered();
    tgt.ping(CONSOLE, TARGET, 1.0);
    tgt.flow(Proto::Tcp, CONSOLE, 51_700, TARGET, 1035, 24.0).unanswered();
    let r = judged(vec![("console", con), ("target-windows", tgt)], "");
    let q = requirement(&r, "image.oracle-runtime", "tcp/1035-1075");
    assert_eq!(q.outcome, Outcome::Blocked);
    assert!(q.next_step.as_deref().is_some_and(|t| t.contains("arrives at")), "{:?}", q.next_step);
}

#[test]
fn a_syn_that_never_arrives_points_at_the_path() {
    let (mut con, mut tgt) = (console().without(1035), World::new());
    con.flow(Proto::Tcp, CONSOLE, 51_700, TARGET, 1035, 24.0).unanswered();
    con.flow(Proto::Tcp, CONSOLE, 40_001, TARGET, 445, 19.0).works(None);
    tgt.flow(Proto::Tcp, CONSOLE, 40_001, TARGET, 445, 19.0).works(None);
    let r = judged(vec![("console", con), ("target-windows", tgt)], "");
    let q = requirement(&r, "image.oracle-runtime", "tcp/1035-1075");
    assert_eq!(q.outcome, Outcome::Blocked);
    assert!(q.next_step.as_deref().is_some_and(|t| t.contains("No SYN of it")), "{:?}", q.next_step);
}

#[test]
fn a_failure_that_one_place_explains_better_is_one_attempt_with_that_cause() {
    let (mut con, mut tgt) = (console().without(1035), World::new());
    con.flow(Proto::Tcp, CONSOLE, 51_700, TARGET, 1035, 24.0).unanswered();
    tgt.flow(Proto::Tcp, CONSOLE, 51_700, TARGET, 1035, 24.0).half_open();
    let r = judged(vec![("console", con), ("target-windows", tgt)], "");
    let q = requirement(&r, "image.oracle-runtime", "tcp/1035-1075");
    assert_eq!((q.outcome, q.cause, q.flows.len()), (Outcome::Blocked, Some(Cause::HalfOpen), 1));
    assert!(q.reason.contains("at console"), "{}", q.reason);
}

#[test]
fn a_connection_under_a_translated_address_is_the_same_attempt() {
    let roles = ROLES.replace("[\"10.77.0.10\"]", "[\"con01\"]");
    let site = format!("{roles}\n[hosts]\ncon01 = [\"10.77.0.10\", \"192.0.2.10\"]\n{PLACES}");
    let (mut con, mut tgt) = (console().without(1035), World::new());
    con.flow(Proto::Tcp, CONSOLE, 51_700, TARGET, 1035, 24.0).works(None);
    tgt.flow(Proto::Tcp, "192.0.2.10", 61_700, TARGET, 1035, 24.0).half_open().numbered_as(51_700);
    let points = [con.point(Some("console")), tgt.point(Some("target-windows"))];
    let r = judge_points(&points, &site, &Options::default());
    assert_eq!(outcome(&r, "image.oracle-runtime", "tcp/1035-1075"), Outcome::Satisfied);
}

#[test]
fn one_connection_seen_twice_is_one_connection() {
    let points = || vec![("console", console()), ("mount-server", mount())];
    assert!(!requirement(&judged(points(), ""), "image.console", "tcp/443").reason.contains("connections"));
    let twice = vec![("console", console()), ("target-windows", console().without(443))];
    let r = judged(twice, "");
    let q = requirement(&r, "image.oracle-runtime", "tcp/1035-1075");
    assert!(!q.reason.contains("connections"), "{}", q.reason);
}

#[test]
fn encapsulation_over_udp_hides_its_contents_even_beside_plain_packets() {
    let mut w = World::clean().without(6162);
    w.ping(MOUNT, REPO, 1.0);
    w.flow(Proto::Udp, MOUNT, 4500, REPO, 4500, 2.0).talks(300.0);
    let r = w.judge(&format!("observed_from = [\"mount-server\"]\n{ROLES}"));
    let q = requirement(&r, "image.data-mover", "tcp/6162");
    assert_eq!((q.outcome, q.cause), (Outcome::NotObservable, Some(Cause::Opaque)), "{}", q.reason);
}

#[test]
fn a_port_the_mapper_named_is_settled_at_the_askers_own_place() {
    let r = World::clean().without(49154).judge(&format!("observed_from = [\"target-windows\"]\n{ROLES}"));
    let q = requirement(&r, "image.rpc-dynamic", "tcp/49152-65535");
    assert_eq!((q.outcome, q.settle_at.as_slice()), (Outcome::Inconclusive, &[CONSOLE.to_owned()][..]));
}

#[test]
fn the_mappers_answer_under_an_address_nobody_has_means_the_host_that_was_asked() {
    for address in ["0.0.0.0", "192.0.2.77"] {
        let mut w = World::clean().without(49154).without(135);
        w.tcp(CONSOLE, TARGET, 135, 21.0).works(Some(AppProto::DceRpc)).names(address, 49154, SRVSVC);
        w.tcp(CONSOLE, TARGET, 49154, 22.0).unanswered();
        w.tcp(CONSOLE, TARGET, 49160, 30.0).works(Some(AppProto::DceRpc));
        let r = w.judge(&format!("{ROLES}{MIRROR}"));
        assert_eq!(outcome(&r, "image.rpc-dynamic", "tcp/49152-65535"), Outcome::Blocked, "{address}");
    }
}

#[test]
fn tens_of_thousands_of_failed_and_working_attempts_are_judged_in_seconds() {
    let mut w = World::clean();
    for n in 0..20_000_u16 {
        let t = 60.0 + f64::from(n) / 100.0;
        let port = 50_000 + n % 15_000;
        w.flow(Proto::Tcp, CONSOLE, 30_000 + n, TARGET, port, t);
        if n % 2 == 0 {
            FlowFacts(w.flows.last_mut().unwrap()).refused();
        } else {
            FlowFacts(w.flows.last_mut().unwrap()).works(None);
        }
        w.flow(Proto::Tcp, STRANGER, 30_000 + n, TARGET, 10_000 + n, t);
        FlowFacts(w.flows.last_mut().unwrap()).refused();
    }
    let begun = std::time::Instant::now();
    let r = w.judge(&format!("{ROLES}{MIRROR}"));
    assert!(r.flows.len() > 20_000);
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
