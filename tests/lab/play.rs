//! Playing a scenario step by step, and the log of what happened.

use std::fmt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::clients::{Pair, perform};
use crate::failure::Result;
use crate::hosts::{Place, Topology};
use crate::net::inside;
use crate::scenario::{Scenario, Stage, Step};

/// The captures run on after the restore, so that its end lies inside them.
const AFTERMATH: Duration = Duration::from_secs(1);
/// And longer after a failure: an attempt counts as unanswered only when nothing came for twice the
/// last interval between its SYNs, which is 4 s after the third; smbclient gives up 2 s after it.
const AFTER_FAILURE: Duration = Duration::from_secs(3);

/// What came of a step.
pub(crate) enum Outcome {
    /// It worked; with the port, where the act had a choice.
    Worked(Option<u16>),
    Failed(String),
    /// The restore had stopped before.
    NotPlayed,
}

/// A step and what came of it.
pub(crate) struct Played {
    pub(crate) step: Step,
    pub(crate) outcome: Outcome,
    pub(crate) began: SystemTime,
    pub(crate) took: Duration,
}

/// The whole play.
pub(crate) struct Log {
    pub(crate) steps: Vec<Played>,
    /// When the restore itself ran, without the frame around it.
    pub(crate) ran: (SystemTime, SystemTime),
}

impl Log {
    /// The stage at which the restore stopped, if it did.
    pub(crate) fn stopped_at(&self) -> Option<Stage> {
        let failed = |p: &&Played| matches!(p.outcome, Outcome::Failed(_)) && !p.step.optional;
        self.steps.iter().find(failed).map(|p| p.step.stage)
    }

    /// The steps of the restore itself.
    pub(crate) fn restore(&self) -> impl Iterator<Item = &Played> {
        self.steps.iter().filter(|p| !matches!(p.step.stage, Stage::Before | Stage::After))
    }

    /// Of each step of the restore: whether it worked, or `None` where it was not played.
    pub(crate) fn of_restore(&self) -> Vec<Option<bool>> {
        let worked = |p: &Played| match p.outcome {
            Outcome::Worked(_) => Some(true),
            Outcome::Failed(_) => Some(false),
            Outcome::NotPlayed => None,
        };
        self.restore().map(worked).collect()
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Played { step, outcome, took, .. } in &self.steps {
            let (from, to) = (step.from.name(), step.to.name());
            let outcome = match outcome {
                Outcome::Worked(None) => "worked".to_owned(),
                Outcome::Worked(Some(port)) => format!("worked on {port}"),
                Outcome::Failed(why) => format!("failed: {why}"),
                Outcome::NotPlayed => "not played".to_owned(),
            };
            writeln!(f, "{:>6.2} s  {:?}: {from} -> {to} {:?}: {outcome}", took.as_secs_f64(), step.stage, step.act)?;
        }
        Ok(())
    }
}

/// Plays all of `scenario`. A failed step is part of the story; only a broken lab is an error.
pub(crate) fn play(scenario: &Scenario, topology: &Topology, work: &Path) -> Result<Log> {
    let mut steps = Vec::new();
    for step in &scenario.before {
        steps.push(play_step(step, topology, work, steps.len())?);
    }
    // Keeps the restore and its frame apart even when times are rounded.
    thread::sleep(Duration::from_millis(100));
    let began = SystemTime::now();
    let mut stopped = false;
    for step in &scenario.restore {
        if stopped {
            steps.push(Played {
                step: step.clone(),
                outcome: Outcome::NotPlayed,
                began: SystemTime::now(),
                took: Duration::ZERO,
            });
            continue;
        }
        let played = play_step(step, topology, work, steps.len())?;
        stopped = matches!(played.outcome, Outcome::Failed(_)) && !step.optional;
        steps.push(played);
    }
    let ended = SystemTime::now();
    thread::sleep(if stopped { AFTER_FAILURE } else { AFTERMATH });
    for step in &scenario.after {
        steps.push(play_step(step, topology, work, steps.len())?);
    }
    Ok(Log { steps, ran: (began, ended) })
}

fn play_step(step: &Step, topology: &Topology, work: &Path, number: usize) -> Result<Played> {
    let pair = Pair { from: step.from, to: step.to, address: topology.address(step.to)?, work, number };
    let (clock, began) = (SystemTime::now(), Instant::now());
    let outcome = match inside(Place::At(topology.machine(step.from)), || perform(&step.act, &pair)) {
        Ok(port) => Outcome::Worked(port),
        Err(failure) => Outcome::Failed(failure.to_string()),
    };
    Ok(Played { step: step.clone(), outcome, began: clock, took: began.elapsed() })
}
