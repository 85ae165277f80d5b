//! Reading a saved observation. It may come from anyone: no length in it is believed, and what cannot be right ends it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::bytes::{Bytes, Damage};
use super::line::{End, Header, Line, MAJOR, NAME, Rows};
use crate::base::{InputId, Problem, ProblemKind, Stamp, Time};
use crate::capture::{OpenError, OpenReason, saved_stream};
use crate::flow::Shift;
use crate::observe::collected::Collected;
use crate::observe::limits::Limits;
use crate::observe::partial::{Partial, Parts};
use crate::observe::repeats::Repeats;
use crate::observe::shelf::{Packed, Reader, Shelf};

/// Most inputs of a file.
const INPUTS: usize = 65_536;
/// Largest count that is believed.
const LARGEST: u64 = 1 << 53;

/// A file that is a saved observation, its header read. It is not held open: there may be thousands.
pub struct Saved {
    path: PathBuf,
    name: String,
    first: Vec<u8>,
    header: Header,
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
        let first = Bytes::new(stream).line().map_err(&wrong)?.unwrap_or_default().to_vec();
        let major = major(&first);
        if major != Some(MAJOR) {
            let found = major.map_or("of no version".to_owned(), |n| format!("of version {n}"));
            return Err(wrong(format!("it is {found}; expected version {MAJOR}")));
        }
        let header: Header = serde_json::from_slice(&first).map_err(|e| wrong(format!("its header is wrong: {e}")))?;
        if header.inputs.is_empty() || header.inputs.len() > INPUTS {
            return Err(wrong("its header names no inputs, or too many".to_owned()));
        }
        Ok(Some(Self { path: path.to_owned(), name, first, header }))
    }

    /// The file, as it was named.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many captures it was made of.
    pub const fn inputs(&self) -> usize {
        self.header.inputs.len()
    }

    /// When its first frame was captured, and its first input: what comes earlier is appended first.
    pub(in crate::observe) fn order(&self, ids: &[InputId]) -> (bool, Option<Time>, InputId) {
        (self.header.span.is_none(), self.header.span.map(|s| s.0), ids.first().copied().unwrap_or_default())
    }

    /// Reads everything; `ids` are the numbers of its inputs here, one for each. Of a damaged file, what comes before the damage.
    /// `turn` is called before it takes more room than one that is read ahead may, and returns when all before it were taken,
    /// with how many bytes of rows those were.
    pub(in crate::observe) fn read(&self, ids: &[InputId], limits: &Limits, turn: &dyn Fn() -> u64) -> Collected {
        let Self { path, name: _, first, header } = self;
        let header = header.clone();
        let mut body = Body::new(ids, limits, turn);
        let mut offset = 0;
        let ended = match saved_stream(path) {
            Ok(Some(stream)) => {
                let mut bytes = Bytes::new(stream);
                let ended = again(&mut bytes, first).and_then(|()| body.read(&mut bytes));
                offset = bytes.offset();
                ended
            }
            Ok(None) => Err(CHANGED.to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let Body { shelf, packed, counts, mut parts, .. } = body;
        let mut shelf = shelf;
        shelf.put(packed, ids, |at| parts.problems.add(overflow(at)));
        parts.repeats = Repeats::counted(counts);
        parts.frames = ids.iter().copied().zip(header.inputs.iter().map(|i| i.packets.min(LARGEST))).collect();
        if let Err(detail) = ended {
            parts.problems.add(Problem {
                input: ids.first().copied().unwrap_or_default(),
                kind: ProblemKind::SavedIncomplete,
                detail,
                offset: Some(offset),
                frame: None,
                count: 1,
            });
        }
        Collected {
            partial: Partial::from_parts(shelf, parts),
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

/// Reads the first line, which has to be what it was.
fn again(bytes: &mut Bytes, first: &[u8]) -> Result<(), Damage> {
    if bytes.line()? != Some(first) {
        return Err(CHANGED.to_owned());
    }
    bytes.accept_line(first.len());
    Ok(())
}

const CHANGED: &str = "the file changed while it was read";

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
    limits: &'a Limits,
    turn: &'a dyn Fn() -> u64,
    shelf: Shelf,
    packed: Packed,
    rows: u64,
    counts: BTreeMap<InputId, (u64, u64)>,
    parts: Parts,
}

impl<'a> Body<'a> {
    fn new(ids: &'a [InputId], limits: &'a Limits, turn: &'a dyn Fn() -> u64) -> Self {
        Self {
            ids,
            limits,
            turn,
            shelf: Shelf::within(limits),
            packed: Packed::default(),
            rows: 0,
            counts: BTreeMap::new(),
            parts: Parts::default(),
        }
    }

    fn read(&mut self, bytes: &mut Bytes) -> Result<(), Damage> {
        loop {
            let at = bytes.lines();
            let Some(text) = bytes.line()? else { return Err("it ends without its last line".to_owned()) };
            let line: Line = serde_json::from_slice(text).map_err(|_| wrong(at))?;
            let len = text.len();
            match line {
                Line { end: Some(end), .. } => return self.end(&end, len, bytes),
                Line { rows: Some(rows), .. } => {
                    bytes.accept_line(len);
                    self.block(rows, bytes)?;
                }
                line => {
                    self.take(line).ok_or_else(|| wrong(at))?;
                    bytes.accept_line(len);
                }
            }
        }
    }

    /// Takes in a block of rows. Before one that begins with another tuple, what was read is put where its room is counted.
    fn block(&mut self, rows: Rows, bytes: &mut Bytes) -> Result<(), Damage> {
        let at = bytes.lines();
        let mut block = Reader(bytes.block(rows.bytes)?);
        if self.packed.size() > self.limits.ahead() && !block.continues() {
            self.shelf.come_behind((self.turn)());
            let packed = std::mem::take(&mut self.packed);
            self.shelf.put(packed, self.ids, |at| self.parts.problems.add(overflow(at)));
        }
        for _ in 0..rows.count {
            self.packed.take(&mut block, |key| self.limits.keep.holds(key)).ok_or_else(|| wrong(at - 1))?;
        }
        if !block.is_empty() {
            return Err(wrong(at - 1));
        }
        bytes.accept(rows.bytes);
        self.rows = self.rows.saturating_add(rows.count);
        Ok(())
    }

    fn end(&self, end: &End, len: usize, bytes: &mut Bytes) -> Result<(), Damage> {
        if *end != (End { lines: bytes.lines(), rows: self.rows, sha256: bytes.digest() }) {
            return Err("its last line does not match what precedes it".to_owned());
        }
        bytes.accept_line(len);
        match bytes.line()? {
            None => Ok(()),
            Some(_) => Err("something follows its last line".to_owned()),
        }
    }

    fn take(&mut self, line: Line) -> Option<()> {
        let input = |id: InputId| self.ids.get(usize::try_from(id.0).ok()?).copied();
        match line {
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
}

fn wrong(line: u64) -> Damage {
    format!("line {} cannot be right", line + 1)
}

fn overflow(at: Stamp) -> Problem {
    Problem {
        input: at.at.input,
        kind: ProblemKind::StoreOverflow,
        detail: "flows".to_owned(),
        offset: None,
        frame: Some(at.at.frame),
        count: 1,
    }
}
