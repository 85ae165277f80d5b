//! Captures made worse on purpose: a source that wraps another and loses, repeats, reorders, cuts and misdates its frames.
//!
//! For tests, here and of those who build on this library: does a verdict survive what real networks and real capture
//! tools do? Faults are data, applied in the order given; the same faults over the same source give the same frames.

mod fault;
mod rewrite;
mod stage;

use std::collections::VecDeque;

pub use fault::{Copied, Fault, Told, Which};

use crate::base::{InputId, Time};
use crate::capture::{Event, Frame, FrameSource, InputMeta, LinkType};
use stage::Stage;

/// A source whose frames went through faults.
#[derive(Debug)]
pub struct Disturbed<S> {
    source: S,
    stages: Vec<Stage>,
    ready: VecDeque<Kept>,
    current: Option<Kept>,
    ended: bool,
    /// Frames handed on, with their drops; what the meta is made of.
    tally: Vec<Counted>,
    number: u64,
}

/// A frame of its own.
#[derive(Clone, Debug)]
struct Kept {
    time: Time,
    input: InputId,
    interface: u32,
    link: LinkType,
    data: Vec<u8>,
    original_len: u32,
    /// Frames lost right before it, where the capture says so.
    drops: u64,
}

/// What the meta has to know of a frame.
#[derive(Debug)]
struct Counted {
    time: Time,
    interface: u32,
    link: LinkType,
    cut: bool,
    drops: u64,
}

impl Kept {
    fn of(f: &Frame<'_>) -> Self {
        let &Frame { time, input, interface, link, data, original_len, .. } = f;
        Self { time, input, interface, link, data: data.to_vec(), original_len, drops: 0 }
    }

    fn frame(&self, number: u64) -> Frame<'_> {
        let Self { time, input, interface, link, original_len, .. } = *self;
        Frame { time, input, number, interface, link, data: &self.data, original_len }
    }

    fn cut(&self) -> bool {
        u32::try_from(self.data.len()).is_ok_and(|n| n < self.original_len)
    }
}

impl<S: FrameSource> Disturbed<S> {
    /// Wraps a source. Faults apply in their order: what one drops, the next one never sees.
    pub fn new(source: S, faults: &[Fault]) -> Self {
        Self {
            source,
            stages: faults.iter().cloned().map(Stage::new).collect(),
            ready: VecDeque::new(),
            current: None,
            ended: false,
            tally: Vec::new(),
            number: 0,
        }
    }

    /// Sends frames through the stages from one on.
    fn pass(&mut self, frames: Vec<Kept>, from: usize) {
        let mut frames = frames;
        for stage in self.stages.iter_mut().skip(from) {
            let mut out = Vec::with_capacity(frames.len());
            frames.into_iter().for_each(|f| stage.take(f, &mut out));
            frames = out;
        }
        self.ready.extend(frames);
    }

    fn flush(&mut self) {
        self.ended = true;
        for i in 0..self.stages.len() {
            let held = self.stages.get_mut(i).map(Stage::rest).unwrap_or_default();
            self.pass(held, i + 1);
        }
    }
}

impl<S: FrameSource> FrameSource for Disturbed<S> {
    fn next(&mut self) -> Option<Event<'_>> {
        while self.ready.is_empty() && !self.ended {
            match self.source.next() {
                Some(Event::Frame(frame)) => {
                    let kept = Kept::of(&frame);
                    self.pass(vec![kept], 0);
                }
                Some(Event::Problem(problem)) => return Some(Event::Problem(problem)),
                // What is no packet is not disturbed.
                Some(Event::Counted(counted)) => return Some(Event::Counted(counted)),
                Some(Event::Host(fact)) => return Some(Event::Host(fact)),
                None => self.flush(),
            }
        }
        self.current = self.ready.pop_front();
        let kept = self.current.as_ref()?;
        self.number += 1;
        let Kept { time, interface, link, drops, .. } = *kept;
        self.tally.push(Counted { time, interface, link, cut: kept.cut(), drops });
        Some(Event::Frame(kept.frame(self.number)))
    }

    fn finish(&mut self) -> InputMeta {
        let mut meta = self.source.finish().without_frames();
        for f in self.tally.drain(..) {
            meta.count(f.time, f.interface, f.link, f.cut);
            meta.lose(f.interface, Some(f.time), f.drops);
        }
        self.stages.iter().for_each(|s| s.note(&mut meta));
        meta
    }
}
