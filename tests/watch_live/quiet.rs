//! A wire on which nothing more comes: what came is told all the same, and so is that nothing did.

use std::fs;
use std::path::Path;

use portwitness::base::Time;

use crate::failure::{Context as _, Failure, Result};
use crate::seal;
use crate::world::{LIMIT, SITE, acquaint, in_far, json, serve, settle, talk, verify, watch, wires};

/// Hosts speak of themselves now and then (neighbour discovery); these do not.
fn hush() {
    for file in ["/proc/sys/net/ipv6/conf/all/disable_ipv6", "/proc/sys/net/ipv6/conf/default/disable_ipv6"] {
        // Not there where there is no IPv6.
        let _none = fs::write(file, "1");
    }
}

/// The wires, and hosts that need not ask later who has an address.
fn hushed_wires() -> Result<()> {
    hush();
    wires()?;
    in_far(|ready| {
        hush();
        ready.send(()).unwrap();
    })?;
    acquaint(&["10.77.0.12"], &["10.77.0.22"])
}

/// Until when the kept file says that it saw all.
fn kept_until(work: &Path) -> Result<Time> {
    let (_, report) = verify(work, "kept.pcapng");
    Time::parse(report["captures"][0]["last"].as_str().unwrap_or_default()).map_err(Failure::new)
}

#[test]
fn the_last_packet_of_a_quiet_wire_is_told_at_once_and_counters_go_on() -> Result<()> {
    seal::sealed("quiet::the_last_packet_of_a_quiet_wire_is_told_at_once_and_counters_go_on", |work| {
        hushed_wires()?;
        serve("10.77.0.22:22", b"SSH-2.0-OpenSSH_9.2p1\r\n")?;
        fs::write(work.join("site.toml"), SITE.replace("POINT", "observed_from = [\"mount-server\"]"))
            .context("site")?;
        let mut watch = watch(work, "-i w0 --engine pcap --write kept.pcapng")?;
        // Whatever still comes of the wires that were just laid is over.
        settle();
        talk("10.77.0.22:22", b"SSH-2.0-PuTTY_0.80\r\n")?;
        let told = |text: &str| text.lines().any(|l| l.contains("image.ssh") && l.contains("satisfied"));
        watch.ready(LIMIT, told)?;
        let last = kept_until(work)?;
        settle();
        settle();
        let later = kept_until(work)?;
        assert!(
            later.as_nanos() - last.as_nanos() > 1_000_000_000,
            "no counters while nothing came: {last:?} {later:?}"
        );
        watch.interrupt()?;
        watch.wait(LIMIT)?;
        assert!(!watch.text().contains("problem"), "{}", watch.text());
        let live = json(&work.join("report"));
        assert_eq!(live["captures"][0]["loss"]["kernel"], 0, "{live}");
        Ok(())
    })
}
