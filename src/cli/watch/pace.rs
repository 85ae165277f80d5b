//! When to judge: at most twice a second, and never for more than a tenth of the time.

use std::time::{Duration, Instant};

/// Between two judgements.
const EVERY: Duration = Duration::from_millis(500);
/// Of the time, one part in so many may go into judging: taking in packets comes first.
const ONE_IN: u32 = 10;

/// Says when the next judgement is due.
#[derive(Debug, Default)]
pub(super) struct Pace {
    next: Option<Instant>,
}

impl Pace {
    /// Whether it is time.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| now >= next)
    }

    /// Does the work and lets its cost decide when it may be done again.
    pub(super) fn timed<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        let cost = begun.elapsed();
        self.next = Some(begun + rest(cost));
        done
    }
}

/// From one beginning to the next.
fn rest(cost: Duration) -> Duration {
    cost.saturating_mul(ONE_IN).max(EVERY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dear_is_done_less_often() {
        assert_eq!(rest(Duration::from_millis(3)), EVERY);
        assert_eq!(rest(Duration::from_millis(300)), Duration::from_secs(3));
        let mut pace = Pace::default();
        assert!(pace.is_due(Instant::now()));
        let begun = Instant::now();
        pace.timed(|| ());
        assert!(!pace.is_due(begun) && pace.is_due(begun + EVERY * 2));
    }
}
