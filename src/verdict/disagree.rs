//! Peers that disagree: the network carried both, and one of them would not go on, before work began.
//!
//! It changes no outcome, since outcomes speak of the network; it is told beside them, with what was said, by whom, and what to do.
//! A refusal that the same two hosts got over on the same service is none: clients try a second identity or another version.

use super::judged::{Judged, rule_of};
use super::seen::{Seen, Worked};
use super::words;
use crate::app::{AppProto, Refusal, RefusalStep};
use crate::flow::Side;
use crate::report::{Class, Disagreement, FlowFilter};

/// Indices of flows that were refused and not made good, in their order, each connection once.
pub(super) fn refused(seen: &[Seen<'_>]) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    for (i, s) in seen.iter().enumerate() {
        let Some(refusal) = refusal(s) else { continue };
        let again = |o: &&Seen<'_>| made_good(s, refusal.proto, o);
        // One connection at several points is one.
        let twice =
            found.iter().filter_map(|&f| seen.get(f)).any(|f| f.connection.is_some() && f.connection == s.connection);
        if !twice && !seen.iter().any(|o| again(&o)) {
            found.push(i);
        }
    }
    found
}

/// The refusal of a flow that the network let through and that somebody asks about.
fn refusal<'s>(s: &'s Seen<'_>) -> Option<&'s Refusal> {
    let told = s.network() == Worked::Yes && s.class.class != Class::Unrelated;
    s.flow.evidence.refusal.as_ref().filter(|_| told)
}

/// Whether a later flow of the same two hosts on the same service went well.
fn made_good(s: &Seen<'_>, proto: AppProto, later: &Seen<'_>) -> bool {
    let same = later.pair == s.pair && later.port() == s.port() && later.began() > s.began();
    same && later.network() == Worked::Yes
        && later.flow.evidence.refusal.is_none()
        && later.flow.evidence.confirms(proto)
}

/// All refused flows as the report tells them; equal answers of one host to another stand together.
pub(super) fn disagreements(j: &Judged<'_, '_>) -> Vec<Disagreement> {
    let mut all: Vec<Disagreement> = Vec::new();
    for d in j.disagreeing().filter_map(|s| disagreement(j, s)) {
        match all.iter_mut().find(|o| (&o.path, &o.said) == (&d.path, &d.said)) {
            Some(known) => {
                known.flows.push(d.flow);
                for rule in d.rules {
                    if !known.rules.contains(&rule) {
                        known.rules.push(rule);
                    }
                }
            }
            None => all.push(d),
        }
    }
    all
}

/// A refused flow as the report tells it.
pub(super) fn disagreement(j: &Judged<'_, '_>, s: &Seen<'_>) -> Option<Disagreement> {
    let r = s.flow.evidence.refusal.as_ref()?;
    let side = |s: &Seen<'_>, orig: bool| {
        let side = if orig { s.direction.orig } else { s.direction.orig.other() };
        words::addr(j.site, s.flow.point(side).addr)
    };
    let (client, server) = (side(s, true), side(s, false));
    let by = r.side_a.map(|a| if a { Side::A } else { Side::B });
    let who = by.map(|b| words::addr(j.site, s.flow.point(b).addr));
    let other = by.map(|b| words::addr(j.site, s.flow.point(b.other()).addr));
    let names = Names { client: &client, server: &server, who: who.as_deref(), other: other.as_deref() };
    let rule = |x: &super::settle::Settled| rule_of(j, x).0.id.clone();
    let asks =
        |x: &&super::settle::Settled| x.presence.flows.iter().filter_map(|&i| j.seen.get(i)).any(|f| f.id == s.id);
    let mut rules: Vec<String> = j.settled.iter().filter(asks).map(rule).collect();
    rules.dedup();
    let inputs = j.points.get(s.point).map(|p| p.observation.inputs.as_slice()).unwrap_or_default();
    Some(Disagreement {
        flow: s.id.clone(),
        flows: vec![s.id.clone()],
        rules,
        path: format!("{client} to {server} {}/{}", s.flow.key.proto, s.port()),
        protocol: r.proto.word().to_owned(),
        step: r.step,
        by: who.clone(),
        code: r.code,
        name: r.name.clone(),
        text: r.text.clone(),
        said: said(r, &names),
        next_step: next_step(r, &names),
        at: r.at.time,
        input: inputs.iter().find(|i| i.input == r.at.at.input).map(|i| i.name.to_string()).unwrap_or_default(),
        frame: r.at.at.frame,
        display_filter: FlowFilter::of(s.flow).to_string(),
    })
}

/// How hosts are called in what is said of them.
struct Names<'n> {
    client: &'n str,
    server: &'n str,
    who: Option<&'n str>,
    other: Option<&'n str>,
}

/// One sentence: who said what.
fn said(r: &Refusal, n: &Names<'_>) -> String {
    let who = n.who.unwrap_or(n.server);
    let short = r.short();
    let text = r.text.as_ref().map(crate::base::WireText::terminal);
    let quoted = text.as_ref().map_or_else(String::new, |t| format!(" (\"{t}\")"));
    match r.step {
        RefusalStep::TlsAlert => format!("{who} ended TLS: {short}"),
        RefusalStep::SshDisconnect => format!("{who} ended SSH before keys were agreed: reason {short}{quoted}"),
        RefusalStep::SshAlgorithms => format!(
            "{} and {} offer no {} method of SSH that both know",
            n.client,
            n.server,
            text.as_deref().unwrap_or("common")
        ),
        RefusalStep::SmbNegotiate => format!("{who} refused the SMB dialects offered: {short}"),
        RefusalStep::SmbSession => {
            format!("{who} refused to sign {} in over SMB: {short}", n.other.unwrap_or(n.client))
        }
        RefusalStep::SmbShare => {
            let share = text.map_or_else(|| "a share".to_owned(), |t| format!("share {t}"));
            format!("{who} refused {share}: {short}")
        }
        RefusalStep::IscsiLogin => format!("{who} refused the iSCSI login: {short}"),
        RefusalStep::RpcBind => format!("{who} refused the RPC association: reason {short}"),
        RefusalStep::RpcContext => format!("{who} offers none of the RPC interfaces asked for: reason {short}"),
        RefusalStep::RpcCall => format!("{who} answered the first remote procedure calls with a fault: {short}"),
        RefusalStep::TnsConnect => format!("{who} refused the Oracle connection: {short}"),
        RefusalStep::Kerberos => format!("{who} refused a Kerberos ticket: error {short}"),
        RefusalStep::LdapBind => format!("{who} refused the LDAP sign-in: result {short}"),
        RefusalStep::LdapStartTls => format!("{who} refused TLS on the LDAP connection: result {short}"),
        RefusalStep::HttpProxy => format!("{who}, a proxy, refused the request: {short}"),
    }
}

/// What an administrator does next.
fn next_step(r: &Refusal, n: &Names<'_>) -> String {
    let (client, server) = (n.client, n.server);
    match r.step {
        RefusalStep::TlsAlert => tls(r.code, n),
        RefusalStep::SshDisconnect if r.code == 12 => format!(
            "{server} has too many unauthenticated connections (MaxStartups of sshd, or PerSourceMaxStartups): look for what else connects there, then try again."
        ),
        RefusalStep::SshDisconnect => format!(
            "Read the SSH server's log on {server} for this time; the client's log on {client} if it left first."
        ),
        RefusalStep::SshAlgorithms => format!(
            "Compare what both allow: sshd_config and the system's crypto policy on {server}, the SSH client's version on {client}. Update the older one rather than allow weak methods."
        ),
        RefusalStep::SmbNegotiate => format!(
            "Compare the SMB versions and signing settings of {client} and {server}; SMB 1 alone is refused today."
        ),
        RefusalStep::SmbSession => smb_session(r.code, n),
        RefusalStep::SmbShare => smb_share(r.code, server),
        RefusalStep::IscsiLogin => iscsi(r.code, n),
        RefusalStep::RpcBind | RefusalStep::RpcContext | RefusalStep::RpcCall => rpc(r.code, r.step, n),
        RefusalStep::TnsConnect => oracle(r.code, server),
        RefusalStep::Kerberos => kerberos(r.code, n),
        RefusalStep::LdapBind => format!(
            "Check the account and password that {client} uses for {server}; result 8 or 13 means that the server wants signing or TLS."
        ),
        RefusalStep::LdapStartTls => format!("Check that {server} has a certificate for LDAP."),
        RefusalStep::HttpProxy => format!(
            "Check the rules of the proxy {server} for {client}, and whether it wants a sign-in; or let this traffic go around the proxy."
        ),
    }
}

fn tls(alert: u32, n: &Names<'_>) -> String {
    let (who, other) = (n.who.unwrap_or(n.server), n.other.unwrap_or(n.client));
    match alert {
        48 => format!(
            "{who} does not trust the issuer of the certificate that {other} sent: install the issuing CA on {who}, or renew the certificate of {other}."
        ),
        45 => format!("The certificate of {other} has expired, or the clock of {who} is wrong: check both."),
        42..=44 | 46 => format!(
            "{who} does not accept the certificate of {other}: check its name, its issuer and whether it was replaced; in the product the connection may have to be trusted anew."
        ),
        116 | 41 => format!("{who} wants a certificate from {other}: check which one {other} is set up to send."),
        40 | 70 | 71 => format!(
            "No TLS version or cipher suits both {} and {}: compare their TLS settings (Schannel, crypto policy, FIPS mode), and check for a device in the path that inspects TLS.",
            n.client, n.server
        ),
        112 => format!("{} does not know the name it was asked for: check which name {} uses.", n.server, n.client),
        120 => format!("Another service than {} expects may listen on {}: check what runs there.", n.client, n.server),
        _ => format!("Read the log of {who} for this time; check for a device in the path that inspects TLS."),
    }
}

fn smb_session(status: u32, n: &Names<'_>) -> String {
    let (client, server) = (n.client, n.server);
    match status {
        0xc000_0133 => format!("The clocks of {client}, {server} and the domain controller differ: set them right."),
        0xc000_0234 | 0xc000_0072 | 0xc000_0193 => format!(
            "The account used for {server} is locked, disabled or expired: mend it, then look for what used a wrong password."
        ),
        0xc000_0071 | 0xc000_0224 => {
            format!("The password of the account used for {server} has expired: renew it, there and in the product.")
        }
        0xc000_015b => format!(
            "The account may not sign in over the network: on {server}, grant it \"Access this computer from the network\" and remove it from the denied ones."
        ),
        0xc000_0418 | 0xc000_0413 | 0xc000_006e => format!(
            "A policy forbids this sign-in (NTLM blocked, selective authentication, or restrictions of the account): name {server} by host name so that Kerberos is used, or allow it by policy."
        ),
        0xc000_018b | 0xc000_018d | 0xc000_005e => {
            format!("{server} cannot ask its domain: check its secure channel and its way to a domain controller.")
        }
        _ => format!(
            "Check user name and password stored for {server} in the product. If they are right, look for an NTLM policy on {server} (\"Restrict NTLM\") and in its security log, event 4625, for the reason."
        ),
    }
}

fn smb_share(status: u32, server: &str) -> String {
    match status {
        0xc000_00cc => format!(
            "The share is not offered: check on {server} that administrative shares exist (net share; AutoShareServer, AutoShareWks) and that the Server service runs."
        ),
        0xc000_0022 | 0xc000_00ca => format!(
            "The account signed in but has no administrative rights on {server}: use a member of its local Administrators. A local account other than the built-in Administrator is cut down by UAC over the network (LocalAccountTokenFilterPolicy)."
        ),
        _ => format!("Check the share on {server} and the rights of the account used."),
    }
}

fn iscsi(status: u32, n: &Names<'_>) -> String {
    let (client, server) = (n.client, n.server);
    match status {
        0x0201 => format!(
            "Check the CHAP name and secret of the initiator on {client} against {server}; a favourite target left from an earlier session may carry old ones."
        ),
        0x0202 => format!(
            "{server} does not let this initiator in: compare the initiator name of {client} with the access list of the target."
        ),
        0x0203 | 0x0204 => format!(
            "The target is not there any more: the mount on {server} may have ended, or {client} uses an old target name. Look at the mount session in the product."
        ),
        0x0300..=0x03ff => format!(
            "{server} could not serve: look at its iSCSI target service and at the mount session in the product."
        ),
        _ => format!("Look in the event log of {client} (iScsiPrt) and at the mount session in the product."),
    }
}

fn rpc(code: u32, step: RefusalStep, n: &Names<'_>) -> String {
    let (client, server) = (n.client, n.server);
    match (step, code) {
        (RefusalStep::RpcCall, 5) | (RefusalStep::RpcBind, 8) => format!(
            "The network is not the cause, though the product may show the same message as for a blocked port: {server} did not accept the sign-in of {client}. Check the account, the NTLM policies of {server} (\"Restrict NTLM\"), and restrictions of remote calls (RestrictRemoteClients)."
        ),
        (RefusalStep::RpcContext, _) | (RefusalStep::RpcCall, 0x1c01_0003 | 0x6b5) => format!(
            "The service that {client} asks for does not answer behind this port of {server}: check that it runs, restart it, and compare versions."
        ),
        _ => {
            format!("Look for the RPC service concerned on {server}: whether it runs, and its event log for this time.")
        }
    }
}

fn oracle(error: u32, server: &str) -> String {
    match error {
        12514 | 12505 => format!(
            "On {server}, compare `lsnrctl services` with the name asked for: the database may be down, not registered yet, or named otherwise."
        ),
        12526..=12528 => format!("The instance on {server} is starting, stopping or restricted: wait for it to open."),
        12516 | 12518..=12520 => format!(
            "The listener on {server} has no process for another session: check the limits `processes` and `sessions`."
        ),
        _ => format!("Read the listener's log on {server} for this time."),
    }
}

fn kerberos(code: u32, n: &Names<'_>) -> String {
    let client = n.client;
    match code {
        37 => format!("The clock of {client} differs from the domain controller's by more than 5 minutes: set it right."),
        24 | 31 => "The password is wrong or was changed: renew it where it is stored in the product.".to_owned(),
        6 => "The account does not exist in this domain: check its name and realm.".to_owned(),
        18 | 23 => "The account is locked, disabled, outside its hours, or its password has expired.".to_owned(),
        14 => "No encryption type suits both: check the types allowed for the account and by policy (RC4 turned off, old passwords without AES keys).".to_owned(),
        _ => format!("Look in the domain controller's security log for requests from {client} at this time."),
    }
}
