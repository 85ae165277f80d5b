//! Tag, length, value: the part of BER and DER (ITU-T X.690 section 8.1) that Kerberos, LDAP and certificates need.

use super::outcome::{Stop, needed};

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const SEQUENCE: u8 = 0x30;

/// A context tag, constructed: `[n]`.
pub(super) const fn context(n: u8) -> u8 {
    0xa0 | n
}

/// One value, as far as its bytes are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tlv<'a> {
    pub(super) tag: u8,
    pub(super) body: &'a [u8],
    /// All of its bytes are there.
    pub(super) whole: bool,
}

/// Reads a definite length of at most four bytes.
pub(super) fn length(rest: &mut &[u8]) -> Result<usize, Stop> {
    let (first, more) = needed(rest.split_first())?;
    *rest = more;
    let n = match first {
        0..=0x7f => return Ok(usize::from(*first)),
        0x81..=0x84 => usize::from(first & 0x7f),
        _ => return Err(Stop::No),
    };
    let (bytes, more) = needed(rest.split_at_checked(n))?;
    *rest = more;
    Ok(bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b)))
}

/// The next value; its body ends where the bytes end.
pub(super) fn next<'a>(rest: &mut &'a [u8]) -> Option<Tlv<'a>> {
    let (&tag, mut more) = rest.split_first()?;
    // Tags of more than one byte do not occur in what is read here.
    if tag & 0x1f == 0x1f {
        return None;
    }
    let n = length(&mut more).ok()?;
    let here = n.min(more.len());
    let (body, after) = more.split_at_checked(here)?;
    *rest = after;
    Some(Tlv { tag, body, whole: here == n })
}

/// The values inside `body`, in order.
pub(super) fn each(body: &[u8]) -> impl Iterator<Item = Tlv<'_>> {
    let mut rest = body;
    std::iter::from_fn(move || next(&mut rest))
}

/// The first value of a tag inside `body`.
pub(super) fn find(body: &[u8], tag: u8) -> Option<Tlv<'_>> {
    each(body).find(|t| t.tag == tag)
}

/// What stands inside nested values, each the first of its tag.
pub(super) fn inside<'a>(body: &'a [u8], tags: &[u8]) -> Option<&'a [u8]> {
    tags.iter().try_fold(body, |body, tag| find(body, *tag).map(|t| t.body))
}

/// A whole non-negative integer of up to four bytes.
pub(super) fn number(t: Tlv<'_>) -> Option<u32> {
    let bytes = t.body.strip_prefix(&[0]).filter(|b| !b.is_empty()).unwrap_or(t.body);
    let fits = t.whole && !bytes.is_empty() && bytes.len() <= 4;
    fits.then(|| bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
}

/// One value written out, for tests.
#[cfg(test)]
pub(super) fn tlv(tag: u8, body: &[u8]) -> Vec<u8> {
    let n = u16::try_from(body.len()).unwrap();
    let length = if n < 128 { vec![n.to_be_bytes()[1]] } else { [&[0x82][..], &n.to_be_bytes()].concat() };
    [&[tag][..], &length, body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_definite_and_at_most_four_bytes() {
        assert_eq!(length(&mut &[0x7f][..]), Ok(127));
        assert_eq!(length(&mut &[0x84, 0, 0, 1, 0][..]), Ok(256));
        assert_eq!(length(&mut &[0x82, 1][..]), Err(Stop::NeedMore));
        assert_eq!(length(&mut &[0x80][..]), Err(Stop::No));
        assert_eq!(length(&mut &[0x85][..]), Err(Stop::No));
    }

    #[test]
    fn a_cut_value_is_read_as_far_as_it_goes() {
        let all = tlv(SEQUENCE, &[tlv(INTEGER, &[0, 200]), tlv(OCTETS, b"abcdef")].concat());
        let cut = &all[..all.len() - 2];
        let inner = find(cut, SEQUENCE).unwrap();
        assert!(!inner.whole);
        assert_eq!(number(find(inner.body, INTEGER).unwrap()), Some(200));
        assert_eq!(find(inner.body, OCTETS).unwrap().body, b"abcd");
    }
}
