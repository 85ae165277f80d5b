//! Capturing on interfaces, with real packets between two namespaces that the test makes: what `watch` says is what `verify`
//! says of what it kept, and of what tcpdump captured of the same traffic.

#![cfg(all(target_os = "linux", feature = "live"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests may stop at the first surprise, too"
)]

#[cfg(ebpf)]
mod ebpf;
#[cfg(not(ebpf))]
#[test]
fn counting_in_the_kernel_is_tested() {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "SKIP ebpf: {} (1 skipped)", portwitness::capture::NO_EBPF);
    assert!(std::env::var("CI").as_deref() != Ok("true"), "skipped where skipping is not allowed");
}

#[path = "../lab/cmd.rs"]
#[allow(dead_code, reason = "each test binary uses a part")]
mod cmd;
#[path = "../lab/failure.rs"]
#[allow(dead_code, reason = "each test binary uses a part")]
mod failure;
#[path = "../lab/seal.rs"]
mod seal;
#[cfg(ebpf)]
#[path = "../synth/mod.rs"]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "packets written by hand")]
mod synth;

mod hostile;
mod quiet;
mod several;
mod signals;
mod world;

use std::fs;

use cmd::{Running, command};
use failure::{Context as _, Result};
use serde_json::Value;
use world::{
    LIMIT, SITE, but_names, essence, ip, json, portwitness, privileges, servers, settle, talk, traffic, verify, watch,
    watch_as_nobody, wires,
};

#[test]
fn an_interface_a_file_kept_of_it_and_tcpdump_give_one_report() -> Result<()> {
    seal::sealed("an_interface_a_file_kept_of_it_and_tcpdump_give_one_report", |work| {
        wires()?;
        servers()?;
        fs::write(work.join("site.toml"), SITE.replace("POINT", "observed_from = [\"mount-server\"]"))
            .context("site")?;
        let logs = work.join("logs");
        let mut dump = Running::start(
            "tcpdump",
            &logs,
            command("tcpdump", &["-i", "w0", "-U", "-w", "t.pcap", "-Z", "root"]).current_dir(work),
        )?;
        dump.ready(LIMIT, |text| text.contains("listening on"))?;
        let mut watch = watch(work, "-i w0 --write kept.pcapng")?;
        let left = privileges();
        assert!(left.len() > 3 && left.iter().all(|l| l == "0000000000000000 0000000000000000 1"), "{left:?}");
        traffic()?;
        settle();
        watch.interrupt()?;
        let status = watch.wait(LIMIT)?;
        dump.interrupt()?;
        dump.wait(LIMIT)?;
        let live = json(&work.join("report"));
        let (kept_status, kept) = verify(work, "kept.pcapng");
        assert_eq!(but_names(live.clone()), but_names(kept), "{}", watch.text());
        assert_eq!(status.code(), Some(kept_status));
        let (_, dumped) = verify(work, "t.pcap");
        assert_eq!(essence(&live), essence(&dumped));
        // The report says what was filtered and counted, and the kernel's count is a count.
        let capture = &live["captures"][0];
        assert!(capture["filter"].as_str().is_some_and(|f| f.contains("host 10.77.0.12 or host")), "{capture}");
        assert_eq!(capture["loss"]["kernel"], 0, "{capture}");
        let events: Vec<Value> = watch.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let seen = |rule: &str| events.iter().any(|e| e["rule"] == rule && e["state"] == "satisfied");
        assert!(seen("image.ssh") && seen("image.data-mover"), "{}", watch.text());
        assert!(events.iter().any(|e| e["event"] == "unexpected" && e["service"] == "tcp/8080"), "{}", watch.text());
        assert!(!events.iter().any(|e| e["outcome"] == "missing"));
        Ok(())
    })
}

#[test]
fn any_knows_its_place_survives_a_wire_that_goes_down_and_rotates() -> Result<()> {
    seal::sealed("any_knows_its_place_survives_a_wire_that_goes_down_and_rotates", |work| {
        wires()?;
        servers()?;
        fs::write(work.join("site.toml"), SITE.replace("POINT", "")).context("site")?;
        let mut watch =
            watch_as_nobody(work, "-i any --write r.pcapng --rotate-time 2s --ring 3 --until satisfied --for 60s")?;
        talk("10.77.0.22:22", b"SSH-2.0-PuTTY_0.80\r\n")?;
        ip("link set w0 down")?;
        settle();
        ip("link set w0 up")?;
        settle();
        talk("10.77.0.13:6162", b"hello")?;
        watch.wait(LIMIT)?;
        assert!(watch.text().contains(r#""why":"satisfied""#), "{}", watch.text());
        let live = json(&work.join("report"));
        let point = &live["observation_points"][0];
        assert_eq!((&point["hosts"][0], &point["complete"]), (&"mnt01".into(), &true.into()), "{point}");
        let kept = fs::read_dir(work)
            .context("work")?
            .filter(|e| e.as_ref().is_ok_and(|e| e.file_name().to_string_lossy().starts_with("r-")));
        assert!((2..=3).contains(&kept.count()));
        Ok(())
    })
}

#[test]
fn an_interface_that_vanishes_ends_it_and_one_that_is_not_there_is_told() -> Result<()> {
    seal::sealed("an_interface_that_vanishes_ends_it_and_one_that_is_not_there_is_told", |work| {
        wires()?;
        servers()?;
        fs::write(work.join("site.toml"), SITE.replace("POINT", "")).context("site")?;
        let mut watch = watch(work, "-i w0")?;
        traffic()?;
        settle();
        ip("link del w0")?;
        let status = watch.wait(LIMIT)?;
        assert_eq!(status.code(), Some(1), "{}", watch.text());
        assert!(watch.text().contains(r#""why":"source""#), "{}", watch.text());
        for (args, why) in
            [("watch -i w9", "there is no interface 'w9'"), ("watch -i lo --filter portt", "capture filter")]
        {
            let out = portwitness(work, args).output().unwrap();
            let err = String::from_utf8_lossy(&out.stderr).into_owned();
            assert!(out.status.code() == Some(2) && err.contains(why), "{err}");
        }
        Ok(())
    })
}
