//! Several saved observations at once, handed on in their order.
//!
//! A few are read ahead of their turn, and what those take is bounded: one that is large waits in the middle until all before it
//! were taken. So the number of threads shows neither in the result nor, but for these few, in memory.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::read::Saved;
use crate::base::InputId;
use crate::observe::collected::Collected;
use crate::observe::limits::Limits;

/// A file and the numbers of its inputs here.
pub(in crate::observe) type Numbered = (Saved, Vec<InputId>);

/// Files read ahead at most.
const AHEAD: usize = 8;

#[derive(Default)]
struct State {
    /// The next file to be read.
    next: usize,
    /// Files taken.
    taken: usize,
    /// Bytes of rows that were taken.
    used: u64,
    done: BTreeMap<usize, Collected>,
}

struct Turns {
    state: Mutex<State>,
    changed: Condvar,
    ahead: usize,
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, until: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let wait = self.changed.wait_while(self.lock(), |state| !until(state));
        wait.unwrap_or_else(PoisonError::into_inner)
    }

    /// The next file to be read, once there is room ahead.
    fn draw(&self) -> usize {
        let mut state = self.wait(|s| s.next < s.taken + self.ahead);
        state.next += 1;
        state.next - 1
    }

    fn put(&self, number: usize, read: Collected) {
        self.lock().done.insert(number, read);
        self.changed.notify_all();
    }

    fn next(&self, number: usize) -> Option<Collected> {
        self.wait(|s| s.done.contains_key(&number)).done.remove(&number)
    }

    fn taken(&self, number: usize, used: u64) {
        let mut state = self.lock();
        (state.taken, state.used) = (number + 1, used);
        self.changed.notify_all();
    }
}

/// Reads files by so many threads and hands on what they hold, in the order given. `take` answers how many bytes of rows have
/// been taken in all.
pub(in crate::observe) fn in_turn(
    files: &[Numbered],
    threads: usize,
    limits: &Limits,
    mut take: impl FnMut(Collected) -> u64,
) {
    let (threads, count) = (threads.min(files.len()), files.len());
    if threads < 2 {
        let mut used = 0;
        files.iter().for_each(|(saved, ids)| used = take(saved.read(ids, limits, &|| used)));
        return;
    }
    let turns =
        Turns { state: Mutex::default(), changed: Condvar::new(), ahead: (2 * threads).min(AHEAD.max(threads)) };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = turns.draw();
                    let Some((saved, ids)) = files.get(number) else { return };
                    let turn = || turns.wait(|s| s.taken == number).used;
                    turns.put(number, saved.read(ids, limits, &turn));
                }
            });
        }
        for number in 0..count {
            let used = turns.next(number).map_or(0, &mut take);
            turns.taken(number, used);
        }
    });
}
