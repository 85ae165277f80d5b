//! The word before `=` in `--at`: where a capture was taken.

use std::net::IpAddr;

use portwitness::base::{RunError, visible};
use portwitness::matrix::Role;
use portwitness::site::{HostId, Place, PointDecl, Site, nearest};

use super::inputs::At;

/// A mirror port or a router.
const MIRROR: &str = "mirror";

/// Adds to a site the places that only the command line names. Declared points keep what the site says of them.
///
/// # Errors
/// A word that is no place, or a role that no host of the site has.
pub(super) fn declare(site: &mut Site, at: &[At]) -> Result<(), RunError> {
    for At { place, path } in at {
        if site.points.iter().any(|p| p.name == *place) {
            continue;
        }
        let places = resolve(site, place)?;
        // A declaration without captures would claim every capture without a place.
        let captures = vec![path.to_string_lossy().into_owned()];
        site.points.push(PointDecl { name: place.clone(), places, captures, complete: false, sees: Vec::new() });
    }
    Ok(())
}

/// Checks the words where there is no site to resolve them against.
///
/// # Errors
/// A word that can be no place.
pub(super) fn check(at: &[At]) -> Result<(), RunError> {
    let known = |w: &str| w == MIRROR || w.parse::<IpAddr>().is_ok() || Role::from_word(w).is_some();
    match at.iter().find(|a| !known(&a.place)) {
        Some(a) => Err(unknown(&a.place, roles(), "a role, an address or \"mirror\" (hosts need --site)")),
        None => Ok(()),
    }
}

fn resolve(site: &Site, word: &str) -> Result<Vec<Place>, RunError> {
    if word == MIRROR {
        return Ok(vec![Place::Mirror]);
    }
    let hosts: Vec<HostId> = if let Some(role) = Role::from_word(word) {
        site.with_role(role).collect()
    } else if let Some(i) = site.hosts.iter().position(|h| h.label == word) {
        vec![HostId(i)]
    } else if let Ok(addr) = word.parse::<IpAddr>() {
        site.host_of(addr).into_iter().collect()
    } else {
        let names = site.hosts.iter().map(|h| h.label.as_str()).chain(site.points.iter().map(|p| p.name.as_str()));
        let expected = "a role, host or address of the site, or \"mirror\"";
        return Err(unknown(word, roles().chain(names), expected));
    };
    if hosts.is_empty() {
        let site = site.path.as_deref().unwrap_or("the site");
        return Err(RunError::Config(format!(
            "--at {}: no host of {} is that; expected a role, host or address that it names",
            visible(word),
            visible(site)
        )));
    }
    Ok(hosts.into_iter().map(Place::Host).collect())
}

fn roles<'a>() -> impl Iterator<Item = &'a str> {
    Role::ALL.iter().map(|r| r.word()).chain([MIRROR])
}

fn unknown<'a>(word: &str, candidates: impl Iterator<Item = &'a str>, expected: &str) -> RunError {
    let near = nearest(word, candidates).map_or(String::new(), |n| format!("; did you mean '{n}'?"));
    RunError::Config(format!("--at {}: no such place; expected {expected}{near}", visible(word)))
}
