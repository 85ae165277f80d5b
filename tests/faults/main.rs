//! The lab's recordings through everything that goes wrong between a wire and a file: not one claim may be false.
//!
//! The lab's script says what took place (`tests/lab`, whose pure parts are read here), `disturbances.rs` what befalls
//! the recording, `claims.rs` which claims the two leave true. The program is held against them, never the reverse.
//!
//! `PORTWITNESS_EXPLORE=1` tries every packet and new seeds; without it a bounded sample is tried, always the same one.

#![cfg(target_os = "linux")]
#![allow(clippy::indexing_slicing, reason = "a test stops at the first surprise, and so may its helpers")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "likewise")]

// What the lab knows before it plays anything.
#[path = "../lab/block.rs"]
#[allow(dead_code, reason = "only what blocks are is used here, not how they are put in force")]
mod block;
#[path = "../lab/cmd.rs"]
#[allow(dead_code, reason = "likewise")]
mod cmd;
#[path = "../lab/expect.rs"]
#[allow(dead_code, reason = "likewise")]
mod expect;
#[path = "../lab/failure.rs"]
#[allow(dead_code, reason = "likewise")]
mod failure;
#[path = "../lab/hosts.rs"]
#[allow(dead_code, reason = "likewise")]
mod hosts;
#[path = "../lab/net.rs"]
#[allow(dead_code, reason = "likewise")]
mod net;
#[path = "../lab/rows.rs"]
#[allow(dead_code, reason = "likewise")]
mod rows;
#[path = "../lab/scenario.rs"]
#[allow(dead_code, reason = "likewise")]
mod scenario;
#[path = "../lab/situation.rs"]
#[allow(dead_code, reason = "likewise")]
mod situation;
#[path = "../lab/story.rs"]
#[allow(dead_code, reason = "likewise")]
mod story;

mod claims;
mod disturbances;
mod found;
mod recording;
mod table;
mod wire;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use portwitness::disturb::{Fault, Told, Which};

use recording::{Case, Recording};

/// Does some work for each of many things on all processors; results in their order.
fn side_by_side<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::default();
    thread::scope(|s| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            s.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = all.get(i) else { return };
                    let result = work(one);
                    done.lock().unwrap().push((i, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, r)| r).collect()
}

fn exploring() -> bool {
    std::env::var_os("PORTWITNESS_EXPLORE").is_some()
}

/// Plays faults, the same for every capture of a case, and returns what was claimed falsely.
fn lies(case: &Case<'_>, faults: &[Fault]) -> Vec<String> {
    let played = case.play(&|_| vec![faults.to_vec()]);
    let told = claims::hold(case, &played);
    told.lies.iter().map(|l| format!("{}, {faults:?}: {l}", case.name())).collect()
}

fn none(found: Vec<Vec<String>>) {
    let found: Vec<String> = found.into_iter().flatten().collect();
    assert!(found.is_empty(), "{} false claims:\n{}", found.len(), found.join("\n"));
}

/// So many numbers below a limit, spread over all of them; every one where all are wanted.
fn sample(limit: u64, at_most: u64) -> Vec<u64> {
    let step = if exploring() { 1 } else { limit.div_ceil(at_most).max(1) };
    (0..limit).filter(|n| n % step == 0).collect()
}

#[test]
fn a_recording_that_nothing_befell_is_judged_as_the_script_has_it() {
    let recordings = Recording::all();
    let cases: Vec<Case<'_>> = recordings.iter().flat_map(Recording::cases).collect();
    none(side_by_side(&cases, |case| {
        let played = case.play(&|_| vec![vec![]]);
        let told = claims::hold(case, &played);
        let wrong = told.rows.iter().filter(|r| r.said != r.expected);
        wrong
            .map(|r| format!("{}: {} {} for {}", case.name(), r.row, r.said, r.expected))
            .chain(told.lies.clone())
            .collect()
    }));
}

#[test]
fn whatever_befalls_a_recording_no_claim_is_false_and_the_table_says_so() {
    table::hold();
}

#[test]
fn no_single_lost_packet_makes_a_claim_false() {
    let recordings = Recording::all();
    let cases: Vec<Case<'_>> = recordings.iter().flat_map(Recording::cases).collect();
    let all: Vec<(&Case<'_>, u64)> =
        cases.iter().flat_map(|c| sample(c.longest(), 16).into_iter().map(move |n| (c, n))).collect();
    none(side_by_side(&all, |(case, n)| lies(case, &[Fault::lost(Which::Frames(*n..n + 1))])));
}

#[test]
fn no_hundredth_of_the_packets_lost_at_random_makes_a_claim_false() {
    let recordings = Recording::all();
    let cases: Vec<Case<'_>> = recordings.iter().flat_map(Recording::cases).collect();
    let seeds = if exploring() { 400 } else { 6 };
    let all: Vec<(&Case<'_>, u64)> = cases.iter().flat_map(|c| (0..seeds).map(move |s| (c, s))).collect();
    none(side_by_side(&all, |(case, seed)| lies(case, &[Fault::lost(Which::Random { per_mille: 10, seed: *seed })])));
}

#[test]
fn no_tenth_that_the_capture_owns_up_to_makes_a_claim_false() {
    let recordings = Recording::all();
    let cases: Vec<Case<'_>> = recordings.iter().flat_map(Recording::cases).collect();
    let all: Vec<(&Case<'_>, u64)> =
        cases.iter().flat_map(|c| sample(c.longest(), 12).into_iter().map(move |n| (c, n))).collect();
    none(side_by_side(&all, |(case, from)| {
        let which = Which::Frames(*from..from + (case.longest() / 10).max(1));
        lies(case, &[Fault::Drop { which, told: Told::Dated }])
    }));
}
