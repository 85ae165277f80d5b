//! How far reading is, for people who wait: one line on standard error where that is a terminal, cleared at the end.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use portwitness::capture::Meter;

/// Nobody waits for what is done sooner.
const AFTER: Duration = Duration::from_secs(1);
/// Time between two looks.
const EVERY: Duration = Duration::from_millis(250);

/// Shows progress until it is dropped.
pub(super) struct Progress {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Shows how far reading `total` bytes is, or how much was read where the total is unknown.
    pub(super) fn start(meter: &Arc<Meter>, total: Option<u64>) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        if dumb || !io::stderr().is_terminal() {
            return Self { stop: None, thread: None };
        }
        let (stop, stopped) = mpsc::channel();
        let meter = Arc::clone(meter);
        let begun = Instant::now();
        let work = move || {
            let mut shown = 0;
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let took = begun.elapsed();
                if took >= AFTER {
                    let text = line(meter.read(), total.map(|t| t + meter.again()), took);
                    show(&text, &mut shown);
                }
            }
            if shown > 0 {
                show("", &mut shown);
            }
        };
        // Without a thread nothing is shown; reading does not depend on it.
        Self { stop: Some(stop), thread: thread::Builder::new().spawn(work).ok() }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was told, and costs nothing here.
            let _ended = thread.join();
        }
    }
}

/// Writes over what was shown before, without any control sequence a terminal may not know.
fn show(text: &str, shown: &mut usize) {
    let mut stderr = io::stderr().lock();
    let room = *shown;
    // There is nobody left to tell if standard error is closed.
    let _told = write!(stderr, "\r{text:<room$}");
    let _told = if text.is_empty() { write!(stderr, "\r") } else { Ok(()) };
    let _told = stderr.flush();
    *shown = text.len();
}

/// What is shown: at most 50 columns.
fn line(read: u64, total: Option<u64>, took: Duration) -> String {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = (u128::from(read) * 1000 / u128::from(millis)).try_into().unwrap_or(u64::MAX);
    let speed = format!("{}/s", size(rate));
    let Some(total) = total.filter(|&t| t >= read) else {
        return format!("read {}, {speed}", size(read));
    };
    let left = (total - read).checked_div(rate).map_or_else(String::new, |s| format!(", {} left", clock(s)));
    format!("read {} of {}, {speed}{left}", size(read), size(total))
}

/// Bytes with three or four digits.
fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000_000 => (1_000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit)
}

fn clock(secs: u64) -> String {
    match (secs / 3600, secs / 60 % 60, secs % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m}:{s:02} min"),
        (h, m, _) => format!("{h}:{m:02} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_time_left_are_told_where_the_total_is_known() {
        let two = Duration::from_secs(2);
        assert_eq!(line(1_500_000_000, Some(3_000_000_000), two), "read 1.5 GB of 3.0 GB, 750.0 MB/s, 2 s left");
        assert_eq!(line(0, Some(90_000), two), "read 0.0 kB of 90.0 kB, 0.0 kB/s");
        assert_eq!(line(10_000_000, None, two), "read 10.0 MB, 5.0 MB/s");
        assert_eq!(line(200_000, Some(100_000), two), "read 200.0 kB, 100.0 kB/s", "a file that grew");
        assert_eq!((clock(59), clock(61), clock(7_260)), ("59 s".into(), "1:01 min".into(), "2:01 h".into()));
        assert!(line(u64::MAX - 1, Some(u64::MAX), Duration::ZERO).len() > 10);
    }
}
