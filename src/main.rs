//! The binary: arguments in, exit status out.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
