//! Hashes of 5-tuples: keyed, so that traffic cannot choose them, and short, since every packet has one.

use std::hash::{BuildHasher as _, Hasher as _};
use std::net::IpAddr;
use std::sync::LazyLock;

use super::hot::{Pair, Pair6};
use super::model::{EndPoint, FlowKey};
use crate::base::Proto;

/// What hashes are keyed with: drawn once per run, so that hashes of all stretches compare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeds([u64; 3]);

static SEEDS: LazyLock<Seeds> = LazyLock::new(|| {
    Seeds([1_u64, 2, 3].map(|n| {
        let mut hasher = foldhash::quality::RandomState::default().build_hasher();
        hasher.write_u64(n);
        hasher.finish()
    }))
});

/// Both halves of a product, one over the other: one multiplication mixes two words (as foldhash and wyhash do).
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the halves of a product")]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

impl Default for Seeds {
    fn default() -> Self {
        *SEEDS
    }
}

/// An IPv4 end as a number: 32 bits of address, 16 of port. They order as [`EndPoint`]s do.
#[inline(always)]
const fn end_v4(addr: u32, port: u16) -> u64 {
    (addr as u64) << 16 | port as u64
}

impl Seeds {
    /// The hash of a tuple of IPv4 ends, the lower one first.
    const fn v4(&self, proto: Proto, a: u64, b: u64) -> u64 {
        fold(a ^ self.0[0] ^ (proto.number() as u64) << 56, b ^ self.0[1])
    }

    /// The same of IPv6 ends.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the halves of an address")]
    const fn v6(&self, proto: Proto, a: (u128, u16), b: (u128, u16)) -> u64 {
        let ports = (proto.number() as u64) << 32 | (a.1 as u64) << 16 | b.1 as u64;
        let low = fold((a.0 >> 64) as u64 ^ self.0[0], a.0 as u64 ^ self.0[1]);
        let high = fold((b.0 >> 64) as u64 ^ self.0[2], b.0 as u64 ^ self.0[0]);
        fold(low ^ self.0[2] ^ ports, high ^ self.0[1])
    }

    /// The hash of one direction of a flow over IPv4.
    #[inline(always)]
    pub(crate) const fn way(&self, pair: Pair) -> u64 {
        fold(pair.addresses ^ self.0[0], pair.ports ^ self.0[1])
    }

    /// The hash of one direction of a flow over IPv6.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the halves of an address")]
    pub(crate) const fn way_v6(&self, pair: &Pair6) -> u64 {
        let src = fold((pair.src >> 64) as u64 ^ self.0[0], pair.src as u64 ^ self.0[1]);
        let dst = fold((pair.dst >> 64) as u64 ^ self.0[2], pair.dst as u64 ^ self.0[0]);
        fold(src ^ self.0[2] ^ pair.ports, dst ^ self.0[1])
    }

    /// The hash of a key.
    pub(crate) fn key(&self, key: &FlowKey) -> u64 {
        // By reference: copies of addresses just written would wait for them to be in the cache.
        let [a, b] = &key.ends;
        match (&a.addr, &b.addr) {
            (IpAddr::V4(x), IpAddr::V4(y)) => {
                self.v4(key.proto, end_v4(x.to_bits(), a.port), end_v4(y.to_bits(), b.port))
            }
            _ => self.v6(key.proto, wide(*a), wide(*b)),
        }
    }
}

const fn wide(end: EndPoint) -> (u128, u16) {
    let addr = match end.addr {
        IpAddr::V4(a) => a.to_bits() as u128,
        IpAddr::V6(a) => a.to_bits(),
    };
    (addr, end.port)
}
