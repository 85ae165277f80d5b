//! The rules files say what the vendor's page and our reading of it say.
#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop at the first surprise")]
use portwitness::matrix::{self, EMBEDDED};

#[test]
fn the_embedded_rules_lint_clean() {
    for (file, text) in EMBEDDED {
        let found = matrix::lint(text, file);
        let texts: Vec<String> = found.iter().map(|d| d.error.to_string()).collect();
        assert!(found.is_empty(), "{}", texts.join("\n"));
    }
}
