//! What the judge says of the draft's own traffic: when a restore seems to have run, and what no rule explains.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use crate::base::{Span, Time};
use crate::report::{Class, Direction, FlowRecord, Report};

/// Most exceptions suggested.
const ALLOWS: usize = 12;

/// The first and the last restore traffic as a window, for a person to widen.
pub(super) fn window(report: &Report) -> String {
    let steps = || report.flows.iter().filter(|f| f.class == Some(Class::Expected));
    let (first, last) = (steps().map(|f| f.first).min(), steps().map(|f| f.last).max());
    let (Some(first), Some(last)) = (first, last) else {
        return "\n# When the restore ran. No restore traffic was seen; fill in what you know.\n# [[window]]\n# from = 2026-01-31T22:00:00+01:00\n# to   = 2026-01-31T22:40:00+01:00\n"
            .to_owned();
    };
    format!(
        "\n# When the restore ran: with it, rows of which nothing was seen can be called missing. This is the first and the\n# last traffic that the rules explain; put in when the restore was started and when it ended.\n# [[window]]\n# from = {}\n# to   = {}\n",
        seconds(first),
        seconds(last.plus(Span::from_millis(999)))
    )
}

/// RFC 3339 to the second.
fn seconds(time: Time) -> String {
    let text = time.to_string();
    let whole = text.split('.').next().unwrap_or(&text);
    format!("{whole}Z")
}

/// Traffic of the draft's hosts that no rule explains, as exceptions without their mark of approval.
pub(super) fn allows(report: &Report) -> String {
    let mut groups = BTreeMap::<(IpAddr, IpAddr, String), u64>::new();
    for f in report.flows.iter().filter(|f| unexplained(f)) {
        let key = (f.orig.addr, f.resp.addr, format!("{}/{}", f.proto, f.resp.port));
        *groups.entry(key).or_default() += 1;
    }
    if groups.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "\n# Traffic of these hosts that no rule explains. Take the marks off what is right here, and say why.\n",
    );
    for ((from, to, service), n) in groups.iter().take(ALLOWS) {
        let flows = if *n == 1 { "1 flow".to_owned() } else { format!("{n} flows") };
        let _ = write!(
            out,
            "#\n# [[allow]]\n# from    = \"{from}\"\n# to      = \"{to}\"\n# service = \"{service}\"\n# reason  = \"seen in the draft's captures, {flows}: say why it is right\"\n"
        );
    }
    if groups.len() > ALLOWS {
        let _ = writeln!(out, "# and {} more; `portwitness verify` lists them", groups.len() - ALLOWS);
    }
    out
}

/// Whether a flow is worth an exception: its direction is sure and no rule allows it.
fn unexplained(f: &FlowRecord) -> bool {
    f.class == Some(Class::Unexpected)
        && matches!(f.direction, Direction::Syn | Direction::SynAck)
        && matches!(f.proto, crate::base::Proto::Tcp | crate::base::Proto::Udp)
        && f.resp.port > 0
}
