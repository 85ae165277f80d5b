//! The bytes of a saved observation: lines and blocks of a bounded length, lent where they lie, counted and digested.

use std::io::Read;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

/// Longest line and longest block that is read, in bytes. What is written stays far below.
const LONGEST: usize = 8 * 1024 * 1024;
/// Bytes asked for at once.
const AT_ONCE: usize = 256 * 1024;

/// Why nothing further can be read.
pub(super) type Damage = String;

/// A file's decompressed bytes.
pub(super) struct Bytes {
    from: Box<dyn Read + Send>,
    room: Vec<u8>,
    /// What was read and not accepted.
    held: Range<usize>,
    ended: bool,
    sha: Sha256,
    offset: u64,
    lines: u64,
}

impl Bytes {
    pub(super) fn new(from: Box<dyn Read + Send>) -> Self {
        Self { from, room: Vec::new(), held: 0..0, ended: false, sha: Sha256::new(), offset: 0, lines: 0 }
    }

    /// Bytes that were accepted.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Lines that were accepted.
    pub(super) const fn lines(&self) -> u64 {
        self.lines
    }

    /// SHA-256 of the bytes that were accepted.
    pub(super) fn digest(&self) -> String {
        self.sha.clone().finalize().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The next line with its end; `None` at the end of the file.
    pub(super) fn line(&mut self) -> Result<Option<&[u8]>, Damage> {
        let mut searched = 0;
        loop {
            let held = self.room.get(self.held.clone()).unwrap_or_default();
            if let Some(end) = held.get(searched..).unwrap_or_default().iter().position(|b| *b == b'\n') {
                let len = searched + end + 1;
                return Ok(self.room.get(self.held.start..self.held.start + len));
            }
            searched = held.len();
            if searched >= LONGEST {
                return Err("a line is too long".to_owned());
            }
            if !self.fill()? {
                return if searched == 0 { Ok(None) } else { Err("it ends in the middle of a line".to_owned()) };
            }
        }
    }

    /// The next so many bytes.
    pub(super) fn block(&mut self, len: usize) -> Result<&[u8], Damage> {
        if len > LONGEST {
            return Err("a block is too long".to_owned());
        }
        while self.held.len() < len {
            if !self.fill()? {
                return Err("it ends in the middle of a block".to_owned());
            }
        }
        Ok(self.room.get(self.held.start..self.held.start + len).unwrap_or_default())
    }

    /// Takes in what was lent last, of this length.
    pub(super) fn accept(&mut self, len: usize) {
        let end = self.held.end.min(self.held.start + len);
        self.sha.update(self.room.get(self.held.start..end).unwrap_or_default());
        self.held.start = end;
        self.offset += len as u64;
    }

    /// As [`Bytes::accept`], of a line.
    pub(super) fn accept_line(&mut self, len: usize) {
        self.accept(len);
        self.lines += 1;
    }

    /// Reads more; `false` at the end.
    fn fill(&mut self) -> Result<bool, Damage> {
        if self.ended {
            return Ok(false);
        }
        self.room.copy_within(self.held.clone(), 0);
        self.held = 0..self.held.len();
        if self.room.len() < self.held.end + AT_ONCE {
            self.room.resize(self.held.end + AT_ONCE, 0);
        }
        let free = self.room.get_mut(self.held.end..).unwrap_or_default();
        let read = loop {
            match self.from.read(free) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other.map_err(|e| e.to_string())?,
            }
        };
        self.held.end += read;
        self.ended = read == 0;
        Ok(read > 0)
    }
}
