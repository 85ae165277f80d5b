//! The way through a frame, layer by layer.
//!
//! The layers are inlined into one another: passing a packet up through them by value took as long as reading it.

use std::borrow::Cow;
use std::net::IpAddr;

use super::ether::{self, Link, ethertype};
use super::ipv4::Ipv4;
use super::ipv6::{self, Ipv6};
use super::issue::{Issue, Layer};
use super::mpls::{self, Below};
use super::{Body, Packet, Vlans, icmp, null, ppp, sll, tcp, udp};
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
type Inner<'a> = Result<(Option<Packet<'a>>, Option<Issue>), Issue>;

/// Numbers of protocols that carry other packets.
mod number {
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const ESP: u8 = 50;
}

/// Reads a frame's headers. Never fails: what is wrong is in [`Decoded::issue`].
pub fn decode<'a>(frame: &Frame<'a>) -> Decoded<'a> {
    let layer = Layer::new(frame.data, frame.original_len);
    let (mut device, mut outgoing) = (None, None);
    let inner = match frame.link {
        LinkType::ETHERNET => ether::ethernet(layer).and_then(|l| through_link(&l)),
        LinkType::SLL | LinkType::SLL2 => {
            let cooked = if frame.link == LinkType::SLL { sll::v1(layer) } else { sll::v2(layer) };
            cooked.and_then(|c| {
                (device, outgoing) = (c.device, Some(c.outgoing));
                through_link(&c.link)
            })
        }
        LinkType::NULL | LinkType::LOOP => null::parse(layer).and_then(|l| through_link(&l)),
        LinkType::RAW | LinkType::RAW_12 | LinkType::RAW_14 => raw_ip(layer),
        LinkType::PPP => ppp::framed(layer).and_then(|l| through_link(&l)),
        LinkType::IPV4 => ipv4(layer, Vlans::default(), false),
        LinkType::IPV6 => ipv6(layer, Vlans::default(), false),
        other => serial(other, layer).and_then(|(l, sent)| {
            outgoing = sent;
            through_link(&l)
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
fn through_link<'a>(link: &Link<'a>) -> Inner<'a> {
    let mut vlans = Vlans::default();
    let (ethertype, rest, issue) = match link.ethertype {
        // Most frames: no tags.
        t @ (ethertype::IPV4 | ethertype::IPV6) => (t, link.payload, None),
        _ => ether::unwrap(link, &mut vlans)?,
    };
    let (packet, inner) = match ethertype {
        ethertype::IPV4 => ipv4(rest, vlans, link.group)?,
        ethertype::IPV6 => ipv6(rest, vlans, link.group)?,
        other => carried(other, rest, vlans, link.group)?,
    };
    Ok((packet, inner.or(issue)))
}

/// What is neither IP nor a tag: what carries IP in a header of its own, or something else.
#[inline(never)]
fn carried(ethertype: u16, rest: Layer<'_>, vlans: Vlans, group: bool) -> Inner<'_> {
    match ethertype {
        ethertype::MPLS | ethertype::MPLS_MULTICAST => labelled(rest, vlans, group),
        ethertype::PPPOE => {
            let (link, issue) = ppp::session(rest)?;
            let (packet, inner) = match link.ethertype {
                ethertype::IPV4 => ipv4(link.payload, vlans, group)?,
                ethertype::IPV6 => ipv6(link.payload, vlans, group)?,
                ethertype::MPLS | ethertype::MPLS_MULTICAST => labelled(link.payload, vlans, group)?,
                _ => (None, None),
            };
            Ok((packet, inner.or(issue)))
        }
        other => Ok((None, ether::undecoded(other))),
    }
}

fn labelled(stack: Layer<'_>, vlans: Vlans, group: bool) -> Inner<'_> {
    match mpls::below(stack)? {
        Below::V4(packet) => ipv4(packet, vlans, group),
        Below::V6(packet) => ipv6(packet, vlans, group),
    }
}

fn raw_ip(layer: Layer<'_>) -> Inner<'_> {
    let &[first] = layer.header("raw IP")?;
    match first >> 4 {
        4 => ipv4(layer, Vlans::default(), false),
        6 => ipv6(layer, Vlans::default(), false),
        _ => Err(Issue::malformed("IP version")),
    }
}

#[inline(always)]
fn ipv4(layer: Layer<'_>, vlans: Vlans, group: bool) -> Inner<'_> {
    let (ip, length) = Ipv4::parse(layer)?;
    let (id, protocol) = (u32::from(ip.id()), ip.protocol());
    let (body, inner) = if ip.is_later_fragment() {
        (Body::LaterFragment { proto: Proto::from_number(protocol), id }, None)
    } else {
        let first_fragment = ip.more_fragments().then_some(id);
        if protocol == number::AUTHENTICATION {
            after_extensions(ipv6::follow(protocol, ip.payload), first_fragment)
        } else {
            transport(protocol, ip.payload, first_fragment)
        }
    };
    let dst = ip.dst();
    let packet = Packet {
        vlans,
        src: IpAddr::V4(ip.src()),
        dst: IpAddr::V4(dst),
        ttl: ip.ttl(),
        id: ip.id(),
        ip_bytes: ip.len,
        group: group || dst.is_multicast() || dst.is_broadcast(),
        body,
    };
    Ok((Some(packet), inner.or(length)))
}

#[inline(always)]
fn ipv6(layer: Layer<'_>, vlans: Vlans, group: bool) -> Inner<'_> {
    let (ip, length) = Ipv6::parse(layer)?;
    let (body, inner) = after_extensions(ip.upper(), None);
    let dst = ip.dst();
    let packet = Packet {
        vlans,
        src: IpAddr::V6(ip.src()),
        dst: IpAddr::V6(dst),
        ttl: ip.hop_limit(),
        id: 0,
        ip_bytes: ip.len,
        group: group || dst.is_multicast(),
        body,
    };
    Ok((Some(packet), inner.or(length)))
}

#[inline(always)]
fn after_extensions(upper: ipv6::Upper<'_>, first_fragment: Option<u32>) -> (Body<'_>, Option<Issue>) {
    let proto = Proto::from_number(upper.protocol);
    match (upper.issue, upper.fragment) {
        (Some(issue), _) => (Body::Other(proto), Some(issue)),
        (None, Some(f)) if !f.first => (Body::LaterFragment { proto, id: f.id }, None),
        (None, f) => transport(upper.protocol, upper.payload, f.map(|f| f.id).or(first_fragment)),
    }
}

#[inline(always)]
fn transport(protocol: u8, layer: Layer<'_>, first_fragment: Option<u32>) -> (Body<'_>, Option<Issue>) {
    let proto = Proto::from_number(protocol);
    let result = match proto {
        Proto::Tcp => tcp::parse(layer, first_fragment).map(|t| (Body::Tcp(t), None)),
        Proto::Udp => udp::parse(layer, first_fragment).map(|(u, issue)| (Body::Udp(u), issue)),
        Proto::Icmp => icmp::parse(layer, false).map(|i| (Body::Icmp(i), None)),
        Proto::Icmp6 => icmp::parse(layer, true).map(|i| (Body::Icmp(i), None)),
        Proto::Other(_) => Ok((Body::Other(proto), carrier(protocol))),
    };
    result.unwrap_or_else(|issue| (Body::Other(proto), Some(issue)))
}

/// The issue of an IP protocol that carries other packets; `None` for those that carry their own.
fn carrier(protocol: u8) -> Option<Issue> {
    let name = match protocol {
        number::ESP => return Some(Issue::new(ProblemKind::Opaque, "ESP")),
        4 => "IPv4 in IP",
        41 => "IPv6 in IP",
        47 => "GRE",
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
