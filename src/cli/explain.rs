//! `portwitness explain`: one rule in words.

use std::path::PathBuf;

use portwitness::base::RunError;
use portwitness::matrix;

use super::output::{self, Out};

const EXAMPLE: &str = "\
Example:
  portwitness explain image.rpc-dynamic";

/// Say what a rule is for, who needs it, and what breaks without it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// Id of a rule, as in a report or in "matrix list"
    #[arg(value_name = "RULE")]
    rule: String,
    /// Further rules; a set replaces the built-in one with its id
    #[arg(long, value_name = "FILE|DIR")]
    rules: Vec<PathBuf>,
}

/// Looks the rule up and prints it.
pub(super) fn run(args: &Args) -> Result<u8, RunError> {
    let matrix = matrix::load(&args.rules)?;
    let ids = matrix.sets.iter().flat_map(|s| &s.rules).map(|r| r.id.as_str());
    let text = matrix::text::explain(&matrix, &args.rule, output::width());
    Out::new().quoting(&text.ok_or_else(|| super::unknown("rule", &args.rule, ids))?)?;
    Ok(0)
}
