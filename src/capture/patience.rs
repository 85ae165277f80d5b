//! How long a live capture waits for packets where there are none.
//!
//! On Linux libpcap's own waiting does not end: since 3.19 the kernel says nothing of an empty block of its ring
//! (`packet(7)`, `TPACKET_V3`), and libpcap leaves the time to the kernel. On a quiet wire what was received would stay with
//! the thread until the next packet, and neither counters nor a request to end would be seen. So there it is not libpcap that
//! waits. Elsewhere its waiting ends after the time it was opened with.

use std::time::Duration;

use pcap::{Active, Capture, Error};

/// Makes libpcap say at once that there are no packets where it would wait without end.
pub(super) fn impatient(capture: Capture<Active>) -> Result<Capture<Active>, Error> {
    if cfg!(target_os = "linux") { capture.setnonblock() } else { Ok(capture) }
}

/// Waits for packets, at most so long, where libpcap has not.
#[cfg(target_os = "linux")]
pub(super) fn wait(capture: &Capture<Active>, at_most: Duration) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut asked = PollFd::new(capture, PollFlags::IN);
    let limit = Timespec::try_from(at_most).ok();
    let told = poll(std::slice::from_mut(&mut asked), limit.as_ref());
    // libpcap, asked next, finds out what the matter is with an interface that is down or gone. Until then no race through it.
    if told.is_ok_and(|n| n > 0) && !asked.revents().contains(PollFlags::IN) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn wait(_: &Capture<Active>, _: Duration) {}
