//! How far one place's clock is ahead of another's, from packets that both saw.
//!
//! As NTP does it (RFC 5905 section 8): a packet arrives after it left. What the originator sends passes one place first, what the
//! responder sends the other, so the two differences of stamps enclose the difference of the clocks, whichever place is nearer to
//! whom. Many connections each give such an interval; where most of them overlap is the answer (RFC 5905 section 11.2.1), and
//! half its width is the uncertainty. Clocks drift: what a connection says holds the less the further away the moment is, so the
//! comparison is made at several moments, and between them the uncertainty grows.

use crate::base::{Span, Time};

/// Where only one direction of a connection was seen at both places, its way from one to the other is taken to last no longer.
const LONGEST_WAY: i64 = 1_000_000_000;
/// Stamps of one packet may be this far out of order at one place: several queues, several cores.
const JITTER: i64 = 1_000_000;
/// Intervals looked at: of more, evenly chosen ones.
const SAMPLES: usize = 512;
/// Moments at which the clocks are compared, at most, and the least time between them, in nanoseconds.
const KNOTS: i64 = 64;
const KNOT_SPAN: i64 = 10_000_000_000;
/// How fast two clocks may run apart, in parts per billion: each may be wrong by half of that.
const UNWATCHED: u64 = 100_000;
/// Classic captures count time in microseconds.
const RESOLUTION: u64 = 1_000;

/// What one connection says: the second clock is ahead of the first by `lo` to `hi` nanoseconds, at `at` of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) at: i64,
    pub(super) lo: i64,
    pub(super) hi: i64,
}

impl Bound {
    /// From differences of stamps (second place minus first), of packets of the originator and of the responder; `None` where they
    /// contradict each other.
    pub(super) fn new(at: Time, out: &[i64], back: &[i64]) -> Option<Self> {
        let ends = |d: &[i64]| Some((*d.iter().min()?, *d.iter().max()?));
        let at = at.as_nanos();
        let (lo, hi) = match (ends(out), ends(back)) {
            (Some(one), None) | (None, Some(one)) => {
                (one.0.saturating_sub(LONGEST_WAY), one.1.saturating_add(LONGEST_WAY))
            }
            (Some(o), Some(b)) if b.1 <= o.0 => (b.1, o.0),
            (Some(o), Some(b)) if o.1 <= b.0 => (o.1, b.0),
            (Some(o), Some(b)) => {
                let (lo, hi) = (o.0.min(b.0), o.1.max(b.1));
                (lo, (hi.saturating_sub(lo) <= JITTER).then_some(hi)?)
            }
            (None, None) => return None,
        };
        Some(Self { at, lo, hi })
    }

    fn knot(&self, at: i64) -> Knot {
        let ahead = self.lo / 2 + self.hi / 2 + (self.lo % 2 + self.hi % 2) / 2;
        Knot { at, ahead, doubt: self.hi.abs_diff(self.lo).div_ceil(2).max(RESOLUTION) }
    }
}

/// How the clocks of two places differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::verdict) struct Link {
    knots: Vec<Knot>,
    connections: usize,
}

/// At a moment of the first clock: by how many nanoseconds the second one is ahead, and half the width of what that may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Knot {
    at: i64,
    ahead: i64,
    doubt: u64,
}

impl Link {
    /// From what connections say; `None` where there is none.
    pub(super) fn new(mut bounds: Vec<Bound>) -> Option<Self> {
        let connections = bounds.len();
        bounds.sort_unstable_by_key(|b| (b.at, b.lo, b.hi));
        let bounds = thin(&bounds, SAMPLES);
        let (first, last) = (bounds.first()?.at, bounds.last()?.at);
        let most = (bounds.len() * 2).div_ceil(3);
        let span = last.saturating_sub(first);
        let gaps = (span / KNOT_SPAN).clamp(0, KNOTS);
        let moments =
            (0..=gaps).map(|i| if gaps == 0 { first / 2 + last / 2 } else { first.saturating_add(span / gaps * i) });
        let knots: Option<Vec<Knot>> = moments.clone().map(|at| knot(&bounds, at, most)).collect();
        let knots = match knots {
            Some(knots) => knots,
            // A clock that was set in between: all that it may have been.
            None => {
                let all =
                    Bound { at: 0, lo: bounds.iter().map(|b| b.lo).min()?, hi: bounds.iter().map(|b| b.hi).max()? };
                moments.map(|at| all.knot(at)).collect()
            }
        };
        Some(Self { knots, connections })
    }

    /// How far the second clock is ahead at a moment of the first, and the uncertainty of that.
    fn ahead_at(&self, t: i64) -> (i64, u64) {
        let after = self.knots.partition_point(|k| k.at < t);
        let near = self.knots.get(after.saturating_sub(1)..).unwrap_or_default().iter().take(2);
        let Some(knot) = near.min_by_key(|k| k.at.abs_diff(t)) else { return (0, u64::MAX) };
        (knot.ahead, knot.doubt.saturating_add(run_away(knot.at, t)))
    }

    /// A moment of the first clock by the second.
    pub(super) fn forward(&self, t: Time) -> (Time, u64) {
        let (ahead, doubt) = self.ahead_at(t.as_nanos());
        (Time::from_nanos(t.as_nanos().saturating_add(ahead)), doubt)
    }

    /// A moment of the second clock by the first.
    pub(super) fn back(&self, t: Time) -> (Time, u64) {
        let near = t.as_nanos().saturating_sub(self.ahead());
        let (ahead, _) = self.ahead_at(near);
        let (ahead, doubt) = self.ahead_at(t.as_nanos().saturating_sub(ahead));
        (Time::from_nanos(t.as_nanos().saturating_sub(ahead)), doubt)
    }

    fn middle(&self) -> Option<&Knot> {
        self.knots.get(self.knots.len() / 2)
    }

    /// By how many nanoseconds the second clock is ahead, in the middle of the time compared; negative where it is behind.
    pub(in crate::verdict) fn ahead(&self) -> i64 {
        self.middle().map_or(0, |k| k.ahead)
    }

    /// Half the width of what that may be, in nanoseconds.
    pub(in crate::verdict) fn uncertainty(&self) -> Span {
        Span::from_nanos(self.middle().map_or(u64::MAX, |k| k.doubt))
    }

    /// By how much it changes, in parts per billion; 0 where less than its uncertainty.
    pub(in crate::verdict) fn drift(&self) -> i64 {
        let (Some(a), Some(b)) = (self.knots.first(), self.knots.last()) else { return 0 };
        let rise = i128::from(b.ahead) - i128::from(a.ahead);
        let span = i128::from(b.at) - i128::from(a.at);
        let told = rise.unsigned_abs() > u128::from(a.doubt) + u128::from(b.doubt);
        if told && span > 0 { i64::try_from(rise * 1_000_000_000 / span).unwrap_or_default() } else { 0 }
    }

    /// Connections it was worked out from.
    pub(in crate::verdict) const fn connections(&self) -> usize {
        self.connections
    }
}

/// What two thirds of the connections say at least, each as far as it holds at a moment before or after it.
fn knot(bounds: &[Bound], at: i64, most: usize) -> Option<Knot> {
    let wide: Vec<Bound> = bounds
        .iter()
        .map(|b| {
            let by = run_away(b.at, at);
            Bound { at, lo: b.lo.saturating_sub_unsigned(by), hi: b.hi.saturating_add_unsigned(by) }
        })
        .collect();
    let (votes, (lo, hi)) = overlap(&wide)?;
    (votes >= most).then(|| Bound { at, lo, hi }.knot(at))
}

/// How far two clocks may have drifted apart between two moments, in nanoseconds.
fn run_away(a: i64, b: i64) -> u64 {
    let more = u128::from(a.abs_diff(b)) * u128::from(UNWATCHED) / 1_000_000_000;
    u64::try_from(more).unwrap_or(u64::MAX)
}

/// So many of a list, evenly chosen.
fn thin(bounds: &[Bound], most: usize) -> Vec<Bound> {
    let step = bounds.len().div_ceil(most).max(1);
    bounds.iter().step_by(step).copied().collect()
}

/// The stretch that most intervals share, and how many do; the first of several.
fn overlap(bounds: &[Bound]) -> Option<(usize, (i64, i64))> {
    // At one value, beginnings come before ends: intervals that touch overlap.
    let mut edges: Vec<(i64, bool)> = bounds.iter().flat_map(|b| [(b.lo, false), (b.hi, true)]).collect();
    edges.sort_unstable();
    let (mut open, mut best) = (0usize, None::<(usize, i64, usize)>);
    for (i, &(value, end)) in edges.iter().enumerate() {
        if end {
            open = open.saturating_sub(1);
        } else {
            open += 1;
            if best.is_none_or(|(votes, ..)| open > votes) {
                best = Some((open, value, i));
            }
        }
    }
    let (votes, lo, i) = best?;
    let hi = edges.iter().skip(i).find(|(_, end)| *end)?.0;
    Some((votes, (lo, hi)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: i64 = 1_000_000;
    const S: i64 = 1_000 * MS;

    fn bound(at: i64, lo: i64, hi: i64) -> Bound {
        Bound { at, lo, hi }
    }

    #[test]
    fn both_directions_enclose_the_difference_whichever_place_is_nearer() {
        // The second clock is 5 ms ahead; either way takes 1 ms.
        let near_first = Bound::new(Time::from_nanos(0), &[6 * MS], &[4 * MS]).unwrap();
        let near_second = Bound::new(Time::from_nanos(0), &[4 * MS], &[6 * MS]).unwrap();
        assert_eq!((near_first.lo, near_first.hi), (4 * MS, 6 * MS));
        assert_eq!(near_first, near_second);
        assert_eq!(
            Bound::new(Time::from_nanos(0), &[0, 9 * S], &[4 * S]),
            None,
            "packets that contradict each other say nothing"
        );
    }

    #[test]
    fn most_connections_outvote_a_wrong_one() {
        let right = (0..9).map(|i| bound(i * MS, 4 * MS - i, 6 * MS + i));
        let link = Link::new(right.chain([bound(5 * MS, -S, -S + 1)]).collect()).unwrap();
        assert!(
            link.ahead().abs_diff(5 * MS) < 1_000 && link.uncertainty().as_nanos().abs_diff(1_000_000) < 1_000,
            "{link:?}"
        );
        assert_eq!((link.connections(), link.drift()), (10, 0));
    }

    #[test]
    fn clocks_that_were_set_are_as_uncertain_as_the_step() {
        let link = Link::new((0..10).map(|i| bound(i * S, (i / 5) * S, (i / 5) * S + MS)).collect()).unwrap();
        assert!(link.uncertainty().as_nanos() >= 500_000_000, "{link:?}");
    }

    #[test]
    fn a_drift_is_told_where_it_exceeds_the_uncertainty() {
        let link = Link::new((0..100).map(|i| bound(i * 60 * S, i * 2 * MS, i * 2 * MS + MS)).collect()).unwrap();
        assert!((32_000..35_000).contains(&link.drift()), "{}", link.drift());
    }

    #[test]
    fn a_few_slow_ways_are_not_taken_for_a_drift() {
        // Found by the property below: a slope fitted through such bounds was 45 ms off at the first of them.
        let bounds = [(0, 0, 0), (1_739 * S, 7 * MS, 0), (1_840 * S, 0, 7 * MS), (2_033 * S, 0, 6 * MS)];
        let truth = |at: i64| at / S * 25_060;
        let link =
            Link::new(bounds.iter().map(|&(at, out, back)| bound(at, truth(at) - back, truth(at) + out)).collect());
        let (found, doubt) = link.unwrap().ahead_at(0);
        assert!(found.unsigned_abs() <= doubt, "{found} ±{doubt}");
    }

    proptest! {
        #[test]
        fn the_true_difference_lies_within_the_uncertainty_also_where_a_clock_drifts(
            ahead in -7_200 * S..7_200 * S,
            drift in -100_000..100_000i64,
            ways in prop::collection::vec((10_000..20 * MS, 10_000..20 * MS, 0..3_600 * S), 1..60),
            asked in prop::collection::vec(-3_600 * S..7_200 * S, 8),
        ) {
            let truth = |at: i64| ahead + i64::try_from(i128::from(at) * i128::from(drift) / 1_000_000_000).unwrap();
            let told = |&(out, back, at): &(i64, i64, i64)| Bound::new(Time::from_nanos(at), &[truth(at) + out], &[truth(at) - back]);
            let link = Link::new(ways.iter().filter_map(told).collect()).unwrap();
            for at in asked {
                let (found, doubt) = link.ahead_at(at);
                prop_assert!(found.abs_diff(truth(at)) <= doubt + 2, "{found} {} ±{doubt}", truth(at));
                let (there, doubt) = link.back(Time::from_nanos(at + truth(at)));
                prop_assert!(there.as_nanos().abs_diff(at) <= doubt + 2, "back");
            }
        }
    }
}
