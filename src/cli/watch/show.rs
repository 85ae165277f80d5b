//! Printing events: one line each, flushed, in a thread of its own. A reader that takes its time, or a terminal that was
//! halted, must not keep packets from being taken in: what finds no room is counted, and the count is told.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use portwitness::base::RunError;
use portwitness::report::text::Style;
use portwitness::watch::{Event, plain};

/// Lines that may wait for the reader.
const WAITING: usize = 4096;

/// Where events are shown.
pub(super) struct Show {
    lines: Sender<String>,
    thread: JoinHandle<()>,
    closed: Arc<AtomicBool>,
    missed: u64,
    json: bool,
    style: Style,
}

impl Show {
    /// Begins; `style` is standard output's.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(super) fn new(json: bool, style: Style) -> Result<Self, RunError> {
        let (lines, waiting) = bounded(WAITING);
        let closed = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&closed);
        let spawned = thread::Builder::new().name("printing".to_owned()).spawn(move || print(&waiting, &told));
        let thread = spawned.map_err(|source| RunError::Io { path: "a thread".into(), doing: "begin", source })?;
        Ok(Self { lines, thread, closed, missed: 0, json, style })
    }

    /// Shows an event where there is room.
    pub(super) fn event(&mut self, event: &Event) {
        if self.missed > 0 {
            let note = self.line(&Event::NotShown { events: self.missed });
            if note.is_none_or(|line| self.lines.try_send(line).is_ok()) {
                self.missed = 0;
            }
        }
        if let Some(line) = self.line(event)
            && self.lines.try_send(line).is_err()
        {
            self.missed += 1;
        }
    }

    /// Shows one of the last events: it waits for room.
    pub(super) fn last(&mut self, event: &Event) {
        let missed = (self.missed > 0).then_some(Event::NotShown { events: self.missed });
        self.missed = 0;
        for event in missed.iter().chain([event]) {
            if let Some(line) = self.line(event) {
                // The printing thread is gone only where nobody reads.
                let _nobody_reads = self.lines.send(line);
            }
        }
    }

    /// Whether nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Waits until everything is printed.
    pub(super) fn finish(self) {
        drop(self.lines);
        // A panic there was told, and costs nothing here.
        let _ended = self.thread.join();
    }

    fn line(&self, event: &Event) -> Option<String> {
        if self.json {
            // Nothing in an event can fail to be JSON.
            return serde_json::to_string(event).ok();
        }
        plain(event, &self.style)
    }
}

fn print(lines: &Receiver<String>, closed: &AtomicBool) {
    for line in lines {
        let mut stdout = io::stdout().lock();
        if writeln!(stdout, "{line}").and_then(|()| stdout.flush()).is_err() {
            closed.store(true, Ordering::Relaxed);
            return;
        }
    }
}
