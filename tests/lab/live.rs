//! Watching while a restore plays, at the mount server: on the interface with libpcap and counting in the kernel, and through
//! tcpdump's pipe. What all say in the end is what the program says of the capture that was taken beside them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::block::Fate;
use crate::cmd::{Running, command};
use crate::failure::{Context, Failure, Result};
use crate::hosts::{Host, Place};
use crate::lab::Recording;
use crate::net::inside;
use crate::site;
use crate::situation::Situation;

const LIMIT: Duration = Duration::from_secs(20);

/// Watches under way, with their names.
pub(crate) struct Live {
    place: Place,
    folder: PathBuf,
    interfaces: [(&'static str, Running); 2],
    stream: Running,
    tcpdump: Child,
    /// Whether the host's own firewall drops something: only its kernel can tell.
    own_firewall: bool,
}

impl Live {
    /// Begins all, and waits until they capture.
    pub(crate) fn start(situation: &Situation, work: &Path) -> Result<Self> {
        let topology = (situation.topology)();
        let place = Place::At(topology.machine(Host::MountServer));
        let own_firewall = (situation.blocks)().iter().any(|b| b.place == place && matches!(b.fate, Fate::Drop));
        let folder = work.join("live");
        fs::create_dir_all(&folder).context("cannot create a folder")?;
        let at = site::place(situation, &topology, place)?;
        let point = format!("\n[[observation_point]]\nat = \"{at}\"\ncomplete = true\n");
        fs::write(folder.join("site.toml"), site::roles(situation, None, &topology)? + &point)
            .context("cannot write")?;
        inside(place, || {
            let on = |engine: &'static str| -> Result<(&'static str, Running)> {
                Ok((engine, watch(&folder, engine, &["-i", "eth0", "--engine", engine], Stdio::null())?))
            };
            let mut interfaces = [on("pcap")?, on("ebpf")?];
            let mut dump = command("tcpdump", &["-i", "eth0", "-n", "-Z", "root", "-U", "-B", "16384", "-w", "-"]);
            let mut tcpdump =
                dump.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("cannot start tcpdump")?;
            let pipe = tcpdump.stdout.take().context("no pipe")?;
            let mut stream = watch(&folder, "stream", &["-"], pipe.into())?;
            // The first judgement comes after the interface is open, and after the stream's header.
            for watch in interfaces.iter_mut().map(|(_, watch)| watch).chain([&mut stream]) {
                watch.ready(LIMIT, |text| text.contains(r#""event":"requirement""#))?;
            }
            Ok(Self { place, folder: folder.clone(), interfaces, stream, tcpdump, own_firewall })
        })
    }

    /// Ends all and compares.
    pub(crate) fn hold(mut self, recording: &Recording) -> Result<()> {
        kill_process(Pid::from_child(&self.tcpdump), Signal::INT).context("cannot end tcpdump")?;
        let mut ended = Vec::new();
        for (name, watch) in &mut self.interfaces {
            watch.interrupt()?;
            ended.push((*name, watch.wait(LIMIT)?.code()));
        }
        self.tcpdump.wait().context("cannot wait for tcpdump")?;
        ended.push(("stream", self.stream.wait(LIMIT)?.code()));
        let capture = recording.captures.get(&self.place).context("no capture at the mount server")?;
        let mut verify = program(&self.folder, "verify");
        let out = verify.args(["--format", "json"]).arg(capture).output().context("cannot start the program")?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let right = essence(&text)?;
        if right.get("requirements").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            return Err(Failure::new(format!("nothing is required at the mount server: {text}")));
        }
        for (name, status) in ended {
            let text = fs::read_to_string(self.folder.join(name)).context("no report")?;
            let said = essence(&text)?;
            if self.own_firewall && name == "ebpf" {
                explained(&said, &right, status)?;
                continue;
            }
            if (&said, status) != (&right, out.status.code()) {
                let text = format!("watching the {name}: {said:#}\nthe capture beside it: {right:#}");
                return Err(Failure::new(text));
            }
        }
        Ok(())
    }
}

/// Where the host's own firewall dropped it, no packet tells why a row is open, and the kernel does.
fn explained(said: &Value, right: &Value, status: Option<i32>) -> Result<()> {
    let rows = |of: &Value| of.get("requirements").and_then(Value::as_array).cloned().unwrap_or_default();
    let told =
        |row: &&Value| row.as_array().is_some_and(|r| r.ends_with(&["blocked".into(), "dropped_locally".into()]));
    let explained = rows(said).iter().filter(told).count();
    if (status, said.get("verdict"), explained) != (Some(1), Some(&"fail".into()), 1)
        || rows(right).iter().any(|r| told(&r))
    {
        return Err(Failure::new(format!("the kernel: {said:#}\nthe capture beside it: {right:#}")));
    }
    Ok(())
}

fn program(folder: &Path, what: &str) -> Command {
    let mut cmd = Command::new(env!("CARGO_BIN_EXE_portwitness"));
    cmd.env_clear().current_dir(folder).args([what, "--site", "site.toml"]);
    cmd
}

fn watch(folder: &Path, name: &str, source: &[&str], input: Stdio) -> Result<Running> {
    let mut cmd = program(folder, "watch");
    cmd.args(["--json", "-o", name, "--format", "json"]).args(source).stdin(input);
    Running::start(&format!("watch-{name}"), folder, &mut cmd)
}

/// Requirements, classes and the verdict: what does not depend on which packet was the last.
fn essence(report: &str) -> Result<Value> {
    let report: Value = serde_json::from_str(report).context("no report")?;
    let pick = |value: &Value, keys: &[&str]| -> Vec<Value> {
        keys.iter().map(|key| value.get(key).cloned().unwrap_or_default()).collect()
    };
    let all = |list: &str, keys: &[&str]| -> Vec<Vec<Value>> {
        let list = report.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let told = list.iter().filter(|v| !v.get("proto").is_some_and(|p| p == "icmp" || p == "icmp6"));
        told.map(|v| pick(v, keys)).collect()
    };
    Ok(serde_json::json!({
        "verdict": report.get("verdict"),
        "requirements": all("requirements", &["rule", "from", "to", "service", "outcome", "cause"]),
        "flows": all("flows", &["id", "class", "unexpected", "attempt", "rules"]),
    }))
}
