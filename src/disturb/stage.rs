//! A fault at work: takes frames one by one, hands on what is left of them.

use super::fault::{Copied, Fault, Random, Told, Which};
use super::{Kept, rewrite};
use crate::base::{Span, Time};
use crate::capture::InputMeta;
use crate::packet::decode;

/// A fault and where it stands.
#[derive(Debug)]
pub(super) enum Stage {
    Drop { choice: Choice, told: Told, pending: u64, total: u64 },
    Again { choice: Choice, copy: Copied, waiting: Vec<Kept> },
    Reorder { within: usize, random: Random, held: Vec<Kept> },
    Snaplen(u32),
    ClockStep { at: u64, by: i64, index: u64 },
}

impl Stage {
    pub(super) fn new(fault: Fault) -> Self {
        match fault {
            Fault::Drop { which, told } => Self::Drop { choice: Choice::new(which), told, pending: 0, total: 0 },
            Fault::Again { which, copy } => Self::Again { choice: Choice::new(which), copy, waiting: Vec::new() },
            Fault::Reorder { within, seed } => Self::Reorder { within, random: Random(seed), held: Vec::new() },
            Fault::Snaplen(n) => Self::Snaplen(n),
            Fault::ClockStep { at, by } => Self::ClockStep { at, by, index: 0 },
        }
    }

    pub(super) fn take(&mut self, mut frame: Kept, out: &mut Vec<Kept>) {
        match self {
            Self::Drop { choice, told, pending, total } => {
                if choice.takes(&frame) {
                    *pending += 1;
                    *total += 1;
                    return;
                }
                if *told == Told::Dated {
                    frame.drops += std::mem::take(pending);
                }
                out.push(frame);
            }
            Self::Again { choice, copy, waiting } => {
                due(waiting, Some(frame.time), out);
                if choice.takes(&frame) {
                    waiting.push(copied(&frame, *copy));
                }
                out.push(frame);
            }
            Self::Reorder { within, random, held } => {
                held.push(frame);
                if held.len() > *within {
                    let oldest_must_go = held.len() > within.saturating_mul(2);
                    let pick = if oldest_must_go { 0 } else { at_random(random, held.len()) };
                    out.push(held.remove(pick));
                }
            }
            Self::Snaplen(n) => {
                frame.data.truncate(usize::try_from(*n).unwrap_or(usize::MAX));
                out.push(frame);
            }
            Self::ClockStep { at, by, index } => {
                if *index >= *at {
                    let by_span = Span::from_nanos(by.unsigned_abs());
                    frame.time = if *by < 0 { frame.time.minus(by_span) } else { frame.time.plus(by_span) };
                }
                *index += 1;
                out.push(frame);
            }
        }
    }

    /// What was held back, at the end.
    pub(super) fn rest(&mut self) -> Vec<Kept> {
        let mut out = Vec::new();
        match self {
            Self::Again { waiting, .. } => due(waiting, None, &mut out),
            Self::Reorder { held, .. } => out.append(held),
            _ => {}
        }
        out
    }

    /// What the capture says of the fault as a whole.
    pub(super) fn note(&self, meta: &mut InputMeta) {
        match self {
            Self::Drop { told: Told::Total, total, .. } => meta.lose_in_all(*total),
            // Those after the last frame have no frame to be dated by.
            Self::Drop { told: Told::Dated, pending, .. } if *pending > 0 => meta.lose_in_all(*pending),
            Self::Snaplen(n) => meta.cut_at(*n),
            _ => {}
        }
    }
}

fn at_random(random: &mut Random, len: usize) -> usize {
    let len = u64::try_from(len.max(1)).unwrap_or(1);
    usize::try_from(random.next() % len).unwrap_or(0)
}

/// Hands on copies stamped before a frame; all of them at the end.
fn due(waiting: &mut Vec<Kept>, before: Option<Time>, out: &mut Vec<Kept>) {
    let n = before.map_or(waiting.len(), |t| waiting.partition_point(|w| w.time < t));
    out.extend(waiting.drain(..n));
}

fn copied(frame: &Kept, how: Copied) -> Kept {
    let mut copy = frame.clone();
    copy.time = copy.time.plus(how.later);
    copy.interface = copy.interface.saturating_add(how.interface);
    copy.drops = 0;
    if how.hops > 0 {
        rewrite::age(copy.link, &mut copy.data, how.hops);
    }
    if let Some(vlan) = how.vlan
        && rewrite::tag(copy.link, &mut copy.data, vlan)
    {
        copy.original_len = copy.original_len.saturating_add(rewrite::TAG);
    }
    copy
}

/// A choice of frames and where it stands.
#[derive(Debug)]
pub(super) struct Choice {
    which: Which,
    index: u64,
    random: Random,
    /// Frames left of the run that began.
    run: u64,
}

impl Choice {
    fn new(which: Which) -> Self {
        let seed = match which {
            Which::Random { seed, .. } | Which::Bursts { seed, .. } => seed,
            _ => 0,
        };
        Self { which, index: 0, random: Random(seed), run: 0 }
    }

    fn takes(&mut self, frame: &Kept) -> bool {
        let index = self.index;
        self.index += 1;
        match &self.which {
            Which::All => true,
            Which::Frames(range) => range.contains(&index),
            Which::Random { per_mille, .. } => self.random.chance(*per_mille),
            Which::Bursts { per_mille, length, .. } => {
                if self.random.chance(*per_mille) {
                    self.run = *length;
                }
                let taken = self.run > 0;
                self.run = self.run.saturating_sub(1);
                taken
            }
            Which::Before(time) => frame.time < *time,
            Which::From(time) => frame.time >= *time,
            Which::SentBy(hosts) => decode(&frame.frame(0)).packet.is_some_and(|p| hosts.contains(&p.src)),
        }
    }
}
