//! IP in IP: IPv4 (RFC 2003, IPv4 in IPv6 RFC 2473) and IPv6 (RFC 4213, RFC 2473). There is no header in between.

use super::ether::{Link, ethertype};
use super::issue::{Issue, Layer};
use crate::base::ProblemKind;

/// The packet that protocol 4 (`v6` false) or 41 announces, as if a link had carried it.
pub(super) fn parse(v6: bool, payload: Layer<'_>) -> Result<Link<'_>, Issue> {
    let what = if v6 { "IPv6 in IP" } else { "IPv4 in IP" };
    let &[first] = payload.header(what)?;
    let ethertype = match (first >> 4, v6) {
        (4, false) => ethertype::IPV4,
        (6, true) => ethertype::IPV6,
        _ => return Err(Issue::new(ProblemKind::Undecoded, what)),
    };
    Ok(Link { group: false, ethertype, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_must_be_the_one_announced() {
        let parse = |v6, data: &[u8]| parse(v6, Layer::new(data, 0)).map(|l| l.ethertype);
        assert_eq!(parse(false, &[0x45]), Ok(ethertype::IPV4));
        assert_eq!(parse(true, &[0x60]), Ok(ethertype::IPV6));
        assert_eq!(parse(true, &[0x45]).unwrap_err().kind, ProblemKind::Undecoded);
        assert_eq!(parse(false, &[0]).unwrap_err().detail, "IPv4 in IP");
        assert_eq!(parse(false, &[]).unwrap_err().kind, ProblemKind::PacketMalformed);
    }
}
