//! Giving up what is no longer needed: once its sources are open, a program that reads strangers' packets needs no privilege.
//!
//! Capabilities belong to threads and are inherited when one begins: this must run before any does.

use std::io;

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
