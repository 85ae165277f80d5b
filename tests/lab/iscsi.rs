//! A bounded iSCSI initiator: logs in, reads a few blocks, logs out.
//!
//! The packaged clients either only ask (inquiry, capacity) or read without pause; a restore mounts
//! and reads a little at first, and a kept capture has to stay small.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::failure::{Context, Failure, Result};

const PATIENCE: Duration = Duration::from_secs(12);
const HEADER: usize = 48;
const BLOCK: u32 = 512;

type Header = [u8; HEADER];

/// One session with a target.
struct Session {
    stream: TcpStream,
    command: u32,
    expected_status: u32,
    task: u32,
}

/// Reads `blocks` blocks from the first disk of `target`.
pub(crate) fn read(to: IpAddr, port: u16, target: &str, blocks: u16) -> Result<()> {
    let peer = SocketAddr::from((to, port));
    let stream = TcpStream::connect_timeout(&peer, PATIENCE).context(format!("cannot connect to {peer}"))?;
    stream.set_read_timeout(Some(PATIENCE)).context("cannot set a timeout")?;
    stream.set_write_timeout(Some(PATIENCE)).context("cannot set a timeout")?;
    let mut session = Session { stream, command: 1, expected_status: 0, task: 0 };
    session.login(target)?;
    session.read_blocks(blocks)?;
    session.logout()
}

impl Session {
    fn login(&mut self, target: &str) -> Result<()> {
        let who = format!(
            "InitiatorName=iqn.1991-05.com.microsoft:oradb01\0SessionType=Normal\0TargetName={target}\0AuthMethod=None\0"
        );
        let how =
            "HeaderDigest=None\0DataDigest=None\0InitialR2T=Yes\0ImmediateData=No\0MaxRecvDataSegmentLength=65536\0";
        // From security negotiation to operational, from there to full feature.
        for (stages, text) in [(0x81, who.as_str()), (0x87, how)] {
            let mut header = self.header(0x43, stages);
            put(&mut header, 8, &[0x80, 0, 0, 0, 0, 1]);
            let (answer, _) = self.exchange(header, text.as_bytes())?;
            if answer[0] & 0x3F != 0x23 || answer[36] != 0 {
                return Err(Failure::new(format!("login refused, status {:02x}{:02x}", answer[36], answer[37])));
            }
        }
        Ok(())
    }

    fn read_blocks(&mut self, blocks: u16) -> Result<()> {
        // "Test unit ready": a fresh session is owed one "unit attention", which this collects.
        self.command(0x81, 0, &[])?;
        let wanted = u32::from(blocks) * BLOCK;
        let [high, low] = blocks.to_be_bytes();
        match self.command(0xC1, wanted, &[0x28, 0, 0, 0, 0, 0, 0, high, low, 0])? {
            (0, total) if total == wanted => Ok(()),
            (status, total) => Err(Failure::new(format!("read {total} of {wanted} bytes, status {status:#04x}"))),
        }
    }

    /// Sends a SCSI command to the first disk; gives its status and counts the data before it.
    fn command(&mut self, flags: u8, wanted: u32, command: &[u8]) -> Result<(u8, u32)> {
        let mut header = self.header(0x01, flags);
        header[9] = 1;
        put(&mut header, 20, &wanted.to_be_bytes());
        put(&mut header, 32, command);
        self.command += 1;
        let (mut answer, mut data) = self.exchange(header, &[])?;
        let mut total = 0;
        loop {
            match (answer[0] & 0x3F, answer[1] & 1) {
                (0x25, 1) => return Ok((answer[3], total + data)),
                (0x25, _) => total += data,
                (0x21, _) => return Ok((answer[3], total)),
                (other, _) => return Err(Failure::new(format!("unexpected iSCSI operation {other:#04x}"))),
            }
            (answer, data) = self.receive()?;
        }
    }

    fn logout(&mut self) -> Result<()> {
        let header = self.header(0x46, 0x80);
        let (answer, _) = self.exchange(header, &[])?;
        if answer[0] & 0x3F == 0x26 {
            return Ok(());
        }
        Err(Failure::new("no answer to the logout"))
    }

    fn header(&mut self, operation: u8, flags: u8) -> Header {
        self.task += 1;
        let mut header = [0; HEADER];
        header[0] = operation;
        header[1] = flags;
        put(&mut header, 16, &self.task.to_be_bytes());
        put(&mut header, 24, &self.command.to_be_bytes());
        put(&mut header, 28, &self.expected_status.to_be_bytes());
        header
    }

    fn exchange(&mut self, mut header: Header, data: &[u8]) -> Result<(Header, u32)> {
        let length = u32::try_from(data.len()).context("too much data")?.to_be_bytes();
        put(&mut header, 4, &length);
        let mut bytes = header.to_vec();
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        self.stream.write_all(&bytes).context("sending iSCSI")?;
        self.receive()
    }

    fn receive(&mut self) -> Result<(Header, u32)> {
        let mut header = [0; HEADER];
        self.stream.read_exact(&mut header).context("receiving iSCSI")?;
        let length = u32::from_be_bytes([0, header[5], header[6], header[7]]);
        let mut data = (&mut self.stream).take(u64::from(length.next_multiple_of(4)));
        std::io::copy(&mut data, &mut std::io::sink()).context("receiving iSCSI data")?;
        // Data without a status carries no status number.
        if header[0] & 0x3F != 0x25 || header[1] & 1 == 1 {
            let status = u32::from_be_bytes([header[24], header[25], header[26], header[27]]);
            self.expected_status = status.wrapping_add(1);
        }
        Ok((header, length))
    }
}

fn put(header: &mut Header, at: usize, bytes: &[u8]) {
    for (slot, byte) in header.iter_mut().skip(at).zip(bytes) {
        *slot = *byte;
    }
}
