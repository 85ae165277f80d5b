//! Names of link types (tcpdump.org "Link-Layer Header Types").

use std::borrow::Cow;

use super::frame::LinkType;

impl LinkType {
    /// BSD loopback, family in the byte order of the capturing host.
    pub const NULL: Self = Self(0);
    /// IEEE 802.3 Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// OpenBSD loopback, family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Raw IP.
    pub const RAW: Self = Self(101);
    /// Raw IP in files of some BSDs, which wrote their own number.
    pub const RAW_12: Self = Self(12);
    /// Raw IP in files of OpenBSD.
    pub const RAW_14: Self = Self(14);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// PPP, with or without HDLC-like framing.
    pub const PPP: Self = Self(9);
    /// PPP in HDLC-like framing, or Cisco HDLC.
    pub const PPP_HDLC: Self = Self(50);
    /// PPPoE, from its header on.
    pub const PPPOE: Self = Self(51);
    /// Cisco HDLC.
    pub const CISCO_HDLC: Self = Self(104);
    /// PPP as Linux' pppd writes it: the direction in place of the address.
    pub const PPP_PPPD: Self = Self(166);
    /// PPP behind an octet that tells the direction.
    pub const PPP_DIRECTED: Self = Self(204);
    /// MPLS, from the first label on.
    pub const MPLS: Self = Self(219);
    /// Linux cooked capture.
    pub const SLL: Self = Self(113);
    /// Linux cooked capture, version 2.
    pub const SLL2: Self = Self(276);
}

/// The name of a link type, or "link type N".
pub fn link_name(link: LinkType) -> Cow<'static, str> {
    let name = match link.0 {
        0 => "BSD loopback",
        1 => "Ethernet",
        6 => "Token Ring",
        7 => "ARCNET",
        8 => "SLIP",
        9 => "PPP",
        10 => "FDDI",
        12 | 14 | 101 => "raw IP",
        50 => "PPP in HDLC framing",
        51 => "PPPoE",
        100 => "LLC/SNAP over ATM",
        104 => "Cisco HDLC",
        105 => "IEEE 802.11",
        107 => "Frame Relay",
        108 => "OpenBSD loopback",
        109 => "OpenBSD IPsec",
        113 => "Linux cooked",
        114 => "LocalTalk",
        117 => "OpenBSD pf log",
        119 => "IEEE 802.11 with Prism header",
        122 => "IP over Fibre Channel",
        127 => "IEEE 802.11 with radiotap header",
        138 => "IP over FireWire",
        147..=162 => return Cow::Owned(format!("user-defined link type {}", link.0 - 147)),
        163 => "IEEE 802.11 with AVS header",
        166 => "Linux PPP with direction",
        189 => "Linux USB",
        192 => "PPI",
        195 => "IEEE 802.15.4",
        204 => "PPP with direction",
        205 => "Cisco HDLC with direction",
        206 => "Frame Relay with direction",
        219 => "MPLS",
        220 => "Linux USB, padded",
        224 => "Fibre Channel",
        227 => "SocketCAN",
        228 => "raw IPv4",
        229 => "raw IPv6",
        231 => "D-Bus",
        239 => "NFLOG",
        240 => "NetAnalyzer Ethernet",
        242 => "IP over InfiniBand",
        247 => "InfiniBand",
        249 => "USBPcap",
        251 => "Bluetooth LE",
        252 => "Wireshark upper PDU",
        253 => "Netlink",
        271 => "Linux vsock",
        274 => "Ethernet with preamble",
        276 => "Linux cooked v2",
        n => return Cow::Owned(format!("link type {n}")),
    };
    Cow::Borrowed(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_name() {
        assert_eq!(link_name(LinkType(276)), "Linux cooked v2");
        assert_eq!(link_name(LinkType(160)), "user-defined link type 13");
        assert_eq!(link_name(LinkType(65000)), "link type 65000");
    }
}
