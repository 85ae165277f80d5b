//! The endpoint mapper's `ept_map`: its stubs (C706 appendix O) and the towers inside (C706 appendices L and I).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use super::bind::Syntax;
use crate::app::reader::Reader;
use crate::base::WireText;

/// Operation number of `ept_map`.
pub(super) const EPT_MAP: u16 = 3;

/// Length of the entry handle: attributes and a UUID.
const HANDLE: usize = 20;

/// Protocol identifiers of tower floors (C706 appendix I).
const UUID_FLOOR: u8 = 0x0d;
const CONNECTION_ORIENTED: u8 = 0x0b;
const TCP: u8 = 0x07;
const IP: u8 = 0x09;
/// Named pipe, on floor 4 of `ncacn_np`.
const PIPE: u8 = 0x0f;

/// What a tower says about an interface over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tower {
    /// Interface UUID of floor 1.
    pub(super) interface: String,
    /// TCP port of floor 4, big endian on the wire; `None` where the tower is for another transport.
    pub(super) port: Option<u16>,
    /// Named pipe of floor 4, where the tower is for SMB.
    pub(super) pipe: Option<WireText>,
    /// IPv4 address of floor 5; 0.0.0.0 where there is none.
    pub(super) addr: IpAddr,
}

/// An `ept_map` response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) towers: Vec<Tower>,
    /// Status at its end, where the stub came that far.
    pub(super) status: Option<u32>,
}

/// The tower asked for in an `ept_map` request stub.
pub(super) fn asked(stub: &[u8], big: bool, syntax: Syntax) -> Option<Tower> {
    let mut r = Ndr { r: Reader::ordered(stub, big), syntax };
    // The object pointer and its UUID.
    if r.long()? != 0 {
        r.r.skip(16)?;
    }
    if r.long()? == 0 {
        return None;
    }
    tower(r.tower()?)
}

/// An `ept_map` response stub. What is malformed ends the list; nothing is guessed.
pub(super) fn mapped(stub: &[u8], big: bool, syntax: Syntax) -> Mapped {
    let mut found = Mapped::default();
    found.status = response(stub, big, syntax, &mut found.towers);
    found
}

fn response(stub: &[u8], big: bool, syntax: Syntax, towers: &mut Vec<Tower>) -> Option<u32> {
    let mut r = Ndr { r: Reader::ordered(stub, big), syntax };
    r.r.skip(HANDLE)?;
    let count = r.r.u32()?;
    let (_max, first, actual) = (r.long()?, r.long()?, r.long()?);
    if first != 0 || actual != u64::from(count) {
        return None;
    }
    // A referent that comes twice is an alias: its tower follows once (C706 section 14.3.11).
    let mut referents = BTreeSet::new();
    for _ in 0..actual {
        referents.insert(r.long()?);
    }
    referents.remove(&0);
    for _ in &referents {
        towers.extend(tower(r.tower()?));
    }
    r.r.align(4)?;
    r.r.u32()
}

/// NDR or NDR64: they differ in the width of pointers and counts.
struct Ndr<'a> {
    r: Reader<'a>,
    syntax: Syntax,
}

impl<'a> Ndr<'a> {
    /// A pointer or count: 4 bytes in NDR (C706 section 14.3), 8 in NDR64 (MS-RPCE section 2.2.5.3), aligned.
    fn long(&mut self) -> Option<u64> {
        match self.syntax {
            Syntax::Ndr => {
                self.r.align(4)?;
                self.r.u32().map(u64::from)
            }
            Syntax::Ndr64 => {
                self.r.align(8)?;
                self.r.u64()
            }
        }
    }

    /// A `twr_t`: its conformance, its length, its bytes.
    fn tower(&mut self) -> Option<&'a [u8]> {
        let conformance = self.long()?;
        let length = self.r.u32()?;
        if u64::from(length) != conformance {
            return None;
        }
        self.r.take(usize::try_from(length).ok()?)
    }
}

/// Reads a tower: counts are little endian whatever the stub, port and address big endian.
fn tower(octets: &[u8]) -> Option<Tower> {
    let mut r = Reader::little(octets);
    let count = r.u16()?;
    let mut interface = None;
    let (mut oriented, mut port, mut pipe, mut addr) = (false, None, None, Ipv4Addr::UNSPECIFIED);
    for number in 1..=count {
        let length = r.u16()?;
        let left = r.take(usize::from(length))?;
        let length = r.u16()?;
        let right = r.take(usize::from(length))?;
        match (number, left) {
            (1, [UUID_FLOOR, uuid @ ..]) => interface = Reader::little(uuid).uuid(),
            (3, [CONNECTION_ORIENTED, ..]) => oriented = true,
            (4, [TCP, ..]) => port = <[u8; 2]>::try_from(right).ok().map(u16::from_be_bytes),
            (4, [PIPE, ..]) => pipe = Some(WireText::new(right.split(|b| *b == 0).next().unwrap_or_default())),
            (5, [IP, ..]) => addr = <[u8; 4]>::try_from(right).map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from),
            _ => {}
        }
        if number >= 5 {
            break;
        }
    }
    let port = port.filter(|p| oriented && *p != 0);
    let pipe = pipe.filter(|p| oriented && !p.as_bytes().is_empty());
    Some(Tower { interface: interface?, port, pipe, addr: IpAddr::V4(addr) })
}
