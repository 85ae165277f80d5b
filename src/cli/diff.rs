//! `portwitness diff`: two reports, before and after.

use std::path::{Path, PathBuf};

use portwitness::base::{RunError, visible};
use portwitness::report::diff::{Judged, compare};
use portwitness::report::{SCHEMA, json, text};

use super::output::{self, Color, Out};

const EXAMPLE: &str = "\
Requirements are compared by rule, service and hosts; flows by hosts, service and class. Worse is
what fails and did not, what is no longer shown to work, and a new kind of unexpected flow.

Exit status: 0 nothing got worse, 1 something did, 2 the run itself failed.

Example:
  portwitness verify --site site.toml --format json before.pcap > old.json
  portwitness verify --site site.toml --format json after.pcap > new.json
  portwitness diff old.json new.json";

/// Compare two reports: what got worse, better, or is new
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// The earlier report, of "verify --format json"
    #[arg(value_name = "OLD.json")]
    old: PathBuf,
    /// The later report
    #[arg(value_name = "NEW.json")]
    new: PathBuf,
    /// How to print the difference
    #[arg(long, value_enum, default_value_t, value_name = "text|json", hide_possible_values = true)]
    format: Format,
    /// auto: on a terminal; always; never
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", hide_possible_values = true)]
    color: Color,
}

/// How to print a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a terminal.
    #[default]
    Text,
    /// Everything.
    Json,
}

/// Compares and prints; the status says whether anything got worse.
pub(super) fn run(args: &Args) -> Result<u8, RunError> {
    let diff = compare(&read(&args.old)?, &read(&args.new)?);
    match args.format {
        Format::Text => Out::new().text(&text::diff::render(&diff, &output::style(args.color, false)))?,
        Format::Json => Out::new().write(|w| json::write_diff(&diff, w))?,
    }
    Ok(diff.exit_status())
}

fn read(path: &Path) -> Result<Judged, RunError> {
    let refused = |why: &str| {
        let name = path.to_string_lossy();
        let (name, why) = (visible(&name), visible(why));
        RunError::Config(format!(
            "cannot compare {name}: {why}; expected a report of {SCHEMA}, as \"portwitness verify --format json\" prints it"
        ))
    };
    if path.is_dir() {
        return Err(refused("it is a directory"));
    }
    let bytes = std::fs::read(path).map_err(|source| RunError::Io { path: path.to_owned(), doing: "read", source })?;
    let text = decoded(&bytes).ok_or_else(|| refused("it is not text"))?;
    Judged::read(&text).map_err(|why| refused(&why))
}

/// UTF-8, or what Windows PowerShell makes of redirected output: UTF-16 behind a byte order mark.
fn decoded(bytes: &[u8]) -> Option<String> {
    let (order, rest): (fn([u8; 2]) -> u16, _) = match bytes {
        [0xff, 0xfe, rest @ ..] => (u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => (u16::from_be_bytes, rest),
        [0xef, 0xbb, 0xbf, rest @ ..] => return String::from_utf8(rest.to_vec()).ok(),
        _ => return String::from_utf8(bytes.to_vec()).ok(),
    };
    let units = rest.chunks_exact(2).filter_map(|c| <[u8; 2]>::try_from(c).ok()).map(order);
    (rest.len() % 2 == 0).then(|| char::decode_utf16(units).collect::<Result<String, _>>().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn redirected_output_is_read_however_the_shell_wrote_it() {
        let marked = |order: fn(u16) -> [u8; 2]| -> Vec<u8> { "\u{feff}{ü}".encode_utf16().flat_map(order).collect() };
        for bytes in ["{ü}".into(), "\u{feff}{ü}".into(), marked(u16::to_le_bytes), marked(u16::to_be_bytes)] {
            let bytes: Vec<u8> = bytes;
            assert_eq!(decoded(&bytes).as_deref(), Some("{ü}"), "{bytes:x?}");
        }
        for bytes in [&[0xff][..], &[0xff, 0xfe, 0x41], &[0xff, 0xfe, 0x00, 0xd8]] {
            assert_eq!(decoded(bytes), None, "{bytes:x?}");
        }
    }
}
