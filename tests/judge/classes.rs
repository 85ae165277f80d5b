//! One test per class of flows.

use portwitness::app::AppProto;
use portwitness::base::Proto;
use portwitness::report::{AppState, Class, UnexpectedKind, Verdict};
use portwitness::verdict::Options;

use crate::world::*;

fn site() -> String {
    format!("{ROLES}{MIRROR}")
}

#[test]
fn expected_flows_name_their_rule_and_confirm_the_protocol() {
    let r = World::clean().judge(&site());
    let f = flow(&r, 3260);
    assert_eq!((f.class, f.rules.first().map(String::as_str)), (Some(Class::Expected), Some("image.iscsi")));
    assert_eq!(f.app.state, Some(AppState::Confirmed));
    assert_eq!(r.classes.expected, 9);
}

#[test]
fn no_rule_between_roles_is_unexpected_and_fails() {
    let mut w = World::clean();
    w.tcp(REPO, TARGET, 8080, 60.0).works(None);
    let r = w.judge(&site());
    assert_eq!(flow(&r, 8080).unexpected, Some(UnexpectedKind::NoRule));
    assert_eq!(r.verdict, Verdict::Fail);
}

#[test]
fn a_merely_attempted_flow_is_classified_too() {
    let mut w = World::clean();
    w.tcp(REPO, TARGET, 8080, 60.0).refused();
    assert_eq!(flow(&w.judge(&site()), 8080).class, Some(Class::Unexpected));
}

#[test]
fn a_rule_read_backwards_is_reversed() {
    let mut w = World::clean();
    w.tcp(TARGET, MOUNT, 6160, 60.0).works(None);
    let r = w.judge(&site());
    let f = r.flows.iter().find(|f| f.orig.addr.to_string() == TARGET && f.resp.port == 6160).unwrap();
    assert_eq!(f.unexpected, Some(UnexpectedKind::Reversed));
    assert_eq!(r.verdict, Verdict::Fail);
}

#[test]
fn an_uncertain_direction_is_never_reversed() {
    let mut w = World::clean();
    w.flow(Proto::Tcp, TARGET, 51_500, REPO, 8081, 60.0).headless(None);
    assert_eq!(flow(&w.judge(&site()), 8081).unexpected, Some(UnexpectedKind::NoRule));
}

#[test]
fn tls_on_the_ssh_port_is_the_wrong_protocol() {
    let site = site().replace("target-windows = [\"10.77.1.20\"]", "target-linux = [\"10.77.1.22\"]");
    let mut w = World::new();
    w.tcp(MOUNT, LINUX, 22, 20.0).works(Some(AppProto::Tls));
    let r = w.judge(&site);
    assert_eq!(flow(&r, 22).unexpected, Some(UnexpectedKind::WrongProtocol));
    assert_eq!(r.verdict, Verdict::Fail);
}

#[test]
fn without_the_streams_start_nothing_is_the_wrong_protocol() {
    let mut w = World::clean().without(443);
    w.tcp(CONSOLE, BACKUP, 443, 1.0).headless(None);
    let r = w.judge(&site());
    let f = flow(&r, 443);
    assert_eq!((f.class, f.app.state), (Some(Class::Expected), Some(AppState::Unconfirmed)));
}

#[test]
fn condition_off_warns_and_strict_fails_it() {
    let site = format!("{}\n", site().replace("target-windows", "staging-server = [\"10.77.1.21\"]\ntarget-windows"))
        .replace("[roles]", "restore_to = \"latest\"\n[roles]");
    let add = |mut w: World| {
        w.tcp(CONSOLE, STAGING, 445, 60.0).works(Some(AppProto::Smb));
        w
    };
    let r = add(World::clean()).judge(&site);
    let f = r.flows.iter().find(|f| f.resp.addr.to_string() == STAGING).unwrap();
    assert_eq!(f.unexpected, Some(UnexpectedKind::ConditionOff), "{:?}", f.reason);
    assert_eq!(r.verdict, Verdict::Pass);
    let strict = add(World::clean()).judge_with(&site, &Options { strict: true, ..Options::default() });
    assert_eq!(strict.verdict, Verdict::Fail);
}

#[test]
fn a_peer_without_a_role_warns() {
    let mut w = World::clean();
    w.tcp(STRANGER, TARGET, 8080, 60.0).works(None);
    let r = w.judge(&site());
    assert_eq!(flow(&r, 8080).unexpected, Some(UnexpectedKind::UnknownPeer));
    assert_eq!((r.verdict, r.classes.unexpected_warning), (Verdict::Pass, 1));
    assert!(r.warnings.iter().any(|w| w.text.contains(STRANGER)), "{:?}", r.warnings);
}

#[test]
fn companion_traffic_is_related_with_its_label() {
    let mut w = World::clean();
    w.flow(Proto::Udp, MOUNT, 53_000, STRANGER, 53, 5.0).talks(0.1);
    let r = w.judge(&site());
    let f = flow(&r, 53);
    assert_eq!(f.class, Some(Class::Related));
    assert!(f.label.is_some() && f.reason.as_deref().is_some_and(|t| t.contains("infrastructure")), "{f:?}");
}

#[test]
fn the_sites_allow_list_makes_flows_related_and_is_counted_in_the_headline() {
    let site = format!(
        "{}\n[[allow]]\nfrom = \"repository\"\nto = \"target-windows\"\nservice = \"tcp/8080\"\nreason = \"agent\"\n",
        site()
    );
    let mut w = World::clean();
    w.tcp(REPO, TARGET, 8080, 60.0).works(None);
    let r = w.judge(&site);
    assert_eq!(flow(&r, 8080).class, Some(Class::Related));
    assert_eq!(r.headline, "PASS, 6 of 6 required in view, 1 exception");
}

#[test]
fn an_expired_exception_is_ignored_and_reported() {
    let site = format!(
        "{}\n[[allow]]\nfrom = \"repository\"\nto = \"target-windows\"\nservice = \"tcp/8080\"\nreason = \"agent\"\nexpires = 2026-01-01\n",
        site()
    );
    let mut w = World::clean();
    w.tcp(REPO, TARGET, 8080, 60.0).works(None);
    let r = w.judge(&site);
    assert_eq!(flow(&r, 8080).class, Some(Class::Unexpected));
    assert!(r.warnings.iter().any(|w| w.kind == "expired_exception"));
}

#[test]
fn ambiguous_where_ranges_overlap_on_a_shared_host_until_a_login_settles_it() {
    let shared = site().replace("repository     = [\"10.77.0.13\"]", "repository     = [\"10.77.0.12\"]");
    let site = format!("operations = [\"export\"]\nexport_as = \"files\"\n{shared}");
    let with = |app| {
        let mut w = World::clean().without(6162);
        w.tcp(CONSOLE, MOUNT, 3262, 60.0).works(app);
        w.judge(&site)
    };
    let unsettled = with(None);
    assert_eq!(flow(&unsettled, 3262).class, Some(Class::Ambiguous));
    let settled = with(Some(AppProto::Iscsi));
    assert_ne!(flow(&settled, 3262).class, Some(Class::Ambiguous), "{:?}", flow(&settled, 3262).reason);
}

#[test]
fn traffic_of_strangers_and_groups_is_only_counted() {
    let mut w = World::clean();
    w.tcp(STRANGER, "10.99.0.2", 80, 5.0).works(None);
    w.flow(Proto::Udp, MOUNT, 5353, "224.0.0.251", 5353, 6.0).0.group = true;
    let r = w.judge(&site());
    assert_eq!(r.classes.unrelated, 2);
    assert!(r.flows.iter().all(|f| f.resp.port != 80 && f.resp.port != 5353));
}

#[test]
fn a_clients_own_port_makes_nothing_reversed() {
    let mut w = World::clean();
    w.flow(Proto::Tcp, TARGET, 51_900, CONSOLE, 8081, 60.0).works(None);
    assert_eq!(flow(&w.judge(&site()), 8081).unexpected, Some(UnexpectedKind::NoRule));
}

fn unexpected(r: &portwitness::report::Report) -> Vec<&str> {
    r.warnings.iter().filter(|w| w.kind == "unexpected").map(|w| w.text.as_str()).collect()
}

/// So many strangers try the target, one port each after the other.
fn scanned(w: &mut World, strangers: u32, ports: u16) {
    for n in 0..strangers {
        let from = std::net::Ipv4Addr::from(0xc000_0200 + n).to_string();
        for port in 0..ports {
            // Many flows: the client port is no longer what their number is.
            w.flow(Proto::Tcp, &from, 55_000, TARGET, 2_000 + port, 60.0 + f64::from(n) / 100.0).syns(&[0.0]);
        }
    }
}

#[test]
fn a_few_strangers_are_told_one_by_one_and_many_in_one_line() {
    let judged = |strangers, ports| {
        let mut w = World::clean();
        scanned(&mut w, strangers, ports);
        w.judge(&site())
    };
    let r = judged(16, 1);
    assert_eq!(unexpected(&r).len(), 16);
    assert_eq!(unexpected(&r)[0], "unexpected (peer without a role): 192.0.2.0 to 10.77.1.20 tcp/2000");
    let r = judged(17, 3);
    assert_eq!(
        unexpected(&r),
        [
            "unexpected (peer without a role): 192.0.2.0 and 16 more addresses to 10.77.1.20 tcp/2000, tcp/2001, tcp/2002, 51 flows"
        ]
    );
    let all = r.warnings.iter().find(|w| w.kind == "unexpected").unwrap();
    assert_eq!(all.flows.len(), 51, "each of them is named");
    let r = judged(1, 40);
    assert_eq!(
        unexpected(&r),
        ["unexpected (peer without a role): 192.0.2.0 to 10.77.1.20 tcp/2000 to tcp/2039 (40 ports), 40 flows"]
    );
    assert_eq!(r.verdict, Verdict::Pass, "what strangers try is a warning");
}

#[test]
fn a_scan_between_roles_is_one_reason_to_fail() {
    let mut w = World::clean();
    for port in 2_000..2_040 {
        w.flow(Proto::Tcp, REPO, 55_000, TARGET, port, 60.0).syns(&[0.0]);
    }
    let r = w.judge(&site());
    assert_eq!(
        r.reasons,
        ["unexpected (no rule allows it): 10.77.0.13 to 10.77.1.20 tcp/2000 to tcp/2039 (40 ports), 40 flows"]
    );
    assert_eq!(r.verdict, Verdict::Fail);
}

#[test]
fn any_number_of_threads_gives_the_same_report() {
    let report = |threads| {
        let mut w = World::clean();
        scanned(&mut w, 3_000, 3);
        let r = w.judge_with(&site(), &Options { threads, ..Options::default() });
        let mut out = Vec::new();
        portwitness::report::json::write_report(&r, &mut out).unwrap();
        (out, r.flows.len())
    };
    let (one, flows) = report(1);
    assert!(flows > 9_000);
    for threads in [0, 2, 3, 4] {
        assert!(report(threads).0 == one, "{threads} threads");
    }
}
