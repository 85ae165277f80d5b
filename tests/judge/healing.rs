//! What later success makes good, and what it does not.

use portwitness::app::AppProto;
use portwitness::report::{Outcome, Verdict};

use crate::world::*;

fn site() -> String {
    format!("{ROLES}{MIRROR}")
}

#[test]
fn a_later_success_on_a_single_port_heals_and_keeps_the_history() {
    let mut w = World::clean().without(443);
    w.tcp(CONSOLE, BACKUP, 443, 5.0).unanswered();
    w.tcp(CONSOLE, BACKUP, 443, 15.0).works(Some(AppProto::Tls));
    let r = w.judge(&site());
    let q = requirement(&r, "image.console", "tcp/443");
    assert_eq!(q.outcome, Outcome::Satisfied);
    assert!(q.reason.contains("earlier attempt"), "{}", q.reason);
    assert_eq!(r.verdict, Verdict::Pass);
}

#[test]
fn an_earlier_success_heals_nothing() {
    let mut w = World::clean().without(443);
    w.tcp(CONSOLE, BACKUP, 443, 5.0).works(Some(AppProto::Tls));
    w.tcp(CONSOLE, BACKUP, 443, 15.0).unanswered();
    assert_eq!(outcome(&w.judge(&site()), "image.console", "tcp/443"), Outcome::Blocked);
}

#[test]
fn a_success_of_another_pair_heals_nothing() {
    let mut w = World::clean();
    w.ping(BACKUP, TARGET, 18.0);
    w.tcp(BACKUP, TARGET, 445, 19.0).unanswered();
    assert_eq!(outcome(&w.judge(&site()), "image.rpc-deploy", "tcp/445"), Outcome::Blocked);
}

#[test]
fn unrelated_traffic_on_another_dynamic_port_does_not_heal_a_port_the_mapper_named() {
    let mut w = World::clean().without(49154).without(135);
    w.tcp(CONSOLE, TARGET, 135, 21.0).works(Some(AppProto::DceRpc)).names(TARGET, 49154, SRVSVC);
    w.tcp(CONSOLE, TARGET, 49154, 22.0).unanswered();
    w.tcp(CONSOLE, TARGET, 49160, 30.0).works(Some(AppProto::DceRpc));
    let r = w.judge(&site());
    assert_eq!(outcome(&r, "image.rpc-dynamic", "tcp/49152-65535"), Outcome::Blocked);
    assert_eq!(r.verdict, Verdict::Fail);
}

#[test]
fn another_port_named_for_the_same_interface_heals() {
    let mut w = World::clean().without(49154).without(135);
    w.tcp(CONSOLE, TARGET, 135, 21.0)
        .works(Some(AppProto::DceRpc))
        .names(TARGET, 49154, SRVSVC)
        .names(TARGET, 49160, SRVSVC);
    w.tcp(CONSOLE, TARGET, 49154, 22.0).unanswered();
    w.tcp(CONSOLE, TARGET, 49160, 30.0).works(Some(AppProto::DceRpc));
    assert_eq!(outcome(&w.judge(&site()), "image.rpc-dynamic", "tcp/49152-65535"), Outcome::Satisfied);
}

#[test]
fn a_dynamic_port_nobody_named_is_healed_by_any_later_success_of_the_pair() {
    let mut w = World::clean();
    w.tcp(CONSOLE, TARGET, 49170, 21.0).refused();
    assert_eq!(outcome(&w.judge(&site()), "image.rpc-dynamic", "tcp/49152-65535"), Outcome::Satisfied);
}

#[test]
fn the_next_free_runtime_port_heals_a_failed_one() {
    let mut w = World::clean();
    w.tcp(CONSOLE, TARGET, 1036, 23.0).unanswered();
    // 1035 had not been used before the failure at 23 s; its success at 24 s may be the same component's.
    assert_eq!(outcome(&w.judge(&site()), "image.oracle-runtime", "tcp/1035-1075"), Outcome::Satisfied);
}

#[test]
fn a_runtime_port_already_in_use_heals_no_other() {
    let mut w = World::clean();
    w.tcp(CONSOLE, TARGET, 1036, 26.0).unanswered();
    w.tcp(CONSOLE, TARGET, 1035, 35.0).works(None);
    assert_eq!(outcome(&w.judge(&site()), "image.oracle-runtime", "tcp/1035-1075"), Outcome::Blocked);
}

#[test]
fn any_later_login_of_the_pair_heals_an_iscsi_port() {
    let mut w = World::clean();
    w.tcp(TARGET, MOUNT, 3261, 48.0).refused();
    assert_eq!(outcome(&w.judge(&site()), "image.iscsi", "tcp/3260-3270"), Outcome::Satisfied);
}
