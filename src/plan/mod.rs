//! Where to capture a restore, and with which commands: pure, from a site and the rules alone.
//!
//! What a place shows is the judge's own question: a place shows a pair of hosts if it is one of them, or a mirror that is
//! declared to see it; a requirement is shown where all its pairs are.

mod commands;
mod cover;
mod places;
pub mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::base::shell_word;
use crate::matrix::{Matrix, Need, Os, Role};
use crate::site::{HostId, Site};
use crate::verdict::{Asked, asked};

pub use commands::{Command, Tool};

/// Version of the JSON form.
pub const SCHEMA: &str = "portwitness.plan/1";

/// A requirement that a place shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Rule id.
    pub rule: String,
    /// Service.
    pub service: String,
    /// Need.
    pub need: Need,
    /// Whether all its originators are seen here; else an originator elsewhere needs a capture, too.
    pub whole: bool,
}

/// One place where a capture can be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlacePlan {
    /// Its word for `--at`.
    pub place: String,
    /// Addresses of the host; empty for a mirror.
    pub addresses: Vec<String>,
    /// Roles of the host.
    pub roles: Vec<Role>,
    /// Operating system that the commands are for.
    pub os: Os,
    /// Where that comes from.
    pub os_because: String,
    /// Whether it is one of the fewest places.
    pub chosen: bool,
    /// Bytes kept of each frame; 0: all.
    pub snaplen: u32,
    /// Why.
    pub snaplen_because: String,
    /// What it shows, in the order of the restore.
    pub shows: Vec<Shown>,
    /// File that the commands leave behind.
    pub file: String,
    /// Ways to capture here; the first one needs no further software.
    pub commands: Vec<Command>,
}

/// Where to capture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// [`SCHEMA`].
    pub schema: String,
    /// Required rows that apply to the site.
    pub required: usize,
    /// Those that the chosen places show.
    pub shown: usize,
    /// Whether no smaller choice of places shows as much.
    pub fewest: bool,
    /// All places, chosen ones first.
    pub places: Vec<PlacePlan>,
    /// Pairs of hosts that the chosen places show at the responder only: a firewall between them hides the attempt there.
    pub only_at_responder: Vec<String>,
    /// The command that judges what was captured.
    pub verify: String,
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The rules.
    pub matrix: &'a Matrix,
    /// The site.
    pub site: &'a Site,
    /// Operating systems that are said, not guessed.
    pub os: &'a BTreeMap<HostId, Os>,
}

/// Plans captures of a site's restore.
pub fn plan(wish: &Wish<'_>) -> Plan {
    let asked = asked(wish.matrix, wish.site);
    let required: Vec<&Asked> = asked.iter().filter(|a| a.need == Need::Required).collect();
    let pairs: BTreeSet<(HostId, HostId)> = required.iter().flat_map(|a| a.pairs()).collect();
    let all = places::candidates(wish.site, &asked);
    let shows = |p: &places::Place| pairs.iter().map(|&pair| p.shows(pair)).collect::<Vec<bool>>();
    let (chosen, fewest) = cover::fewest(&all.iter().map(shows).collect::<Vec<_>>());
    let seen = |pair| chosen.iter().filter_map(|&i| all.get(i)).any(|p: &places::Place| p.shows(pair));
    let mut places: Vec<PlacePlan> =
        all.iter().enumerate().map(|(i, p)| places::plan(wish, p, &asked, chosen.contains(&i))).collect();
    places.sort_by_key(|p| !p.chosen);
    Plan {
        schema: SCHEMA.to_owned(),
        required: required.len(),
        shown: required.iter().filter(|a| a.pairs().all(seen)).count(),
        fewest,
        only_at_responder: only_at_responder(wish.site, &pairs, &|h| {
            chosen.iter().filter_map(|&i| all.get(i)).any(|p| p.is_at(h) || p.is_mirror())
        }),
        verify: verify(wish.site, &places),
        places,
    }
}

fn only_at_responder(
    site: &Site,
    pairs: &BTreeSet<(HostId, HostId)>,
    captured: &dyn Fn(HostId) -> bool,
) -> Vec<String> {
    let name = |h: HostId| places::name(site, h);
    pairs
        .iter()
        .filter(|(from, to)| !captured(*from) && captured(*to))
        .map(|&(from, to)| format!("{} to {}", name(from), name(to)))
        .collect()
}

/// The command line that judges the captures of the chosen places.
fn verify(site: &Site, places: &[PlacePlan]) -> String {
    let mut line = vec![
        "portwitness verify --site".to_owned(),
        shell_word(site.path.as_deref().unwrap_or("site.toml")).into_owned(),
    ];
    let at = |p: &PlacePlan| format!("--at {}", shell_word(&format!("{}={}", p.place, p.file)));
    line.extend(places.iter().filter(|p| p.chosen).map(at));
    line.join(" ")
}
