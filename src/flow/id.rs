//! Names of flows that stay the same from run to run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use crate::base::Proto;

use super::model::{Flow, FlowId, FlowKey};

/// The flow's name: its Community ID and the ordinal of the instance.
pub fn id(flow: &Flow) -> FlowId {
    FlowId(format!("{}.{}", community_id(&flow.key), flow.ordinal).into())
}

/// Community ID version 1 with seed 0 (corelight/community-id-spec).
///
/// Flows here have no ICMP type or code and no SCTP ports: such keys are hashed without ports, as the specification does for
/// protocols that have none, and so differ from other tools' for ICMP and SCTP.
pub fn community_id(key: &FlowKey) -> String {
    let mut sha = Sha1::new();
    sha.update([0, 0]);
    for end in &key.ends {
        match end.addr {
            std::net::IpAddr::V4(a) => sha.update(a.octets()),
            std::net::IpAddr::V6(a) => sha.update(a.octets()),
        }
    }
    sha.update([key.proto.number(), 0]);
    if matches!(key.proto, Proto::Tcp | Proto::Udp) {
        key.ends.iter().for_each(|end| sha.update(end.port.to_be_bytes()));
    }
    format!("1:{}", STANDARD.encode(sha.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::EndPoint;

    fn community(proto: Proto, src: (&str, u16), dst: (&str, u16)) -> String {
        let end = |(addr, port): (&str, u16)| EndPoint { addr: addr.parse().unwrap(), port };
        community_id(&FlowKey::new(proto, end(src), end(dst)).0)
    }

    #[test]
    fn agrees_with_the_published_vectors() {
        // baseline/baseline_deflt.json of the specification's repository.
        let tcp = "1:LQU9qZlK+B5F3KDmev6m5PMibrg=";
        assert_eq!(community(Proto::Tcp, ("128.232.110.120", 34855), ("66.35.250.204", 80)), tcp);
        assert_eq!(community(Proto::Tcp, ("66.35.250.204", 80), ("128.232.110.120", 34855)), tcp);
        let udp = "1:d/FP5EW3wiY1vCndhwleRRKHowQ=";
        assert_eq!(community(Proto::Udp, ("192.168.1.52", 54585), ("8.8.8.8", 53)), udp);
    }
}
