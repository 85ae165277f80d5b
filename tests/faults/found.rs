//! Disturbances that once made a claim false, each with the sentence that was missing from the judge.

use portwitness::base::Span;
use portwitness::disturb::{Fault, Told, Which};

use crate::disturbances::ALL;
use crate::recording::Recording;
use crate::{claims, lies, none};

/// A recording by the name the table gives it, with and without what the site declares.
fn of(name: &str, faults: &[Fault]) {
    let recording = Recording::named(name);
    none(recording.cases().iter().map(|case| lies(case, faults)).collect());
}

/// The same for a disturbance of the table.
fn under(name: &str, disturbance: &str) {
    let (recording, faults) = (Recording::named(name), ALL.iter().find(|d| d.0 == disturbance).unwrap().1);
    let told = recording.cases().into_iter().map(|case| claims::hold(&case, &case.play(&faults)).lies);
    none(told.collect());
}

fn dated(from: u64, to: u64) -> [Fault; 1] {
    [Fault::Drop { which: Which::Frames(from..to), told: Told::Dated }]
}

#[test]
fn drops_that_only_packet_blocks_count_forbid_absence() {
    of("ipv6-lossy, target-windows", &dated(91, 110));
    of("ipv6-lossy, target-windows", &dated(105, 124));
    of("restore-clean, router", &dated(33, 115));
    of("restore-clean, router", &dated(363, 445));
    of("restore-clean, target-windows", &dated(72, 89));
}

#[test]
fn a_capture_that_began_between_two_steps_misses_neither() {
    under("restore-clean, console", "begun at the end");
    under("restore-clean, router", "begun at the end");
    under("plugin-windows, target-windows", "begun at the end");
}

#[test]
fn a_clock_that_was_set_moves_nothing_out_of_the_restore() {
    let step = |by| [Fault::ClockStep { at: 100, by }];
    for by in [3_600_000_000_000, -3_600_000_000_000, -500_000_000] {
        of("restore-clean, router", &step(by));
        of("dual-stack-unreachable, console", &step(by));
    }
}

#[test]
fn an_icmp_error_cut_before_its_quote_may_be_the_answer() {
    of("dual-stack-unreachable, console", &[Fault::Snaplen(96)]);
}

#[test]
fn frames_cut_before_their_ports_are_no_unexpected_flows() {
    of("ipv6-lossy, target-windows", &[Fault::Snaplen(54)]);
    of("restore-clean, router", &[Fault::Snaplen(54)]);
}

#[test]
fn a_mirror_of_one_direction_misses_nobody() {
    under("restore-clean, router", "what the host sends");
}

#[test]
fn an_attempt_of_which_only_one_direction_was_seen_is_no_pass() {
    under("rpc-dynamic-dropped, console", "what the host sends");
}

#[test]
fn a_fallback_that_was_tried_after_the_capture_ended_is_not_blocked() {
    // 6162 has failed after 7.0 s, the client gives up on it after 7.1 s: only then comes 2500.
    let recording = Recording::named("data-mover-fallback, mount-server");
    let frames = &recording.files[0].frames;
    let first = frames.iter().find(|f| f.data.windows(2).any(|w| w == [0x18, 0x12])).unwrap().time;
    for millis in [3_500, 6_900, 7_020, 7_050] {
        let end = first.plus(Span::from_millis(millis));
        of("data-mover-fallback, mount-server", &[Fault::lost(Which::From(end))]);
    }
}
