//! `portwitness watch`: judges while the capture is being taken, and ends with the report that `verify` gives of the same bytes.
//!
//! One thread waits for bytes, one prints, and this one does the rest: it takes in what has come, and at most twice a second,
//! but never for more than a tenth of the time, judges what is there and tells what changed. The clock says only when to look:
//! what is judged goes by packet time.

mod engine;
#[cfg_attr(not(live_capture), allow(dead_code, reason = "only what captures reads it"))]
mod interfaces;
#[cfg_attr(not(live_capture), allow(dead_code, reason = "only what captures reads it"))]
mod keep;
mod pace;
mod privilege;
mod screen;
mod show;
mod source;
mod stop;
mod view;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portwitness::base::RunError;
use portwitness::capture::{Growth, InputMeta};
use portwitness::matrix::{self, Matrix};
use portwitness::observe::{Growing, Limits, Observation};
use portwitness::report::{Report, ScopeMode};
use portwitness::site::Site;
use portwitness::verdict::{self, Case, Memo, Options, PointSeen};
use portwitness::watch::{Counts, Ended, Event, Ledger, all_satisfied};

use self::interfaces::{InterfaceArgs, Wanted};
use self::pace::Pace;
use self::screen::Display;
use self::show::Show;
use self::source::Opened;
use self::stop::{Stop, Wish};
use self::view::Can;
use super::inputs::{self, At, Group};
use super::output::{self, Color};
use super::places;
use super::reading;
use super::verify::{self, Format};

/// Frames taken in before the clock is asked again.
const AT_ONCE: usize = 1024;
/// Signals are asked for at least so often.
const LOOK: Duration = Duration::from_millis(50);
/// Memory that is no flow's: the program, and what is on its way from an interface to the judge.
const OTHER: u64 = 48 * 1024 * 1024;
/// Beside its packets' facts, which is what a limit is counted in, a flow that is watched has what it amounts to, what was judged
/// of it, and its record: measured, less than so many times as much.
const FORMS: u64 = 20;
/// What interfaces hold is waited for so long when watching ends.
const REST: Duration = Duration::from_secs(3);

const EXAMPLE: &str = "\
Ends with the source, on Ctrl-C, with --for and with --until, and prints the report that verify gives of the same bytes.
Exit status: 0 pass, 1 fail, 3 inconclusive, 2 the run itself failed.

Examples:
  sudo portwitness watch --site site.toml -i any --write restore.pcapng
  ssh mnt01 tcpdump -i any -U -w - | portwitness watch --site site.toml -
  dumpcap -i eth0 -w - | portwitness watch --site site.toml --json -o report.txt -";

/// Judge a restore while it runs
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// A stream: a pipe, or "-" for standard input
    #[arg(value_name = "STREAM", required_unless_present_any = ["at", "interface"], conflicts_with = "interface")]
    stream: Option<PathBuf>,
    /// The stream and where it is taken: role, host, address or "mirror"
    #[arg(long, value_name = "PLACE=STREAM", conflicts_with_all = ["stream", "interface"])]
    at: Option<At>,
    #[command(flatten)]
    interfaces: InterfaceArgs,
    /// Hosts, their roles, and what is being restored
    #[arg(long, value_name = "SITE.toml")]
    site: Option<PathBuf>,
    /// Further rules; a set replaces the built-in one with its id
    #[arg(long, value_name = "FILE|DIR")]
    rules: Vec<PathBuf>,
    /// One line of text per event, also on a terminal
    #[arg(long, conflicts_with = "json")]
    plain: bool,
    /// One JSON object per event; the last one is the report
    #[arg(long)]
    json: bool,
    /// Stop after so long: 90s, 30m, 2h
    #[arg(long = "for", value_name = "TIME", value_parser = stop::duration)]
    time: Option<Duration>,
    /// satisfied: stop once everything required was seen working
    #[arg(long, value_enum, value_name = "satisfied", hide_possible_values = true)]
    until: Option<Until>,
    /// Write the report into this file, and only events to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How to print the report [default: text]
    #[arg(long, value_enum, value_name = "text|line|json", hide_possible_values = true)]
    format: Option<Format>,
    /// observable: judge what is in view; all: what is not makes it inconclusive
    #[arg(long, value_enum, default_value_t, value_name = "observable|all", hide_possible_values = true)]
    scope: ScopeMode,
    /// Fail also for flows out of season and with unknown peers
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    memory: reading::Memory,
    /// auto: on a terminal; always; never
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", hide_possible_values = true)]
    color: Color,
    /// In the report also all flows, and the evidence of what was satisfied
    #[arg(long, short)]
    verbose: bool,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Until {
    /// Everything required was seen working.
    Satisfied,
}

/// What the arguments mean.
struct Config {
    matrix: Matrix,
    site: Option<Site>,
    group: Group,
    interfaces: Option<Wanted>,
    options: Options,
    limits: Limits,
    json: bool,
    screen: bool,
    until: Option<Until>,
    time: Option<Duration>,
    format: Format,
    color: Color,
    verbose: bool,
}

impl Config {
    fn check(args: Args) -> Result<Self, RunError> {
        if args.json && args.format.is_some() && args.output.is_none() {
            let text = "--json prints the report as its last line; with --format, name a file for it with -o";
            return Err(RunError::Config(text.to_owned()));
        }
        let matrix = matrix::load(&args.rules)?;
        let mut site = args.site.as_deref().map(|path| verify::read_site(path, &matrix)).transpose()?;
        let at: Vec<At> = args.at.into_iter().collect();
        let captures: Vec<PathBuf> = args.stream.into_iter().collect();
        let interfaces = args.interfaces.wanted(site.as_ref())?;
        let group = if interfaces.is_some() {
            Group { name: None, inputs: Vec::new() }
        } else {
            stream(&captures, &at, site.as_mut())?
        };
        Ok(Self {
            options: Options { scope: args.scope, strict: args.strict, run_at: verify::run_at()?, threads: 1 },
            limits: args.memory.limits(site.as_ref()).shared(OTHER, FORMS),
            json: args.json,
            screen: !args.json && !args.plain && output::is_screen(),
            until: args.until,
            time: args.time,
            format: args.format.unwrap_or_default(),
            color: args.color,
            verbose: args.verbose,
            matrix,
            site,
            group,
            interfaces,
        })
    }

    fn case<'a>(&'a self, points: &'a [PointSeen]) -> Case<'a> {
        Case { matrix: &self.matrix, site: self.site.as_ref(), points, options: &self.options }
    }

    /// The one point, of which nothing was seen yet.
    fn point(&self) -> PointSeen {
        PointSeen { name: self.group.name.clone(), observation: Observation::default() }
    }
}

/// The one stream that is watched, and its place.
fn stream(captures: &[PathBuf], at: &[At], site: Option<&mut Site>) -> Result<Group, RunError> {
    let groups = inputs::group(captures, at, site.as_ref().map_or(&[], |s| &s.points))?;
    match site {
        Some(site) => {
            verify::unclaimed(site, &groups);
            places::declare(site, at)?;
        }
        None => places::check(at)?,
    }
    <[Group; 1]>::try_from(groups)
        .map(|[group]| group)
        .map_err(|_| RunError::Config("one stream can be watched at a time; verify reads several files".to_owned()))
}

/// Watches, tells what changes, and prints the report; the status is the verdict's even where its reader has gone.
pub(super) fn run(args: Args) -> Result<u8, RunError> {
    let output = args.output.clone();
    let config = Config::check(args)?;
    // What needs privileges comes first, and no thread before they are given up: each has its own.
    let source = source::prepare(config.interfaces.as_ref())?;
    let mut output = output.map(|path| create(&path).map(|file| (path, file))).transpose()?;
    let source = source.without_privileges(&config.group)?;
    let keeping = config.interfaces.as_ref().is_some_and(|wanted| wanted.keep.is_some());
    let stop = Stop::new(config.time, keeping)?;
    let show = Show::new(config.json, output::style(config.color, false))?;
    let opened = source.open(&config.group, &stop)?;
    let display = config.screen.then(|| display(&opened, config.color)).transpose()?;
    let mut watch = Watch { show, display, ledger: Ledger::default() };
    let (report, why) = watch.over(&config, &stop, opened);
    watch.end(&config, &report, why, output.as_mut())?;
    Ok(report.verdict.exit_status())
}

fn display(opened: &Opened, color: Color) -> Result<Display, RunError> {
    let style = output::style(color, false);
    let name = if opened.name == "-" { "standard input" } else { &opened.name };
    Display::begin(name, Can { color: style.color, ascii: style.ascii })
}

/// The file for the report, made while that is still allowed and before anybody has waited for the report.
fn create(path: &Path) -> Result<File, RunError> {
    File::create(path).map_err(|source| RunError::Io { path: path.to_owned(), doing: "write", source })
}

/// What is told while watching.
struct Watch {
    show: Show,
    /// Shows everything, in place of lines.
    display: Option<Display>,
    ledger: Ledger,
}

/// What the look before showed, to be brought up to date.
struct Looks {
    points: [PointSeen; 1],
    memo: Memo,
}

/// What taking in came to.
enum Taken {
    /// There is more.
    Some,
    /// Nothing more is there yet.
    All,
    /// Nothing more will come.
    End,
}

impl Watch {
    /// Watches until something ends it.
    fn over(&mut self, config: &Config, stop: &Stop, opened: Opened) -> (Report, Ended) {
        let Opened { mut reader, arrivals, name, halt } = opened;
        let mut growing = Growing::within(&name, &config.limits);
        let mut pace = Pace::default();
        let (mut looked_at, mut looks) = (None, Looks { points: [config.point()], memo: Memo::default() });
        let mut ending: Option<(Ended, Instant)> = None;
        let why = loop {
            let taken = take(reader.as_mut(), &mut growing);
            if matches!(taken, Taken::End) {
                break ending.map_or(if stop.was_asked() { Ended::Signal } else { Ended::Source }, |e| e.0);
            }
            let mut wish = stop.wish(halt.is_some());
            if pace.is_due(Instant::now()) {
                let meta = reader.finish();
                // By packet time, so where nothing came nothing has changed.
                let now = Some((growing.events(), meta.last()));
                if looked_at != now {
                    looked_at = now;
                    let report = pace.timed(|| self.look(config, &mut growing, meta, &mut looks));
                    if config.until == Some(Until::Satisfied) && all_satisfied(&report) {
                        wish = Wish::Stop(Ended::Satisfied);
                    }
                } else if let Some(display) = &mut self.display {
                    display.quiet();
                }
            }
            if self.display.as_ref().is_some_and(Display::wants_to_quit) {
                wish = Wish::Stop(Ended::Signal);
            }
            if self.show.is_closed() {
                wish = Wish::Stop(Ended::NoReader);
            }
            match (ending, wish, &halt) {
                (Some((why, until)), ..) if Instant::now() >= until => break why,
                // What interfaces have received and counted is still to come.
                (None, Wish::Stop(why), Some(halt)) => {
                    halt.ask();
                    ending = Some((why, Instant::now() + REST));
                }
                (None, Wish::Stop(why), None) => break why,
                _ => {}
            }
            if matches!(taken, Taken::All) {
                arrivals.wait(LOOK);
            }
        };
        // Nothing but the bytes decides: the end is judged as if nobody had looked.
        drop(looks);
        let points = [PointSeen { observation: growing.finish(reader.finish()), ..config.point() }];
        (verdict::judge(&config.case(&points)), why)
    }

    /// Judges what is there and tells what changed.
    fn look(&mut self, config: &Config, growing: &mut Growing, meta: InputMeta, looks: &mut Looks) -> Report {
        let Looks { points, memo } = looks;
        let [point] = &mut *points;
        memo.note(growing.look(meta, &mut point.observation));
        let report = verdict::judge_again(&config.case(points), memo);
        match &mut self.display {
            Some(display) => display.show(&report),
            None => self.ledger.update(&report).iter().for_each(|e| self.show.event(e)),
        }
        report
    }

    /// Tells what the last stretch changed and why it ended, then the report.
    fn end(
        mut self,
        config: &Config,
        report: &Report,
        why: Ended,
        output: Option<&mut (PathBuf, File)>,
    ) -> Result<(), RunError> {
        // The terminal is given back before anything is printed.
        if self.display.take().is_none() {
            self.ledger.update(report).iter().for_each(|e| self.show.event(e));
        }
        let requirements = Counts::of(&report.requirements);
        self.show.last(&Event::End { at: report.scope.last, why, requirements });
        if config.json && output.is_none() {
            self.show.last(&Event::Report { report: Box::new(report.clone()) });
        }
        self.show.finish();
        match output {
            None if config.json => Ok(()),
            None => verify::print(report, config.format, &output::style(config.color, config.verbose)),
            // As into a pipe.
            Some((path, file)) => {
                verify::write(report, config.format, &output::style_of_file(config.verbose), (path, file))
            }
        }
    }
}

/// Takes in what is there, at most so much that the clock is not forgotten.
fn take(reader: &mut dyn Growth, growing: &mut Growing) -> Taken {
    for _ in 0..AT_ONCE {
        let Some(event) = reader.next() else {
            return if reader.is_waiting() { Taken::All } else { Taken::End };
        };
        growing.take(event);
    }
    Taken::Some
}
