//! NTP (RFC 5905 section 7.3): version, mode, stratum, and the kiss code of a server that wants to be left alone (section 7.4).

use super::model::AppFacts;
use super::outcome::{Outcome, Stop, needed, require};
use super::part::Part;
use super::reader::Reader;
use crate::base::WireText;

/// Length of a packet without extensions and authenticator.
const HEADER: u32 = 48;
const SERVER: u8 = 4;

/// Recognises a datagram.
pub(super) fn datagram(bytes: &[u8], wire: u32) -> Outcome<()> {
    packet(bytes, wire).map(|_| ()).into()
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Packet {
    version: u8,
    mode: u8,
    stratum: u8,
    kiss: Option<WireText>,
}

fn packet(bytes: &[u8], wire: u32) -> Result<Packet, Stop> {
    // Extension fields and message digests come in multiples of four bytes.
    require(wire >= HEADER && wire.is_multiple_of(4))?;
    let mut r = Reader::big(bytes);
    let first = needed(r.u8())?;
    let (version, mode) = (first >> 3 & 7, first & 7);
    // Control and private messages (modes 6 and 7) have another form.
    require(matches!(version, 1..=4) && matches!(mode, 1..=5))?;
    let stratum = needed(r.u8())?;
    require(stratum <= 16)?;
    require(needed(r.u8())? <= 17)?;
    // The precision is a power of two below a second; clients that give nothing away send 0 or 32.
    require(matches!(needed(r.u8())?, 0 | 0x20 | 0xe0..))?;
    // Root delay and dispersion in seconds and fractions: minutes at most.
    require(needed(r.u16())? < 0x0100)?;
    needed(r.u16())?;
    require(needed(r.u16())? < 0x0100)?;
    needed(r.u16())?;
    let reference = needed(r.take(4))?;
    let code = reference.iter().position(|b| *b == 0).map_or(reference, |n| reference.get(..n).unwrap_or_default());
    let kisses = mode == SERVER && stratum == 0 && !code.is_empty() && code.iter().all(u8::is_ascii_graphic);
    Ok(Packet { version, mode, stratum, kiss: kisses.then(|| WireText::new(code)) })
}

/// The last packet of each side: an answer counts more than the question before it.
pub(super) fn facts(sides: [&[Part<'_>]; 2]) -> Vec<AppFacts> {
    let last = |parts: &[Part<'_>]| parts.iter().rev().find_map(|p| packet(p.bytes, p.wire).ok());
    let of = |(parts, side_a): (&[Part<'_>], bool)| {
        let Packet { version, mode, stratum, kiss } = last(parts)?;
        Some(AppFacts::Ntp { side_a, version, mode, stratum, kiss })
    };
    sides.into_iter().zip([true, false]).filter_map(of).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::part::part;
    use super::*;

    /// A packet of a mode and stratum.
    pub(in crate::app) fn packet_of(mode: u8, stratum: u8, reference: [u8; 4]) -> Vec<u8> {
        let mut p = vec![0x20 | mode, stratum, 6, 0xe9, 0, 0, 1, 0, 0, 0, 2, 0];
        p.extend(reference);
        p.resize(48, 7);
        p
    }

    #[test]
    fn a_kiss_code_is_a_server_s_word_at_stratum_zero() {
        let (ask, kiss) = (packet_of(3, 0, [0; 4]), packet_of(4, 0, *b"RATE"));
        let found = facts([&[part(&ask)], &[part(&kiss)]]);
        let ntp = |side_a, mode, kiss| AppFacts::Ntp { side_a, version: 4, mode, stratum: 0, kiss };
        assert_eq!(found, [ntp(true, 3, None), ntp(false, 4, Some(WireText::new(b"RATE")))]);
    }

    #[test]
    fn what_the_rfc_forbids_is_not_ntp() {
        let good = packet_of(4, 2, [10, 0, 0, 1]);
        assert_eq!(datagram(&good, 48), Outcome::Evidence(()));
        assert_eq!(datagram(&good[..15], 48), Outcome::NeedMore);
        assert_eq!(datagram(&good, 47), Outcome::No);
        for (i, wrong) in [(0, 0x26), (0, 0x04), (1, 17), (2, 18), (3, 0x40), (4, 1), (8, 1)] {
            let mut bytes = good.clone();
            bytes[i] = wrong;
            assert_eq!(datagram(&bytes, 48), Outcome::No, "byte {i}");
        }
    }
}
