//! What a service manager sends: a request to terminate, and one for another file.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::failure::{Context as _, Result};
use crate::seal;
use crate::world::{LIMIT, SITE, but_names, json, servers, settle, talk, traffic, verify, watch, wires};

fn begin(work: &Path) -> Result<()> {
    wires()?;
    servers()?;
    fs::write(work.join("site.toml"), SITE.replace("POINT", "observed_from = [\"mount-server\"]")).context("site")
}

#[test]
fn a_request_to_terminate_ends_it_with_the_report() -> Result<()> {
    seal::sealed("signals::a_request_to_terminate_ends_it_with_the_report", |work| {
        begin(work)?;
        let mut watch = watch(work, "-i w0 --write kept.pcapng")?;
        traffic()?;
        settle();
        watch.signal(Signal::TERM)?;
        let status = watch.wait(LIMIT)?;
        assert!(watch.text().contains(r#""why":"signal""#), "{}", watch.text());
        let live = json(&work.join("report"));
        let (kept_status, kept) = verify(work, "kept.pcapng");
        assert_eq!((status.code(), but_names(live)), (Some(kept_status), but_names(kept)));
        Ok(())
    })
}

#[test]
fn a_hangup_begins_another_kept_file_and_all_of_them_together_give_the_report() -> Result<()> {
    seal::sealed("signals::a_hangup_begins_another_kept_file_and_all_of_them_together_give_the_report", |work| {
        begin(work)?;
        let mut watch = watch(work, "-i w0 --write kept.pcapng")?;
        talk("10.77.0.22:22", b"SSH-2.0-PuTTY_0.80\r\n")?;
        settle();
        watch.signal(Signal::HUP)?;
        settle();
        talk("10.77.0.13:6162", b"hello")?;
        settle();
        watch.interrupt()?;
        watch.wait(LIMIT)?;
        let live = json(&work.join("report"));
        let (_, first) = verify(work, "kept.pcapng");
        let (_, both) = verify(work, "kept.pcapng kept-00002.pcapng");
        let of = |report: &Value| {
            let flow = |f: &Value| [&f["id"], &f["class"], &f["attempt"], &f["orig_packets"]].map(Value::clone);
            let flows = report["flows"].as_array().unwrap();
            let tcp = flows.iter().filter(|f| f["proto"] == "tcp").map(flow);
            (report["verdict"].clone(), tcp.collect::<Vec<_>>())
        };
        assert_eq!(of(&live), of(&both), "{}", watch.text());
        assert_eq!((of(&live).1.len(), of(&first).1.len()), (2, 1));
        Ok(())
    })
}
