//! Captures made in the test, byte by byte, and the binary as users run it.

#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod watching;

use std::path::Path;
use std::process::{Command, Output};

/// `portwitness` in a folder, with an environment that cannot change what it prints.
pub(crate) fn portwitness(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portwitness"));
    command.current_dir(folder).args(args).env_clear().env("LANG", "C.UTF-8");
    command
}

/// Runs it; status, standard output, standard error.
pub(crate) fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    told(&portwitness(folder, args).output().unwrap())
}

/// Status, standard output, standard error.
pub(crate) fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().expect("ended by a signal"), text(&output.stdout), text(&output.stderr))
}

/// TCP flags.
pub(crate) const SYN: u8 = 0x02;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const FIN: u8 = 0x01;

/// A classic pcap (microseconds, Ethernet) under construction.
pub(crate) struct Pcap {
    bytes: Vec<u8>,
    micros: u64,
}

/// One end: address and port.
pub(crate) type End = ([u8; 4], u16);

impl Pcap {
    /// An empty capture; the first packet comes at 2026-11-20T21:00:00Z.
    pub(crate) fn new() -> Self {
        let mut bytes = Vec::new();
        bytes.extend(0xa1b2_c3d4_u32.to_le_bytes());
        bytes.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(262_144_u32.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        Self { bytes, micros: 1_795_208_400_000_000 }
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, millis: u64) -> &mut Self {
        self.micros += millis * 1000;
        self
    }

    /// One TCP segment, a millisecond after the one before.
    pub(crate) fn tcp(&mut self, from: End, to: End, flags: u8, seq: u32, ack: u32, payload: &[u8]) -> &mut Self {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        let total = u16::try_from(40 + payload.len()).unwrap();
        frame.extend([0x45, 0]);
        frame.extend(total.to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame.extend(from.0);
        frame.extend(to.0);
        frame.extend(from.1.to_be_bytes());
        frame.extend(to.1.to_be_bytes());
        frame.extend(seq.to_be_bytes());
        frame.extend(ack.to_be_bytes());
        frame.extend([0x50, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        frame.extend(payload);
        self.frame(&frame)
    }

    /// One UDP datagram.
    pub(crate) fn udp(&mut self, from: End, to: End, payload: &[u8]) -> &mut Self {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        let len = u16::try_from(payload.len()).unwrap();
        frame.extend([0x45, 0]);
        frame.extend((28 + len).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        frame.extend(from.0);
        frame.extend(to.0);
        frame.extend(from.1.to_be_bytes());
        frame.extend(to.1.to_be_bytes());
        frame.extend((8 + len).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(payload);
        self.frame(&frame)
    }

    /// A fragment of a UDP datagram of 16 bytes and its header: the first half, or what begins at this many eights.
    pub(crate) fn fragment(&mut self, from: [u8; 4], to: [u8; 4], id: u16, more: bool, eights: u16) -> &mut Self {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        frame.extend([0x45, 0, 0, 36]);
        frame.extend(id.to_be_bytes());
        frame.extend((u16::from(more) << 13 | eights).to_be_bytes());
        frame.extend([64, 17, 0, 0]);
        frame.extend(from);
        frame.extend(to);
        frame.extend([0, 53, 0, 53, 0, 24, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        self.frame(&frame)
    }

    fn frame(&mut self, frame: &[u8]) -> &mut Self {
        self.micros += 1000;
        let len = u32::try_from(frame.len()).unwrap();
        let part = |n: u64| u32::try_from(n).unwrap();
        for n in [part(self.micros / 1_000_000), part(self.micros % 1_000_000), len, len] {
            self.bytes.extend(n.to_le_bytes());
        }
        self.bytes.extend(frame);
        self
    }

    /// A connection that is opened, used and closed.
    pub(crate) fn session(&mut self, from: End, to: End, hello: &[u8], answer: &[u8]) -> &mut Self {
        let (a, b) = (1000 + u32::from(from.1), 2000 + u32::from(from.1));
        let (h, n) = (u32::try_from(hello.len()).unwrap(), u32::try_from(answer.len()).unwrap());
        self.tcp(from, to, SYN, a, 0, b"")
            .tcp(to, from, SYN | ACK, b, a + 1, b"")
            .tcp(from, to, ACK, a + 1, b + 1, b"")
            .tcp(from, to, PSH | ACK, a + 1, b + 1, hello)
            .tcp(to, from, PSH | ACK, b + 1, a + 1 + h, answer)
            .tcp(from, to, FIN | ACK, a + 1 + h, b + 1 + n, b"")
            .tcp(to, from, FIN | ACK, b + 1 + n, a + 2 + h, b"")
            .tcp(from, to, ACK, a + 2 + h, b + 2 + n, b"")
    }

    /// SYNs at 0, 1, 3 and 7 s that nobody answers.
    pub(crate) fn silence(&mut self, from: End, to: End) -> &mut Self {
        for wait in [0, 1000, 2000, 4000] {
            self.wait(wait).tcp(from, to, SYN, 77, 0, b"");
        }
        self
    }

    /// The file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What something between two places, or the clock of one of them, does to a capture. Checksums are left as they were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rewrite {
    /// Added to every time, in microseconds.
    pub(crate) micros: i64,
    /// Added to the sequence numbers of what this address sends, and to the acknowledgements of what it gets.
    pub(crate) renumber: Option<([u8; 4], u32)>,
    /// An address that appears as another one.
    pub(crate) translate: Option<([u8; 4], [u8; 4])>,
}

impl Rewrite {
    /// A classic little-endian pcap of Ethernet frames, rewritten.
    pub(crate) fn apply(&self, pcap: &[u8]) -> Vec<u8> {
        assert_eq!(&pcap[..4], [0xd4, 0xc3, 0xb2, 0xa1], "microseconds, little-endian");
        let mut out = pcap[..24].to_vec();
        let mut at = 24;
        let word = |at: usize| i64::from(u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap()));
        while at < pcap.len() {
            let micros = word(at) * 1_000_000 + word(at + 4) + self.micros;
            let end = at + 16 + usize::try_from(word(at + 8)).unwrap();
            for part in [micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000)] {
                out.extend(u32::try_from(part).unwrap().to_le_bytes());
            }
            out.extend(&pcap[at + 8..at + 16]);
            let mut frame = pcap[at + 16..end].to_vec();
            self.frame(&mut frame);
            out.extend(frame);
            at = end;
        }
        out
    }

    fn frame(&self, f: &mut [u8]) {
        if f.len() < 34 || f[12..14] != [8, 0] {
            return;
        }
        let tcp = 14 + usize::from(f[14] & 15) * 4;
        if let Some((host, by)) = self.renumber.filter(|_| f[23] == 6 && f.len() >= tcp + 20) {
            for (end, number) in [(26, tcp + 4), (30, tcp + 8)] {
                if f[end..end + 4] == host {
                    let n = u32::from_be_bytes(f[number..number + 4].try_into().unwrap());
                    // A SYN acknowledges nothing.
                    if n != 0 || end == 26 {
                        f[number..number + 4].copy_from_slice(&n.wrapping_add(by).to_be_bytes());
                    }
                }
            }
        }
        if let Some((from, to)) = self.translate {
            for end in [26, 30] {
                if f[end..end + 4] == from {
                    f[end..end + 4].copy_from_slice(&to);
                }
            }
        }
    }
}
