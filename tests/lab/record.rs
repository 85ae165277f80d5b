//! Keeping captures: with `PORTWITNESS_LAB_RECORD=DIR` every situation leaves its captures there,
//! with a site file that fits them and a page that tells their story.

use std::fs;
use std::path::{Path, PathBuf};

use crate::expect::View;
use crate::failure::{Context, Failure, Result};
use crate::hosts::Place;
use crate::lab::Recording;
use crate::site;
use crate::situation::{ALL, CLEAN, Situation};
use crate::table;

/// Kept captures travel with the project: small, or not at all.
const LARGEST: usize = 300_000;

/// Keeps the captures of `recording` if the environment asks for it.
pub(crate) fn keep(situation: &Situation, recording: &Recording) -> Result<()> {
    let Some(dir) = std::env::var_os("PORTWITNESS_LAB_RECORD").map(PathBuf::from) else {
        return Ok(());
    };
    fs::create_dir_all(&dir).context(format!("cannot create {}", dir.display()))?;
    for place in situation.kept {
        let file = recording.captures.get(place).context(format!("no capture at {}", place.name()))?;
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
    write(&dir.join(format!("{}.site.toml", situation.file)), &site_of(situation, recording)?)?;
    let roles = site::roles(&CLEAN, None, &(CLEAN.topology)())?;
    write(&dir.join("site.toml"), &format!("# The lab's roles; {FITTING}.\n{roles}"))?;
    write(&dir.join("README.md"), &page())
}

/// What a capture says about the machine it was recorded on, if anything.
fn discloses(capture: &[u8]) -> Option<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let words = [kernel.trim(), "Linux", "Debian", "Ubuntu", "/run/", "/tmp/", "/home/"];
    let found = words.into_iter().find(|word| {
        // Names in SMB are two bytes a letter.
        let wide: Vec<u8> = word.bytes().flat_map(|b| [b, 0]).collect();
        [word.as_bytes(), &wide].iter().any(|w| !w.is_empty() && tells(capture, w))
    });
    found.map(str::to_owned)
}

/// Whether the word stands there, other than in the greeting of an SSH client, which no option can change.
fn tells(capture: &[u8], word: &[u8]) -> bool {
    let greeting = |at: usize| {
        capture.get(at.saturating_sub(24)..at).is_some_and(|before| before.windows(8).any(|w| w == b"OpenSSH_"))
    };
    capture.windows(word.len()).enumerate().any(|(at, part)| part == word && !greeting(at))
}

const FITTING: &str = "`<situation>.site.toml` adds when a restore ran and where it was observed";

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(format!("cannot write {}", path.display()))
}

fn kept_name(situation: &Situation, place: Place) -> String {
    format!("{}.{}", situation.file, place.file_name())
}

/// The site file that fits one recording.
fn site_of(situation: &Situation, recording: &Recording) -> Result<String> {
    let topology = (situation.topology)();
    let mut text = format!("# {}\n{}", wrapped(situation.story), site::roles(situation, None, &topology)?);
    text += &site::window(recording)?;
    for place in situation.kept {
        text += &site::point(situation, &topology, *place, &kept_name(situation, *place))?;
    }
    Ok(text)
}

fn wrapped(story: &str) -> String {
    story.replace(": ", ":\n# ").replace(". ", ".\n# ")
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
        for place in situation.kept {
            let view = View::of(vec![*place], true);
            let verdict = table::expected(situation, &view).verdict;
            text += &format!("- `{}`: {verdict}; {}\n", kept_name(situation, *place), table::told(situation, &view));
        }
        text += "\n";
    }
    text.trim_end().to_owned() + "\n"
}
