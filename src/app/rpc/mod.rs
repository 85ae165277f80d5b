//! DCE/RPC over TCP: binds (C706 section 12.6, MS-RPCE) and what the endpoint mapper gave out (C706 appendix O).
//!
//! One side's bytes tell the protocol; meaning needs both sides: a response is read only where the request it answers was seen, by
//! call id, on a context that was bound to the endpoint mapper. A response whose stub is encrypted is counted, never guessed.

mod bind;
mod epm;
mod names;
mod pdu;
#[cfg(test)]
pub(super) mod tests;

use std::collections::{BTreeMap, VecDeque};

pub use names::interface_name;

use self::bind::{Context, EPM, Syntax};
use self::pdu::Pdu;
use super::model::{AppFacts, MapperAnswer, RefusalStep};
use super::outcome::Outcome;
use super::stream::Piece;
use crate::base::Stamp;

/// Most facts kept of one connection; a real one binds a handful of interfaces.
const MAX_FACTS: usize = 64;
/// Most endpoint-mapper answers kept of one connection.
const MAX_ANSWERS: usize = 1024;

/// Recognises a bind or its answer at the start of one side's bytes.
pub(super) fn parse(bytes: &[u8]) -> Outcome<()> {
    pdu::first(bytes)
}

/// What a connection said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Binds, authentication, unreadable or negative answers of the endpoint mapper.
    pub(super) facts: Vec<AppFacts>,
    /// What the endpoint mapper gave out.
    pub(super) answers: Vec<MapperAnswer>,
    /// What the server turned down, where it answered nothing otherwise.
    pub(super) refused: Option<(RefusalStep, u32, Stamp)>,
}

/// Follows a connection over the kept bytes of both sides, in which `client` asks.
pub(super) fn follow(client: &[Piece], server: &[Piece]) -> Facts {
    let from_server = pdu::walk(server);
    let mut replies = Replies::of(&from_server);
    let mut follower = Follower::default();
    for pdu in pdu::walk(client) {
        match pdu.kind {
            pdu::BIND | pdu::ALTER_CONTEXT => follower.bind(&pdu, &mut replies),
            pdu::REQUEST if pdu.flags & pdu::FIRST_FRAGMENT != 0 => follower.request(&pdu, &mut replies),
            _ => {}
        }
    }
    Facts { refused: refused(&from_server), ..follower.finish() }
}

/// The last thing a server turned down, unless it answered some call: work had begun then.
fn refused(pdus: &[Pdu<'_>]) -> Option<(RefusalStep, u32, Stamp)> {
    let mut last = None;
    for pdu in pdus {
        last = match pdu.kind {
            pdu::RESPONSE => return None,
            pdu::BIND_NAK => bind::nak(pdu.body, pdu.big).map(|code| (RefusalStep::RpcBind, code, pdu.at)),
            pdu::BIND_ACK | pdu::ALTER_CONTEXT_RESP => {
                bind::rejection(pdu.body, pdu.big).map(|code| (RefusalStep::RpcContext, code, pdu.at))
            }
            pdu::FAULT => fault(pdu).map(|code| (RefusalStep::RpcCall, code, pdu.at)),
            _ => continue,
        };
    }
    last
}

/// Status of a fault, behind allocation hint, context, cancel count and a reserved byte (C706 section 12.6.4.7).
fn fault(pdu: &Pdu<'_>) -> Option<u32> {
    let mut r = super::reader::Reader::ordered(pdu.body, pdu.big);
    r.skip(8)?;
    r.u32()
}

/// A response put together from its fragments.
#[derive(Debug)]
struct Response {
    context: u16,
    big: bool,
    stub: Vec<u8>,
    sealed: bool,
    /// Frame that brought its last byte.
    at: Stamp,
}

/// What the server sent, by call id, in order: a call id may be used again.
#[derive(Debug, Default)]
struct Replies {
    /// Results per context; `None` for a bind_nak.
    binds: BTreeMap<u32, VecDeque<Option<Vec<bind::Answer>>>>,
    /// `None` for a fault.
    calls: BTreeMap<u32, VecDeque<Option<Response>>>,
}

impl Replies {
    fn of(pdus: &[Pdu<'_>]) -> Self {
        let mut all = Self::default();
        // Responses whose last fragment has not come yet. Fragments of different calls may interleave.
        let mut open: BTreeMap<u32, Response> = BTreeMap::new();
        for pdu in pdus {
            match pdu.kind {
                pdu::BIND_ACK | pdu::ALTER_CONTEXT_RESP => {
                    all.binds.entry(pdu.call).or_default().push_back(Some(bind::answers(pdu.body, pdu.big)));
                }
                pdu::BIND_NAK => all.binds.entry(pdu.call).or_default().push_back(None),
                pdu::FAULT => {
                    open.remove(&pdu.call);
                    all.calls.entry(pdu.call).or_default().push_back(None);
                }
                pdu::RESPONSE => {
                    if let Some(whole) = join(&mut open, pdu) {
                        all.calls.entry(pdu.call).or_default().push_back(Some(whole));
                    }
                }
                _ => {}
            }
        }
        all
    }
}

/// Adds a response fragment; gives the response back when it is the last one.
fn join(open: &mut BTreeMap<u32, Response>, pdu: &Pdu<'_>) -> Option<Response> {
    let mut r = super::reader::Reader::ordered(pdu.body, pdu.big);
    r.skip(4)?;
    let context = r.u16()?;
    r.skip(2)?;
    if pdu.flags & pdu::FIRST_FRAGMENT != 0 {
        let fresh = Response { context, big: pdu.big, stub: Vec::new(), sealed: false, at: pdu.at };
        open.insert(pdu.call, fresh);
    }
    // Without its first fragment a response has no beginning to read from.
    let response = open.get_mut(&pdu.call)?;
    response.stub.extend_from_slice(r.rest());
    response.sealed |= pdu.auth.is_some_and(|(_, level)| level == pdu::PRIVACY);
    response.at = pdu.at;
    if pdu.flags & pdu::LAST_FRAGMENT != 0 { open.remove(&pdu.call) } else { None }
}

#[derive(Debug, Default)]
struct Follower {
    contexts: BTreeMap<u16, Context>,
    /// Interfaces in order of their first bind, and whether any of their contexts was accepted.
    interfaces: Vec<(String, Option<bool>)>,
    auth: Vec<(u8, u8)>,
    sealed: u32,
    failed: Vec<AppFacts>,
    answers: Vec<MapperAnswer>,
}

impl Follower {
    fn bind(&mut self, pdu: &Pdu<'_>, replies: &mut Replies) {
        let reply = replies.binds.get_mut(&pdu.call).and_then(VecDeque::pop_front);
        let refused = matches!(reply, Some(None));
        let results = reply.flatten().unwrap_or_default();
        for (i, mut context) in bind::contexts(pdu.body, pdu.big).into_iter().enumerate() {
            if refused {
                context.accepted = Some(false);
            } else if let Some(result) = results.get(i) {
                context.answer(result);
            }
            self.note(&context);
            self.contexts.insert(context.id, context);
        }
        if let Some(auth) = pdu.auth
            && !self.auth.contains(&auth)
            && self.auth.len() < MAX_FACTS
        {
            self.auth.push(auth);
        }
    }

    /// Clients offer one interface in several contexts, one per encoding: one accepted is enough.
    fn note(&mut self, context: &Context) {
        if let Some((_, accepted)) = self.interfaces.iter_mut().find(|(i, _)| *i == context.interface) {
            *accepted = match (*accepted, context.accepted) {
                (Some(a), Some(b)) => Some(a || b),
                (a, b) => a.or(b),
            };
        } else if self.interfaces.len() < MAX_FACTS {
            self.interfaces.push((context.interface.clone(), context.accepted));
        }
    }

    fn request(&mut self, pdu: &Pdu<'_>, replies: &mut Replies) {
        let reply = replies.calls.get_mut(&pdu.call).and_then(VecDeque::pop_front);
        let mut r = super::reader::Reader::ordered(pdu.body, pdu.big);
        let Some((Some(id), Some(operation))) = r.skip(4).map(|()| (r.u16(), r.u16())) else { return };
        let context = self.contexts.get(&id).filter(|c| c.interface == EPM);
        let (Some(context), Some(Some(response)), epm::EPT_MAP) = (context, reply, operation) else { return };
        if response.sealed {
            self.sealed = self.sealed.saturating_add(1);
            return;
        }
        if let Some(syntax) = context.syntax().filter(|_| response.context == id) {
            if pdu.flags & pdu::OBJECT_UUID != 0 && r.skip(16).is_none() {
                return;
            }
            self.answer(&response, syntax, epm::asked(r.rest(), pdu.big, syntax));
        }
    }

    fn answer(&mut self, response: &Response, syntax: Syntax, asked: Option<epm::Tower>) {
        let mapped = epm::mapped(&response.stub, response.big, syntax);
        for tower in mapped.towers {
            if let Some(pipe) = tower.pipe {
                self.other(AppFacts::MapperPipe { interface: tower.interface, pipe });
                continue;
            }
            if let Some(port) = tower.port
                && self.answers.len() < MAX_ANSWERS
            {
                let answer = MapperAnswer { at: response.at, interface: tower.interface, addr: tower.addr, port };
                self.answers.push(answer);
            }
        }
        if let Some(status) = mapped.status.filter(|s| *s != 0) {
            self.other(AppFacts::MapperRefused { interface: asked.map(|t| t.interface), status });
        }
    }

    /// Keeps what an answer said instead of a port, once.
    fn other(&mut self, fact: AppFacts) {
        if !self.failed.contains(&fact) && self.failed.len() < MAX_FACTS {
            self.failed.push(fact);
        }
    }

    fn finish(self) -> Facts {
        let binds = self.interfaces.into_iter().map(|(interface, accepted)| AppFacts::RpcBind { interface, accepted });
        let auth = self.auth.into_iter().map(|(service, level)| AppFacts::RpcAuth { service, level });
        let sealed = (self.sealed > 0).then_some(AppFacts::MapperSealed { answers: self.sealed });
        let facts = binds.chain(auth).chain(sealed).chain(self.failed).collect();
        Facts { facts, answers: self.answers, refused: None }
    }
}
