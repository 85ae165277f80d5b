//! Digests of a stream's first bytes. Payload itself is dropped when a flow is sealed; these few bytes' worth of it stay, so that
//! one connection seen at two places can be told again although something between them rewrote its sequence numbers.

/// Lengths digested, in bytes. Several, because one place may have kept less of each frame than the other: 16 bytes reach into the
/// random of a TLS hello, 64 hold it, 256 tell most text apart.
pub const HEAD_LENGTHS: [usize; 3] = [16, 64, 256];

/// The longest of them.
pub(crate) const HEAD: usize = 256;

/// 64-bit FNV-1a of the first so many bytes, for each length that is there. Not keyed: places are compared on other machines.
pub(crate) fn heads(start: &[u8]) -> [Option<u64>; 3] {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    let mut done = 0;
    HEAD_LENGTHS.map(|length| {
        let part = start.get(done..length)?;
        for &byte in part {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        done = length;
        Some(state)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_there_for_each_length_that_was_captured() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(heads(&bytes[..15]), [None; 3]);
        let short = heads(&bytes[..100]);
        assert!(short[1].is_some() && short[2].is_none());
        assert_eq!(heads(&bytes)[..2], short[..2], "what follows changes no shorter digest");
        // FNV-1a of sixteen zero bytes, by the definition of its authors.
        let zeros = (0..16).fold(0xcbf2_9ce4_8422_2325_u64, |h, _| h.wrapping_mul(0x0100_0000_01b3));
        assert_eq!(heads(&[0; 16])[0], Some(zeros));
    }
}
