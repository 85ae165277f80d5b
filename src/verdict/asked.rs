//! What a site's restore has to show, without any observation: the judge's own expansion, for planning captures.

use super::expand::{Demand, expand};
use super::rules::Rules;
use crate::base::Service;
use crate::matrix::{Carries, Matrix, Need};
use crate::site::{HostId, Site};

/// A requirement before anything was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Rule id.
    pub rule: String,
    /// Service at the responder, with the site's overrides applied.
    pub service: Service,
    /// Ports used instead where that cannot be reached.
    pub fallback: Option<Service>,
    /// What the service carries.
    pub carries: Option<Carries>,
    /// How much it is needed.
    pub need: Need,
    /// Position in the restore.
    pub stage: Option<u8>,
    /// Hosts expected to open it.
    pub drivers: Vec<HostId>,
    /// Hosts that may answer it.
    pub responders: Vec<HostId>,
}

impl Asked {
    /// Pairs of hosts, originator first, all of which must be in sight before absence can be claimed.
    pub fn pairs(&self) -> impl Iterator<Item = (HostId, HostId)> + '_ {
        self.drivers.iter().flat_map(|&a| self.responders.iter().map(move |&b| (a, b))).filter(|(a, b)| a != b)
    }
}

/// All that applies to a site, in the order of stages and rules. No exception has expired yet: there is no capture time.
pub fn asked(matrix: &Matrix, site: &Site) -> Vec<Asked> {
    let rules = Rules::new(matrix, site, None);
    let demands = expand(&rules, site).into_iter().filter(|d| d.not_applicable.is_none());
    demands.filter_map(|d| of_demand(&rules, d)).collect()
}

fn of_demand(rules: &Rules<'_>, d: Demand) -> Option<Asked> {
    let rule = &rules.list.get(d.rule)?.rule;
    let port = rule.ports.get(d.port)?;
    Some(Asked {
        rule: rule.id.clone(),
        service: port.service,
        fallback: port.fallback_service(),
        carries: port.carries,
        need: d.need,
        stage: d.stage,
        drivers: d.drivers,
        responders: d.responders,
    })
}
