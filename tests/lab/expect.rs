//! What a judge has to say of each row, from each place: worked out from what the lab did, never from what a judge said.
//!
//! Pure: a story (connections tried, blocks), a place and how much of it is declared, and the rows.
//! The order of the questions is that of the contract: failed, worked, not reached, out of sight,
//! unclear, missing.

use std::collections::BTreeSet;

use crate::block::{Block, Fate};
use crate::hosts::{Host, Place, Topology};
use crate::rows::{Need, Operation, Row};
use crate::scenario::Odd;
use crate::story::{End, Story, Try};

/// What a capture shows of a connection that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shown {
    Established,
    /// Established, and seen to break.
    Broken,
    Refused,
    Prohibited,
    Unreachable,
    HalfOpen,
    Unanswered,
    /// Too little to say: one SYN, and nothing that answers it.
    Undetermined,
}

impl Shown {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Established | Self::Broken => "established",
            Self::Refused => "refused",
            Self::Prohibited => "prohibited",
            Self::Unreachable => "unreachable",
            Self::HalfOpen => "half_open",
            Self::Unanswered => "unanswered",
            Self::Undetermined => "undetermined",
        }
    }
}

/// What several connections come to together.
#[derive(Default)]
struct Sum {
    worked: bool,
    failed: bool,
    open: bool,
}

/// From where a restore is judged, and what the site declares of it.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// One place, or several at once.
    pub(crate) places: Vec<Place>,
    /// The site says that everything these places carry is captured, and when the restore ran.
    pub(crate) declared: bool,
    /// The captures end after this many steps of the restore.
    pub(crate) cut: Option<usize>,
    /// The site says that another kind of restore was run.
    pub(crate) claimed: Option<Operation>,
}

impl View {
    pub(crate) fn of(places: Vec<Place>, declared: bool) -> Self {
        Self { places, declared, cut: None, claimed: None }
    }
}

/// Class of a connection that a rule allows in another operation: unexpected, and a warning only.
pub(crate) const OTHERWISE: &str = "unexpected (another operation)";

/// Outcome of a row.
pub(crate) type Outcome = &'static str;

/// What has to come out for one view.
pub(crate) struct Expected {
    pub(crate) rows: Vec<(Row, Outcome)>,
    /// Originator's machine, responder's machine, port, attempt, class; the port a mapper names is `MAPPED`.
    pub(crate) flows: BTreeSet<(Host, Host, u16, &'static str, &'static str)>,
    pub(crate) verdict: &'static str,
}

/// Everything an expectation follows from.
pub(crate) struct Facts<'a> {
    pub(crate) topology: &'a Topology,
    pub(crate) story: &'a Story,
    pub(crate) view: &'a View,
}

/// What a place that sees a broken connection shows of that. Full-sized segments that vanish show on both sides: sent again
/// and again before the place where they do, bytes that never come behind it. A reset that the router sends to the originator
/// shows on its way there; the mirror's bridge is not on it, and the responder learns nothing.
fn broken_at(block: &Block, place: Place, from: Host) -> Shown {
    match block.fate {
        Fate::ResetMidstream if place != Place::At(from) && place != Place::Router => Shown::Established,
        _ => Shown::Broken,
    }
}

impl Facts<'_> {
    pub(crate) fn expect(&self, rows: Vec<Row>) -> Expected {
        let rows: Vec<Row> = rows.into_iter().filter(|r| self.on_the_wire(r)).collect();
        let first: Vec<Option<Outcome>> = rows.iter().map(|r| self.presence(r)).collect();
        let settled: Vec<Outcome> =
            (0..rows.len()).map(|i| first[i].unwrap_or_else(|| self.absence(&rows, &first, i))).collect();
        let flows = self.flows(&rows);
        let verdict = self.verdict(&rows, &settled, &flows);
        Expected { rows: rows.into_iter().zip(settled).collect(), flows, verdict }
    }

    /// Whether the captures cover the time when a row was due: all of the restore where the site says when that was;
    /// where it does not, only a step before and one after tell.
    fn covered(&self, rows: &[Row], row: &Row) -> bool {
        if self.view.declared {
            self.view.cut.is_none()
        } else {
            self.earlier_seen(rows, row) && self.later_seen(rows, row)
        }
    }

    fn on_the_wire(&self, row: &Row) -> bool {
        row.drivers.iter().any(|d| self.topology.machine(*d) != self.topology.machine(row.to))
    }

    /// What a place shows of a connection.
    ///
    /// A connection passes four taps: the originator's, the router's on the way in, the router's on the
    /// way out, the responder's. A block sits between two of them.
    fn shown_at(&self, t: &Try, place: Place) -> Option<Shown> {
        let (from, to) = (self.topology.machine(t.from), self.topology.machine(t.to));
        if from == to {
            return None;
        }
        let near = |h: Host| self.topology.neighbours(h, Host::Console).unwrap_or(false);
        let (before, behind) = match place {
            Place::At(h) => (h == from, h == to),
            Place::Router => (true, true),
            Place::Mirror => (near(from), near(to)),
        };
        let block = match &t.end {
            _ if !before && !behind => return None,
            End::Worked => return Some(Shown::Established),
            End::Broken(block) => return Some(broken_at(block, place, from)),
            End::Stopped(block) => block,
        };
        let at_router = block.place == Place::Router;
        match block.fate {
            // The answer shows up to where it is dropped.
            Fate::ReturnDrop if block.place == Place::At(from) => Some(Shown::HalfOpen),
            Fate::ReturnDrop if at_router && behind => Some(Shown::HalfOpen),
            Fate::ReturnDrop => Some(Shown::Unanswered),
            Fate::NotServed => Some(Shown::Refused),
            // The attempt itself shows up to where it is dropped.
            _ if block.place == Place::At(from) => None,
            _ if at_router && !before => None,
            // The kernel sends a reset from the port on which the packet came in, past the bridge that the mirror watches.
            Fate::Reset if at_router && place == Place::Mirror => Some(Shown::Undetermined),
            Fate::Reset | Fate::PortUnreachable => Some(Shown::Refused),
            Fate::Prohibited => Some(Shown::Prohibited),
            Fate::HostUnreachable => Some(Shown::Unreachable),
            Fate::Drop | Fate::Loss(_) | Fate::BlackHole | Fate::ResetMidstream => Some(Shown::Unanswered),
        }
    }

    fn shown(&self, t: &Try) -> BTreeSet<Shown> {
        self.view.places.iter().filter_map(|p| self.shown_at(t, *p)).collect()
    }

    /// Whether everything between two hosts would have been seen. `None`: the place is right, but nothing proves
    /// that it captured that traffic.
    fn sight(&self, a: Host, b: Host) -> Option<bool> {
        let (a, b) = (self.topology.machine(a), self.topology.machine(b));
        let ends = |x: Host, y: Host| {
            let (x, y) = (self.topology.machine(x), self.topology.machine(y));
            (x, y) == (a, b) || (y, x) == (a, b)
        };
        let talked = self.story.pinged.iter().any(|&(x, y)| ends(x, y));
        let one = |place: &Place| match place {
            Place::At(h) if *h != a && *h != b => Some(false),
            Place::At(_) if !(self.view.declared || talked) => None,
            Place::Router | Place::Mirror if !(self.view.declared || talked) => Some(false),
            _ => Some(true),
        };
        let all: Vec<_> = self.view.places.iter().map(one).collect();
        if all.contains(&Some(true)) {
            return Some(true);
        }
        if all.contains(&None) { None } else { Some(false) }
    }

    fn tries<'s>(&'s self, row: &'s Row, fallback: bool) -> impl Iterator<Item = &'s Try> {
        let ports = if fallback { row.fallback.clone() } else { Some(row.ports.clone()) };
        self.story.tries.iter().filter(move |t| {
            row.drivers.iter().any(|d| self.topology.machine(*d) == self.topology.machine(t.from))
                && self.topology.machine(t.to) == self.topology.machine(row.to)
                && ports.as_ref().is_some_and(|p| p.contains(&t.port))
        })
    }

    fn seen(&self, row: &Row) -> bool {
        self.tries(row, false).chain(self.tries(row, true)).any(|t| !self.shown(t).is_empty())
    }

    /// What connections that were seen decide by themselves.
    fn presence(&self, row: &Row) -> Option<Outcome> {
        let (primary, fallback) = (self.sum(self.tries(row, false)), self.sum(self.tries(row, true)));
        match () {
            () if fallback.worked && (primary.failed || !primary.worked) => Some("satisfied_by_fallback"),
            () if primary.failed && fallback.open => Some("inconclusive"),
            () if primary.failed => Some("blocked"),
            () if primary.worked => Some("satisfied"),
            () if primary.open || fallback.open || fallback.failed || self.untried(row) => Some("inconclusive"),
            () => None,
        }
    }

    /// What connections come to together. Another protocol than the rule's proves nothing either way.
    fn sum<'s>(&self, tries: impl Iterator<Item = &'s Try>) -> Sum {
        let mut sum = Sum::default();
        for t in tries {
            let shown = self.shown(t);
            // The place that saw it break knows more than another that saw it open.
            let established = shown.contains(&Shown::Established) && !shown.contains(&Shown::Broken);
            let failed = shown.iter().any(|s| !matches!(s, Shown::Established | Shown::Undetermined));
            sum.worked |= established && t.odd == Odd::No;
            sum.failed |= failed && !established;
            sum.open |= !shown.is_empty() && !failed && (!established || t.odd == Odd::WrongProtocol);
        }
        sum
    }

    /// Whether a view would have packets of a restore's pairs at all.
    pub(crate) fn carries(&self) -> bool {
        self.story.pinged.iter().any(|&(a, b)| self.sight(a, b) == Some(true))
    }

    /// The mapper was asked in sight, and the port it named was then tried, but never got here.
    fn untried(&self, row: &Row) -> bool {
        if !row.service.starts_with("tcp/49152") {
            return false;
        }
        let asked = |t: &Try| {
            t.port == 135
                && t.to == row.to
                && row.drivers.contains(&t.from)
                && self.shown(t).contains(&Shown::Established)
        };
        self.story.tries.iter().any(asked) && !self.seen(row)
    }

    /// Decides a row of which nothing was seen.
    fn absence(&self, rows: &[Row], first: &[Option<Outcome>], i: usize) -> Outcome {
        let row = &rows[i];
        let stopped = self.stopped(rows, first, i);
        let drivers = row.drivers.iter().filter(|d| self.topology.machine(**d) != self.topology.machine(row.to));
        let sights: Vec<_> = drivers.map(|d| self.sight(*d, row.to)).collect();
        let hidden = sights.contains(&Some(false));
        match stopped {
            Some(true) if !hidden => "not_reached",
            _ if hidden => "not_observable",
            Some(_) => "inconclusive",
            None if !self.restore_seen(rows) => "inconclusive",
            None if sights.contains(&None) => "inconclusive",
            None if !self.covered(rows, row) => "inconclusive",
            None => "missing",
        }
    }

    /// Whether an earlier failure explains that a row was never due; `true` where it is certain.
    fn stopped(&self, rows: &[Row], first: &[Option<Outcome>], i: usize) -> Option<bool> {
        let row = &rows[i];
        let mut best = None;
        for (j, other) in rows.iter().enumerate().filter(|(j, other)| *j != i && self.concerns(rows, other, row)) {
            let blocked = first[j] == Some("blocked") && !self.substituted(rows, first, j);
            let untried = first[j] == Some("inconclusive") && self.untried(other);
            if !(blocked || untried) || self.followed(rows, other) {
                continue;
            }
            let earlier = other.stage < row.stage || (other.rule == row.rule && j < i);
            if earlier && blocked {
                return Some(true);
            }
            if earlier || other.stage == row.stage {
                best = Some(false);
            }
        }
        best
    }

    fn substituted(&self, rows: &[Row], first: &[Option<Outcome>], j: usize) -> bool {
        let by = |k: &usize| {
            rows[*k].rule == rows[j].rule
                && rows[*k].each == rows[j].each
                && Some(*rows[*k].ports.start()) == rows[j].substitute
                && first[*k] == Some("satisfied")
        };
        (0..rows.len()).any(|k| by(&k))
    }

    /// Whether what stops `a` stops `b`: one target's trouble is not another's. A shared row stops everyone.
    fn concerns(&self, rows: &[Row], a: &Row, b: &Row) -> bool {
        a.each.is_none() || self.same_restore(rows, a, b)
    }

    fn same_restore(&self, rows: &[Row], a: &Row, b: &Row) -> bool {
        match (a.each, b.each) {
            (Some(x), Some(y)) => x == y,
            _ => rows.iter().filter_map(|r| r.each).collect::<BTreeSet<_>>().len() <= 1,
        }
    }

    /// Whether something of an earlier stage of the same restore was seen.
    fn earlier_seen(&self, rows: &[Row], row: &Row) -> bool {
        let earlier = |r: &&Row| r.stage < row.stage && self.same_restore(rows, r, row);
        rows.iter().filter(earlier).any(|r| self.seen(r))
    }

    /// Whether something of a later stage of the same restore was seen.
    fn later_seen(&self, rows: &[Row], row: &Row) -> bool {
        (0..self.story.tries.len()).any(|n| self.later(rows, row, n))
    }

    /// Whether something of a later stage was seen after a row's failure.
    fn followed(&self, rows: &[Row], row: &Row) -> bool {
        let failed = self.story.tries.iter().position(|t| self.is_of(row, t)).unwrap_or(0);
        (failed..self.story.tries.len()).any(|n| self.later(rows, row, n))
    }

    /// Whether a connection shows that a later stage was reached. One that an earlier row explains as well (445 from
    /// the mount server is deployment in instant recovery, and the installer's) shows nothing of the kind.
    fn later(&self, rows: &[Row], row: &Row, n: usize) -> bool {
        let t = &self.story.tries[n];
        let mine = |r: &&Row| self.is_of(r, t) && self.same_restore(rows, r, row);
        !self.shown(t).is_empty()
            && rows.iter().filter(mine).all(|r| r.stage > row.stage)
            && rows.iter().any(|r| mine(&r))
    }

    /// Whether the view shows that a restore ran at all: deployment, runtime, shell, disks or data.
    fn restore_seen(&self, rows: &[Row]) -> bool {
        rows.iter().any(|r| !r.rule.ends_with(".console") && !r.rule.ends_with(".control") && self.seen(r))
    }

    fn flows(&self, rows: &[Row]) -> BTreeSet<(Host, Host, u16, &'static str, &'static str)> {
        let mut flows = BTreeSet::new();
        for t in &self.story.tries {
            let class = self.class(rows, t);
            let ends = (self.topology.machine(t.from), self.topology.machine(t.to));
            flows.extend(self.shown(t).into_iter().map(|s| (ends.0, ends.1, t.port, s.name(), class)));
        }
        flows
    }

    /// What a connection is to the matrix. In instant recovery and Enterprise Manager's restores the other sources of a
    /// deployment may act, too; in an export nobody has business with the target.
    fn class(&self, rows: &[Row], t: &Try) -> &'static str {
        let named = |companion| rows.iter().any(|r| r.companion == companion && self.is_of(r, t));
        let may = matches!(self.view.claimed, Some(Operation::InstantRecovery | Operation::EnterpriseManager));
        match t.odd {
            Odd::NoRule | Odd::WrongProtocol => "unexpected",
            Odd::No if named(false) || (may && !named(true)) => "expected",
            Odd::No if named(true) => "related",
            Odd::No => OTHERWISE,
        }
    }

    fn is_of(&self, row: &Row, t: &Try) -> bool {
        self.tries(row, false).chain(self.tries(row, true)).any(|x| std::ptr::eq(x, t))
    }

    fn verdict(
        &self,
        rows: &[Row],
        settled: &[Outcome],
        flows: &BTreeSet<(Host, Host, u16, &'static str, &'static str)>,
    ) -> &'static str {
        let first: Vec<Option<Outcome>> = settled.iter().map(|o| Some(*o)).collect();
        let fails = |i: usize| match settled[i] {
            "blocked" => !self.substituted(rows, &first, i),
            "missing" => rows[i].need == Need::Required,
            _ => false,
        };
        // An attempt that may have been blocked matters where a blocked one would; silence only where it is required.
        let tried = |i: usize| self.seen(&rows[i]) && !self.substituted(rows, &first, i);
        let open = |i: usize| settled[i] == "inconclusive" && (rows[i].need == Need::Required || tried(i));
        if (0..rows.len()).any(fails) || flows.iter().any(|f| f.4 == "unexpected") {
            return "fail";
        }
        if (0..rows.len()).any(open) || !self.restore_seen(rows) { "inconclusive" } else { "pass" }
    }
}
