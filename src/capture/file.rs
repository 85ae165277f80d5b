//! Opening captures: what can be read, and clear words about what cannot.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::detect::{self, Kind};
use super::pcap::{self, HeaderError};
use super::reader::Reader;
use super::resync;
use super::segment::{Context, Format, Section, SegmentStart};
use super::window::{Source, Window, read_at};
use crate::base::{InputId, WireText};

/// How far a pcapng file is read to learn its interfaces before segments are guessed.
const PROLOGUE: u64 = 1024 * 1024;

/// An input whose format was recognised.
pub struct CaptureFile {
    name: String,
    input: InputId,
    bytes: Bytes,
    /// What is declared before the first record, and where that record begins.
    start: (u64, Context),
    /// What is declared before the first packet.
    declared: Context,
}

enum Bytes {
    File(Arc<File>, u64),
    Stream(Box<dyn Read + Send>, Vec<u8>),
}

/// Why an input cannot be read as a capture.
#[derive(Debug)]
pub struct OpenError {
    /// The input as the user named it.
    pub name: String,
    /// The reason.
    pub reason: OpenReason,
}

/// The reason of an [`OpenError`].
#[derive(Debug)]
pub enum OpenReason {
    /// There is no such file.
    Missing,
    /// It is a directory.
    Directory,
    /// The system does not allow reading it.
    Permission,
    /// The system could not read it.
    Io(io::Error),
    /// It has no bytes at all.
    Empty,
    /// It ends inside the file header, after this many bytes.
    HeaderCut(usize),
    /// pcap of a version nobody documented.
    Version(u16, u16),
    /// Compressed, by the named program.
    Compressed(&'static str),
    /// A format that is known and not read.
    Format(&'static str),
    /// Nothing known; the first bytes.
    Unrecognised(Vec<u8>),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}: ", WireText::new(self.name.as_bytes()).terminal())?;
        match &self.reason {
            OpenReason::Missing => f.write_str("no such file"),
            OpenReason::Directory => f.write_str("it is a directory; expected a pcap or pcapng file"),
            OpenReason::Permission => f.write_str("permission denied"),
            OpenReason::Io(e) => write!(f, "{e}"),
            OpenReason::Empty => f.write_str("it is empty; expected a pcap or pcapng file"),
            OpenReason::HeaderCut(n) => {
                write!(f, "it ends after {n} of the {} bytes of a pcap file header", pcap::HEADER)
            }
            OpenReason::Version(major, minor) => {
                write!(f, "it is pcap version {major}.{minor}; expected version 2.4 or older 2.x")
            }
            OpenReason::Compressed(by) => {
                write!(f, "it is {by}-compressed: not read by this version; decompress it first")
            }
            OpenReason::Format(what) => write!(f, "it is {what}; expected pcap or pcapng"),
            OpenReason::Unrecognised(head) => {
                f.write_str("its format is not recognised (it begins with")?;
                head.iter().take(8).try_for_each(|b| write!(f, " {b:02x}"))?;
                f.write_str("); expected pcap or pcapng")
            }
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            OpenReason::Io(e) => Some(e),
            _ => None,
        }
    }
}

impl From<io::Error> for OpenReason {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::PermissionDenied => Self::Permission,
            io::ErrorKind::IsADirectory => Self::Directory,
            _ => Self::Io(e),
        }
    }
}

impl CaptureFile {
    /// Opens a file, or a pipe that has a name, and recognises its format.
    pub fn open(path: &Path, input: InputId) -> Result<Self, OpenError> {
        let name = path.to_string_lossy().into_owned();
        Self::open_path(path, &name, input).map_err(|reason| OpenError { name, reason })
    }

    fn open_path(path: &Path, name: &str, input: InputId) -> Result<Self, OpenReason> {
        // Before opening: opening a directory succeeds on some systems and says "permission denied" on others.
        if path.metadata()?.is_dir() {
            return Err(OpenReason::Directory);
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Self::from_stream(name, input, Box::new(file));
        }
        let file = Arc::new(file);
        let head = read_head(|buf, at| read_at(&file, buf, at))?;
        let start = recognise(&head)?;
        Ok(Self::new(name, input, Bytes::File(file, metadata.len()), start))
    }

    /// Reads standard input, named `-`.
    pub fn stdin(input: InputId) -> Result<Self, OpenError> {
        Self::from_read("-", input, Box::new(io::stdin()))
    }

    /// Reads anything that can only be read forwards.
    pub fn from_read(name: &str, input: InputId, read: Box<dyn Read + Send>) -> Result<Self, OpenError> {
        Self::from_stream(name, input, read).map_err(|reason| OpenError { name: name.to_owned(), reason })
    }

    fn from_stream(name: &str, input: InputId, mut read: Box<dyn Read + Send>) -> Result<Self, OpenReason> {
        let head = read_head(|buf, _| read.read(buf))?;
        let start = recognise(&head)?;
        Ok(Self::new(name, input, Bytes::Stream(read, head), start))
    }

    fn new(name: &str, input: InputId, bytes: Bytes, start: (u64, Context)) -> Self {
        let declared = start.1.clone();
        let mut this = Self { name: name.to_owned(), input, bytes, start, declared };
        this.declared = this.prologue();
        this
    }

    /// What a pcapng file declares before its first packet.
    fn prologue(&self) -> Context {
        let (offset, context) = self.start.clone();
        let Some(mut reader) = self.reader_at(offset, context, PROLOGUE).filter(|_| self.format() == "pcapng") else {
            return self.declared.clone();
        };
        // The context changes only while no frame was met; problems come again when the file is read.
        while reader.advance().is_none() && reader.pending.pop_front().is_some() {}
        Context { carried: None, ..reader.context().clone() }
    }

    /// The input as the user named it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `pcap`, `pcap (nanosecond)`, `pcap (modified)` or `pcapng`.
    pub const fn format(&self) -> &'static str {
        self.start.1.name()
    }

    /// Whether it can be read in segments: it is a regular file.
    pub const fn is_segmentable(&self) -> bool {
        matches!(self.bytes, Bytes::File(..))
    }

    /// Bytes of the file when it was opened; `None` for a stream.
    #[expect(clippy::len_without_is_empty, reason = "an empty file is never opened")]
    pub const fn len(&self) -> Option<u64> {
        match &self.bytes {
            Bytes::File(_, len) => Some(*len),
            Bytes::Stream(..) => None,
        }
    }

    /// Reads everything in one go.
    pub fn frames(self) -> Reader {
        let (offset, context) = self.start;
        let (source, head) = match self.bytes {
            Bytes::File(file, _) => (Source::File { file, pos: offset }, Vec::new()),
            Bytes::Stream(read, head) => {
                (Source::Stream(read), head.get(usize::try_from(offset).unwrap_or(0)..).unwrap_or(&[]).to_vec())
            }
        };
        Reader::new(self.input, Window::new(source, offset, &head), context, 0, u64::MAX)
    }

    /// Where the first segment begins.
    pub fn first_segment(&self) -> SegmentStart {
        SegmentStart::Exact { offset: 0, context: self.start.1.clone() }
    }

    /// A start for a segment somewhere in the file.
    pub fn guess(&self, offset: u64) -> SegmentStart {
        SegmentStart::Guess { offset, context: self.declared.clone() }
    }

    /// Reads the records that begin from `start` on and before `end`. Frames are numbered from 1.
    ///
    /// `None` where [`Self::is_segmentable`] is false.
    pub fn read_segment(&self, start: SegmentStart, end: u64) -> Option<Reader> {
        let (offset, context) = match start {
            SegmentStart::Exact { offset, context } => return self.reader_at(offset, context, end),
            SegmentStart::Guess { offset, context } => (offset, context),
        };
        let Bytes::File(file, len) = &self.bytes else { return None };
        // A read error is met again, and told, when the segment is read in order.
        let found = resync::first_record(file, *len, &context.format, offset).unwrap_or(None);
        let reader = self.reader_at(found.unwrap_or(offset), context, end)?.guessed();
        Some(if found.is_some() { reader } else { reader.lost() })
    }

    fn reader_at(&self, offset: u64, context: Context, end: u64) -> Option<Reader> {
        let Bytes::File(file, _) = &self.bytes else { return None };
        // The file header belongs to the first segment's bytes.
        let pos = offset.max(self.start.0);
        let source = Source::File { file: Arc::clone(file), pos };
        Some(Reader::new(self.input, Window::new(source, pos, &[]), context, offset, end))
    }
}

/// The first bytes, at most [`detect::WANTED`].
fn read_head(mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>) -> io::Result<Vec<u8>> {
    let mut head = vec![0; detect::WANTED];
    let mut got = 0;
    while let Some(room) = head.get_mut(got..).filter(|r| !r.is_empty()) {
        match read(room, got as u64) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    head.truncate(got);
    Ok(head)
}

/// What is declared at the start, and the offset of the first record.
fn recognise(head: &[u8]) -> Result<(u64, Context), OpenReason> {
    if head.is_empty() {
        return Err(OpenReason::Empty);
    }
    let format = match detect::kind(head) {
        Kind::Pcap => Format::Pcap(pcap::Header::parse(head).map_err(|e| match e {
            HeaderError::Short => OpenReason::HeaderCut(head.len()),
            HeaderError::Version(major, minor) => OpenReason::Version(major, minor),
            HeaderError::NotPcap => OpenReason::Unrecognised(head.to_vec()),
        })?),
        Kind::Pcapng => Format::Pcapng(Section::default()),
        Kind::Compressed(by) => return Err(OpenReason::Compressed(by)),
        Kind::Other(what) => return Err(OpenReason::Format(what)),
        Kind::Text => return Err(OpenReason::Format("text")),
        Kind::Unknown => return Err(OpenReason::Unrecognised(head.to_vec())),
    };
    let offset = if matches!(format, Format::Pcap(_)) { pcap::HEADER as u64 } else { 0 };
    Ok((offset, Context { format, carried: None }))
}
