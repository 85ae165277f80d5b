//! `portwitness site`: a draft of a site file from traffic.

use std::path::PathBuf;

use portwitness::base::RunError;
use portwitness::matrix::Matrix;
use portwitness::verdict::draft_site;

use super::inputs;
use super::output::Out;
use super::reading;

const EXAMPLE: &str = "\
Example:
  portwitness site init restore.pcap > site.toml";

/// Draft a site file from captures
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print a commented site file with the roles that traffic suggests
    #[command(after_help = EXAMPLE)]
    Init {
        /// Captures or patterns, also compressed; "-" is standard input
        #[arg(value_name = "CAPTURE", required = true)]
        captures: Vec<PathBuf>,
    },
}

/// Reads, guesses, prints.
pub(super) fn run(args: &Args) -> Result<u8, RunError> {
    let Command::Init { captures } = &args.command;
    let groups = inputs::group(captures, &[], &[])?;
    let points = reading::observe(&groups, &reading::how(None, false))?;
    Out::new().text(&draft_site(&Matrix::embedded(), &points))?;
    Ok(0)
}
