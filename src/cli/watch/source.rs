//! What is watched: a stream, or interfaces of this host. Interfaces need privileges to be opened and none afterwards; a
//! stream's first byte may be long in coming, so that is waited for in a thread.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};
#[cfg(live_capture)]
use portwitness::base::InputId;
use portwitness::base::RunError;
#[cfg(live_capture)]
use portwitness::capture::interfaces::{Asked, Halt, Interfaces};
use portwitness::capture::{Arrivals, CaptureFile, Growth};

#[cfg(live_capture)]
use super::super::complain;
use super::super::inputs::{self, Group};
use super::engine::{self, Beside, Counting};
use super::interfaces::Wanted;
#[cfg(live_capture)]
use super::keep::Keep;
use super::privilege;
use super::stop::{Rotation, Stop, Wish};

/// Signals are asked for so often.
const LOOK: Duration = Duration::from_millis(50);

/// What is read from.
pub(super) struct Opened {
    pub(super) reader: Box<dyn Growth>,
    pub(super) arrivals: Arrivals,
    /// As the report names it.
    pub(super) name: String,
    /// Ends a source that is ours.
    pub(super) halt: Option<Halt>,
}

/// What is to be watched, before any thread began.
pub(super) enum Source {
    /// A stream that another program writes.
    Stream,
    /// Interfaces, open.
    Interfaces(Box<Open>),
    /// Interfaces, counted on in the kernel.
    Counting(Box<Counting>),
    /// Either of these, and what the host's kernel says beside packets.
    Beside(Box<Source>, Box<Beside>),
}

/// Opens interfaces, where some are wanted.
///
/// # Errors
/// An interface that cannot be captured on.
pub(super) fn prepare(wanted: Option<&Wanted>) -> Result<Source, RunError> {
    let Some(wanted) = wanted else { return Ok(Source::Stream) };
    let source = match engine::open(wanted)? {
        Some(counting) => Source::Counting(counting),
        None => Open::new(wanted).map(Box::new).map(Source::Interfaces)?,
    };
    Ok(match Beside::open(wanted) {
        Some(beside) => Source::Beside(Box::new(source), beside),
        None => source,
    })
}

impl Source {
    /// Gives up every privilege. Files are made before where one is enough, and after where more will be made, so that it is
    /// known at once whether they can be.
    ///
    /// # Errors
    /// Where privileges cannot be given up, or a file cannot be made.
    pub(super) fn without_privileges(mut self, group: &Group) -> Result<Self, RunError> {
        let named = group.inputs.iter().any(|i| matches!(i.source, inputs::Source::File(_)));
        self.keep(false)?;
        // A pipe that has a name is opened by a thread later, and may need them.
        if !named {
            privilege::drop_all().map_err(|source| RunError::Io {
                path: "privileges".into(),
                doing: "give up",
                source,
            })?;
            // The more, the better; without it nothing can be gained either.
            let _confined = privilege::confine(&self.folder());
        }
        self.keep(true)?;
        Ok(self)
    }

    /// Where files will still be made.
    fn folder(&self) -> Vec<&Path> {
        match self {
            Self::Stream | Self::Counting(_) => Vec::new(),
            Self::Interfaces(open) => open.folder(),
            Self::Beside(source, _) => source.folder(),
        }
    }

    fn keep(&mut self, rotating: bool) -> Result<(), RunError> {
        match self {
            Self::Stream | Self::Counting(_) => Ok(()),
            Self::Interfaces(open) => open.keep(rotating),
            Self::Beside(source, _) => source.keep(rotating),
        }
    }

    /// Begins to read, as soon as the first bytes are there.
    ///
    /// # Errors
    /// What cannot be read as a capture, and watching that ends before a byte came.
    pub(super) fn open(self, group: &Group, stop: &Stop) -> Result<Opened, RunError> {
        match self {
            Self::Stream => stream(group, stop),
            Self::Interfaces(open) => open.start(stop.rotation()),
            Self::Counting(counting) => counting.start(),
            Self::Beside(source, beside) => source.open(group, stop).map(|opened| beside.with(opened)),
        }
    }
}

fn stream(group: &Group, stop: &Stop) -> Result<Opened, RunError> {
    let Some(input) = group.inputs.first() else { return Err(nothing("nothing to watch")) };
    let (id, source) = (input.id, input.source.clone());
    let (send, opened) = bounded(1);
    let open = move || {
        let file = match source {
            inputs::Source::Stdin => CaptureFile::stdin(id),
            inputs::Source::File(path) => CaptureFile::open(&path, id),
        };
        // Nobody waits any more: watching ended.
        let _too_late = send.send(file);
    };
    let spawned = thread::Builder::new().name("opening".to_owned()).spawn(open);
    spawned.map_err(|source| RunError::Io { path: "a thread".into(), doing: "begin", source })?;
    let file = loop {
        match opened.recv_timeout(LOOK) {
            Ok(file) => break file.map_err(|e| RunError::NoInput(e.to_string()))?,
            Err(RecvTimeoutError::Timeout) if stop.wish(false) == Wish::Go => {}
            Err(_) => return Err(nothing("the stream was empty when watching ended")),
        }
    };
    read(file, None)
}

fn read(file: CaptureFile, halt: Option<Halt>) -> Result<Opened, RunError> {
    let name = file.name().to_owned();
    let (reader, arrivals) =
        file.live().map_err(|source| RunError::Io { path: name.clone().into(), doing: "read", source })?;
    Ok(Opened { reader: Box::new(reader), arrivals, name, halt })
}

fn nothing(why: &str) -> RunError {
    RunError::NoInput(format!("{why}: nothing to judge"))
}

/// Interfaces that are open, and the file that keeps what they show.
#[cfg(live_capture)]
pub(super) struct Open {
    interfaces: Interfaces,
    wanted: Wanted,
    keep: Option<Keep>,
}

#[cfg(live_capture)]
impl Open {
    fn new(wanted: &Wanted) -> Result<Self, RunError> {
        let asked = Asked {
            interfaces: wanted.interfaces.clone(),
            snaplen: wanted.snaplen,
            buffer: wanted.buffer,
            promiscuous: wanted.promiscuous,
            filters: wanted.filters.clone(),
            strict: wanted.strict,
        };
        let interfaces = Interfaces::open(&asked).map_err(|e| RunError::NoInput(e.to_string()))?;
        interfaces.notes.iter().for_each(|n| complain(n));
        Ok(Self { interfaces, wanted: wanted.clone(), keep: None })
    }

    fn folder(&self) -> Vec<&Path> {
        let folder = self.wanted.keep.iter().filter_map(|how| how.path.parent());
        folder.map(|f| if f.as_os_str().is_empty() { Path::new(".") } else { f }).collect()
    }

    fn keep(&mut self, rotating: bool) -> Result<(), RunError> {
        if let Some(how) = self.wanted.keep.clone().filter(|how| how.rotates() == rotating) {
            self.keep = Some(Keep::begin(how, self.interfaces.head())?);
        }
        Ok(())
    }

    fn start(self, rotation: Rotation) -> Result<Opened, RunError> {
        let halt = Halt::default();
        let (name, mut keep) = (self.wanted.name(), self.keep.map(|k| k.on(rotation)));
        let keep = move |batch: &[u8]| keep.iter_mut().for_each(|k| k.batch(batch));
        let stream = self.interfaces.start(&halt, keep);
        let stream = stream.map_err(|source| RunError::Io { path: "a thread".into(), doing: "begin", source })?;
        let file = CaptureFile::from_read(&name, InputId(0), stream).map_err(|e| RunError::NoInput(e.to_string()))?;
        read(file, Some(halt))
    }
}

/// This program cannot capture.
#[cfg(not(live_capture))]
pub(super) enum Open {}

/// Nothing is ours to end.
#[cfg(not(live_capture))]
pub(super) enum Halt {}

#[cfg(not(live_capture))]
impl Halt {
    pub(super) const fn ask(&self) {
        match *self {}
    }
}

#[cfg(not(live_capture))]
impl Open {
    fn new(wanted: &Wanted) -> Result<Self, RunError> {
        Err(RunError::Config(format!(
            "cannot capture on {}: this program was built without live capture; pipe another program's capture into \"portwitness watch -\"",
            wanted.name()
        )))
    }

    fn folder(&self) -> Vec<&Path> {
        match *self {}
    }

    fn keep(&mut self, _: bool) -> Result<(), RunError> {
        match *self {}
    }

    fn start(self, _: Rotation) -> Result<Opened, RunError> {
        match self {}
    }
}
