//! Binds: which interface a presentation context stands for, in which transfer syntax, and whether the server took it
//! (C706 section 12.6.4, MS-RPCE section 2.2.2).

use crate::app::reader::Reader;

/// Interface UUID of the endpoint mapper (C706 appendix O).
pub(super) const EPM: &str = "e1af8308-5d1f-11c9-91a4-08002b14a0fa";
/// NDR, the classic transfer syntax (C706 appendix I).
const NDR: &str = "8a885d04-1ceb-11c9-9fe8-08002b104860";
/// NDR64 (MS-RPCE section 2.2.5).
const NDR64: &str = "71710533-beba-4937-8319-b5dbef9ccc36";

/// How stubs of a context are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Ndr,
    Ndr64,
}

/// One offered context.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) id: u16,
    pub(super) interface: String,
    /// Transfer syntaxes offered, `None` for those not known here.
    offered: Vec<Option<Syntax>>,
    /// The server's answer.
    pub(super) accepted: Option<bool>,
    chosen: Option<Syntax>,
}

impl Context {
    /// How its stubs are encoded: as the server chose, or as it must be where only one way was offered. `None` where that is not
    /// known.
    pub(super) fn syntax(&self) -> Option<Syntax> {
        match (self.accepted, self.offered.as_slice()) {
            (Some(true), _) => self.chosen,
            (None, [only]) => *only,
            _ => None,
        }
    }

    /// Applies one result of the server: 0 is acceptance; others reject, or answer no interface.
    pub(super) fn answer(&mut self, result: &Answer) {
        self.accepted = Some(result.accepted);
        self.chosen = result.syntax;
    }
}

/// One result of a bind_ack or alter_context_resp.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) accepted: bool,
    pub(super) syntax: Option<Syntax>,
    /// Why it was not accepted.
    reason: u16,
}

/// Contexts of a bind or alter_context body, as many as are whole.
pub(super) fn contexts(body: &[u8], big: bool) -> Vec<Context> {
    let mut r = Reader::ordered(body, big);
    let mut found = Vec::new();
    let count = (r.skip(8), r.u8(), r.skip(3)).1.unwrap_or(0);
    for _ in 0..count {
        let Some(context) = context(&mut r) else { break };
        found.push(context);
    }
    found
}

fn context(r: &mut Reader<'_>) -> Option<Context> {
    let (id, count) = (r.u16()?, r.u8()?);
    r.skip(1)?;
    let interface = r.uuid()?;
    r.skip(4)?;
    let mut offered = Vec::new();
    for _ in 0..count {
        offered.push(syntax(r)?);
    }
    Some(Context { id, interface, offered, accepted: None, chosen: None })
}

/// Results of a bind_ack or alter_context_resp body, in the order of the contexts.
pub(super) fn answers(body: &[u8], big: bool) -> Vec<Answer> {
    results(body, big).unwrap_or_default()
}

/// Reason of a bind_nak.
pub(super) fn nak(body: &[u8], big: bool) -> Option<u32> {
    Reader::ordered(body, big).u16().map(u32::from)
}

/// Reason of the first rejected context, where none was accepted.
pub(super) fn rejection(body: &[u8], big: bool) -> Option<u32> {
    let all = results(body, big)?;
    let none = !all.is_empty() && all.iter().all(|a| !a.accepted);
    none.then(|| all.iter().map(|a| u32::from(a.reason)).next()).flatten()
}

fn results(body: &[u8], big: bool) -> Option<Vec<Answer>> {
    let mut r = Reader::ordered(body, big);
    r.skip(8)?;
    let address = r.u16()?;
    r.skip(usize::from(address))?;
    // The common header is 16 bytes long, so alignment in the body is alignment in the PDU.
    r.align(4)?;
    let count = r.u8()?;
    r.skip(3)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let (Some(result), Some(reason), Some(syntax)) = (r.u16(), r.u16(), syntax(&mut r)) else { break };
        found.push(Answer { accepted: result == 0, syntax, reason });
    }
    Some(found)
}

fn syntax(r: &mut Reader<'_>) -> Option<Option<Syntax>> {
    let uuid = r.uuid()?;
    r.skip(4)?;
    Some(match uuid.as_str() {
        NDR => Some(Syntax::Ndr),
        NDR64 => Some(Syntax::Ndr64),
        _ => None,
    })
}
