//! What a script comes to when certain blocks stand in its way, worked out without playing it.
//!
//! The truth that verdicts are held against starts here: which connections are tried, and how each
//! ends. A play is held against the same story, so neither can drift from the other.

use crate::block::{Block, Fate};
use crate::hosts::Host;
use crate::scenario::{Act, Odd, Scenario, Step};

/// Stands for whatever port the endpoint mapper named.
pub(crate) const MAPPED: u16 = 49_152;

/// How a connection ends.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Worked,
    /// Established, then broken by a block.
    Broken(Block),
    /// Never established, because of this block.
    Stopped(Block),
}

/// A connection somebody tries.
#[derive(Clone, Debug)]
pub(crate) struct Try {
    pub(crate) from: Host,
    pub(crate) to: Host,
    pub(crate) port: u16,
    pub(crate) end: End,
    pub(crate) odd: Odd,
}

/// What becomes of a script.
pub(crate) struct Story {
    pub(crate) tries: Vec<Try>,
    /// Of each step of the restore: whether it worked, or `None` where it was not reached.
    pub(crate) steps: Vec<Option<bool>>,
    /// Pairs with an echo before and after.
    pub(crate) pinged: Vec<(Host, Host)>,
}

impl Story {
    pub(crate) fn of(scenario: &Scenario, blocks: &[Block]) -> Self {
        let pinged = scenario.before.iter().map(|s| (s.from, s.to)).collect();
        let mut story = Self { tries: Vec::new(), steps: Vec::new(), pinged };
        let mut stopped = false;
        for step in &scenario.restore {
            if stopped {
                story.steps.push(None);
                continue;
            }
            let worked = story.act(step, blocks);
            stopped = !worked && !step.optional;
            story.steps.push(Some(worked));
        }
        story
    }

    /// The story up to a step of the restore.
    pub(crate) fn until(scenario: &Scenario, blocks: &[Block], cut: Option<usize>) -> Self {
        let mut scenario = scenario.clone();
        scenario.restore.truncate(cut.unwrap_or(usize::MAX));
        Self::of(&scenario, blocks)
    }

    fn act(&mut self, step: &Step, blocks: &[Block]) -> bool {
        let (ports, any) = match &step.act {
            Act::Ping => return true,
            Act::Tls(port) | Act::Ssh(port) | Act::IscsiRead { port, .. } => (vec![*port], false),
            Act::SmbPut { .. } => (vec![445], false),
            Act::RpcCall => (vec![135, MAPPED], false),
            Act::Send { ports, .. } => (ports.clone(), true),
        };
        for port in ports {
            let end = end(step, port, blocks);
            let worked = matches!(end, End::Worked);
            let Step { from, to, odd, .. } = *step;
            self.tries.push(Try { from, to, port, end, odd });
            if worked == any {
                return worked;
            }
        }
        !any
    }
}

fn end(step: &Step, port: u16, blocks: &[Block]) -> End {
    match blocks.iter().find(|b| b.catches(step.from, step.to, port)) {
        Some(Block { fate: Fate::Loss(_), .. }) | None => End::Worked,
        Some(block @ Block { fate: Fate::BlackHole | Fate::ResetMidstream, .. }) => End::Broken(block.clone()),
        Some(block) => End::Stopped(block.clone()),
    }
}
