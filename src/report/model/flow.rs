//! Flows and what the matrix says of them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::app::{AppFacts, MapperAnswer, RefusalStep};
use crate::base::{Proto, Stamp, Time, WireText};
use crate::flow::Encapsulation;
use crate::flow::{Break, EndPoint, Flow, FlowId, Side};
use crate::matrix::Role;
use crate::report::ip;

/// What the matrix says of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A rule allows it.
    Expected,
    /// No rule explains it.
    Unexpected,
    /// A companion set or the site's allow list explains it.
    Related,
    /// Two readings remain.
    Ambiguous,
    /// No end has a role; broadcast; multicast.
    Unrelated,
}

/// Kinds of unexpected flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnexpectedKind {
    /// No rule allows it between these roles.
    NoRule,
    /// A rule allows it the other way round.
    Reversed,
    /// Another protocol on a rule's port.
    WrongProtocol,
    /// Allowed, but not in this operation or window.
    ConditionOff,
    /// One end has no role.
    UnknownPeer,
}

impl UnexpectedKind {
    /// The kind as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoRule => "no_rule",
            Self::Reversed => "reversed",
            Self::WrongProtocol => "wrong_protocol",
            Self::ConditionOff => "condition_off",
            Self::UnknownPeer => "unknown_peer",
        }
    }

    /// Whether it fails the verdict without `--strict`.
    pub const fn fails(self) -> bool {
        matches!(self, Self::NoRule | Self::Reversed | Self::WrongProtocol)
    }
}

/// One end of a flow in the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EndRecord {
    /// Address.
    #[schemars(with = "String")]
    pub addr: IpAddr,
    /// Port.
    pub port: u16,
    /// Host label of the site, where it differs from the address.
    pub host: Option<String>,
    /// Roles; absent without a site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
}

impl EndRecord {
    /// `tgt01 (10.77.1.20)`, or the address alone.
    pub fn named(&self) -> String {
        self.host.as_ref().map_or_else(|| self.addr.to_string(), |h| format!("{h} ({})", self.addr))
    }

    /// `10.77.1.20:445`; the address alone where there are no ports.
    pub fn socket(&self) -> String {
        if self.port == 0 { self.addr.to_string() } else { SocketAddr::new(self.addr, self.port).to_string() }
    }
}

/// How a flow's originator was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It sent a SYN.
    Syn,
    /// The other side sent a SYN-ACK.
    SynAck,
    /// The other side's port is a service of the matrix.
    ServicePort,
    /// It sent the first packet seen: uncertain.
    FirstPacket,
}

/// A tunnel that packets of a flow were seen in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TunnelRecord {
    /// Which.
    pub encapsulation: Encapsulation,
    /// VXLAN or GENEVE network, GRE key, ERSPAN session, GTP endpoint, 802.1ah service, PPPoE session; null: none.
    pub id: Option<u32>,
    /// Outer source address; null where a link carried it.
    pub from: Option<String>,
    /// Outer destination address.
    pub to: Option<String>,
    /// Tunnels around this one: 0 for the outermost.
    pub depth: u8,
    /// Packets of the flow in it, both directions.
    pub packets: u64,
}

/// Application evidence in the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AppRecord {
    /// `ssh`, `tls`, ...; `other`; null: not told.
    pub protocol: Option<String>,
    /// Against the rule: `confirmed`, `wrong_protocol`, `unconfirmed`; absent without a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<AppState>,
    /// One line for people.
    pub summary: String,
    /// Facts.
    pub facts: Vec<AppFacts>,
    /// Ports the endpoint mapper gave out.
    pub mapper: Vec<MapperAnswer>,
    /// Where one peer would not go on with the other; absent where none refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Box<RefusalRecord>>,
}

/// Which end of a flow said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Teller {
    /// The end that opened the flow.
    Originator,
    /// The other end.
    Responder,
}

/// What one peer said when it would not go on with the other, before work began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RefusalRecord {
    /// What was refused.
    pub step: RefusalStep,
    /// Who said so; null where it follows from what both said.
    pub by: Option<Teller>,
    /// Code as on the wire: alert, reason, status.
    pub code: u32,
    /// Its usual name.
    pub name: Option<String>,
    /// What was asked for, or the words of the side that refused.
    pub text: Option<WireText>,
    /// The frame that brought it.
    pub at: Stamp,
}

/// Application evidence against a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    /// The bytes are what the rule's port carries.
    Confirmed,
    /// The bytes are of another protocol.
    WrongProtocol,
    /// No bytes tell.
    Unconfirmed,
}

/// How a connection was told again at another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchedBy {
    /// By the originator's initial sequence number.
    Isn,
    /// By digests of what both sides sent first: the sequence numbers were rewritten on the way.
    FirstPayload,
    /// By the tuple, at the same time.
    Tuple,
}

/// The same connection at another observation point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SeenAlso {
    /// Observation point.
    pub observation_point: String,
    /// How it was told again.
    pub matched_by: MatchedBy,
    /// Originator there, `192.0.2.10:61700`: another one than here where addresses are translated on the way.
    pub orig: String,
    /// Responder there.
    pub resp: String,
    /// Input of the first frame there, as given.
    pub input: String,
    /// 1-based number of the first frame there.
    pub first_frame: u64,
    /// First packet, by the clock of that place.
    pub first: Time,
}

/// A connection seen at several observation points. It counts once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Connection {
    /// Its number in this report: flows with the same number are the same connection.
    pub number: u64,
    /// Whether this is the record that counts.
    pub counts: bool,
    /// The other places.
    pub also: Vec<SeenAlso>,
}

/// How an established connection broke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AfterRecord {
    /// How.
    pub outcome: Break,
    /// Whose bytes do not arrive, in whose name the RST came, who closed the window: `orig` or `resp`.
    pub side: String,
    /// In words.
    pub reason: String,
    /// First packet that shows it.
    pub first: Time,
    /// Its frame number, of the input it is in.
    pub first_frame: u64,
    /// Last packet that shows it.
    pub last: Time,
    /// Its frame number.
    pub last_frame: u64,
    /// Payload bytes acknowledged before, of both sides.
    pub carried: u64,
    /// Whether it broke before it can have done its work.
    pub early: bool,
    /// The time to live of the RST is not that of the host's other packets.
    pub device_suspected: bool,
    /// Wireshark display filter for those packets.
    pub display_filter: String,
}

/// A process of the capturing host at one end of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProcessRecord {
    /// `orig` or `resp`.
    pub side: String,
    /// Whether it listened for the flow rather than having opened it.
    pub listens: bool,
    /// Its number; absent where it has none that the watching program could name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its executable: the path where that could be read, otherwise the file's name.
    pub program: WireText,
    /// Its systemd unit or other control group; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<WireText>,
}

/// A flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FlowRecord {
    /// Community ID v1 and instance.
    pub id: FlowId,
    /// Protocol.
    pub proto: Proto,
    /// Originator.
    pub orig: EndRecord,
    /// Responder.
    pub resp: EndRecord,
    /// How the originator was told.
    pub direction: Direction,
    /// Zeek's vocabulary; informative.
    pub conn_state: &'static str,
    /// Outcome of the attempt.
    pub attempt: &'static str,
    /// Why that outcome, in words.
    pub attempt_reason: Arc<str>,
    /// How the connection broke once it was established; absent where it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Box<AfterRecord>>,
    /// Class; absent without a matrix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Kind of an unexpected flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unexpected: Option<UnexpectedKind>,
    /// The orientation is an assumption.
    pub assumed: bool,
    /// Why this class, headed by the kind where it is unexpected (`no_rule: ...`); absent without a matrix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// Rules that allow it, the naming one first.
    pub rules: Vec<String>,
    /// Label and source of a related flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Application evidence.
    pub app: AppRecord,
    /// First packet.
    pub first: Time,
    /// Last packet.
    pub last: Time,
    /// Packets by the originator.
    pub orig_packets: u64,
    /// IP bytes by the originator.
    pub orig_bytes: u64,
    /// Packets by the responder.
    pub resp_packets: u64,
    /// IP bytes by the responder.
    pub resp_bytes: u64,
    /// Payload bytes by the originator.
    pub orig_payload: u64,
    /// Payload bytes by the responder.
    pub resp_payload: u64,
    /// Connection attempts (SYNs of one sequence number are one).
    pub attempts: u64,
    /// VLAN stacks it was seen in, `10.20`.
    pub vlans: Vec<String>,
    /// Tunnels it was seen in, outermost first; absent where it was seen only as it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tunnels: Vec<TunnelRecord>,
    /// Packets that were seen in no tunnel, where others were; absent where there are no tunnels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untunnelled_packets: Option<u64>,
    /// ICMP errors about it: `3/13 by 10.0.0.1 x2`.
    pub icmp: Vec<String>,
    /// Its segments that the capturing host's own kernel dropped: `SYN by 10.0.0.1, NETFILTER_DROP x3`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
    /// Processes of the capturing host that opened or accepted it, where its kernel said so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessRecord>,
    /// Warnings about it: `handshake_only`.
    pub warnings: Vec<String>,
    /// Input of the first frame, as given.
    pub input: Arc<str>,
    /// 1-based number of the first frame there.
    pub first_frame: u64,
    /// Observation point; absent where there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observation_point: Option<String>,
    /// The connection it is; absent where only one observation point saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// Wireshark display filter.
    #[schemars(with = "String")]
    pub display_filter: FlowFilter,
}

/// Wireshark display filter for one flow: its two ends and its protocol. In words only where it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowFilter {
    /// Protocol.
    pub proto: Proto,
    /// Both ends, in any order.
    pub ends: [EndPoint; 2],
}

impl FlowFilter {
    /// The filter for a flow.
    pub(crate) const fn of(flow: &Flow) -> Self {
        Self { proto: flow.key.proto, ends: [flow.point(Side::A), flow.point(Side::B)] }
    }
}

impl fmt::Display for FlowFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.ends;
        let ip = ip(a.addr);
        write!(f, "{ip}.addr == {} && {ip}.addr == {} && ", a.addr, b.addr)?;
        match self.proto {
            p @ (Proto::Tcp | Proto::Udp) => write!(f, "{p}.port == {} && {p}.port == {}", a.port, b.port),
            Proto::Icmp => f.write_str("icmp"),
            Proto::Icmp6 => f.write_str("icmpv6"),
            Proto::Other(n) => write!(f, "ip.proto == {n}"),
        }
    }
}

impl Serialize for FlowFilter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
