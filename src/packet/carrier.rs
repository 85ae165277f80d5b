//! What carried a packet: the tunnels that were opened on the way to it.
//!
//! Few packets are tunnelled, so what is known of tunnels is not part of a packet: it is left on a [`Trail`] that the reader
//! of frames owns, and costs a plain packet nothing.

use std::cell::Cell;
use std::hash::BuildHasher as _;
use std::net::IpAddr;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::base::Proto;

/// Encapsulations that are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encapsulation {
    /// IP in IP (RFC 2003, RFC 2473, RFC 4213).
    Ip,
    /// GRE (RFC 2784), bridged frames and PPTP included; over UDP, too (RFC 8086). Its id is the key.
    Gre,
    /// ERSPAN: a switch's mirror session; its id is the session.
    Erspan,
    /// VXLAN (RFC 7348); its id is the network (VNI).
    Vxlan,
    /// GENEVE (RFC 8926); its id is the network (VNI).
    Geneve,
    /// GTP-U (3GPP TS 29.281); its id is the tunnel endpoint (TEID).
    GtpU,
    /// Teredo (RFC 4380).
    Teredo,
    /// Provider backbone bridging (IEEE 802.1ah); its id is the service (I-SID).
    BackboneBridge,
    /// MPLS (RFC 3032).
    Mpls,
    /// PPP over Ethernet (RFC 2516); its id is the session.
    Pppoe,
}

impl Encapsulation {
    /// The name that people use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ip => "IP",
            Self::Gre => "GRE",
            Self::Erspan => "ERSPAN",
            Self::Vxlan => "VXLAN",
            Self::Geneve => "GENEVE",
            Self::GtpU => "GTP-U",
            Self::Teredo => "Teredo",
            Self::BackboneBridge => "802.1ah",
            Self::Mpls => "MPLS",
            Self::Pppoe => "PPPoE",
        }
    }
}

/// One tunnel around a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Carrier {
    /// Which.
    pub encapsulation: Encapsulation,
    /// The network, session or key in its header, where there is one.
    pub id: Option<u32>,
    /// Outer addresses, from and to; none where a link carried it.
    pub ends: Option<(IpAddr, IpAddr)>,
    /// Where the carrier was the first fragment of several: its protocol and identification.
    pub fragment: Option<(Proto, u32)>,
}

/// Carriers kept: as many as tunnels are opened within one another, and what links add.
const KEPT: usize = 8;

/// The tunnels around the packet that was decoded last, the innermost first.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    carriers: [Cell<Option<Carrier>>; KEPT],
    len: Cell<u8>,
}

impl Trail {
    /// Whether the packet came as it is.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len.get() == 0
    }

    /// Forgets the packet.
    pub fn clear(&self) {
        self.len.set(0);
    }

    pub(super) fn push(&self, carrier: Carrier) {
        if let Some(slot) = self.carriers.get(usize::from(self.len.get())) {
            slot.set(Some(carrier));
            self.len.set(self.len.get() + 1);
        }
    }

    /// The carriers with their depths, the outermost first; its depth is 0.
    pub fn iter(&self) -> impl Iterator<Item = (u8, Carrier)> + '_ {
        let kept = self.carriers.get(..usize::from(self.len.get())).unwrap_or(&[]);
        (0..).zip(kept.iter().rev().filter_map(Cell::get))
    }

    /// A number for the encapsulation as a whole, the same for every packet inside it; 0 for none.
    pub fn mark(&self) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let state = FixedState::with_seed(0);
        self.iter().fold(1, |mark, (_, c)| state.hash_one((mark, c.encapsulation, c.id, c.ends)))
    }
}
