//! Hand-made observations: flows written as facts, so that every case of the judge can be posed without packets.

use std::net::IpAddr;

use portwitness::app::{AppProto, Evidence, MapperAnswer, Refusal, RefusalStep, Speaks};
use portwitness::base::{FrameRef, InputId, Known, Proto, Span, Stamp, Time};
use portwitness::flow::{EndPoint, Flow, FlowKey, IcmpError, Lane, Repeated, Rst, Sent, Side, Silence, SynAck, SynRun};
use portwitness::matrix::Matrix;
use portwitness::observe::{InputSummary, Observation, Rest};
use portwitness::report::{FlowRecord, Outcome, Report, Requirement};
use portwitness::site;
use portwitness::verdict::{Case, Options, PointSeen, judge};

pub const CONSOLE: &str = "10.77.0.10";
pub const BACKUP: &str = "10.77.0.11";
pub const MOUNT: &str = "10.77.0.12";
pub const REPO: &str = "10.77.0.13";
pub const TARGET: &str = "10.77.1.20";
pub const STAGING: &str = "10.77.1.21";
pub const LINUX: &str = "10.77.1.22";
pub const STRANGER: &str = "10.99.0.1";

/// Roles of an image-level restore to Windows.
pub const ROLES: &str = r#"
[roles]
console        = ["10.77.0.10"]
backup-server  = ["10.77.0.11"]
mount-server   = ["10.77.0.12"]
repository     = ["10.77.0.13"]
target-windows = ["10.77.1.20"]
"#;

/// A mirror port that sees everything between the hosts, so that absence can be judged at all.
pub const MIRROR: &str = r#"
[[observation_point]]
at = "mirror"
complete = true
"#;

/// 2026-11-20T21:00:00Z plus so many seconds.
pub fn at(secs: f64) -> Time {
    let base = Time::parse("2026-11-20T21:00:00Z").unwrap();
    #[allow(clippy::cast_possible_truncation, reason = "test times are small")]
    Time::from_nanos(base.as_nanos() + (secs * 1e9) as i64)
}

/// What was seen at one place, while it is written.
pub struct World {
    pub flows: Vec<Flow>,
    pub input: InputSummary,
    pub observation: Observation,
    frame: u64,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// An empty capture from second 0 to second 600.
    pub fn new() -> Self {
        let input = InputSummary {
            input: InputId(0),
            name: "test.pcap".into(),
            format: "pcap".into(),
            sha256: Known::Unknown,
            linktypes: vec!["Ethernet".into()],
            packets: 0,
            bytes: 0,
            first: Some(at(0.0)),
            last: Some(at(600.0)),
            loss_kernel: Known::Unknown,
            loss_interface: Known::Unknown,
            filter: Known::Unknown,
            snaplen: Known::Unknown,
            cut_frames: 0,
            damaged_at: None,
            host: None,
        };
        let observation = Observation {
            inputs: vec![],
            flows: vec![],
            rest: Rest::default(),
            holes: vec![],
            evicted: 0,
            problems: vec![],
        };
        Self { flows: vec![], input, observation, frame: 0 }
    }

    /// A whole clean image-level restore to Windows, application items.
    pub fn clean() -> Self {
        let mut w = Self::new();
        w.tcp(CONSOLE, BACKUP, 443, 10.0).works(Some(AppProto::Tls));
        w.tcp(CONSOLE, TARGET, 445, 20.0).works(Some(AppProto::Smb));
        w.tcp(CONSOLE, TARGET, 135, 21.0).works(Some(AppProto::DceRpc)).names(TARGET, 49154, SRVSVC);
        w.tcp(CONSOLE, TARGET, 49154, 22.0).works(Some(AppProto::DceRpc));
        w.tcp(CONSOLE, TARGET, 1035, 24.0).works(None);
        w.tcp(MOUNT, REPO, 6162, 30.0).works(None);
        w.tcp(MOUNT, TARGET, 6160, 40.0).works(None);
        w.tcp(MOUNT, TARGET, 445, 41.0).works(Some(AppProto::Smb));
        w.tcp(TARGET, MOUNT, 3260, 50.0).works(Some(AppProto::Iscsi));
        w
    }

    /// Removes flows to a responder's port.
    pub fn without(mut self, port: u16) -> Self {
        self.flows.retain(|f| !f.key.ends.iter().any(|e| e.port == port));
        self
    }

    /// Removes flows from a host to a responder's port.
    pub fn without_from(mut self, from: &str, port: u16) -> Self {
        let from: IpAddr = from.parse().unwrap();
        self.flows.retain(|f| {
            !(f.key.ends.iter().any(|e| e.port == port) && f.key.ends.iter().any(|e| e.addr == from && e.port != port))
        });
        self
    }

    /// A TCP flow by its SYN; the client port follows from the number of flows.
    pub fn tcp(&mut self, orig: &str, resp: &str, port: u16, t: f64) -> FlowFacts<'_> {
        let client = 51_000 + u16::try_from(self.flows.len()).unwrap();
        self.flow(Proto::Tcp, orig, client, resp, port, t)
    }

    pub fn flow(&mut self, proto: Proto, orig: &str, client: u16, resp: &str, port: u16, t: f64) -> FlowFacts<'_> {
        self.frame += 10;
        let o = EndPoint { addr: orig.parse().unwrap(), port: client };
        let r = EndPoint { addr: resp.parse().unwrap(), port };
        let stamp = Stamp { time: at(t), at: FrameRef { input: InputId(0), frame: self.frame } };
        let ends = if o < r { [o, r] } else { [r, o] };
        let mut flow = Flow {
            local: portwitness::flow::Local::default(),
            key: FlowKey { proto, ends },
            ordinal: 1,
            first: stamp,
            last: stamp,
            syns: vec![],
            ends: [Sent::default(), Sent::default()],
            icmp: vec![],
            group: false,
            evidence: Evidence::none(),
            silences: vec![],
        };
        for e in &mut flow.ends {
            e.lanes = vec![Lane { interface: 0, vlans: [0; 4] }];
        }
        self.flows.push(flow);
        FlowFacts(self.flows.last_mut().unwrap())
    }

    /// Declares a number of packets between two hosts in both directions, as ordinary ICMP echo.
    pub fn ping(&mut self, a: &str, b: &str, t: f64) -> &mut Self {
        let f = self.flow(Proto::Icmp, a, 0, b, 0, t);
        let first = Some(f.0.first);
        f.0.ends.iter_mut().for_each(|e| (e.packets, e.first, e.last) = (1, first, first));
        self
    }

    /// The same by a clock that is so many seconds ahead.
    pub fn shifted(mut self, secs: f64) -> Self {
        let by = at(secs).as_nanos() - at(0.0).as_nanos();
        let time = |t: &mut Time| *t = Time::from_nanos(t.as_nanos() + by);
        let stamp = |s: &mut Stamp| time(&mut s.time);
        for f in &mut self.flows {
            [&mut f.first, &mut f.last].into_iter().for_each(stamp);
            f.syns.iter_mut().flat_map(|r| &mut r.stamps).for_each(stamp);
            f.icmp.iter_mut().for_each(|e| stamp(&mut e.at));
            f.evidence.mapper.iter_mut().for_each(|m| stamp(&mut m.at));
            for e in f.ends.iter_mut().map(|e| &mut **e) {
                let single =
                    [&mut e.first, &mut e.last, &mut e.fin_first, &mut e.acked_handshake, &mut e.payload_acked];
                single.into_iter().chain([&mut e.first_payload]).flatten().for_each(stamp);
                e.syn_ack_seen.iter_mut().for_each(|s| stamp(&mut s.at));
                e.rst_seen.iter_mut().for_each(|r| stamp(&mut r.at));
            }
        }
        [&mut self.input.first, &mut self.input.last].into_iter().flatten().for_each(time);
        self.observation.holes.iter_mut().flat_map(|h| [&mut h.from, &mut h.to]).for_each(time);
        self
    }

    pub fn point(mut self, name: Option<&str>) -> PointSeen {
        self.flows.sort_by_key(|f| f.first);
        let mut observation = self.observation;
        observation.inputs.push(self.input);
        observation.flows = self.flows;
        PointSeen { name: name.map(Into::into), observation }
    }

    pub fn judge(self, site: &str) -> Report {
        self.judge_with(site, &Options::default())
    }

    pub fn judge_with(self, site: &str, options: &Options) -> Report {
        judge_points(&[self.point(None)], site, options)
    }

    pub fn judge_without_site(self) -> Report {
        let points = [self.point(None)];
        judge(&Case { matrix: &Matrix::embedded(), site: None, points: &points, options: &Options::default() })
    }
}

pub fn judge_points(points: &[PointSeen], site: &str, options: &Options) -> Report {
    judge_scenario("image-level", points, site, options)
}

pub fn judge_scenario(scenario: &str, points: &[PointSeen], site: &str, options: &Options) -> Report {
    let matrix = Matrix::embedded();
    let site = format!("scenario = \"{scenario}\"\n{site}");
    let (site, _) = site::load("site.toml", &site, &matrix).unwrap_or_else(|e| panic!("{}", e[0]));
    judge(&Case { matrix: &matrix, site: Some(&site), points, options })
}

pub const SRVSVC: &str = "4b324fc8-1670-01d3-1278-5a47bf6ee188";

/// Writes the facts of one flow. The originator is the end without the service, whichever side that is.
pub struct FlowFacts<'w>(pub &'w mut Flow);

const ISN: u32 = 1_000;
const ANSWER: u32 = 5_000_000;

impl FlowFacts<'_> {
    /// The originator's side: the end that was named first has the higher port in every flow of these tests but those
    /// between services, which say so themselves.
    fn orig(&self) -> Side {
        let [a, b] = self.0.key.ends;
        if self.0.key.proto == Proto::Tcp && self.0.syns.is_empty() {
            if a.port > b.port { Side::A } else { Side::B }
        } else {
            self.0.syns.first().map_or(if a.port > b.port { Side::A } else { Side::B }, |s| s.from)
        }
    }

    /// Swaps who originates: for flows whose responder has the higher port.
    fn sides(&self) -> (Side, Side) {
        let service_high = |p: u16| (49_152..50_000).contains(&p);
        let orig = self.orig();
        if service_high(self.0.point(orig).port) { (orig.other(), orig) } else { (orig, orig.other()) }
    }

    fn stamp(&mut self, after: f64) -> Stamp {
        let mut s = self.0.first;
        s.time = Time::from_nanos(s.time.as_nanos() + at(after).as_nanos() - at(0.0).as_nanos());
        s.at.frame += 1;
        if s > self.0.last {
            self.0.last = s;
        }
        s
    }

    fn add(&mut self, side: Side, packets: u64, last: Stamp) {
        let first = self.0.first;
        let end = &mut self.0.ends[side.index()];
        end.packets += packets;
        end.ip_bytes += 40 * packets;
        end.first = end.first.or(Some(first));
        end.last = Some(last);
        end.ttl = Some((64, 64));
        end.window = Some((64_000, 64_000));
    }

    /// The originator's initial sequence number: as different as the client ports are.
    fn isn(&self) -> u32 {
        let (orig, _) = self.sides();
        self.0.syns.first().map_or(ISN + u32::from(self.0.point(orig).port), |r| r.isn)
    }

    /// Other sequence numbers: what a device on the way made of them, or those of the same connection under another port.
    pub fn numbered(self, isn: u32, answer: u32) -> Self {
        let (orig, resp) = self.sides();
        self.0.syns.iter_mut().for_each(|r| r.isn = isn);
        let end = &mut self.0.ends[resp.index()];
        end.syn_ack_seen.iter_mut().for_each(|s| (s.seq, s.ack) = (answer, isn + 1));
        end.rst_seen.iter_mut().for_each(|r| r.ack = r.ack.map(|_| isn + 1));
        self.0.ends[orig.index()].rst_seen.iter_mut().for_each(|r| r.seq = isn + 1);
        self
    }

    /// The sequence numbers that a connection from this client port has here.
    pub fn numbered_as(self, client: u16) -> Self {
        let isn = ISN + u32::from(client);
        self.numbered(isn, ANSWER + isn)
    }

    /// Digests of what both sides sent first.
    pub fn heads(self, orig: u64, resp: u64) -> Self {
        let (o, r) = self.sides();
        self.0.ends[o.index()].heads = [Some(orig), Some(orig + 1), Some(orig + 2)];
        self.0.ends[r.index()].heads = [Some(resp), Some(resp + 1), Some(resp + 2)];
        self
    }

    /// SYNs at these seconds after the beginning.
    pub fn syns(mut self, after: &[f64]) -> Self {
        let (orig, _) = self.sides();
        let stamps: Vec<Stamp> = after.iter().map(|&a| self.stamp(a)).collect();
        self.add(orig, stamps.len() as u64, *stamps.last().unwrap());
        let count = stamps.len() as u64;
        self.0.syns = vec![SynRun { from: orig, isn: self.isn(), payload: 0, count, stamps }];
        self
    }

    fn syn_acks(mut self, n: u64) -> Self {
        let (_, resp) = self.sides();
        let (at, self_isn) = (self.stamp(0.01), self.isn());
        self.add(resp, n, at);
        let end = &mut self.0.ends[resp.index()];
        end.syn_acks = n;
        end.syn_ack_seen = (0..n).map(|_| SynAck { at, seq: ANSWER + self_isn, ack: self_isn + 1 }).collect();
        self
    }

    /// A whole conversation, speaking this protocol on both sides.
    pub fn works(self, app: Option<AppProto>) -> Self {
        self.syns(&[0.0]).syn_acks(1).talks(1.0).speaks(app)
    }

    /// Data of both sides, acknowledged, for so many seconds.
    pub fn talks(mut self, secs: f64) -> Self {
        let (orig, resp) = self.sides();
        let (t, last) = (self.stamp(0.02), self.stamp(secs));
        for side in [orig, resp] {
            self.add(side, 4, last);
            let end = &mut self.0.ends[side.index()];
            end.payload_bytes += 200;
            end.first_payload = Some(t);
            end.payload_acked = Some(t);
            end.acked_handshake = Some(t);
        }
        self
    }

    /// Established, without a byte from the responder.
    pub fn handshake_only(mut self) -> Self {
        self = self.syns(&[0.0]).syn_acks(1);
        let (orig, _) = self.sides();
        let t = self.stamp(0.02);
        self.add(orig, 1, t);
        self.0.ends[orig.index()].acked_handshake = Some(t);
        self
    }

    /// Conversation whose beginning was not captured.
    pub fn headless(self, app: Option<AppProto>) -> Self {
        let f = self.talks(5.0).speaks(app);
        if app.is_none() {
            f.0.evidence.speaks = [Speaks::NoStart, Speaks::NoStart];
        }
        f.0.syns.clear();
        f
    }

    pub fn unanswered(self) -> Self {
        self.syns(&[0.0, 1.0, 3.0])
    }

    pub fn half_open(self) -> Self {
        self.syns(&[0.0, 1.0]).syn_acks(2)
    }

    pub fn refused(self) -> Self {
        self.refused_by_ttl(64)
    }

    pub fn refused_by_ttl(mut self, ttl: u8) -> Self {
        self = self.syns(&[0.0]);
        let (_, resp) = self.sides();
        let (at, isn) = (self.stamp(0.01), self.isn());
        self.add(resp, 1, at);
        let end = &mut self.0.ends[resp.index()];
        end.rsts = 1;
        end.ttl = None;
        end.rst_seen = vec![Rst { at, seq: 0, ack: Some(isn + 1), ttl }];
        self
    }

    pub fn withdrawn(mut self) -> Self {
        self = self.syns(&[0.0]);
        let (orig, _) = self.sides();
        let (at, isn) = (self.stamp(0.5), self.isn());
        self.add(orig, 1, at);
        let end = &mut self.0.ends[orig.index()];
        end.rsts = 1;
        end.rst_seen = vec![Rst { at, seq: isn + 1, ack: None, ttl: 64 }];
        self
    }

    /// An ICMP destination-unreachable of this code by a router.
    pub fn icmp(mut self, code: u8) -> Self {
        self = self.syns(&[0.0, 1.0]);
        let (orig, _) = self.sides();
        let (at, isn) = (self.stamp(0.01), self.isn());
        let reporter = "10.77.0.1".parse().unwrap();
        self.0.icmp = vec![IcmpError { reporter, at, count: 1, v6: false, ty: 3, code, quoted: orig, seq: Some(isn) }];
        self
    }

    /// Segments of the originator that are never acknowledged, sent again for six seconds; the responder is still there.
    pub fn stalls(mut self, len: u32) -> Self {
        let (orig, resp) = self.sides();
        let (first, last, alive) = (self.stamp(2.0), self.stamp(8.0), self.stamp(9.0));
        self.add(orig, 5, last);
        self.add(resp, 1, alive);
        let end = &mut self.0.ends[orig.index()];
        end.largest = len;
        let interval = Span::from_secs(3);
        end.repeated = Some(Repeated { seq: ISN + 1, len, times: 5, first, last, interval, never_so_long: true });
        self
    }

    /// So many bytes were acknowledged, half of them each way.
    pub fn carried(mut self, bytes: u64) -> Self {
        let at = Some(self.stamp(1.0));
        self.0.ends.iter_mut().for_each(|e| (e.acked_bytes, e.acked_last) = (bytes / 2, at));
        self
    }

    /// A RST in the responder's name that meets data and knows of no connection.
    pub fn reset_midstream(self, ttl: u8) -> Self {
        self.reset_at(2.0, ttl)
    }

    pub fn reset_at(mut self, after: f64, ttl: u8) -> Self {
        let (_, resp) = self.sides();
        let at = self.stamp(after);
        self.add(resp, 1, at);
        let end = &mut self.0.ends[resp.index()];
        (end.rsts, end.reset_in_flight) = (1, 1460);
        end.rst_seen = vec![Rst { at, seq: 5_201, ack: None, ttl }];
        self
    }

    /// No packet between these seconds.
    pub fn silent(mut self, from: f64, to: f64) -> Self {
        let (from, to) = (self.stamp(from).time, self.stamp(to).time);
        self.0.silences.push(Silence { from, to });
        self
    }

    /// The responder's window is closed to the end.
    pub fn closes_window(mut self, after: f64) -> Self {
        let (_, resp) = self.sides();
        let at = self.stamp(after);
        self.add(resp, 1, at);
        self.0.ends[resp.index()].zero_window = Some(at);
        self
    }

    pub fn speaks(self, app: Option<AppProto>) -> Self {
        let s = app.map_or(Speaks::Other, Speaks::Known);
        self.0.evidence.speaks = [s.clone(), s];
        self
    }

    /// The responder's refusal, in the protocol spoken.
    pub fn turned_down(mut self, proto: AppProto, step: RefusalStep, code: u32, name: &str) -> Self {
        let (_, resp) = self.sides();
        let at = self.stamp(0.3);
        let (side_a, name) = (Some(resp == Side::A), Some(name.to_owned()));
        self.0.evidence.refusal = Some(Refusal { proto, step, side_a, code, name, text: None, at });
        self
    }

    /// The endpoint mapper's answer.
    pub fn names(mut self, host: &str, port: u16, interface: &str) -> Self {
        let at = self.stamp(0.5);
        self.0.evidence.mapper.push(MapperAnswer {
            at,
            interface: interface.into(),
            addr: host.parse().unwrap(),
            port,
        });
        self
    }
}

/// The one requirement of a rule and service.
pub fn requirement<'r>(r: &'r Report, rule: &str, service: &str) -> &'r Requirement {
    let found: Vec<_> = r.requirements.iter().filter(|q| q.rule == rule && q.service == service).collect();
    assert_eq!(
        found.len(),
        1,
        "{rule} {service}: {:?}",
        r.requirements.iter().map(|q| (&q.rule, &q.service)).collect::<Vec<_>>()
    );
    found[0]
}

/// The outcome of the one requirement of a rule and service.
pub fn outcome(r: &Report, rule: &str, service: &str) -> Outcome {
    requirement(r, rule, service).outcome
}

/// The one flow to a responder's port.
pub fn flow(r: &Report, port: u16) -> &FlowRecord {
    let found: Vec<_> = r.flows.iter().filter(|f| f.resp.port == port || f.orig.port == port).collect();
    assert_eq!(found.len(), 1, "port {port}: {} flows", found.len());
    found[0]
}
