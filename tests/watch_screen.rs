//! The screen of `watch`, in a terminal of 80 columns and 24 lines that the test has to itself (tmux), with keys as a user
//! presses them.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests may stop at the first surprise, too"
)]

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use support::Pcap;
use support::watching::{LINUX, MOUNT, REPOSITORY, SITE};

/// A terminal, ended with the test.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    fn tmux(&self, args: &[&str]) -> String {
        let mut tmux = Command::new("tmux");
        tmux.arg("-u").arg("-S").arg(&self.socket).args(["-f", "/dev/null"]).args(args).env("LC_ALL", "C.UTF-8");
        let out = tmux.output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn begin(folder: &Path, command: &str) -> Self {
        let this = Self { socket: folder.join("tmux") };
        let folder = folder.to_string_lossy();
        this.tmux(&["new-session", "-d", "-x", "80", "-y", "24", "-c", &folder, command]);
        this.tmux(&["set", "-s", "escape-time", "0"]);
        this
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    fn shown(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Looks until the terminal shows what is looked for.
    fn until(&self, what: &str, found: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let shown = self.shown();
            if found(&shown) {
                return shown;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "not seen: {what}\n{shown}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ended = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}

/// Whether a row of the screen holds all of these.
fn row(shown: &str, words: &[&str]) -> bool {
    shown.lines().any(|l| words.iter().all(|w| l.contains(w)))
}

#[test]
fn a_user_follows_a_restore_opens_a_row_filters_pauses_and_quits_with_the_report() {
    if Command::new("tmux").arg("-V").output().is_err() {
        let _told = writeln!(std::io::stderr(), "SKIP screen: missing tmux (tests/setup.sh installs it)");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "skipped where skipping is not allowed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("site.toml"), SITE).unwrap();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let program = env!("CARGO_BIN_EXE_portwitness");
    let command = format!("LC_ALL=C.UTF-8 {program} watch --site site.toml pipe; echo status $?; sleep 60");
    let terminal = Terminal::begin(dir.path(), &command);
    let mut stream = OpenOptions::new().write(true).open(&pipe).unwrap();

    let mut first = Pcap::new();
    first.session((MOUNT, 50022), (LINUX, 22), b"SSH-2.0-PuTTY_0.80\r\n", b"SSH-2.0-OpenSSH_9.2p1\r\n").wait(500);
    let begun = first.bytes().len();
    first.session((LINUX, 50023), (REPOSITORY, 3389), b"x", b"y").wait(500);
    first.session((MOUNT, 50024), (REPOSITORY, 6162), b"hello", b"hello");
    stream.write_all(&first.bytes()[..begun]).unwrap();
    let shown =
        terminal.until("the first row", |s| row(s, &["✓", "image.ssh", "tcp/22", "mnt01 > lin01", "satisfied"]));
    assert!(row(&shown, &["…", "image.data-mover", "tcp/6162", "mnt01 > rep01", "waiting"]), "{shown}");
    assert!(row(&shown, &["✓ 1 satisfied", "✗ 0 blocked"]) && row(&shown, &["8 packets", "drops unknown"]), "{shown}");
    assert!(row(&shown, &["q quit and report"]) && !shown.contains("missing"), "{shown}");

    terminal.keys(&["Enter"]);
    terminal.until("the open row", |s| s.contains("Wireshark: ") && s.contains("mnt01 (10.77.0.12):50022"));
    terminal.keys(&["Escape"]);
    terminal.until("the closed row", |s| !s.contains("Wireshark: "));
    terminal.keys(&["/", "m", "o", "v", "e", "r", "Enter"]);
    let shown = terminal.until("the filter", |s| s.contains("filter: mover") && !s.contains("image.ssh"));
    assert!(shown.contains("image.data-mover"), "{shown}");
    // A key right behind Escape would be the two together.
    terminal.keys(&["Escape"]);
    terminal.until("no filter", |s| s.contains("image.ssh"));
    terminal.keys(&["p"]);
    terminal.until("the pause", |s| s.contains("PAUSED") && s.contains("image.ssh"));
    stream.write_all(&first.bytes()[begun..]).unwrap();
    thread::sleep(Duration::from_secs(1));
    assert!(row(&terminal.shown(), &["image.data-mover", "waiting"]));
    terminal.keys(&["p"]);
    let shown = terminal.until("what came meanwhile", |s| row(s, &["✓", "image.data-mover", "satisfied"]));
    assert!(row(&shown, &["✗", "tcp/3389", "lin01 > rep01", "no rule"]), "{shown}");
    assert!(row(&shown, &["✗ 1 unexpected flows"]), "{shown}");

    terminal.keys(&["q"]);
    terminal.until("the report's end and the verdict's status", |s| s.contains("status 1"));
    let all = terminal.tmux(&["capture-pane", "-p", "-S", "-"]);
    assert!(all.contains("FAIL, 2 of 2 required in view"), "{all}");
}
