//! `portwitness site`: a draft of a site file from traffic.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use portwitness::base::{RunError, shell_word, visible};
use portwitness::matrix::Matrix;
use portwitness::verdict::Draft;

use super::ask;
use super::complain;
use super::inputs::{self, Group};
use super::output::Out;
use super::reading;

const EXAMPLE: &str = "\
Examples:
  portwitness site init restore.pcap -o site.toml
  portwitness site init --ask mnt.pcapng con.pcapng";

/// Where the file goes with --ask and without --output.
const FILE: &str = "site.toml";

/// Draft a site file from captures or saved observations
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE, arg_required_else_help = true, disable_help_subcommand = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Init(Init),
}

/// Print or write a commented site file with the roles that traffic suggests
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
struct Init {
    /// Captures or patterns, also compressed; "-" is standard input
    #[arg(value_name = "CAPTURE", required = true)]
    captures: Vec<PathBuf>,
    /// Write to this file, which must not exist [default: print; with --ask: site.toml]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Go through the roles on the terminal, then write the file
    #[arg(long)]
    ask: bool,
    /// With --ask: read the answers from standard input although it is no terminal
    #[arg(long, hide = true, requires = "ask")]
    answers_from_stdin: bool,
}

/// Reads, guesses, asks, and prints or writes.
pub(super) fn run(args: &Args) -> Result<u8, RunError> {
    let Command::Init(init) = &args.command;
    let output = init.output.clone().or_else(|| init.ask.then(|| PathBuf::from(FILE)));
    if let Some(file) = &output {
        unused(file)?;
    }
    if init.ask {
        ask::possible(init.answers_from_stdin, init.captures.iter().any(|c| c.as_os_str() == "-"))?;
    }
    let groups = apart(inputs::group(&init.captures, &[], &[])?);
    let points = reading::observe(&groups, &reading::how(None, false))?;
    let matrix = Matrix::embedded();
    let mut draft = Draft::new(&matrix, &points);
    if init.ask {
        ask::roles(&mut draft)?;
    }
    let text = draft.render(&matrix, &points);
    match &output {
        Some(file) => {
            write(file, &text)?;
            complain(&next(file, &draft, &init.captures));
        }
        None => Out::new().text(&text)?,
    }
    Ok(0)
}

/// Every capture may come from a place of its own: who is an end of nearly every packet is asked of each alone.
fn apart(groups: Vec<Group>) -> Vec<Group> {
    groups.into_iter().flat_map(|g| g.inputs).map(|input| Group { name: None, inputs: vec![input] }).collect()
}

fn exists(file: &Path) -> RunError {
    let file = file.to_string_lossy();
    RunError::Config(format!("{} exists already, and a draft overwrites nothing; name another file", visible(&file)))
}

/// Told before anything is read or asked.
fn unused(file: &Path) -> Result<(), RunError> {
    if file.symlink_metadata().is_ok() { Err(exists(file)) } else { Ok(()) }
}

fn write(file: &Path, text: &str) -> Result<(), RunError> {
    let failed = |source| RunError::Io { path: file.to_owned(), doing: "write", source };
    let mut out = match std::fs::OpenOptions::new().write(true).create_new(true).open(file) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Err(exists(file)),
        other => other.map_err(failed)?,
    };
    out.write_all(text.as_bytes()).map_err(failed)
}

/// What to do with the file.
fn next(file: &Path, draft: &Draft, captures: &[PathBuf]) -> String {
    let file = file.to_string_lossy();
    let n = draft.site.hosts.iter().map(|h| h.roles.len()).sum::<usize>();
    let what = match n {
        0 => "no role in it yet: fill in [roles]".to_owned(),
        1 => "1 role in it: check it".to_owned(),
        n => format!("{n} roles in it: check them"),
    };
    let word = |p: &PathBuf| shell_word(&p.to_string_lossy()).into_owned();
    let captures: Vec<String> = captures.iter().map(word).collect();
    let site = shell_word(&file);
    format!("wrote {file}, {what}, then run:\n  portwitness verify --site {site} {}", captures.join(" "))
}
