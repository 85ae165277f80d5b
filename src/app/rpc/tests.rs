//! Hand-built connections in both byte orders and both encodings.

use std::net::{IpAddr, Ipv4Addr};

use super::bind::Syntax;
use super::*;
use crate::app::stream::tests::{from_start, stamp};

const SRVSVC: [u8; 16] = uuid(0x4b32_4fc8, 0x1670, 0x01d3, [0x12, 0x78, 0x5a, 0x47, 0xbf, 0x6e, 0xe1, 0x88]);
const EPM_UUID: [u8; 16] = uuid(0xe1af_8308, 0x5d1f, 0x11c9, [0x91, 0xa4, 0x08, 0x00, 0x2b, 0x14, 0xa0, 0xfa]);
const NDR: [u8; 16] = uuid(0x8a88_5d04, 0x1ceb, 0x11c9, [0x9f, 0xe8, 0x08, 0x00, 0x2b, 0x10, 0x48, 0x60]);
const NDR64: [u8; 16] = uuid(0x7171_0533, 0xbeba, 0x4937, [0x83, 0x19, 0xb5, 0xdb, 0xef, 0x9c, 0xcc, 0x36]);
const ADDR: [u8; 4] = [10, 77, 1, 20];

/// Little-endian wire form.
const fn uuid(a: u32, b: u16, c: u16, d: [u8; 8]) -> [u8; 16] {
    let ([a0, a1, a2, a3], [b0, b1], [c0, c1]) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    [a0, a1, a2, a3, b0, b1, c0, c1, d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
}

/// Writes PDUs in one byte order and encoding.
#[derive(Clone, Copy)]
pub(in crate::app) struct Wire {
    big: bool,
    syntax: Syntax,
}

impl Wire {
    pub(in crate::app) const CLASSIC: Self = Self { big: false, syntax: Syntax::Ndr };

    fn u16(self, v: u16) -> Vec<u8> {
        if self.big { v.to_be_bytes().to_vec() } else { v.to_le_bytes().to_vec() }
    }
    fn u32(self, v: u32) -> Vec<u8> {
        if self.big { v.to_be_bytes().to_vec() } else { v.to_le_bytes().to_vec() }
    }
    fn uuid(self, u: [u8; 16]) -> Vec<u8> {
        let mut u = u;
        if self.big {
            u[..4].reverse();
            u[4..6].reverse();
            u[6..8].reverse();
        }
        u.to_vec()
    }
    fn long(self, out: &mut Vec<u8>, v: u32) {
        let width = if self.syntax == Syntax::Ndr { 4 } else { 8 };
        out.resize(out.len().next_multiple_of(width), 0);
        let mut bytes = self.u32(v);
        if width == 8 {
            let zeros = vec![0; 4];
            bytes = if self.big { [zeros, bytes].concat() } else { [bytes, zeros].concat() };
        }
        out.extend(bytes);
    }

    fn pdu(self, kind: u8, flags: u8, call: u32, body: &[u8], auth: Option<(u8, usize)>) -> Vec<u8> {
        let mut body = body.to_vec();
        let mut auth_length = 0;
        if let Some((level, n)) = auth {
            let padding = body.len().next_multiple_of(16) - body.len();
            body.resize(body.len() + padding, 0xbb);
            body.extend([10, level, u8::try_from(padding).unwrap(), 0, 0, 0, 0, 0]);
            body.resize(body.len() + n, 0xaa);
            auth_length = u16::try_from(n).unwrap();
        }
        let length = u16::try_from(16 + body.len()).unwrap();
        let head = [5, 0, kind, flags, if self.big { 0 } else { 0x10 }, 0, 0, 0];
        [&head[..], &self.u16(length), &self.u16(auth_length), &self.u32(call), &body].concat()
    }

    /// A bind of the endpoint mapper as context 1, in this encoding, and of another interface as context 0.
    pub(in crate::app) fn bind(self, auth: Option<(u8, usize)>) -> Vec<u8> {
        let encoding = if self.syntax == Syntax::Ndr { NDR } else { NDR64 };
        let mut body = [self.u16(5840), self.u16(5840), self.u32(0), vec![2, 0, 0, 0]].concat();
        for (id, interface, transfer) in [(0, SRVSVC, NDR), (1, EPM_UUID, encoding)] {
            body.extend([self.u16(id), vec![1, 0], self.uuid(interface), self.u32(3)].concat());
            body.extend([self.uuid(transfer), self.u32(2)].concat());
        }
        self.pdu(pdu::BIND, 3, 1, &body, auth)
    }

    pub(in crate::app) fn bind_ack(self) -> Vec<u8> {
        let encoding = if self.syntax == Syntax::Ndr { NDR } else { NDR64 };
        let mut body = [self.u16(5840), self.u16(5840), self.u32(9), self.u16(4), b"135\0\0\0".to_vec()].concat();
        body.extend([2, 0, 0, 0]);
        body.extend([self.u16(2), self.u16(1), self.uuid([0; 16]), self.u32(0)].concat());
        body.extend([self.u16(0), self.u16(0), self.uuid(encoding), self.u32(2)].concat());
        self.pdu(pdu::BIND_ACK, 3, 1, &body, None)
    }

    pub(in crate::app) fn request(self, call: u32, context: u16, operation: u16) -> Vec<u8> {
        let mut stub = Vec::new();
        self.long(&mut stub, 1);
        stub.extend([0; 16]);
        self.long(&mut stub, 2);
        self.tower(&mut stub, &tower(SRVSVC, 0x07, 135));
        stub.resize(stub.len().next_multiple_of(4) + 20, 0);
        stub.extend(self.u32(4));
        let body = [self.u32(0), self.u16(context), self.u16(operation), stub].concat();
        self.pdu(pdu::REQUEST, 3, call, &body, None)
    }

    fn tower(self, out: &mut Vec<u8>, octets: &[u8]) {
        let length = u32::try_from(octets.len()).unwrap();
        self.long(out, length);
        out.extend(self.u32(length));
        out.extend(octets);
    }

    fn stub(self, ports: &[u16], status: u32) -> Vec<u8> {
        let towers: Vec<_> = ports.iter().map(|p| tower(SRVSVC, 0x07, *p)).collect();
        self.stub_of(&towers, status)
    }

    fn stub_of(self, towers: &[Vec<u8>], status: u32) -> Vec<u8> {
        let mut stub = vec![0; 20];
        let n = u32::try_from(towers.len()).unwrap();
        stub.extend(self.u32(n));
        [4, 0, n].iter().for_each(|v| self.long(&mut stub, *v));
        (0..n).for_each(|i| self.long(&mut stub, 0x10 + i));
        towers.iter().for_each(|t| self.tower(&mut stub, t));
        stub.resize(stub.len().next_multiple_of(4), 0);
        stub.extend(self.u32(status));
        stub
    }

    fn response(self, call: u32, flags: u8, stub: &[u8], auth: Option<(u8, usize)>) -> Vec<u8> {
        let body = [self.u32(0), self.u16(1), self.u16(0), stub.to_vec()].concat();
        self.pdu(pdu::RESPONSE, flags, call, &body, auth)
    }

    pub(in crate::app) fn mapped(self, call: u32, ports: &[u16]) -> Vec<u8> {
        self.response(call, 3, &self.stub(ports, 0), None)
    }
}

fn tower(interface: [u8; 16], transport: u8, port: u16) -> Vec<u8> {
    let floor = |left: &[u8], right: &[u8]| {
        let size = |b: &[u8]| u16::try_from(b.len()).unwrap().to_le_bytes();
        [&size(left)[..], left, &size(right), right].concat()
    };
    let uuid_floor = |u: [u8; 16]| floor(&[&[0x0d][..], &u, &[3, 0]].concat(), &[0, 0]);
    let floors = [
        uuid_floor(interface),
        uuid_floor(NDR),
        floor(&[0x0b], &[0, 0]),
        floor(&[transport], &port.to_be_bytes()),
        floor(&[0x09], &ADDR),
    ];
    [&[5, 0][..], &floors.concat()].concat()
}

fn followed(client: &[&[u8]], server: &[&[u8]]) -> Facts {
    follow(from_start(client).pieces(), from_start(server).pieces())
}

fn ports(facts: &Facts) -> Vec<u16> {
    facts.answers.iter().map(|a| a.port).collect()
}

#[test]
fn answers_are_read_in_both_byte_orders_and_encodings() {
    for (big, syntax) in [(false, Syntax::Ndr), (true, Syntax::Ndr), (false, Syntax::Ndr64), (true, Syntax::Ndr64)] {
        let w = Wire { big, syntax };
        let facts = followed(&[&w.bind(None), &w.request(2, 1, 3)], &[&w.bind_ack(), &w.mapped(2, &[49154, 49200])]);
        assert_eq!(ports(&facts), [49154, 49200], "{big} {syntax:?}");
        let first = &facts.answers[0];
        assert_eq!(first.interface, "4b324fc8-1670-01d3-1278-5a47bf6ee188");
        assert_eq!(first.addr, IpAddr::V4(Ipv4Addr::from(ADDR)));
        assert_eq!(first.at, stamp(2));
        let bind = |interface: &str, yes| AppFacts::RpcBind { interface: interface.into(), accepted: Some(yes) };
        assert_eq!(facts.facts, [bind(&first.interface, false), bind(EPM, true)]);
    }
}

#[test]
fn a_response_is_read_only_with_its_request_on_a_mapper_context() {
    let w = Wire::CLASSIC;
    let (bind, ack) = (w.bind(None), w.bind_ack());
    assert!(ports(&followed(&[&bind, &w.request(2, 1, 2)], &[&ack, &w.mapped(2, &[1])])).is_empty(), "ept_lookup");
    assert!(ports(&followed(&[&bind, &w.request(2, 0, 3)], &[&ack, &w.mapped(2, &[1])])).is_empty(), "other context");
    assert!(ports(&followed(&[&bind, &w.request(3, 1, 3)], &[&ack, &w.mapped(2, &[1])])).is_empty(), "other call");
    assert!(ports(&followed(&[&bind], &[&ack, &w.mapped(2, &[1])])).is_empty(), "no request");
    assert!(ports(&followed(&[&w.request(2, 1, 3)], &[&w.mapped(2, &[1])])).is_empty(), "no bind");
}

#[test]
fn a_bind_whose_answer_was_not_seen_offers_only_one_reading() {
    let w = Wire::CLASSIC;
    let facts = followed(&[&w.bind(None), &w.request(2, 1, 3)], &[&w.mapped(2, &[49154])]);
    assert_eq!(ports(&facts), [49154]);
    assert!(facts.facts.iter().all(|f| matches!(f, AppFacts::RpcBind { accepted: None, .. })));
}

#[test]
fn a_nak_refuses_every_interface() {
    let w = Wire::CLASSIC;
    let nak = w.pdu(pdu::BIND_NAK, 3, 1, &[0, 0, 0], None);
    let facts = followed(&[&w.bind(None)], &[&nak]);
    assert!(facts.facts.iter().all(|f| matches!(f, AppFacts::RpcBind { accepted: Some(false), .. })));
    assert_eq!(facts.facts.len(), 2);
}

#[test]
fn what_a_server_turned_down_is_told_where_it_answered_nothing() {
    let w = Wire::CLASSIC;
    let refused = |server: &[&[u8]]| followed(&[&w.bind(None), &w.request(2, 1, 3)], server).refused;
    let said = |server: &[&[u8]]| refused(server).map(|(step, code, _)| (step, code));
    let nak = w.pdu(pdu::BIND_NAK, 3, 1, &w.u16(8), None);
    let fault = w.pdu(pdu::FAULT, 3, 2, &[&[0; 8][..], &w.u32(5), &[0; 4]].concat(), None);
    let mut none = w.bind_ack();
    let result = none.len() - 24;
    none[result..result + 4].copy_from_slice(&[2, 0, 1, 0]);
    assert_eq!(said(&[&nak]), Some((RefusalStep::RpcBind, 8)));
    assert_eq!(said(&[&none]), Some((RefusalStep::RpcContext, 1)));
    assert_eq!(said(&[&w.bind_ack(), &fault]), Some((RefusalStep::RpcCall, 5)));
    assert_eq!(said(&[&nak, &w.bind_ack()]), None, "the second bind was taken");
    assert_eq!(said(&[&w.bind_ack(), &w.mapped(2, &[49154]), &fault]), None, "work had begun");
}

#[test]
fn an_answer_that_names_a_pipe_gives_out_no_port() {
    let w = Wire::CLASSIC;
    let mut octets = tower(SRVSVC, 0x0f, 0);
    // Floors 4 and 5 anew: a pipe, and the host it is on.
    octets.truncate(2 + 2 * 25 + 7);
    octets.extend([1, 0, 0x0f, 13, 0]);
    octets.extend(b"\\PIPE\\srvsvc\0");
    octets.extend([1, 0, 0x11, 2, 0, b'h', 0]);
    let answer = w.response(2, 3, &w.stub_of(&[octets], 0), None);
    let facts = followed(&[&w.bind(None), &w.request(2, 1, 3)], &[&w.bind_ack(), &answer]);
    let interface = "4b324fc8-1670-01d3-1278-5a47bf6ee188".to_owned();
    let pipe = crate::base::WireText::new(b"\\PIPE\\srvsvc");
    assert!(facts.answers.is_empty());
    assert_eq!(facts.facts.last(), Some(&AppFacts::MapperPipe { interface, pipe }));
}

#[test]
fn fragments_are_joined_even_where_calls_interleave() {
    let w = Wire::CLASSIC;
    let (one, two) = (w.stub(&[49154, 49155], 0), w.stub(&[49160], 0));
    let server = [
        w.bind_ack(),
        w.response(2, 1, &one[..50], None),
        w.response(3, 1, &two[..31], None),
        w.response(2, 0, &one[50..60], None),
        w.response(3, 2, &two[31..], None),
        w.response(2, 2, &one[60..], None),
    ];
    let client = [w.bind(None), w.request(2, 1, 3), w.request(3, 1, 3)];
    let facts = followed(&client.each_ref().map(Vec::as_slice), &server.each_ref().map(Vec::as_slice));
    assert_eq!(ports(&facts), [49154, 49155, 49160]);
    assert_eq!(facts.answers[0].at, stamp(6), "the frame that completed it");
    assert_eq!(facts.answers[2].at, stamp(5));
}

#[test]
fn a_signed_stub_is_read_and_an_encrypted_one_only_counted() {
    let w = Wire::CLASSIC;
    let (client, stub) = ([w.bind(Some((6, 40))), w.request(2, 1, 3)], w.stub(&[49154], 0));
    let client = client.each_ref().map(Vec::as_slice);
    let signed = followed(&client, &[&w.bind_ack(), &w.response(2, 3, &stub, Some((5, 16)))]);
    assert_eq!(ports(&signed), [49154]);
    let sealed = followed(&client, &[&w.bind_ack(), &w.response(2, 3, &stub, Some((6, 16)))]);
    assert!(sealed.answers.is_empty());
    assert!(sealed.facts.contains(&AppFacts::MapperSealed { answers: 1 }));
    assert!(sealed.facts.contains(&AppFacts::RpcAuth { service: 10, level: 6 }));
}

#[test]
fn a_refusal_names_the_interface_asked_for() {
    for syntax in [Syntax::Ndr, Syntax::Ndr64] {
        let w = Wire { big: false, syntax };
        let refused = w.response(2, 3, &w.stub(&[], 0x16c9_a0d6), None);
        let facts = followed(&[&w.bind(None), &w.request(2, 1, 3)], &[&w.bind_ack(), &refused]);
        let expected = AppFacts::MapperRefused {
            interface: Some("4b324fc8-1670-01d3-1278-5a47bf6ee188".into()),
            status: 0x16c9_a0d6,
        };
        assert_eq!(facts.facts.last(), Some(&expected));
    }
}

#[test]
fn other_transports_and_port_zero_give_out_no_port() {
    let w = Wire::CLASSIC;
    let towers = [tower(SRVSVC, 0x0f, 1000), tower(SRVSVC, 0x08, 1000), tower(SRVSVC, 0x07, 0)];
    let response = w.response(2, 3, &w.stub_of(&towers, 0), None);
    let facts = followed(&[&w.bind(None), &w.request(2, 1, 3)], &[&w.bind_ack(), &response]);
    assert!(facts.answers.is_empty());
}

#[test]
fn a_gap_loses_the_answer_it_cuts_and_not_the_next() {
    let w = Wire::CLASSIC;
    let client = [w.bind(None), w.request(2, 1, 3), w.request(3, 1, 3), w.request(4, 1, 3)].concat();
    let server = [w.bind_ack(), w.mapped(2, &[49154]), w.mapped(3, &[49155]), w.mapped(4, &[49156])].concat();
    let answer = w.mapped(2, &[49154]).len();
    let start = w.bind_ack().len();
    for hole in [start + 3, start + 20, start + 70] {
        let mut s = crate::app::Stream::new(1 << 16);
        s.insert(0, &server[..hole], stamp(1));
        let after = if hole == start + 3 { start + answer } else { hole + 5 };
        s.insert(i64::try_from(after).unwrap(), &server[after..], stamp(2));
        let facts = follow(from_start(&[&client]).pieces(), s.pieces());
        assert_eq!(ports(&facts), [49155, 49156], "hole at {hole}");
    }
}

#[test]
fn a_call_id_may_be_used_again() {
    let w = Wire::CLASSIC;
    let client = [w.bind(None), w.request(1, 0, 15), w.request(1, 1, 3), w.request(1, 1, 3)];
    let fault = w.pdu(pdu::FAULT, 3, 1, &[0; 16], None);
    let server = [w.bind_ack(), fault, w.mapped(1, &[49154]), w.mapped(1, &[49155])];
    let facts = followed(&client.each_ref().map(Vec::as_slice), &server.each_ref().map(Vec::as_slice));
    assert_eq!(ports(&facts), [49154, 49155]);
}

#[test]
fn the_header_alone_tells_a_bind() {
    let bind = Wire::CLASSIC.bind(None);
    assert_eq!(parse(&bind[..15]), Outcome::NeedMore);
    assert_eq!(parse(&bind[..16]), Outcome::Evidence(()));
    for (i, wrong) in [(0, 4), (1, 2), (2, 0), (4, 0x20), (5, 4), (6, 1), (8, 20), (11, 0x70)] {
        let mut bytes = bind.clone();
        bytes[i] = wrong;
        assert_eq!(parse(&bytes), Outcome::No, "byte {i}");
    }
}
