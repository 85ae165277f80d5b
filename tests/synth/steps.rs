//! Random connections step by step, mostly data in order and its acknowledgements, so that short ways are taken, and a few
//! oddities, so that they are left.

use proptest::prelude::*;

use super::{ACK, Body, FIN, MS, Pk, RST, S, SYN};

const PSH: u8 = 8;

/// What happens next on one of the connections.
#[derive(Clone, Debug)]
enum Act {
    /// New data, in order.
    Data(u16),
    /// An acknowledgement of everything, or of part of it.
    Ack(u8),
    /// UDP between the same ends.
    Datagram(u16),
    /// Something from the list of oddities.
    Odd(u8),
}

#[derive(Clone, Debug)]
pub struct Step {
    flow: usize,
    from_b: bool,
    act: Act,
    gap: i64,
    ttl: u8,
    window: u16,
    interface: u32,
    id: u16,
}

/// A step: four of `4 + 40 * usual` are oddities, and of those with data `large` of `9 + large` are full.
pub fn step(usual: u32, large: u32) -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        20 * usual => prop_oneof![8 => 1..60_u16, large => Just(1400), 1 => Just(1)].prop_map(Act::Data),
        12 * usual => (0..4_u8).prop_map(Act::Ack),
        8 * usual => prop_oneof![8 => 1..60_u16, 2 => Just(0)].prop_map(Act::Datagram),
        4 => (0..16_u8).prop_map(Act::Odd),
    ];
    let gap =
        prop_oneof![60 => 0..3 * MS, 2 => Just(300 * MS), 1 => Just(10 * S), 1 => Just(10 * S - 1), 1 => Just(-MS)];
    let ttl = prop_oneof![30 * usual => Just(64_u8), 1 => Just(63), 1 => Just(65)];
    let window = prop_oneof![10 * usual => 500..510_u16, 1 => Just(0), 1 => Just(9)];
    let interface = prop_oneof![40 * usual => Just(0_u32), 1 => Just(1)];
    (0..3_usize, any::<bool>(), act, gap, ttl, window, interface, prop_oneof![4 => 1..u16::MAX, 1 => Just(0)]).prop_map(
        |(flow, from_b, act, gap, ttl, window, interface, id)| Step {
            flow,
            from_b,
            act,
            gap,
            ttl,
            window,
            interface,
            id,
        },
    )
}

/// A connection: the next number of each side, and what its peer acknowledged.
#[derive(Clone, Copy)]
struct Conn {
    next: [u32; 2],
    acked: [u32; 2],
}

/// A frame to be: bytes, time, interface.
pub type Shot = (Vec<u8>, i64, u32);

/// The frames of steps.
pub fn play(steps: &[Step]) -> Vec<Shot> {
    let points = [((1, 50_000), (2, 445)), ((2, 50_001), (1, 135)), ((3, 50_002), (3, 50_002))];
    // One side wraps early.
    let isn = |n: u32| Conn { next: [1000 + n, u32::MAX - 3000], acked: [1000 + n, u32::MAX - 3000] };
    let mut conns = [isn(0), isn(1), isn(2)];
    let (mut at, mut shots): (i64, Vec<Shot>) = (1_000_000 * S, Vec::new());
    for s in steps {
        at += s.gap;
        let (me, peer) = (usize::from(s.from_b), usize::from(!s.from_b));
        let c = &mut conns[s.flow];
        let mut pk = |flags: u8, seq: u32, ack: u32, len: usize| {
            let payload: Vec<u8> = (0..len as u32).map(|i| (seq.wrapping_add(i) % 251) as u8).collect();
            let (a, b) = points[s.flow];
            let (src, dst) = if s.from_b { (b, a) } else { (a, b) };
            let udp = matches!(s.act, Act::Datagram(_));
            let tcp = |payload| Body::Tcp { seq, ack, flags, window: s.window, payload };
            let body = if udp { Body::Udp { payload } } else { tcp(payload) };
            let pk = Pk { at, src, dst, ttl: s.ttl, vlan: (s.id == 77).then_some(5), body };
            let mut data = pk.frame();
            let ip = if pk.vlan.is_some() { 18 } else { 14 };
            data[ip + 4..ip + 6].copy_from_slice(&s.id.to_be_bytes());
            if s.flow == 1 {
                data = over_ipv6(&data, ip);
            }
            shots.push((data, at, s.interface));
        };
        let (seq, ack) = (c.next[me], c.acked[peer]);
        match s.act {
            Act::Data(len) => {
                pk(if len % 2 == 0 { ACK } else { ACK | PSH }, seq, ack, usize::from(len));
                c.next[me] = seq.wrapping_add(u32::from(len));
            }
            Act::Ack(part) => {
                let open = c.next[peer].wrapping_sub(ack);
                c.acked[peer] = ack.wrapping_add(if part == 0 { open / 2 } else { open });
                pk(ACK, seq, c.acked[peer], 0);
            }
            Act::Datagram(len) => pk(0, seq, 0, usize::from(len)),
            Act::Odd(0) => pk(ACK, seq.wrapping_sub(1), ack, 1),
            Act::Odd(1) => pk(ACK, seq.wrapping_sub(40), ack, 40),
            Act::Odd(2) => pk(ACK, seq.wrapping_add(100), ack, 30),
            Act::Odd(3) => {
                // Bytes this capture missed, and the acknowledgement of them.
                c.next[me] = seq.wrapping_add(500);
                pk(ACK, c.next[me], ack, 10);
                c.next[me] = c.next[me].wrapping_add(10);
            }
            Act::Odd(4) => pk(ACK, seq, ack.wrapping_add(5000), 0),
            Act::Odd(5) => pk(ACK, seq, ack.wrapping_sub(7), 20),
            Act::Odd(6) => pk(RST | ACK, seq, ack, 0),
            Act::Odd(7) => pk(FIN | ACK, seq, ack, 0),
            Act::Odd(8) => {
                *c = isn(u32::from(s.id));
                pk(SYN, c.next[me].wrapping_sub(1), 0, 0);
            }
            Act::Odd(9) => pk(SYN | ACK, seq.wrapping_sub(1), ack, 0),
            Act::Odd(10) => pk(0x20 | ACK, seq, ack, 9),
            Act::Odd(11) => pk(0, seq, 0, 9),
            Act::Odd(12) => pk(ACK, seq.wrapping_add(1 << 31), ack, 9),
            Act::Odd(_) => {
                if let Some((data, _, _)) = shots.iter().rev().nth(usize::from(s.id) % 5).cloned() {
                    shots.push((data, at, s.interface));
                }
            }
        }
    }
    shots
}

/// The same packet over IPv6; its IPv4 header begins at `ip`.
fn over_ipv6(data: &[u8], ip: usize) -> Vec<u8> {
    let (head, v4) = data.split_at(ip);
    let (len, proto, ttl) = (u16::from_be_bytes([v4[2], v4[3]]) - 20, v4[9], v4[8]);
    let addr = |at: usize| [&[0xfd; 12][..], &v4[at..at + 4]].concat();
    let v6 = [&[0x60, 0, 0, 0][..], &len.to_be_bytes(), &[proto, ttl], &addr(12), &addr(16), &v4[20..]].concat();
    [&head[..ip - 2], &[0x86, 0xdd], &v6].concat()
}
