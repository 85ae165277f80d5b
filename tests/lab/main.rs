//! The restore lab: real servers and clients on a network of namespaces, captured while a restore
//! plays, with firewalls in the way where a situation wants them.
//!
//! `README.md` beside this file says how to run it and how to add to it.

#![allow(clippy::indexing_slicing, reason = "a test stops at the first surprise, and so may its helpers")]

mod block;
mod capture;
mod clients;
mod cmd;
mod expect;
mod failure;
mod hosts;
mod iscsi;
mod judge;
mod lab;
mod live;
mod net;
mod peer;
mod play;
mod record;
mod rows;
mod scenario;
mod scrub;
mod seal;
mod servers;
mod site;
mod situation;
mod situations;
mod story;
mod table;
mod truth;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use block::{Block, Fate};
use failure::{Context, Failure, Result};
use hosts::{Host, Place, Topology};
use lab::Lab;
use scenario::{Act, Scenario, Stage, step};
use seal::sealed;
use truth::Truth;

const MOUNT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 12));
const REPOSITORY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 13));

#[test]
fn every_fate_of_a_packet_shows_its_own_sign() -> Result<()> {
    sealed("every_fate_of_a_packet_shows_its_own_sign", |work| {
        let (from, target, repository) = (Host::MountServer, Host::TargetWindows, Host::Repository);
        let block = |to, port, fate| Block { place: Place::Router, from, to, ports: port..=port, fate };
        let blocks = [
            block(target, 6160, Fate::Prohibited),
            block(target, 1035, Fate::PortUnreachable),
            block(target, 445, Fate::HostUnreachable),
            // Within the subnet: the router meets what it merely bridges.
            block(repository, 6162, Fate::Reset),
            block(repository, 2500, Fate::Drop),
            block(repository, 443, Fate::Loss(5)),
        ];
        let mut lab = Lab::up(Topology::routed(), &[from, target, repository], &[], &blocks, work)?;
        lab.capture(&[Place::At(from)])?;
        let send = |to, ports: &[u16]| step(Stage::Before, from, to, Act::Send { ports: ports.to_vec(), bytes: 1 });
        // Before the restore nothing stops at a failure.
        let before = vec![send(target, &[6160, 1035, 445]), send(repository, &[6162, 2500])];
        let after = vec![send(repository, &[9]), step(Stage::After, from, repository, Act::Ping)];
        let recording = lab.play(&Scenario { before, restore: vec![], after })?;
        let truth = Truth::of(recording.captures.get(&Place::At(from)).context("no capture")?)?;
        let refused = vec![(MOUNT, REPOSITORY, 9), (MOUNT, REPOSITORY, 6162)];
        let story = (&truth.unreachable[..], truth.refused(), truth.unanswered(), truth.worked());
        if story != (&[13, 3, 1][..], refused, vec![(MOUNT, REPOSITORY, 2500)], vec![]) {
            return Err(lab.explain(Failure::new(format!("{story:?}"))));
        }
        Ok(())
    })
}

/// The table is in the repository, where a reader can check it by hand.
#[test]
fn truth_table_is_the_kept_one() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/TRUTH.md");
    let text = table::markdown();
    if std::env::var_os("PORTWITNESS_BLESS").is_some() {
        return std::fs::write(&path, text).context("cannot write TRUTH.md");
    }
    if std::fs::read_to_string(&path).unwrap_or_default() == text && table::size() >= 60 {
        return Ok(());
    }
    Err(Failure::new("tests/lab/TRUTH.md is not what the lab does; PORTWITNESS_BLESS=1 writes it anew"))
}
