//! The screen where a terminal is there: a thread of its own draws what was judged last and reads keys, so that a terminal
//! that was halted keeps no packet from being taken in.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use portwitness::base::RunError;
use portwitness::report::Report;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};

use super::view::{Can, Screen, View, Wanted};

/// Keys are looked for so often, and so often the screen is drawn at most.
const EVERY: Duration = Duration::from_millis(100);

/// A rate that is older is none.
const QUIET: Duration = Duration::from_millis(1500);

/// What both threads know.
#[derive(Default)]
struct Shared {
    next: Mutex<Option<Arc<View>>>,
    quit: AtomicBool,
    done: AtomicBool,
}

/// A screen that is shown until it is dropped.
pub(super) struct Display {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    name: String,
    begun: Instant,
    /// When, and packets and bytes until then.
    last: (Instant, u64, u64),
    rate: (u64, u64),
    report: Option<Arc<Report>>,
}

impl Display {
    /// Takes the terminal.
    ///
    /// # Errors
    /// Where it cannot be drawn on.
    pub(super) fn begin(name: &str, can: Can) -> Result<Self, RunError> {
        let failed = |source| RunError::Io { path: "the terminal".into(), doing: "draw on", source };
        let terminal = ratatui::try_init().map_err(failed)?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let spawned = thread::Builder::new().name("screen".to_owned()).spawn(move || {
            // A terminal that is gone ends watching like its user would.
            if draw(terminal, &theirs, Screen::new(can)).is_err() {
                theirs.quit.store(true, Ordering::Relaxed);
            }
        });
        let thread = spawned.map_err(|e| {
            ratatui::restore();
            failed(e)
        })?;
        let now = Instant::now();
        Ok(Self {
            shared,
            thread: Some(thread),
            name: name.to_owned(),
            begun: now,
            last: (now, 0, 0),
            rate: (0, 0),
            report: None,
        })
    }

    /// Shows a report as judged so far.
    pub(super) fn show(&mut self, report: &Report) {
        let now = Instant::now();
        let (packets, bytes) = report.captures.iter().fold((0, 0), |n, c| (n.0 + c.packets, n.1 + c.bytes));
        let (before, old_packets, old_bytes) = self.last;
        let millis = u64::try_from((now - before).as_millis()).unwrap_or(u64::MAX);
        if millis >= 400 {
            let rate = |new: u64, old: u64| new.saturating_sub(old).saturating_mul(1000) / millis;
            self.rate = (rate(packets, old_packets), rate(bytes, old_bytes));
            self.last = (now, packets, bytes);
        }
        let report = Arc::new(report.clone());
        self.report = Some(Arc::clone(&report));
        self.publish(report);
    }

    /// Nothing came since: after a while there is no rate any more.
    pub(super) fn quiet(&mut self) {
        if self.rate != (0, 0) && self.last.0.elapsed() >= QUIET {
            self.rate = (0, 0);
            if let Some(report) = self.report.clone() {
                self.publish(report);
            }
        }
    }

    fn publish(&self, report: Arc<Report>) {
        let view = View { report, name: self.name.clone(), began: self.begun, rate: self.rate };
        *self.shared.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(view));
    }

    /// Whether its user wants to end it.
    pub(super) fn wants_to_quit(&self) -> bool {
        self.shared.quit.load(Ordering::Relaxed)
    }
}

impl Drop for Display {
    /// Gives the terminal back.
    fn drop(&mut self) {
        self.shared.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there was told, and costs nothing here.
            let _ended = thread.join();
        }
        ratatui::restore();
    }
}

fn draw(mut terminal: DefaultTerminal, shared: &Shared, mut screen: Screen) -> io::Result<()> {
    while !shared.done.load(Ordering::Relaxed) {
        if let Some(view) = shared.next.lock().unwrap_or_else(PoisonError::into_inner).take() {
            screen.show(view);
        }
        terminal.draw(|frame| screen.draw(frame))?;
        if event::poll(EVERY)? {
            let wanted = match event::read()? {
                Event::Key(key) => screen.key(key),
                _ => Wanted::Nothing,
            };
            if wanted == Wanted::Quit {
                shared.quit.store(true, Ordering::Relaxed);
            }
        }
    }
    Ok(())
}
