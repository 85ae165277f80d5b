//! What ends watching from outside, signals and the clock; and the signal that begins another kept file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portwitness::base::RunError;
use portwitness::watch::Ended;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// After a signal what still comes is taken in for so long: the capturing program of a pipeline got it, too, and writes out
/// what it holds.
const GRACE: Duration = Duration::from_secs(2);
/// Status of a process that its user ended twice.
const TWICE: i32 = 130;

/// What is wished for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Go on.
    Go,
    /// Stop, for this reason.
    Stop(Ended),
}

/// A request to begin another kept file, seen by whoever takes it first.
#[derive(Clone, Debug, Default)]
pub(super) struct Rotation(Arc<AtomicBool>);

impl Rotation {
    /// Asks for it.
    #[cfg(test)]
    pub(super) fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked for since this was asked last.
    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Watches for the end.
pub(super) struct Stop {
    signal: Arc<AtomicBool>,
    rotation: Rotation,
    asked: std::cell::Cell<Option<Instant>>,
    until: Option<Instant>,
}

impl Stop {
    /// Catches Ctrl-C and requests to terminate; the second one ends the process at once. With `keeping`, a hangup is a request
    /// for another file, as daemons have it; otherwise it stays what it is.
    ///
    /// # Errors
    /// Where the system lets no signal be caught.
    pub(super) fn new(time: Option<Duration>, keeping: bool) -> Result<Self, RunError> {
        let failed = |source| RunError::Io { path: "a signal".into(), doing: "catch", source };
        let signal = Arc::new(AtomicBool::new(false));
        for n in [SIGINT, SIGTERM] {
            // The order matters: the first signal finds the flag unset.
            flag::register_conditional_shutdown(n, TWICE, Arc::clone(&signal))
                .and_then(|_| flag::register(n, Arc::clone(&signal)))
                .map_err(failed)?;
        }
        let rotation = Rotation::default();
        if keeping {
            catch_hangup(&rotation).map_err(failed)?;
        }
        Ok(Self { signal, rotation, asked: std::cell::Cell::new(None), until: time.map(|t| Instant::now() + t) })
    }

    /// The request for another kept file.
    pub(super) fn rotation(&self) -> Rotation {
        self.rotation.clone()
    }

    /// Whether a signal came.
    pub(super) fn was_asked(&self) -> bool {
        self.signal.load(Ordering::Relaxed)
    }

    /// What is wished for now. `own`: the source is ours to end, and nothing is to be waited for.
    pub(super) fn wish(&self, own: bool) -> Wish {
        let now = Instant::now();
        if self.was_asked() {
            if own {
                return Wish::Stop(Ended::Signal);
            }
            let asked = self.asked.get().unwrap_or(now);
            self.asked.set(Some(asked));
            return if now >= asked + GRACE { Wish::Stop(Ended::Signal) } else { Wish::Go };
        }
        match self.until {
            Some(until) if now >= until => Wish::Stop(Ended::Time),
            _ => Wish::Go,
        }
    }
}

#[cfg(unix)]
fn catch_hangup(rotation: &Rotation) -> std::io::Result<()> {
    flag::register(signal_hook::consts::SIGHUP, Arc::clone(&rotation.0)).map(drop)
}

/// Windows has no such signal.
#[cfg(not(unix))]
fn catch_hangup(_: &Rotation) -> std::io::Result<()> {
    Ok(())
}

/// Reads `90s`, `30m`, `2h`; a bare number is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected a time such as 90s, 30m or 2h".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(expected()),
    };
    let n: u64 = digits.parse().map_err(|_| expected())?;
    n.checked_mul(unit).filter(|&n| n > 0 && n < 1 << 32).map(Duration::from_secs).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_or_are_seconds() {
        let secs = |t: &str| duration(t).map(|d| d.as_secs());
        assert_eq!((secs("90s"), secs("30m"), secs("2h"), secs("5")), (Ok(90), Ok(1800), Ok(7200), Ok(5)));
        for wrong in ["", "0", "m", "-1s", "1d", "1.5h", "99999999999h"] {
            assert!(secs(wrong).is_err_and(|e| e.contains("30m")), "{wrong}");
        }
    }
}
