//! Running other programs: always bounded in time, always with their output kept.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Result};

const POLL: Duration = Duration::from_millis(10);

/// Where daemons live when a user's PATH does not say.
const MORE_PLACES: &str = "/usr/sbin:/sbin:/usr/libexec/samba:/usr/lib/x86_64-linux-gnu/samba";

/// A program with its arguments; a thin name so that call sites read as the command line does.
pub(crate) fn command(program: &str, args: &[&str]) -> Command {
    let mut cmd = Command::new(find(program).unwrap_or_else(|| program.into()));
    // Its messages are searched for words.
    cmd.env("LC_ALL", "C").args(args).stdin(Stdio::null());
    cmd
}

/// The file that holds a program.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = format!("{}:{MORE_PLACES}", std::env::var("PATH").unwrap_or_default());
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// A program in the background, killed when dropped, with both outputs in one log file.
pub(crate) struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `cmd`; its outputs go to `<logs>/<name>.log`.
    pub(crate) fn start(name: &str, logs: &Path, cmd: &mut Command) -> Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let out = File::create(&log).context(format!("cannot create {}", log.display()))?;
        let err = out.try_clone().context("cannot share a log file")?;
        // A group of its own: samba and tgt stop or signal their whole group.
        let child = cmd.stdout(out).stderr(err).process_group(0).spawn().context(format!("cannot start {cmd:?}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its process.
    #[allow(dead_code, reason = "not every test that shares this file asks")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the program has written so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits for the program's end, at most `limit`; a program that takes longer is killed.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().context(format!("cannot wait for {}", self.name))? {
                return Ok(status);
            }
            if Instant::now() >= until {
                self.kill();
                return Err(Failure::new(format!("{} took longer than {limit:?}:\n{}", self.name, self.text())));
            }
            thread::sleep(POLL);
        }
    }

    /// Asks the program to finish as Ctrl-C would.
    pub(crate) fn interrupt(&self) -> Result<()> {
        self.signal(rustix::process::Signal::INT)
    }

    /// Sends the program a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).context(format!("cannot signal {}", self.name))
    }

    /// Waits until `ready` holds, and fails early when the program has died.
    pub(crate) fn ready(&mut self, limit: Duration, ready: impl Fn(&str) -> bool) -> Result<()> {
        let until = Instant::now() + limit;
        while !ready(&self.text()) {
            let ended = self.child.try_wait().context(format!("cannot wait for {}", self.name))?;
            if let Some(status) = ended {
                return Err(Failure::new(format!("{} ended with {status}:\n{}", self.name, self.text())));
            }
            if Instant::now() >= until {
                return Err(Failure::new(format!("{} was not ready after {limit:?}:\n{}", self.name, self.text())));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Ends it, and its children, without asking.
    pub(crate) fn kill(&mut self) {
        // Children of a daemon are in its group; nothing of anyone else is.
        let _ = rustix::process::kill_process_group(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::KILL,
        );
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.kill();
        }
    }
}

/// What a finished program said.
pub(crate) struct Said {
    pub(crate) ok: bool,
    /// Standard output and standard error in the order they were written.
    pub(crate) text: String,
}

/// Runs a program to its end, at most `limit`, whatever its exit status.
pub(crate) fn try_run(name: &str, logs: &Path, cmd: &mut Command, limit: Duration) -> Result<Said> {
    let mut running = Running::start(name, logs, cmd)?;
    let status = running.wait(limit)?;
    Ok(Said { ok: status.success(), text: running.text() })
}

/// Runs a program that has to succeed and gives back what it printed.
pub(crate) fn run(name: &str, logs: &Path, cmd: &mut Command, limit: Duration) -> Result<String> {
    let said = try_run(name, logs, cmd, limit)?;
    if said.ok {
        return Ok(said.text);
    }
    Err(Failure::new(format!("{name} failed: {cmd:?}\n{}", said.text)))
}
