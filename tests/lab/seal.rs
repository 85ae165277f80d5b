//! The seal: a test runs again, as the first process of its own mount, process, host-name and
//! network namespaces.
//!
//! Whatever ends that process (success, panic, watchdog, SIGKILL of the test runner), the kernel
//! takes the servers, the wires and the files with it, so nothing is left to clean and labs can run
//! side by side with the same addresses. The runner holds the other end of the sealed process's
//! standard input: when the runner dies, that pipe closes, and the sealed process ends itself.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::cmd::{command, find};
use crate::failure::{Context, Failure, Result};

/// Set in the sealed copy of the test.
const SEALED: &str = "PORTWITNESS_LAB_SEALED";
/// No situation takes half of this; what does hangs.
const WATCHDOG: Duration = Duration::from_secs(120);
/// Every program the lab calls. The packages they come from are in `tests/setup.sh`.
const TOOLS: &[&str] = &[
    "unshare",
    "mount",
    "ip",
    "ethtool",
    "nft",
    "openssl",
    "curl",
    "smbd",
    "samba-dcerpcd",
    "smbpasswd",
    "smbclient",
    "rpcclient",
    "tgtd",
    "tgtadm",
    "sshd",
    "ssh-keygen",
    "tcpdump",
    "dumpcap",
    "editcap",
    "tshark",
];

/// What a sealed process has to itself, and that it dies with `unshare`.
const SEAL: &[&str] = &["--mount", "--uts", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"];

/// How many labs run side by side: each keeps a core busy for seconds, and times decide what a capture proves.
const TOGETHER: usize = 2;
static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// Runs `work` sealed, on behalf of the test called `test`.
///
/// Outside the seal this starts the same test again inside one and reports what came of it.
pub(crate) fn sealed(test: &str, work: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if std::env::var_os(SEALED).is_some() {
        guard()?;
        return work(&furnish()?);
    }
    match missing() {
        Some(reason) => skip(&reason),
        None => {
            let _turn = Turn::take();
            run_again(test)
        }
    }
}

/// The right to run a lab now; given back when dropped.
struct Turn;

impl Turn {
    fn take() -> Self {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = ENDED.wait_while(running, |n| *n >= TOGETHER).unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}

/// Why the lab cannot run here, if so.
fn missing() -> Option<String> {
    let root = fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    if !root {
        return Some("needs root for network namespaces".to_owned());
    }
    let absent: Vec<_> = TOOLS.iter().copied().filter(|tool| find(tool).is_none()).collect();
    if !absent.is_empty() {
        return Some(format!("missing {} (tests/setup.sh installs them)", absent.join(", ")));
    }
    // Root inside a container may still not be allowed to make namespaces.
    let allowed = command("unshare", SEAL).arg("true").output().is_ok_and(|out| out.status.success());
    (!allowed).then(|| "this system does not allow new namespaces".to_owned())
}

/// A skip is seen and counted; where tests have to run (CI) it is a failure.
fn skip(reason: &str) -> Result<()> {
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    // Straight to the stream: the test runner swallows what a passing test prints.
    let _ = writeln!(std::io::stderr(), "SKIP lab: {reason} ({count} skipped)");
    if std::env::var("CI").is_ok_and(|v| v == "true") {
        return Err(Failure::new(format!("skipped where skipping is not allowed: {reason}")));
    }
    Ok(())
}

fn run_again(test: &str) -> Result<()> {
    let exe = std::env::current_exe().context("cannot find the test program")?;
    // Unlinked from the start, so that a killed runner leaves no file.
    let mut log = tempfile::tempfile().context("cannot create a temporary file")?;
    let mut cmd = command("unshare", SEAL);
    cmd.arg(exe).args([test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"]).env(SEALED, "1");
    let child = spawn_logged(&mut cmd, &log)?;
    let ok = wait(child, WATCHDOG + Duration::from_secs(5))?;
    let mut text = String::new();
    log.rewind().context("cannot reread the log")?;
    log.read_to_string(&mut text).context("cannot reread the log")?;
    // A renamed test would match nothing, and the runner calls zero tests a success.
    if ok && text.contains("1 passed") {
        if std::env::args().any(|a| a == "--nocapture") {
            let _ = std::io::stdout().write_all(text.as_bytes());
        }
        return Ok(());
    }
    Err(Failure::new(format!("the sealed run of {test} failed:\n{text}")))
}

fn spawn_logged(cmd: &mut Command, log: &File) -> Result<Child> {
    let (out, err) = (log.try_clone(), log.try_clone());
    cmd.stdin(Stdio::piped()).stdout(out.context("cannot share the log")?).stderr(err.context("cannot share the log")?);
    cmd.spawn().context("cannot start unshare")
}

/// Waits without `Child::wait`, which would close the pipe that keeps the sealed process alive.
fn wait(mut child: Child, limit: Duration) -> Result<bool> {
    let until = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for unshare")? {
            return Ok(status.success());
        }
        if Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Ends this process when the runner is gone or the time is up.
fn guard() -> Result<()> {
    if std::process::id() != 1 {
        return Err(Failure::new(format!("{SEALED} is set, but this is no sealed process")));
    }
    thread::spawn(|| {
        let mut byte = [0_u8; 1];
        while matches!(std::io::stdin().read(&mut byte), Ok(n) if n > 0) {}
        std::process::exit(101);
    });
    thread::spawn(|| {
        thread::sleep(WATCHDOG);
        let _ = writeln!(std::io::stderr(), "the lab's watchdog: not done after {WATCHDOG:?}");
        std::process::exit(101);
    });
    Ok(())
}

/// Gives the sealed process its own `/run`, host name and name files, and a folder to work in.
///
/// Samba puts the machine's name into its answers and sshd insists on `/run/sshd`: private versions
/// keep captures free of the machine and the machine free of the lab.
fn furnish() -> Result<PathBuf> {
    for dir in ["/run", "/var/log/samba", "/var/lib/samba", "/var/cache/samba"] {
        if Path::new(dir).is_dir() {
            mount(&["-t", "tmpfs", "-o", "mode=755", "tmpfs", dir])?;
        }
    }
    let work = PathBuf::from("/run/lab");
    for dir in ["/run/netns", "/run/sshd", "/run/samba", "/run/lab/logs", "/run/lab/captures"] {
        fs::create_dir_all(dir).context(format!("cannot create {dir}"))?;
    }
    fs::write("/proc/sys/kernel/hostname", "lab").context("cannot set the host name")?;
    for (file, text) in [("hosts", "127.0.0.1 localhost\n"), ("resolv.conf", ""), ("hostname", "lab\n")] {
        let own = work.join(file);
        fs::write(&own, text).context(format!("cannot write {}", own.display()))?;
        let system = format!("/etc/{file}");
        if Path::new(&system).exists() {
            mount(&["--bind", &own.to_string_lossy(), &system])?;
        }
    }
    Ok(work)
}

fn mount(args: &[&str]) -> Result<()> {
    let cmd = &mut command("mount", args);
    let out = cmd.output().context("cannot start mount")?;
    if out.status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("{cmd:?}: {}", String::from_utf8_lossy(&out.stderr))))
}
