//! `portwitness verify`: captures, rules and a site in, a report out.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use portwitness::base::{RunError, Time, visible};
use portwitness::matrix::{self, Matrix};
use portwitness::report::{Report, ScopeMode, json, line, text};
use portwitness::site::{self, Site};
use portwitness::verdict::{self, Case, Options};

use super::inputs::{self, At, Group};
use super::output::{self, Color, Out};
use super::reading;
use super::{complain, places};

const EXAMPLE: &str = "\
Exit status: 0 pass, 1 fail, 3 inconclusive, 2 the run itself failed.

Examples:
  portwitness verify --site site.toml restore.pcap
  portwitness verify --site site.toml --at mount-server=mnt.pcapng --at repository=repo.pcapng
  portwitness verify restore.pcap          (no site: roles are guessed, nothing is claimed absent)";

/// Judge a restore's captures against the port matrix
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// Captures, also compressed, saved observations, patterns; "-" is standard input
    #[arg(value_name = "CAPTURE", required_unless_present = "at")]
    captures: Vec<PathBuf>,
    /// Hosts, their roles, and what is being restored
    #[arg(long, value_name = "SITE.toml")]
    site: Option<PathBuf>,
    /// Further rules; a set replaces the built-in one with its id
    #[arg(long, value_name = "FILE|DIR")]
    rules: Vec<PathBuf>,
    /// A capture or saved observation and where it was taken: role, host, address or "mirror"
    #[arg(long, value_name = "PLACE=FILE")]
    at: Vec<At>,
    /// When the restore began, in place of the site's [[window]]; with an offset, or local in the site's timezone
    #[arg(long, value_name = "TIME", requires = "to", requires = "site")]
    from: Option<String>,
    /// When it had ended
    #[arg(long, value_name = "TIME", requires = "from")]
    to: Option<String>,
    /// How to print the report
    #[arg(long, value_enum, default_value_t, value_name = "text|line|json", hide_possible_values = true)]
    format: Format,
    /// observable: judge what is in view; all: what is not makes it inconclusive
    #[arg(long, value_enum, default_value_t, value_name = "observable|all", hide_possible_values = true)]
    scope: ScopeMode,
    /// Fail also for flows out of season and with unknown peers
    #[arg(long)]
    strict: bool,
    /// Threads that read and judge [default: one per processor]
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,
    #[command(flatten)]
    memory: reading::Memory,
    /// Also the captures' SHA-256, of the very bytes that are read
    #[arg(long)]
    hash: bool,
    /// auto: on a terminal; always; never
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", hide_possible_values = true)]
    color: Color,
    /// Also all flows, and the evidence of what was satisfied
    #[arg(long, short)]
    verbose: bool,
}

/// How to print a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For a terminal.
    #[default]
    Text,
    /// One line, for a support case.
    Line,
    /// Everything.
    Json,
    /// Requirements and unexpected flows as a table.
    #[cfg(feature = "parquet")]
    Parquet,
}

/// What the arguments mean.
struct Config {
    matrix: Matrix,
    site: Option<Site>,
    groups: Vec<Group>,
    reading: reading::How,
    options: Options,
    format: Format,
    style: text::Style,
}

impl Config {
    fn check(args: Args) -> Result<Self, RunError> {
        let matrix = matrix::load(&args.rules)?;
        let mut site = args.site.as_deref().map(|path| read_site(path, &matrix)).transpose()?;
        if let (Some(site), Some(from), Some(to)) = (&mut site, &args.from, &args.to) {
            let window = site::window(from, to, site.timezone.as_deref());
            site.windows = vec![window.map_err(|why| RunError::Config(visible(&why).into_owned()))?];
        }
        // Patterns of the site first: what --at adds claims nothing by name.
        let groups = inputs::group(&args.captures, &args.at, site.as_ref().map_or(&[], |s| &s.points))?;
        match &mut site {
            Some(site) => {
                unclaimed(site, &groups);
                places::declare(site, &args.at)?;
            }
            None => places::check(&args.at)?,
        }
        let reading = reading::how(args.threads, args.hash).within(&args.memory, site.as_ref(), groups.len());
        Ok(Self {
            options: Options { scope: args.scope, strict: args.strict, run_at: run_at()?, threads: reading.threads() },
            reading,
            format: args.format,
            style: output::style(args.color, args.verbose),
            matrix,
            site,
            groups,
        })
    }
}

/// Judges and prints; the status is the verdict's even where the reader of the report has gone.
pub(super) fn run(args: Args) -> Result<u8, RunError> {
    let config = Config::check(args)?;
    let points = reading::observe(&config.groups, &config.reading)?;
    let case = Case { matrix: &config.matrix, site: config.site.as_ref(), points: &points, options: &config.options };
    let report = verdict::judge(&case);
    print(&report, config.format, &config.style)?;
    let status = report.verdict.exit_status();
    // The process ends here: giving back millions of flows one by one is for nothing.
    std::mem::forget((report, points));
    Ok(status)
}

/// Reads the site; what is doubtful in it is told, and the run goes on.
pub(super) fn read_site(path: &Path, matrix: &Matrix) -> Result<Site, RunError> {
    let (site, warnings) = Site::load_file(path, matrix)?;
    warnings.iter().for_each(|w| complain(&w.to_string()));
    Ok(site)
}

/// Prints a report to standard output.
pub(super) fn print(report: &Report, format: Format, style: &text::Style) -> Result<(), RunError> {
    Out::new().write(|w| render(report, format, style, w))
}

/// Writes into a file what would be printed; `path` names it.
pub(super) fn write(
    report: &Report,
    format: Format,
    style: &text::Style,
    (path, file): (&Path, &mut File),
) -> Result<(), RunError> {
    let mut buffered = BufWriter::new(file);
    let written = render(report, format, style, &mut buffered).and_then(|()| buffered.flush());
    written.map_err(|source| RunError::Io { path: path.to_owned(), doing: "write", source })
}

/// JSON of very many flows is not put together before it is written.
fn render(report: &Report, format: Format, style: &text::Style, to: &mut dyn Write) -> std::io::Result<()> {
    match format {
        Format::Text => to.write_all(text::render(report, style).as_bytes()),
        Format::Line => writeln!(to, "{}", line::render(report)),
        Format::Json => json::write_report(report, to),
        #[cfg(feature = "parquet")]
        Format::Parquet => portwitness::report::parquet::write_findings(report, to),
    }
}

/// Where some capture has no place and some place no capture, a pattern may be misspelt: its place would be lost silently.
/// Not so where the site has a place for all that is left over.
pub(super) fn unclaimed(site: &Site, groups: &[Group]) {
    if site.points.iter().any(|p| p.captures.is_empty()) {
        return;
    }
    let given = |name: &str| groups.iter().any(|g| g.name.as_deref() == Some(name));
    let Some(stray) = groups.iter().find(|g| g.name.is_none()) else { return };
    let stray: Vec<String> = stray.inputs.iter().map(|i| i.source.name()).collect();
    let file = site.path.as_deref().unwrap_or_default();
    for point in site.points.iter().filter(|p| !p.captures.is_empty() && !given(&p.name)) {
        let (name, patterns, stray) = (&point.name, point.captures.join(", "), stray.join(", "));
        complain(&format!("{file}: observation point {name} expects {patterns}, which does not match {stray}"));
    }
}

/// SOURCE_DATE_EPOCH, in seconds: the only time of the run that a report may show.
pub(super) fn run_at() -> Result<Option<Time>, RunError> {
    let Some(value) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|v| !v.is_empty()) else { return Ok(None) };
    let value = value.to_string_lossy();
    let time = value.parse().ok().and_then(|secs| Time::from_parts(secs, 0));
    let wrong = || RunError::Config(format!("SOURCE_DATE_EPOCH is '{value}'; expected seconds since 1970"));
    time.map(Some).ok_or_else(wrong)
}
