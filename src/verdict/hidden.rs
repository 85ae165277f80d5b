//! What a capture cannot tell, one sentence per reason; and captures that hold practically nothing but encryption.

use std::net::IpAddr;

use super::judged::Judged;
use super::points::PointView;
use super::sound::{SHORT_SNAPLEN, unseen_bytes};
use super::words;
use crate::base::{Known, Problem, WireText};
use crate::observe::InputSummary;

/// Packets of how many in a hundred make a capture one of hidden contents only.
const NOTHING_ELSE: u64 = 95;
/// Tunnels named.
const NAMED: usize = 3;

/// Which claims an input forbids, one sentence each. What forbids nothing is not told.
pub(super) fn cannot_tell(p: &PointView<'_>, i: &InputSummary) -> Vec<String> {
    let mut out = Vec::new();
    if let Known::Known(f) = &i.filter
        && !f.is_empty()
    {
        let shown = WireText::new(f.as_bytes()).terminal();
        out.push(format!(
            "it was filtered ({shown}): nothing is called missing, except between hosts whose every packet the filter passes"
        ));
    }
    if i.cut_frames > 0 && i.snaplen.get().is_some_and(|s| s > 0 && s < SHORT_SNAPLEN) {
        let len = i.snaplen.get().unwrap_or_default();
        out.push(format!(
            "frames were cut at {len} bytes: nothing is called missing, and what was spoken is unconfirmed"
        ));
    }
    let dropped: u64 = [i.loss_kernel, i.loss_interface].iter().filter_map(|k| k.get()).sum();
    if dropped > 0 {
        let n = words::count(dropped, "packet");
        out.push(format!("{n} dropped while capturing: what takes as few is not called missing"));
    }
    if i.damaged_at.is_some() {
        out.push("it is damaged: nothing is called missing that was due after the damage, nor is there a pass of what may have come there".to_owned());
    }
    out.extend(p.observation.problems.iter().filter(|x| x.input == i.input).filter_map(problem));
    out
}

fn problem(x: &Problem) -> Option<String> {
    let forbids = x.kind.forbids();
    let detail = if x.detail.is_empty() { String::new() } else { format!(" ({})", x.detail) };
    let what = match (forbids.absence, forbids.like_loss) {
        (true, _) => "nothing is called missing",
        (false, true) => "what takes as few packets is not called missing",
        (false, false) => return None,
    };
    Some(format!("{}{detail}, {}: {what}", x.kind.words(), words::count(x.count, "time")))
}

/// What a place forbids beyond its inputs.
pub(super) fn of_place(p: &PointView<'_>) -> Vec<String> {
    let mut out = Vec::new();
    let unseen = unseen_bytes(p);
    if unseen > 0 {
        out.push(format!("{} acknowledged but never seen: absence is not claimed", words::count(unseen, "byte")));
    }
    if let Some((tunnels, _)) = tunnels(p) {
        out.push(format!(
            "{tunnels}: what is inside cannot be seen, and nothing between those hosts is called missing"
        ));
    }
    if p.observation.evicted > 0 {
        let flows = words::count(p.observation.evicted, "flow");
        out.push(format!("{flows} left out for lack of memory: absence is not claimed"));
    }
    out
}

/// `IPsec (ESP) between A and B`, and how many of the packets that is, in a hundred.
fn tunnels(p: &PointView<'_>) -> Option<(String, u64)> {
    let (all, hidden) = p.hidden();
    let mut of: Vec<(u64, &'static str, IpAddr, IpAddr)> = hidden.map(|(name, a, b, n)| (n, name, a, b)).collect();
    of.sort_unstable_by_key(|t| (std::cmp::Reverse(t.0), t.1, t.2, t.3));
    let n: u64 = of.iter().map(|t| t.0).sum();
    if n == 0 || all == 0 {
        return None;
    }
    let named = of.iter().take(NAMED).map(|(_, name, a, b)| format!("{name} between {a} and {b}"));
    let mut text = named.collect::<Vec<_>>().join(", ");
    if of.len() > NAMED {
        text.push_str(&format!(" and {} more", of.len() - NAMED));
    }
    Some((text, n.saturating_mul(100) / all))
}

/// Places where practically nothing but encapsulation that hides its contents was captured: what, and where to capture instead.
pub(super) fn only_hidden(j: &Judged<'_, '_>) -> Vec<String> {
    let told = |p: &PointView<'_>| {
        let (tunnels, percent) = tunnels(p).filter(|t| t.1 >= NOTHING_ELSE)?;
        Some(format!(
            "{percent} % of what was captured at {} is {tunnels}: what is inside cannot be judged. Capture where it is in the \
             clear: on the hosts of the restore themselves, or behind the tunnel's ends",
            p.name
        ))
    };
    j.points.iter().filter_map(told).collect()
}
