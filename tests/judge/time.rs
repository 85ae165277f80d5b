//! Time: retries, a firewall opened half-way, a port used again, windows.

use portwitness::app::AppProto;
use portwitness::base::Proto;
use portwitness::report::{Class, Outcome, UnexpectedKind, Verdict};

use crate::world::*;

fn site() -> String {
    format!("{ROLES}{MIRROR}")
}

/// Instant recovery tries to mount again every five minutes, ten times.
fn retries(works: bool) -> World {
    let mut w = World::clean().without(3260);
    w.input.last = Some(at(4000.0));
    for n in 0..10 {
        w.tcp(TARGET, MOUNT, 3260, 50.0 + 300.0 * f64::from(n)).unanswered();
    }
    if works {
        w.tcp(TARGET, MOUNT, 3260, 50.0 + 3000.0).works(Some(AppProto::Iscsi));
    }
    w
}

#[test]
fn ten_retries_in_vain_are_one_block_with_its_history() {
    let r = retries(false).judge(&site());
    let q = requirement(&r, "image.iscsi", "tcp/3260-3270");
    assert_eq!((q.outcome, q.flows.len()), (Outcome::Blocked, 10));
    assert!(q.reason.ends_with("; 10 attempts failed over 45 min, none worked after them"), "{}", q.reason);
}

#[test]
fn a_retry_that_works_at_last_heals_them_all() {
    let r = retries(true).judge(&site());
    let q = requirement(&r, "image.iscsi", "tcp/3260-3270");
    assert_eq!((q.outcome, r.verdict), (Outcome::Satisfied, Verdict::Pass));
    assert!(
        q.reason.contains("10 earlier attempts over 45 min failed before that, the first at 2026-11-20 21:00:50"),
        "{}",
        q.reason
    );
}

#[test]
fn the_same_port_used_again_is_another_attempt() {
    for heals in [true, false] {
        let mut w = World::clean().without(6162);
        let (bad, good) = if heals { (30.0, 90.0) } else { (90.0, 30.0) };
        w.flow(Proto::Tcp, MOUNT, 52_000, REPO, 6162, bad).refused();
        w.flow(Proto::Tcp, MOUNT, 52_000, REPO, 6162, good).works(None);
        w.flows.sort_by_key(|f| f.first);
        let mut ordinal = 0;
        w.flows.iter_mut().filter(|f| f.key.ends.iter().any(|e| e.port == 52_000)).for_each(|f| {
            ordinal += 1;
            f.ordinal = ordinal;
        });
        let expected = if heals { Outcome::Satisfied } else { Outcome::Blocked };
        assert_eq!(outcome(&w.judge(&site()), "image.data-mover", "tcp/6162"), expected);
    }
}

#[test]
fn what_only_a_restore_opens_is_out_of_season_outside_the_window_and_proves_nothing() {
    let window = "\n[[window]]\nfrom = \"2026-11-20T22:02:00+01:00\"\nto = \"2026-11-20T22:05:00+01:00\"\n";
    let mut w = World::clean();
    w.tcp(MOUNT, REPO, 6162, 130.0).works(None);
    let r = w.judge(&format!("{}{window}", site()));
    let f = flow(&r, 3260);
    assert_eq!((f.class, f.unexpected), (Some(Class::Unexpected), Some(UnexpectedKind::ConditionOff)));
    assert_ne!(outcome(&r, "image.iscsi", "tcp/3260-3270"), Outcome::Satisfied);
    assert_eq!(outcome(&r, "image.data-mover", "tcp/6162"), Outcome::Satisfied);
}
