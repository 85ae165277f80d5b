//! Compressed captures, decompressed as they are read: gzip (RFC 1952), zstd (RFC 8878), xz (format 1.2.1).
//!
//! Each may be several files of its kind, one after the other. Memory is bounded whatever the file declares, and a file
//! that unfolds to more than captures do is stopped.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// Largest zstd window and largest xz dictionary, in bytes: what `zstd` itself decompresses without being asked twice.
const LARGEST_WINDOW: u64 = 128 * 1024 * 1024;
/// Memory of an xz decoder, in KiB: the dictionary and what surrounds it.
const XZ_KIB: u32 = 129 * 1024;
/// Decompressed bytes over which the ratio is measured.
const STRETCH: u64 = 64 * 1024 * 1024;
/// Compressed bytes read at once: the grain of the measured ratio.
const GRAIN: usize = 8 * 1024;

/// A way of compressing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Gzip,
    Zstd,
    Xz,
}

impl Codec {
    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
        }
    }

    /// Beyond this many decompressed bytes per compressed one it is no capture. The most a capture reaches are 64 KiB
    /// frames of zeros, at about 25 bytes a frame; gzip, which cannot say more than 258 bytes at once, needs 90.
    const fn utmost(self) -> u64 {
        match self {
            Self::Gzip => 900,
            Self::Zstd | Self::Xz => 4096,
        }
    }
}

/// Why decompressing stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    codec: Codec,
    pub(super) what: What,
}

/// What is wrong with compressed data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// They end in the middle.
    Cut,
    /// They cannot be right, or their checksum is not.
    Wrong,
    /// More memory is wanted than is given.
    Memory,
    /// They unfold to more than captures do.
    Bomb,
    /// The system could not read them.
    Io(io::ErrorKind),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.codec.name();
        match self.what {
            What::Cut => write!(f, "the {name} data end in the middle"),
            What::Wrong => write!(f, "the {name} data are damaged"),
            What::Memory => write!(f, "the {name} data need a window of more than {} MiB", LARGEST_WINDOW >> 20),
            What::Bomb => {
                write!(f, "the {name} data unfold more than {}-fold: no capture, a decompression bomb", {
                    self.codec.utmost()
                })
            }
            What::Io(kind) => write!(f, "read error: {kind}"),
        }
    }
}

impl std::error::Error for Damage {}

impl From<Damage> for io::Error {
    fn from(damage: Damage) -> Self {
        Self::new(io::ErrorKind::InvalidData, damage)
    }
}

/// What became of the compressed bytes.
#[derive(Debug, Default)]
struct Supply {
    taken: AtomicU64,
    ended: AtomicBool,
    failed: AtomicBool,
}

/// The compressed bytes, watched.
struct Watched {
    read: Box<dyn Read + Send>,
    supply: Arc<Supply>,
}

impl Read for Watched {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            return match self.read.read(buf) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    self.supply.failed.store(true, Ordering::Relaxed);
                    Err(e)
                }
                Ok(n) => {
                    self.supply.taken.fetch_add(n as u64, Ordering::Relaxed);
                    self.supply.ended.store(n == 0, Ordering::Relaxed);
                    Ok(n)
                }
            };
        }
    }
}

type Raw = BufReader<Watched>;

/// What a decoder says of its data; whether they were cut is told by the supply.
type Decoded<T> = Result<T, What>;

/// The decompressed bytes of a file.
pub(super) struct Unpacked {
    codec: Codec,
    decoder: Decoder,
    supply: Arc<Supply>,
    /// Decompressed bytes of this stretch, and compressed ones before it.
    stretch: (u64, u64),
    /// A decoder that failed is not asked again.
    failed: Option<Damage>,
}

enum Decoder {
    Gzip(Box<Members>),
    Zstd(Box<Frames>),
    Xz(Box<XzReader<Raw>>),
}

impl Unpacked {
    /// Decompresses what `read` gives.
    pub(super) fn new(codec: Codec, read: Box<dyn Read + Send>) -> Self {
        let supply = Arc::new(Supply::default());
        let raw = BufReader::with_capacity(GRAIN, Watched { read, supply: Arc::clone(&supply) });
        let decoder = match codec {
            Codec::Gzip => Decoder::Gzip(Box::new(Members { member: Some(GzDecoder::new(raw)) })),
            Codec::Zstd => Decoder::Zstd(Box::new(Frames::new(raw))),
            Codec::Xz => Decoder::Xz(Box::new(XzReader::new_mem_limit(raw, true, XZ_KIB))),
        };
        Self { codec, decoder, supply, stretch: (0, 0), failed: None }
    }

    fn decode(&mut self, buf: &mut [u8]) -> Decoded<usize> {
        match &mut self.decoder {
            Decoder::Gzip(members) => members.read(buf),
            Decoder::Zstd(frames) => frames.read(buf),
            Decoder::Xz(xz) => xz.read(buf).map_err(|e| match e.kind() {
                io::ErrorKind::OutOfMemory => What::Memory,
                _ => What::Wrong,
            }),
        }
    }

    fn why(&self, what: What) -> What {
        match what {
            What::Wrong if self.supply.failed.load(Ordering::Relaxed) => What::Io(io::ErrorKind::Other),
            What::Wrong if self.supply.ended.load(Ordering::Relaxed) => What::Cut,
            other => other,
        }
    }

    /// Whether a stretch took fewer compressed bytes than any capture does.
    fn is_bomb(&mut self, n: usize) -> bool {
        self.stretch.0 += n as u64;
        if self.stretch.0 < STRETCH {
            return false;
        }
        let taken = self.supply.taken.load(Ordering::Relaxed);
        let bomb = taken - self.stretch.1 < self.stretch.0 / self.codec.utmost();
        self.stretch = (0, taken);
        bomb
    }
}

impl Read for Unpacked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(damage) = self.failed {
            return Err(damage.into());
        }
        let read = self.decode(buf).and_then(|n| if self.is_bomb(n) { Err(What::Bomb) } else { Ok(n) });
        read.map_err(|what| {
            let damage = Damage { codec: self.codec, what: self.why(what) };
            self.failed = Some(damage);
            damage.into()
        })
    }
}

/// The members of a gzip file.
struct Members {
    /// `None` at the end.
    member: Option<GzDecoder<Raw>>,
}

impl Members {
    fn read(&mut self, buf: &mut [u8]) -> Decoded<usize> {
        while let Some(mut member) = self.member.take() {
            let n = member.read(buf).map_err(|_| What::Wrong)?;
            if n > 0 {
                self.member = Some(member);
                return Ok(n);
            }
            let mut raw = member.into_inner();
            if !is_at_end(&mut raw)? {
                self.member = Some(GzDecoder::new(raw));
            }
        }
        Ok(0)
    }
}

/// Whether nothing is left but zeros, as tapes and some tools pad.
fn is_at_end(raw: &mut Raw) -> Decoded<bool> {
    loop {
        let bytes = raw.fill_buf().map_err(|_| What::Wrong)?;
        if bytes.is_empty() {
            return Ok(true);
        }
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        let all = zeros == bytes.len();
        raw.consume(zeros);
        if !all {
            return Ok(false);
        }
    }
}

/// The frames of a zstd file. Skippable ones are passed over by the decoder.
struct Frames {
    decoder: DCtx<'static>,
    raw: Raw,
    /// Whether a frame was begun and is not finished.
    inside: bool,
}

impl Frames {
    fn new(raw: Raw) -> Self {
        let mut decoder = DCtx::create();
        // Only a number out of range is refused, and then the decoder keeps its own limit, which is the same.
        let _ = decoder.set_parameter(DParameter::WindowLogMax(LARGEST_WINDOW.ilog2()));
        Self { decoder, raw, inside: false }
    }

    fn read(&mut self, buf: &mut [u8]) -> Decoded<usize> {
        loop {
            let from = self.raw.fill_buf().map_err(|_| What::Wrong)?;
            let at_end = from.is_empty();
            if at_end && !self.inside {
                return Ok(0);
            }
            let mut from = InBuffer::around(from);
            let mut to = OutBuffer::around(&mut *buf);
            // What was decoded before the data end is handed on before that is said.
            let wanted = self.decoder.decompress_stream(&mut to, &mut from).map_err(wrong)?;
            let (taken, n) = (from.pos(), to.pos());
            self.raw.consume(taken);
            self.inside = wanted > 0;
            if n > 0 || buf.is_empty() {
                return Ok(n);
            }
            if at_end && self.inside {
                return Err(What::Cut);
            }
        }
    }
}

/// What an error of the decoder means.
fn wrong(code: usize) -> What {
    /// `ZSTD_error_frameParameter_windowTooLarge`, of the stable part of `zstd_errors.h`.
    const WINDOW_TOO_LARGE: usize = 16;
    if 0_usize.wrapping_sub(code) == WINDOW_TOO_LARGE { What::Memory } else { What::Wrong }
}
