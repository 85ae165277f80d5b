//! Writing pcapng (draft-ietf-opsawg-pcapng): what a live capture hands on, and what is kept of it, are the same blocks. So
//! there is one reading of a capture, whether it comes from an interface or from the file that was written of it.
//!
//! Little-endian, times in nanoseconds.

use std::net::IpAddr;

use super::pcapng::{HEAD, MIN_BLOCK, block};
use crate::base::Time;

/// An interface as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceHead<'a> {
    /// Link type.
    pub link: u16,
    /// Longest capture of a packet.
    pub snaplen: u32,
    /// Its name.
    pub name: &'a str,
    /// Capture filter in libpcap's language.
    pub filter: Option<&'a str>,
    /// Addresses of the host it is of; none where it captures others' packets.
    pub addresses: &'a [IpAddr],
}

/// Counters of an interface since capturing began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came.
    pub received: u64,
    /// Packets the interface or its driver dropped, where that is known.
    pub interface_drops: Option<u64>,
    /// Packets the system dropped for lack of room, where that is known.
    pub system_drops: Option<u64>,
}

/// Appends a Section Header Block (section 4.1) of unknown length.
pub fn section(out: &mut Vec<u8>) {
    block(out, block::SECTION, |out| {
        out.extend(0x1a2b_3c4d_u32.to_le_bytes());
        out.extend(1_u16.to_le_bytes());
        out.extend(0_u16.to_le_bytes());
        out.extend((-1_i64).to_le_bytes());
    });
}

/// Appends an Interface Description Block (section 4.2).
pub fn interface(out: &mut Vec<u8>, head: &InterfaceHead<'_>) {
    block(out, block::INTERFACE, |out| {
        out.extend(head.link.to_le_bytes());
        out.extend([0; 2]);
        out.extend(head.snaplen.to_le_bytes());
        option(out, 2, &[head.name.as_bytes()]);
        for address in head.addresses {
            // The whole address is the network: masks are nobody's business here.
            match address {
                IpAddr::V4(a) => option(out, 4, &[&a.octets(), &[255; 4]]),
                IpAddr::V6(a) => option(out, 5, &[&a.octets(), &[128]]),
            }
        }
        option(out, 9, &[&[9]]);
        if let Some(filter) = head.filter {
            option(out, 11, &[&[0], filter.as_bytes()]);
        }
        option(out, 0, &[]);
    });
}

/// Appends an Enhanced Packet Block (section 4.3). A time before 1970 is written as 1970.
pub fn packet(out: &mut Vec<u8>, interface: u32, time: Time, original_len: u32, data: &[u8]) {
    block(out, block::ENHANCED, |out| {
        out.extend(interface.to_le_bytes());
        ticks(out, time);
        out.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(original_len.to_le_bytes());
        out.extend_from_slice(data);
        pad(out, data.len());
    });
}

/// Appends an Interface Statistics Block (section 4.6): counters as of `now`, of a capture that began at `start`.
pub fn statistics(out: &mut Vec<u8>, interface: u32, start: Time, now: Time, counters: &Counters) {
    block(out, block::STATISTICS, |out| {
        out.extend(interface.to_le_bytes());
        ticks(out, now);
        for (code, time) in [(2, start), (3, now)] {
            let mut value = Vec::with_capacity(8);
            ticks(&mut value, time);
            option(out, code, &[&value]);
        }
        option(out, 4, &[&counters.received.to_le_bytes()]);
        if let Some(drops) = counters.interface_drops {
            option(out, 5, &[&drops.to_le_bytes()]);
        }
        if let Some(drops) = counters.system_drops {
            option(out, 7, &[&drops.to_le_bytes()]);
        }
        option(out, 0, &[]);
    });
}

fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    body(out);
    let len = u32::try_from(out.len() - begin + 4).unwrap_or(MIN_BLOCK).to_le_bytes();
    out.extend(len);
    if let Some(room) = out.get_mut(begin + 4..begin + HEAD) {
        room.copy_from_slice(&len);
    }
}

/// High half first, each half in the section's order.
fn ticks(out: &mut Vec<u8>, time: Time) {
    let ticks = u64::try_from(time.as_nanos()).unwrap_or(0);
    let half = |n: u64| u32::try_from(n & u64::from(u32::MAX)).unwrap_or(0).to_le_bytes();
    out.extend(half(ticks >> 32));
    out.extend(half(ticks));
}

/// An option; a value longer than 65535 octets is left out.
fn option(out: &mut Vec<u8>, code: u16, value: &[&[u8]]) {
    let len = value.iter().map(|v| v.len()).sum::<usize>();
    let Ok(short) = u16::try_from(len) else { return };
    out.extend(code.to_le_bytes());
    out.extend(short.to_le_bytes());
    value.iter().for_each(|v| out.extend_from_slice(v));
    pad(out, len);
}

fn pad(out: &mut Vec<u8>, len: usize) {
    out.resize(out.len() + (len.next_multiple_of(4) - len), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{InputId, Known};
    use crate::capture::{CaptureFile, Event, FrameSource as _};

    #[test]
    fn what_is_written_is_read_again() {
        let (start, at) = (Time::from_nanos(1_700_000_000_000_000_001), Time::from_nanos(1_700_000_001_000_000_007));
        let mut bytes = Vec::new();
        section(&mut bytes);
        let addresses = ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        let filter = Some("host 10.0.0.1");
        interface(&mut bytes, &InterfaceHead { link: 1, snaplen: 512, name: "any", filter, addresses: &addresses });
        for len in 0..9_u8 {
            packet(&mut bytes, 0, at, 60, &vec![len; usize::from(len)]);
        }
        let counters = Counters { received: 9, interface_drops: None, system_drops: Some(7) };
        statistics(&mut bytes, 0, start, at, &counters);
        let len = bytes.len() as u64;
        let file = CaptureFile::from_read("x", InputId(0), Box::new(std::io::Cursor::new(bytes))).unwrap();
        let mut reader = file.frames();
        let mut seen = Vec::new();
        while let Some(event) = reader.next() {
            let Event::Frame(f) = event else { panic!("{event:?}") };
            seen.push((f.time, f.original_len, f.data.to_vec(), f.link.0));
        }
        let expected: Vec<_> = (0..9_u8).map(|n| (at, 60, vec![n; usize::from(n)], 1)).collect();
        assert_eq!(seen, expected);
        let meta = reader.finish();
        assert_eq!((meta.first(), meta.last(), meta.bytes, meta.packets), (Some(start), Some(at), len, 9));
        assert_eq!((meta.loss().kernel, meta.loss().interface), (Known::Known(7), Known::Unknown));
        assert_eq!(meta.filter().map(|f| f.terminal()), Known::Known("host 10.0.0.1".to_owned()));
        assert_eq!(meta.snaplen(), Known::Known(512));
        let host = meta.host().unwrap();
        assert!(host.all_interfaces && host.addresses.iter().eq(&addresses), "{host:?}");
    }
}
