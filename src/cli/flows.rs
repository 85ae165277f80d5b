//! `portwitness flows`: what was seen, without rules or roles.

use std::path::PathBuf;

use portwitness::base::RunError;
use portwitness::report::{flows, json};

use super::inputs;
use super::output::{self, Color, Out};
use super::reading;

const EXAMPLE: &str = "\
Example:
  portwitness flows restore.pcap
  portwitness flows --format json *.pcapng | grep '\"attempt\":\"unanswered\"'";

/// List the flows of captures, without rules or roles
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// Captures, also compressed, saved observations, patterns; "-" is standard input
    #[arg(value_name = "CAPTURE", required = true)]
    captures: Vec<PathBuf>,
    /// text: one aligned line per flow; json: one object per line; parquet, where that is built in: a table
    #[arg(long, value_enum, default_value_t, value_name = "text|json", hide_possible_values = true)]
    format: Format,
    /// Threads that read [default: one per processor]
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,
    #[command(flatten)]
    memory: reading::Memory,
    /// Also the flows' ids
    #[arg(long, short)]
    verbose: bool,
}

/// How to print flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One aligned line per flow.
    #[default]
    Text,
    /// JSON Lines.
    Json,
    /// A Parquet file.
    #[cfg(feature = "parquet")]
    Parquet,
}

/// Reads and prints.
pub(super) fn run(args: &Args) -> Result<u8, RunError> {
    let groups = inputs::group(&args.captures, &[], &[])?;
    let points =
        reading::observe(&groups, &reading::how(args.threads, false).within(&args.memory, None, groups.len()))?;
    let mut records = reading::records(&points);
    match args.format {
        Format::Text => {
            let records: Vec<_> = records.collect();
            Out::new().text(&flows::render(&records, &output::style(Color::Never, args.verbose)))?;
        }
        Format::Json => Out::new().write(|mut w| records.try_for_each(|r| json::write_flow(&r, &mut w)))?,
        #[cfg(feature = "parquet")]
        Format::Parquet => Out::new().write(|w| portwitness::report::parquet::write_flows(records, w))?,
    }
    Ok(0)
}
