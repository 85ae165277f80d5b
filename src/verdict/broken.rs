//! Connections that the network let through and then broke: what is told of them, and what to do.

use super::judged::Judged;
use super::seen::{Seen, Worked};
use super::words;
use crate::flow::After;
use crate::report::Cause;

/// The last of a requirement's working connections that broke later, with nothing that worked after it between the same hosts.
pub(super) fn last_broken<'s, 'a>(seen: &'s [Seen<'a>], works: &[usize]) -> Option<&'s Seen<'a>> {
    let works = || works.iter().filter_map(|&i| seen.get(i));
    let made_good = |f: &Seen<'_>| works().any(|w| w.pair == f.pair && w.broke().is_none() && w.began() > f.began());
    works().rfind(|f| f.broke().is_some() && !made_good(f))
}

/// When and how a connection broke that had worked.
pub(super) fn later(f: &Seen<'_>) -> String {
    let Some(a) = &f.after else { return String::new() };
    let carried = crate::report::size(a.carried);
    format!("it carried {carried}, and at {} UTC it broke: {}", a.first.time.short(), a.reason)
}

/// What to check where a connection broke. `path`: originator, responder, the port asked for, all ports of the row.
pub(super) fn hint(j: &Judged<'_, '_>, f: &Seen<'_>, cause: Cause, [o, r, port, range]: [&str; 4]) -> Option<String> {
    let a = f.after.as_ref()?;
    let named = |side| words::addr(j.site, f.flow.point(side).addr);
    Some(match cause {
        Cause::MtuBlackHole => format!(
            "The port is open: full-sized packets do not pass, less likely something inspects and drops them. A ping that must not be fragmented tells, from {0} (Windows: ping -f -l 1472 ADDRESS, Linux: ping -M do -s 1472 ADDRESS; lower the size until it passes, 28 bytes more are the path's MTU). Compare the MTU of every link, tunnel and VPN between {o} and {r} with that of both hosts, and let ICMP \"fragmentation needed\" (IPv6: \"packet too big\") pass back to {0}, or clamp the MSS on the device before the narrow link.",
            named(a.side)
        ),
        Cause::IdleCut => format!(
            "The rule lets {port} pass; a firewall with state between {o} and {r} seems to forget the connection while it is idle. Raise its idle timeout for {range}, or let {o} send TCP keepalives more often."
        ),
        Cause::Stalled => format!(
            "The handshake of {port} passes, and then what {} sends is lost. Look for inspection (IPS, application control) and for asymmetric routes on the firewalls between {o} and {r}, in their logs of that moment, and check that {} was up. A capture at {} tells whether the packets arrive there.",
            named(a.side),
            named(a.side.other()),
            named(a.side.other())
        ),
        Cause::ResetMidstream => reset(a, &named(a.side), [o, r, port]),
        _ => return None,
    })
}

fn reset(a: &After, by: &str, [o, r, port]: [&str; 3]) -> String {
    if a.device.is_some() {
        return format!(
            "The handshake of {port} passes, and a device in the path seems to reset it in the name of {by} once data flow. Look in the logs of the firewalls between {o} and {r} at that moment for inspection (IPS, application control, antivirus) that ends connections."
        );
    }
    format!(
        "The handshake of {port} passes, and then {by}, or a device in its name, resets the connection. Look in the log of the service on {by} at that moment; if it knows of no reset, look for inspection (IPS, application control) on the firewalls between {o} and {r}. A capture at {by} tells which of the two it is."
    )
}

/// Connections that broke after they had worked, for the warnings.
pub(super) fn worked_and_broke(s: &Seen<'_>) -> bool {
    s.broke().is_some() && s.network() == Worked::Yes
}
