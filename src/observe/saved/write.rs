//! Writing a saved observation.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use super::line::{End, Header, Line, MAJOR, NAME, Tool};
use crate::base::{InputId, Problem};
use crate::flow::Shift;
use crate::observe::collected::Collected;

/// zstd's own fastest ordinary level.
const LEVEL: i32 = 1;
/// Bytes of lines in one zstd frame: what is held in memory at once.
const FRAME: usize = 4 * 1024 * 1024;
/// Integers after which a key's pieces go on in the next line.
const ROW: usize = 16 * 1024;

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
        let mut parts = partial.into_parts();
        problems.into_iter().for_each(|p| parts.problems.add(p));
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
        let mut keys = 0;
        for (key, mut pieces) in parts.keys {
            pieces.shift(&shift);
            for row in pieces.rows(ROW) {
                lines.put(&Line::of_key(&key, row.finish()))?;
                keys += 1;
            }
        }
        let sha256 = lines.sha.clone().finalize().iter().map(|b| format!("{b:02x}")).collect();
        lines.put(&Line { end: Some(End { lines: lines.lines, keys, sha256 }), ..Line::default() })?;
        lines.flush()?;
        lines.to.flush()
    }
}
