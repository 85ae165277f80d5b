//! Giving up what is no longer needed: once its sources are open, a program that reads strangers' packets needs no privilege.
//!
//! Capabilities belong to threads and are inherited when one begins: this must run before any does.

use std::io;
use std::path::Path;

/// What was given up, for those who ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    /// The user it goes on as, where root was given up.
    pub(super) user: Option<u32>,
}

/// Gives up root (to the user who called sudo) and every capability, and forbids getting any again.
///
/// # Errors
/// Where the system refuses.
#[cfg(target_os = "linux")]
pub(super) fn drop_all() -> io::Result<Dropped> {
    use rustix::process::{Gid, Uid, getuid};
    use rustix::thread::{
        CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities, set_no_new_privs,
        set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    };
    let mut dropped = Dropped::default();
    if getuid().is_root()
        && let (Some(uid), Some(gid)) = (caller("SUDO_UID"), caller("SUDO_GID"))
    {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        // Groups first: without root they cannot be given up.
        set_thread_groups(&[gid])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        dropped.user = Some(uid.as_raw());
    }
    // Kernels before 4.3 have no ambient set, and so nothing in it.
    let _there_is_none = clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    set_no_new_privs(true)?;
    Ok(dropped)
}

/// Elsewhere there is nothing to give up that this program could.
#[cfg(not(target_os = "linux"))]
pub(super) fn drop_all() -> io::Result<Dropped> {
    Ok(Dropped::default())
}

/// A user or group that sudo names; never root itself.
#[cfg(target_os = "linux")]
fn caller(name: &str) -> Option<u32> {
    std::env::var(name).ok()?.parse().ok().filter(|&id| id != 0)
}

/// Lets files be made, written and removed only in these folders from now on, where the kernel can (Landlock, Linux 5.13).
/// What is open stays open; the terminal may be opened, for its keys. Says whether it is so.
#[cfg(target_os = "linux")]
pub(super) fn confine(folders: &[&Path]) -> bool {
    use landlock::{
        ABI, AccessFs, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus,
        path_beneath_rules,
    };
    let writing = AccessFs::from_write(ABI::V1);
    let restrict = || -> Result<RulesetStatus, RulesetError> {
        let rules = path_beneath_rules(folders.iter().copied().chain([Path::new("/dev/tty")]), writing);
        let status = Ruleset::default().handle_access(writing)?.create()?.add_rules(rules)?.restrict_self()?;
        Ok(status.ruleset)
    };
    // An older kernel, or one without it: what was given up before has to do.
    restrict().is_ok_and(|status| status != RulesetStatus::NotEnforced)
}

/// Elsewhere there is no such thing.
#[cfg(not(target_os = "linux"))]
pub(super) fn confine(_: &[&Path]) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;
    use std::io::{ErrorKind, Write as _};

    use super::*;

    #[test]
    fn files_are_written_where_it_was_asked_for_and_nowhere_else() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // The restriction is the thread's.
        let told = std::thread::scope(|scope| {
            let confined = scope.spawn(|| {
                confine(&[own.path()]).then(|| {
                    let made = |dir: &tempfile::TempDir| File::create(dir.path().join("x")).map(drop);
                    (made(&own).is_ok(), made(&other).map_err(|e| e.kind()))
                })
            });
            confined.join().unwrap()
        });
        if told.is_none() {
            let _told = writeln!(io::stderr(), "SKIP landlock: this kernel has none");
            assert!(std::env::var("CI").as_deref() != Ok("true"), "skipped where skipping is not allowed");
            return;
        }
        assert_eq!(told, Some((true, Err(ErrorKind::PermissionDenied))));
    }
}
