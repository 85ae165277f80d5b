//! Which rooms of the library may look at which: the table of ARCHITECTURE.md, held.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Each room and those it may name. None is named by one that stands before it.
const ROOMS: [(&str, &[&str]); 14] = [
    ("base", &[]),
    ("config", &["base"]),
    ("capture", &["base"]),
    ("packet", &["base", "capture"]),
    ("disturb", &["base", "capture", "packet"]),
    ("app", &["base"]),
    ("flow", &["app", "base", "capture", "packet"]),
    ("observe", &["base", "capture", "flow", "packet"]),
    ("matrix", &["base", "config"]),
    ("site", &["base", "config", "matrix"]),
    ("report", &["app", "base", "flow", "matrix"]),
    ("verdict", &["app", "base", "flow", "matrix", "observe", "report", "site"]),
    ("plan", &["base", "matrix", "site", "verdict"]),
    ("watch", &["base", "flow", "matrix", "report"]),
];

fn files(folder: &Path, out: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(fs::read_to_string(&path).unwrap());
        }
    }
}

/// The rooms a file names in its code; a link in a comment is no dependency.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let code = text.lines().filter(|l| !l.trim_start().starts_with("//"));
    let names = code.flat_map(|l| l.split("crate::").skip(1));
    names.map(|rest| rest.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default())
}

#[test]
fn rooms_look_only_at_what_they_stand_on() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (room, _) in ROOMS {
        let mut texts = Vec::new();
        files(&src.join(room), &mut texts);
        assert!(!texts.is_empty(), "{room} has files");
        let others = texts.iter().flat_map(|t| named(t)).filter(|n| *n != room).map(str::to_owned);
        found.insert(room, others.collect());
    }
    for (room, allowed) in ROOMS {
        let allowed: BTreeSet<String> = allowed.iter().map(|&a| a.to_owned()).collect();
        assert_eq!(found[room], allowed, "what {room} names (left) and may name (right)");
    }
    for (at, (room, allowed)) in ROOMS.iter().enumerate() {
        let before = &ROOMS[..at];
        assert!(allowed.iter().all(|a| before.iter().any(|(b, _)| a == b)), "{room} stands on what comes later");
    }
    let rooms = fs::read_dir(&src).unwrap().map(|e| e.unwrap()).filter(|e| e.path().is_dir());
    let mut rooms: BTreeSet<String> = rooms.map(|e| e.file_name().into_string().unwrap()).collect();
    // The program's own room looks at the library from outside, as any other program would.
    assert!(rooms.remove("cli"));
    assert_eq!(rooms, ROOMS.iter().map(|(r, _)| (*r).to_owned()).collect(), "every room is in the table");
}
