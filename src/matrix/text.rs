//! The matrix in words, for reading in a terminal.

use super::lint::{Diagnostic, Severity};
use super::model::{Condition, Healing, Matrix, Peer, Rule, RulePort, RuleSet, SetKind, Source};
use super::vocab::{Carries, Need, Operation, Scenario};

/// Narrowest text that is still readable, in columns.
const NARROWEST: usize = 40;

/// Every rule, one or more lines each: id, ends, ports. `width` is in columns.
pub fn list(matrix: &Matrix, width: usize) -> String {
    let width = width.max(NARROWEST);
    let sets: Vec<String> = matrix.sets.iter().map(|set| list_set(set, width)).collect();
    sets.join("\n")
}

fn list_set(set: &RuleSet, width: usize) -> String {
    let mut out = heading(set, width);
    let longest = set.rules.iter().map(|r| r.id.len()).max().unwrap_or(0);
    for rule in &set.rules {
        let what = format!("{} -> {}: {}", froms(rule), tos(rule), ports(rule));
        out.push_str(&row(&rule.id, longest, &what, width));
    }
    out
}

fn heading(set: &RuleSet, width: usize) -> String {
    let kind = match set.kind {
        SetKind::Matrix => "matrix",
        SetKind::Companion => "companion set",
    };
    let mut head = format!("{} ({kind}", set.id);
    for (name, value) in [("build", &set.build), ("page of", &set.date)] {
        if let Some(value) = value {
            head.push_str(&format!(", {name} {value}"));
        }
    }
    format!("{}{}", wrap(&format!("{head})"), width, ""), wrap(&set.title, width, "  "))
}

/// One rule or one whole set by id; `None` where there is neither. `width` is in columns.
pub fn show(matrix: &Matrix, id: &str, width: usize) -> Option<String> {
    let width = width.max(NARROWEST);
    if let Some(set) = matrix.sets.iter().find(|s| s.id == id) {
        let mut out = heading(set, width);
        out.push_str(&fields(&provenance(set), width));
        for rule in &set.rules {
            out.push('\n');
            out.push_str(&show_rule(rule, width));
        }
        return Some(out);
    }
    matrix.rule(id).map(|(_, rule)| show_rule(rule, width))
}

fn show_rule(rule: &Rule, width: usize) -> String {
    let mut rows = vec![("table", scenario(rule)), ("from", froms(rule)), ("to", tos(rule))];
    if !rule.each.is_empty() {
        rows.push(("each", listed(rule.each.iter().map(|r| r.word()))));
    }
    if let Some(os) = rule.staging_os {
        rows.push(("staging", format!("{os} staging servers only")));
    }
    rows.extend(rule.ports.iter().map(|p| ("port", port(p))));
    rows.extend(rule.stage.map(|stage| ("stage", stage.to_string())));
    rows.push(("purpose", rule.purpose.clone()));
    format!("{}\n{}", rule.id, fields(&rows, width))
}

/// A rule in full: what it is, who opens it when and how much it is needed, what breaks without it, what to check, and
/// where it comes from. `None` where there is no such rule. `width` is in columns.
pub fn explain(matrix: &Matrix, id: &str, width: usize) -> Option<String> {
    let width = width.max(NARROWEST);
    let (set, rule) = matrix.rule(id)?;
    let mut out = format!("{}\n", rule.id);
    out.push_str(&wrap(&rule.purpose, width, "  "));
    section(&mut out, "Ports", &rule.ports.iter().map(port).collect::<Vec<_>>(), width);
    section(&mut out, "Who opens it", &rule.from.iter().flat_map(|s| opens(s, rule)).collect::<Vec<_>>(), width);
    section(&mut out, "To", &[to_sentence(rule)], width);
    section(&mut out, "When it is blocked", std::slice::from_ref(&rule.blocked_symptom), width);
    section(&mut out, "What to check next", std::slice::from_ref(&rule.next_step), width);
    section(&mut out, "Notes", &rule.notes, width);
    out.push_str("\nSource\n");
    out.push_str(&wrap(&rule.basis, width, "  "));
    out.push_str(&fields(&provenance(set), width));
    Some(out)
}

/// What linting a file found, excerpt by excerpt, and a last line that counts.
pub fn lint(file: &str, found: &[Diagnostic]) -> String {
    let mut out: String = found.iter().map(|d| format!("{}\n\n", d.error)).collect();
    let of = |severity| found.iter().filter(|d| d.severity == severity).count();
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let (errors, warnings) = (count(of(Severity::Error), "error"), count(of(Severity::Warning), "warning"));
    out.push_str(&format!("{file}: {errors}, {warnings}\n"));
    out
}

fn section(out: &mut String, title: &str, items: &[String], width: usize) {
    if items.iter().all(String::is_empty) {
        return;
    }
    out.push_str(&format!("\n{title}\n"));
    for item in items {
        out.push_str(&bullet(item, width));
    }
}

fn provenance(set: &RuleSet) -> Vec<(&'static str, String)> {
    let mut rows = vec![("set", set.id.clone())];
    rows.extend(set.page.clone().map(|page| ("page", page)));
    rows.extend(set.date.clone().map(|date| ("dated", date)));
    rows.extend(set.build.clone().map(|build| ("build", build)));
    rows.push(("sha256", set.digest.clone()));
    rows
}

/// What one source does, one sentence per strength.
fn opens(source: &Source, rule: &Rule) -> Vec<String> {
    let who = peer(source.peer);
    let condition = when(&source.when);
    let mut lines = Vec::new();
    if !source.drives.is_empty() {
        lines.push(format!("{who} opens it in {}{condition}.", operations(&source.drives)));
    }
    for need in [Need::Required, Need::Expected, Need::Permitted] {
        let of: Vec<Operation> = source.need.iter().filter(|(_, n)| **n == need).map(|(o, _)| *o).collect();
        if !of.is_empty() {
            lines.push(format!("{who} opens it in {}{condition}; there it is {need}.", operations(&of)));
        }
    }
    if !source.may.is_empty() {
        let judged = rule.ports.iter().any(|p| p.need > Need::Permitted);
        let proof = if judged { "; this proves nothing" } else { "" };
        lines.push(format!("{who} may open it in {}{condition}{proof}.", operations(&source.may)));
    }
    lines
}

fn to_sentence(rule: &Rule) -> String {
    let os = rule.staging_os.map(|os| format!(" (staging servers: {os} only)")).unwrap_or_default();
    let each = if rule.each.is_empty() {
        "; any one host will do".to_owned()
    } else {
        format!("; looked for at each {}", listed(rule.each.iter().map(|r| r.word())))
    };
    let stage = rule.stage.map(|s| format!(", in stage {s} of the restore")).unwrap_or_default();
    let judged = rule.ports.iter().any(|p| p.need > Need::Permitted);
    format!("{}{os}{}.", tos(rule), if judged { format!("{each}{stage}") } else { String::new() })
}

fn scenario(rule: &Rule) -> String {
    rule.scenario.map_or("image-level and plug-in", Scenario::word).to_owned()
}

fn froms(rule: &Rule) -> String {
    let mut names: Vec<&str> = rule.from.iter().map(|s| peer(s.peer)).collect();
    names.dedup();
    names.join(", ")
}

fn tos(rule: &Rule) -> String {
    rule.to.iter().map(|p| peer(*p)).collect::<Vec<_>>().join(", ")
}

const fn peer(peer: Peer) -> &'static str {
    match peer {
        Peer::Role(role) => role.word(),
        Peer::AnyRole => "any-role",
        Peer::Outside => "outside",
    }
}

/// The ports of a rule, shortest form: `tcp/6162 or 2500-3300, udp/135`.
fn ports(rule: &Rule) -> String {
    let short = |p: &RulePort| match p.fallback {
        Some(fallback) => format!("{} else {fallback}", service(p)),
        None => service(p),
    };
    rule.ports.iter().map(short).collect::<Vec<_>>().join(", ")
}

/// A service; protocols without ports by name alone.
fn service(port: &RulePort) -> String {
    if port.service.ports.hi() == 0 { port.service.proto.to_string() } else { port.service.to_string() }
}

/// One port in words: `tcp/135: expected; rpc; 445 does its job, too.`
fn port(port: &RulePort) -> String {
    let mut parts = vec![port.need.word().to_owned()];
    if !port.service.ports.is_single() {
        parts.push("one port of the range".to_owned());
    }
    parts.extend(port.carries.map(carries));
    parts.extend(port.fallback.map(|f| format!("a port of {f} where it cannot be reached")));
    parts.extend(port.substituted_by.map(|by| format!("{by} does its job, too")));
    match port.healing {
        Healing::Mapper => parts.push("named by the endpoint mapper".to_owned()),
        Healing::NextFree => parts.push("each component takes the next free one".to_owned()),
        Healing::SamePort | Healing::Range => {}
    }
    let note = port.note.as_ref().map(|n| format!(" {n}")).unwrap_or_default();
    format!("{}: {}.{note}", service(port), parts.join("; "))
}

fn carries(carries: Carries) -> String {
    match carries {
        Carries::Vendor => "carries the vendor's own protocol".to_owned(),
        other => format!("carries {other}"),
    }
}

fn operations(operations: &[Operation]) -> String {
    if operations.len() == Operation::ALL.len() {
        return "every operation".to_owned();
    }
    listed(operations.iter().map(|o| o.word()))
}

/// A condition as the end of a sentence; empty where there is none. The operations stand in the sentence already.
fn when(condition: &Condition) -> String {
    let own = facts(condition);
    let mut text = if own.is_empty() { String::new() } else { format!(", where {}", own.join(" and ")) };
    if let Some(inner) = &condition.unless {
        let of = (!inner.operations.is_empty()).then(|| format!("the operation is {}", operations(&inner.operations)));
        let parts: Vec<String> = of.into_iter().chain(facts(inner)).collect();
        text.push_str(&format!(", but not where {}", listed(parts.iter().map(String::as_str))));
    }
    text
}

fn facts(c: &Condition) -> Vec<String> {
    let mut parts = Vec::new();
    parts.extend(c.is_export_as.map(|x| format!("the export is of {x}")));
    parts.extend(c.is_restore_to.map(|x| format!("the restore point is '{x}'")));
    parts.extend(c.restore_to_given.map(|x| format!("the restore point is {}given", if x { "" } else { "not " })));
    parts.extend(c.is_explore.map(|x| format!("the backup is {}explored", if x { "" } else { "not " })));
    parts.extend(c.is_os.map(|x| format!("the backup is of {x}")));
    parts.extend(c.is_started_from.map(|x| format!("the restore is started from {x}")));
    parts
}

/// `a`, `a and b`, `a, b and c`
fn listed<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<&str> = items.collect();
    match items.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Rows of name and text, the texts aligned.
fn fields(rows: &[(&str, String)], width: usize) -> String {
    let longest = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, text)| row(name, longest, text, width)).collect()
}

/// `  name   text`, the text wrapped in its own column.
fn row(name: &str, longest: usize, text: &str, width: usize) -> String {
    let indent = " ".repeat(longest + 4);
    let wrapped = wrap(text, width, &indent);
    let body = wrapped.strip_prefix(indent.as_str()).unwrap_or(&wrapped);
    format!("  {name:longest$}  {body}")
}

/// One item of a section; its later lines are indented further, so that items stay apart.
fn bullet(text: &str, width: usize) -> String {
    let wrapped = wrap(text, width, "    ");
    wrapped.strip_prefix("  ").map(str::to_owned).unwrap_or(wrapped)
}

/// Text in lines of at most `width` columns, each indented; a longer word stands alone in its line.
fn wrap(text: &str, width: usize, indent: &str) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let needed = indent.len() + line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && needed > width {
            out.push_str(&format!("{indent}{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push_str(&format!("{indent}{line}\n"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_long_as_fits_and_a_long_word_stands_alone() {
        assert_eq!(wrap("aa bb cc", 7, "  "), "  aa bb\n  cc\n");
        assert_eq!(wrap("a muchtoolongword b", 8, ""), "a\nmuchtoolongword\nb\n");
        assert_eq!(row("id", 4, "aa bb cc", 12), "  id    aa\n        bb\n        cc\n");
    }

    #[test]
    fn lists_read_as_in_a_sentence() {
        assert_eq!(listed(["a"].into_iter()), "a");
        assert_eq!(listed(["a", "b", "c"].into_iter()), "a, b and c");
        assert_eq!(operations(Operation::ALL), "every operation");
    }
}
