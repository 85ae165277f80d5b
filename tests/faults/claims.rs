//! Which claims of a report are true, by what the lab's script says took place and by the frames that are left.
//!
//! A claim is false where the script contradicts it: `satisfied` of what never worked, `blocked` of what worked or by
//! another cause, `missing` or `not_reached` of what took place in sight, a strange flow that nobody opened, an attempt
//! that ended otherwise, a wrong direction, a `pass` over a failure that the frames still show, a `fail` of a restore
//! in which nothing failed. `inconclusive` and `not_observable` claim nothing.
//!
//! Two sentences can be true of a capture and not of the network: `missing`, where every frame of a connection was lost
//! and nothing in the capture tells (the report has to say "loss unknown" with it), and `satisfied` of a port that was
//! open and led to another service, where the bytes that tell are not left (the report has to say that it has none of
//! them). Such claims are counted apart.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use portwitness::base::{InputId, Proto};
use portwitness::capture::{Frame, LinkType};
use portwitness::packet::{Body, decode};
use portwitness::report::{Direction, FlowRecord, Outcome, Report, Requirement, UnexpectedKind, Verdict};

use crate::block::Fate;
use crate::expect::{Expected, View};
use crate::hosts::{Host, Place};
use crate::recording::{Case, Played};
use crate::rows::{Need, Row};
use crate::scenario::Odd;
use crate::story::{End, MAPPED, Try};
use crate::wire::Shot;

/// A row of the report beside what the script has.
pub(crate) struct Said {
    pub(crate) row: String,
    pub(crate) said: String,
    /// What comes out where nothing befell the recording.
    pub(crate) expected: &'static str,
    /// Whether every frame that the claim rests on is left.
    pub(crate) knowable: bool,
}

/// What a report comes to.
pub(crate) struct Told {
    pub(crate) rows: Vec<Said>,
    pub(crate) verdict: &'static str,
    pub(crate) lies: Vec<String>,
    /// Claims that are true as worded: not in this capture.
    pub(crate) as_worded: usize,
}

/// Originator's machine, responder's, port; [`MAPPED`] for any port of that range.
type Tuple = (Host, Host, u16);

/// Words of a claim that something did not happen in this capture.
const LOSS_UNKNOWN: &str = "loss unknown";
const CLAIMS: [&str; 5] = ["satisfied", "satisfied_by_fallback", "blocked", "missing", "not_reached"];
const FAILURES: [&str; 6] = ["refused", "prohibited", "unreachable", "half_open", "unanswered", "dropped_locally"];

struct Hold<'c> {
    case: &'c Case<'c>,
    expected: Expected,
    /// Frames of each connection before and after.
    before: BTreeMap<Tuple, u64>,
    after: BTreeMap<Tuple, u64>,
    lost: bool,
    /// Whether captures say nothing of what they lost.
    untold: bool,
    cut: bool,
    told: Told,
}

pub(crate) fn hold(case: &Case<'_>, played: &Played) -> Told {
    let originals: Vec<&Shot> = case.recording.files.iter().flat_map(|f| &f.frames).collect();
    let left: Vec<&Shot> = played.left.iter().collect();
    let mut hold = Hold {
        expected: case.expected(),
        before: counts(case, &originals),
        after: counts(case, &left),
        lost: left.len() < originals.len(),
        untold: played
            .report
            .captures
            .iter()
            .all(|c| [c.loss.kernel, c.loss.interface].iter().all(|n| n.get().unwrap_or(0) == 0)),
        cut: left.iter().any(|s| s.data.len() < s.original_len as usize),
        told: Told { rows: Vec::new(), verdict: word(&played.report), lies: Vec::new(), as_worded: 0 },
        case,
    };
    hold.rows(&played.report);
    played.report.flows.iter().filter(|f| f.proto == Proto::Tcp).for_each(|f| hold.flow(f));
    hold.verdict(&played.report);
    hold.told
}

fn word(report: &Report) -> &'static str {
    match report.verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Inconclusive => "inconclusive",
    }
}

fn host_of(case: &Case<'_>, addr: IpAddr) -> Option<Host> {
    case.machines.get(&addr).copied()
}

/// Frames by connection, as the script knows it. ICMP errors and fragments are not counted: they belong to one anyway.
fn counts(case: &Case<'_>, shots: &[&Shot]) -> BTreeMap<Tuple, u64> {
    let known: BTreeSet<Tuple> = case.story.tries.iter().map(|t| tuple(case, t)).collect();
    let mut counts = BTreeMap::new();
    for s in shots {
        let link = LinkType(s.link);
        let (time, original_len) = (s.time, s.original_len);
        let frame = Frame { time, input: InputId(0), number: 1, interface: 0, link, data: &s.data, original_len };
        let Some(packet) = decode(&frame).packet else { continue };
        let Body::Tcp(tcp) = packet.body else { continue };
        let (Some(a), Some(b)) = (host_of(case, packet.src), host_of(case, packet.dst)) else { continue };
        for t in [(a, b, named(tcp.dst_port)), (b, a, named(tcp.src_port))] {
            if known.contains(&t) {
                *counts.entry(t).or_default() += 1;
            }
        }
    }
    counts
}

const fn named(port: u16) -> u16 {
    if port >= MAPPED { MAPPED } else { port }
}

fn tuple(case: &Case<'_>, t: &Try) -> Tuple {
    (case.topology.machine(t.from), case.topology.machine(t.to), t.port)
}

/// Whether a connection was opened; one that broke was, too.
fn worked(t: &Try) -> bool {
    matches!(t.end, End::Worked | End::Broken(_))
}

/// Causes that are right for a connection that was opened and then broke. Of bytes that vanish it is often only seen that they do.
fn breaks(t: &Try) -> &'static [&'static str] {
    match &t.end {
        End::Broken(block) if block.fate == Fate::BlackHole => &["mtu_black_hole", "stalled"],
        End::Broken(_) => &["reset_midstream"],
        _ => &[],
    }
}

impl<'c> Hold<'c> {
    fn lie(&mut self, text: String) {
        self.told.lies.push(text);
    }

    /// Connections that a row is about, on its own ports or on those of its fallback.
    fn tries(&self, row: &Row, fallback: bool) -> Vec<&'c Try> {
        let machine = |h| self.case.topology.machine(h);
        let ports = if fallback { row.fallback.clone() } else { Some(row.ports.clone()) };
        let mine = |t: &&Try| {
            row.drivers.iter().any(|d| machine(*d) == machine(t.from))
                && machine(row.to) == machine(t.to)
                && ports.as_ref().is_some_and(|p| p.contains(&t.port))
        };
        self.case.story.tries.iter().filter(mine).collect()
    }

    /// Whether the recording, before anything befell it, held packets of a connection.
    fn visible(&self, t: &Try) -> bool {
        self.before.contains_key(&tuple(self.case, t))
    }

    fn whole(&self, t: &Try) -> bool {
        let t = tuple(self.case, t);
        self.after.get(&t) >= self.before.get(&t)
    }

    fn rows(&mut self, report: &Report) {
        let rows = std::mem::take(&mut self.expected.rows);
        for (row, expected) in &rows {
            let name = name(row);
            let mine: Vec<&Requirement> = report.requirements.iter().filter(|r| self.is_of(row, r)).collect();
            let [said] = mine.as_slice() else {
                self.lie(format!("{name} stands {} times in the report", mine.len()));
                continue;
            };
            let outcome = outcome(said.outcome);
            let knowable = CLAIMS.contains(expected) && self.knowable(row, expected);
            if let Some(why) = self.contradicts(row, said) {
                if self.as_worded(row, said) {
                    self.told.as_worded += 1;
                } else {
                    self.lie(format!("{name} {outcome} ({}): {why}", said.reason));
                }
            }
            self.told.rows.push(Said { row: name, said: outcome, expected, knowable });
        }
        self.expected.rows = rows;
    }

    /// Whether every frame that a claim rests on is left: those of its connections, or all, where it says that there were none.
    fn knowable(&self, row: &Row, expected: &str) -> bool {
        let all: Vec<&Try> = [self.tries(row, false), self.tries(row, true)].concat();
        if self.cut {
            return false;
        }
        if matches!(expected, "missing" | "not_reached") { !self.lost } else { all.iter().all(|t| self.whole(t)) }
    }

    /// Whether a contradicted claim is true as worded: of this capture.
    fn as_worded(&self, row: &Row, said: &Requirement) -> bool {
        match said.outcome {
            Outcome::Missing => self.hidden(row) && self.untold && said.reason.contains(LOSS_UNKNOWN),
            // The port was open; what answered there cannot be read any more, and the report says so.
            Outcome::Satisfied => {
                let unread = ["start was not seen", "no payload", "beginning was not captured"];
                self.tries(row, false).iter().any(|t| worked(t)) && unread.iter().any(|w| said.reason.contains(w))
            }
            _ => false,
        }
    }

    /// Whether no frame of a row's connections is left.
    fn hidden(&self, row: &Row) -> bool {
        let all = [self.tries(row, false), self.tries(row, true)].concat();
        all.iter().all(|t| !self.after.contains_key(&tuple(self.case, t)))
    }

    /// Why the script contradicts a row of the report.
    fn contradicts(&self, row: &Row, said: &Requirement) -> Option<String> {
        let (own, fallback) = (self.tries(row, false), self.tries(row, true));
        let text = |s: &str| Some(s.to_owned());
        let right = |t: &&&Try| worked(t) && t.odd != Odd::WrongProtocol;
        match said.outcome {
            Outcome::Satisfied if !own.iter().any(|t| right(&t)) => text("nothing of it worked"),
            Outcome::SatisfiedByFallback if !fallback.iter().any(|t| right(&t)) => text("no fallback worked"),
            Outcome::Blocked => {
                let cause = said.cause.map(|c| serde_json::to_value(c).unwrap().as_str().unwrap().to_owned());
                let failed: Vec<&&Try> = own.iter().filter(|t| !matches!(t.end, End::Worked)).collect();
                let named = cause.as_deref().unwrap_or_default();
                let shown = |t: &&Try| self.shown(&tuple(self.case, t)).contains(named) || breaks(t).contains(&named);
                if failed.is_empty() {
                    text("nothing of it failed")
                } else if let Some(t) = fallback.iter().find(|t| worked(t)) {
                    Some(format!("its fallback {} worked", t.port))
                } else if !failed.iter().any(|t| shown(t)) {
                    Some(format!("not by {cause:?}"))
                } else {
                    None
                }
            }
            Outcome::Missing | Outcome::NotReached => {
                // What an earlier row explains as well is that row's: it does not show that this one was reached.
                let earlier = |t: &Try| {
                    let rows = self.case.recording.situation.operation.rows(self.case.recording.situation.cast);
                    let asks =
                        |r: &Row| r.stage < row.stage && self.tries(r, false).iter().any(|x| std::ptr::eq(*x, t));
                    said.outcome == Outcome::NotReached && rows.iter().any(asks)
                };
                let took_place = own.iter().chain(&fallback).find(|t| self.visible(t) && !earlier(t));
                took_place.map(|t| format!("{} to {} {} took place in sight", t.from.name(), t.to.name(), t.port))
            }
            _ => None,
        }
    }

    /// What becomes of a connection, as this view shows it.
    fn shown(&self, t: &Tuple) -> BTreeSet<&'static str> {
        self.expected.flows.iter().filter(|f| (f.0, f.1, f.2) == *t).map(|f| f.3).collect()
    }

    /// Whether a requirement of the report is about a row: rule, service, need and, where there are several, the host.
    fn is_of(&self, row: &Row, said: &Requirement) -> bool {
        let need = if row.need == Need::Required { "required" } else { "expected" };
        if (said.rule.as_str(), said.service.as_str(), said.need.word()) != (row.rule, row.service, need)
            || said.outcome == Outcome::NotApplicable
        {
            return false;
        }
        let Some(host) = row.each else { return true };
        let ends = format!("{} {}", said.from.join(" "), said.to);
        let words: Vec<&str> = ends.split(|c: char| !(c.is_alphanumeric() || ".:-".contains(c))).collect();
        let addresses = self.case.topology.addresses(host).unwrap();
        addresses.iter().any(|a| words.contains(&a.to_string().as_str()))
    }

    fn flow(&mut self, f: &FlowRecord) {
        let (Some(from), Some(to)) = (host_of(self.case, f.orig.addr), host_of(self.case, f.resp.addr)) else {
            return self.lie(format!("a flow of a stranger: {} to {}", f.orig.addr, f.resp.addr));
        };
        let t: Tuple = (from, to, named(f.resp.port));
        let of: Vec<&Try> = self.case.story.tries.iter().filter(|x| tuple(self.case, x) == t).collect();
        let fails = f.unexpected.is_some_and(UnexpectedKind::fails);
        let what = format!("{} to {} {} {} {:?}", from.name(), to.name(), f.resp.port, f.attempt, f.unexpected);
        let failure = FAILURES.contains(&f.attempt);
        if of.is_empty() {
            let certain = !f.assumed && matches!(f.direction, Direction::Syn | Direction::SynAck);
            if fails || failure || certain {
                self.lie(format!("nobody opened {what}"));
            }
            return;
        }
        let odd = |kind: UnexpectedKind| match kind {
            UnexpectedKind::NoRule => of.iter().any(|x| x.odd == Odd::NoRule),
            UnexpectedKind::WrongProtocol => of.iter().any(|x| x.odd == Odd::WrongProtocol),
            _ => false,
        };
        if fails && !f.unexpected.is_some_and(odd) {
            self.lie(format!("nothing strange about {what}"));
        }
        let right = self.shown(&t);
        if (failure && !right.contains(f.attempt)) || (f.attempt == "established" && !of.iter().any(|x| worked(x))) {
            self.lie(format!("not so: {what}; right: {right:?}"));
        }
    }

    fn verdict(&mut self, report: &Report) {
        let failed = self.expected.verdict == "fail";
        match report.verdict {
            Verdict::Pass if failed && self.shows_failure() => {
                self.lie(format!("{}, and the frames left show a failure", report.headline));
            }
            Verdict::Fail if !failed && self.everywhere() != "fail" => {
                self.lie(format!("{}, and nothing failed: {}", report.headline, report.reasons.join("; ")));
            }
            _ => {}
        }
    }

    /// What comes out where everything is seen.
    fn everywhere(&self) -> &'static str {
        let hosts = self.case.recording.situation.cast.iter().map(|h| Place::At(self.case.topology.machine(*h)));
        self.case.seen_as(&View::of(hosts.collect(), true)).verdict
    }

    /// Whether every frame is left of some connection for which the restore failed.
    fn shows_failure(&self) -> bool {
        let blocked = |t: &Try| {
            let hit = |(row, outcome): &&(Row, &'static str)| {
                *outcome == "blocked" && self.tries(row, false).iter().any(|x| std::ptr::eq(*x, t))
            };
            self.expected.rows.iter().any(|r| hit(&r))
        };
        let fails = |t: &&Try| t.odd != Odd::No || !worked(t) && blocked(t);
        self.case.story.tries.iter().filter(fails).any(|t| self.visible(t) && self.whole(t) && !self.cut)
    }
}

/// A row's rule without its scenario, and its port.
fn name(row: &Row) -> String {
    let rule = row.rule.trim_start_matches("image.").trim_start_matches("plugin.");
    let host = row.each.filter(|h| h.name() != h.role()).map(|h| format!(" ({})", h.name()));
    format!("{rule} {}{}", row.service.trim_start_matches("tcp/"), host.unwrap_or_default())
}

fn outcome(outcome: Outcome) -> String {
    serde_json::to_value(outcome).unwrap().as_str().unwrap().to_owned()
}
