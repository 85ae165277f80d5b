//! What a place cannot see, and that the report says so: one test per reason beyond those of soundness.rs.

use portwitness::base::{InputId, Known, Problem, ProblemKind, Proto};
use portwitness::observe::Hole;
use portwitness::report::{Cause, Outcome, Report, Verdict};

use crate::world::*;

/// The installer's port left out, its pair seen.
fn gap() -> World {
    World::clean().without(6160)
}

/// Nothing between mount server and target.
fn unseen_pair() -> World {
    gap().without_from(MOUNT, 445).without(3260)
}

/// All packets of a protocol without ports between two addresses.
fn esp(w: &mut World, a: &str, b: &str) {
    w.flow(Proto::Other(50), a, 0, b, 0, 1.0).talks(300.0);
}

fn judged(w: World) -> Report {
    w.judge(&format!("{ROLES}{MIRROR}"))
}

fn windowed(w: World) -> Report {
    w.judge(&format!("{ROLES}{MIRROR}{WINDOW}"))
}

fn installer(r: &Report) -> (Outcome, Option<Cause>) {
    let q = requirement(r, "image.installer", "tcp/6160");
    (q.outcome, q.cause)
}

fn told(r: &Report, what: &str) -> bool {
    r.captures.iter().flat_map(|c| &c.cannot_tell).any(|t| t.contains(what))
}

fn trouble(kind: ProblemKind, detail: &str, count: u64) -> Problem {
    Problem { input: InputId(0), kind, detail: detail.into(), offset: None, frame: Some(1), count }
}

#[test]
fn a_filter_by_address_that_passes_the_pair_forbids_nothing_and_one_by_port_does() {
    for (filter, allowed) in [
        ("host 10.77.0.12 or host 10.77.0.10", true),
        ("net 10.77.0.0/16", true),
        ("host 10.77.0.10", false),
        ("host 10.77.0.12 and tcp", false),
        ("tcp port 6160", false),
    ] {
        let mut w = gap();
        w.input.filter = Known::Known(filter.into());
        let r = judged(w);
        let expected = if allowed { (Outcome::Missing, None) } else { (Outcome::Inconclusive, Some(Cause::Filter)) };
        assert_eq!(installer(&r), expected, "{filter}");
        assert!(told(&r, "it was filtered"));
    }
}

#[test]
fn a_filter_by_address_proves_nothing_of_a_pair_of_which_no_packet_came_through() {
    let mut w = unseen_pair();
    w.input.filter = Known::Known("host 10.77.0.12".into());
    assert_eq!(
        installer(&judged(w)),
        (Outcome::Inconclusive, Some(Cause::Filter)),
        "tagged frames pass no such filter"
    );
}

#[test]
fn packets_whose_headers_were_cut_count_like_lost_ones() {
    for (count, expected) in [(2, (Outcome::Missing, None)), (3, (Outcome::Inconclusive, Some(Cause::Filter)))] {
        let mut w = gap();
        w.observation.problems.push(trouble(ProblemKind::PacketTruncated, "TCP header", count));
        let r = judged(w);
        assert_eq!(installer(&r), expected);
        assert!(told(&r, "header cut by the capture length"));
    }
}

#[test]
fn frames_of_which_not_even_addresses_could_be_read_hide_any_pair() {
    let mut w = gap();
    w.observation.problems.push(trouble(ProblemKind::HiddenFrames, "MACsec", 40));
    let r = judged(w);
    assert_eq!(installer(&r), (Outcome::Inconclusive, Some(Cause::Opaque)));
    assert!(told(&r, "MACsec"));
}

#[test]
fn drops_that_only_the_interface_counted_are_loss_too() {
    let mut w = gap();
    w.input.loss_interface = Known::Known(9);
    let r = judged(w);
    assert_eq!(installer(&r), (Outcome::Inconclusive, Some(Cause::Loss)));
    assert!(told(&r, "9 packets dropped"));
}

#[test]
fn a_gateways_tunnel_may_carry_a_pair_that_was_not_seen_even_where_all_is_declared_captured() {
    assert_eq!(installer(&windowed(unseen_pair())).0, Outcome::Missing, "the control");
    let mut w = unseen_pair();
    esp(&mut w, "192.0.2.1", "198.51.100.1");
    assert_eq!(installer(&windowed(w)), (Outcome::Inconclusive, Some(Cause::Opaque)));
    let mut w = unseen_pair();
    esp(&mut w, MOUNT, "198.51.100.1");
    assert_eq!(installer(&windowed(w)), (Outcome::Inconclusive, Some(Cause::Opaque)), "the mount server's own VPN");
    let mut w = unseen_pair();
    esp(&mut w, CONSOLE, "198.51.100.1");
    assert_eq!(installer(&windowed(w)).0, Outcome::Missing, "the console's VPN carries nothing of the mount server");
}

#[test]
fn a_pair_seen_as_it_is_does_not_travel_in_somebody_elses_tunnel() {
    let mut w = gap();
    esp(&mut w, "192.0.2.1", "198.51.100.1");
    esp(&mut w, MOUNT, "198.51.100.1");
    assert_eq!(installer(&judged(w)).0, Outcome::Missing);
}

#[test]
fn a_capture_of_encryption_only_says_so_first_and_where_to_capture_instead() {
    for (proto, port) in [(Proto::Other(50), 0), (Proto::Udp, 4500), (Proto::Udp, 51820), (Proto::Udp, 1194)] {
        let mut w = World::new();
        w.flow(proto, "192.0.2.1", port, "198.51.100.1", port, 1.0).talks(300.0);
        let r = judged(w);
        assert_eq!(r.verdict, Verdict::Inconclusive);
        assert!(r.headline.contains("only encapsulation that hides its contents"), "{}", r.headline);
        let first = &r.warnings[0];
        assert_eq!(first.kind, "only_hidden");
        assert!(first.text.contains("between 192.0.2.1 and 198.51.100.1"), "{}", first.text);
        assert!(first.text.contains("Capture where it is in the clear"), "{}", first.text);
    }
    let mut w = World::clean();
    esp(&mut w, "192.0.2.1", "198.51.100.1");
    let r = judged(w);
    assert!(!r.headline.contains("hides") && r.warnings.iter().all(|w| w.kind != "only_hidden"));
    assert!(r.observation_points[0].forbids.iter().any(|t| t.contains("IPsec (ESP) between 192.0.2.1")));
}

#[test]
fn damage_forbids_what_was_due_after_it_also_where_another_file_goes_on() {
    let site = format!("{ROLES}{MIRROR}{WINDOW}");
    let beside = |first: f64| {
        let mut w = gap();
        let mut other = w.input.clone();
        (other.input, other.name) = (InputId(1), "other.pcap".into());
        (other.first, other.last) = (Some(at(first)), Some(at(600.0)));
        w.observation.inputs.push(other);
        (w.input.damaged_at, w.input.last) = (Some(4_711), Some(at(35.0)));
        w
    };
    let r = beside(0.0).judge(&site);
    assert_eq!(installer(&r), (Outcome::Inconclusive, Some(Cause::Time)), "two interfaces side by side");
    assert!(told(&r, "it is damaged"));
    let r = beside(36.0).judge(&site);
    assert_eq!(installer(&r).0, Outcome::Missing, "the next file of a series took over at once");
    let r = beside(50.0).judge(&site);
    assert_eq!(installer(&r), (Outcome::Inconclusive, Some(Cause::Time)), "it took over too late");
}

const WINDOW: &str = "\n[[window]]\nfrom = \"2026-11-20T22:00:05+01:00\"\nto = \"2026-11-20T22:05:00+01:00\"\n";

#[test]
fn a_hole_before_the_later_step_forbids_it_and_a_short_one_does_not() {
    for (to, expected) in [(45.0, Outcome::Inconclusive), (36.5, Outcome::Missing)] {
        let mut w = gap();
        w.observation.holes = vec![Hole { from: at(35.0), to: at(to) }];
        assert_eq!(installer(&judged(w)).0, expected);
    }
}

#[test]
fn a_host_with_two_addresses_proves_only_the_pairs_it_has_seen() {
    let roles = ROLES.replace("[\"10.77.0.12\"]", "[\"mnt01\"]");
    let site =
        format!("observed_from = [\"target-windows\"]\n{roles}\n[hosts]\nmnt01 = [\"10.77.0.12\", \"10.77.5.12\"]\n");
    let r = gap().judge(&site);
    let q = requirement(&r, "image.installer", "tcp/6160");
    assert_eq!((q.outcome, q.cause), (Outcome::Inconclusive, Some(Cause::PairUnseen)));
    assert!(q.reason.contains("some addresses"), "{}", q.reason);
}

#[test]
fn a_complete_host_whose_own_packets_are_not_captured_proves_nothing_of_an_unseen_pair() {
    let mut w = unseen_pair();
    let target: std::net::IpAddr = TARGET.parse().unwrap();
    for f in &mut w.flows {
        for side in 0..2 {
            if f.key.ends[1 - side].addr == target {
                f.ends[side].packets = 0;
            }
        }
    }
    let site = format!("{ROLES}\n[[observation_point]]\nat = \"target-windows\"\ncomplete = true\n");
    let r = w.judge(&site);
    assert_eq!(installer(&r), (Outcome::Inconclusive, Some(Cause::OneSided)), "nothing sent to it is captured");
}

#[test]
fn flows_left_out_for_lack_of_memory_forbid_it() {
    let mut w = gap();
    w.observation.evicted = 3;
    let r = judged(w);
    assert_eq!(installer(&r), (Outcome::Inconclusive, Some(Cause::Memory)));
    assert!(r.observation_points[0].forbids.iter().any(|t| t.contains("lack of memory")));
}

#[test]
fn a_capture_that_hides_nothing_forbids_nothing() {
    assert!(judged(gap()).captures[0].cannot_tell.is_empty());
}
