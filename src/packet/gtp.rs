//! GTP-U version 1 (3GPP TS 29.281 section 5): user packets of mobile networks.
//!
//! ```text
//! 0 version 3 bits, GTP 1 bit, 0, extension, sequence, N-PDU | 1 message type | 2 length u16 | 4 tunnel u32
//! where one of the three flags is set: 8 sequence u16 | N-PDU | next extension type
//! extension: length in words | contents | next extension type
//! ```

use super::ether::{Link, ethertype};
use super::issue::{Layer, be16};

const HEADER: u32 = 8;
const OPTIONAL: u32 = 4;
/// Version 1, not GTP', the reserved bit clear; the flags below are free.
const VERSION: u8 = 0x30;
const FLAGS: u8 = 0x07;
const EXTENSION: u8 = 0x04;
const G_PDU: u8 = 255;
const MAX_EXTENSIONS: usize = 8;

/// The packet inside; `None` for other messages, and where a length does not fit.
pub(super) fn parse(payload: Layer<'_>) -> Option<Link<'_>> {
    let &[flags, G_PDU] = payload.data.first_chunk()? else { return None };
    let len = be16(payload.data, 2).map(u32::from)?;
    if flags & !FLAGS != VERSION || payload.len.checked_sub(HEADER) != Some(len) {
        return None;
    }
    let mut rest = payload.after(HEADER);
    if flags & FLAGS != 0 {
        let &[_, _, _, next] = rest.data.first_chunk()?;
        rest = rest.after(OPTIONAL);
        if flags & EXTENSION != 0 {
            rest = past_extensions(rest, next)?;
        }
    }
    let ethertype = match rest.data.first()? >> 4 {
        4 => ethertype::IPV4,
        6 => ethertype::IPV6,
        _ => return None,
    };
    Some(Link { group: false, ethertype, payload: rest })
}

fn past_extensions(mut rest: Layer<'_>, mut next: u8) -> Option<Layer<'_>> {
    for _ in 0..MAX_EXTENSIONS {
        if next == 0 {
            return Some(rest);
        }
        let len = usize::from(*rest.data.first()?) * 4;
        next = *rest.data.get(len.checked_sub(1)?)?;
        rest = rest.after(u32::try_from(len).ok()?);
    }
    (next == 0).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(flags: u8, rest: &[u8]) -> Vec<u8> {
        let len = u8::try_from(rest.len()).unwrap();
        [&[flags, 255, 0, len, 0, 0, 0, 9][..], rest].concat()
    }

    #[test]
    fn optional_fields_and_extensions_are_passed_and_cut_anywhere_are_none() {
        for (flags, headers) in
            [(0x30, &[][..]), (0x32, &[0, 1, 0, 0x85]), (0x34, &[0, 0, 0, 0x85, 1, 0, 0, 0xc0, 2, 0, 0, 0, 0, 0, 0, 0])]
        {
            let bytes = message(flags, &[headers, &[0x60, 1]].concat());
            for len in 0..=bytes.len() {
                let got = parse(Layer { data: &bytes[..len], len: u32::try_from(bytes.len()).unwrap() });
                assert_eq!(got.map(|l| l.ethertype), (len > 8 + headers.len()).then_some(ethertype::IPV6), "{len}");
            }
        }
    }

    #[test]
    fn other_messages_versions_lengths_and_endless_extensions_are_none() {
        let good = message(0x30, &[0x45, 1]);
        for (at, value) in [(0, 0x50), (0, 0x20), (0, 0x38), (1, 1), (3, 1), (3, 3), (8, 0x55)] {
            let mut wrong = good.clone();
            wrong[at] = value;
            assert!(parse(Layer::new(&wrong, 0)).is_none(), "{at}");
        }
        let endless = [&[0, 0, 0, 0x85][..], &[1, 0, 0, 0x85].repeat(20), &[0x45]].concat();
        assert!(parse(Layer::new(&message(0x34, &endless), 0)).is_none());
        assert!(parse(Layer::new(&message(0x34, &[0, 0, 0, 0x85, 0, 0x45]), 0)).is_none(), "an extension of no length");
    }
}
