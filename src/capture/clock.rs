//! From a capture's ticks to nanoseconds.

use crate::base::Time;

const NANOS: u128 = 1_000_000_000;

/// Length of a tick (pcapng option `if_tsresol`, draft-ietf-opsawg-pcapng section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// 10^-n seconds.
    Decimal(u8),
    /// 2^-n seconds.
    Binary(u8),
}

impl Resolution {
    /// The default of pcapng and of plain pcap.
    pub(crate) const MICROS: Self = Self::Decimal(6);

    /// From the option's octet: the highest bit chooses powers of two.
    pub(crate) const fn from_octet(octet: u8) -> Self {
        if octet & 0x80 == 0 { Self::Decimal(octet) } else { Self::Binary(octet & 0x7f) }
    }

    /// Nanoseconds in `ticks`, rounded down; `None` where they are too many for any clock.
    fn nanos(self, ticks: u64) -> Option<i64> {
        if let Self::Decimal(n @ 0..=9) = self {
            // Enough for any clock, and quick: every packet of a pcapng file comes by here.
            const NANOS_OF: [u64; 10] =
                [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
            return NANOS_OF.get(usize::from(n)).and_then(|by| i64::try_from(ticks.checked_mul(*by)?).ok());
        }
        let ticks = u128::from(ticks);
        let nanos = match self {
            // 10^38 is the largest power that fits; ticks finer than that are below a nanosecond in sum.
            Self::Decimal(n) => 10_u128.checked_pow(u32::from(n).saturating_sub(9)).map_or(0, |d| ticks / d),
            // 2^64 ticks times 10^9 stay below 2^94.
            Self::Binary(n) => (ticks * NANOS) >> n,
        };
        i64::try_from(nanos).ok()
    }

    /// The point in time of `ticks` after the epoch plus `offset` seconds (option `if_tsoffset`).
    pub(crate) fn time(self, ticks: u64, offset: i64) -> Option<Time> {
        // The offset may bring ticks back into range that alone would leave it, but no capture does that.
        self.nanos(ticks)?.checked_add(offset.checked_mul(1_000_000_000)?).map(Time::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_and_binary_ticks_become_nanoseconds() {
        assert_eq!(Resolution::from_octet(6).time(1_500_000, 0), Some(Time::from_nanos(1_500_000_000)));
        assert_eq!(Resolution::from_octet(9).time(7, 2), Some(Time::from_nanos(2_000_000_007)));
        assert_eq!(Resolution::from_octet(0).time(3, -1), Some(Time::from_nanos(2_000_000_000)));
        assert_eq!(Resolution::from_octet(12).time(1_999, 0), Some(Time::from_nanos(1)));
        assert_eq!(Resolution::from_octet(0x80 | 10).time(1536, 0), Some(Time::from_nanos(1_500_000_000)));
    }

    #[test]
    fn no_octet_and_no_count_of_ticks_panics() {
        for octet in 0..=255 {
            for ticks in [0, 1, u64::MAX] {
                for offset in [0, i64::MIN, i64::MAX] {
                    let _ = Resolution::from_octet(octet).time(ticks, offset);
                }
            }
        }
        assert_eq!(Resolution::from_octet(6).time(u64::MAX, 0), None);
    }
}
