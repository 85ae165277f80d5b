//! Rule sets from the binary and from files.

use std::path::{Path, PathBuf};

use super::lint::{self, Diagnostic};
use super::model::{Matrix, RuleSet, SetKind};
use super::parse::{self, Parsed};
use crate::base::RunError;
use crate::config::{ConfigError, Doc, LoadError, read_text};

/// The rules files that are part of the program: name and text.
pub const EMBEDDED: [(&str, &str); 4] = [
    ("rules/veeam-oracle-13.0.1.toml", include_str!("../../rules/veeam-oracle-13.0.1.toml")),
    ("rules/infrastructure.toml", include_str!("../../rules/infrastructure.toml")),
    ("rules/plugin-rman-13.toml", include_str!("../../rules/plugin-rman-13.toml")),
    ("rules/veeam-13.toml", include_str!("../../rules/veeam-13.toml")),
];

impl Matrix {
    /// The rule sets that are part of the program. A test holds them free of errors.
    pub fn embedded() -> Self {
        let set = |(file, text): &(&str, &str)| parse::parse(&Doc::new(file, text), text).map(|parsed| parsed.set);
        let sets = EMBEDDED.iter().filter_map(set).collect();
        Self::ordered(sets)
    }

    fn ordered(mut sets: Vec<RuleSet>) -> Self {
        sets.sort_by(|a, b| (a.kind == SetKind::Companion, &a.id).cmp(&(b.kind == SetKind::Companion, &b.id)));
        Self { sets }
    }
}

/// The embedded rule sets, and those of files or folders (every `*.toml` in it): a set replaces the one with its id.
///
/// # Errors
/// [`LoadError::Run`] for a path that cannot be read, [`LoadError::Config`] with everything wrong in all files.
pub fn load(paths: &[PathBuf]) -> Result<Matrix, LoadError> {
    let mut errors = Vec::new();
    let mut added: Vec<(Parsed, String, String)> = Vec::new();
    for path in files(paths).map_err(LoadError::Run)? {
        let text = read_text(&path, "rules file").map_err(LoadError::Run)?;
        let file = path.display().to_string();
        match read(&file, &text) {
            Ok(parsed) => added.push((parsed, file, text)),
            Err(wrong) => errors.extend(wrong),
        }
    }
    let mut sets = Matrix::embedded().sets;
    sets.retain(|s| !added.iter().any(|(p, ..)| p.set.id == s.id));
    for (parsed, file, text) in added {
        errors.extend(clashes(&parsed, &sets, &file, &text));
        sets.push(parsed.set);
    }
    if errors.is_empty() { Ok(Matrix::ordered(sets)) } else { Err(LoadError::Config(errors)) }
}

/// Everything wrong or doubtful in one rules file, in its order.
pub fn lint(text: &str, file: &str) -> Vec<Diagnostic> {
    let doc = Doc::new(file, text);
    if let Some(parsed) = parse::parse(&doc, text) {
        lint::check(&doc, &parsed);
    }
    let (errors, warnings) = doc.finish();
    lint::diagnostics(errors, warnings)
}

/// One file, checked; its warnings are left to [`lint`].
fn read(file: &str, text: &str) -> Result<Parsed, Vec<ConfigError>> {
    let doc = Doc::new(file, text);
    let parsed = parse::parse(&doc, text);
    if let Some(parsed) = &parsed {
        lint::check(&doc, parsed);
    }
    let (errors, _) = doc.finish();
    match parsed {
        Some(parsed) if errors.is_empty() => Ok(parsed),
        _ => Err(errors),
    }
}

/// Rule ids are unique over all sets: overrides and reports name rules by them.
fn clashes(parsed: &Parsed, sets: &[RuleSet], file: &str, text: &str) -> Vec<ConfigError> {
    let at = |span, message, help: &str| ConfigError::at(file, text, span, message, Some(help.to_owned()));
    if sets.iter().any(|s| s.id == parsed.set.id) {
        let message = format!("two of the given files are called '{}'", parsed.set.id);
        return vec![at(parsed.id_span.clone(), message, "give each rules file its own id")];
    }
    let clash = |(rule, place): (&super::Rule, &super::parse_rule::Places)| {
        let other = sets.iter().find(|s| s.rules.iter().any(|r| r.id == rule.id))?;
        let message = format!("rule '{}' is also in the set '{}'", rule.id, other.id);
        let help = format!("a file that replaces a set carries its id: id = \"{}\"", other.id);
        Some(at(place.id.clone(), message, &help))
    };
    parsed.set.rules.iter().zip(&parsed.places).filter_map(clash).collect()
}

/// Files, and in place of folders the rules files in them, by name.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, RunError> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(folder(path)?);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn folder(path: &Path) -> Result<Vec<PathBuf>, RunError> {
    let io = |source| RunError::Io { path: path.to_owned(), doing: "read", source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io)? {
        let file = entry.map_err(io)?.path();
        if file.extension().is_some_and(|e| e == "toml") && !file.is_dir() {
            found.push(file);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(RunError::Config(format!("{} holds no rules file (*.toml)", path.display())));
    }
    Ok(found)
}
