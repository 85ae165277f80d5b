//! Reading a saved observation. It may come from anyone: no length in it is believed, and what cannot be right ends it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use sha2::{Digest as _, Sha256};

use super::line::{End, Header, Line, MAJOR, NAME, from_key};
use crate::base::{InputId, Problem, ProblemKind, Stamp};
use crate::capture::{OpenError, OpenReason, saved_stream};
use crate::flow::{Cursor, FlowKey, Pieces, Shift, Tables, Told};
use crate::observe::collected::Collected;
use crate::observe::partial::{MAX_PIECES, Partial, Parts};
use crate::observe::repeats::Repeats;

/// Longest line that is read, in bytes. What is written stays far below.
const LONGEST: u64 = 8 * 1024 * 1024;
/// Most inputs of a file.
const INPUTS: usize = 65_536;
/// Largest count that is believed.
const LARGEST: u64 = 1 << 53;

/// A file that is a saved observation, its header read.
pub struct Saved {
    name: String,
    header: Header,
    lines: Lines,
}

/// Lines of a bounded length, counted and digested.
struct Lines {
    from: BufReader<Box<dyn Read + Send>>,
    line: Vec<u8>,
    sha: Sha256,
    offset: u64,
    lines: u64,
}

/// Why no further line can be read.
type Damage = String;

impl Lines {
    fn new(stream: Box<dyn Read + Send>) -> Self {
        let from = BufReader::with_capacity(128 * 1024, stream);
        Self { from, line: Vec::new(), sha: Sha256::new(), offset: 0, lines: 0 }
    }

    /// The next line with its end, not digested yet; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<&[u8]>, Damage> {
        self.line.clear();
        let read = (&mut self.from).take(LONGEST).read_until(b'\n', &mut self.line);
        if let Err(e) = read {
            return Err(e.to_string());
        }
        match self.line.last() {
            None => Ok(None),
            Some(b'\n') => Ok(Some(&self.line)),
            Some(_) if self.line.len() as u64 >= LONGEST => Err("a line is too long".to_owned()),
            Some(_) => Err("it ends in the middle of a line".to_owned()),
        }
    }

    /// Takes the line in.
    fn accept(&mut self) {
        self.sha.update(&self.line);
        self.offset += self.line.len() as u64;
        self.lines += 1;
    }
}

impl Saved {
    /// Opens a file if it is a saved observation, compressed or not; `None` where it is something else.
    ///
    /// # Errors
    /// It is one, and of another major version, or its header cannot be right.
    pub fn open(path: &Path) -> Result<Option<Self>, OpenError> {
        let name = path.to_string_lossy().into_owned();
        // What cannot be opened at all is told where captures are opened.
        let Ok(Some(stream)) = saved_stream(path) else { return Ok(None) };
        let wrong = |text: String| OpenError { name: name.clone(), reason: OpenReason::Observation(text) };
        let mut lines = Lines::new(stream);
        let first = lines.next().map_err(&wrong)?.unwrap_or_default().to_vec();
        let major = major(&first);
        if major != Some(MAJOR) {
            let found = major.map_or("of no version".to_owned(), |n| format!("of version {n}"));
            return Err(wrong(format!("it is {found}; expected version {MAJOR}")));
        }
        let header: Header = serde_json::from_slice(&first).map_err(|e| wrong(format!("its header is wrong: {e}")))?;
        if header.inputs.is_empty() || header.inputs.len() > INPUTS {
            return Err(wrong("its header names no inputs, or too many".to_owned()));
        }
        lines.accept();
        Ok(Some(Self { name, header, lines }))
    }

    /// The file, as it was named.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many captures it was made of.
    pub const fn inputs(&self) -> usize {
        self.header.inputs.len()
    }

    /// Reads everything; `ids` are the numbers of its inputs here, one for each. Of a damaged file, what comes before the damage.
    pub fn read(self, ids: &[InputId]) -> Collected {
        let Self { name: _, header, mut lines } = self;
        let mut body =
            Body { ids, keys: Vec::new(), pieces: 0, lines: 0, counts: BTreeMap::new(), parts: Parts::default() };
        let ended = body.read(&mut lines);
        let Body { keys, counts, mut parts, .. } = body;
        parts.keys = keys;
        parts.repeats = Repeats::counted(counts);
        parts.frames = ids.iter().copied().zip(header.inputs.iter().map(|i| i.packets.min(LARGEST))).collect();
        if let Err(detail) = ended {
            parts.problems.add(Problem {
                input: ids.first().copied().unwrap_or_default(),
                kind: ProblemKind::SavedIncomplete,
                detail,
                offset: Some(lines.offset),
                frame: None,
                count: 1,
            });
        }
        Collected {
            partial: Partial::from_parts(parts),
            inputs: header.inputs.into_iter().zip(ids).map(|(i, id)| i.numbered(*id)).collect(),
            problems: Vec::new(),
            holes: header.holes,
            drops: header.drops,
            span: header.span,
            last: None,
            saved: true,
        }
    }
}

/// The major version that a first line names.
fn major(first: &[u8]) -> Option<u32> {
    #[derive(serde::Deserialize)]
    struct Named {
        schema: String,
    }
    let named: Named = serde_json::from_slice(first).ok()?;
    named.schema.strip_prefix(NAME)?.parse().ok()
}

/// What follows the header, as far as it was read.
struct Body<'a> {
    ids: &'a [InputId],
    keys: Vec<(FlowKey, Pieces)>,
    pieces: usize,
    lines: u64,
    counts: BTreeMap<InputId, (u64, u64)>,
    parts: Parts,
}

impl Body<'_> {
    fn read(&mut self, lines: &mut Lines) -> Result<(), Damage> {
        loop {
            let Some(bytes) = lines.next()? else { return Err("it ends without its last line".to_owned()) };
            let line: Line = serde_json::from_slice(bytes).map_err(|_| wrong(lines.lines))?;
            if let Some(end) = line.end {
                return self.end(&end, lines);
            }
            self.take(line).ok_or_else(|| wrong(lines.lines))?;
            lines.accept();
        }
    }

    fn end(&self, end: &End, lines: &mut Lines) -> Result<(), Damage> {
        let sha256: String = lines.sha.clone().finalize().iter().map(|b| format!("{b:02x}")).collect();
        if *end != (End { lines: lines.lines, keys: self.lines, sha256 }) {
            return Err("its last line does not match what precedes it".to_owned());
        }
        lines.accept();
        match lines.next()? {
            None => Ok(()),
            Some(_) => Err("something follows its last line".to_owned()),
        }
    }

    fn take(&mut self, line: Line) -> Option<()> {
        let input = |id: InputId| self.ids.get(usize::try_from(id.0).ok()?).copied();
        match line {
            Line { key: Some(key), at, lanes, addrs, told, tunnels, row, .. } => {
                self.key(from_key(key)?, Tables { at, lanes, addrs, told, tunnels, row })
            }
            Line { problem: Some(p), .. } => {
                let input = input(p.input)?;
                self.parts.problems.add(Problem { input, count: p.count.min(LARGEST), ..p });
                Some(())
            }
            Line { copies: Some((id, first, n)), .. } => {
                let fits = first <= LARGEST && n <= LARGEST;
                fits.then_some(())?;
                self.counts.insert(input(id)?, (first, n));
                Some(())
            }
            Line { fragments: Some(part), .. } => {
                let shift = Shift::renumber((0..).map(InputId).zip(self.ids.iter().copied()));
                self.parts.fragments.take(part.renumbered(&shift)?)
            }
            _ => None,
        }
    }

    fn key(&mut self, key: FlowKey, mut tables: Tables) -> Option<()> {
        let shift = |m: &mut Stamp| {
            m.at.input = *self.ids.get(usize::try_from(m.at.input.0).ok()?)?;
            (m.at.frame <= LARGEST).then_some(())
        };
        tables.told.iter_mut().flat_map(Told::stamps).try_for_each(shift)?;
        let mut cursor = Cursor::new(&mut tables, self.ids)?;
        if self.keys.last().is_none_or(|(last, _)| *last != key) {
            self.keys.push((key, Pieces::default()));
        }
        let (_, pieces) = self.keys.last_mut()?;
        let before = pieces.len();
        let read = pieces.read(&mut cursor);
        self.pieces += pieces.len() - before;
        self.lines += 1;
        read.filter(|()| self.pieces <= MAX_PIECES)
    }
}

fn wrong(line: u64) -> Damage {
    format!("line {} cannot be right", line + 1)
}

/// A file and the numbers of its inputs here.
type Numbered = (Saved, Vec<InputId>);

/// Reads several files side by side, in the order given.
pub(in crate::observe) fn read_all(files: Vec<Numbered>, threads: usize) -> Vec<Collected> {
    let todo: Vec<Mutex<Option<Numbered>>> = files.into_iter().map(|f| Mutex::new(Some(f))).collect();
    let done: Vec<Mutex<Option<Collected>>> = todo.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, todo.len().max(1)) {
            scope.spawn(|| {
                while let Some((file, slot)) = next_of(&next, &todo, &done) {
                    let taken = file.lock().unwrap_or_else(PoisonError::into_inner).take();
                    let read = taken.map(|(saved, ids)| saved.read(&ids));
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = read;
                }
            });
        }
    });
    done.into_iter().filter_map(|d| d.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

fn next_of<'a, T, U>(next: &AtomicUsize, todo: &'a [T], done: &'a [U]) -> Option<(&'a T, &'a U)> {
    let n = next.fetch_add(1, Ordering::Relaxed);
    Some((todo.get(n)?, done.get(n)?))
}
