//! First payload bytes of plain packets, on their way to the side they belong to.
//!
//! A side's own place for them is several pointers away and seldom in a cache when one of its packets comes. So they are written
//! down one behind the other, and each flow's are moved in one go: before anything else of it changes, or when there are many.

use crate::base::{FrameRef, InputId, Stamp, Time};
use crate::flow::{Body, Side};

/// Runs held before all are moved: so many, and as many more as there are flows, since moving looks at each of them.
const RUNS: usize = 1 << 14;
const RUNS_PER_FLOW: usize = 4;
const MOST_RUNS: usize = 1 << 17;
/// Bytes held for each run of those: what short frames have.
const BYTES_PER_RUN: usize = 64;

/// Payload of one packet.
#[derive(Clone, Copy, Debug)]
struct Run {
    time: Time,
    /// Of the stretch's one input.
    frame: u32,
    /// Where its bytes begin.
    from: u32,
    len: u32,
    /// Bytes on the wire.
    wire: u32,
    /// Payload of its side between the last flush and it.
    pending: u32,
    /// The next one of its side, plus one.
    next: u32,
}

const _: () = assert!(size_of::<Run>() == 32, "no holes");

/// What one side wants, and its runs, each plus one; 0 where there is none.
#[derive(Clone, Copy, Debug, Default)]
struct Want {
    room: u32,
    oldest: u32,
    newest: u32,
    /// How many runs, and their bytes.
    runs: u32,
    bytes: u32,
}

impl Want {
    /// Hands over what it knows of its runs and forgets them.
    const fn take(&mut self) -> Self {
        let had = *self;
        *self = Self { room: self.room, oldest: 0, newest: 0, runs: 0, bytes: 0 };
        had
    }
}

/// The log.
#[derive(Clone, Debug, Default)]
pub(super) struct Firsts {
    bytes: Vec<u8>,
    runs: Vec<Run>,
    /// By hot record.
    wants: Vec<[Want; 2]>,
}

impl Firsts {
    /// Says how many bytes the sides of a hot record still want. Nothing of it is in the log.
    pub(super) fn expect(&mut self, record: usize, rooms: [usize; 2]) {
        if self.wants.len() <= record {
            self.wants.resize(record + 1, <[Want; 2]>::default());
        }
        if let Some(wants) = self.wants.get_mut(record) {
            *wants = rooms.map(|room| Want { room: u32::try_from(room).unwrap_or(u32::MAX), ..Want::default() });
        }
    }

    /// Keeps the payload of a plain packet; whether more is wanted.
    #[inline(never)]
    pub(super) fn add(
        &mut self,
        record: usize,
        side: Side,
        pending: u32,
        data: &[u8],
        wire: u32,
        at: (Time, u32),
    ) -> bool {
        let Self { bytes, runs, wants } = self;
        let Some(want) = wants.get_mut(record).map(|w| side.of_mut(w)) else { return false };
        let wire = wire.min(want.room);
        let data = data.get(..wire as usize).unwrap_or(data);
        let (Ok(len), Ok(from)) = (u32::try_from(data.len()), u32::try_from(bytes.len())) else { return false };
        let Ok(number) = u32::try_from(runs.len() + 1) else { return false };
        match (want.newest as usize).checked_sub(1).and_then(|n| runs.get_mut(n)) {
            Some(before) => before.next = number,
            None => want.oldest = number,
        }
        want.newest = number;
        want.room -= wire;
        want.runs += 1;
        want.bytes += len;
        runs.push(Run { time: at.0, frame: at.1, from, len, wire, pending, next: 0 });
        bytes.extend_from_slice(data);
        want.room > 0
    }

    /// Whether everything has to be moved before more is added.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        let most = (RUNS + RUNS_PER_FLOW * self.wants.len()).min(MOST_RUNS);
        self.runs.len() >= most || self.bytes.len() >= most * BYTES_PER_RUN
    }

    /// Moves a hot record's bytes to where they belong. What plain packets changed otherwise was not written there yet.
    pub(super) fn drain(&mut self, record: usize, body: &mut Body, input: InputId, cap: usize) {
        let Self { bytes, runs, wants } = self;
        let Some(wants) = wants.get_mut(record) else { return };
        for side in [Side::A, Side::B] {
            let want = side.of_mut(wants).take();
            let mut next = want.oldest;
            let Some(space) = body.spaces.as_deref_mut().filter(|_| next > 0).map(|s| side.of_mut(s)) else { continue };
            space.make_room(want.runs as usize, want.bytes as usize);
            let all = std::iter::from_fn(|| {
                let run = runs.get((next as usize).checked_sub(1)?)?;
                next = run.next;
                let data = bytes.get(run.from as usize..(run.from + run.len) as usize).unwrap_or(&[]);
                let at = Stamp { time: run.time, at: FrameRef { input, frame: u64::from(run.frame) } };
                Some((run.pending, data, run.wire, at))
            });
            space.keep(all, cap);
        }
    }

    /// Forgets what was moved: all of it.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.runs.clear();
        for want in self.wants.iter_mut().flatten() {
            want.take();
        }
    }
}
