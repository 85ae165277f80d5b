//! Sockets that were there before the probes, and their processes, as /proc has them.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::host::{Process, Socket};
use crate::base::{Time, WireText};

/// States in /proc/net/tcp.
const ESTABLISHED: &str = "01";
const LISTENING: &str = "0A";
/// Processes and descriptors looked at, at most: a host with more is told in part.
const MOST: usize = 1 << 20;

/// Listening sockets and connections of this network namespace, with the process that has them, as far as this program may
/// know it.
pub(super) fn sockets() -> Vec<(Socket, Process)> {
    let mut found: Vec<(u64, Socket)> = Vec::new();
    for file in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        let text = fs::read_to_string(file).unwrap_or_default();
        found.extend(text.lines().skip(1).filter_map(socket));
    }
    let owners = owners();
    let mut processes: BTreeMap<u32, Option<Process>> = BTreeMap::new();
    let mut with = |(inode, socket): (u64, Socket)| {
        let pid = *owners.get(&inode)?;
        let process = processes.entry(pid).or_insert_with(|| process(pid)).clone()?;
        Some((socket, process))
    };
    found.drain(..).filter_map(&mut with).collect()
}

/// A row: `0: 0100007F:0016 00000000:0000 0A ... inode`.
fn socket(line: &str) -> Option<(u64, Socket)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, local, remote, state] = fields.first_chunk::<4>()?;
    let inode = fields.get(9)?.parse().ok().filter(|n| *n != 0)?;
    let (local, remote) = (point(local)?, point(remote)?);
    let socket = match *state {
        LISTENING => Socket::Listens(local),
        ESTABLISHED => {
            let (at, own) = (Time::from_nanos(i64::MIN), (local.0, Some(local.1)));
            Socket::Connects { at, local: own, remote, socket: 0 }
        }
        _ => return None,
    };
    Some((inode, socket))
}

/// `0100007F:0016`: words in this host's byte order, the port as a number.
fn point(text: &str) -> Option<(IpAddr, u16)> {
    let (addr, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |i: usize| u32::from_str_radix(addr.get(8 * i..8 * i + 8)?, 16).ok().map(u32::to_ne_bytes);
    let addr = match addr.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (i, part) in octets.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(i)?);
            }
            let addr = Ipv6Addr::from(octets);
            addr.to_ipv4_mapped().map_or(IpAddr::V6(addr), IpAddr::V4)
        }
        _ => return None,
    };
    Some((addr, port))
}

/// Which process has which socket; the first of several.
fn owners() -> BTreeMap<u64, u32> {
    let mut all = BTreeMap::new();
    let names = |path: &str| {
        let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
        entries.take(MOST).map(|e| e.file_name().to_string_lossy().into_owned())
    };
    for pid in names("/proc").filter_map(|n| n.parse::<u32>().ok()) {
        let folder = format!("/proc/{pid}/fd");
        for descriptor in names(&folder) {
            let target = fs::read_link(format!("{folder}/{descriptor}")).unwrap_or_default();
            let inode = target.to_str().and_then(|t| t.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            inode.into_iter().for_each(|inode| {
                all.entry(inode).or_insert(pid);
            });
        }
    }
    all
}

fn process(pid: u32) -> Option<Process> {
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let group = groups.lines().find_map(|l| l.strip_prefix("0::")).and_then(|path| path.rsplit('/').next());
    let unit = group.filter(|g| !g.is_empty()).map(|g| WireText::new(g.as_bytes()));
    let program = WireText::new(program.as_os_str().as_encoded_bytes());
    Some(Process { pid: Some(pid), program, unit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_both_families_are_read() {
        let four =
            "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1234 1 0 100";
        assert_eq!(socket(four), Some((1234, Socket::Listens(("127.0.0.1".parse().unwrap(), 22)))));
        let six =
            "   1: 000000000000000000000000000000FD:01BB 0000000000000000FFFF00000C004D0A:C350 01 0:0 0:0 0 0 0 99 1";
        let Some((99, Socket::Connects { remote, .. })) = socket(six) else { panic!() };
        assert_eq!(remote, ("10.77.0.12".parse().unwrap(), 50000));
        assert_eq!(socket("  sl  local_address rem_address"), None);
    }
}
