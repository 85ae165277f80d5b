//! Work on many flows, shared out among threads: what comes out is in the order of what went in, whatever their number.

use std::panic::resume_unwind;
use std::thread;

/// Flows that are worth a thread.
const WORTH_A_THREAD: usize = 2048;

/// What `map` makes of each item, in order; it is given the item's index, too.
pub(super) fn mapped<T: Sync, R: Send>(items: &[T], threads: usize, map: impl Fn(usize, &T) -> R + Sync) -> Vec<R> {
    mapped_of(items, threads, WORTH_A_THREAD, map)
}

fn mapped_of<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    worth: usize,
    map: impl Fn(usize, &T) -> R + Sync,
) -> Vec<R> {
    let shares = threads.min(items.len() / worth).max(1);
    let share = items.len().div_ceil(shares).max(1);
    let work = |(number, part): (usize, &[T])| -> Vec<R> {
        part.iter().enumerate().map(|(n, item)| map(number * share + n, item)).collect()
    };
    let mut parts = items.chunks(share).enumerate();
    let Some(first) = parts.next() else { return Vec::new() };
    thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        let mut all = work(first);
        all.reserve(items.len() - all.len());
        others.into_iter().for_each(|o| all.extend(o.join().unwrap_or_else(|panic| resume_unwind(panic))));
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_items_for_any_number_of_threads() {
        for len in [0, 1, 2, 3, 7, 8, 9, 100] {
            let items: Vec<usize> = (0..len).collect();
            for threads in [0, 1, 2, 3, 8, 200] {
                let out = mapped_of(&items, threads, 1, |n, item| (n, *item));
                assert_eq!(out, items.iter().map(|n| (*n, *n)).collect::<Vec<_>>());
            }
        }
    }
}
