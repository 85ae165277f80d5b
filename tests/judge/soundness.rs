//! What absence needs: each thing that forbids the claim, one test each.

use portwitness::base::{InputId, Known, Problem, ProblemKind};
use portwitness::observe::Hole;
use portwitness::report::{Cause, Outcome, Verdict};

use crate::world::*;

fn site() -> String {
    format!("{ROLES}{MIRROR}")
}

/// The installer's port left out: missing, unless something forbids saying so.
fn installer(w: World, site: &str) -> (Outcome, Option<Cause>, String) {
    let r = w.judge(site);
    let q = requirement(&r, "image.installer", "tcp/6160");
    (q.outcome, q.cause, q.reason.clone())
}

fn forbidden(w: World, site: &str, cause: Cause) {
    let (outcome, why, reason) = installer(w, site);
    assert_eq!((outcome, why), (Outcome::Inconclusive, Some(cause)), "{reason}");
}

fn gap() -> World {
    World::clean().without(6160)
}

#[test]
fn the_control_is_missing() {
    assert_eq!(installer(gap(), &site()).0, Outcome::Missing);
}

#[test]
fn a_host_that_is_not_declared_complete_proves_only_pairs_it_has_seen() {
    let own = format!("observed_from = [\"target-windows\"]\n{ROLES}");
    assert_eq!(installer(gap(), &own).0, Outcome::Missing, "445 of that pair was seen");
    let w = World::clean().without(6160).without_from(MOUNT, 445).without(3260);
    forbidden(w, &format!("observed_from = [\"target-windows\"]\n{ROLES}"), Cause::PairUnseen);
}

#[test]
fn a_complete_host_proves_pairs_it_has_not_seen() {
    let w = World::clean().without(6160).without_from(MOUNT, 445);
    let site = format!("{ROLES}\n[[observation_point]]\nat = \"target-windows\"\ncomplete = true\n");
    assert_eq!(installer(w, &site).0, Outcome::Missing);
}

#[test]
fn a_mirror_proves_only_declared_or_seen_pairs() {
    let w = World::clean().without(6160).without_from(MOUNT, 445).without(3260);
    let r = w.judge(&format!("observed_from = [\"mirror\"]\n{ROLES}"));
    assert_eq!(outcome(&r, "image.installer", "tcp/6160"), Outcome::NotObservable);
}

#[test]
fn known_drops_forbid_it_from_the_least_number_of_packets_on() {
    let mut few = gap();
    few.input.loss_kernel = Known::Known(2);
    few.input.loss_interface = Known::Known(0);
    assert_eq!(installer(few, &site()).0, Outcome::Missing);
    let mut many = gap();
    many.input.loss_kernel = Known::Known(3);
    forbidden(many, &site(), Cause::Loss);
}

#[test]
fn unseen_acknowledgements_forbid_it() {
    let mut w = gap();
    w.flows[0].ends[0].unseen_acked = 1;
    forbidden(w, &site(), Cause::Loss);
}

#[test]
fn a_filter_forbids_it() {
    let mut w = gap();
    w.input.filter = Known::Known("tcp port 445".into());
    forbidden(w, &site(), Cause::Filter);
}

#[test]
fn a_snaplen_that_cuts_headers_forbids_it() {
    let mut w = gap();
    (w.input.snaplen, w.input.cut_frames) = (Known::Known(54), 9);
    forbidden(w, &site(), Cause::Filter);
}

#[test]
fn the_responders_direction_alone_forbids_it() {
    let mut w = gap();
    let mount: std::net::IpAddr = MOUNT.parse().unwrap();
    for f in &mut w.flows {
        for (i, e) in f.key.ends.iter().enumerate() {
            if e.addr == mount {
                f.ends[i].packets = 0;
            }
        }
    }
    forbidden(w, &site(), Cause::OneSided);
}

#[test]
fn a_link_type_that_was_not_read_forbids_it() {
    let mut w = gap();
    w.observation.problems.push(Problem {
        input: InputId(0),
        kind: ProblemKind::UnsupportedLinkType,
        detail: "IEEE 802.11".into(),
        offset: None,
        frame: Some(1),
        count: 4,
    });
    forbidden(w, &site(), Cause::Damage);
}

#[test]
fn evictions_forbid_it() {
    let mut w = gap();
    w.observation.problems.push(Problem {
        input: InputId(0),
        kind: ProblemKind::Evicted,
        detail: String::new(),
        offset: None,
        frame: None,
        count: 1,
    });
    forbidden(w, &site(), Cause::Memory);
}

#[test]
fn without_a_window_and_without_a_later_step_time_forbids_it() {
    let w = World::clean().without(3260);
    let r = w.judge(&site());
    let q = requirement(&r, "image.iscsi", "tcp/3260-3270");
    assert_eq!((q.outcome, q.cause), (Outcome::Inconclusive, Some(Cause::Time)), "{}", q.reason);
    assert_eq!(r.verdict, Verdict::Inconclusive);
}

const WINDOW: &str = "\n[[window]]\nfrom = \"2026-11-20T22:00:05+01:00\"\nto = \"2026-11-20T22:05:00+01:00\"\n";

#[test]
fn a_window_inside_the_capture_allows_it_for_the_last_step() {
    let r = World::clean().without(3260).judge(&format!("{}{WINDOW}", site()));
    assert_eq!(outcome(&r, "image.iscsi", "tcp/3260-3270"), Outcome::Missing);
}

#[test]
fn a_window_beyond_the_captures_end_forbids_it() {
    let mut w = World::clean().without(3260);
    w.input.last = Some(at(200.0));
    let r = w.judge(&format!("{}{WINDOW}", site()));
    let q = requirement(&r, "image.iscsi", "tcp/3260-3270");
    assert_eq!((q.outcome, q.cause), (Outcome::Inconclusive, Some(Cause::Time)), "{}", q.reason);
}

#[test]
fn a_restore_under_way_at_the_start_forbids_it() {
    let mut w = gap().without(6162);
    w.tcp(MOUNT, REPO, 6162, 0.0).headless(None);
    forbidden(w, &site(), Cause::Time);
}

#[test]
fn a_hole_between_rotated_files_forbids_it() {
    let mut w = gap();
    w.observation.holes.push(Hole { from: at(35.0), to: at(45.0) });
    forbidden(w, &site(), Cause::Time);
}

#[test]
fn encapsulation_that_hides_the_pair_is_opaque() {
    use portwitness::base::Proto;
    let mut w = World::clean().without(6162);
    w.flow(Proto::Other(50), MOUNT, 0, REPO, 0, 30.0).0.ends.iter_mut().for_each(|e| e.packets = 50);
    let r = w.judge(&format!("observed_from = [\"mount-server\"]\n{ROLES}"));
    let q = requirement(&r, "image.data-mover", "tcp/6162");
    assert_eq!((q.outcome, q.cause), (Outcome::NotObservable, Some(Cause::Opaque)), "{}", q.reason);
}

#[test]
fn an_unreadable_input_forbids_a_pass() {
    let mut w = World::clean();
    w.observation.problems.push(Problem {
        input: InputId(1),
        kind: ProblemKind::InputUnreadable,
        detail: "second.pcap".into(),
        offset: None,
        frame: None,
        count: 1,
    });
    assert_eq!(w.judge(&site()).verdict, Verdict::Inconclusive);
}

#[test]
fn a_flow_that_an_earlier_stage_asks_for_is_no_proof_of_a_later_one() {
    let site = format!("operations = [\"instant-recovery\"]\n{}", site());
    let mut w = World::new();
    w.tcp(MOUNT, TARGET, 445, 20.0).works(Some(portwitness::app::AppProto::Smb));
    w.ping(MOUNT, REPO, 5.0);
    let r = w.judge(&site);
    let q = requirement(&r, "image.data-mover", "tcp/6162");
    assert_eq!(
        (q.outcome, q.cause),
        (Outcome::Inconclusive, Some(Cause::Time)),
        "445 is deployment here: {}",
        q.reason
    );
}

#[test]
fn a_capture_that_ended_too_early_is_not_told_to_move_elsewhere() {
    let r = World::clean().without(3260).judge(&site());
    let q = requirement(&r, "image.iscsi", "tcp/3260-3270");
    assert_eq!((q.outcome, q.cause), (Outcome::Inconclusive, Some(Cause::Time)));
    assert!(q.settle_at.is_empty(), "{:?}", q.settle_at);
    assert!(q.next_step.as_deref().is_some_and(|s| s.contains("[[window]]")), "{:?}", q.next_step);
}
