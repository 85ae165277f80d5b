//! Names of an enumeration in the running kernel's type information (BTF, linux/btf.h): why packets are dropped differs from
//! kernel to kernel. Little-endian, as the kernels that the programs are built for.

use std::collections::BTreeMap;

const MAGIC: u16 = 0xeb9f;
/// Octets of a type before what its kind adds.
const TYPE: usize = 12;
const KIND_ENUM: u32 = 6;

fn u32_at(from: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*from.get(at..)?.first_chunk()?))
}

fn size_at(from: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32_at(from, at)?).ok()
}

/// A type's name as it lies in the string section.
fn name(strings: &[u8], at: usize) -> Option<&str> {
    let rest = strings.get(at..)?;
    let end = rest.iter().position(|b| *b == 0)?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

/// Octets that follow a type of this kind with so many members.
const fn more(kind: u32, members: usize) -> Option<usize> {
    Some(match kind {
        // Integers, variables, declaration tags.
        1 | 14 | 17 => 4,
        // Arrays.
        3 => 12,
        // Structures, unions, sections, enumerations of 64 bits.
        4 | 5 | 15 | 19 => 12 * members,
        // Enumerations, parameters.
        6 | 13 => 8 * members,
        // Pointers, forward declarations, names, qualifiers, functions, floats, tags.
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

/// Values and names of an enumeration; empty where there is none of that name.
pub(super) fn enumeration(btf: &[u8], wanted: &str) -> BTreeMap<u32, String> {
    find(btf, wanted).unwrap_or_default()
}

fn find(btf: &[u8], wanted: &str) -> Option<BTreeMap<u32, String>> {
    let magic = u16::from_le_bytes(*btf.first_chunk()?);
    if magic != MAGIC {
        return None;
    }
    let header = size_at(btf, 4)?;
    let section = |at: usize| {
        let from = header.checked_add(size_at(btf, at)?)?;
        btf.get(from..from.checked_add(size_at(btf, at + 4)?)?)
    };
    let (mut types, strings) = (section(8)?, section(16)?);
    while types.len() >= TYPE {
        let info = u32_at(types, 4)?;
        let (kind, members) = (info >> 24 & 0x1f, usize::try_from(info & 0xffff).ok()?);
        let rest = types.get(TYPE..)?;
        if kind == KIND_ENUM && name(strings, size_at(types, 0)?) == Some(wanted) {
            let member = |m: &[u8]| Some((u32_at(m, 4)?, name(strings, size_at(m, 0)?)?.to_owned()));
            return rest.chunks_exact(8).take(members).map(member).collect();
        }
        types = rest.get(more(kind, members)?..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enumeration_is_found_behind_other_types_and_damage_is_none() {
        let strings = b"\0int\0why\0NOT\0FIRE\0";
        let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        let types = words(&[1, 1 << 24, 4, 32, 5, 6 << 24 | 2, 4, 9, 0, 13, 12]);
        let head = [0xeb9f | 1 << 16, 24, 0, u32::try_from(types.len()).unwrap(), 44, 18];
        let btf = [words(&head), types, strings.to_vec()].concat();
        let all = enumeration(&btf, "why");
        assert_eq!(all.get(&12).map(String::as_str), Some("FIRE"));
        assert!(enumeration(&btf, "int").is_empty() && enumeration(&btf, "who").is_empty());
        for len in 0..btf.len() {
            enumeration(&btf[..len], "why");
        }
    }
}
