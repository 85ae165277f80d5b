//! Capture filters from a site's addresses, in libpcap's language (pcap-filter(7)).
//!
//! A filter may hide nothing that could be asked of this site. By address and never by port: later fragments carry no ports.
//! ICMP errors come from routers in between, so all ICMP is kept; so is everything that may carry another packet inside, whose
//! outer addresses need not be ours: IP in IP, GRE, VXLAN, GENEVE, GTP-U, Teredo, and frames with labels or a second tag. `vlan`
//! moves where the addresses of all that follows are looked for, so it stands last.

use std::net::IpAddr;

use super::model::Site;

/// Longest filter used: captures keep a kibibyte of it, and what is not kept whole cannot be known again.
const LONGEST: usize = 1000;

/// Carriers of other packets: IANA protocol numbers (IPv4 4, IPv6 41, GRE 47), UDP ports (RFC 7348, RFC 8926, 3GPP TS 29.281,
/// RFC 4380).
const CARRIERS: &str =
    "proto 4 or proto 41 or proto 47 or udp port 4789 or udp port 6081 or udp port 2152 or udp port 3544";
/// The same by Ethernet type: MPLS (RFC 5332), PPPoE (RFC 2516), provider bridges and backbone bridges (IEEE 802.1Q).
const FRAMES: &str =
    "ether proto 0x8847 or ether proto 0x8848 or ether proto 0x8864 or ether proto 0x88a8 or ether proto 0x88e7";

/// Filters that hide nothing that could be asked of this site, the one that fits most places first. Empty where the site has
/// no addresses, or so many that no filter could name them all.
pub fn capture_filters(site: &Site) -> Vec<String> {
    let hosts = site.hosts.iter().flat_map(|h| h.addrs.iter().map(|a: &IpAddr| format!("host {a}")));
    let nets = site.role_nets.iter().map(|(_, n)| format!("net {}", n.trunc()));
    let mut ends: Vec<String> = hosts.chain(nets).collect();
    ends.sort();
    ends.dedup();
    if ends.is_empty() {
        return Vec::new();
    }
    let plain = format!("{} or icmp or icmp6 or {CARRIERS}", ends.join(" or "));
    // Not every link type has Ethernet's types or tags.
    let framed = format!("{plain} or {FRAMES}");
    let tagged = format!("{framed} or (vlan and ({plain}))");
    [tagged, framed, plain].into_iter().filter(|f| f.len() <= LONGEST).collect()
}

/// A filter that keeps what any of `filters` keeps, and what the user's own does.
pub fn widened(filters: &[String], own: &str) -> Vec<String> {
    filters.iter().map(|f| format!("({f}) or ({own})")).filter(|f| f.len() <= LONGEST).collect()
}

/// Whether a recorded filter hides nothing of this site: it is one of the site's, or one of them widened.
pub fn hides_nothing(site: &Site, recorded: &str) -> bool {
    let own = capture_filters(site);
    let harmless = |f: &str| {
        own.iter().any(|own| {
            let more = || f.strip_prefix(&format!("({own}) or ("))?.strip_suffix(')');
            f == own || more().is_some_and(is_closed)
        })
    };
    // Several interfaces' filters are told together.
    recorded.split(" | ").all(harmless)
}

/// Whether the parentheses of a part close inside it: otherwise what follows may narrow the whole.
fn is_closed(part: &str) -> bool {
    let mut depth = 0_i32;
    for c in part.chars() {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix;

    fn site(addresses: &str) -> Site {
        let text = format!(
            "scenario = \"image-level\"\n[hosts]\nmnt01 = [{addresses}]\n[roles]\nmount-server = [\"mnt01\"]\ntarget-linux = [\"10.9.0.0/24\"]\n"
        );
        let matrix = matrix::load(&[]).unwrap();
        crate::site::load("site.toml", &text, &matrix).unwrap().0
    }

    #[test]
    fn every_address_and_all_that_may_carry_it_is_kept() {
        let site = site("\"10.77.0.12\", \"fd00:77::12\"");
        let [tagged, framed, plain] = <[String; 3]>::try_from(capture_filters(&site)).unwrap();
        assert!(
            plain.starts_with("host 10.77.0.12 or host fd00:77::12 or net 10.9.0.0/24 or icmp or icmp6 or proto 4")
        );
        assert!(
            tagged.starts_with(&framed)
                && framed.starts_with(&plain)
                && tagged.ends_with(&format!("(vlan and ({plain}))"))
        );
    }

    #[test]
    fn a_recorded_filter_is_harmless_only_where_it_is_the_sites_own_or_wider() {
        let site = site("\"10.77.0.12\"");
        let filters = capture_filters(&site);
        for own in &filters {
            assert!(hides_nothing(&site, own));
        }
        for wide in widened(&filters, "arp or (tcp port 80)") {
            assert!(hides_nothing(&site, &wide), "{wide}");
        }
        for narrow in widened(&filters, "arp) and (tcp port 80") {
            assert!(!hides_nothing(&site, &narrow), "{narrow}");
        }
        assert!(!hides_nothing(&site, "host 10.77.0.12") && !hides_nothing(&site, ""));
        let many: Vec<String> = (0..100).map(|n| format!("\"10.77.1.{n}\"")).collect();
        assert!(capture_filters(&self::site(&many.join(", "))).is_empty());
    }
}
