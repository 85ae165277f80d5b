//! Protocols, ports and sets of addresses.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use hashbrown::HashSet;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An IP protocol number (IANA "Assigned Internet Protocol Numbers").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proto {
    /// 6
    Tcp,
    /// 17
    Udp,
    /// 1
    Icmp,
    /// 58
    Icmp6,
    /// Any other number; only ever counted.
    Other(u8),
}

impl Proto {
    /// The protocol number in an IP header.
    #[inline]
    pub const fn number(self) -> u8 {
        match self {
            Self::Icmp => 1,
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Icmp6 => 58,
            Self::Other(n) => n,
        }
    }

    /// The protocol of a number.
    pub const fn from_number(n: u8) -> Self {
        match n {
            1 => Self::Icmp,
            6 => Self::Tcp,
            17 => Self::Udp,
            58 => Self::Icmp6,
            n => Self::Other(n),
        }
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
            Self::Udp => f.write_str("udp"),
            Self::Icmp => f.write_str("icmp"),
            Self::Icmp6 => f.write_str("icmp6"),
            Self::Other(n) => write!(f, "ip-{n}"),
        }
    }
}

impl Serialize for Proto {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Proto {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let s = String::deserialize(deserializer)?;
        match s.as_str() {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "icmp" => Ok(Self::Icmp),
            "icmp6" => Ok(Self::Icmp6),
            other => other
                .strip_prefix("ip-")
                .and_then(|n| n.parse().ok())
                .map(Self::from_number)
                .ok_or_else(|| serde::de::Error::custom(format!("'{other}' is no IP protocol"))),
        }
    }
}

impl schemars::JsonSchema for Proto {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Proto".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "pattern": "^(tcp|udp|icmp|icmp6|ip-[0-9]+)$"
        })
    }
}

/// An inclusive range of ports; one port where both ends are equal. Never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    lo: u16,
    hi: u16,
}

impl PortRange {
    /// `None` where `lo > hi`.
    pub const fn new(lo: u16, hi: u16) -> Option<Self> {
        if lo <= hi { Some(Self { lo, hi }) } else { None }
    }
    /// A single port.
    pub const fn one(port: u16) -> Self {
        Self { lo: port, hi: port }
    }
    /// First port.
    pub const fn lo(self) -> u16 {
        self.lo
    }
    /// Last port, inclusive.
    pub const fn hi(self) -> u16 {
        self.hi
    }
    /// Whether `port` lies inside.
    pub const fn contains(self, port: u16) -> bool {
        self.lo <= port && port <= self.hi
    }
    /// Whether the two share a port.
    pub const fn overlaps(self, other: Self) -> bool {
        self.lo <= other.hi && other.lo <= self.hi
    }
    /// How many ports.
    pub const fn count(self) -> u32 {
        self.hi as u32 - self.lo as u32 + 1
    }
    /// Whether it is exactly one port.
    pub const fn is_single(self) -> bool {
        self.lo == self.hi
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() { write!(f, "{}", self.lo) } else { write!(f, "{}-{}", self.lo, self.hi) }
    }
}

/// A protocol and the ports it is offered on: `tcp/22`, `tcp/3260-3270`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// TCP or UDP.
    pub proto: Proto,
    /// The responder's ports.
    pub ports: PortRange,
}

impl Service {
    /// Parses `tcp/22`, `udp/53`, `tcp/3260-3270`; the error says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a service; expected tcp/PORT, udp/PORT or tcp/FIRST-LAST");
        let (proto, ports) = text.split_once('/').ok_or_else(wrong)?;
        let proto = match proto {
            "tcp" => Proto::Tcp,
            "udp" => Proto::Udp,
            _ => return Err(wrong()),
        };
        let (lo, hi) = ports.split_once('-').unwrap_or((ports, ports));
        let (lo, hi) = (lo.parse().map_err(|_| wrong())?, hi.parse().map_err(|_| wrong())?);
        if lo == 0 {
            return Err(format!("'{text}': port 0 names no service"));
        }
        let ports =
            PortRange::new(lo, hi).ok_or_else(|| format!("'{text}': the range is empty, {lo} is above {hi}"))?;
        Ok(Self { proto, ports })
    }

    /// Whether a responder's protocol and port belong to it.
    pub fn contains(self, proto: Proto, port: u16) -> bool {
        self.proto == proto && self.ports.contains(port)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.proto, self.ports)
    }
}

impl Serialize for Service {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Services a flow may be oriented by. Plain data for the left side: it says nothing of roles or rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortSet(BTreeSet<Service>);

impl PortSet {
    /// No service: flows are then never oriented by port.
    pub const fn none() -> Self {
        Self(BTreeSet::new())
    }
    /// Adds a service.
    pub fn insert(&mut self, service: Service) {
        self.0.insert(service);
    }
    /// Whether some service has this protocol and port.
    pub fn contains(&self, proto: Proto, port: u16) -> bool {
        self.0.iter().any(|s| s.contains(proto, port))
    }
}

/// A set of addresses, opaque to the left side (eviction order, capture filters).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddrSet {
    addrs: HashSet<IpAddr, RandomState>,
    nets: Vec<IpNet>,
}

impl AddrSet {
    /// No address.
    pub fn none() -> Self {
        Self::default()
    }
    /// Adds one address.
    pub fn insert(&mut self, addr: IpAddr) {
        self.addrs.insert(addr);
    }
    /// Adds a block of addresses.
    pub fn insert_net(&mut self, net: IpNet) {
        self.nets.push(net);
    }
    /// Whether an address is inside.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.addrs.contains(&addr) || self.nets.iter().any(|n| n.contains(&addr))
    }
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.addrs.is_empty() && self.nets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_parse_and_say_what_is_wrong() {
        assert_eq!(Service::parse("tcp/3260-3270").unwrap().to_string(), "tcp/3260-3270");
        for bad in ["tcp", "tcp/", "sctp/5", "tcp/70000", "tcp/5-3", "tcp/0", "tcp/1-2-3"] {
            assert!(Service::parse(bad).unwrap_err().contains(bad), "{bad}");
        }
    }
}
