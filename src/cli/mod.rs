//! The command line: arguments as typed become a checked configuration, the library does the work, an exit status comes out.
//!
//! Each subcommand's file has the same shape: `Args` is what was typed, `Config` what it means, `run` the work. Only
//! [`output::Out`] writes to standard output and only [`complain`] to standard error.

mod ask;
mod completions;
mod diff;
mod doctor;
mod explain;
mod flows;
mod globs;
mod inputs;
mod matrix;
mod observe;
mod output;
mod places;
mod plan;
mod progress;
mod reading;
mod site;
mod verify;
mod watch;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use portwitness::base::{RunError, visible};
use portwitness::site::nearest;

/// Exit status of a run that could not answer.
const FAILED: u8 = 2;

/// Decides from packets whether a restore used the network as its port matrix says.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, disable_help_subcommand = true, after_help = AFTER)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "\
Exit status: 0 pass, 1 fail, 3 inconclusive, 2 the run itself failed. Example:
  portwitness verify --site site.toml restore.pcap";

#[derive(Debug, clap::Subcommand)]
enum Command {
    Verify(verify::Args),
    Watch(Box<watch::Args>),
    Doctor(doctor::Args),
    Diff(diff::Args),
    Flows(flows::Args),
    Observe(observe::Args),
    Explain(explain::Args),
    Matrix(matrix::Args),
    Site(site::Args),
    Plan(plan::Args),
    Completions(completions::Args),
    Man(completions::ManArgs),
}

/// Parses, runs, and turns the outcome into an exit status.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let done = match cli.command {
        Command::Verify(args) => verify::run(args),
        Command::Watch(args) => watch::run(*args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Flows(args) => flows::run(&args),
        Command::Observe(args) => observe::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Matrix(args) => matrix::run(args),
        Command::Site(args) => site::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => completions::man(&args),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            complain(&told(&error));
            ExitCode::from(FAILED)
        }
    }
}

/// Help and version go to standard output and succeed; anything else is a usage error.
fn usage(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A closed pipe under --help is nobody's trouble.
        let _printed = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _printed = error.print();
        return ExitCode::from(FAILED);
    }
    let text = error.render().to_string();
    complain(text.strip_prefix("error: ").unwrap_or(&text).trim_end());
    ExitCode::from(FAILED)
}

/// An error for people; what it names may hold anything.
fn told(error: &RunError) -> String {
    match error {
        RunError::Io { path, doing, source } => {
            format!("cannot {doing} {}: {source}", visible(&path.to_string_lossy()))
        }
        other => {
            // A configuration error comes with an excerpt of the file, headed by its level.
            let text = other.to_string();
            text.strip_prefix("error: ").map_or_else(|| text.clone(), str::to_owned)
        }
    }
}

/// A name that does not exist, with the nearest one that does, or all of them where none is near and they are few.
fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> RunError {
    let known: Vec<&str> = known.collect();
    let hint = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean '{near}'?"),
        None if known.len() <= 8 => format!("expected one of {}", known.join(", ")),
        None => "\"portwitness matrix list\" lists them".to_owned(),
    };
    RunError::Config(format!("there is no {what} '{}'; {hint}", visible(name)))
}

/// Says something on standard error. Lines are kept, anything else a terminal would obey is made visible.
fn complain(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let text: Vec<_> = text.lines().map(visible).collect();
    // There is nobody left to tell if standard error is closed.
    let _told = writeln!(stderr, "portwitness: {}", text.join("\n"));
}
