//! What one peer said when it would not go on, before work began: the network carried it, so the network is fine.
//!
//! Ordinary steps are none: a challenge, an interim answer, a warning, a redirection, an error that was made good on the same
//! connection.

use super::model::{AppProto, Refusal, RefusalStep};
use super::part::Part;
use super::smb_session::{self, Step};
use super::ssh_packets as ssh;
use super::stream::Piece;
use super::tls_records::Told as Tls;
use super::{codes, http, kerberos, ldap, tns};
use crate::base::{Stamp, WireText};

/// Kerberos errors that lead on: preauthentication is asked for, the answer is too big for UDP, the realm is another one, and a
/// service without a name of its own, upon which clients turn to NTLM.
const KERBEROS_ORDINARY: [u32; 4] = [7, 25, 52, 68];
/// LDAP results that lead on: success, referral, a bind of several steps.
const LDAP_ORDINARY: [u8; 3] = [0, 10, 14];
/// A side that leaves of its own accord (RFC 4253 section 11.1).
const SSH_BY_APPLICATION: u32 = 11;

fn refusal(proto: AppProto, step: RefusalStep, side_a: Option<bool>, code: u32, at: Stamp) -> Refusal {
    let name = match step {
        RefusalStep::TlsAlert => codes::tls_alert(code),
        RefusalStep::SshDisconnect => codes::ssh(code),
        RefusalStep::SmbNegotiate | RefusalStep::SmbSession | RefusalStep::SmbShare => codes::nt_status(code),
        RefusalStep::IscsiLogin => codes::iscsi(code),
        RefusalStep::RpcBind => codes::bind_nak(code),
        RefusalStep::RpcContext => codes::context_rejected(code),
        RefusalStep::RpcCall => codes::rpc_fault(code),
        RefusalStep::TnsConnect => codes::oracle(code),
        RefusalStep::Kerberos => codes::kerberos(code),
        RefusalStep::LdapBind | RefusalStep::LdapStartTls => u8::try_from(code).ok().and_then(codes::ldap),
        RefusalStep::HttpProxy => codes::http(code),
        RefusalStep::SshAlgorithms => None,
    };
    Refusal { proto, step, side_a, code, name: name.map(str::to_owned), text: None, at }
}

/// A fatal alert of either side, the first one.
pub(super) fn of_tls(sides: [Option<(&Tls, &Piece)>; 2]) -> Option<Refusal> {
    let said = sides.into_iter().zip([true, false]).filter_map(|(side, side_a)| {
        let (told, piece) = side?;
        let alert = told.alert?;
        // Neither is trouble: a side is done, or the user is.
        let ordinary = matches!(alert.description, 0 | 90);
        let at = piece.stamp(alert.last).filter(|_| !ordinary)?;
        Some(refusal(AppProto::Tls, RefusalStep::TlsAlert, Some(side_a), u32::from(alert.description), at))
    });
    said.min_by_key(|r| r.at)
}

/// A side that left before keys were in use, or two offers without a common method.
pub(super) fn of_ssh(a: &Piece, b: &Piece) -> Option<Refusal> {
    let told = [(ssh::read(&a.bytes), a, true), (ssh::read(&b.bytes), b, false)];
    let left = told.iter().find_map(|(t, piece, side_a)| {
        let d = t.disconnect.as_ref().filter(|d| d.reason != SSH_BY_APPLICATION)?;
        let at = piece.stamp(d.last)?;
        let said = refusal(AppProto::Ssh, RefusalStep::SshDisconnect, Some(*side_a), d.reason, at);
        Some(Refusal { text: d.text.clone(), ..said })
    });
    let [(x, ..), (y, ..)] = &told;
    let differ = || {
        let what = ssh::disagreement(x, y)?;
        let at = told.iter().filter_map(|(t, piece, _)| piece.stamp(t.offered)).max()?;
        let said = refusal(AppProto::Ssh, RefusalStep::SshAlgorithms, None, 0, at);
        Some(Refusal { text: Some(WireText::new(what.as_bytes())), ..said })
    };
    // The algorithms say more than the farewell that follows from them.
    differ().or(left)
}

/// Lines with which OpenSSH turns a client away in place of its identification (sshd.c).
const TURNED_AWAY: [&[u8]; 3] = [b"Exceeded MaxStartups", b"Not allowed at this time", b"Too many connections"];

/// A server that turned an SSH client away in plain text.
pub(super) fn turned_away(piece: &Piece, side_a: bool) -> Option<Refusal> {
    let line = piece.bytes.split(|b| matches!(b, b'\r' | b'\n')).next()?;
    let known = TURNED_AWAY.iter().any(|t| line.starts_with(t));
    let at = piece.stamp(line.len().checked_sub(1)?).filter(|_| known)?;
    let said = refusal(AppProto::Ssh, RefusalStep::SshDisconnect, Some(side_a), 12, at);
    Some(Refusal { text: Some(WireText::new(line)), ..said })
}

/// A session or share that was turned down.
pub(super) fn of_smb(failed: smb_session::Failed) -> Refusal {
    let step = match failed.step {
        Step::Negotiate => RefusalStep::SmbNegotiate,
        Step::Session => RefusalStep::SmbSession,
        Step::Tree => RefusalStep::SmbShare,
    };
    let said = refusal(AppProto::Smb, step, Some(failed.server_a), failed.status, failed.at);
    Refusal { text: failed.share.filter(|s| !s.as_bytes().is_empty()), ..said }
}

/// A login that ended with neither success nor redirection.
pub(super) fn of_iscsi(status: u16, at: Stamp, side_a: bool) -> Option<Refusal> {
    let refused = matches!(status >> 8, 2 | 3);
    refused.then(|| refusal(AppProto::Iscsi, RefusalStep::IscsiLogin, Some(side_a), u32::from(status), at))
}

/// A bind or call that was turned down where nothing was answered otherwise.
pub(super) fn of_rpc(step: RefusalStep, code: u32, at: Stamp, side_a: bool) -> Refusal {
    refusal(AppProto::DceRpc, step, Some(side_a), code, at)
}

/// The listener's refusal, where nothing was accepted.
pub(super) fn of_tns(sides: [&[Part<'_>]; 2]) -> Option<Refusal> {
    let packets = || sides.into_iter().zip([true, false]).flat_map(|(parts, a)| parts.iter().map(move |p| (p, a)));
    let last = packets()
        .filter_map(|(p, a)| Some((tns::packet(p.bytes)?, p.at, a)))
        .filter(|(p, ..)| !matches!(p, tns::Packet::Connect { .. }))
        .max_by_key(|(_, at, _)| *at)?;
    let (tns::Packet::Refuse { error }, at, side_a) = last else { return None };
    Some(refusal(AppProto::Tns, RefusalStep::TnsConnect, Some(side_a), error.unwrap_or(0), at))
}

/// The last word of the key distribution centre, where it is an error that leads nowhere.
pub(super) fn of_kerberos(sides: [&[Part<'_>]; 2]) -> Option<Refusal> {
    let all = sides.into_iter().zip([true, false]).flat_map(|(parts, a)| parts.iter().map(move |p| (p, a)));
    let answers = all.filter_map(|(p, a)| Some((kerberos::message(p.bytes)?, p.at, a))).filter(|(m, ..)| m.is_answer());
    let (message, at, side_a) = answers.max_by_key(|(_, at, _)| *at)?;
    let code = message.error.filter(|c| !KERBEROS_ORDINARY.contains(c))?;
    Some(refusal(AppProto::Kerberos, RefusalStep::Kerberos, Some(side_a), code, at))
}

/// A bind or StartTLS that was turned down and not made good.
pub(super) fn of_ldap(done: &[ldap::Done]) -> Option<Refusal> {
    use super::model::LdapOperation as Op;
    let of = |operation, step| {
        let mut tried = done.iter().filter(|d| d.operation == operation).filter_map(|d| Some((d.result?, d.answered?)));
        let last = tried.by_ref().last()?;
        let (code, (side_a, at)) = last;
        (!LDAP_ORDINARY.contains(&code)).then(|| refusal(AppProto::Ldap, step, Some(side_a), u32::from(code), at))
    };
    of(Op::Bind, RefusalStep::LdapBind).or_else(|| of(Op::StartTls, RefusalStep::LdapStartTls))
}

/// A proxy that would not let a request through. Challenges (401, and 407 before an answer that is better) are ordinary.
pub(super) fn of_http(asks: &[u8], answers: &Piece, side_a: bool) -> Option<Refusal> {
    if !http::asks_a_proxy(asks) {
        return None;
    }
    let codes = http::statuses(&answers.bytes);
    let (code, last) = *codes.last()?;
    let refused = matches!(code, 403 | 407 | 502..=504) && !codes.iter().any(|(c, _)| (200..300).contains(c));
    let at = answers.stamp(last).filter(|_| refused)?;
    Some(refusal(AppProto::Http, RefusalStep::HttpProxy, Some(side_a), u32::from(code), at))
}
