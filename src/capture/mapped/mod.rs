//! Files looked at where they lie in memory, instead of being copied out of it.
//!
//! Copying a capture that the system holds in memory takes a quarter of the time that judging it does. So the walk over whole records
//! looks at such stretches in place. This is a shortcut that may be refused at any time, and nothing depends on it:
//!
//! - Only what is in the page cache is mapped. What has to come from a disk is read, which tells errors as errors.
//! - A file that shrinks while it is looked at would end the process. It does not: the bytes that are gone become zeros, the stretch
//!   is [torn](Mapped::is_torn), all that was made of its segment is dropped, and the segment is read again by copying, which
//!   says where the file ends.
//!
//! Whoever changes a file while it is judged can only change what is judged: every length is checked where it is used.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(super) use linux::Mapped;

#[cfg(not(target_os = "linux"))]
mod none;
#[cfg(not(target_os = "linux"))]
pub(super) use none::Mapped;

#[cfg(test)]
mod tests;
