//! Peers that disagree on a network that works: told beside the outcome, with what to do, and never for what is ordinary.

use portwitness::app::{AppProto, RefusalStep};
use portwitness::report::text::{Style, render};
use portwitness::report::{Outcome, Report, Verdict};

use crate::world::*;

fn site() -> String {
    format!("{ROLES}{MIRROR}[[window]]\nfrom = \"2026-11-20T21:00:05Z\"\nto = \"2026-11-20T21:09:00Z\"\n")
}

/// A clean restore in which the target turned the console's SMB session down, and what followed.
fn with_logon_failure(again: bool) -> Report {
    let mut w = World::clean().without_from(CONSOLE, 445);
    w.tcp(CONSOLE, TARGET, 445, 20.0).works(Some(AppProto::Smb)).turned_down(
        AppProto::Smb,
        RefusalStep::SmbSession,
        0xc000_006d,
        "STATUS_LOGON_FAILURE",
    );
    if again {
        w.tcp(CONSOLE, TARGET, 445, 20.5).works(Some(AppProto::Smb));
    }
    w.judge(&site())
}

#[test]
fn a_refused_sign_in_leaves_the_network_satisfied_and_is_told_with_the_next_step() {
    let r = with_logon_failure(false);
    let row = requirement(&r, "image.rpc-deploy", "tcp/445");
    assert_eq!((r.verdict, row.outcome), (Verdict::Pass, Outcome::Satisfied));
    let [d] = r.disagreements.as_slice() else { panic!("{:?}", r.disagreements) };
    assert_eq!((d.protocol.as_str(), d.by.as_deref(), d.code), ("smb", Some(TARGET), 0xc000_006d));
    assert_eq!(d.said, "10.77.1.20 refused to sign 10.77.0.10 in over SMB: 0xc000006d STATUS_LOGON_FAILURE");
    assert!(d.next_step.contains("Check user name and password"), "{}", d.next_step);
    assert!(d.rules.iter().any(|id| id == "image.rpc-deploy") && d.frame > 0);
    assert_eq!(row.disagreement.as_deref(), Some(d.said.as_str()));
    assert!(r.warnings.iter().any(|w| w.kind == "peers_disagree" && w.flows == [d.flow.clone()]));
    assert!(r.reasons.iter().any(|why| why.contains("in 1 connection the peers disagree")), "{:?}", r.reasons);
    let flow = r.flows.iter().find(|f| f.id == d.flow).unwrap();
    assert!(flow.app.refusal.is_some());
    let text = render(&r, &Style { width: 200, ..Style::default() });
    for part in ["The network is fine, the peers disagree", &d.said, "peers disagree: 10.77.1.20 refused"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn a_refusal_that_the_same_hosts_got_over_is_not_told() {
    let r = with_logon_failure(true);
    assert!(r.disagreements.is_empty() && r.warnings.iter().all(|w| w.kind != "peers_disagree"));
    assert_eq!(requirement(&r, "image.rpc-deploy", "tcp/445").disagreement, None);
}

#[test]
fn the_installer_s_rpc_fault_is_told_apart_from_a_blocked_port() {
    let mut w = World::clean().without(6160);
    w.tcp(MOUNT, TARGET, 6160, 40.0).works(Some(AppProto::DceRpc)).turned_down(
        AppProto::DceRpc,
        RefusalStep::RpcCall,
        5,
        "rpc_s_access_denied",
    );
    let r = w.judge(&site());
    let [d] = r.disagreements.as_slice() else { panic!("{:?}", r.disagreements) };
    assert_eq!(d.rules, ["image.installer"]);
    assert!(
        d.next_step.contains("same message as for a blocked port") && d.next_step.contains("NTLM"),
        "{}",
        d.next_step
    );
    assert_eq!(outcome(&r, "image.installer", "tcp/6160"), Outcome::Satisfied);
}

#[test]
fn every_kind_of_refusal_says_who_and_what_next() {
    use RefusalStep as R;
    for (proto, step, code, said, next) in [
        (AppProto::Tls, R::TlsAlert, 48, "ended TLS: alert 48", "does not trust the issuer"),
        (AppProto::Tls, R::TlsAlert, 40, "ended TLS: alert 40", "No TLS version or cipher suits"),
        (AppProto::Ssh, R::SshDisconnect, 12, "ended SSH before keys", "MaxStartups"),
        (AppProto::Ssh, R::SshAlgorithms, 0, "offer no common method", "crypto policy"),
        (AppProto::Smb, R::SmbShare, 0xc000_0022, "refused a share", "LocalAccountTokenFilterPolicy"),
        (AppProto::Smb, R::SmbNegotiate, 0xc000_00bb, "refused the SMB dialects", "SMB versions"),
        (AppProto::Iscsi, R::IscsiLogin, 0x0201, "refused the iSCSI login: 0x0201", "CHAP"),
        (AppProto::DceRpc, R::RpcBind, 8, "refused the RPC association", "NTLM"),
        (AppProto::DceRpc, R::RpcContext, 1, "offers none of the RPC interfaces", "check that it runs"),
        (AppProto::Tns, R::TnsConnect, 12514, "refused the Oracle connection: ORA-12514", "lsnrctl"),
        (AppProto::Kerberos, R::Kerberos, 37, "refused a Kerberos ticket", "clock"),
        (AppProto::Ldap, R::LdapBind, 49, "refused the LDAP sign-in", "account"),
        (AppProto::Http, R::HttpProxy, 407, "a proxy, refused", "proxy"),
    ] {
        let mut w = World::clean().without(443);
        w.tcp(CONSOLE, BACKUP, 443, 10.0).works(None).turned_down(proto, step, code, "x");
        let r = w.judge(&site());
        let [d] = r.disagreements.as_slice() else { panic!("{step:?}: {:?}", r.disagreements) };
        assert!(d.said.contains(said), "{}", d.said);
        assert!(d.next_step.contains(next), "{}", d.next_step);
    }
}
