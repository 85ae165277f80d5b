//! Decides whether interfaces can be captured on (`live_capture`), and says in plain words that libpcap is missing, where
//! otherwise the linker would, at the very end and in its own.

use std::env;
use std::io::Write as _;
use std::process::{Command, Stdio};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBPCAP_LIBDIR");
    let set = |name: &str| env::var_os(name).is_some();
    let unix = set("CARGO_FEATURE_LIVE") && set("CARGO_CFG_UNIX");
    println!("cargo::rustc-check-cfg=cfg(live_capture)");
    if unix || set("CARGO_FEATURE_NPCAP") && set("CARGO_CFG_WINDOWS") {
        println!("cargo::rustc-cfg=live_capture");
    }
    // Built for another system, only that one's linker knows.
    let native = env::var("HOST").ok() == env::var("TARGET").ok();
    if unix && native && links() == Some(false) {
        println!(
            "cargo::error=libpcap's development files are missing, which live capture needs: install libpcap-dev (Debian), \
             libpcap-devel (Fedora) or libpcap (others), or build without it: cargo build --no-default-features"
        );
    }
}

/// Whether a program links with libpcap; `None` where there is no compiler to ask.
fn links() -> Option<bool> {
    let out = std::path::Path::new(&env::var_os("OUT_DIR")?).join("probe");
    let mut cc = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(["-x", "c", "-", "-o"]).arg(out);
    if let Some(dir) = env::var_os("LIBPCAP_LIBDIR") {
        cc.arg("-L").arg(dir);
    }
    let mut child = cc.arg("-lpcap").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    child.stdin.take()?.write_all(b"int main(void) { return 0; }\n").ok()?;
    Some(child.wait().ok()?.success())
}
