//! `portwitness matrix`: the rule sets themselves.

use std::path::{Path, PathBuf};

use portwitness::base::RunError;
use portwitness::config::read_text;
use portwitness::matrix::{self, Matrix, Severity};

use super::output::{self, Out};

const EXAMPLE: &str = "\
Example:
  portwitness matrix show veeam-oracle-13.0.1";

/// List, show and check rule sets
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE, arg_required_else_help = true, disable_help_subcommand = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// Rules besides the built-in ones.
#[derive(Debug, clap::Args)]
struct Rules {
    /// Further rules; a set replaces the built-in one with its id
    #[arg(long, value_name = "FILE|DIR")]
    rules: Vec<PathBuf>,
}

impl Rules {
    fn load(&self) -> Result<Matrix, RunError> {
        Ok(matrix::load(&self.rules)?)
    }
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List all rule sets and their rules
    #[command(after_help = "Example:\n  portwitness matrix list --rules site-rules/")]
    List {
        #[command(flatten)]
        rules: Rules,
    },
    /// Show a rule set as a table
    #[command(after_help = EXAMPLE)]
    Show {
        /// Id of a rule set, as in "matrix list"
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        rules: Rules,
    },
    /// Check a rules file; exit status 1 where it has errors
    #[command(after_help = "Example:\n  portwitness matrix lint my-rules.toml")]
    Lint {
        /// The rules file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Prints what was asked for.
pub(super) fn run(args: Args) -> Result<u8, RunError> {
    match args.command {
        Command::Lint { file } => return lint(&file),
        Command::List { rules } => Out::new().quoting(&matrix::text::list(&rules.load()?, output::width()))?,
        Command::Show { id, rules } => show(&id, &rules.load()?)?,
    }
    Ok(0)
}

fn show(id: &str, matrix: &Matrix) -> Result<(), RunError> {
    let ids = matrix.sets.iter().map(|s| s.id.as_str());
    let text = matrix::text::show(matrix, id, output::width()).ok_or_else(|| super::unknown("rule set", id, ids))?;
    Out::new().quoting(&text)
}

/// Findings are the result here, not an error of the run: they go to standard output.
fn lint(file: &Path) -> Result<u8, RunError> {
    let name = file.display().to_string();
    let found = matrix::lint(&read_text(file, "rules file")?, &name);
    let errors = found.iter().any(|d| d.severity == Severity::Error);
    Out::new().quoting(&matrix::text::lint(&name, &found))?;
    Ok(u8::from(errors))
}
