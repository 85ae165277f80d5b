//! `portwitness completions` and `portwitness man`: what packages install beside the program.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use portwitness::base::RunError;

use super::Cli;
use super::output::Out;

const EXAMPLE: &str = "\
Example:
  portwitness completions bash > /etc/bash_completion.d/portwitness";

const MAN_EXAMPLE: &str = "\
Examples:
  portwitness man | man -l -
  portwitness man -o /usr/local/share/man/man1";

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// bash, elvish, fish, powershell or zsh
    #[arg(value_enum, value_name = "SHELL", hide_possible_values = true)]
    shell: clap_complete::Shell,
}

/// Print the manual page, or write one per subcommand
#[derive(Debug, clap::Args)]
#[command(after_help = MAN_EXAMPLE)]
pub(super) struct ManArgs {
    /// Write portwitness.1 and a page for each subcommand to this folder
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Prints the script.
pub(super) fn run(args: &Args) -> Result<u8, RunError> {
    // Into memory first: the generator panics where a pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), env!("CARGO_PKG_NAME"), &mut script);
    Out::new().write(|w| w.write_all(&script))?;
    Ok(0)
}

/// Prints the page, or writes them all.
pub(super) fn man(args: &ManArgs) -> Result<u8, RunError> {
    match &args.output {
        None => {
            let page = clap_mangen::Man::new(Cli::command());
            Out::new().write(|mut w| page.render(&mut w))?;
        }
        Some(folder) => pages(Cli::command(), folder)?,
    }
    Ok(0)
}

fn pages(command: Command, folder: &Path) -> Result<(), RunError> {
    let failed = |source| RunError::Io { path: folder.to_owned(), doing: "write manual pages to", source };
    clap_mangen::generate_to(command, folder).map_err(failed)
}
