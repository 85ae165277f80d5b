//! Takes out of a pcapng file what its writer tells about the machine it ran on.
//!
//! dumpcap writes processor, operating system and its own package version into the section header
//! and the operating system into every interface block. A kept capture is about the restore, not
//! about where it was recorded. Everything else (names of interfaces, statistics) stays as written.

use crate::failure::{Context, Failure, Result};

const SECTION: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const LITTLE_ENDIAN: [u8; 4] = [0x4D, 0x3C, 0x2B, 0x1A];

/// The same file without hardware, operating system and application of its writer.
pub(crate) fn scrub(file: &[u8]) -> Result<Vec<u8>> {
    if file.get(8..12) != Some(&LITTLE_ENDIAN) {
        return Err(Failure::new("not a little-endian pcapng file"));
    }
    let mut clean = Vec::with_capacity(file.len());
    let mut rest = file;
    while !rest.is_empty() {
        let kind = number(rest, 0)?;
        let length = usize::try_from(number(rest, 4)?).context("a block length")?;
        let (block, after) = rest.split_at_checked(length).context("a pcapng block runs past the end")?;
        rest = after;
        match kind {
            // Fixed parts: magic, version, section length; link type, reserved, snaplen.
            // Options: 1 comment, 2 hardware, 3 operating system, 4 application; 12 and 15 likewise.
            SECTION => clean.extend(without(block, 16, &[1, 2, 3, 4])?),
            INTERFACE => clean.extend(without(block, 8, &[1, 12, 15])?),
            _ => clean.extend_from_slice(block),
        }
    }
    Ok(clean)
}

/// A block without the options of the given codes.
fn without(block: &[u8], fixed: usize, codes: &[u16]) -> Result<Vec<u8>> {
    let (head, tail) = block.split_at_checked(8 + fixed).context("a pcapng block is too short")?;
    let mut body = head.to_vec();
    let mut options = tail.get(..tail.len().saturating_sub(4)).unwrap_or_default();
    while let [a, b, c, d, ..] = *options {
        let padded = usize::from(u16::from_le_bytes([c, d])).next_multiple_of(4);
        let (option, after) = options.split_at_checked(4 + padded).context("a pcapng option runs past its block")?;
        if !codes.contains(&u16::from_le_bytes([a, b])) {
            body.extend_from_slice(option);
        }
        options = after;
    }
    let length = u32::try_from(body.len() + 4).context("a block length")?.to_le_bytes();
    body.get_mut(4..8).context("a pcapng block is too short")?.copy_from_slice(&length);
    body.extend(length);
    Ok(body)
}

fn number(bytes: &[u8], at: usize) -> Result<u32> {
    let four = bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).context("a pcapng file ends inside a block")?;
    Ok(u32::from_le_bytes(four))
}
