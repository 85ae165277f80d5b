//! One test per requirement outcome.

use portwitness::app::AppProto;
use portwitness::report::{Cause, Outcome, Verdict};

use crate::world::*;

fn site() -> String {
    format!("{ROLES}{MIRROR}")
}

#[test]
fn satisfied_where_a_driver_established_the_port() {
    let r = World::clean().judge(&site());
    for (rule, service) in [
        ("image.console", "tcp/443"),
        ("image.rpc-deploy", "tcp/445"),
        ("image.rpc-deploy", "tcp/135"),
        ("image.rpc-dynamic", "tcp/49152-65535"),
        ("image.oracle-runtime", "tcp/1035-1075"),
        ("image.installer", "tcp/6160"),
        ("image.installer", "tcp/445"),
        ("image.data-mover", "tcp/6162"),
        ("image.iscsi", "tcp/3260-3270"),
    ] {
        assert_eq!(outcome(&r, rule, service), Outcome::Satisfied, "{rule} {service}");
    }
    assert_eq!((r.verdict, r.headline.as_str()), (Verdict::Pass, "PASS, 6 of 6 required in view"));
}

#[test]
fn satisfied_by_fallback_says_what_became_of_the_primary_port() {
    let mut w = World::clean().without(6162);
    w.tcp(MOUNT, REPO, 6162, 30.0).unanswered();
    w.tcp(MOUNT, REPO, 2500, 37.0).works(None);
    let r = w.judge(&site());
    let q = requirement(&r, "image.data-mover", "tcp/6162");
    assert_eq!(q.outcome, Outcome::SatisfiedByFallback);
    assert!(q.reason.contains("2500") && q.reason.contains("6162"), "{}", q.reason);
    assert_eq!(r.verdict, Verdict::Pass);
}

#[test]
fn blocked_only_when_primary_and_every_attempted_fallback_failed() {
    let mut w = World::clean().without(6162).without(3260).without(6160);
    w.tcp(MOUNT, REPO, 6162, 30.0).unanswered();
    w.tcp(MOUNT, REPO, 2500, 37.0).refused();
    let r = w.judge(&site());
    let q = requirement(&r, "image.data-mover", "tcp/6162");
    assert_eq!(q.outcome, Outcome::Blocked);
    assert!(q.symptom.is_some() && q.next_step.is_some());
    assert_eq!(r.verdict, Verdict::Fail);
}

#[test]
fn a_failed_primary_with_an_open_fallback_is_inconclusive() {
    let mut w = World::clean().without(6162);
    w.tcp(MOUNT, REPO, 6162, 30.0).unanswered();
    w.tcp(MOUNT, REPO, 2500, 37.0).syns(&[0.0]);
    assert_eq!(outcome(&w.judge(&site()), "image.data-mover", "tcp/6162"), Outcome::Inconclusive);
}

#[test]
fn a_failed_fallback_alone_does_not_block() {
    let mut w = World::clean().without(6162);
    w.tcp(MOUNT, REPO, 2500, 37.0).refused();
    assert_eq!(outcome(&w.judge(&site()), "image.data-mover", "tcp/6162"), Outcome::Inconclusive);
}

#[test]
fn blocked_names_the_cause_of_each_kind_of_failure() {
    type Act = fn(FlowFacts<'_>);
    let cases: [(Act, Cause); 5] = [
        (|f| _ = f.unanswered(), Cause::Unanswered),
        (|f| _ = f.refused(), Cause::Refused),
        (|f| _ = f.icmp(13), Cause::Prohibited),
        (|f| _ = f.icmp(1), Cause::Unreachable),
        (|f| _ = f.half_open(), Cause::HalfOpen),
    ];
    for (act, cause) in cases {
        let mut w = World::clean().without(3260);
        act(w.tcp(TARGET, MOUNT, 3260, 50.0));
        let r = w.judge(&site());
        let q = requirement(&r, "image.iscsi", "tcp/3260-3270");
        assert_eq!((q.outcome, q.cause), (Outcome::Blocked, Some(cause)));
        assert_eq!(r.verdict, Verdict::Fail);
        assert!(q.next_step.as_deref().is_some_and(|s| s.contains("3260")), "{:?}", q.next_step);
    }
}

#[test]
fn a_blocked_port_whose_job_another_did_blocks_nothing() {
    let mut w = World::clean().without(135);
    w.tcp(CONSOLE, TARGET, 135, 21.0).unanswered();
    let r = w.judge(&site());
    let q = requirement(&r, "image.rpc-deploy", "tcp/135");
    assert_eq!((q.outcome, q.substituted_by.as_deref()), (Outcome::Blocked, Some("tcp/445")));
    assert_eq!(r.verdict, Verdict::Pass);
}

#[test]
fn not_applicable_where_a_role_is_not_in_the_site() {
    let r = World::clean().judge(&site());
    assert_eq!(outcome(&r, "image.ssh", "tcp/22"), Outcome::NotApplicable);
}

#[test]
fn not_applicable_where_both_roles_share_a_host() {
    let site = site().replace("repository     = [\"10.77.0.13\"]", "repository     = [\"10.77.0.12\"]");
    let r = World::clean().without(6162).judge(&site);
    assert_eq!(outcome(&r, "image.data-mover", "tcp/6162"), Outcome::NotApplicable);
    assert_eq!(r.verdict, Verdict::Pass);
}

#[test]
fn not_applicable_where_the_operation_does_not_use_the_role() {
    let mut w = World::new();
    w.tcp(MOUNT, REPO, 6162, 30.0).works(None);
    let r = w.judge(&format!("operations = [\"export\"]\n{}", site()));
    assert_eq!(outcome(&r, "image.iscsi", "tcp/3260-3270"), Outcome::NotApplicable, "export never touches the target");
}

#[test]
fn not_reached_after_a_blocked_earlier_stage_names_one_cause() {
    let mut w = World::new();
    w.tcp(CONSOLE, BACKUP, 443, 10.0).works(Some(AppProto::Tls));
    w.tcp(CONSOLE, TARGET, 445, 20.0).refused();
    let r = w.judge(&site());
    assert_eq!(outcome(&r, "image.rpc-deploy", "tcp/445"), Outcome::Blocked);
    for (rule, service) in [
        ("image.oracle-runtime", "tcp/1035-1075"),
        ("image.data-mover", "tcp/6162"),
        ("image.installer", "tcp/6160"),
        ("image.iscsi", "tcp/3260-3270"),
    ] {
        let q = requirement(&r, rule, service);
        assert_eq!(q.outcome, Outcome::NotReached, "{rule}: {}", q.reason);
        assert!(q.reason.contains("image.rpc-deploy"), "{}", q.reason);
    }
}

#[test]
fn a_later_stage_that_followed_forbids_not_reached() {
    let mut w = World::clean().without(3260).without_from(CONSOLE, 445);
    w.tcp(CONSOLE, TARGET, 445, 20.0).refused();
    let r = w.judge(&site());
    assert_ne!(outcome(&r, "image.iscsi", "tcp/3260-3270"), Outcome::NotReached);
}

#[test]
fn out_of_sight_stays_not_observable_and_names_the_place_that_would_settle_it() {
    let mut w = World::new();
    w.tcp(CONSOLE, BACKUP, 443, 10.0).works(Some(AppProto::Tls));
    w.tcp(CONSOLE, TARGET, 445, 20.0).refused();
    let r = w.judge(&format!("observed_from = [\"console\"]\n{ROLES}"));
    let q = requirement(&r, "image.data-mover", "tcp/6162");
    assert_eq!(q.outcome, Outcome::NotObservable);
    assert!(q.reason.contains("ossibly not reached"), "{}", q.reason);
    assert!(q.settle_at.iter().any(|p| p.contains(MOUNT)), "{:?}", q.settle_at);
}

#[test]
fn inconclusive_where_attempts_are_only_undetermined_or_withdrawn() {
    for withdrawn in [false, true] {
        let mut w = World::clean().without(3260);
        let f = w.tcp(TARGET, MOUNT, 3260, 50.0);
        let _ = if withdrawn { f.withdrawn() } else { f.syns(&[0.0]) };
        let r = w.judge(&site());
        assert_eq!(outcome(&r, "image.iscsi", "tcp/3260-3270"), Outcome::Inconclusive);
        assert_eq!(r.verdict, Verdict::Inconclusive);
    }
}

#[test]
fn inconclusive_where_a_port_the_mapper_named_was_never_tried() {
    let w = World::clean().without(49154);
    let r = w.judge(&site());
    let q = requirement(&r, "image.rpc-dynamic", "tcp/49152-65535");
    assert_eq!((q.outcome, q.cause), (Outcome::Inconclusive, Some(Cause::MapperPortUntried)));
    assert!(q.reason.contains("49154") && q.reason.contains("srvsvc"), "{}", q.reason);
}

#[test]
fn inconclusive_where_another_service_answers() {
    let mut w = World::clean().without_from(CONSOLE, 445);
    w.tcp(CONSOLE, TARGET, 445, 20.0).works(Some(AppProto::Ssh));
    let r = w.judge(&site());
    let q = requirement(&r, "image.rpc-deploy", "tcp/445");
    assert_eq!((q.outcome, q.cause), (Outcome::Inconclusive, Some(Cause::WrongProtocol)));
    assert_eq!(r.verdict, Verdict::Fail, "the flow itself is unexpected");
}

#[test]
fn inconclusive_where_the_only_flow_in_a_range_cannot_be_oriented() {
    let mut w = World::clean().without(1035);
    w.tcp(CONSOLE, TARGET, 1035, 24.0).headless(None);
    let r = w.judge(&site());
    let q = requirement(&r, "image.oracle-runtime", "tcp/1035-1075");
    assert_eq!((q.outcome, q.cause), (Outcome::Inconclusive, Some(Cause::Direction)));
}

#[test]
fn an_uncertain_direction_satisfies_a_single_port() {
    let mut w = World::clean().without(6162);
    w.tcp(MOUNT, REPO, 6162, 1.0).headless(None);
    let r = w.judge(&site());
    assert_eq!(outcome(&r, "image.data-mover", "tcp/6162"), Outcome::Satisfied);
    assert!(flow(&r, 6162).assumed);
}

#[test]
fn an_uncertain_direction_satisfies_a_range_with_confirming_evidence() {
    let mut w = World::clean().without(3260);
    w.tcp(TARGET, MOUNT, 3260, 1.0).headless(Some(AppProto::Iscsi));
    assert_eq!(outcome(&w.judge(&site()), "image.iscsi", "tcp/3260-3270"), Outcome::Satisfied);
}

#[test]
fn missing_where_it_would_have_been_seen_and_was_not() {
    let r = World::clean().without(6160).judge(&site());
    let q = requirement(&r, "image.installer", "tcp/6160");
    assert_eq!(q.outcome, Outcome::Missing, "{}", q.reason);
    assert!(q.reason.contains("loss unknown"), "{}", q.reason);
    assert_eq!(r.verdict, Verdict::Fail);
}

#[test]
fn a_missing_expected_row_fails_nothing() {
    let r = World::clean().without_from(MOUNT, 445).judge(&site());
    assert_eq!(outcome(&r, "image.installer", "tcp/445"), Outcome::Missing);
    assert_eq!(r.verdict, Verdict::Pass);
}

#[test]
fn who_merely_may_proves_nothing() {
    let mut w = World::clean().without(6162);
    w.tcp(BACKUP, REPO, 6162, 30.0).works(None);
    let r = w.judge(&site());
    assert_eq!(outcome(&r, "image.data-mover", "tcp/6162"), Outcome::Missing);
    assert_eq!(flow(&r, 6162).class, Some(portwitness::report::Class::Expected));
}

#[test]
fn a_completed_handshake_without_an_answer_satisfies_with_a_warning() {
    let mut w = World::clean().without(6162);
    w.tcp(MOUNT, REPO, 6162, 30.0).handshake_only();
    let r = w.judge(&site());
    assert_eq!(outcome(&r, "image.data-mover", "tcp/6162"), Outcome::Satisfied);
    assert!(r.warnings.iter().any(|w| w.kind == "handshake_only"));
}

#[test]
fn a_port_closed_by_icmp_is_not_told_as_a_reset() {
    let mut w = World::clean().without(3260);
    w.tcp(TARGET, MOUNT, 3260, 50.0).icmp(3);
    let r = w.judge(&site());
    let q = requirement(&r, "image.iscsi", "tcp/3260-3270");
    assert_eq!((q.outcome, q.cause), (Outcome::Blocked, Some(Cause::Refused)));
    assert!(
        q.next_step.as_deref().is_some_and(|t| t.contains("10.77.0.1 ") && !t.contains("reset")),
        "{:?}",
        q.next_step
    );
}
