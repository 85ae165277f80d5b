//! Tunnels that one sender's packets were seen in: few flows have any, and those that have, few.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::packet::{Encapsulation, Trail};

use super::row::{Cursor, Row};

/// A tunnel that an end's packets were seen in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Tunnel {
    /// Tunnels around this one: 0 for the outermost.
    pub depth: u8,
    /// Which.
    pub encapsulation: Encapsulation,
    /// The network, session or key in its header.
    pub id: Option<u32>,
    /// Outer addresses, from and to; none where a link carried it.
    pub ends: Option<(IpAddr, IpAddr)>,
    /// Packets of this end in it.
    pub packets: u64,
}

impl Tunnel {
    /// Tunnels kept per end.
    pub const KEPT: usize = 8;

    fn is(&self, o: &Self) -> bool {
        self.cmp_name(o).is_eq()
    }

    fn cmp_name(&self, o: &Self) -> std::cmp::Ordering {
        let name = |t: &Self| (t.depth, t.encapsulation, t.id, t.ends);
        name(self).cmp(&name(o))
    }
}

/// At most [`Tunnel::KEPT`] of them, sorted: the lowest of those seen, which are the same however the packets are grouped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tunnels(Option<Box<Rows>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rows(Vec<Tunnel>);

impl Tunnels {
    /// A packet came along this trail.
    #[cold]
    pub(crate) fn add(&mut self, trail: &Trail) {
        for (depth, c) in trail.iter() {
            self.insert(Tunnel { depth, encapsulation: c.encapsulation, id: c.id, ends: c.ends, packets: 1 });
        }
    }

    fn insert(&mut self, new: Tunnel) {
        let Rows(rows) = &mut **self.0.get_or_insert_default();
        let at = rows.partition_point(|t| t.cmp_name(&new).is_lt());
        match rows.get_mut(at).filter(|t| t.is(&new)) {
            Some(known) => known.packets = known.packets.saturating_add(new.packets),
            None => rows.insert(at, new),
        }
        rows.truncate(Tunnel::KEPT);
    }

    /// Takes in those of other packets.
    pub(crate) fn merge(&mut self, other: &Self) {
        other.0.iter().flat_map(|r| &r.0).for_each(|t| self.insert(*t));
    }

    pub(crate) fn write(&self, row: &mut Row) {
        let rows = self.0.as_ref().map_or(&[][..], |r| r.0.as_slice());
        row.len(rows.len());
        rows.iter().for_each(|t| row.tunnel(*t));
    }

    pub(crate) fn read(from: &mut Cursor<'_>) -> Option<Self> {
        let mut all = Self::default();
        for _ in 0..from.len(Tunnel::KEPT)? {
            all.insert(from.tunnel()?);
        }
        Some(all)
    }

    /// All of them.
    pub(crate) fn to_vec(&self) -> Vec<Tunnel> {
        self.0.as_ref().map_or_else(Vec::new, |r| r.0.clone())
    }
}
