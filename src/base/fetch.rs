//! Having memory fetched before it is needed: a hint, where the processor takes one.
#![allow(unsafe_code, reason = "hints to the processor have no safe interface")]

/// Has an item's first bytes fetched into the cache nearest to the processor. Beyond the end it does nothing.
#[inline(always)]
pub(crate) fn fetch<T>(items: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(item) = items.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint about an address that can be read; it changes nothing that a program can see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(item).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (items, at);
}
