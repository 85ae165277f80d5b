//! A union of half-open intervals of sequence numbers.

/// Sorted, disjoint, not touching.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Intervals {
    parts: Vec<(i64, i64)>,
    /// Bytes of gaps that were closed for lack of room: they count as uncovered still.
    closed: u64,
}

impl Intervals {
    /// Adds `[lo, hi)`. Most data arrives in order, and then only the last interval grows.
    pub(crate) fn insert(&mut self, lo: i64, hi: i64) {
        if lo >= hi {
            return;
        }
        if let Some(last) = self.parts.last_mut()
            && last.0 <= lo
        {
            if lo <= last.1 {
                last.1 = last.1.max(hi);
            } else {
                self.parts.push((lo, hi));
            }
            return;
        }
        let from = self.parts.partition_point(|p| p.1 < lo);
        let to = self.parts.partition_point(|p| p.0 <= hi);
        let touched = self.parts.get(from..to).unwrap_or(&[]);
        let lo = touched.first().map_or(lo, |p| p.0.min(lo));
        let hi = touched.last().map_or(hi, |p| p.1.max(hi));
        self.parts.splice(from..to.max(from), [(lo, hi)]);
    }

    /// Closes the oldest gaps until at most `max` intervals are left; whether any had to be closed.
    pub(crate) fn limit(&mut self, max: usize) -> bool {
        let full = self.parts.len() > max;
        while self.parts.len() > max {
            let first = self.parts.remove(0);
            if let Some(second) = self.parts.first_mut() {
                self.closed = self.closed.saturating_add(second.0.abs_diff(first.1));
                second.0 = first.0;
            }
        }
        full
    }

    /// Parts of `[lo, hi)` that are not covered, in order.
    pub(crate) fn missing(&self, lo: i64, hi: i64) -> impl Iterator<Item = (i64, i64)> + '_ {
        let from = self.parts.partition_point(|p| p.1 <= lo);
        let mut parts = self.parts.get(from..).unwrap_or(&[]).iter().peekable();
        let mut at = lo;
        std::iter::from_fn(move || {
            while at < hi {
                match parts.peek() {
                    Some(&&(a, b)) if a <= at => {
                        at = at.max(b);
                        parts.next();
                    }
                    next => {
                        let gap = (at, next.map_or(hi, |p| p.0.min(hi)));
                        at = gap.1;
                        return Some(gap);
                    }
                }
            }
            None
        })
    }

    /// Bytes covered.
    pub(crate) fn total(&self) -> u64 {
        self.parts.iter().map(|p| p.1.abs_diff(p.0)).fold(0, u64::saturating_add).saturating_sub(self.closed)
    }

    /// Bytes of gaps that were closed.
    pub(crate) const fn closed(&self) -> u64 {
        self.closed
    }

    /// Lowest number covered.
    pub(crate) fn lowest(&self) -> Option<i64> {
        self.parts.first().map(|p| p.0)
    }

    /// End of the highest interval.
    pub(crate) fn highest(&self) -> Option<i64> {
        self.parts.last().map(|p| p.1)
    }

    /// Takes in another union, moved up by `by`.
    pub(crate) fn merge(&mut self, other: &Self, by: i64) {
        self.closed = self.closed.saturating_add(other.closed);
        other.parts.iter().for_each(|p| self.insert(p.0.saturating_add(by), p.1.saturating_add(by)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_set_of_numbers() {
        let inserts = [(10, 20), (30, 40), (0, 5), (20, 30), (50, 60), (45, 48), (4, 12), (48, 50), (7, 7), (-5, 70)];
        let (mut it, mut set) = (Intervals::default(), std::collections::BTreeSet::new());
        for (lo, hi) in inserts {
            it.insert(lo, hi);
            set.extend(lo..hi);
            assert_eq!(it.total(), set.len() as u64, "after [{lo}, {hi})");
            let gaps: Vec<i64> = it.missing(-10, 80).flat_map(|(a, b)| a..b).collect();
            assert_eq!(gaps, (-10..80).filter(|n| !set.contains(n)).collect::<Vec<_>>());
            assert!(it.parts.windows(2).all(|w| w[0].1 < w[1].0), "{it:?}");
        }
    }

    #[test]
    fn a_closed_gap_still_counts_as_uncovered() {
        let mut it = Intervals::default();
        for n in 0..5 {
            it.insert(n * 10, n * 10 + 4);
        }
        assert!(it.limit(3));
        assert_eq!((it.total(), it.closed()), (20, 12));
    }
}
