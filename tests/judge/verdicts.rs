//! The verdict, its scope, coverage and exposure; roles without a site; several places.

use portwitness::app::AppProto;
use portwitness::matrix::Role;
use portwitness::report::{Outcome, ScopeMode, Verdict};
use portwitness::verdict::Options;

use crate::world::*;

fn site() -> String {
    format!("{ROLES}{MIRROR}")
}

#[test]
fn no_restore_seen_is_inconclusive() {
    let mut w = World::new();
    w.tcp(CONSOLE, BACKUP, 443, 10.0).works(Some(AppProto::Tls));
    let r = w.judge(&site());
    assert_eq!(r.verdict, Verdict::Inconclusive);
    assert!(r.reasons.iter().any(|t| t.contains("no restore was seen")), "{:?}", r.reasons);
}

#[test]
fn a_view_from_one_host_passes_with_its_scope_and_scope_all_does_not() {
    let own = format!("observed_from = [\"mount-server\"]\n{ROLES}");
    let seen = || World::clean().without(443).without_from(CONSOLE, 445).without(135).without(49154).without(1035);
    let r = seen().judge(&own);
    assert_eq!((r.verdict, r.headline.as_str()), (Verdict::Pass, "PASS, 3 of 6 required in view"));
    assert_eq!(outcome(&r, "image.rpc-deploy", "tcp/445"), Outcome::NotObservable);
    let all = seen().judge_with(&own, &Options { scope: ScopeMode::All, ..Options::default() });
    assert_eq!(all.verdict, Verdict::Inconclusive);
}

#[test]
fn coverage_and_exposure_count_what_was_exercised_and_what_is_open() {
    let r = World::clean().judge(&site());
    assert_eq!((r.coverage.exercised, r.coverage.required), (6, 6));
    assert!(r.exposure.needed.opened > 16_000, "dynamic RPC is open: {:?}", r.exposure);
    assert_eq!(r.exposure.needed.used, 9);
    assert_eq!(r.exposure.fallback.used, 0);
}

#[test]
fn without_a_site_roles_are_suggested_with_reasons_and_the_end_is_inconclusive() {
    let r = World::clean().judge_without_site();
    assert_eq!(r.verdict, Verdict::Inconclusive);
    for (addr, role) in [
        (CONSOLE, Role::Console),
        (BACKUP, Role::BackupServer),
        (MOUNT, Role::MountServer),
        (REPO, Role::Repository),
        (TARGET, Role::TargetWindows),
    ] {
        assert!(
            r.inferred_roles.iter().any(|i| i.address == addr && i.role == role && !i.because.is_empty()),
            "{role}"
        );
    }
    assert!(r.requirements.iter().all(|q| q.outcome != Outcome::Missing));
    let r = World::clean().without(6160).judge_without_site();
    assert!(r.requirements.iter().all(|q| q.outcome != Outcome::Missing));
}

#[test]
fn an_override_moves_a_port_and_is_named() {
    let site = format!(
        "{}\n[[override]]\nrule = \"image.installer\"\nport = \"tcp/6160\"\nservice = \"tcp/16160\"\nreason = \"moved\"\n",
        site()
    );
    let mut w = World::clean().without(6160);
    w.tcp(MOUNT, TARGET, 16160, 40.0).works(None);
    let r = w.judge(&site);
    let q = requirement(&r, "image.installer", "tcp/16160");
    assert_eq!(q.outcome, Outcome::Satisfied);
    assert!(q.exception.as_deref().is_some_and(|e| e.contains("moved")));
    assert_eq!(r.headline, "PASS, 6 of 6 required in view, 1 exception");
}

#[test]
fn an_override_can_leave_a_row_out() {
    let site =
        format!("{}\n[[override]]\nrule = \"image.installer\"\nskip = true\nreason = \"pre-installed\"\n", site());
    let r = World::clean().without(6160).judge(&site);
    assert_eq!(outcome(&r, "image.installer", "tcp/6160"), Outcome::NotApplicable);
    assert_eq!(r.verdict, Verdict::Pass);
}

#[test]
fn two_places_together_see_what_neither_sees_alone() {
    let site = format!(
        "{ROLES}\n[[observation_point]]\nat = \"console\"\ncaptures = [\"con*\"]\n[[observation_point]]\nat = \"mount-server\"\ncaptures = [\"mnt*\"]\n"
    );
    let console = World::clean().without_from(MOUNT, 445).without(6160).without(6162).without(3260);
    let mount = World::clean().without(443).without_from(CONSOLE, 445).without(135).without(49154).without(1035);
    let points = [console.point(Some("console")), mount.point(Some("mount-server"))];
    let r = judge_points(&points, &site, &Options::default());
    assert_eq!((r.verdict, r.headline.as_str()), (Verdict::Pass, "PASS, 6 of 6 required in view"));
}

#[test]
fn a_connection_that_one_place_saw_work_is_not_blocked_by_another() {
    let site = format!(
        "{ROLES}\n[[observation_point]]\nat = \"console\"\ncaptures = [\"con*\"]\n[[observation_point]]\nat = \"target-windows\"\ncaptures = [\"tgt*\"]\n"
    );
    let mut target = World::new();
    target.ping(CONSOLE, TARGET, 1.0);
    let console = World::clean();
    let mut seen_badly = console.flows.iter().find(|f| f.key.ends.iter().any(|e| e.port == 1035)).unwrap().clone();
    for e in &mut seen_badly.ends {
        (e.acked_handshake, e.payload_acked, e.syn_acks) = (None, None, 0);
        e.syn_ack_seen.clear();
    }
    target.flows.push(seen_badly);
    let points = [console.point(Some("console")), target.point(Some("target-windows"))];
    let r = judge_points(&points, &site, &Options::default());
    assert_eq!(outcome(&r, "image.oracle-runtime", "tcp/1035-1075"), Outcome::Satisfied);
}

#[test]
fn the_same_case_gives_the_same_bytes() {
    let once = || serde_json::to_string(&World::clean().judge(&site())).unwrap();
    assert_eq!(once(), once());
}

#[test]
fn instant_recovery_asks_the_mount_server_and_expects_the_console() {
    let r = World::clean().judge(&format!("operations = [\"instant-recovery\"]\n{}", site()));
    let deploy: Vec<_> =
        r.requirements.iter().filter(|q| q.rule == "image.rpc-deploy" && q.service == "tcp/445").collect();
    let of = |role| deploy.iter().find(|q| q.from_roles.contains(&role)).map(|q| q.need.word());
    assert_eq!(of(Role::MountServer), Some("required"));
    assert_eq!(of(Role::Console), Some("expected"));
}

#[test]
fn a_companions_traffic_is_no_sign_of_a_restore() {
    let site = "[roles]\nconsole = [\"10.77.0.10\"]\nbackup-server = [\"10.77.0.11\"]\nrepository = [\"10.77.0.13\"]\ntarget-linux = [\"10.77.1.22\"]\n[[observation_point]]\nat = \"mirror\"\ncomplete = true\n";
    let mut w = World::new();
    w.tcp(LINUX, BACKUP, 10006, 20.0).works(None);
    let r = judge_scenario("plug-in", &[w.point(None)], site, &Options::default());
    assert!(r.reasons.iter().any(|t| t.contains("no restore was seen")), "backups use it all day: {:?}", r.reasons);
}
