//! Keeping what is captured: the very blocks that are judged, in one file or in a ring of files, each of which begins with the
//! declarations and can be read on its own. Another file is begun by size, by time, or when a signal asks for it.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portwitness::base::{RunError, visible};

use super::super::complain;
use super::stop::Rotation;

/// How to keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct How {
    /// The file; of several, what their names begin and end with.
    pub(super) path: PathBuf,
    /// Bytes after which another file is begun.
    pub(super) size: Option<u64>,
    /// Time after which another file is begun.
    pub(super) time: Option<Duration>,
    /// Files to keep; the oldest ones are removed.
    pub(super) ring: Option<usize>,
}

impl How {
    /// Whether there will be more than one file without anybody asking.
    pub(super) const fn rotates(&self) -> bool {
        self.size.is_some() || self.time.is_some()
    }

    /// `restore.pcapng`; rotating `restore-00001.pcapng`, which sorts in the order written. What was asked for behind a file
    /// that does not rotate is `restore-00002.pcapng`.
    fn name(&self, number: u64) -> PathBuf {
        if !self.rotates() && number < 2 {
            return self.path.clone();
        }
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let end = self.path.extension().map_or_else(String::new, |e| format!(".{}", e.to_string_lossy()));
        self.path.with_file_name(format!("{stem}-{number:05}{end}"))
    }
}

/// Writes batches of whole blocks.
pub(super) struct Keep {
    how: How,
    head: Vec<u8>,
    file: Option<File>,
    number: u64,
    written: u64,
    begun: Instant,
    kept: VecDeque<PathBuf>,
    asked: Rotation,
}

impl Keep {
    /// Begins the first file, so that what cannot be written is known before capturing begins. `head` is what every file
    /// begins with.
    ///
    /// # Errors
    /// A file that cannot be made.
    pub(super) fn begin(how: How, head: Vec<u8>) -> Result<Self, RunError> {
        let path = how.name(1);
        let (begun, asked) = (Instant::now(), Rotation::default());
        let mut this = Self { how, head, file: None, number: 0, written: 0, begun, kept: VecDeque::new(), asked };
        this.next().map_err(|source| RunError::Io { path, doing: "write", source })?;
        Ok(this)
    }

    /// Begins another file also where this asks for it.
    pub(super) fn on(self, asked: Rotation) -> Self {
        Self { asked, ..self }
    }

    /// Writes a batch. Where that fails it is told, and nothing more is kept: watching goes on. Where only the file that was
    /// asked for cannot be begun, the old one goes on, too.
    pub(super) fn batch(&mut self, batch: &[u8]) {
        if self.asked.take()
            && self.file.is_some()
            && let Err(error) = self.next()
        {
            complain(&format!("cannot write {}: {error}; the file before goes on", shown(&self.how.name(self.number))));
        }
        if self.file.is_some()
            && let Err(error) = self.write(batch)
        {
            self.file = None;
            let path = self.kept.back().map_or(self.how.path.as_path(), PathBuf::as_path);
            complain(&format!("cannot write {}: {error}; nothing more is kept", shown(path)));
        }
    }

    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        let full = self
            .how
            .size
            .is_some_and(|s| self.written + batch.len() as u64 > s && self.written > self.head.len() as u64);
        let old = self.how.time.is_some_and(|t| self.begun.elapsed() >= t);
        if full || old {
            self.next()?;
        }
        if let Some(file) = &mut self.file {
            file.write_all(batch)?;
            self.written += batch.len() as u64;
        }
        Ok(())
    }

    fn next(&mut self) -> io::Result<()> {
        self.number += 1;
        let path = self.how.name(self.number);
        let mut file = File::create(&path)?;
        file.write_all(&self.head)?;
        (self.file, self.written, self.begun) = (Some(file), self.head.len() as u64, Instant::now());
        self.kept.push_back(path);
        while self.how.ring.is_some_and(|n| self.kept.len() > n.max(1)) {
            if let Some(oldest) = self.kept.pop_front() {
                fs::remove_file(oldest)?;
            }
        }
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    visible(&path.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut all: Vec<String> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        all.sort();
        all
    }

    #[test]
    fn a_full_file_makes_room_for_the_next_and_the_ring_forgets_the_oldest() {
        let dir = tempfile::tempdir().unwrap();
        let how = How { path: dir.path().join("a.pcapng"), size: Some(10), time: None, ring: Some(2) };
        let mut keep = Keep::begin(how, b"head".to_vec()).unwrap();
        for batch in [&b"12345678"[..], b"abc", b"def", b"ghi", b"jkl"] {
            keep.batch(batch);
        }
        assert_eq!(names(dir.path()), ["a-00002.pcapng", "a-00003.pcapng"]);
        let read = |n: &str| fs::read(dir.path().join(n)).unwrap();
        assert_eq!((read("a-00002.pcapng"), read("a-00003.pcapng")), (b"headabcdef".to_vec(), b"headghijkl".to_vec()));
        let how = How { path: dir.path().join("no/b.pcapng"), size: None, time: None, ring: None };
        assert!(Keep::begin(how, Vec::new()).is_err());
    }

    #[test]
    fn another_file_is_begun_when_it_is_asked_for_and_the_old_one_goes_on_where_it_cannot_be() {
        let dir = tempfile::tempdir().unwrap();
        let how = How { path: dir.path().join("a.pcapng"), size: None, time: None, ring: None };
        let asked = Rotation::default();
        let mut keep = Keep::begin(how, b"head".to_vec()).unwrap().on(asked.clone());
        keep.batch(b"abc");
        asked.ask();
        keep.batch(b"def");
        let read = |n: &str| fs::read(dir.path().join(n)).unwrap();
        assert_eq!((read("a.pcapng"), read("a-00002.pcapng")), (b"headabc".to_vec(), b"headdef".to_vec()));
        fs::create_dir(dir.path().join("a-00003.pcapng")).unwrap();
        asked.ask();
        keep.batch(b"ghi");
        assert_eq!(read("a-00002.pcapng"), b"headdefghi");
    }
}
