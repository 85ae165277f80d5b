//! Captures taken while a scenario plays, with the tools an administrator would use.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::cmd::{Running, command};
use crate::failure::{Context, Failure, Result};
use crate::hosts::{Host, Place};
use crate::net::inside;
use crate::scrub::scrub;

const START: Duration = Duration::from_secs(5);
const STOP: Duration = Duration::from_secs(5);
/// The kernel hands packets over in blocks that it retires after up to a second.
const DRAIN: Duration = Duration::from_millis(1200);

/// A capture under way.
pub(crate) struct Capture {
    place: Place,
    file: PathBuf,
    tool: Running,
}

impl Capture {
    /// Starts a capture at `place` and waits until it really captures.
    pub(crate) fn start(place: Place, work: &Path) -> Result<Self> {
        let file = work.join("captures").join(place.file_name());
        let path = file.to_string_lossy();
        // No name resolution, no immediate mode (it loses packets under load), a generous buffer.
        let tcpdump = ["-n", "-Z", "root", "-U", "-B", "16384", "-s", "65535", "-w", &path];
        let (mut cmd, sign) = match place {
            Place::Router => (command("tcpdump", &["-i", "any", "-y", "LINUX_SLL2"]), "listening on"),
            Place::Mirror => (command("tcpdump", &["-i", "br0"]), "listening on"),
            Place::At(Host::Console) => (command("dumpcap", &["-q", "-i", "eth0", "-w", &path]), "File:"),
            Place::At(Host::StagingServer | Host::TargetLinux) => {
                (command("tcpdump", &["-i", "eth0", "--time-stamp-precision=nano"]), "listening on")
            }
            Place::At(_) => (command("tcpdump", &["-i", "eth0"]), "listening on"),
        };
        if !dumpcap(place) {
            cmd.args(tcpdump);
        }
        let name = format!("capture-{}", place.name());
        let mut tool = inside(place, || Running::start(&name, &work.join("logs"), &mut cmd))?;
        tool.ready(START, |text| text.contains(sign))?;
        Ok(Self { place, file, tool })
    }

    /// Ends the capture; one that lost packets is a failure, because its absence proves nothing.
    fn stop(mut self) -> Result<(Place, PathBuf)> {
        self.tool.interrupt()?;
        self.tool.wait(STOP)?;
        let text = self.tool.text();
        if !lossless(&text, dumpcap(self.place)) {
            return Err(Failure::new(format!("the capture at {} lost packets:\n{text}", self.place.name())));
        }
        if dumpcap(self.place) {
            let bytes = fs::read(&self.file).context("cannot read a capture")?;
            fs::write(&self.file, scrub(&bytes)?).context("cannot write a capture")?;
        }
        Ok((self.place, self.file))
    }
}

/// Ends all captures, after giving each the time to receive what is still on its way.
pub(crate) fn stop_all(captures: Vec<Capture>) -> Result<BTreeMap<Place, PathBuf>> {
    thread::sleep(DRAIN);
    captures.into_iter().map(Capture::stop).collect()
}

impl Place {
    /// Name of the capture taken there.
    pub(crate) fn file_name(self) -> String {
        format!("{}.{}", self.name(), if dumpcap(self) { "pcapng" } else { "pcap" })
    }
}

/// The console captures as Wireshark on Windows does, to pcapng with statistics; the rest to pcap.
fn dumpcap(place: Place) -> bool {
    place == Place::At(Host::Console)
}

fn lossless(text: &str, dumpcap: bool) -> bool {
    if dumpcap {
        return text.contains("/0 (pcap:0/dumpcap:0/flushed:0/ps_ifdrop:0)");
    }
    text.lines().any(|l| l == "0 packets dropped by kernel")
}
