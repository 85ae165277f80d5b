//! The bundled captures of one restore from several places, rewritten as wrong clocks and devices in between would have them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise, too"
)]

mod support;

use std::path::Path;

use serde_json::Value;
use support::{Rewrite, run};

const HOUR: i64 = 3_600_000_000;
const MOUNT: [u8; 4] = [10, 77, 0, 12];
const CONSOLE: [u8; 4] = [10, 77, 0, 10];

/// Judges a situation from these places, each capture rewritten.
fn judged(situation: &str, places: &[(&str, &str, Rewrite)], more: &str) -> Value {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let folder = tempfile::tempdir().unwrap();
    let site = std::fs::read_to_string(captures.join(format!("{situation}.site.toml"))).unwrap();
    std::fs::write(folder.path().join("site.toml"), site.replacen("[roles]", &format!("{more}\n[roles]"), 1)).unwrap();
    for (place, ending, rewrite) in places {
        let name = format!("{situation}.{place}.{ending}");
        let bytes = std::fs::read(captures.join(&name)).unwrap();
        let bytes = if *ending == "pcap" { rewrite.apply(&bytes) } else { bytes };
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let names: Vec<String> = places.iter().map(|(place, ending, _)| format!("{situation}.{place}.{ending}")).collect();
    let mut args = vec!["verify", "--format", "json", "--site", "site.toml"];
    args.extend(names.iter().map(String::as_str));
    let (_, out, err) = run(folder.path(), &args);
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {err}"))
}

/// Verdict, outcomes and causes, counts: what no clock may change.
fn told(r: &Value) -> Value {
    let of = |q: &Value| serde_json::json!([q["rule"], q["service"], q["outcome"], q["cause"], q["path"]["kind"]]);
    let all: Vec<Value> = r["requirements"].as_array().unwrap().iter().map(of).collect();
    serde_json::json!([r["verdict"], all, r["classes"], r["coverage"], r["exposure"], r["reasons"]])
}

fn plain() -> Rewrite {
    Rewrite::default()
}

fn shifted(micros: i64) -> Rewrite {
    Rewrite { micros, ..plain() }
}

fn dropped(mount: Rewrite, target: Rewrite) -> Value {
    let places = [("console", "pcapng", plain()), ("mount-server", "pcap", mount), ("target-windows", "pcap", target)];
    judged("rpc-dynamic-dropped", &places, "")
}

fn clean(mount: Rewrite, target: Rewrite, router: Rewrite) -> Value {
    let places = [
        ("console", "pcapng", plain()),
        ("mount-server", "pcap", mount),
        ("target-windows", "pcap", target),
        ("router", "pcap", router),
    ];
    judged("restore-clean", &places, "")
}

#[test]
fn a_dropped_syn_is_told_between_the_two_places_whatever_their_clocks_say() {
    let right = dropped(plain(), plain());
    let q = |r: &Value| {
        r["requirements"].as_array().unwrap().iter().find(|q| q["rule"] == "image.rpc-dynamic").cloned().unwrap()
    };
    let path = q(&right)["path"].clone();
    assert_eq!(path["kind"], "syn_lost", "{path}");
    assert!(
        path["text"].as_str().unwrap().starts_with("the SYN left console (rpc-dynamic-dropped.console.pcapng:"),
        "{path}"
    );
    for micros in [-2 * HOUR, -700, 31_000, 5_000_000, 3 * HOUR] {
        assert_eq!(told(&dropped(plain(), shifted(micros))), told(&right), "{micros}");
    }
}

#[test]
fn a_clean_restore_stays_clean_under_any_clock() {
    let right = clean(plain(), plain(), plain());
    assert_eq!(right["verdict"], "pass");
    for (a, b, c) in [(-HOUR, HOUR, 5 * HOUR), (0, 400_000, -100_000), (30_000_000, 0, 1)] {
        assert_eq!(told(&clean(shifted(a), shifted(b), shifted(c))), told(&right), "{a} {b} {c}");
    }
}

#[test]
fn the_difference_of_the_clocks_is_found_again() {
    let ahead = |r: &Value| {
        let all = r["clocks"].as_array().unwrap().clone();
        let c = all.iter().find(|c| c["of"] == "target-windows" && c["against"] == "console").unwrap().clone();
        (c["ahead_nanos"].as_i64().unwrap(), c["uncertainty_nanos"].as_i64().unwrap())
    };
    let (right, doubt) = ahead(&clean(plain(), plain(), plain()));
    assert!(right.abs() <= doubt + 20_000 && doubt < 5_000_000, "one clock stamped all: {right} \u{b1}{doubt}");
    let (moved, doubt) = ahead(&clean(plain(), shifted(2_310_000), plain()));
    assert!(moved.abs_diff(2_310_000_000) <= u64::try_from(doubt).unwrap() + 20_000, "{moved} \u{b1}{doubt}");
}

#[test]
fn rewritten_sequence_numbers_lose_and_double_nothing() {
    let right = clean(plain(), plain(), plain());
    for (host, by) in [(MOUNT, 77_777), (CONSOLE, 0xfff0_0000)] {
        let renumbered = Rewrite { renumber: Some((host, by)), ..plain() };
        assert_eq!(told(&clean(plain(), renumbered, plain())), told(&right), "{host:?}");
        let late = Rewrite { micros: 2 * HOUR, ..renumbered };
        assert_eq!(told(&clean(plain(), late, plain())), told(&right), "{host:?}, and a wrong clock");
    }
    let renumbered = Rewrite { renumber: Some((CONSOLE, 99)), ..plain() };
    assert_eq!(told(&dropped(plain(), renumbered)), told(&dropped(plain(), plain())));
}

#[test]
fn translated_addresses_are_the_same_connections() {
    let right = clean(plain(), plain(), plain());
    let nat = Rewrite { translate: Some((CONSOLE, [192, 0, 2, 10])), ..plain() };
    let seen = clean(plain(), nat, plain());
    assert_eq!(seen["verdict"], "pass", "{}", seen["reasons"]);
    let outcomes = |r: &Value| told(r)[1].clone();
    assert_eq!(outcomes(&seen), outcomes(&right));
    let also = |f: &Value| {
        f["connection"]["also"]
            .as_array()
            .is_some_and(|a| a.iter().any(|x| x["orig"].as_str().unwrap().starts_with("192.0.2.10:")))
    };
    assert!(seen["flows"].as_array().unwrap().iter().any(also));
}
