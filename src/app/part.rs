//! Messages one by one: a datagram, or one message of a stream.

use super::stream::Piece;
use crate::base::Stamp;

/// One message, as far as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// What was captured of it.
    pub bytes: &'a [u8],
    /// Its length on the wire.
    pub wire: u32,
    /// The frame that brought its last captured byte.
    pub at: Stamp,
}

/// Most messages of a stream that are looked at.
const MAX_PARTS: usize = 256;

/// Cuts a stream into messages. `frame` reads, at the start of one, how many bytes to pass over and how long the message is. The
/// last message may be cut; one whose length cannot be read ends the walk.
pub(super) fn framed(piece: Option<&Piece>, frame: impl Fn(&[u8]) -> Option<(usize, usize)>) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let Some(piece) = piece else { return parts };
    let mut at = 0;
    while let Some(rest) = piece.bytes.get(at..).filter(|r| !r.is_empty() && parts.len() < MAX_PARTS) {
        let Some((skip, length)) = frame(rest) else { break };
        let Some(body) = rest.get(skip..).filter(|b| !b.is_empty()) else { break };
        let bytes = body.get(..length).unwrap_or(body);
        let end = at.saturating_add(skip).saturating_add(bytes.len());
        let Some(stamp) = end.checked_sub(1).and_then(|i| piece.stamp(i)) else { break };
        parts.push(Part { bytes, wire: u32::try_from(length).unwrap_or(u32::MAX), at: stamp });
        if length == 0 || bytes.len() < length {
            break;
        }
        at = end;
    }
    parts
}

/// A part of its own for tests.
#[cfg(test)]
pub(super) fn part(bytes: &[u8]) -> Part<'_> {
    Part { bytes, wire: u32::try_from(bytes.len()).unwrap(), at: super::stream::tests::stamp(1) }
}
