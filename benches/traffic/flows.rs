//! Flows and the packets they send: a small simulation, event by event.
//!
//! A flow sends bursts, and between bursts it waits; so packets of one flow come close together and packets of many flows
//! alternate, as on a real link. Nothing is lost: what an end acknowledges was captured.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::files::{Captured, Sink};
use crate::packet::{ACK, FIN, Header, Ip, PSH, SYN, Segment, Way};
use crate::random::Random;

/// 2026-11-20T20:59:30Z in microseconds: half a minute before the window of `benches/site.toml`.
pub(crate) const BEGIN: u64 = 1_795_208_370_000_000;
/// The captures last 40 minutes; every flow is over before the last of them.
pub(crate) const LASTS: u64 = 40 * 60 * 1_000_000;
/// One data segment in so many is sent twice.
const REPEATS: u64 = 400;
/// Payload is taken from a pool of this size.
const POOL: usize = 1 << 17;

/// What a set is made of.
pub(crate) struct Mix {
    seed: u64,
    packets: u64,
    flows: u64,
    /// Smallest and largest payload of a data segment.
    payload: (u64, u64),
    /// Percent of flows over UDP.
    udp: u64,
    /// Longest life of a flow, in microseconds; every twentieth may have ten times that.
    life: u64,
}

impl Mix {
    pub(crate) const fn snap(packets: u64, flows: u64) -> Self {
        Self { seed: 1, packets, flows, payload: (400, 1448), udp: 8, life: LASTS }
    }

    pub(crate) const fn bulk(packets: u64, flows: u64) -> Self {
        Self { seed: 2, packets, flows, payload: (1448, 1448), udp: 0, life: LASTS }
    }

    pub(crate) const fn small(packets: u64, flows: u64) -> Self {
        Self { seed: 3, packets, flows, payload: (1, 90), udp: 15, life: LASTS }
    }

    /// Many short flows.
    pub(crate) const fn brief(packets: u64, flows: u64) -> Self {
        Self { seed: 4, packets, flows, payload: (200, 1448), udp: 10, life: 400_000 }
    }
}

/// Steps of the restore: who opens which port of whom, and when, in seconds after the beginning.
const RESTORE: [([u8; 4], [u8; 4], u16, u64); 9] = [
    (CONSOLE, [10, 77, 0, 11], 443, 60),
    (CONSOLE, TARGET, 445, 90),
    (CONSOLE, TARGET, 135, 95),
    (CONSOLE, TARGET, 49_673, 100),
    (CONSOLE, TARGET, 1_035, 110),
    (MOUNT, [10, 77, 0, 13], 6_162, 130),
    (MOUNT, TARGET, 6_160, 150),
    (MOUNT, TARGET, 445, 155),
    (TARGET, MOUNT, 3_260, 180),
];
const CONSOLE: [u8; 4] = [10, 77, 0, 10];
const MOUNT: [u8; 4] = [10, 77, 0, 12];
const TARGET: [u8; 4] = [10, 77, 1, 20];

/// Ports of other people's services.
const SERVICES: [u16; 8] = [443, 443, 443, 22, 80, 1_521, 5_432, 8_443];

/// A flow as far as it has come. Index 0 is the originator.
struct Flow {
    ways: [Way; 2],
    seq: [u32; 2],
    isn: [u32; 2],
    left: u64,
    sent: u64,
    /// Microseconds between bursts.
    pause: u64,
    burst: u64,
    /// Who sends most of the data.
    heavy: usize,
    payload: (u64, u64),
    /// Data segments of the heavy side since the other side acknowledged.
    owed: u64,
    last: Option<(usize, u32, usize)>,
    random: Random,
}

/// A packet to be written, and how long until the next one; `None` where it was the last.
struct Step {
    from: usize,
    segment: Segment,
    wait: Option<u64>,
}

impl Flow {
    fn step(&mut self) -> Step {
        let (from, segment) = if self.ways[0].tcp { self.tcp() } else { self.udp() };
        self.sent += 1;
        self.left -= 1;
        let wait = (self.left > 0).then(|| self.wait());
        Step { from, segment, wait }
    }

    fn wait(&mut self) -> u64 {
        if self.sent < 3 {
            return 150 + self.random.below(200);
        }
        if self.burst > 0 {
            self.burst -= 1;
            return 2 + self.random.below(30);
        }
        self.burst = 2 + self.random.below(9);
        self.pause / 2 + self.random.below(self.pause.max(1))
    }

    fn segment(&mut self, from: usize, flags: u8, len: usize) -> (usize, Segment) {
        let id = (self.sent as u16).wrapping_add(self.isn[from] as u16);
        let ack = if flags & ACK == 0 { 0 } else { self.seq[1 - from] };
        let segment = Segment { flags, seq: self.seq[from], ack, len, id };
        let takes = len as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.seq[from] = self.seq[from].wrapping_add(takes);
        (from, segment)
    }

    fn tcp(&mut self) -> (usize, Segment) {
        match (self.sent, self.left) {
            (0, _) => self.segment(0, SYN, 0),
            (1, _) => self.segment(1, SYN | ACK, 0),
            (2, _) => self.segment(0, ACK, 0),
            (_, 3) => self.segment(0, FIN | ACK, 0),
            (_, 2) => self.segment(1, FIN | ACK, 0),
            (_, 1) => self.segment(0, ACK, 0),
            _ => self.data(),
        }
    }

    fn data(&mut self) -> (usize, Segment) {
        if self.random.below(REPEATS) == 0
            && let Some((from, seq, len)) = self.last
        {
            let (_, again) = self.segment(from, PSH | ACK, 0);
            return (from, Segment { seq, len, ..again });
        }
        // One request, one answer; then the heavy side sends and the other acknowledges every second segment.
        let from = match self.sent {
            3 => 0,
            4 => 1,
            n if n % 48 == 0 => 1 - self.heavy,
            _ => self.heavy,
        };
        if from == self.heavy && self.owed == 2 {
            self.owed = 0;
            return self.segment(1 - self.heavy, ACK, 0);
        }
        self.owed += u64::from(from == self.heavy);
        let (low, high) = self.payload;
        let len =
            if from == self.heavy { low + self.random.below(high - low + 1) } else { 40 + self.random.below(200) };
        self.last = Some((from, self.seq[from], len as usize));
        self.segment(from, PSH | ACK, len as usize)
    }

    fn udp(&mut self) -> (usize, Segment) {
        let from = (self.sent % 2) as usize;
        let len = 30 + self.random.below(self.payload.1.min(400)) as usize;
        (from, Segment { len, id: self.sent as u16, ..Segment::default() })
    }

    /// Payload from the pool; the first bytes of a stream are those of its protocol.
    fn payload<'p>(&self, from: usize, s: &Segment, pool: &'p [u8], openings: &'p Openings) -> &'p [u8] {
        let service = self.ways[0].ports[1];
        if self.ways[0].tcp
            && s.seq == self.isn[from].wrapping_add(1)
            && let Some(opening) = openings.of(service, from)
        {
            return &opening[..s.len.min(opening.len())];
        }
        let at = s.seq as usize % (POOL - 2_048);
        &pool[at..at + s.len]
    }
}

/// First bytes of services that this program knows, padded.
pub(crate) struct Openings {
    ssh: Vec<u8>,
    hello: Vec<u8>,
    answer: Vec<u8>,
    get: Vec<u8>,
    ok: Vec<u8>,
}

impl Openings {
    fn new() -> Self {
        let padded = |text: &[u8]| {
            let mut bytes = text.to_vec();
            bytes.resize(2_048, b' ');
            bytes
        };
        Self {
            ssh: padded(b"SSH-2.0-OpenSSH_9.6\r\n"),
            hello: padded(&tls_hello()),
            answer: padded(&[0x15, 3, 3, 0, 2, 1, 0]),
            get: padded(b"GET /status HTTP/1.1\r\nHost: app.example\r\n\r\n"),
            ok: padded(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"),
        }
    }

    fn of(&self, port: u16, from: usize) -> Option<&[u8]> {
        match (port, from) {
            (22, _) => Some(&self.ssh),
            (443 | 8_443, 0) => Some(&self.hello),
            (443 | 8_443, _) => Some(&self.answer),
            (80, 0) => Some(&self.get),
            (80, _) => Some(&self.ok),
            _ => None,
        }
    }
}

/// A ClientHello (RFC 8446 section 4.1.2) with one cipher suite and a server name.
fn tls_hello() -> Vec<u8> {
    let name = b"app.example";
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x13, 1, 1, 0]);
    let n = name.len() as u8;
    hello.extend([0, n + 9, 0, 0, 0, n + 5, 0, n + 3, 0, 0, n]);
    hello.extend(name);
    let len = hello.len() as u8;
    [&[0x16, 3, 1, 0, len + 4, 1, 0, 0, len], &hello[..]].concat()
}

/// Writes a set.
pub(crate) fn write(sink: &mut impl Sink, mix: &Mix) {
    let mut world = World::new(mix);
    while world.next(sink, u64::MAX) {}
}

/// All flows of a set.
pub(crate) struct World {
    flows: Vec<Flow>,
    due: BinaryHeap<Reverse<(u64, usize)>>,
    pool: Vec<u8>,
    openings: Openings,
}

impl World {
    pub(crate) fn new(mix: &Mix) -> Self {
        let mut random = Random::new(mix.seed);
        // Half noise, half repetition: about what traffic compresses to.
        let pool = (0..POOL).map(|i| if i % 64 < 32 { random.next() as u8 } else { b'.' }).collect();
        let mut world = Self { flows: Vec::new(), due: BinaryHeap::new(), pool, openings: Openings::new() };
        let shares = shares(mix, &mut random);
        for (i, packets) in shares.into_iter().enumerate() {
            let (at, flow) = flow(i, packets, mix, &mut random);
            world.flows.push(flow);
            world.due.push(Reverse((at, i)));
        }
        world
    }

    /// Writes the next packet if it is due before `until`; whether it did.
    pub(crate) fn next(&mut self, sink: &mut impl Sink, until: u64) -> bool {
        let Some(&Reverse((at, i))) = self.due.peek().filter(|d| d.0.0 < until) else { return false };
        self.due.pop();
        let flow = &mut self.flows[i];
        let step = flow.step();
        let header = Header::new(&flow.ways[step.from], &step.segment);
        let payload = flow.payload(step.from, &step.segment, &self.pool, &self.openings);
        sink.frame(&Captured { micros: BEGIN + at, header: header.as_slice(), payload, wire: header.wire });
        if let Some(wait) = step.wait {
            self.due.push(Reverse((at + wait, i)));
        }
        true
    }
}

/// Packets of each flow: few flows have most of them, every one has enough to be whole.
fn shares(mix: &Mix, random: &mut Random) -> Vec<u64> {
    const LEAST: u64 = 12;
    let flows = mix.flows.min(mix.packets / LEAST).max(RESTORE.len() as u64);
    let weights: Vec<f64> = (0..flows).map(|_| 1.0 / (random.unit() + 0.02)).collect();
    let total: f64 = weights.iter().sum();
    let spare = mix.packets.saturating_sub(flows * LEAST);
    let mut shares: Vec<u64> = weights.iter().map(|w| LEAST + (spare as f64 * w / total) as u64).collect();
    let rest = mix.packets.saturating_sub(shares.iter().sum());
    *shares.last_mut().unwrap() += rest;
    shares
}

fn flow(i: usize, packets: u64, mix: &Mix, random: &mut Random) -> (u64, Flow) {
    let (start, mut ways) = match RESTORE.get(i) {
        Some(&(from, to, port, at)) => (at * 1_000_000, ways(Ip::V4(from), Ip::V4(to), [50_000 + i as u16, port])),
        None => (random.below(LASTS * 7 / 10), other(i, random)),
    };
    let tcp = i < RESTORE.len() || random.below(100) >= mix.udp;
    if !tcp {
        ways[0].ports[1] = 53;
        ways[1].ports[0] = 53;
    }
    ways.iter_mut().for_each(|w| w.tcp = tcp);
    // A burst has 6 packets on average, and a pause as long as its nominal length: the flow ends in time.
    let share = if i < RESTORE.len() { 0.9 } else { 0.2 + 0.7 * random.unit() };
    let life = mix.life.saturating_mul(if i < RESTORE.len() {
        LASTS
    } else if i % 20 == 7 {
        10
    } else {
        1
    });
    let pause = ((LASTS - start).min(life) as f64 * share / (packets as f64 / 7.0 + 1.0)) as u64;
    let isn = [random.next() as u32, random.next() as u32];
    let heavy = random.below(4).min(1) as usize;
    let random = Random::new(random.next());
    let (left, payload) = (packets, mix.payload);
    let flow =
        Flow { ways, seq: isn, isn, left, sent: 0, pause, burst: 0, heavy, payload, owed: 0, last: None, random };
    (start, flow)
}

fn ways(from: Ip, to: Ip, [source, service]: [u16; 2]) -> [Way; 2] {
    [
        Way { from, to, ports: [source, service], ttl: 128, tcp: true },
        Way { from: to, to: from, ports: [service, source], ttl: 63, tcp: true },
    ]
}

/// Hosts without a role; one flow in twenty is IPv6.
fn other(i: usize, random: &mut Random) -> [Way; 2] {
    let (client, server) = (random.below(1 << 12) as u16, random.below(200) as u8);
    let [high, low] = client.to_be_bytes();
    let ports = [1_024 + (random.below(60_000) as u16), SERVICES[random.below(8) as usize]];
    let mut ways = if i % 20 == 19 {
        let v6 = |net: u8, a: u8, b: u8| Ip::V6([0xfd, 0, 0, 0, 0, 0, 0, net, 0, 0, 0, 0, 0, 0, a, b]);
        ways(v6(1, high, low), v6(2, 0, server), ports)
    } else {
        ways(Ip::V4([10, 20, high, low]), Ip::V4([10, 30, 0, server]), ports)
    };
    ways[0].ttl = if client % 3 == 0 { 128 } else { 64 };
    ways
}
