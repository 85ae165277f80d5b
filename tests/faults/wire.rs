//! Frames of any source written as pcapng, with what the source says of its losses.

use std::collections::BTreeMap;

use portwitness::base::{Known, Time};
use portwitness::capture::{Event, FrameSource};

/// A frame, copied.
pub(crate) struct Shot {
    pub(crate) time: Time,
    pub(crate) interface: u32,
    pub(crate) link: u16,
    pub(crate) data: Vec<u8>,
    pub(crate) original_len: u32,
}

/// Pulls a source to its end.
pub(crate) fn shots(source: &mut dyn FrameSource) -> Vec<Shot> {
    let mut all = Vec::new();
    while let Some(event) = source.next() {
        if let Event::Frame(f) = event {
            let (time, interface, link, original_len) = (f.time, f.interface, f.link.0, f.original_len);
            all.push(Shot { time, interface, link, data: f.data.to_vec(), original_len });
        }
    }
    all
}

/// Code and value.
type Opt = (u16, Vec<u8>);

/// `stopped`: the capture ends with its last frame, whatever it said before.
pub(crate) fn pcapng(source: &mut dyn FrameSource, stopped: bool) -> (Vec<u8>, Vec<Shot>) {
    let shots = shots(source);
    let meta = source.finish();
    let mut file = block(0x0a0d_0d0a, &[0x1a2b_3c4d_u32.to_le_bytes().to_vec(), vec![1, 0, 0, 0], vec![0xff; 8]], &[]);
    let links: BTreeMap<u32, u16> = shots.iter().map(|s| (s.interface, s.link)).collect();
    let interfaces = links.keys().max().map_or(1, |n| n + 1);
    let snaplen = meta.snaplen().get().unwrap_or(0);
    for n in 0..interfaces {
        let link = links.get(&n).or_else(|| links.values().next()).copied().unwrap_or(1);
        let body = [u32::from(link).to_le_bytes().to_vec(), snaplen.to_le_bytes().to_vec()];
        file.extend(block(1, &body, &[(9, vec![9])]));
    }
    let mut drops = meta.drops.iter().peekable();
    for s in &shots {
        let dropped: Vec<Opt> =
            drops.next_if(|d| d.0 == s.time).map(|d| (4, d.1.to_le_bytes().to_vec())).into_iter().collect();
        let len = u32::try_from(s.data.len()).unwrap();
        let [high, low] = halves(s.time);
        let head = [s.interface, high, low, len, s.original_len].map(|n| n.to_le_bytes().to_vec()).concat();
        file.extend(block(6, &[head, padded(&s.data)], &dropped));
    }
    let loss = meta.loss();
    let last = shots.last().map(|s| s.time);
    let end = if stopped { last } else { last.max(meta.last()) };
    if (loss.kernel, loss.interface) != (Known::Unknown, Known::Unknown) {
        for n in 0..interfaces {
            let [high, low] = halves(end.unwrap_or(Time::from_nanos(0)));
            let mine = |k: Known<u64>| k.get().map(|all| if n == 0 { all } else { 0 }.to_le_bytes().to_vec());
            let counters = [mine(loss.interface).map(|v| (5, v)), mine(loss.kernel).map(|v| (7, v))];
            let body = [n, high, low].map(|n| n.to_le_bytes().to_vec());
            file.extend(block(5, &body, &counters.into_iter().flatten().collect::<Vec<_>>()));
        }
    }
    (file, shots)
}

fn halves(time: Time) -> [u32; 2] {
    let ticks = u64::try_from(time.as_nanos()).unwrap();
    [u32::try_from(ticks >> 32).unwrap(), u32::try_from(ticks & 0xffff_ffff).unwrap()]
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut all = bytes.to_vec();
    all.resize(bytes.len().next_multiple_of(4), 0);
    all
}

/// A block: type, length, body, options, length again (draft-ietf-opsawg-pcapng, section 3.1).
fn block(kind: u32, body: &[Vec<u8>], options: &[Opt]) -> Vec<u8> {
    let mut inner = body.concat();
    for (code, value) in options {
        inner.extend(code.to_le_bytes());
        inner.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
        inner.extend(padded(value));
    }
    if !options.is_empty() {
        inner.extend([0; 4]);
    }
    let len = u32::try_from(inner.len() + 12).unwrap().to_le_bytes();
    [&kind.to_le_bytes()[..], &len, &inner, &len].concat()
}
