//! `portwitness plan`: where to capture a restore, and with which commands.

use std::collections::BTreeMap;
use std::path::PathBuf;

use portwitness::base::{RunError, visible};
use portwitness::matrix::{self, Os, Role};
use portwitness::plan::{self, Plan, Wish};
use portwitness::site::{HostId, Site, nearest};

use super::output::{self, Out};
use super::verify;

const EXAMPLE: &str = "\
Examples:
  portwitness plan --site site.toml
  portwitness plan --site site.toml --os backup-server=windows --os repository=linux";

/// Say where to capture a restore, with the commands to run there
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// Hosts, their roles, and what is being restored
    #[arg(long, value_name = "SITE.toml")]
    site: PathBuf,
    /// Further rules; a set replaces the built-in one with its id
    #[arg(long, value_name = "FILE|DIR")]
    rules: Vec<PathBuf>,
    /// Operating system of a host, where the guess by its role is wrong
    #[arg(long, value_name = "HOST=windows|linux")]
    os: Vec<OsOf>,
    /// How to print the plan
    #[arg(long, value_enum, default_value_t, value_name = "text|json", hide_possible_values = true)]
    format: Format,
}

/// How to print a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a terminal.
    #[default]
    Text,
    /// One object.
    Json,
}

/// A host's operating system, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OsOf {
    host: String,
    os: Os,
}

impl std::str::FromStr for OsOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected HOST=windows or HOST=linux, such as mount-server=windows".to_owned();
        let (host, os) = text.split_once('=').filter(|(h, _)| !h.is_empty()).ok_or_else(wrong)?;
        let os = match os {
            "windows" => Os::Windows,
            "linux" => Os::Linux,
            _ => return Err(wrong()),
        };
        Ok(Self { host: host.to_owned(), os })
    }
}

/// Plans and prints.
pub(super) fn run(args: &Args) -> Result<u8, RunError> {
    let matrix = matrix::load(&args.rules)?;
    let site = verify::read_site(&args.site, &matrix)?;
    let os = systems(&site, &args.os)?;
    let plan = plan::plan(&Wish { matrix: &matrix, site: &site, os: &os });
    if plan.required == 0 {
        let file = args.site.to_string_lossy();
        let text =
            "no required row applies to it; give the roles of the restore their hosts in [roles], then plan again";
        return Err(RunError::Config(format!("nothing to capture for {}: {text}", visible(&file))));
    }
    match args.format {
        Format::Text => Out::new().quoting(&plan::text::render(&plan, output::width()))?,
        Format::Json => Out::new().write(|w| json(&plan, w))?,
    }
    Ok(0)
}

fn json(plan: &Plan, w: &mut dyn std::io::Write) -> std::io::Result<()> {
    serde_json::to_writer_pretty(&mut *w, plan)?;
    writeln!(w)
}

/// Resolves the words of `--os`: role, label or address.
fn systems(site: &Site, said: &[OsOf]) -> Result<BTreeMap<HostId, Os>, RunError> {
    let mut all = BTreeMap::new();
    for OsOf { host: word, os } in said {
        let of_role = Role::from_word(word).map(|r| site.with_role(r).collect::<Vec<_>>()).unwrap_or_default();
        let by_name = |h: &portwitness::site::Host| h.label == *word || h.addrs.iter().any(|a| a.to_string() == *word);
        let named = site.hosts.iter().position(by_name).map(HostId);
        let hosts: Vec<HostId> = of_role.into_iter().chain(named).collect();
        if hosts.is_empty() {
            let names = Role::ALL.iter().map(|r| r.word()).chain(site.hosts.iter().map(|h| h.label.as_str()));
            let near = nearest(word, names).map_or(String::new(), |n| format!("; did you mean '{n}'?"));
            let expected = "expected a role, host or address that the site names";
            return Err(RunError::Config(format!("--os {}: no such host; {expected}{near}", visible(word))));
        }
        all.extend(hosts.into_iter().map(|h| (h, *os)));
    }
    Ok(all)
}
