//! A bounded buffer over a source: records are looked at in place, memory never follows a length a file claims.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::source::{Meter, Stream};

/// Bytes read at once: what a core's own cache holds beside all else.
pub(super) const CHUNK: usize = 256 * 1024;

/// Where bytes come from.
pub(crate) enum Source {
    /// A regular file, read at positions: workers share it without sharing a cursor.
    File {
        /// The file.
        file: Arc<File>,
        /// Where the next read begins.
        pos: u64,
        /// Where it is counted.
        meter: Option<Arc<Meter>>,
    },
    /// Anything that can only be read forwards.
    Stream(Stream),
}

/// Reads at a position without moving a shared cursor.
#[cfg(unix)]
pub(crate) fn read_at(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, at)
}

/// Reads at a position; the cursor it moves is used by nobody.
#[cfg(windows)]
pub(crate) fn read_at(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, at)
}

impl Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match self {
                Self::File { file, pos, meter, .. } => read_at(file, buf, *pos).inspect(|&n| {
                    *pos += n as u64;
                    meter.iter().for_each(|m| m.add(n));
                }),
                Self::Stream(stream) => stream.read(buf),
            };
            match result {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// A look at the source's bytes from [`Window::offset`] on.
pub(crate) struct Window {
    source: Source,
    buf: Vec<u8>,
    /// Unread bytes of `buf`.
    held: Range<usize>,
    /// Offset in the source of the first unread byte.
    offset: u64,
}

impl Window {
    /// A window whose first unread byte lies at `offset` of the source; `head` was read from there before.
    pub(crate) fn new(source: Source, offset: u64, head: &[u8]) -> Self {
        let mut buf = vec![0; CHUNK.max(head.len())];
        let held = 0..head.len();
        if let Some(front) = buf.get_mut(held.clone()) {
            front.copy_from_slice(head);
        }
        Self { source, buf, held, offset }
    }

    /// Offset in the source of the first unread byte.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The unread bytes that are in memory.
    #[inline]
    pub(crate) fn held(&self) -> &[u8] {
        self.buf.get(self.held.clone()).unwrap_or(&[])
    }

    /// The next `n` bytes, not consumed; fewer where the source ends before. `n` must be bounded by the caller.
    #[inline]
    pub(crate) fn peek(&mut self, n: usize) -> io::Result<&[u8]> {
        if self.held.len() < n {
            self.fill(n)?;
        }
        let end = self.held.end.min(self.held.start.saturating_add(n));
        Ok(self.buf.get(self.held.start..end).unwrap_or(&[]))
    }

    fn fill(&mut self, n: usize) -> io::Result<()> {
        self.buf.copy_within(self.held.clone(), 0);
        self.held = 0..self.held.len();
        if self.buf.len() < n {
            self.buf.resize(n, 0);
        }
        while self.held.len() < n {
            let room = self.buf.get_mut(self.held.end..).unwrap_or_default();
            match self.source.read(room)? {
                0 => break,
                got => self.held.end += got,
            }
        }
        Ok(())
    }

    /// Where the next unread byte lies for [`Window::bytes`], until the next peek.
    pub(crate) const fn start_of_next(&self) -> usize {
        self.held.start
    }

    /// Consumes `n` bytes that were peeked and says where [`Window::bytes`] finds them until the next peek.
    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> Range<usize> {
        let n = n.min(self.held.len());
        let taken = self.held.start..self.held.start + n;
        self.held.start = taken.end;
        self.offset += n as u64;
        taken
    }

    /// Bytes taken before; empty where they are gone.
    #[inline]
    pub(crate) fn bytes(&self, taken: Range<usize>) -> &[u8] {
        self.buf.get(taken).unwrap_or(&[])
    }

    /// Passes over `n` bytes without keeping them; `false` where the source ends before.
    pub(crate) fn skip(&mut self, mut n: u64) -> io::Result<bool> {
        while n > 0 {
            let step = usize::try_from(n).unwrap_or(CHUNK).min(CHUNK);
            let got = self.peek(step)?.len();
            if got == 0 {
                return Ok(false);
            }
            self.take(got);
            n -= got as u64;
        }
        Ok(true)
    }
}
