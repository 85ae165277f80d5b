//! Blocks of several interfaces in one stream, in the order of their times.
//!
//! A packet is handed on once every other interface has shown a later one or said that nothing earlier will come, and at the
//! latest when it has waited long enough. The order of one interface is left as it is: whoever fills a line sees to it that
//! statistics do not stand before packets from before them.

use std::collections::VecDeque;

use super::order::Order;
use super::pcapng::HEAD;
use crate::base::Time;

/// Whole blocks of one interface, packets and statistics.
#[derive(Debug)]
pub(super) struct Batch {
    /// Number of the interface.
    pub(super) interface: usize,
    /// Its blocks, as [`super::write`] makes them.
    pub(super) blocks: Vec<u8>,
    /// Nothing earlier than this will come from it.
    pub(super) until: Time,
}

/// What waits of an interface.
#[derive(Debug)]
struct Line {
    batches: VecDeque<Vec<u8>>,
    /// Bytes of the first batch that were handed on.
    at: usize,
    until: i64,
}

/// The next block of a line.
struct Next {
    line: usize,
    time: i64,
    len: usize,
}

/// Interfaces that are being merged.
#[derive(Debug)]
pub(super) struct Merge(Vec<Line>);

impl Merge {
    /// Of so many interfaces.
    pub(super) fn new(interfaces: usize) -> Self {
        let line = || Line { batches: VecDeque::new(), at: 0, until: i64::MIN };
        Self((0..interfaces).map(|_| line()).collect())
    }

    /// Takes in what came of an interface.
    pub(super) fn add(&mut self, batch: Batch) {
        if let Some(line) = self.0.get_mut(batch.interface) {
            line.until = line.until.max(batch.until.as_nanos());
            if !batch.blocks.is_empty() {
                line.batches.push_back(batch.blocks);
            }
        }
    }

    /// What can be handed on: all that nothing earlier can come before any more, and all that is earlier than `waited`.
    pub(super) fn take(&mut self, waited: Time) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(next) = self.next().filter(|n| n.time <= waited.as_nanos() || n.time <= self.settled(n.line)) {
            self.hand_on(&next, &mut out);
        }
        out
    }

    /// Everything that waits: all interfaces have ended.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        self.take(Time::from_nanos(i64::MAX))
    }

    /// The earliest block of all; of equal ones that of the first interface.
    fn next(&self) -> Option<Next> {
        let heads = self.0.iter().enumerate().filter_map(|(line, l)| {
            let block = l.batches.front()?.get(l.at..)?;
            let (len, ticks) = (Order::Little.u32(block, 4)?, Order::Little.split_u64(block, HEAD + 4)?);
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            Some(Next { line, time: i64::try_from(ticks).unwrap_or(i64::MAX), len })
        });
        heads.min_by_key(|n| (n.time, n.line))
    }

    /// Up to when nothing can come any more of the other interfaces that have nothing waiting.
    fn settled(&self, line: usize) -> i64 {
        let others = self.0.iter().enumerate().filter(|(i, l)| *i != line && l.batches.is_empty());
        others.map(|(_, l)| l.until).min().unwrap_or(i64::MAX)
    }

    fn hand_on(&mut self, next: &Next, out: &mut Vec<u8>) {
        let Some(line) = self.0.get_mut(next.line) else { return };
        let Some(batch) = line.batches.front() else { return };
        let end = line.at.saturating_add(next.len.max(1)).min(batch.len());
        out.extend_from_slice(batch.get(line.at..end).unwrap_or(&[]));
        line.at = end;
        if end == batch.len() {
            line.batches.pop_front();
            line.at = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::write::packet;
    use super::*;

    fn batch(interface: u32, times: &[i64], until: i64) -> Batch {
        let mut blocks = Vec::new();
        let at = Time::from_nanos;
        times.iter().for_each(|&t| packet(&mut blocks, interface, at(t), 60, &[0; 5]));
        Batch { interface: interface as usize, blocks, until: at(until) }
    }

    /// Times and interfaces of blocks.
    fn told(mut blocks: &[u8]) -> Vec<(u64, u32)> {
        let mut all = Vec::new();
        while !blocks.is_empty() {
            let len = Order::Little.u32(blocks, 4).unwrap() as usize;
            all.push((Order::Little.split_u64(blocks, 12).unwrap(), Order::Little.u32(blocks, 8).unwrap()));
            blocks = &blocks[len..];
        }
        all
    }

    #[test]
    fn a_packet_waits_until_no_earlier_one_can_come_and_never_too_long() {
        let mut merge = Merge::new(2);
        let none = Time::from_nanos(0);
        merge.add(batch(0, &[10, 20, 40], 40));
        assert_eq!(told(&merge.take(none)), [], "the other one may come earlier");
        merge.add(batch(1, &[15, 30], 30));
        assert_eq!(told(&merge.take(none)), [(10, 0), (15, 1), (20, 0), (30, 1)]);
        assert_eq!(told(&merge.take(none)), [], "nobody knows what comes before 40");
        merge.add(batch(1, &[], 45));
        assert_eq!(told(&merge.take(none)), [(40, 0)]);
        merge.add(batch(0, &[50], 50));
        assert_eq!(told(&merge.take(Time::from_nanos(49))), []);
        assert_eq!(told(&merge.take(Time::from_nanos(50))), [(50, 0)], "it has waited long enough");
        merge.add(batch(1, &[60], 60));
        assert_eq!(told(&merge.rest()), [(60, 1)]);
    }
}
