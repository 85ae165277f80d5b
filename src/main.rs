//! The binary: arguments in, exit status out.

mod cli;

/// Flows are many small allocations made by several threads, which this one serves faster than the system's.
#[cfg(target_os = "linux")]
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Has the allocator give back what is free after a tenth of a second, not a whole one: most runs are over by then.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the allocator's options have no safe interface")]
fn give_back_soon() {
    use libmimalloc_sys::{mi_option_set_default, mi_option_use_numa_nodes};

    /// Milliseconds.
    const DELAY: std::ffi::c_long = 100;
    // `mi_option_purge_delay` has no name in these bindings; in mimalloc.h it stands before this one.
    let purge_delay = mi_option_use_numa_nodes - 1;
    // SAFETY: sets a number that the allocator reads when it next frees memory. What the environment says comes first.
    unsafe { mi_option_set_default(purge_delay, DELAY) };
}

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    give_back_soon();
    cli::main()
}
