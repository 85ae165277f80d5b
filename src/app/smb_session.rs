//! What SMB says about who was let in: session setups and shares with their status (MS-SMB2 sections 2.2.5 to 2.2.10, 3.3.5),
//! named pipes opened (section 2.2.13), and whether messages are encrypted (section 2.2.41).
//!
//! Of SMB 1 only the status of the same two steps is read (MS-CIFS sections 2.2.4.53 and 2.2.4.55).

use std::collections::BTreeMap;

use super::reader::Reader;
use super::stream::Piece;
use crate::base::{Stamp, WireText};

const NEGOTIATE: u16 = 0;
const SESSION_SETUP: u16 = 1;
const TREE_CONNECT: u16 = 3;
const CREATE: u16 = 5;

const HEADER: usize = 64;
const FROM_SERVER: u32 = 1;

/// Not an end: the exchange goes on (MS-ERREF section 2.3.1).
const MORE_PROCESSING_REQUIRED: u32 = 0xc000_0016;
const PENDING: u32 = 0x0000_0103;

/// Most entries of one kind.
const MAX_FACTS: usize = 8;
/// Most messages of a side that are looked at.
const MAX_MESSAGES: usize = 512;

/// A share asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) server: WireText,
    pub(super) name: WireText,
    /// Status of the answer, where it was seen, and the frame that brought it.
    pub(super) answer: Option<(u32, Stamp)>,
}

impl Share {
    fn is_pipe_share(&self) -> bool {
        self.name.as_bytes().eq_ignore_ascii_case(b"IPC$")
    }

    fn works(&self) -> bool {
        self.answer.is_some_and(|(status, _)| status == 0)
    }
}

/// An error that ended a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) step: Step,
    pub(super) status: u32,
    pub(super) share: Option<WireText>,
    pub(super) at: Stamp,
    /// The server is the first of the two sides.
    pub(super) server_a: bool,
}

/// Steps before work begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Negotiate,
    Session,
    Tree,
}

/// What both sides said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Status of the last session setup that ended.
    pub(super) session: Option<(u32, Stamp)>,
    pub(super) shares: Vec<Share>,
    pub(super) pipes: Vec<WireText>,
    /// Messages that cannot be read.
    pub(super) encrypted: u32,
    negotiate: Option<(u32, Stamp)>,
    server_a: bool,
}

impl Told {
    /// The step that failed and was not made good on this connection. A share that is denied counts only where no other one but
    /// that of the pipes was opened: clients try several.
    pub(super) fn failed(&self) -> Option<Failed> {
        let of = |step, (status, at): (u32, Stamp)| Failed { step, status, share: None, at, server_a: self.server_a };
        let bad = |(status, at): (u32, Stamp)| (status >> 30 == 3).then_some((status, at));
        if let Some(found) = self.session.and_then(bad) {
            return Some(of(Step::Session, found));
        }
        if self.shares.iter().any(|s| s.works() && !s.is_pipe_share()) || self.encrypted > 0 {
            return None;
        }
        let denied = self.shares.iter().rev().find_map(|s| Some((s, s.answer.and_then(bad)?)));
        if let Some((share, found)) = denied.filter(|(s, _)| !self.shares.iter().any(|o| o.name == s.name && o.works()))
        {
            return Some(Failed { share: Some(share.name.clone()), ..of(Step::Tree, found) });
        }
        self.negotiate.and_then(bad).filter(|_| self.session.is_none()).map(|found| of(Step::Negotiate, found))
    }
}

/// One message.
struct Message<'a> {
    bytes: &'a [u8],
    command: u16,
    status: u32,
    from_server: bool,
    id: u64,
    tree: u32,
    at: Stamp,
}

/// Reads the kept bytes of both sides, whichever of them is the server.
pub(super) fn read(sides: [Option<&Piece>; 2]) -> Told {
    let mut told = Told::default();
    let [a, b] = sides.map(|p| p.map(|p| messages(p, &mut told.encrypted)).unwrap_or_default());
    told.server_a = a.iter().any(|m| m.from_server);
    let all: Vec<Message<'_>> = a.into_iter().chain(b).collect();
    // Answers by message number; an interim one is not the answer.
    let answers: BTreeMap<(u16, u64), &Message<'_>> =
        all.iter().filter(|m| m.from_server && m.status != PENDING).map(|m| ((m.command, m.id), m)).collect();
    for m in answers.values().filter(|m| m.status != MORE_PROCESSING_REQUIRED) {
        let slot = match m.command {
            NEGOTIATE => &mut told.negotiate,
            SESSION_SETUP => &mut told.session,
            _ => continue,
        };
        if slot.is_none_or(|(_, at)| at <= m.at) {
            *slot = Some((m.status, m.at));
        }
    }
    let mut pipe_trees = Vec::new();
    for q in all.iter().filter(|m| !m.from_server) {
        let answer = answers.get(&(q.command, q.id)).copied();
        match q.command {
            TREE_CONNECT => told.share(q, answer, &mut pipe_trees),
            CREATE if pipe_trees.contains(&q.tree) => told.pipe(q),
            _ => {}
        }
    }
    // Where no request could be read, as in SMB 1 or in one direction, the answers alone tell.
    if told.shares.is_empty() {
        let trees = answers.values().filter(|m| m.command == TREE_CONNECT).take(MAX_FACTS);
        told.shares.extend(trees.map(|m| Share {
            server: WireText::new(b""),
            name: WireText::new(b""),
            answer: Some((m.status, m.at)),
        }));
    }
    told
}

impl Told {
    fn share(&mut self, q: &Message<'_>, answer: Option<&Message<'_>>, pipe_trees: &mut Vec<u32>) {
        let Some(path) = tree_path(q.bytes) else { return };
        let mut parts = path.split(|c| *c == '\\').filter(|p| !p.is_empty());
        let (server, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let text = |t: &[char]| WireText::new(t.iter().collect::<String>().as_bytes());
        let share = Share { server: text(server), name: text(name), answer: answer.map(|m| (m.status, m.at)) };
        if share.is_pipe_share() && share.works() {
            pipe_trees.extend(answer.map(|m| m.tree));
        }
        if self.shares.len() < MAX_FACTS && !self.shares.contains(&share) {
            self.shares.push(share);
        }
    }

    fn pipe(&mut self, q: &Message<'_>) {
        let name = field(q.bytes, 44).map(|n| WireText::new(n.iter().collect::<String>().as_bytes()));
        if let Some(name) = name.filter(|n| !n.as_bytes().is_empty() && !self.pipes.contains(n))
            && self.pipes.len() < MAX_FACTS
        {
            self.pipes.push(name);
        }
    }
}

/// `\\server\share` of a tree connect request (MS-SMB2 section 2.2.9).
fn tree_path(message: &[u8]) -> Option<Vec<char>> {
    field(message, 4)
}

/// Text whose offset from the header and length stand at `at` in the body: UTF-16, little endian.
fn field(message: &[u8], at: usize) -> Option<Vec<char>> {
    let mut r = Reader::little(message.get(HEADER + at..)?);
    let (offset, length) = (usize::from(r.u16()?), usize::from(r.u16()?));
    let text = message.get(offset..offset.checked_add(length)?)?;
    let units = text.chunks_exact(2).map(|c| c.iter().rev().fold(0_u16, |n, b| n << 8 | u16::from(*b)));
    Some(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

/// The messages of a side, each with those compounded behind it.
fn messages<'a>(piece: &'a Piece, encrypted: &mut u32) -> Vec<Message<'a>> {
    let mut all = Vec::new();
    let mut r = Reader::big(&piece.bytes);
    while let (Some(kind), Some(length)) = (r.u8(), r.be24()) {
        let here = length.min(r.rest().len());
        let Some(payload) = r.take(here) else { break };
        let Some(at) = (piece.bytes.len() - r.rest().len()).checked_sub(1).and_then(|i| piece.stamp(i)) else { break };
        match (kind, payload.get(..4)) {
            (0, Some(b"\xfeSMB")) => compound(payload, at, &mut all),
            (0, Some(b"\xfdSMB")) => *encrypted = encrypted.saturating_add(1),
            (0, Some(b"\xffSMB")) => all.extend(first_version(payload, at)),
            // NetBIOS session setup; compressed messages are passed over.
            (0x81 | 0x82 | 0x85, _) | (0, Some(b"\xfcSMB")) => {}
            _ => break,
        }
        if here < length || all.len() > MAX_MESSAGES {
            break;
        }
    }
    all
}

fn compound<'a>(payload: &'a [u8], at: Stamp, all: &mut Vec<Message<'a>>) {
    let mut rest = payload;
    while all.len() <= MAX_MESSAGES {
        let Some((message, next)) = header(rest, at) else { return };
        all.push(message);
        match rest.get(next..).filter(|_| next >= HEADER) {
            Some(more) => rest = more,
            None => return,
        }
    }
}

/// The header (MS-SMB2 section 2.2.1.2), and where the next one begins; 0 where there is none.
fn header(bytes: &[u8], at: Stamp) -> Option<(Message<'_>, usize)> {
    let mut r = Reader::little(bytes);
    if r.take(4)? != b"\xfeSMB" {
        return None;
    }
    r.skip(4)?;
    let (status, command) = (r.u32()?, r.u16()?);
    r.skip(2)?;
    let (flags, next, id) = (r.u32()?, r.u32()?, r.u64()?);
    r.skip(4)?;
    let tree = r.u32()?;
    r.skip(24)?;
    let message = Message { bytes, command, status, from_server: flags & FROM_SERVER != 0, id, tree, at };
    Some((message, usize::try_from(next).ok()?))
}

/// An SMB 1 message of one of the steps, under the number that step has in SMB 2 (MS-CIFS section 2.2.3.1).
fn first_version(bytes: &[u8], at: Stamp) -> Option<Message<'_>> {
    let mut r = Reader::little(bytes);
    r.skip(4)?;
    let (command, status, flags, flags2) = (r.u8()?, r.u32()?, r.u8()?, r.u16()?);
    r.skip(12)?;
    let tree = r.u16()?;
    r.skip(4)?;
    let id = r.u16()?;
    let command = match command {
        0x73 => SESSION_SETUP,
        0x75 => TREE_CONNECT,
        _ => return None,
    };
    // Without this flag the status is a DOS error.
    let status = if flags2 & 0x4000 == 0 && status != 0 { return None } else { status };
    let from_server = flags & 0x80 != 0;
    // The requests are not read.
    from_server.then(|| Message { bytes, command, status, from_server, id: u64::from(id), tree: u32::from(tree), at })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::stream::tests::from_start;
    use super::*;

    fn message(command: u16, id: u8, status: Option<u32>, tree: u8, body: &[u8]) -> Vec<u8> {
        let mut h = b"\xfeSMB\x40\x00\x01\x00".to_vec();
        h.extend(status.unwrap_or(0).to_le_bytes());
        h.extend(command.to_le_bytes());
        h.extend([1, 0, u8::from(status.is_some()), 0, 0, 0, 0, 0, 0, 0, id]);
        h.resize(36, 0);
        h.push(tree);
        h.resize(HEADER, 0);
        h.extend(body);
        [&u32::try_from(h.len()).unwrap().to_be_bytes()[..], &h].concat()
    }

    fn named(head: &[u8], text: &str) -> Vec<u8> {
        let text: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let offset = u16::try_from(HEADER + head.len() + 4).unwrap().to_le_bytes();
        [head, &offset, &u16::try_from(text.len()).unwrap().to_le_bytes(), &text].concat()
    }

    /// A client that signs in, opens IPC$ and a pipe, and asks for a share.
    pub(in crate::app) fn client(share: &str) -> Vec<u8> {
        [
            message(SESSION_SETUP, 1, None, 0, &[25, 0]),
            message(SESSION_SETUP, 2, None, 0, &[25, 0]),
            message(TREE_CONNECT, 3, None, 0, &named(&[9, 0, 0, 0], "\\\\tgt01\\IPC$")),
            message(CREATE, 4, None, 5, &named(&[57; 44], "svcctl")),
            message(TREE_CONNECT, 5, None, 0, &named(&[9, 0, 0, 0], &format!("\\\\tgt01\\{share}"))),
        ]
        .concat()
    }

    /// The server's answers: status of the second session setup and of the second share.
    pub(in crate::app) fn server(session: u32, share: u32) -> Vec<u8> {
        let mut all = vec![
            message(SESSION_SETUP, 1, Some(MORE_PROCESSING_REQUIRED), 0, &[9, 0]),
            message(SESSION_SETUP, 2, Some(session), 0, &[9, 0]),
        ];
        if session == 0 {
            all.push(message(TREE_CONNECT, 3, Some(0), 5, &[16, 0]));
            all.push(message(CREATE, 4, Some(PENDING), 5, &[9, 0]));
            all.push(message(TREE_CONNECT, 5, Some(share), 6, &[16, 0]));
        }
        all.concat()
    }

    fn told(client: &[u8], server: &[u8]) -> Told {
        let (a, b) = (from_start(&[client]), from_start(&[server]));
        read([a.pieces().first(), b.pieces().first()])
    }

    #[test]
    fn shares_pipes_and_statuses_are_told() {
        let t = told(&client("ADMIN$"), &server(0, 0));
        assert_eq!(t.session.map(|s| s.0), Some(0));
        assert_eq!(t.pipes, [WireText::new(b"svcctl")]);
        let shares: Vec<_> = t.shares.iter().map(|s| (s.server.terminal(), s.name.terminal(), s.works())).collect();
        assert_eq!(shares, [("tgt01".into(), "IPC$".into(), true), ("tgt01".into(), "ADMIN$".into(), true)]);
        assert_eq!(t.failed(), None);
    }

    #[test]
    fn what_goes_on_is_no_failure_and_what_ends_is_one() {
        let denied = told(&client("ADMIN$"), &server(0, 0xc000_0022)).failed().unwrap();
        assert_eq!(
            (denied.step, denied.status, denied.share),
            (Step::Tree, 0xc000_0022, Some(WireText::new(b"ADMIN$")))
        );
        let logon = told(&client("ADMIN$"), &server(0xc000_006d, 0)).failed().unwrap();
        assert_eq!((logon.step, logon.status), (Step::Session, 0xc000_006d));
        let again = [server(0xc000_006d, 0), message(SESSION_SETUP, 9, Some(0), 0, &[9, 0])].concat();
        assert_eq!(told(&client("ADMIN$"), &again).failed(), None, "the second identity was let in");
        let only_begun = message(SESSION_SETUP, 1, Some(MORE_PROCESSING_REQUIRED), 0, &[9, 0]);
        assert_eq!(told(&client("ADMIN$"), &only_begun).failed(), None);
        let other =
            [client("backup"), message(TREE_CONNECT, 6, None, 0, &named(&[9, 0, 0, 0], "\\\\tgt01\\x"))].concat();
        let one_of_two = [server(0, 0), message(TREE_CONNECT, 6, Some(0xc000_00cc), 0, &[9, 0])].concat();
        assert_eq!(told(&other, &one_of_two).failed(), None, "another share works");
    }

    #[test]
    fn encrypted_messages_are_counted_and_no_bytes_panic() {
        let mut all = server(0, 0);
        all.extend(b"\0\0\0\x08\xfdSMBxxxx");
        assert_eq!(told(&client("a"), &all).encrypted, 1);
        for n in 0..all.len() {
            let _ = told(&all[..n], &client("a")[..n.min(client("a").len())]);
        }
    }
}
