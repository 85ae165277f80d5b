//! The binary: arguments in, exit status out.

mod cli;

/// Flows are many small allocations made by several threads, which this one serves faster than the system's.
#[cfg(target_os = "linux")]
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
