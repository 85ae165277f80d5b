//! Scenarios and operations other than an image-level restore to Windows.

use portwitness::app::AppProto;
use portwitness::matrix::Role;
use portwitness::report::{Outcome, Report, Verdict};
use portwitness::verdict::Options;

use crate::world::*;

fn plug_in(w: World, roles: &str) -> Report {
    judge_scenario("plug-in", &[w.point(None)], &format!("{roles}{MIRROR}"), &Options::default())
}

fn with(target: &str) -> String {
    ROLES.replace("target-windows = [\"10.77.1.20\"]", target)
}

fn no_false_claim(r: &Report) {
    for q in &r.requirements {
        assert!(!matches!(q.outcome, Outcome::Missing | Outcome::Blocked), "{} {}: {}", q.rule, q.service, q.reason);
    }
}

#[test]
fn a_plug_in_restore_to_linux_passes_with_ssh_control_and_data() {
    let mut w = World::new();
    w.tcp(CONSOLE, BACKUP, 443, 1.0).works(Some(AppProto::Tls));
    w.tcp(CONSOLE, LINUX, 22, 5.0).works(Some(AppProto::Ssh));
    w.tcp(LINUX, BACKUP, 10006, 10.0).works(None);
    w.tcp(LINUX, REPO, 6162, 20.0).works(None);
    let r = plug_in(w, &with("target-linux = [\"10.77.1.22\"]"));
    assert_eq!(r.verdict, Verdict::Pass, "{:?}", r.reasons);
    assert_eq!(outcome(&r, "plugin.data-mover", "tcp/6162"), Outcome::Satisfied);
    no_false_claim_but_tls(&r);
}

/// 443 of the plug-in's control channel is expected only, and missing in these worlds.
fn no_false_claim_but_tls(r: &Report) {
    for q in r.requirements.iter().filter(|q| q.outcome == Outcome::Missing) {
        assert_eq!((q.rule.as_str(), q.service.as_str()), ("plugin-rman.control", "tcp/443"));
    }
}

#[test]
fn a_plug_in_restore_to_windows_asks_the_console_alone() {
    let mut w = World::new();
    w.tcp(CONSOLE, BACKUP, 443, 1.0).works(Some(AppProto::Tls));
    w.tcp(CONSOLE, TARGET, 445, 5.0).works(Some(AppProto::Smb));
    w.tcp(CONSOLE, TARGET, 1035, 6.0).works(None);
    w.tcp(TARGET, BACKUP, 10006, 10.0).works(None);
    w.tcp(TARGET, REPO, 6162, 20.0).works(None);
    let r = plug_in(w, &with("target-windows = [\"10.77.1.20\"]"));
    assert_eq!(r.verdict, Verdict::Pass, "{:?}", r.reasons);
    assert_eq!(requirement(&r, "plugin.rpc-deploy", "tcp/445").from_roles, [Role::Console]);
    assert_eq!(outcome(&r, "plugin-rman.data", "tcp/6162"), Outcome::Satisfied);
}

#[test]
fn a_plug_in_restore_started_from_rman_does_without_the_console() {
    let mut w = World::new();
    w.tcp(LINUX, BACKUP, 10006, 10.0).works(None);
    w.tcp(LINUX, BACKUP, 443, 10.5).works(Some(AppProto::Tls));
    w.tcp(LINUX, REPO, 6162, 20.0).works(None);
    let r = plug_in(w, &format!("started_from = \"rman\"\n{}", with("target-linux = [\"10.77.1.22\"]")));
    assert_eq!(r.verdict, Verdict::Pass, "{:?}", r.reasons);
    assert_eq!(outcome(&r, "plugin.ssh", "tcp/22"), Outcome::NotApplicable);
    no_false_claim(&r);
}

#[test]
fn an_image_level_restore_to_linux_never_asks_for_windows_rows() {
    let mut w = World::new();
    w.tcp(CONSOLE, BACKUP, 443, 1.0).works(Some(AppProto::Tls));
    w.tcp(MOUNT, LINUX, 22, 5.0).works(Some(AppProto::Ssh));
    w.tcp(MOUNT, REPO, 6162, 20.0).works(None);
    let r = w.judge(&format!("{}{MIRROR}", with("target-linux = [\"10.77.1.22\"]")));
    assert_eq!(r.verdict, Verdict::Pass, "{:?}", r.reasons);
    no_false_claim(&r);
    for rule in ["image.installer", "image.iscsi", "image.oracle-runtime", "image.rpc-dynamic"] {
        assert!(
            r.requirements.iter().filter(|q| q.rule == rule).all(|q| q.outcome == Outcome::NotApplicable),
            "{rule}"
        );
    }
}

const STAGED: &str = "staging-server = [\"10.77.1.21\"]\ntarget-windows = [\"10.77.1.20\"]";

fn export() -> World {
    let mut w = World::new();
    w.tcp(CONSOLE, BACKUP, 443, 10.0).works(Some(AppProto::Tls));
    w.tcp(CONSOLE, STAGING, 445, 20.0).works(Some(AppProto::Smb));
    w.tcp(CONSOLE, STAGING, 1035, 24.0).works(None);
    w.tcp(MOUNT, REPO, 6162, 30.0).works(None);
    w.tcp(MOUNT, STAGING, 6160, 40.0).works(None);
    w.tcp(STAGING, MOUNT, 3260, 50.0).works(Some(AppProto::Iscsi));
    w
}

#[test]
fn an_export_uses_the_staging_server_and_never_the_target() {
    let site = format!("operations = [\"export\"]\nrestore_to = \"latest\"\n{}{MIRROR}", with(STAGED));
    let r = export().judge(&site);
    assert_eq!(r.verdict, Verdict::Pass, "{:?}", r.reasons);
    assert!(r.requirements.iter().all(|q| !q.to.contains(TARGET) || q.outcome == Outcome::NotApplicable));
    assert_eq!(outcome(&r, "image.iscsi", "tcp/3260-3270"), Outcome::Satisfied);
}

#[test]
fn a_staging_server_of_unknown_system_is_not_missed_on_either_systems_ports() {
    let both = "staging-server = [\"10.77.1.21\"]\ntarget-windows = [\"10.77.1.20\"]\ntarget-linux = [\"10.77.1.22\"]";
    let site = format!("operations = [\"export\"]\nrestore_to = \"latest\"\n{}{MIRROR}", with(both));
    let mut w = World::new();
    w.tcp(CONSOLE, BACKUP, 443, 10.0).works(Some(AppProto::Tls));
    w.tcp(MOUNT, STAGING, 22, 20.0).works(Some(AppProto::Ssh));
    w.tcp(MOUNT, REPO, 6162, 30.0).works(None);
    assert_ne!(w.judge(&site).verdict, Verdict::Fail);
}

#[test]
fn a_blocked_staging_server_stops_the_restore_to_the_target_too() {
    let site = format!(
        "restore_to = \"transaction\"\n{}{MIRROR}\n[[window]]\nfrom = \"2026-11-20T22:00:05+01:00\"\nto = \"2026-11-20T22:05:00+01:00\"\n",
        with(STAGED)
    );
    let mut w = World::new();
    w.tcp(CONSOLE, BACKUP, 443, 10.0).works(Some(AppProto::Tls));
    w.tcp(CONSOLE, STAGING, 445, 20.0).refused();
    let r = w.judge(&site);
    assert!(r.requirements.iter().all(|q| q.outcome != Outcome::Missing), "{:?}", r.reasons);
    assert_eq!(outcome(&r, "image.data-mover", "tcp/6162"), Outcome::NotReached);
}

#[test]
fn instant_recovery_deploys_from_the_mount_server() {
    let mut w = World::new();
    w.tcp(CONSOLE, TARGET, 445, 15.0).works(Some(AppProto::Smb));
    w.tcp(CONSOLE, TARGET, 1037, 15.5).works(None);
    w.tcp(MOUNT, TARGET, 445, 20.0).works(Some(AppProto::Smb));
    w.tcp(MOUNT, TARGET, 1035, 24.0).works(None);
    w.tcp(MOUNT, REPO, 6162, 30.0).works(None);
    w.tcp(MOUNT, TARGET, 6160, 40.0).works(None);
    w.tcp(TARGET, MOUNT, 3260, 50.0).works(Some(AppProto::Iscsi));
    let r = w.judge(&format!("operations = [\"instant-recovery\"]\n{ROLES}{MIRROR}"));
    assert_eq!(r.verdict, Verdict::Pass, "{:?}", r.reasons);
}

#[test]
fn a_restore_from_enterprise_manager_needs_no_console() {
    let mut w = World::new();
    w.tcp(MOUNT, TARGET, 445, 20.0).works(Some(AppProto::Smb));
    w.tcp(MOUNT, TARGET, 1035, 24.0).works(None);
    w.tcp(MOUNT, REPO, 6162, 30.0).works(None);
    w.tcp(MOUNT, TARGET, 6160, 40.0).works(None);
    w.tcp(TARGET, MOUNT, 3260, 50.0).works(Some(AppProto::Iscsi));
    let r = w.judge(&format!("operations = [\"enterprise-manager\"]\n{ROLES}{MIRROR}"));
    assert_eq!(r.verdict, Verdict::Pass, "{:?}", r.reasons);
    assert_eq!(outcome(&r, "image.console", "tcp/443"), Outcome::NotApplicable);
}

#[test]
fn a_companions_row_of_another_operation_is_off_and_warns() {
    let mut w = World::clean();
    w.tcp(CONSOLE, STAGING, 6162, 60.0).works(None);
    let r = w.judge(&format!("restore_to = \"latest\"\n{}{MIRROR}", with(STAGED)));
    let f = r.flows.iter().find(|f| f.resp.addr.to_string() == STAGING).unwrap();
    assert_eq!(f.unexpected, Some(portwitness::report::UnexpectedKind::ConditionOff), "{:?}", f.reason);
    assert_eq!(r.verdict, Verdict::Pass);
}
