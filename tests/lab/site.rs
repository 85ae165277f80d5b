//! Site files for the lab: what an administrator would write about this place and this restore.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::failure::{Context, Result};
use crate::hosts::{Host, Place, Topology};
use crate::lab::Recording;
use crate::rows::Operation;
use crate::situation::Situation;

/// What the site calls a host, where it has to call it anything.
pub(crate) fn label(host: Host) -> &'static str {
    match host {
        Host::Console => "con01",
        Host::BackupServer => "bkp01",
        Host::MountServer => "mnt01",
        Host::Repository => "repo01",
        Host::TargetWindows => "ora01",
        Host::SecondTarget => "ora02",
        Host::StagingServer => "stg01",
        Host::TargetLinux => "lin01",
    }
}

/// Scenario, operation (or another one that the site claims), hosts and roles.
pub(crate) fn roles(situation: &Situation, claimed: Option<Operation>, topology: &Topology) -> Result<String> {
    let operation = claimed.unwrap_or(situation.operation);
    let mut text = format!("scenario   = \"{}\"\n", operation.scenario());
    text += &format!("operations = [\"{}\"]\n{}", operation.name(), situation.facts);
    let labelled = labelled(situation, topology)?;
    if labelled {
        text += "\n[hosts]\n";
        for host in machines(situation, topology) {
            let all: Vec<_> = topology.addresses(host)?.iter().map(|a| format!("\"{a}\"")).collect();
            text += &format!("{:<6} = [{}]\n", label(host), all.join(", "));
        }
    }
    text += "\n[roles]\n";
    let mut roles: Vec<&str> = situation.cast.iter().map(|h| h.role()).collect();
    roles.dedup();
    for role in roles {
        let mut names = Vec::new();
        for host in situation.cast.iter().filter(|h| h.role() == role) {
            let machine = topology.machine(*host);
            let name = if labelled { label(machine).to_owned() } else { topology.address(machine)?.to_string() };
            names.push(format!("\"{name}\""));
        }
        let hosts = format!("[{}]", names.join(", "));
        let staging = role == Host::StagingServer.role();
        let hosts = if staging { format!("{{ hosts = {hosts}, os = \"windows\" }}") } else { hosts };
        text += &format!("{role:<14} = {hosts}\n");
    }
    Ok(text)
}

/// Hosts have names in the site where an address alone does not tell them.
fn labelled(situation: &Situation, topology: &Topology) -> Result<bool> {
    for host in situation.cast {
        if topology.addresses(*host)?.len() > 1 {
            return Ok(true);
        }
    }
    Ok(!topology.shared.is_empty())
}

fn machines(situation: &Situation, topology: &Topology) -> Vec<Host> {
    let mut all: Vec<Host> = situation.cast.iter().map(|h| topology.machine(*h)).collect();
    all.sort();
    all.dedup();
    all
}

/// A place as the site names it: by role where only one machine has it, by label or address where not.
pub(crate) fn place(situation: &Situation, topology: &Topology, place: Place) -> Result<String> {
    let Place::At(host) = place else { return Ok("mirror".to_owned()) };
    if labelled(situation, topology)? {
        return Ok(label(host).to_owned());
    }
    let alone = situation.cast.iter().filter(|h| h.role() == host.role()).count() == 1;
    Ok(if alone { host.role().to_owned() } else { topology.address(host)?.to_string() })
}

/// When the restore ran.
pub(crate) fn window(recording: &Recording) -> Result<String> {
    let (began, ended) = recording.log.ran;
    // Whole milliseconds outward: what happens in the last one is still the restore's.
    let ended = ended + Duration::from_millis(1);
    Ok(format!("\n[[window]]\nfrom = \"{}\"\nto   = \"{}\"\n", rfc3339(began)?, rfc3339(ended)?))
}

/// A capture and where it was taken. A host has one interface; the router captures all that passes it.
pub(crate) fn point(situation: &Situation, topology: &Topology, at: Place, capture: &str) -> Result<String> {
    let at = place(situation, topology, at)?;
    Ok(format!("\n[[observation_point]]\nat = \"{at}\"\ncaptures = [\"{capture}\"]\ncomplete = true\n"))
}

/// UTC to the millisecond; the lab needs no calendar beyond this one line.
fn rfc3339(time: SystemTime) -> Result<String> {
    let since = time.duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Ok(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis()))
}

/// Year, month and day of a day since 1970-01-01 (proleptic Gregorian, years from March).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + era * 400 + carry, month, date)
}
