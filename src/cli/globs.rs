//! File name patterns, for shells that hand them on as typed: Windows' do, and so does any behind `--at PLACE=`.

use std::path::{Component, Path, PathBuf};

/// The files a pattern stands for, sorted by name; the path itself where it is no pattern, is a file of that name, or stands
/// for none: then opening it tells so.
pub(super) fn expand(path: &Path) -> Vec<PathBuf> {
    if path.as_os_str() == "-" || !is_pattern(&path.to_string_lossy()) || path.exists() {
        return vec![path.to_owned()];
    }
    let mut found = vec![PathBuf::new()];
    for part in path.components() {
        found = found.iter().flat_map(|folder| step(folder, part)).collect();
    }
    found.retain(|p| p.is_file());
    if found.is_empty() { vec![path.to_owned()] } else { found }
}

/// Paths one component further.
fn step(folder: &Path, part: Component<'_>) -> Vec<PathBuf> {
    let Component::Normal(name) = part else { return vec![folder.join(part)] };
    let pattern = name.to_string_lossy();
    if !is_pattern(&pattern) {
        return vec![folder.join(name)];
    }
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // A folder that cannot be listed holds nothing that could be read.
    let names = here.read_dir().into_iter().flatten().filter_map(|e| Some(e.ok()?.file_name()));
    let mut names: Vec<_> = names.filter(|n| fits(&pattern, &n.to_string_lossy())).collect();
    names.sort();
    names.into_iter().map(|n| folder.join(n)).collect()
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// As in a shell: hidden files are only found by a pattern that begins with a dot. Windows' names have no case.
fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    if cfg!(windows) { matches(&pattern.to_lowercase(), &name.to_lowercase()) } else { matches(pattern, name) }
}

/// `*` stands for any characters, `?` for one.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on after a mismatch: behind the last star, one character further.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(&c) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                p += 1;
                retry = Some((p, t));
            }
            Some(&x) if x == '?' || x == c => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((after, from)) = retry else { return false };
                retry = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
        }
    }
    pattern.iter().skip(p).all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_files_and_what_stands_for_none_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["b/2.pcap", "a/1.pcap", "a/x.txt", "a/.3.pcap", "[*].pcap"] {
            std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            // Windows has no such names.
            let _written = std::fs::write(at(name), "");
        }
        assert_eq!(expand(&at("?/*.pcap")), [at("a/1.pcap"), at("b/2.pcap")]);
        assert_eq!(expand(&at("a/.*")), [at("a/.3.pcap")]);
        for same in ["none*", "a/1.pcap", "*/none"] {
            assert_eq!(expand(&at(same)), [at(same)]);
        }
        assert_eq!(expand(Path::new("-")), [Path::new("-")]);
        #[cfg(unix)]
        assert_eq!(expand(&at("[*].pcap")), [at("[*].pcap")], "a file of that very name");
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, text, is) in [
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("mnt-?.pcap", "mnt-1.pcap", true),
            ("mnt-?.pcap", "mnt-12.pcap", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
    }
}
