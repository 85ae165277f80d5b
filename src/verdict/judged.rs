//! A case with everything decided: what the summary and the requirements are told from.

use super::Case;
use super::joined::Joined;
use super::places::Places;
use super::points::PointView;
use super::rules::Rules;
use super::seen::Seen;
use super::settle::Settled;
use crate::base::{Known, Time};
use crate::matrix::{Rule, RulePort};
use crate::report::{ClassCounts, Outcome};
use crate::site::Site;

/// A case with everything decided about its parts.
pub(super) struct Judged<'a, 'p> {
    pub(super) case: &'p Case<'a>,
    pub(super) site: &'a Site,
    pub(super) rules: &'p Rules<'a>,
    pub(super) points: &'p [PointView<'a>],
    pub(super) places: &'p Places,
    pub(super) joined: &'p Joined,
    pub(super) seen: &'p [Seen<'a>],
    pub(super) settled: &'p [Settled],
    /// Indices of flows in which one peer would not go on with the other.
    pub(super) refused: &'p [usize],
    pub(super) classes: ClassCounts,
    /// When the capture was taken: its last moment.
    pub(super) at: Option<Time>,
    pub(super) inferred: bool,
}

impl Judged<'_, '_> {
    pub(super) fn applicable(&self) -> impl Iterator<Item = &Settled> {
        self.settled.iter().filter(|s| s.outcome != Outcome::NotApplicable)
    }

    pub(super) fn unexpected(&self, fails: bool) -> impl Iterator<Item = &Seen<'_>> {
        let kind = move |s: &&Seen<'_>| s.class.unexpected.is_some_and(|k| k.fails() == fails);
        self.seen.iter().filter(kind).filter(|s| self.counts(s))
    }

    /// What other points saw of a connection.
    pub(super) fn elsewhere(&self, s: &Seen<'_>) -> Vec<&Seen<'_>> {
        self.joined.elsewhere(self.seen, s)
    }

    /// Whether a flow is the one of its connection that counts.
    pub(super) fn counts(&self, s: &Seen<'_>) -> bool {
        self.joined.counts(self.seen, s)
    }

    /// Flows in which the peers disagree.
    pub(super) fn disagreeing(&self) -> impl Iterator<Item = &Seen<'_>> {
        self.refused.iter().filter_map(|&i| self.seen.get(i))
    }

    /// Whether any driver tried a step that only a restore takes.
    pub(super) fn restore_seen(&self) -> bool {
        let shows = |s: &Settled| self.rules.list.get(s.demand.rule).is_some_and(|r| r.rule.shows_restore());
        self.applicable().any(|s| s.presence.attempted() && shows(s))
    }
}

/// Whether some input of the case recorded no drop counter at all. Tools differ in which of the two they fill.
pub(super) fn loss_unknown(j: &Judged<'_, '_>) -> bool {
    let unknown = |k: Known<u64>| matches!(k, Known::Unknown);
    j.points.iter().flat_map(|p| &p.observation.inputs).any(|i| unknown(i.loss_kernel) && unknown(i.loss_interface))
}

/// Rule and port of a demand: they come from the same list the demand was made from.
#[expect(clippy::indexing_slicing, reason = "a demand is made from indices of this very list")]
pub(super) fn rule_of<'p>(j: &Judged<'_, 'p>, s: &Settled) -> (&'p Rule, &'p RulePort) {
    let rule = &j.rules.list[s.demand.rule].rule;
    (rule, &rule.ports[s.demand.port])
}
