//! Keeping captures: with `PORTWITNESS_LAB_RECORD=DIR` every situation leaves its captures there,
//! with a site file that fits them and a page that tells their story.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::failure::{Context, Failure, Result};
use crate::lab::Recording;
use crate::net::{Host, Place};
use crate::scenario::Stage;
use crate::situation::{ALL, Situation};

/// Kept captures travel with the project: small, or not at all.
const LARGEST: usize = 300_000;

/// The facts of the place, the same for every situation.
const ROLES: &str = r#"scenario   = "image-level"
operations = ["application-item"]

[roles]
console        = ["10.77.0.10"]
backup-server  = ["10.77.0.11"]
mount-server   = ["10.77.0.12"]
repository     = ["10.77.0.13"]
target-windows = ["10.77.1.20"]
"#;

/// Keeps the captures of `recording` if the environment asks for it.
pub(crate) fn keep(situation: &Situation, recording: &Recording) -> Result<()> {
    let Some(dir) = std::env::var_os("PORTWITNESS_LAB_RECORD").map(PathBuf::from) else {
        return Ok(());
    };
    fs::create_dir_all(&dir).context(format!("cannot create {}", dir.display()))?;
    for (place, file) in &recording.captures {
        let bytes = fs::read(file).context("cannot read a capture")?;
        if bytes.len() > LARGEST {
            return Err(Failure::new(format!("the capture at {} has {} bytes", place.name(), bytes.len())));
        }
        if let Some(word) = discloses(&bytes) {
            return Err(Failure::new(format!("the capture at {} tells of its machine: {word}", place.name())));
        }
        // Written anew, not copied: the capture tools keep their files to themselves.
        let kept = dir.join(kept_name(situation, *place));
        fs::write(&kept, bytes).context(format!("cannot write {}", kept.display()))?;
    }
    write(&dir.join(format!("{}.site.toml", situation.file)), &site(situation, recording)?)?;
    write(&dir.join("site.toml"), &format!("# The lab's roles; {FITTING}.\n{ROLES}"))?;
    write(&dir.join("README.md"), &page())
}

/// What a capture says about the machine it was recorded on, if anything.
fn discloses(capture: &[u8]) -> Option<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let words = [kernel.trim(), "Linux", "Debian", "Ubuntu", "/run/", "/tmp/", "/home/"];
    let found = words.into_iter().find(|word| {
        // Names in SMB are two bytes a letter.
        let wide: Vec<u8> = word.bytes().flat_map(|b| [b, 0]).collect();
        [word.as_bytes(), &wide].iter().any(|w| !w.is_empty() && capture.windows(w.len()).any(|part| part == *w))
    });
    found.map(str::to_owned)
}

const FITTING: &str = "`<situation>.site.toml` adds when a restore ran and where it was observed";

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(format!("cannot write {}", path.display()))
}

fn kept_name(situation: &Situation, place: Place) -> String {
    format!("{}.{}", situation.file, place.file_name())
}

/// The site file that fits one recording.
pub(crate) fn site(situation: &Situation, recording: &Recording) -> Result<String> {
    let (began, ended) = recording.log.restore;
    let mut text = format!("# {}\n{ROLES}\n", wrapped(situation.story));
    text += &format!("[[window]]\nfrom = \"{}\"\nto   = \"{}\"\n", rfc3339(began)?, rfc3339(ended)?);
    for place in recording.captures.keys() {
        let at = match place {
            Place::At(host) => host.role(),
            Place::Router => "mirror",
        };
        let name = kept_name(situation, *place);
        text += &format!("\n[[observation_point]]\nat = \"{at}\"\ncaptures = [\"{name}\"]\n");
        // A host has one interface; the router captures on all of its own.
        text += "complete = true\n";
    }
    Ok(text)
}

fn wrapped(story: &str) -> String {
    story.replace(": ", ":\n# ").replace(". ", ".\n# ")
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

/// The page beside the captures; every situation writes the same one.
fn page() -> String {
    let mut text = String::from(
        "# Captures of restores in the lab\n\n\
         Real servers and clients in network namespaces (`tests/lab`), recorded with\n\
         `PORTWITNESS_LAB_RECORD=captures cargo test --test lab`. HTTPS, SMB, the endpoint mapper, RPC and iSCSI\n\
         are spoken by real software; on 6160, 6162, 2500 and 1035 the lab's own sender and receiver stand in for\n\
         the vendor's services, so their payload says nothing about the vendor's protocol.\n\n\
         `site.toml` names the roles. `<situation>.site.toml` adds when the restore ran and where it was observed.\n\
         Each capture begins before its restore and ends after it, framed by one ICMP echo on each pair of hosts\n\
         that a restore uses. No capture lost a packet.\n\n",
    );
    for situation in ALL {
        text += &format!("## {}\n\n{}\n\n", situation.file, situation.story);
        for place in situation.places {
            text += &format!("- `{}`: {}\n", kept_name(situation, *place), view(situation, *place));
        }
        text += "\n";
    }
    text.trim_end().to_owned() + "\n"
}

/// What a situation looks like from a place.
fn view(situation: &Situation, place: Place) -> &'static str {
    let stopped = situation.stops_at == Some(Stage::RpcDynamic);
    let fallback = situation.file.contains("fallback");
    match place {
        Place::Router => "every packet of both subnets (Linux cooked capture v2), each once per interface it passed.",
        Place::At(Host::Console) if stopped => "the mapper's answer, then SYNs to the port it named, unanswered.",
        Place::At(Host::Console) => {
            "deployment, endpoint mapper, dynamic port and runtime on the target; HTTPS (pcapng)."
        }
        Place::At(Host::TargetWindows) if stopped => {
            "deployment and the mapper's answer; the port it named is never tried."
        }
        Place::At(Host::TargetWindows) => {
            "everything that reaches the target, and its iSCSI session to the mount server."
        }
        Place::At(Host::MountServer) if stopped => "nothing of the restore: it never got that far.",
        Place::At(Host::MountServer) if fallback => {
            "SYNs to 6162 unanswered, then 2500; installer; the target's iSCSI session."
        }
        Place::At(Host::Repository) if fallback => "SYNs to 6162 arrive and stay unanswered, then 2500 is served.",
        Place::At(_) => "data mover to the repository, installer on the target, the target's iSCSI session.",
    }
}
