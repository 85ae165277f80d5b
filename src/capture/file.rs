//! Opening captures: what can be read, and clear words about what cannot.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::detect::{self, Kind};
use super::event::FrameSource as _;
use super::live::{Arrivals, relayed};
use super::packed::{Codec, Unpacked};
use super::pcap::{self, HeaderError};
use super::reader::Reader;
use super::segment::{Context, Format, Section, SegmentStart};
use super::source::{Digest, InOrder, Meter, Metered, Recorder, Sips, Stream, again, ahead, digested};
use super::window::{Source, Window, read_at};
use super::{resync, snoop};
use crate::base::{InputId, Time, visible};

/// How far a pcapng file is read to learn its interfaces before segments are guessed.
const PROLOGUE: u64 = 1024 * 1024;

/// An input whose format was recognised.
pub struct CaptureFile {
    name: String,
    input: InputId,
    bytes: Bytes,
    packing: Option<Codec>,
    hashed: bool,
    meter: Option<Arc<Meter>>,
    /// What is declared before the first record, and where that record begins.
    start: (u64, Context),
    /// What is declared before the first packet.
    declared: Context,
}

enum Bytes {
    File(Arc<File>, u64),
    /// What is left of a stream, and what was read of it to recognise it.
    Stream(Stream, Vec<u8>),
}

impl Bytes {
    /// All of it, from its beginning.
    fn whole(self) -> Stream {
        match self {
            Self::File(file, _) => Box::new(InOrder::new(file)),
            Self::Stream(stream, head) => again(head, stream),
        }
    }
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
    /// It ends inside the file header, after this many bytes of so many.
    HeaderCut(usize, usize),
    /// pcap of a version nobody documented.
    Version(u16, u16),
    /// snoop of a version nobody documented.
    SnoopVersion(u32),
    /// snoop of a data link that has no link type.
    SnoopLink(u32),
    /// Compressed, by the named program.
    Compressed(&'static str),
    /// Compressed by the second named program and again by the first.
    Nested(&'static str, &'static str),
    /// What it is compressed with was undone; what is inside cannot be read.
    Inside(&'static str, Box<OpenReason>),
    /// A format that is known and not read.
    Format(&'static str),
    /// A saved observation that cannot be read: why.
    Observation(String),
    /// Nothing known; the first bytes.
    Unrecognised(Vec<u8>),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}: {}", visible(&self.name), self.reason)
    }
}

impl fmt::Display for OpenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no such file"),
            Self::Directory => f.write_str("it is a directory; expected a pcap or pcapng file"),
            Self::Permission => f.write_str("permission denied"),
            Self::Io(e) => write!(f, "{e}"),
            Self::Empty => f.write_str("it is empty; expected a pcap or pcapng file"),
            Self::HeaderCut(n, of) => write!(f, "it ends after {n} of the {of} bytes of its file header"),
            Self::Version(major, minor) => {
                write!(f, "it is pcap version {major}.{minor}; expected version 2.4 or older 2.x")
            }
            Self::SnoopVersion(n) => write!(f, "it is snoop version {n}; expected version 2"),
            Self::SnoopLink(n) => write!(f, "it is a snoop capture of data link {n}, which is not read"),
            Self::Compressed(by) => {
                write!(
                    f,
                    "it is {by}-compressed: not read; decompress it first (gzip, zstd and xz are read as they are)"
                )
            }
            Self::Nested(outer, inner) => {
                write!(f, "it is {outer}-compressed and {inner}-compressed inside: decompress it once first")
            }
            Self::Inside(by, reason) => write!(f, "it is {by}-compressed, and inside {reason}"),
            Self::Format(what) => write!(f, "it is {what}; expected pcap or pcapng"),
            Self::Observation(why) => write!(f, "it is a saved observation: {why}"),
            Self::Unrecognised(head) => {
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
        let (packing, start) = match packing(&head) {
            None => (None, recognise(&head)?),
            Some(codec) => (Some(codec), inside(codec, Box::new(InOrder::new(Arc::clone(&file))))?),
        };
        Ok(Self::new(name, input, Bytes::File(file, metadata.len()), packing, start))
    }

    /// Reads standard input, named `-`.
    pub fn stdin(input: InputId) -> Result<Self, OpenError> {
        Self::from_read("-", input, Box::new(io::stdin()))
    }

    /// Reads anything that can only be read forwards.
    pub fn from_read(name: &str, input: InputId, read: Box<dyn Read + Send>) -> Result<Self, OpenError> {
        Self::from_stream(name, input, read).map_err(|reason| OpenError { name: name.to_owned(), reason })
    }

    fn from_stream(name: &str, input: InputId, mut read: Stream) -> Result<Self, OpenReason> {
        // Who writes the stream may have written no more than the header yet.
        let head = read_head_until(|buf, _| read.read(buf), has_header)?;
        let Some(codec) = packing(&head) else {
            let start = recognise(&head)?;
            return Ok(Self::new(name, input, Bytes::Stream(read, head), None, start));
        };
        let recorder = Recorder::new(head, read);
        let start = inside(codec, recorder.reader())?;
        let (head, read) = recorder.rewind()?;
        Ok(Self::new(name, input, Bytes::Stream(read, head), Some(codec), start))
    }

    fn new(name: &str, input: InputId, bytes: Bytes, packing: Option<Codec>, start: (u64, Context)) -> Self {
        let (name, declared) = (name.to_owned(), start.1.clone());
        let mut this = Self { name, input, bytes, packing, hashed: false, meter: None, start, declared };
        this.declared = this.prologue();
        this
    }

    /// The same input, of which the very bytes that are read are digested: [`super::InputMeta::sha256`]. It is then read in
    /// order by one thread, whose buffers go to one that digests and one that decodes.
    #[must_use]
    pub fn hashed(self) -> Self {
        Self { hashed: true, ..self }
    }

    /// The same input, whose reading is counted.
    #[must_use]
    pub fn metered(self, meter: Arc<Meter>) -> Self {
        Self { meter: Some(meter), ..self }
    }

    /// What a pcapng file declares before its first packet.
    fn prologue(&self) -> Context {
        let (offset, context) = self.start.clone();
        let guessed = self.is_segmentable() && self.format() == "pcapng";
        let Some(mut reader) = guessed.then(|| self.reader_at(offset, context, PROLOGUE)).flatten() else {
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

    /// Its number.
    pub const fn input(&self) -> InputId {
        self.input
    }

    /// The time of the first frame that has one, if it comes soon. Later ones may be earlier. `None` for a stream.
    pub fn first_time(&self) -> Option<Time> {
        let Bytes::File(file, _) = &self.bytes else { return None };
        let how = Whole { input: self.input, packing: self.packing, hashed: false, meter: None };
        let (stream, _) = how.unpacked(Box::new(InOrder::new(Arc::clone(file))));
        let mut reader = how.records(Box::new(Sips(stream)), &self.start, None);
        while reader.next().is_some() {
            let first = reader.first_time();
            if first.is_some() || reader.offset() > PROLOGUE {
                return first;
            }
        }
        None
    }

    /// `pcap`, `pcap (nanosecond)`, `pcap (modified)`, `pcapng` or `snoop`.
    pub const fn format(&self) -> &'static str {
        self.start.1.name()
    }

    /// Whether it can be read again from the beginning: it is a regular file.
    pub const fn is_reopenable(&self) -> bool {
        matches!(self.bytes, Bytes::File(..))
    }

    /// Whether it can be read in segments: it is a regular file, not compressed, and not to be digested.
    pub const fn is_segmentable(&self) -> bool {
        self.is_reopenable() && self.packing.is_none() && !self.hashed
    }

    /// Bytes of the file, as it lies on disk, when it was opened; `None` for a stream.
    #[expect(clippy::len_without_is_empty, reason = "an empty file is never opened")]
    pub const fn len(&self) -> Option<u64> {
        match &self.bytes {
            Bytes::File(_, len) => Some(*len),
            Bytes::Stream(..) => None,
        }
    }

    /// Reads everything in one go.
    pub fn frames(self) -> Reader {
        let Self { bytes, input, packing, hashed, meter, start, .. } = self;
        let how = Whole { input, packing, hashed, meter };
        how.read(bytes.whole(), &start)
    }

    /// Reads while it is being written: a [`Reader`] that never blocks, and whom to ask for more. Where nothing more has come
    /// yet, [`FrameSource::next`](super::FrameSource::next) returns `None`, [`Reader::is_waiting`] says so, and it may be
    /// asked again.
    ///
    /// # Errors
    /// Where the system gives no thread to read in.
    pub fn live(self) -> io::Result<(Reader, Arrivals)> {
        let Self { bytes, input, packing, meter, start, .. } = self;
        let how = Whole { input, packing, hashed: false, meter };
        let (stream, _) = how.unpacked(bytes.whole());
        let (stream, arrivals) = relayed(stream, start.0)?;
        Ok((how.records(stream, &start, None), arrivals))
    }

    /// Counts on reading the file a second time.
    pub fn expect_again(&self) {
        self.meter.iter().for_each(|m| m.expect(self.len().unwrap_or(0)));
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
    /// `None` for a stream. What is not [segmentable](Self::is_segmentable) is read from its beginning to its end.
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
        if !self.is_segmentable() {
            let Self { input, packing, hashed, .. } = *self;
            let how = Whole { input, packing, hashed, meter: self.meter.clone() };
            return Some(how.read(Box::new(InOrder::new(Arc::clone(file))), &self.start));
        }
        // The file header belongs to the first segment's bytes.
        let pos = offset.max(self.start.0);
        let source = Source::File { file: Arc::clone(file), pos, meter: self.meter.clone() };
        Some(Reader::new(self.input, Window::new(source, pos, &[]), context, offset, end))
    }
}

/// How an input is read from its beginning to its end.
struct Whole {
    input: InputId,
    packing: Option<Codec>,
    hashed: bool,
    meter: Option<Arc<Meter>>,
}

impl Whole {
    fn read(self, raw: Stream, start: &(u64, Context)) -> Reader {
        let (mut stream, digest) = self.unpacked(raw);
        if self.packing.is_some() {
            stream = ahead(stream).unwrap_or_else(|error| Box::new(Failed(Some(error))));
        }
        self.records(stream, start, digest)
    }

    /// The bytes as they are looked at, and who digests those that are read.
    fn unpacked(&self, raw: Stream) -> (Stream, Option<Digest>) {
        let mut raw = match &self.meter {
            Some(meter) => Box::new(Metered { stream: raw, meter: Arc::clone(meter) }),
            None => raw,
        };
        let mut digest = None;
        if self.hashed {
            match digested(raw) {
                Ok((relayed, by)) => (raw, digest) = (relayed, Some(by)),
                // Told as a read error by the first read.
                Err(error) => raw = Box::new(Failed(Some(error))),
            }
        }
        match self.packing {
            Some(codec) => (Box::new(Unpacked::new(codec, raw)), digest),
            None => (raw, digest),
        }
    }

    fn records(&self, stream: Stream, start: &(u64, Context), digest: Option<Digest>) -> Reader {
        let mut window = Window::new(Source::Stream(stream), 0, &[]);
        // The file header was understood before. Where it cannot be read again, the first record cannot be read either.
        let _told_by_the_reader = window.skip(start.0);
        Reader::new(self.input, window, start.1.clone(), 0, u64::MAX).of(self.packing.map(Codec::name), digest)
    }
}

/// The decompressed bytes of a regular file that is a saved observation; `None` where it is something else.
pub fn saved_stream(path: &Path) -> io::Result<Option<Box<dyn Read + Send>>> {
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let file = Arc::new(File::open(path)?);
    let stream = || -> io::Result<Stream> {
        let head = read_head(|buf, at| read_at(&file, buf, at))?;
        let raw: Stream = Box::new(InOrder::new(Arc::clone(&file)));
        Ok(match packing(&head) {
            Some(codec) => Box::new(Unpacked::new(codec, raw)),
            None => raw,
        })
    };
    let mut looked = stream()?;
    let head = read_head(|buf, _| looked.read(buf))?;
    if detect::kind(&head) == Kind::Saved { stream().map(Some) } else { Ok(None) }
}

/// A stream that could not be begun.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.take().unwrap_or_else(|| io::ErrorKind::Other.into()))
    }
}

/// Whether these first bytes are a capture's whole file header; snoop's is the shortest, and pcapng has none.
fn has_header(head: &[u8]) -> bool {
    match detect::kind(head) {
        Kind::Pcap => head.len() >= pcap::HEADER,
        Kind::Snoop => head.len() >= snoop::HEADER,
        Kind::Pcapng => true,
        _ => false,
    }
}

/// The first bytes, at most [`detect::WANTED`].
fn read_head(read: impl FnMut(&mut [u8], u64) -> io::Result<usize>) -> io::Result<Vec<u8>> {
    read_head_until(read, |_| false)
}

fn read_head_until(
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
    enough: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<u8>> {
    let mut head = vec![0; detect::WANTED];
    let mut got = 0;
    while !enough(head.get(..got).unwrap_or_default())
        && let Some(room) = head.get_mut(got..).filter(|r| !r.is_empty())
    {
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

/// What a file that begins with `head` is compressed with.
fn packing(head: &[u8]) -> Option<Codec> {
    match detect::kind(head) {
        Kind::Packed(codec) => Some(codec),
        _ => None,
    }
}

/// What is declared at the start of what is inside.
fn inside(codec: Codec, raw: Stream) -> Result<(u64, Context), OpenReason> {
    let mut unpacked = Unpacked::new(codec, raw);
    let head = read_head(|buf, _| unpacked.read(buf))?;
    match detect::kind(&head) {
        Kind::Packed(inner) => Err(OpenReason::Nested(codec.name(), inner.name())),
        Kind::Compressed(inner) => Err(OpenReason::Nested(codec.name(), inner)),
        _ => recognise(&head).map_err(|reason| OpenReason::Inside(codec.name(), Box::new(reason))),
    }
}

/// What is declared at the start, and the offset of the first record.
fn recognise(head: &[u8]) -> Result<(u64, Context), OpenReason> {
    if head.is_empty() {
        return Err(OpenReason::Empty);
    }
    let (format, offset) = match detect::kind(head) {
        Kind::Pcap => (Format::Pcap(pcap_header(head)?), pcap::HEADER),
        Kind::Pcapng => (Format::Pcapng(Section::default()), 0),
        Kind::Snoop => (Format::Snoop(snoop_header(head)?), snoop::HEADER),
        Kind::Packed(codec) => return Err(OpenReason::Compressed(codec.name())),
        Kind::Compressed(by) => return Err(OpenReason::Compressed(by)),
        Kind::Other(what) => return Err(OpenReason::Format(what)),
        Kind::Saved => return Err(OpenReason::Observation("expected its file's name, not a stream of it".to_owned())),
        Kind::Text => return Err(OpenReason::Format("text")),
        Kind::Unknown => return Err(OpenReason::Unrecognised(head.to_vec())),
    };
    Ok((offset as u64, Context { format, carried: None }))
}

fn pcap_header(head: &[u8]) -> Result<pcap::Header, OpenReason> {
    pcap::Header::parse(head).map_err(|e| match e {
        HeaderError::Short => OpenReason::HeaderCut(head.len(), pcap::HEADER),
        HeaderError::Version(major, minor) => OpenReason::Version(major, minor),
        HeaderError::NotPcap => OpenReason::Unrecognised(head.to_vec()),
    })
}

fn snoop_header(head: &[u8]) -> Result<snoop::Header, OpenReason> {
    snoop::Header::parse(head).map_err(|e| match e {
        snoop::HeaderError::Short => OpenReason::HeaderCut(head.len(), snoop::HEADER),
        snoop::HeaderError::Version(n) => OpenReason::SnoopVersion(n),
        snoop::HeaderError::Link(n) => OpenReason::SnoopLink(n),
    })
}
