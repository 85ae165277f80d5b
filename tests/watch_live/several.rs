//! Several interfaces at once, and all of them: one capture, whose file says the same as it did.

use std::fs;

use portwitness::base::{InputId, Time};
use portwitness::capture::{CaptureFile, Event, FrameSource as _};

use crate::failure::{Context as _, Result};
use crate::seal;
use crate::world::{LIMIT, SITE, but_names, ip, json, serve, settle, talk, verify, watch, wires};

/// A second wire to the far side, of another subnet; the repository is there.
fn second_wire() -> Result<()> {
    ip("link add v0 type veth peer name v1 netns far")?;
    ip("addr add 10.77.2.12/24 dev v0")?;
    ip("link set v0 up")?;
    ip("-n far addr add 10.77.2.13/24 dev v1")?;
    ip("-n far link set v1 up")?;
    serve("10.77.0.22:22", b"SSH-2.0-OpenSSH_9.2p1\r\n")?;
    serve("10.77.2.13:6162", b"hello")
}

fn site() -> String {
    let site = SITE.replace("POINT", "").replace("[\"10.77.0.12\"]", "[\"10.77.0.12\", \"10.77.2.12\"]");
    site.replace("10.77.0.13", "10.77.2.13")
}

#[test]
fn two_interfaces_are_one_capture_in_the_order_of_time_and_its_file_says_the_same() -> Result<()> {
    seal::sealed("several::two_interfaces_are_one_capture_in_the_order_of_time_and_its_file_says_the_same", |work| {
        wires()?;
        second_wire()?;
        fs::write(work.join("site.toml"), site()).context("site")?;
        let mut watch = watch(work, "-i w0 -i v0 -i w0 --write kept.pcapng")?;
        for _ in 0..5 {
            talk("10.77.0.22:22", b"SSH-2.0-PuTTY_0.80\r\n")?;
            talk("10.77.2.13:6162", b"hello")?;
        }
        settle();
        watch.interrupt()?;
        let status = watch.wait(LIMIT)?;
        let live = json(&work.join("report"));
        let (kept_status, kept) = verify(work, "kept.pcapng");
        assert_eq!((status.code(), but_names(live.clone())), (Some(kept_status), but_names(kept)), "{}", watch.text());
        // The place is the host that has both addresses; each interface counted its drops.
        let point = &live["observation_points"][0];
        assert_eq!((&point["hosts"][0], &point["complete"]), (&"mnt01".into(), &false.into()), "{point}");
        assert_eq!(live["captures"][0]["loss"]["kernel"], 0, "{live}");
        assert_eq!(live["verdict"], "pass", "{live}");
        let (times, interfaces) = frames(&fs::read(work.join("kept.pcapng")).context("kept")?);
        // The kernel may stamp two packets of one interface on two processors; that order is kept as it is.
        let mut latest = [Time::from_nanos(0); 2];
        let own = times.iter().zip(&interfaces).map(|(&time, &interface)| {
            let latest = &mut latest[interface as usize];
            *latest = (*latest).max(time);
            *latest
        });
        let own: Vec<_> = own.collect();
        let backwards: Vec<_> = own.windows(2).zip(&interfaces).filter(|(t, _)| t[0] > t[1]).collect();
        assert!(backwards.is_empty(), "{backwards:?}");
        assert!(interfaces.contains(&0) && interfaces.contains(&1) && interfaces.len() > 60, "{interfaces:?}");
        Ok(())
    })
}

fn frames(bytes: &[u8]) -> (Vec<Time>, Vec<u32>) {
    let stream = Box::new(std::io::Cursor::new(bytes.to_vec()));
    let mut reader = CaptureFile::from_read("kept", InputId(0), stream).unwrap().frames();
    let (mut times, mut interfaces) = (Vec::new(), Vec::new());
    while let Some(event) = reader.next() {
        if let Event::Frame(f) = event {
            times.push(f.time);
            interfaces.push(f.interface);
        }
    }
    (times, interfaces)
}

#[test]
fn the_file_of_all_interfaces_knows_its_place_and_that_nothing_is_missed_there() -> Result<()> {
    seal::sealed("several::the_file_of_all_interfaces_knows_its_place_and_that_nothing_is_missed_there", |work| {
        wires()?;
        second_wire()?;
        fs::write(work.join("site.toml"), site()).context("site")?;
        let mut watch = watch(work, "-i any --write kept.pcapng")?;
        talk("10.77.0.22:22", b"SSH-2.0-PuTTY_0.80\r\n")?;
        settle();
        watch.interrupt()?;
        watch.wait(LIMIT)?;
        let live = json(&work.join("report"));
        let point = &live["observation_points"][0];
        let told = serde_json::json!([point["name"], point["complete"], point["inferred"]]);
        assert_eq!(told, serde_json::json!(["mnt01", true, false]), "{point}");
        assert_eq!(but_names(live.clone()), but_names(verify(work, "kept.pcapng").1), "{}", watch.text());
        // Saved, it still knows.
        let out = crate::world::portwitness(work, "observe kept.pcapng -o kept.obs").output().unwrap();
        assert!(out.status.success(), "{out:?}");
        assert_eq!(verify(work, "kept.obs").1["observation_points"][0], *point);
        Ok(())
    })
}

#[test]
fn all_interfaces_and_another_one_are_a_mistake() -> Result<()> {
    seal::sealed("several::all_interfaces_and_another_one_are_a_mistake", |work| {
        let out = crate::world::portwitness(work, "watch -i any -i lo").output().unwrap();
        let err = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(2) && err.contains("takes all interfaces"), "{err}");
        Ok(())
    })
}
