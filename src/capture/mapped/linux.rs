//! Mapping on Linux: mmap(2), mincore(2), and a handler for the signal that comes where a mapped file shrank.
#![allow(unsafe_code, reason = "memory that the system shares with other programs has no safe interface")]

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;
use std::ptr::{NonNull, null_mut};
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Bytes mapped at once: few enough that two threads' do not show in the memory used, and enough that the processors need not tell
/// each other all the time of what is mapped no more.
pub(super) const STRETCH: usize = 1024 * 1024;

/// Bytes of a page, at least: a stretch has no more pages than this allows for.
const LEAST_PAGE: usize = 4096;

/// A stretch of a file in memory.
pub(in super::super) struct Mapped {
    /// Where the mapping begins, on a page.
    base: NonNull<c_void>,
    len: usize,
    /// Bytes of the mapping before those asked for.
    before: usize,
    file: Arc<File>,
    /// Where the mapping ends in the file.
    end: u64,
    watch: &'static Watch,
}

impl Mapped {
    /// At most [`STRETCH`] bytes of a file from `offset` on; `None` where they are not all in memory, or the file ends before,
    /// or the system would not have it.
    pub(in super::super) fn of(file: &Arc<File>, offset: u64) -> Option<Self> {
        let page = page()?;
        let begin = offset / page as u64 * page as u64;
        let left = usize::try_from(file.metadata().ok()?.len().checked_sub(begin)?).unwrap_or(usize::MAX);
        // Whole pages: behind the end of a file lie zeros that are none of its bytes.
        let len = left.min(STRETCH) / page * page;
        let before = usize::try_from(offset - begin).ok()?;
        if len <= before || !handled() {
            return None;
        }
        let end = begin + len as u64;
        let begin = libc::off_t::try_from(begin).ok()?;
        let watch = Watch::free()?;
        let (prot, flags) = (libc::PROT_READ, libc::MAP_SHARED);
        // SAFETY: the system chooses a place where nothing else lies.
        let base = unsafe { libc::mmap(null_mut(), len, prot, flags, file.as_raw_fd(), begin) };
        let mapped = NonNull::new(base).filter(|b| b.as_ptr() != libc::MAP_FAILED);
        let Some(base) = mapped else {
            watch.release();
            return None;
        };
        watch.begin(base.as_ptr().addr(), len);
        let this = Self { base, len, before, file: Arc::clone(file), end, watch };
        this.is_resident().then_some(this)
    }

    /// Whether all of it is in memory, and in the page table by then. To ask for each page takes long: where the first and the last
    /// are there, the others most likely are, and what is missing is read.
    fn is_resident(&self) -> bool {
        let page = page().unwrap_or(LEAST_PAGE);
        if !self.holds(0, page) || !self.holds(self.len - page, page) {
            return false;
        }
        // SAFETY: the mapping is as long as said; nothing of it changes.
        let populated = unsafe { libc::madvise(self.base.as_ptr(), self.len, libc::MADV_POPULATE_READ) } == 0;
        // Linux before 5.14 does not know this.
        let unknown = || std::io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL);
        populated || unknown() && self.holds(0, self.len)
    }

    /// Whether whole pages of it are in memory.
    fn holds(&self, from: usize, len: usize) -> bool {
        let mut pages = [0_u8; STRETCH / LEAST_PAGE];
        let count = (len / page().unwrap_or(LEAST_PAGE)).min(pages.len());
        // SAFETY: what is asked for lies in the mapping, and of its pages, which are at least as large as assumed, each has its octet.
        let known = unsafe { libc::mincore(self.base.as_ptr().byte_add(from), len, pages.as_mut_ptr()) } == 0;
        known && pages.iter().take(count).all(|p| p & 1 == 1)
    }

    /// The bytes from the offset on. Other programs may change them meanwhile.
    pub(in super::super) fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping stays until this is dropped, can be read, and is `len` octets long, `before` of which come first.
        // Where the file shrinks, the handler puts zeros in place of what is gone. No reference to it is ever a mutable one. Who
        // writes to the file changes octets, of which any value is valid.
        unsafe { slice::from_raw_parts(self.base.as_ptr().cast::<u8>().add(self.before), self.len - self.before) }
    }

    /// Whether bytes were gone: what was read is void. No signal tells of those between the end of a file and that of its page.
    pub(in super::super) fn is_torn(&self) -> bool {
        self.watch.torn.load(Ordering::Acquire) || self.file.metadata().map_or(true, |m| m.len() < self.end)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // First, since what is mapped there next may be another thread's.
        self.watch.end();
        // SAFETY: it was mapped with this length, and no reference to it is left.
        unsafe { libc::munmap(self.base.as_ptr(), self.len) };
        self.watch.release();
    }
}

/// What the handler needs to know of a mapping. Statics, since a handler may neither lock nor allocate.
struct Watch {
    taken: AtomicBool,
    /// Address and length; 0 while there is none.
    base: AtomicUsize,
    len: AtomicUsize,
    torn: AtomicBool,
}

/// Mappings at a time; who finds no room reads.
static WATCHES: [Watch; 64] = [const { Watch::new() }; 64];

impl Watch {
    const fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
            base: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            torn: AtomicBool::new(false),
        }
    }

    fn free() -> Option<&'static Self> {
        WATCHES.iter().find(|w| !w.taken.swap(true, Ordering::AcqRel))
    }

    fn begin(&self, base: usize, len: usize) {
        self.torn.store(false, Ordering::Relaxed);
        self.len.store(len, Ordering::Relaxed);
        self.base.store(base, Ordering::Release);
    }

    fn end(&self) {
        self.base.store(0, Ordering::Release);
    }

    fn release(&self) {
        self.taken.store(false, Ordering::Release);
    }

    fn holds(&self, address: usize) -> bool {
        let base = self.base.load(Ordering::Acquire);
        base != 0 && address.wrapping_sub(base) < self.len.load(Ordering::Relaxed)
    }
}

/// Bytes of a page; `None` where it is smaller than assumed, which it is nowhere.
fn page() -> Option<usize> {
    static PAGE: OnceLock<Option<usize>> = OnceLock::new();
    *PAGE.get_or_init(|| {
        // SAFETY: it takes a number and returns one.
        let n = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(n).ok().filter(|n| *n >= LEAST_PAGE && STRETCH.is_multiple_of(*n))
    })
}

/// What was done about the signal before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Whether the handler is there; installs it the first time.
fn handled() -> bool {
    static DONE: OnceLock<bool> = OnceLock::new();
    *DONE.get_or_init(|| {
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: it asks for what is set and writes it to a place that is large enough.
        if unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), before.as_mut_ptr()) } != 0 {
            return false;
        }
        // SAFETY: the call filled it.
        BEFORE.get_or_init(|| unsafe { before.assume_init() });
        // SAFETY: of zeros alone, it blocks no other signal and has no flags.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        action.sa_sigaction = on_bus as *const () as usize;
        // SAFETY: the handler has the form that SA_SIGINFO asks for and calls only what a handler may.
        unsafe { libc::sigaction(libc::SIGBUS, &raw const action, null_mut()) == 0 }
    })
}

/// Puts a page of zeros where a mapped file has none any more. A fault elsewhere is left to who handled it before.
extern "C" fn on_bus(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system passes what SA_SIGINFO promises.
    let address = unsafe { (*info).si_addr() };
    if let Some(watch) = WATCHES.iter().find(|w| w.holds(address.addr()))
        && let Some(page) = page()
    {
        let start = address.wrapping_byte_sub(address.addr() % page);
        let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a page of a mapping of ours, which nobody writes to, is replaced. It is a bare system call.
        let put = unsafe { libc::mmap(start, page, libc::PROT_READ, flags, -1, 0) };
        if put != libc::MAP_FAILED {
            watch.torn.store(true, Ordering::Release);
            return;
        }
    }
    hand_on(signal, info, context);
}

fn hand_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let before = BEFORE.get();
    let handler = before.map_or(libc::SIG_DFL, |b| b.sa_sigaction);
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN || before.is_none_or(|b| b.sa_flags & libc::SA_SIGINFO == 0)
    {
        // SAFETY: a call for handlers. The fault comes again and ends the process as it would have without us.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    }
    // SAFETY: it was set as a handler of this form.
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = unsafe { std::mem::transmute(handler) };
    handler(signal, info, context);
}
