//! Opening what is watched. It may be long before the first byte comes, so that is waited for in a thread.

use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};
use portwitness::base::RunError;
use portwitness::capture::{Arrivals, CaptureFile, Reader};

use super::super::inputs::{Group, Source};
use super::stop::{Stop, Wish};

/// Signals are asked for so often.
const LOOK: Duration = Duration::from_millis(50);

/// What is read from.
pub(super) struct Opened {
    pub(super) reader: Reader,
    pub(super) arrivals: Arrivals,
    /// As the report names it.
    pub(super) name: String,
}

/// Opens the one input of a group, as soon as its first bytes are there.
///
/// # Errors
/// What cannot be read as a capture, and watching that ends before a byte came.
pub(super) fn open(group: &Group, stop: &Stop) -> Result<Opened, RunError> {
    let Some(input) = group.inputs.first() else { return Err(nothing("nothing to watch")) };
    let (id, source) = (input.id, input.source.clone());
    let (send, opened) = bounded(1);
    let open = move || {
        let file = match source {
            Source::Stdin => CaptureFile::stdin(id),
            Source::File(path) => CaptureFile::open(&path, id),
        };
        // Nobody waits any more: watching ended.
        let _too_late = send.send(file);
    };
    let spawned = thread::Builder::new().name("opening".to_owned()).spawn(open);
    spawned.map_err(|source| RunError::Io { path: "a thread".into(), doing: "begin", source })?;
    let file = loop {
        match opened.recv_timeout(LOOK) {
            Ok(file) => break file.map_err(|e| RunError::NoInput(e.to_string()))?,
            Err(RecvTimeoutError::Timeout) if stop.wish() == Wish::Go => {}
            Err(_) => return Err(nothing("the stream was empty when watching ended")),
        }
    };
    let name = file.name().to_owned();
    let (reader, arrivals) =
        file.live().map_err(|source| RunError::Io { path: name.clone().into(), doing: "read", source })?;
    Ok(Opened { reader, arrivals, name })
}

fn nothing(why: &str) -> RunError {
    RunError::NoInput(format!("{why}: nothing to judge"))
}
