//! Writing a saved observation.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use super::line::{End, Header, Line, MAJOR, NAME, Rows, Tool};
use crate::base::{InputId, Problem};
use crate::flow::{FlowKey, Pieces, Shift};
use crate::observe::collected::Collected;
use crate::observe::finish::alone;
use crate::observe::shelf::{self, ROW, Shelf};

/// Bytes of lines in one zstd frame: what is held in memory at once.
const FRAME: usize = 4 * 1024 * 1024;
/// Bytes of rows in a block, but for the last row.
const BLOCK: usize = 64 * 1024;
/// How hard zstd tries: its own usual level.
const LEVEL: i32 = 3;

/// Lines on their way into a file.
struct Lines<W> {
    to: W,
    pending: Vec<u8>,
    sha: Sha256,
    lines: u64,
}

impl<W: Write> Lines<W> {
    fn put(&mut self, line: &impl serde::Serialize) -> io::Result<()> {
        let from = self.pending.len();
        serde_json::to_writer(&mut self.pending, line)?;
        self.pending.push(b'\n');
        self.sha.update(self.pending.get(from..).unwrap_or_default());
        self.lines += 1;
        if self.pending.len() >= FRAME { self.flush() } else { Ok(()) }
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sha.update(bytes);
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= FRAME { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.to.write_all(&zstd::bulk::compress(&self.pending, LEVEL)?)?;
            self.pending.clear();
        }
        Ok(())
    }
}

impl Collected {
    /// Writes everything, sealed: payload is turned into what it tells. The same captures give the same bytes.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn save(self, to: impl Write) -> io::Result<()> {
        let mut lines = Lines { to, pending: Vec::new(), sha: Sha256::new(), lines: 0 };
        let Self { partial, mut inputs, problems, mut holes, mut drops, span, last: _, saved: _ } = self;
        inputs.sort_by_key(|i| i.input);
        let ids: Vec<InputId> = inputs.iter().map(|i| i.input).collect();
        let number = |id: InputId| InputId(ids.binary_search(&id).ok().and_then(|n| n.try_into().ok()).unwrap_or(0));
        let shift = Shift::renumber(ids.iter().map(|id| (*id, number(*id))));
        holes.sort_unstable();
        holes.dedup();
        drops.sort_unstable();
        lines.put(&Header {
            schema: format!("{NAME}{MAJOR}"),
            tool: Tool { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            inputs: inputs.into_iter().map(Into::into).collect(),
            holes,
            drops,
            span,
        })?;
        // Apart from the rest, so that looking at the header costs little.
        lines.flush()?;
        let (shelf, mut parts) = partial.into_parts();
        problems.into_iter().for_each(|p| parts.problems.add(p));
        let rows = save_rows(&shelf, &shift, &mut lines, |p| parts.problems.add(p))?;
        for p in parts.problems.iter() {
            lines.put(&Line { problem: Some(Problem { input: number(p.input), ..p }), ..Line::default() })?;
        }
        for (input, (first, n)) in parts.repeats.counts() {
            lines.put(&Line { copies: Some((number(*input), *first, *n)), ..Line::default() })?;
        }
        parts.fragments.shift(&shift);
        for part in parts.fragments.parts() {
            lines.put(&Line { fragments: Some(part), ..Line::default() })?;
        }
        let sha256 = lines.sha.clone().finalize().iter().map(|b| format!("{b:02x}")).collect();
        lines.put(&Line { end: Some(End { lines: lines.lines, rows, sha256 }), ..Line::default() })?;
        lines.flush()?;
        lines.to.flush()
    }
}

/// Writes the pieces of every tuple, in the order of tuples; how many rows that took.
fn save_rows(
    shelf: &Shelf,
    shift: &Shift,
    lines: &mut Lines<impl Write>,
    problem: impl FnMut(Problem),
) -> io::Result<u64> {
    let mut block = Block::default();
    let mut result = Ok(());
    shelf.each(problem, |key, mut pieces| {
        pieces.shift(shift);
        if result.is_ok() {
            result = block.put(key, pieces, lines);
        }
    });
    result?;
    block.flush(lines)?;
    Ok(block.written)
}

/// Rows that are not written yet.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    rows: u64,
    written: u64,
}

impl Block {
    fn put(&mut self, key: &FlowKey, pieces: Pieces, lines: &mut Lines<impl Write>) -> io::Result<()> {
        let rows = pieces.rows(ROW);
        let mut alone = alone(*key, pieces);
        for (n, row) in rows.into_iter().enumerate() {
            let saved = shelf::save(&mut self.bytes, key, n > 0, alone.take().as_ref(), &row.finish());
            saved.ok_or(io::ErrorKind::InvalidData)?;
            self.rows += 1;
            if self.bytes.len() >= BLOCK {
                self.flush(lines)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self, lines: &mut Lines<impl Write>) -> io::Result<()> {
        if self.rows > 0 {
            let rows = Rows { bytes: self.bytes.len(), count: self.rows };
            lines.put(&Line { rows: Some(rows), ..Line::default() })?;
            lines.bytes(&self.bytes)?;
            self.written += self.rows;
            self.rows = 0;
            self.bytes.clear();
        }
        Ok(())
    }
}
