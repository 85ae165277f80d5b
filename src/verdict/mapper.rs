//! The endpoint mapper's story: which answer gave out which port to whom, for which interface, and what became of that port.
//!
//! What cannot be read is told apart and not guessed: encrypted answers, answers that name a pipe, the mapper asked inside SMB, and
//! DCOM activations, which name ports of their own.

use std::collections::BTreeMap;

use super::healing::Named;
use super::judged::Judged;
use super::seen::{Seen, Worked};
use super::settle::named_ports;
use super::words;
use crate::app::{AppFacts, interface_name};
use crate::base::{Proto, Stamp, WireText};
use crate::report::{Class, MapperEntry, MapperKind, MapperOutcome};

/// Interfaces whose answers name ports, too (MS-DCOM section 1.9).
const ACTIVATORS: [&str; 3] = [
    "000001a0-0000-0000-c000-000000000046",
    "4d9f4ab8-7d1c-11cf-861e-0020af6e7c57",
    "99fcfec4-5260-101b-bbcb-00aa0021347a",
];

/// All that mappers were asked, in the order of the asking flows; equal answers of one host to another are one entry.
pub(super) fn story(j: &Judged<'_, '_>) -> Vec<MapperEntry> {
    let named = named_ports(j.site, j.seen);
    let mut found: Vec<MapperEntry> = Vec::new();
    let mut index = BTreeMap::new();
    for (i, s) in j.seen.iter().enumerate().filter(|(_, s)| s.class.class != Class::Unrelated) {
        let answers = s.flow.evidence.mapper.iter().zip(named.iter().filter(|n| n.flow == i));
        let ports = answers.map(|(answer, n)| port(j, s, n, answer.at));
        for entry in ports.chain(unread(j, s)) {
            let key = (
                entry.asked_by.clone(),
                entry.host.clone(),
                entry.kind,
                entry.interface.clone(),
                entry.service.clone(),
            );
            let at = *index.entry(key).or_insert(found.len());
            match found.get_mut(at) {
                Some(known) => known.answers += entry.answers,
                None => found.push(entry),
            }
        }
    }
    found
}

/// A port that an answer gave out, and the connections that went there afterwards.
fn port(j: &Judged<'_, '_>, s: &Seen<'_>, n: &Named, at: Stamp) -> MapperEntry {
    let there = |f: &&Seen<'_>| {
        f.pair == (n.asker, n.host) && f.port() == n.port && f.flow.key.proto == Proto::Tcp && f.flow.last.time >= n.at
    };
    let used: Vec<&Seen<'_>> = j.seen.iter().filter(there).collect();
    let works = used.iter().any(|f| f.network() == Worked::Yes);
    let failed = used.iter().find_map(|f| if let Worked::Failed(cause) = f.network() { Some(cause) } else { None });
    let outcome = match (works, failed, used.is_empty()) {
        (true, ..) => MapperOutcome::Reached,
        (false, Some(_), _) => MapperOutcome::Blocked,
        (false, None, false) => MapperOutcome::Open,
        (false, None, true) => MapperOutcome::NotTried,
    };
    let mut flows: Vec<_> = used.iter().map(|f| f.id.clone()).collect();
    flows.sort();
    flows.dedup();
    MapperEntry {
        interface: Some(n.interface.clone()),
        interface_name: interface_name(&n.interface).map(str::to_owned),
        service: Some(format!("tcp/{}", n.port)),
        outcome,
        cause: failed.filter(|_| !works),
        flows,
        host: words::peer(j.site, n.host),
        ..entry(j, s, MapperKind::Port, at)
    }
}

/// What a flow asked a mapper without a port that could be read.
fn unread(j: &Judged<'_, '_>, s: &Seen<'_>) -> Vec<MapperEntry> {
    let first = s.flow.first;
    let mut all = Vec::new();
    for fact in &s.flow.evidence.facts {
        match fact {
            AppFacts::MapperSealed { answers } => {
                all.push(MapperEntry { answers: u64::from(*answers), ..entry(j, s, MapperKind::Encrypted, first) });
            }
            AppFacts::MapperRefused { interface, status } => all.push(MapperEntry {
                interface_name: interface.as_deref().and_then(interface_name).map(str::to_owned),
                interface: interface.clone(),
                status: Some(*status),
                ..entry(j, s, MapperKind::Refused, first)
            }),
            AppFacts::MapperPipe { interface, pipe } => all.push(MapperEntry {
                interface_name: interface_name(interface).map(str::to_owned),
                interface: Some(interface.clone()),
                pipe: Some(pipe.clone()),
                ..entry(j, s, MapperKind::Pipe, first)
            }),
            AppFacts::SmbPipe { name } if is_mapper(name) => {
                all.push(MapperEntry { pipe: Some(name.clone()), ..entry(j, s, MapperKind::OverSmb, first) });
            }
            AppFacts::RpcBind { interface, accepted }
                if ACTIVATORS.contains(&interface.as_str()) && *accepted != Some(false) =>
            {
                all.push(MapperEntry {
                    interface_name: interface_name(interface).map(str::to_owned),
                    interface: Some(interface.clone()),
                    ..entry(j, s, MapperKind::Activation, first)
                });
            }
            _ => {}
        }
    }
    all
}

/// The mapper's own pipe (MS-RPCE section 2.1.1.2).
fn is_mapper(pipe: &WireText) -> bool {
    pipe.as_bytes().rsplit(|b| *b == b'\\').next().is_some_and(|name| name.eq_ignore_ascii_case(b"epmapper"))
}

fn entry(j: &Judged<'_, '_>, s: &Seen<'_>, kind: MapperKind, at: Stamp) -> MapperEntry {
    let inputs = j.points.get(s.point).map(|p| p.observation.inputs.as_slice()).unwrap_or_default();
    MapperEntry {
        kind,
        asked_by: words::peer(j.site, s.pair.0),
        host: words::peer(j.site, s.pair.1),
        interface: None,
        interface_name: None,
        service: None,
        pipe: None,
        status: None,
        outcome: MapperOutcome::Unread,
        cause: None,
        flows: Vec::new(),
        answers: 1,
        asking_flow: s.id.clone(),
        at: at.time,
        input: inputs.iter().find(|i| i.input == at.at.input).map(|i| i.name.to_string()).unwrap_or_default(),
        frame: at.at.frame,
    }
}
