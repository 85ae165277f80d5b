//! Which capture belongs to which observation point.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use portwitness::base::{InputId, RunError, visible};
use portwitness::site::PointDecl;

use super::globs::{expand, matches};

/// Where bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// `-`
    Stdin,
    /// A path as typed.
    File(PathBuf),
}

impl Source {
    fn new(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::Stdin } else { Self::File(path) }
    }

    /// What names it in a report.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Stdin => "-".to_owned(),
            Self::File(path) => path.to_string_lossy().into_owned(),
        }
    }
}

/// One input with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) id: InputId,
    pub(super) source: Source,
    /// How often it was given again.
    pub(super) repeats: u64,
}

/// The inputs of one observation point, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: Option<String>,
    pub(super) inputs: Vec<Input>,
}

/// A capture and its place, as given with `--at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) place: String,
    pub(super) path: PathBuf,
}

impl std::str::FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((place, path)) if !place.is_empty() && !path.is_empty() => {
                Ok(Self { place: place.to_owned(), path: PathBuf::from(path) })
            }
            _ => Err("expected PLACE=FILE, such as mount-server=restore.pcap".to_owned()),
        }
    }
}

/// Sorts captures, patterns among them, into observation points: by `--at`, by the site's file name patterns, and the rest where no place is
/// known. A file given both with `--at` and without belongs to its place; a file given twice is read once.
///
/// # Errors
/// Standard input or one file given for two places.
pub(super) fn group(captures: &[PathBuf], at: &[At], points: &[PointDecl]) -> Result<Vec<Group>, RunError> {
    let captures: Vec<PathBuf> = captures.iter().flat_map(|c| expand(c)).collect();
    let places = |a: &At| expand(&a.path).into_iter().map(|path| At { path, ..a.clone() }).collect::<Vec<_>>();
    let at: Vec<At> = at.iter().flat_map(places).collect();
    let mut groups: Vec<Group> = Vec::new();
    let mut seen: Vec<(Source, Option<String>, InputId)> = Vec::new();
    let placed: BTreeSet<PathBuf> = at.iter().map(|a| identity(&a.path)).collect();
    // Where several places share the captures that none of them claims, each capture is a point of its own: the judge works
    // out which place it was taken at. Put together they would count one connection twice.
    let apart = points.iter().filter(|p| p.captures.is_empty()).count() > 1;
    let free = captures.iter().filter(|c| !placed.contains(&identity(c)));
    let free = free.map(|c| (c, declared_place(c, points)));
    for (path, place) in free.chain(at.iter().map(|a| (&a.path, Some(a.place.clone())))) {
        let key = Source::new(identity(path));
        if let Some((_, before, id)) = seen.iter().find(|(s, ..)| *s == key) {
            if *before != place {
                return Err(two_places(path, before.as_deref(), place.as_deref()));
            }
            let inputs = groups.iter_mut().flat_map(|g| &mut g.inputs);
            inputs.filter(|i| i.id == *id).for_each(|i| i.repeats += 1);
            continue;
        }
        let id = InputId(u32::try_from(seen.len()).unwrap_or(u32::MAX));
        seen.push((key, place.clone(), id));
        let input = Input { id, source: Source::new(path.clone()), repeats: 0 };
        match groups.iter_mut().find(|g| g.name == place && !(apart && place.is_none())) {
            Some(group) => group.inputs.push(input),
            None => groups.push(Group { name: place, inputs: vec![input] }),
        }
    }
    Ok(groups)
}

fn two_places(path: &Path, one: Option<&str>, other: Option<&str>) -> RunError {
    let path = path.to_string_lossy();
    let (one, other) = (one.unwrap_or("no place"), other.unwrap_or("no place"));
    RunError::Config(format!("{} is given for {one} and for {other}; expected one place per capture", visible(&path)))
}

/// The same file under two names is one input; what cannot be resolved is compared as typed, and fails when it is opened.
fn identity(path: &Path) -> PathBuf {
    if path.as_os_str() == "-" { path.to_owned() } else { path.canonicalize().unwrap_or_else(|_| path.to_owned()) }
}

/// The first declared point that claims a file. A pattern is compared with the file's name, or, where it holds a slash, with
/// the path as typed. On Windows a backslash is one, too, and names have no case.
fn declared_place(path: &Path, points: &[PointDecl]) -> Option<String> {
    let alike = |text: &str| if cfg!(windows) { text.replace('\\', "/").to_lowercase() } else { text.to_owned() };
    let whole = alike(&path.to_string_lossy());
    let name = path.file_name().map_or_else(|| whole.clone(), |n| alike(&n.to_string_lossy()));
    let claims = |pattern: &String| {
        let pattern = alike(pattern);
        matches(&pattern, if pattern.contains('/') { &whole } else { &name })
    };
    points.iter().find(|p| p.captures.iter().any(claims)).map(|p| p.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decl(name: &str, pattern: &str) -> PointDecl {
        let captures = vec![pattern.to_owned()];
        PointDecl { name: name.into(), places: Vec::new(), captures, complete: false, sees: Vec::new() }
    }

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    /// `place: number name repeats, ...`
    fn shape(groups: &[Group]) -> Vec<String> {
        let input = |i: &Input| format!("{} {} {}", i.id.0, i.source.name(), i.repeats);
        let inputs = |g: &Group| g.inputs.iter().map(input).collect::<Vec<_>>().join(", ");
        groups.iter().map(|g| format!("{}: {}", g.name.as_deref().unwrap_or("none"), inputs(g))).collect()
    }

    #[test]
    fn captures_go_to_the_place_that_names_them() {
        let points = [decl("mount-server", "mnt-*.pcapng"), decl("repository", "r?p.pcap")];
        let at = ["mirror=span.pcap".parse().unwrap()];
        let captures = paths(&["mnt-2.pcapng", "x.pcap", "span.pcap", "d/mnt-1.pcapng", "rep.pcap", "x.pcap"]);
        let groups = group(&captures, &at, &points).unwrap();
        assert_eq!(
            shape(&groups),
            [
                "mount-server: 0 mnt-2.pcapng 0, 2 d/mnt-1.pcapng 0",
                "none: 1 x.pcap 1",
                "repository: 3 rep.pcap 0",
                "mirror: 4 span.pcap 0",
            ]
        );
    }

    #[test]
    fn one_file_has_one_place() {
        let at = ["a=x.pcap".parse().unwrap(), "b=./x.pcap".parse().unwrap()];
        assert!(group(&[], &at, &[]).is_ok(), "paths that do not exist are compared as typed");
        let at = ["a=-".parse().unwrap(), "b=-".parse().unwrap()];
        assert!(group(&[], &at, &[]).unwrap_err().to_string().contains("one place per capture"));
        assert!("=x".parse::<At>().is_err() && "x".parse::<At>().is_err());
    }
}
