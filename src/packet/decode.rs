//! The way through a frame, layer by layer.
//!
//! The layers are inlined into one another: passing a packet up through them by value took as long as reading it.

use std::borrow::Cow;
use std::net::IpAddr;

use super::ether::{self, Link, ethertype};
use super::ipv4::Ipv4;
use super::ipv6::{self, Ipv6};
use super::issue::{Issue, Layer, be16};
use super::mpls::{self, Below};
use super::tunnel::Name;
use super::{Body, Carrier, Encapsulation, Packet, Trail, Udp, Vlans};
use super::{gre, icmp, ipip, null, pbb, ppp, sll, tcp, tunnel, udp};
use crate::base::{ProblemKind, Proto};
use crate::capture::{Frame, LinkType, link_name};

/// What became of a frame. A packet may be there and still have an issue; a frame with neither is not IP, which is
/// normal (ARP, spanning tree, ...) and only counted.
#[derive(Clone, Debug, Default)]
pub struct Decoded<'a> {
    /// The IP packet.
    pub packet: Option<Packet<'a>>,
    /// What was not understood. Where there are several, the innermost.
    pub issue: Option<Issue>,
    /// Interface index of the capturing host, where the link layer tells it (Linux cooked v2).
    pub device: Option<u32>,
    /// Whether the capturing host sent the frame, where the link layer tells it (Linux cooked, PPP with direction).
    pub outgoing: Option<bool>,
}

impl Decoded<'_> {
    /// Whether the frame carries something other than IP that hosts' traffic does not hide in.
    pub const fn is_not_ip(&self) -> bool {
        self.packet.is_none() && self.issue.is_none()
    }
}

/// The outcome of one layer and all inside it.
type Inner<'a> = Result<Found<'a>, Issue>;
type Found<'a> = (Option<Packet<'a>>, Option<Issue>);

/// Tunnels within one another, at most.
const MAX_TUNNELS: u8 = 8;
/// A datagram's greatest length (RFC 791): as long may be what the first fragment begins.
const MAX_DATAGRAM: u32 = 65_535;

/// What is known from the layers around.
#[derive(Clone, Copy)]
struct Around<'t> {
    vlans: Vlans,
    group: bool,
    tunnels: u8,
    trail: &'t Trail,
}

impl<'t> Around<'t> {
    const fn none(trail: &'t Trail) -> Self {
        Self { vlans: Vlans::NONE, group: false, tunnels: 0, trail }
    }

    /// A link carried the packet, where there is one.
    #[cold]
    fn carried(self, encapsulation: Encapsulation, id: Option<u32>, found: Found<'_>) -> Found<'_> {
        if found.0.is_some() {
            self.trail.push(Carrier { encapsulation, id, ends: None, fragment: None });
        }
        found
    }

    /// As seen by a tunnel's contents: the tags stay, whom the outer frame was sent to does not matter.
    fn deeper(self) -> Result<Self, Issue> {
        if self.tunnels >= MAX_TUNNELS {
            return Err(Issue::new(ProblemKind::TooDeep, "tunnels"));
        }
        Ok(Self { group: false, tunnels: self.tunnels + 1, ..self })
    }
}

/// Numbers of protocols that carry other packets.
mod number {
    pub(super) const IPV4: u8 = 4;
    pub(super) const IPV6: u8 = 41;
    pub(super) const GRE: u8 = 47;
    pub(super) const ESP: u8 = 50;
    pub(super) const AUTHENTICATION: u8 = 51;
}

/// Reads a frame's headers. Never fails: what is wrong is in [`Decoded::issue`].
pub fn decode<'a>(frame: &Frame<'a>) -> Decoded<'a> {
    decode_along(frame, &Trail::default())
}

/// As [`decode`], and leaves the tunnels around the packet on the trail, which must be clear.
pub fn decode_along<'a>(frame: &Frame<'a>, trail: &Trail) -> Decoded<'a> {
    let none = Around::none(trail);
    let layer = Layer::new(frame.data, frame.original_len);
    let (mut device, mut outgoing) = (None, None);
    let inner = match frame.link {
        LinkType::ETHERNET => ether::ethernet(layer).and_then(|l| through_link(&l, none)),
        LinkType::SLL | LinkType::SLL2 => {
            let cooked = if frame.link == LinkType::SLL { sll::v1(layer) } else { sll::v2(layer) };
            cooked.and_then(|c| {
                (device, outgoing) = (c.device, Some(c.outgoing));
                through_link(&c.link, none)
            })
        }
        LinkType::NULL | LinkType::LOOP => null::parse(layer).and_then(|l| through_link(&l, none)),
        LinkType::RAW | LinkType::RAW_12 | LinkType::RAW_14 => raw_ip(layer, none),
        LinkType::PPP => ppp::framed(layer).and_then(|l| through_link(&l, none)),
        LinkType::IPV4 => ipv4(layer, none),
        LinkType::IPV6 => ipv6(layer, none),
        other => serial(other, layer).and_then(|(l, sent)| {
            outgoing = sent;
            through_link(&l, none)
        }),
    };
    let (packet, issue) = inner.unwrap_or_else(|issue| (None, Some(issue)));
    Decoded { packet, issue, device, outgoing }
}

/// Reads the header of links that few captures have: serial lines and label switching. The second value is whether the
/// capturing host sent the frame.
#[inline(never)]
fn serial(link: LinkType, layer: Layer<'_>) -> Result<(Link<'_>, Option<bool>), Issue> {
    let plain = |ethertype| Link { group: false, ethertype, payload: layer };
    Ok(match link {
        LinkType::PPP_HDLC => (ppp::serial(layer)?, None),
        LinkType::CISCO_HDLC => (ppp::cisco(layer)?, None),
        LinkType::PPP_PPPD => ppp::pppd(layer)?,
        LinkType::PPP_DIRECTED => ppp::directed(layer).map(|(l, sent)| (l, Some(sent)))?,
        LinkType::PPPOE => (plain(ethertype::PPPOE), None),
        LinkType::MPLS => (plain(ethertype::MPLS), None),
        other => return Err(unsupported(other)),
    })
}

#[cold]
fn unsupported(link: LinkType) -> Issue {
    Issue { kind: ProblemKind::UnsupportedLinkType, detail: link_name(link) }
}

#[inline(always)]
fn through_link<'a>(link: &Link<'a>, mut around: Around<'_>) -> Inner<'a> {
    around.group |= link.group;
    let (ethertype, rest, issue) = match link.ethertype {
        // Most frames: no tags.
        t @ (ethertype::IPV4 | ethertype::IPV6) => (t, link.payload, None),
        _ => ether::unwrap(link, &mut around.vlans)?,
    };
    let (packet, inner) = match ethertype {
        ethertype::IPV4 => ipv4(rest, around)?,
        ethertype::IPV6 => ipv6(rest, around)?,
        other => carried(other, rest, around)?,
    };
    Ok((packet, inner.or(issue)))
}

/// What is neither IP nor a tag: what carries IP in a header of its own, or something else.
#[inline(never)]
fn carried<'a>(ethertype: u16, rest: Layer<'a>, around: Around<'_>) -> Inner<'a> {
    match ethertype {
        ethertype::MPLS | ethertype::MPLS_MULTICAST => labelled(rest, around),
        ethertype::PPPOE => {
            let (link, issue) = ppp::session(rest)?;
            let (packet, inner) = match link.ethertype {
                ethertype::IPV4 => ipv4(link.payload, around)?,
                ethertype::IPV6 => ipv6(link.payload, around)?,
                ethertype::MPLS | ethertype::MPLS_MULTICAST => labelled(link.payload, around)?,
                _ => (None, None),
            };
            Ok(around.carried(Encapsulation::Pppoe, ppp::session_id(rest), (packet, inner.or(issue))))
        }
        ethertype::BACKBONE => {
            let (link, service) = pbb::parse(rest)?;
            Ok(around.carried(Encapsulation::BackboneBridge, Some(service), inside(&link, around)?))
        }
        other => Ok((None, ether::undecoded(other))),
    }
}

fn labelled<'a>(stack: Layer<'a>, around: Around<'_>) -> Inner<'a> {
    let found = match mpls::below(stack)? {
        Below::V4(packet) => ipv4(packet, around)?,
        Below::V6(packet) => ipv6(packet, around)?,
    };
    Ok(around.carried(Encapsulation::Mpls, None, found))
}

/// What a tunnel's header led to.
#[inline(never)]
fn inside<'a>(link: &Link<'a>, around: Around<'_>) -> Inner<'a> {
    through_link(link, around.deeper()?)
}

/// The packet in an IP protocol that carries others, and the tunnel's name; an issue where it cannot be read.
#[cold]
fn ip_tunnel<'a>(
    protocol: u8,
    layer: Layer<'a>,
    fragment: bool,
    around: Around<'_>,
) -> Result<(Found<'a>, Name), Issue> {
    // A fragment's inner packet is longer than it: the inner header tells how long.
    let layer = if fragment { Layer::new(layer.data, MAX_DATAGRAM) } else { layer };
    let (link, name) = match protocol {
        number::IPV4 | number::IPV6 => (ipip::parse(protocol == number::IPV6, layer)?, (Encapsulation::Ip, None)),
        _ => (gre::parse(layer)?, gre::name(layer)),
    };
    match inside(&link, around)? {
        (None, Some(issue)) => Err(issue),
        // Type 0: the tunnel's own messages.
        (None, None) if link.ethertype != 0 && !tunnel::is_plausible(&link) => {
            Err(Issue::new(ProblemKind::Undecoded, "GRE with other than IP inside"))
        }
        found => Ok((found, name)),
    }
}

/// The packet in a UDP datagram whose ports are a tunnel's, and the tunnel's name; `Ok(None)` where the datagram is anything
/// else.
#[cold]
fn udp_tunnel<'a>(u: &Udp<'a>, header: Layer<'a>, around: Around<'_>) -> Result<Option<(Found<'a>, Name)>, Issue> {
    // A first fragment's length field counts the whole datagram.
    let whole =
        be16(header.data, 4).filter(|_| u.first_fragment.is_some()).map_or(0, |n| u32::from(n).saturating_sub(8));
    let payload = Layer::new(u.payload, u.payload_len.max(whole));
    let Some((link, name)) = tunnel::over_udp(u.src_port, u.dst_port, payload) else { return Ok(None) };
    match inside(&link, around) {
        Ok((None, None)) => Ok(tunnel::is_plausible(&link).then_some(((None, None), name))),
        Ok((None, Some(_))) => Ok(None),
        Ok(found) => Ok(Some((found, name))),
        Err(issue) if matches!(issue.kind, ProblemKind::PacketTruncated | ProblemKind::TooDeep) => Err(issue),
        Err(_) => Ok(None),
    }
}

fn raw_ip<'a>(layer: Layer<'a>, around: Around<'_>) -> Inner<'a> {
    let &[first] = layer.header("raw IP")?;
    match first >> 4 {
        4 => ipv4(layer, around),
        6 => ipv6(layer, around),
        _ => Err(Issue::malformed("IP version")),
    }
}

#[inline(always)]
fn ipv4<'a>(layer: Layer<'a>, around: Around<'_>) -> Inner<'a> {
    let (ip, length) = Ipv4::parse(layer)?;
    let (id, protocol) = (u32::from(ip.id()), ip.protocol());
    let carried = if ip.is_later_fragment() {
        Carried::Body(Body::LaterFragment { proto: Proto::from_number(protocol), id }, None)
    } else {
        let first_fragment = ip.more_fragments().then_some(id);
        if protocol == number::AUTHENTICATION {
            after_extensions(ipv6::follow(protocol, ip.payload), first_fragment, around)
        } else {
            transport(protocol, ip.payload, first_fragment, around)
        }
    };
    let (body, inner) = match carried {
        Carried::Body(body, issue) => (body, issue),
        Carried::Tunnel(opened) => return opened.along(around, ip.src().into(), ip.dst().into(), length),
    };
    let dst = ip.dst();
    let packet = Packet {
        vlans: around.vlans,
        src: IpAddr::V4(ip.src()),
        dst: IpAddr::V4(dst),
        ttl: ip.ttl(),
        id: ip.id(),
        ip_bytes: ip.len,
        group: around.group || dst.is_multicast() || dst.is_broadcast(),
        body,
    };
    Ok((Some(packet), inner.or(length)))
}

#[inline(always)]
fn ipv6<'a>(layer: Layer<'a>, around: Around<'_>) -> Inner<'a> {
    let (ip, length) = Ipv6::parse(layer)?;
    let (body, inner) = match after_extensions(ip.upper(), None, around) {
        Carried::Body(body, issue) => (body, issue),
        Carried::Tunnel(opened) => return opened.along(around, ip.src().into(), ip.dst().into(), length),
    };
    let dst = ip.dst();
    let packet = Packet {
        vlans: around.vlans,
        src: IpAddr::V6(ip.src()),
        dst: IpAddr::V6(dst),
        ttl: ip.hop_limit(),
        id: 0,
        ip_bytes: ip.len,
        group: around.group || dst.is_multicast(),
        body,
    };
    Ok((Some(packet), inner.or(length)))
}

/// What an IP packet carries: something of its own, or another packet that takes its place.
enum Carried<'a> {
    Body(Body<'a>, Option<Issue>),
    Tunnel(Opened<'a>),
}

/// What a tunnel held.
struct Opened<'a> {
    found: Found<'a>,
    name: Name,
    /// Protocol and identification of a carrier that is the first fragment of several.
    fragment: Option<(Proto, u32)>,
}

impl<'a> Opened<'a> {
    /// Notes the carrier of the packet inside; `length` is what was wrong with the carrier.
    #[cold]
    fn along(self, around: Around<'_>, src: IpAddr, dst: IpAddr, length: Option<Issue>) -> Inner<'a> {
        let ((packet, issue), (encapsulation, id)) = (self.found, self.name);
        if packet.is_some() {
            around.trail.push(Carrier { encapsulation, id, ends: Some((src, dst)), fragment: self.fragment });
        }
        Ok((packet, issue.or(length)))
    }
}

#[inline(always)]
fn after_extensions<'a>(upper: ipv6::Upper<'a>, first_fragment: Option<u32>, around: Around<'_>) -> Carried<'a> {
    let proto = Proto::from_number(upper.protocol);
    match (upper.issue, upper.fragment) {
        (Some(issue), _) => Carried::Body(Body::Other(proto), Some(issue)),
        (None, Some(f)) if !f.first => Carried::Body(Body::LaterFragment { proto, id: f.id }, None),
        (None, f) => transport(upper.protocol, upper.payload, f.map(|f| f.id).or(first_fragment), around),
    }
}

#[inline(always)]
fn transport<'a>(protocol: u8, layer: Layer<'a>, first_fragment: Option<u32>, around: Around<'_>) -> Carried<'a> {
    let proto = Proto::from_number(protocol);
    let tunnel = |found, name| Carried::Tunnel(Opened { found, name, fragment: first_fragment.map(|id| (proto, id)) });
    let result = match proto {
        Proto::Tcp => tcp::parse(layer, first_fragment).map(|t| (Body::Tcp(t), None)),
        Proto::Udp => match udp::parse(layer, first_fragment) {
            Ok((u, issue)) if tunnel::may_be(u.src_port, u.dst_port) => match udp_tunnel(&u, layer, around) {
                Ok(Some(((packet, inner), name))) => return tunnel((packet, inner.or(issue)), name),
                Ok(None) => Ok((Body::Udp(u), issue)),
                Err(inner) => Ok((Body::Udp(u), Some(inner))),
            },
            other => other.map(|(u, issue)| (Body::Udp(u), issue)),
        },
        Proto::Icmp => icmp::parse(layer, false).map(|i| (Body::Icmp(i), icmp::cut(&i, layer))),
        Proto::Icmp6 => icmp::parse(layer, true).map(|i| (Body::Icmp(i), icmp::cut(&i, layer))),
        Proto::Other(number::IPV4 | number::IPV6 | number::GRE) => {
            match ip_tunnel(protocol, layer, first_fragment.is_some(), around) {
                Ok((found, name)) => return tunnel(found, name),
                Err(issue) => Err(issue),
            }
        }
        Proto::Other(_) => Ok((Body::Other(proto), carrier(protocol))),
    };
    match result {
        Ok((body, issue)) => Carried::Body(body, issue),
        Err(issue) => Carried::Body(Body::Other(proto), Some(issue)),
    }
}

/// The issue of an IP protocol that carries other packets; `None` for those that carry their own.
fn carrier(protocol: u8) -> Option<Issue> {
    let name = match protocol {
        number::ESP => return Some(Issue::new(ProblemKind::Opaque, "ESP")),
        55 => "minimal encapsulation",
        94 => "IP in IP (IPIP)",
        97 => "Ethernet in IP",
        98 => "encapsulation header",
        115 => "L2TPv3",
        137 => "MPLS in IP",
        143 => "Ethernet (SRv6)",
        _ => return None,
    };
    Some(Issue { kind: ProblemKind::Undecoded, detail: Cow::Borrowed(name) })
}
