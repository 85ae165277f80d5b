//! The program's verdict on captures of the lab, requirement by requirement, against what has to come out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use crate::cmd::{command, run};
use crate::expect::{Expected, OTHERWISE, View};
use crate::failure::{Context, Failure, Result};
use crate::hosts::{Host, Place, Topology};
use crate::lab::Recording;
use crate::rows::{Need, Operation, Row};
use crate::scenario::Stage;
use crate::site::{self, label};
use crate::situation::{CLEAN, Situation};
use crate::story::{MAPPED, Story};
use crate::table;

/// What the program says about the captures of `view`: its report and its exit status.
pub(crate) fn judge(situation: &Situation, view: &View, recording: &Recording) -> Result<(Value, i32)> {
    let files = files(view, recording)?;
    let folder = files.first().and_then(|f| f.parent()).context("no capture")?;
    let topology = (situation.topology)();
    let mut text = site::roles(situation, view.claimed, &topology)?;
    if view.declared {
        text += &site::window(recording)?;
        for (place, file) in view.places.iter().zip(&files) {
            text += &site::point(situation, &topology, *place, &file_name(file))?;
        }
    }
    let site = folder.join("site.toml");
    fs::write(&site, text).context("cannot write a site file")?;
    let mut cmd = Command::new(env!("CARGO_BIN_EXE_portwitness"));
    cmd.env_clear().args(["verify", "--format", "json", "--site"]).arg(&site);
    for (place, file) in view.places.iter().zip(&files) {
        if view.declared {
            cmd.arg(file);
        } else {
            cmd.arg("--at").arg(format!("{}={}", site::place(situation, &topology, *place)?, file.display()));
        }
    }
    let out = cmd.output().context("cannot start the program")?;
    let report = serde_json::from_slice(&out.stdout)
        .context(format!("no report; it says: {}", String::from_utf8_lossy(&out.stderr)))?;
    Ok((report, out.status.code().context("the program was killed")?))
}

/// Everything in which a report differs from what has to come out.
pub(crate) fn differences(situation: &Situation, view: &View, report: &Value, status: i32) -> Result<Vec<String>> {
    let (topology, expected) = ((situation.topology)(), table::expected(situation, view));
    let mut all = Vec::new();
    requirements(&topology, &expected, report, &mut all);
    flows(situation, &topology, &expected, report, &mut all)?;
    let exit = match expected.verdict {
        "pass" => 0,
        "fail" => 1,
        _ => 3,
    };
    let verdict = text(report, "verdict");
    if (verdict, status) != (expected.verdict, exit) {
        all.push(format!("verdict {verdict}, exit status {status}; right: {}, {exit}", expected.verdict));
    }
    Ok(all)
}

/// The captures of a view, cut where it says so.
fn files(view: &View, recording: &Recording) -> Result<Vec<PathBuf>> {
    let capture = |place: &Place| {
        let file = recording.captures.get(place).context(format!("no capture at {}", place.name()))?;
        view.cut.map_or_else(|| Ok(file.clone()), |steps| cut(file, recording, steps))
    };
    view.places.iter().map(capture).collect()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn requirements(topology: &Topology, expected: &Expected, report: &Value, out: &mut Vec<String>) {
    let mut said: Vec<&Value> = list(report, "requirements").iter().collect();
    said.retain(|r| text(r, "outcome") != "not_applicable");
    for (row, right) in &expected.rows {
        let mine: Vec<_> = said.iter().filter(|r| is_of(topology, row, r)).collect();
        let found: Vec<_> = mine.iter().map(|r| text(r, "outcome")).collect();
        if found != [*right] {
            let about = row.each.map(|h| format!(" ({})", h.name())).unwrap_or_default();
            let why: Vec<_> = mine.iter().map(|r| text(r, "reason")).collect();
            out.push(format!("{} {}{about}: {found:?}; right: {right}; it says: {why:?}", row.rule, row.service));
        }
    }
    if said.len() != expected.rows.len() {
        let names: Vec<_> = said.iter().map(|r| format!("{} {}", text(r, "rule"), text(r, "service"))).collect();
        out.push(format!("{} rows, {} expected; it has {names:?}", said.len(), expected.rows.len()));
    }
}

/// Whether a requirement of the report is about this row: rule, service, need and, where there are several, the host.
fn is_of(topology: &Topology, row: &Row, said: &Value) -> bool {
    let need = if row.need == Need::Required { "required" } else { "expected" };
    if (text(said, "rule"), text(said, "service"), text(said, "need")) != (row.rule, row.service, need) {
        return false;
    }
    let Some(host) = row.each else { return true };
    let from = list(said, "from").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
    let ends = format!("{from} {}", text(said, "to"));
    let words: Vec<_> = ends.split(|c: char| !(c.is_alphanumeric() || ".:-".contains(c))).collect();
    let addresses = topology.addresses(host).unwrap_or_default();
    words.contains(&label(host)) || addresses.iter().any(|a| words.contains(&a.to_string().as_str()))
}

/// The class as the report names it.
fn class(class: &str) -> &str {
    if class == OTHERWISE { "unexpected" } else { class }
}

type Flow = (Host, Host, u16, String, String);

fn flows(
    situation: &Situation,
    topology: &Topology,
    expected: &Expected,
    report: &Value,
    out: &mut Vec<String>,
) -> Result<()> {
    let host_of = |end: &Value| -> Result<Option<Host>> {
        for host in situation.cast {
            let addresses = topology.addresses(*host)?;
            if addresses.iter().any(|a| a.to_string() == text(end, "addr")) {
                return Ok(Some(topology.machine(*host)));
            }
        }
        Ok(None)
    };
    let mut said: BTreeSet<Flow> = BTreeSet::new();
    for flow in list(report, "flows").iter().filter(|f| text(f, "proto") == "tcp") {
        let (orig, resp) = (flow.get("orig").context("no orig")?, flow.get("resp").context("no resp")?);
        let (Some(from), Some(to)) = (host_of(orig)?, host_of(resp)?) else {
            out.push(format!("a flow of a stranger: {} to {}", text(orig, "addr"), text(resp, "addr")));
            continue;
        };
        let port = resp.get("port").and_then(Value::as_u64).and_then(|p| u16::try_from(p).ok()).context("no port")?;
        let port = if port >= MAPPED { MAPPED } else { port };
        said.insert((from, to, port, text(flow, "attempt").to_owned(), text(flow, "class").to_owned()));
    }
    let right: BTreeSet<Flow> =
        expected.flows.iter().map(|f| (f.0, f.1, f.2, f.3.to_owned(), class(f.4).to_owned())).collect();
    out.extend(said.difference(&right).map(|f| format!("a flow that was not played: {f:?}")));
    out.extend(right.difference(&said).map(|f| format!("a flow that was played: {f:?}")));
    Ok(())
}

/// Where the program is known to differ from the table, and why the table is right. An entry that no longer holds
/// fails its test, so that the list stays short.
const OPEN: &[(&str, &[&str], &str)] = &[];

/// Judges a recording from every view and tells all that is wrong.
pub(crate) fn hold(situation: &Situation, recording: &Recording) -> Result<()> {
    let mut wrong = String::new();
    for view in views(situation) {
        let (report, status) = judge(situation, &view, recording)?;
        let (name, all) = (name(&view), differences(situation, &view, &report, status)?);
        let open = OPEN.iter().any(|(file, views, _)| *file == situation.file && views.contains(&name.as_str()));
        if !all.is_empty() {
            keep_finding(situation, &view, recording)?;
        }
        if all.is_empty() == open {
            let what = if open { "is right now; take it off the list".to_owned() } else { all.join("\n  ") };
            wrong += &format!("{} {name}:\n  {what}\n", situation.file);
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::new(wrong)) }
}

/// With `PORTWITNESS_LAB_FINDINGS=DIR` what was judged wrong is kept there, capture and site.
fn keep_finding(situation: &Situation, view: &View, recording: &Recording) -> Result<()> {
    let Some(dir) = std::env::var_os("PORTWITNESS_LAB_FINDINGS").map(PathBuf::from) else { return Ok(()) };
    let dir = dir.join(format!("{}-{}", situation.file, name(view).replace(' ', "-")));
    fs::create_dir_all(&dir).context("cannot make a folder for findings")?;
    for file in files(view, recording)? {
        fs::write(dir.join(file_name(&file)), fs::read(&file).context("cannot read a capture")?)
            .context("cannot keep a capture")?;
        if let Some(folder) = file.parent() {
            let site = fs::read(folder.join("site.toml")).context("cannot read the site")?;
            fs::write(dir.join("site.toml"), site).context("cannot keep the site")?;
        }
    }
    Ok(())
}

/// What a view is called in the table.
pub(crate) fn name(view: &View) -> String {
    let places = match view.places.as_slice() {
        [one] => one.name().to_owned(),
        _ => "all hosts".to_owned(),
    };
    let declared = if view.declared { "" } else { ", undeclared" };
    let cut = view.cut.map(|n| format!(", cut after {n}")).unwrap_or_default();
    let claimed = view.claimed.map(|o| format!(", as {}", o.name())).unwrap_or_default();
    format!("{places}{declared}{cut}{claimed}")
}

/// Every place alone, with and without declarations, and all hosts together.
pub(crate) fn views(situation: &Situation) -> Vec<View> {
    let places = places(situation);
    let declared = |places| View::of(places, true);
    let mut all: Vec<View> = places.iter().map(|p| declared(vec![*p])).collect();
    all.push(declared(places.iter().copied().filter(|p| matches!(p, Place::At(_))).collect()));
    all.extend(places.iter().map(|p| View::of(vec![*p], false)));
    for cut in cuts(situation) {
        for place in places.iter().filter(|p| !matches!(p, Place::At(Host::Console | Host::BackupServer))) {
            all.extend([true, false].map(|declared| View { cut: Some(cut), ..View::of(vec![*place], declared) }));
        }
    }
    if situation.file == CLEAN.file {
        let others = [Operation::Publish, Operation::InstantRecovery, Operation::EnterpriseManager, Operation::Export];
        all.extend(others.map(|other| View { claimed: Some(other), ..View::of(vec![Place::Router], true) }));
    }
    all
}

/// Where captures are cut: after the first step of deployment, and half-way through what worked.
fn cuts(situation: &Situation) -> Vec<usize> {
    let scenario = (situation.scenario)();
    let story = Story::of(&scenario, &(situation.blocks)());
    let worked = story.steps.iter().take_while(|s| **s == Some(true)).count();
    let deployed = scenario.restore.iter().position(|s| s.stage == Stage::RpcDeploy).map_or(0, |n| n + 1);
    let mut all = vec![deployed, usize::max(deployed, worked.div_ceil(2))];
    all.dedup();
    all.retain(|n| *n <= worked);
    all
}

/// The capture as it would be had it ended before a step.
fn cut(file: &Path, recording: &Recording, steps: usize) -> Result<PathBuf> {
    let Some(next) = recording.log.restore().nth(steps) else { return Ok(file.to_owned()) };
    let end = next.began.duration_since(UNIX_EPOCH).context("the clock")?;
    let short = file.with_extension(format!("cut-{steps}.pcap"));
    if !short.exists() {
        let end = format!("{}.{:09}", end.as_secs(), end.subsec_nanos());
        let (from, to) = (file.to_string_lossy(), short.to_string_lossy());
        let args = ["-F", "nsecpcap", "-B", &end, &from, &to];
        let logs = file.parent().unwrap_or(file);
        run("editcap", logs, &mut command("editcap", &args), Duration::from_secs(10))?;
    }
    Ok(short)
}

/// Every machine of the cast, the router and its mirror port.
pub(crate) fn places(situation: &Situation) -> Vec<Place> {
    let topology = (situation.topology)();
    let machines: BTreeSet<Host> = situation.cast.iter().map(|h| topology.machine(*h)).collect();
    machines.into_iter().map(Place::At).chain([Place::Router, Place::Mirror]).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
