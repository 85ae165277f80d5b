//! Unexpected flows in a few lines.

use super::judged::Judged;
use super::seen::Seen;
use super::words;
use crate::flow::FlowId;
use crate::report::UnexpectedKind;
use crate::report::alike::{Service, lines};

/// Unexpected flows of the kinds that fail, or of the others: what to say, and which they are, in the order of their first flows. One
/// connection seen at several places is one flow.
pub(super) fn unexpected(j: &Judged<'_, '_>, fails: bool) -> Vec<(String, Vec<FlowId>)> {
    let (seen, flows): (Vec<&Seen<'_>>, Vec<(Service, bool)>) =
        j.unexpected(fails).filter_map(|s| Some((s, (service(s)?, s.orig_roles.is_empty())))).unzip();
    let name = |addr| words::addr(j.site, addr);
    let told = lines(&flows).into_iter().filter_map(|(line, members)| {
        let services: Vec<Service> =
            members.iter().filter_map(|&i| flows.get(i)).map(|(service, _)| *service).collect();
        let told = line.told(&services, &name)?;
        let n = members.len() as u64;
        let count = if n > 1 { format!(", {}", words::count(n, "flow")) } else { String::new() };
        let kind = kind_words(told.kind);
        let text = format!("unexpected ({kind}): {} to {} {}{count}", told.from, told.to, told.services);
        Some((text, members.iter().filter_map(|&i| seen.get(i)).map(|s| s.id.clone()).collect()))
    });
    told.collect()
}

fn service(s: &Seen<'_>) -> Option<Service> {
    let (orig, resp) = (s.flow.point(s.direction.orig).addr, s.flow.point(s.direction.orig.other()).addr);
    Some(Service { kind: s.class.unexpected?, orig, resp, proto: s.flow.key.proto, port: s.port() })
}

const fn kind_words(kind: UnexpectedKind) -> &'static str {
    match kind {
        UnexpectedKind::NoRule => "no rule allows it",
        UnexpectedKind::Reversed => "allowed only in the other direction",
        UnexpectedKind::WrongProtocol => "another protocol than the rule's",
        UnexpectedKind::ConditionOff => "not in this operation or window",
        UnexpectedKind::UnknownPeer => "peer without a role",
    }
}
