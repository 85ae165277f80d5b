//! A small restore, its site, and the program watching it: what the tests of `watch` share.

#![allow(clippy::panic, reason = "helpers of tests may stop at the first surprise, too")]

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Pcap, portwitness, told};

/// Its hosts, and one that is nobody's.
pub(crate) const MOUNT: [u8; 4] = [10, 77, 0, 12];
pub(crate) const LINUX: [u8; 4] = [10, 77, 1, 22];
pub(crate) const REPOSITORY: [u8; 4] = [10, 77, 0, 13];
pub(crate) const STRANGER: [u8; 4] = [10, 77, 0, 99];

/// The site of [`restore`].
pub(crate) const SITE: &str = r#"
scenario      = "image-level"
operations    = ["enterprise-manager"]
observed_from = ["mount-server"]

[hosts]
mnt01 = ["10.77.0.12"]
rep01 = ["10.77.0.13"]
lin01 = ["10.77.1.22"]

[roles]
mount-server  = ["mnt01"]
repository    = ["rep01"]
target-linux  = ["lin01"]
"#;

/// Nothing here takes a tenth of this; what does hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// SSH works, a flow that no rule explains, then the data mover works.
pub(crate) fn restore() -> Pcap {
    let mut pcap = Pcap::new();
    pcap.session((MOUNT, 50022), (LINUX, 22), b"SSH-2.0-PuTTY_0.80\r\n", b"SSH-2.0-OpenSSH_9.2p1\r\n").wait(500);
    pcap.session((LINUX, 50023), (REPOSITORY, 3389), b"x", b"y").wait(500);
    pcap.session((MOUNT, 50024), (REPOSITORY, 6162), b"hello", b"hello").wait(4000);
    pcap.session((MOUNT, 50025), (STRANGER, 8080), b"hello", b"hello");
    pcap
}

/// A folder with its site.
pub(crate) fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("site.toml"), SITE).unwrap();
    dir
}

/// A running `watch`, its standard output line by line as it comes.
pub(crate) struct Watching {
    pub(crate) child: Child,
    pub(crate) lines: Receiver<String>,
}

impl Watching {
    /// `watch --site site.toml` and these arguments.
    pub(crate) fn begin(folder: &Path, args: &[&str]) -> Self {
        let mut all = vec!["watch", "--site", "site.toml"];
        all.extend(args);
        let mut command = portwitness(folder, &all);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        thread::spawn(move || {
            let mut line = String::new();
            while std::io::BufRead::read_line(&mut stdout, &mut line).is_ok_and(|n| n > 0) {
                if send.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Writes to its standard input.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    /// Lines until one holds all of these words.
    pub(crate) fn until(&self, words: &[&str]) -> Vec<String> {
        let (begun, mut seen) = (Instant::now(), Vec::new());
        while begun.elapsed() < PATIENCE {
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => {
                    let found = words.iter().all(|w| line.contains(w));
                    seen.push(line);
                    if found {
                        return seen;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        panic!("no line with {words:?} in {seen:#?}");
    }

    /// Ends its standard input.
    pub(crate) fn close(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Sends it a signal.
    #[cfg(target_os = "linux")]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// What is left of its output, and its status.
    pub(crate) fn end(mut self) -> (i32, String, String) {
        let rest: String = self.lines.iter().collect();
        let mut err = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code().expect("ended by a signal"), rest, err)
    }
}

/// What `verify` says of these bytes on its standard input.
pub(crate) fn verify(folder: &Path, format: &str, bytes: &[u8]) -> (i32, String) {
    let mut command = portwitness(folder, &["verify", "--site", "site.toml", "--format", format, "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let owned = bytes.to_vec();
    let writing = thread::spawn(move || stdin.write_all(&owned));
    let (status, out, _) = told(&child.wait_with_output().unwrap());
    writing.join().unwrap().unwrap();
    (status, out)
}

/// The report that was asked for with `-o report`.
pub(crate) fn written(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("report")).unwrap()
}
