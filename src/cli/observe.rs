//! `portwitness observe`: captures in, a saved observation out.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use portwitness::base::RunError;

use super::{inputs, reading};

const EXAMPLE: &str = "\
The file holds no payload; verify, flows and site init read it in place of the captures. Saved observations
append, too: of rotated captures observed one by one, in any grouping, the result is that of one run over all, but for what a seam between two files parts (docs/observation.md).

Examples:
  portwitness observe mnt-*.pcapng -o mnt.obs
  portwitness observe monday.obs tuesday.pcap -o both.obs
  portwitness verify --site site.toml --at mount-server=mnt.obs";

/// Save what captures of one place show, without payload
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// Captures of one place, patterns, saved observations; "-" is standard input
    #[arg(value_name = "CAPTURE", required = true)]
    captures: Vec<PathBuf>,
    /// Where to save; an existing file is replaced
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Threads that read [default: one per processor]
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,
    #[command(flatten)]
    memory: reading::Memory,
}

/// Reads and saves.
pub(super) fn run(args: &Args) -> Result<u8, RunError> {
    let groups = inputs::group(&args.captures, &[], &[])?;
    let mut whole = None;
    // Without a site there is one group: a place is what all captures of a call have in common.
    for (_, collected) in reading::collect(&groups, &reading::how(args.threads, true).for_saving(&args.memory))? {
        match &mut whole {
            None => whole = Some(collected),
            Some(whole) => whole.append(collected),
        }
    }
    let Some(whole) = whole else { return Err(RunError::NoInput("no capture was given".to_owned())) };
    let failed = |source| RunError::Io { path: args.output.clone(), doing: "write", source };
    replace(&args.output, |to| whole.save(to)).map_err(failed)?;
    Ok(0)
}

/// Writes beside the file first: nobody ever sees half of it, and it may be among the inputs.
fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut part = name.to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(part);
    let written = File::create(&part).map(BufWriter::new).and_then(|mut to| {
        write(&mut to)?;
        to.flush()
    });
    written.and_then(|()| fs::rename(&part, path)).inspect_err(|_| {
        // The first error is the one to tell.
        let _gone = fs::remove_file(&part);
    })
}
