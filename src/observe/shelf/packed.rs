//! Rows as bytes: what a saved observation holds of tuples, in a fifteenth of the room that flows in pieces take.
//!
//! Integers are variable-length, seven bits a byte, the lowest first, signs folded into the lowest bit. What payload told and
//! tunnels, which few rows have, are JSON. A row that was saved begins with sums of what its tuple is if no other stretch
//! knows more: most tuples lie in one file and are only counted, and for those nothing else is unpacked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::base::Proto;
use crate::flow::{EndPoint, FlowKey, Side, Tables};

/// The row before it is of the same tuple and goes on here.
const CONTINUES: u8 = 1;
/// It begins with sums.
const SUMMED: u8 = 2;
/// Its ends are IPv6 addresses, the lower one and the higher one.
const V6: [u8; 2] = [4, 8];
/// In memory alone: its flows will be held as flows.
const HELD: u8 = 128;

/// A row's place.
#[derive(Clone, Copy, Debug)]
pub(in crate::observe) struct RowAt {
    pub(in crate::observe) key: FlowKey,
    flags: u8,
    from: u32,
    len: u32,
}

impl RowAt {
    /// Whether it continues the row before it.
    pub(in crate::observe) const fn continues(&self) -> bool {
        self.flags & CONTINUES != 0
    }

    /// Whether its flows will be held as flows.
    pub(in crate::observe) const fn held(&self) -> bool {
        self.flags & HELD != 0
    }

    /// Bytes of the row itself.
    pub(in crate::observe) const fn packed_len(&self) -> u32 {
        self.len
    }

    /// Bytes it takes.
    pub(in crate::observe) const fn size(&self) -> u64 {
        size_of::<Self>() as u64 + self.len as u64
    }
}

/// What the flows of a tuple amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::observe) struct Alone {
    pub(in crate::observe) flows: u64,
    /// Packets, those to groups left out.
    pub(in crate::observe) packets: u64,
    /// Bytes acknowledged and never seen, where both directions were captured.
    pub(in crate::observe) unseen: u64,
}

/// Rows, in order.
#[derive(Clone, Debug, Default)]
pub(in crate::observe) struct Packed {
    bytes: Vec<u8>,
    rows: Vec<RowAt>,
}

impl Packed {
    /// Adds a row, which may continue the one before and may be of flows to be held; `None` where it has no number for its place.
    pub(in crate::observe) fn push(&mut self, key: FlowKey, (continues, held): (bool, bool), t: &Tables) -> Option<()> {
        let start = self.bytes.len();
        put_tables(&mut self.bytes, t)?;
        let flags = if continues { CONTINUES } else { 0 } | if held { HELD } else { 0 };
        self.place(key, flags, start)
    }

    /// Adds the next row of saved ones; `None` where it cannot be right.
    pub(in crate::observe) fn take(
        &mut self,
        from: &mut Reader<'_>,
        held: impl FnOnce(&FlowKey) -> bool,
    ) -> Option<()> {
        let (key, flags) = from.head()?;
        if flags & CONTINUES != 0 && self.rows.last().is_none_or(|last| last.key != key) {
            return None;
        }
        let len = from.len()?;
        let row = from.take(len)?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(row);
        let held = if held(&key) { HELD } else { 0 };
        self.place(key, flags & !HELD | held, start)
    }

    /// Adds a row of another stretch as it is.
    pub(in crate::observe) fn copy(&mut self, of: &Self, row: &RowAt) -> Option<()> {
        let bytes = of.bytes(row)?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.place(row.key, row.flags, start)
    }

    fn place(&mut self, key: FlowKey, flags: u8, start: usize) -> Option<()> {
        let (from, len) = (u32::try_from(start).ok()?, u32::try_from(self.bytes.len() - start).ok()?);
        self.rows.push(RowAt { key, flags, from, len });
        Some(())
    }

    fn bytes(&self, row: &RowAt) -> Option<&[u8]> {
        let from = row.from as usize;
        self.bytes.get(from..from.checked_add(row.len as usize)?)
    }

    /// All rows.
    pub(in crate::observe) fn rows(&self) -> &[RowAt] {
        &self.rows
    }

    /// Bytes it takes.
    pub(in crate::observe) fn size(&self) -> u64 {
        (self.bytes.capacity() + self.rows.capacity() * size_of::<RowAt>()) as u64
    }

    /// Gives back what was taken in advance.
    pub(in crate::observe) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.rows.shrink_to_fit();
    }

    /// The sums that a row begins with, if it does.
    pub(in crate::observe) fn alone(&self, row: &RowAt) -> Option<Alone> {
        let mut from = Reader(self.bytes(row).filter(|_| row.flags & SUMMED != 0)?);
        from.alone()
    }

    /// Unpacks a row; `told` is false where what payload told is not wanted. `None` where it cannot be right.
    pub(in crate::observe) fn unpack(&self, row: &RowAt, told: bool, into: &mut Tables) -> Option<()> {
        let mut from = Reader(self.bytes(row)?);
        if row.flags & SUMMED != 0 {
            from.alone()?;
        }
        from.tables(told, into)
    }
}

/// Writes a row as it is saved: a head, how many bytes follow, and those. `continues`: the row before is of the same tuple.
pub(in crate::observe) fn save(
    to: &mut Vec<u8>,
    key: &FlowKey,
    continues: bool,
    alone: Option<&Alone>,
    t: &Tables,
) -> Option<()> {
    let mut row = Vec::new();
    if let Some(Alone { flows, packets, unseen }) = alone {
        [flows, packets, unseen].into_iter().for_each(|n| put(&mut row, *n));
    }
    put_tables(&mut row, t)?;
    let wide = key.ends.iter().zip(V6).filter(|(e, _)| e.addr.is_ipv6()).map(|(_, bit)| bit).sum::<u8>();
    to.push(wide | if alone.is_some() { SUMMED } else { 0 } | if continues { CONTINUES } else { 0 });
    to.push(key.proto.number());
    for end in &key.ends {
        match end.addr {
            IpAddr::V4(a) => to.extend_from_slice(&a.octets()),
            IpAddr::V6(a) => to.extend_from_slice(&a.octets()),
        }
        to.extend_from_slice(&end.port.to_be_bytes());
    }
    put(to, row.len() as u64);
    to.extend_from_slice(&row);
    Some(())
}

fn put_tables(to: &mut Vec<u8>, t: &Tables) -> Option<()> {
    let json = |empty: bool, text: serde_json::Result<Vec<u8>>| if empty { Some(Vec::new()) } else { text.ok() };
    let Tables { at, lanes, addrs, told, tunnels, row } = t;
    let told = json(told.is_empty(), serde_json::to_vec(told))?;
    let tunnels = json(tunnels.is_empty(), serde_json::to_vec(tunnels))?;
    for n in [at.len(), lanes.len(), addrs.len(), row.len(), told.len(), tunnels.len()] {
        put(to, n as u64);
    }
    at.iter().for_each(|n| put(to, folded(*n)));
    lanes.iter().flatten().for_each(|n| put(to, u64::from(*n)));
    addrs.iter().for_each(|a| put_addr(to, *a));
    row.iter().for_each(|n| put(to, folded(*n)));
    to.extend_from_slice(&told);
    to.extend_from_slice(&tunnels);
    Some(())
}

const fn folded(n: i64) -> u64 {
    (n.cast_unsigned() << 1) ^ (n >> 63).cast_unsigned()
}

const fn unfolded(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -(n & 1).cast_signed()
}

#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
#[inline]
fn put(to: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        to.push(n as u8 | 0x80);
        n >>= 7;
    }
    to.push(n as u8);
}

fn put_addr(to: &mut Vec<u8>, addr: IpAddr) {
    match addr {
        IpAddr::V4(a) => {
            to.push(4);
            to.extend_from_slice(&a.octets());
        }
        IpAddr::V6(a) => {
            to.push(6);
            to.extend_from_slice(&a.octets());
        }
    }
}

/// Packed bytes that are left. Everything answers `None` where they cannot be right.
pub(in crate::observe) struct Reader<'a>(pub(in crate::observe) &'a [u8]);

impl<'a> Reader<'a> {
    /// Whether the next row is of the same tuple as the one before it.
    pub(in crate::observe) fn continues(&self) -> bool {
        self.0.first().is_some_and(|flags| flags & CONTINUES != 0)
    }

    /// Whether nothing is left.
    pub(in crate::observe) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    #[inline]
    fn number(&mut self) -> Option<u64> {
        let first = self.byte()?;
        if first < 0x80 {
            return Some(u64::from(first));
        }
        let (mut n, mut shift) = (u64::from(first & 0x7f), 7_u32);
        loop {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(n);
            }
            shift += 7;
        }
    }

    fn len(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn alone(&mut self) -> Option<Alone> {
        Some(Alone { flows: self.number()?, packets: self.number()?, unseen: self.number()? })
    }

    /// A tuple, the lower end first, and flags.
    fn head(&mut self) -> Option<(FlowKey, u8)> {
        let flags = self.byte()?;
        let proto = Proto::from_number(self.byte()?);
        let mut end = |wide: u8| {
            let addr = if flags & wide != 0 { self.v6()? } else { self.v4()? };
            Some(EndPoint { addr, port: u16::from_be_bytes(*self.take(2)?.first_chunk()?) })
        };
        let [a, b] = V6;
        let (a, b) = (end(a)?, end(b)?);
        let (key, side) = FlowKey::new(proto, a, b);
        (side == Side::A).then_some((key, flags))
    }

    fn v4(&mut self) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::from(*self.take(4)?.first_chunk::<4>()?)))
    }

    fn v6(&mut self) -> Option<IpAddr> {
        Some(IpAddr::V6(Ipv6Addr::from(*self.take(16)?.first_chunk::<16>()?)))
    }

    /// A list, each entry of which takes at least a byte.
    fn list(&mut self, len: usize, into: &mut Vec<i64>) -> Option<()> {
        into.clear();
        into.reserve(len.min(self.0.len()));
        for _ in 0..len {
            into.push(unfolded(self.number()?));
        }
        Some(())
    }

    fn tables(&mut self, want_told: bool, into: &mut Tables) -> Option<()> {
        let mut lens = [0_usize; 6];
        for len in &mut lens {
            *len = self.len()?;
        }
        let [at, lanes, addrs, row, told, tunnels] = lens;
        self.list(at, &mut into.at)?;
        into.lanes.clear();
        for _ in 0..lanes {
            let mut lane = [0_u32; 5];
            for n in &mut lane {
                *n = u32::try_from(self.number()?).ok()?;
            }
            into.lanes.push(lane);
        }
        into.addrs.clear();
        for _ in 0..addrs {
            let addr = if self.byte()? == 4 { self.v4()? } else { self.v6()? };
            into.addrs.push(addr);
        }
        self.list(row, &mut into.row)?;
        let json = self.take(told)?;
        into.told = if want_told && !json.is_empty() { serde_json::from_slice(json).ok()? } else { Vec::new() };
        let json = self.take(tunnels)?;
        into.tunnels = if json.is_empty() { Vec::new() } else { serde_json::from_slice(json).ok()? };
        self.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(v6: bool) -> FlowKey {
        let addr = |n: u8| if v6 { IpAddr::from([u16::from(n); 8]) } else { IpAddr::from([10, 0, 0, n]) };
        let point = |n, port| EndPoint { addr: addr(n), port };
        FlowKey::new(Proto::Tcp, point(1, 5), point(2, 65_535)).0
    }

    fn tables(n: i64) -> Tables {
        Tables {
            at: vec![n, -n, 0, i64::MAX, i64::MIN, 63, 64, -64, -65],
            lanes: vec![[0, 1, 0, 0, u32::MAX]],
            addrs: vec![IpAddr::from([1, 2, 3, 4]), IpAddr::from([9_u16; 8])],
            row: (-200..200).map(|i| i * n).collect(),
            ..Tables::default()
        }
    }

    fn assert_unpacks(packed: &Packed, row: &RowAt, n: i64) {
        let (mut read, want) = (Tables::default(), tables(n));
        packed.unpack(row, true, &mut read).unwrap();
        assert_eq!((&read.at, &read.lanes, &read.addrs, &read.row), (&want.at, &want.lanes, &want.addrs, &want.row));
    }

    #[test]
    fn what_is_packed_is_what_is_unpacked() {
        let numbers = [1, 1 << 40, -7];
        let mut packed = Packed::default();
        for n in numbers {
            packed.push(key(n == 1), (n == 1, n == -7), &tables(n)).unwrap();
        }
        let mut other = Packed::default();
        packed.rows().iter().for_each(|row| other.copy(&packed, row).unwrap());
        for (row, n) in other.rows().iter().zip(numbers) {
            assert_unpacks(&other, row, n);
            assert_eq!((row.key, row.continues(), row.held()), (key(n == 1), n == 1, n == -7));
            assert_eq!(other.alone(row), None);
        }
    }

    #[test]
    fn what_is_saved_is_what_is_taken_and_what_is_cut_is_not() {
        let alone = Alone { flows: 2, packets: 300, unseen: 1 << 50 };
        for v6 in [false, true] {
            let mut saved = Vec::new();
            save(&mut saved, &key(v6), false, Some(&alone), &tables(3)).unwrap();
            save(&mut saved, &key(v6), true, None, &tables(4)).unwrap();
            let (mut packed, mut from) = (Packed::default(), Reader(&saved));
            while !from.is_empty() {
                packed.take(&mut from, |_| true).unwrap();
            }
            let [first, second] = packed.rows() else { panic!("two rows") };
            assert_eq!((packed.alone(first), packed.alone(second)), (Some(alone), None));
            assert_eq!((first.continues(), second.continues(), first.key), (false, true, key(v6)));
            assert_unpacks(&packed, first, 3);
            assert_unpacks(&packed, second, 4);
            let cut = saved.len() - 1;
            let (mut packed, mut from) = (Packed::default(), Reader(saved.get(..cut).unwrap()));
            packed.take(&mut from, |_| true).unwrap();
            assert!(packed.take(&mut from, |_| true).is_none());
        }
    }
}
