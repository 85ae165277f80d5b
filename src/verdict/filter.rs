//! What a recorded capture filter lets through, where that can be told.
//!
//! Only the plainest filters are understood: `host A or host B`, `net N`, with `ip`, `ip6` or brackets around a term, and
//! `host A and host B`. They pass whole packets by address, so fragments and whatever two of those hosts say to each other are
//! there. Anything else (ports, flags, directions, tags) may have left out what is looked for.

use std::net::IpAddr;

/// Whether a filter surely passes every packet between two addresses.
pub(super) fn passes(filter: &str, a: IpAddr, b: IpAddr) -> bool {
    let words = filter.replace(['(', ')'], " ").to_lowercase();
    // Brackets only group here where one connective is used; a mixture could mean either thing.
    let words: Vec<&str> = words.split_whitespace().collect();
    let has = |w: &str| words.contains(&w);
    match (has("or"), has("and")) {
        (true, true) => false,
        (false, true) => {
            let terms: Option<Vec<Term>> = words.split(|w| *w == "and").map(Term::parse).collect();
            matches!(terms.as_deref(), Some([x, y]) if x.holds(a) && y.holds(b) || x.holds(b) && y.holds(a))
        }
        _ => {
            let terms: Option<Vec<Term>> = words.split(|w| *w == "or").map(Term::parse).collect();
            terms.is_some_and(|t| t.iter().any(|t| t.holds(a) || t.holds(b)))
        }
    }
}

/// One test by address.
enum Term {
    Host(IpAddr),
    Net(ipnet::IpNet),
}

impl Term {
    fn parse(words: &[&str]) -> Option<Self> {
        let (v6, rest) = match words {
            ["ip", rest @ ..] => (Some(false), rest),
            ["ip6", rest @ ..] => (Some(true), rest),
            rest => (None, rest),
        };
        let fits = |addr: IpAddr| v6.is_none_or(|v6| addr.is_ipv6() == v6);
        match rest {
            ["host", addr] => addr.parse().ok().filter(|a| fits(*a)).map(Self::Host),
            ["net", net] => net.parse::<ipnet::IpNet>().ok().filter(|n| fits(n.addr())).map(Self::Net),
            _ => None,
        }
    }

    fn holds(&self, addr: IpAddr) -> bool {
        match self {
            Self::Host(h) => *h == addr,
            Self::Net(n) => n.contains(&addr),
        }
    }
}

#[cfg(test)]
mod tests {
    fn passes(filter: &str) -> bool {
        super::passes(filter, "10.0.0.1".parse().unwrap(), "10.0.1.2".parse().unwrap())
    }

    #[test]
    fn filters_by_address_pass_what_their_hosts_say() {
        for filter in [
            "host 10.0.0.1",
            "host 10.0.0.9 or host 10.0.1.2",
            "(host 10.0.0.1) or (host 10.0.0.9)",
            "ip host 10.0.0.1 or ip6 host fd00::1",
            "net 10.0.0.0/16",
            "host 10.0.0.1 and host 10.0.1.2",
            "host 10.0.1.2 and net 10.0.0.0/24",
        ] {
            assert!(passes(filter), "{filter}");
        }
    }

    #[test]
    fn whatever_may_leave_something_out_passes_nothing() {
        for filter in [
            "",
            "tcp port 445",
            "host 10.0.0.9",
            "src host 10.0.0.1",
            "host 10.0.0.1 and port 445",
            "host 10.0.0.1 and not port 22",
            "not host 10.0.0.1",
            "host 10.0.0.1 and host 10.0.0.9 or host 10.0.0.1",
            "host 10.0.0.1 and (host 10.0.0.9 or host 10.0.0.8)",
            "host 10.0.0.1 | host 10.0.1.2",
            "host mnt01",
            "ip6 host 10.0.0.1",
            "host 10.0.0.1 and host 10.0.1.2 and host 10.0.0.3",
            "vlan and host 10.0.0.1",
            "tcp",
        ] {
            assert!(!passes(filter), "{filter}");
        }
    }
}
