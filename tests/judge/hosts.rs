//! Shared hosts, several targets, several addresses, blocks of addresses.

use portwitness::app::AppProto;
use portwitness::base::Proto;
use portwitness::report::{Class, Outcome, UnexpectedKind, Verdict};

use crate::world::*;

const WINDOW: &str = "\n[[window]]\nfrom = \"2026-11-20T22:00:05+01:00\"\nto = \"2026-11-20T22:05:00+01:00\"\n";
const SECOND: &str = "10.77.1.30";

fn two_targets() -> String {
    format!("{}{MIRROR}", ROLES.replace("[\"10.77.1.20\"]", "[\"10.77.1.20\", \"10.77.1.30\"]"))
}

#[test]
fn a_shared_step_is_not_missing_where_the_only_restore_stopped_before_it() {
    let mut w = World::new();
    w.tcp(CONSOLE, BACKUP, 443, 10.0).works(Some(AppProto::Tls));
    w.tcp(CONSOLE, TARGET, 445, 20.0).refused();
    let r = w.judge(&format!("{}{WINDOW}", two_targets()));
    assert_eq!(outcome(&r, "image.data-mover", "tcp/6162"), Outcome::NotReached);
}

#[test]
fn a_later_step_of_any_target_shows_that_a_shared_step_was_due() {
    let r = World::clean().without(6162).judge(&two_targets());
    assert_eq!(outcome(&r, "image.data-mover", "tcp/6162"), Outcome::Missing);
}

#[test]
fn one_targets_failure_says_nothing_of_the_other() {
    let mut w = World::clean();
    w.tcp(CONSOLE, SECOND, 445, 20.0).refused();
    let r = w.judge(&two_targets());
    let of = |host: &str, rule: &str| {
        let q =
            r.requirements.iter().find(|q| q.rule == rule && (q.to.contains(host) || q.from.iter().any(|f| f == host)));
        q.unwrap().outcome
    };
    assert_eq!(of(TARGET, "image.installer"), Outcome::Satisfied);
    assert_eq!(of(SECOND, "image.rpc-deploy"), Outcome::Blocked);
    assert_eq!(of(SECOND, "image.installer"), Outcome::NotReached);
    assert_eq!(of(SECOND, "image.iscsi"), Outcome::NotReached);
}

#[test]
fn a_port_done_by_another_between_other_hosts_is_no_substitute() {
    let mut w = World::clean().without(135).without_from(CONSOLE, 445);
    w.tcp(CONSOLE, TARGET, 135, 21.0).unanswered();
    w.tcp(BACKUP, TARGET, 445, 20.0).works(Some(AppProto::Smb));
    let r = w.judge(&format!("{ROLES}{MIRROR}"));
    let q = requirement(&r, "image.rpc-deploy", "tcp/135");
    assert_eq!((q.outcome, q.substituted_by.as_deref()), (Outcome::Blocked, None));
    assert_eq!(r.verdict, Verdict::Fail);
}

#[test]
fn a_fallback_to_another_repository_makes_up_for_nothing() {
    let site = format!("{}{MIRROR}", ROLES.replace("[\"10.77.0.13\"]", "[\"10.77.0.13\", \"10.77.0.14\"]"));
    let mut w = World::clean().without(6162).without(6160).without(3260).without_from(MOUNT, 445);
    w.ping(MOUNT, REPO, 29.0);
    w.tcp(MOUNT, REPO, 6162, 30.0).unanswered();
    w.tcp(MOUNT, "10.77.0.14", 2500, 37.0).works(None);
    assert_eq!(outcome(&w.judge(&site), "image.data-mover", "tcp/6162"), Outcome::Blocked);
}

#[test]
fn everything_on_one_server_leaves_only_what_crosses_the_network() {
    let site = format!(
        "[roles]\nconsole = [\"{BACKUP}\"]\nbackup-server = [\"{BACKUP}\"]\nmount-server = [\"{BACKUP}\"]\nrepository = [\"{BACKUP}\"]\ntarget-windows = [\"{TARGET}\"]\n{MIRROR}"
    );
    let mut w = World::new();
    w.tcp(BACKUP, TARGET, 445, 20.0).works(Some(AppProto::Smb));
    w.tcp(BACKUP, TARGET, 1035, 24.0).works(None);
    w.tcp(BACKUP, TARGET, 6160, 40.0).works(None);
    w.tcp(TARGET, BACKUP, 3260, 50.0).works(Some(AppProto::Iscsi));
    let r = w.judge(&site);
    assert_eq!((r.verdict, r.headline.as_str()), (Verdict::Pass, "PASS, 4 of 4 required in view"), "{:?}", r.reasons);
}

#[test]
fn a_repository_on_the_mount_server_itself_may_have_served_unseen() {
    let site = format!("{}{MIRROR}", ROLES.replace("[\"10.77.0.13\"]", "[\"10.77.0.12\", \"10.77.0.13\"]"));
    let r = World::clean().without(6162).judge(&site);
    assert_eq!(outcome(&r, "image.data-mover", "tcp/6162"), Outcome::NotObservable);
}

const DUAL: &str = "\n[hosts]\nmnt01 = [\"10.77.0.12\", \"fd00:77::12\"]\ntgt01 = [\"10.77.1.20\", \"fd00:77::20\"]\n";

fn dual(place: &str) -> String {
    let roles = ROLES.replace("[\"10.77.0.12\"]", "[\"mnt01\"]").replace("[\"10.77.1.20\"]", "[\"tgt01\"]");
    format!("{place}{roles}{DUAL}")
}

#[test]
fn a_success_over_ipv6_satisfies_and_heals_a_failure_over_ipv4() {
    let mut w = World::clean().without(6160);
    w.tcp(MOUNT, TARGET, 6160, 40.0).unanswered();
    w.tcp("fd00:77::12", "fd00:77::20", 6160, 45.0).works(None);
    assert_eq!(outcome(&w.judge(&format!("{}{MIRROR}", dual(""))), "image.installer", "tcp/6160"), Outcome::Satisfied);
}

#[test]
fn addresses_that_were_never_seen_forbid_missing_unless_the_place_is_complete() {
    let own = "observed_from = [\"target-windows\"]\n";
    let r = World::clean().without(6160).judge(&dual(own));
    assert_eq!(outcome(&r, "image.installer", "tcp/6160"), Outcome::Inconclusive, "IPv6 may take another interface");
    let r = World::clean().without(6160).judge(&format!("{}{MIRROR}", dual("")));
    assert_eq!(outcome(&r, "image.installer", "tcp/6160"), Outcome::Missing);
}

#[test]
fn a_place_is_inferred_for_a_host_of_two_addresses() {
    let mut w = World::new();
    w.tcp(MOUNT, REPO, 6162, 30.0).works(None);
    w.tcp("fd00:77::12", "fd00:77::20", 6160, 45.0).works(None);
    assert_eq!(w.judge(&dual("")).observation_points[0].name, "mnt01");
}

fn consoles() -> String {
    format!("{}{MIRROR}", ROLES.replace("[\"10.77.0.10\"]", "[\"10.77.9.0/24\"]"))
}

#[test]
fn a_console_that_only_a_block_of_addresses_classifies_satisfies() {
    let mut w = World::clean().without(443).without_from(CONSOLE, 445).without(1035).without(135).without(49154);
    let console = "10.77.9.5";
    w.tcp(console, BACKUP, 443, 10.0).works(Some(AppProto::Tls));
    w.tcp(console, TARGET, 445, 20.0).works(Some(AppProto::Smb));
    w.tcp(console, TARGET, 1035, 24.0).works(None);
    let r = w.judge(&consoles());
    assert_eq!(outcome(&r, "image.rpc-deploy", "tcp/445"), Outcome::Satisfied);
    assert_eq!(
        (r.verdict, outcome(&r, "image.console", "tcp/443")),
        (Verdict::Pass, Outcome::Satisfied),
        "{:?}",
        r.reasons
    );
}

#[test]
fn of_a_block_of_addresses_nothing_is_missing() {
    let w = World::clean().without(443).without_from(CONSOLE, 445).without(1035).without(135).without(49154);
    let r = w.judge(&format!("{}{WINDOW}", consoles()));
    assert_eq!(outcome(&r, "image.console", "tcp/443"), Outcome::NotApplicable);
    assert_eq!(outcome(&r, "image.rpc-deploy", "tcp/445"), Outcome::NotObservable);
    assert!(r.requirements.iter().all(|q| q.outcome != Outcome::Missing));
    let targets = ROLES.replace("[\"10.77.1.20\"]", "[\"10.77.1.0/24\"]");
    let r = World::new().judge(&format!("{targets}{MIRROR}{WINDOW}"));
    assert_eq!(outcome(&r, "image.installer", "tcp/6160"), Outcome::NotApplicable);
}

#[test]
fn one_console_of_a_block_heals_nothing_for_another() {
    let mut w = World::clean().without_from(CONSOLE, 445);
    w.tcp("10.77.9.5", TARGET, 445, 20.0).refused();
    w.tcp("10.77.9.6", TARGET, 445, 30.0).works(Some(AppProto::Smb));
    assert_eq!(outcome(&w.judge(&consoles()), "image.rpc-deploy", "tcp/445"), Outcome::Blocked);
}

#[test]
fn an_uncertain_flow_is_explained_by_an_exception_in_either_orientation() {
    let site = format!(
        "{ROLES}{MIRROR}\n[[allow]]\nfrom = \"repository\"\nto = \"target-windows\"\nservice = \"udp/9999\"\nreason = \"agent\"\n"
    );
    let mut w = World::clean();
    w.flow(Proto::Udp, TARGET, 9999, REPO, 51_500, 60.0).talks(0.1);
    let r = w.judge(&site);
    let f = r.flows.iter().find(|f| f.orig.port == 9999 || f.resp.port == 9999).unwrap();
    assert_eq!((f.class, f.resp.port), (Some(Class::Related), 9999), "{:?}", f.reason);
}

#[test]
fn an_error_about_a_connection_under_way_is_no_failed_attempt() {
    let mut w = World::clean().without(6162);
    let f = w.tcp(MOUNT, REPO, 6162, 1.0).icmp(1);
    f.0.syns.clear();
    assert_eq!(outcome(&w.judge(&format!("{ROLES}{MIRROR}")), "image.data-mover", "tcp/6162"), Outcome::Inconclusive);
}

#[test]
fn another_ip_protocol_between_hosts_with_roles_fails_nothing() {
    let mut w = World::clean();
    w.flow(Proto::Other(50), CONSOLE, 0, REPO, 0, 30.0).0.ends.iter_mut().for_each(|e| e.packets = 50);
    assert_eq!(w.judge(&format!("{ROLES}{MIRROR}")).verdict, Verdict::Pass);
}

#[test]
fn warnings_name_their_own_flows_only() {
    let mut w = World::clean();
    w.tcp(STRANGER, TARGET, 808, 60.0).works(None);
    w.tcp(STRANGER, TARGET, 8080, 61.0).works(None);
    let r = w.judge(&format!("{ROLES}{MIRROR}"));
    assert_eq!(flow(&r, 808).unexpected, Some(UnexpectedKind::UnknownPeer));
    let all: Vec<_> = r.warnings.iter().filter(|w| w.kind == "unexpected").map(|w| w.flows.len()).collect();
    assert_eq!(all, [1, 1]);
}
