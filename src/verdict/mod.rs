//! The judge: matrix, site and observations in, a report out. Pure: no clock, no file, no packet.
//!
//! The way of a case: points are resolved (`points`), flows are oriented and given hosts and roles (`seen`), classified
//! against the rules in force (`rules`, `classify`); rules expand to demands (`expand`), which flows satisfy or not
//! (`presence`), and where nothing was seen soundness decides what may be said (`sound`, `settle`).

mod asked;
mod assemble;
mod broken;
mod classify;
mod cut;
mod disagree;
mod draft;
mod expand;
mod exposure;
mod filter;
mod healing;
mod hidden;
mod infer;
mod joined;
mod judged;
mod mapper;
mod memo;
mod path;
mod places;
mod points;
mod presence;
mod record;
mod requirement;
mod restores;
mod rules;
mod seen;
mod settle;
mod shares;
mod sound;
mod summary;
mod unexpected;
mod who;
mod words;

pub use asked::{Asked, asked};
pub use draft::{Draft, draft_site, where_to_look};
pub use memo::Memo;
pub use record::{after, flow_record};

use crate::matrix::Matrix;
use crate::observe::{Keep, Observation};
use crate::report::{Report, ScopeMode};
use crate::site::Site;

/// What was seen at one place.
#[derive(Clone, Debug)]
pub struct PointSeen {
    /// The place's name as in the site or on the command line; `None`: not said.
    pub name: Option<String>,
    /// What was seen there.
    pub observation: Observation,
}

/// How to judge.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether what cannot be seen counts.
    pub scope: ScopeMode,
    /// Whether the warning kinds of unexpected flows fail the verdict.
    pub strict: bool,
    /// SOURCE_DATE_EPOCH, to be printed as the time of the run.
    pub run_at: Option<crate::base::Time>,
    /// Threads that judge; 0 is 1. They change nothing in the report.
    pub threads: usize,
}

/// Everything the judge looks at.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The rules.
    pub matrix: &'a Matrix,
    /// The site; `None`: roles are inferred and nothing is claimed absent.
    pub site: Option<&'a Site>,
    /// What was seen, one per observation point, in the order given.
    pub points: &'a [PointSeen],
    /// How to judge.
    pub options: &'a Options,
}

/// The flows that a judgement needs as flows, where so many places are judged by a site; without one, all.
pub fn keep(site: Option<&Site>, places: usize) -> Keep {
    site.map_or(Keep::all(), |site| points::keep(site, places))
}

/// Judges a case.
pub fn judge(case: &Case<'_>) -> Report {
    judged(case, None)
}

/// Judges a case of one point that was judged before and has grown. The memo must have been told what changed since, and be used
/// with the same matrix and options; the report is the one that [`judge`] gives.
pub fn judge_again(case: &Case<'_>, memo: &mut Memo) -> Report {
    judged(case, Some(memo))
}

fn judged(case: &Case<'_>, memo: Option<&mut Memo>) -> Report {
    let ports = case.matrix.service_ports();
    match case.site {
        Some(site) => assemble::judge(case, site, &ports, None, memo),
        None => {
            let (site, roles) = infer::infer(case.points, &ports);
            assemble::judge(case, &site, &ports, Some(roles), memo)
        }
    }
}
