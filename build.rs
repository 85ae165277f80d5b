//! Decides whether interfaces can be captured on (`live_capture`), and says in plain words that libpcap is missing, where
//! otherwise the linker would, at the very end and in its own.

use std::env;
use std::io::Write as _;
use std::process::{Command, Stdio};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/capture/ebpf");
    println!("cargo::rerun-if-env-changed=CLANG");
    println!("cargo::rustc-check-cfg=cfg(ebpf)");
    match kernel_side() {
        Ok(()) => println!("cargo::rustc-cfg=ebpf"),
        Err(why) => println!("cargo::rustc-env=PORTWITNESS_NO_EBPF={why}"),
    }
    println!("cargo::rerun-if-env-changed=LIBPCAP_LIBDIR");
    let set = |name: &str| env::var_os(name).is_some();
    let unix = set("CARGO_FEATURE_LIVE") && set("CARGO_CFG_UNIX");
    println!("cargo::rustc-check-cfg=cfg(live_capture)");
    if unix || set("CARGO_FEATURE_LIVE") && set("CARGO_CFG_WINDOWS") && set("CARGO_CFG_NPCAP") {
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

/// Programs for the kernel.
const PROGRAMS: [&str; 3] = ["dropped", "opened", "sieve"];

/// Builds the programs for the kernel; why they are not built where they are not.
fn kernel_side() -> Result<(), String> {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|v| v == value);
    if env::var_os("CARGO_FEATURE_EBPF").is_none() {
        return Err("built without the feature ebpf".to_owned());
    }
    if !is("CARGO_CFG_TARGET_OS", "linux") {
        return Err("only Linux has it".to_owned());
    }
    if !is("CARGO_CFG_TARGET_ENDIAN", "little") || !is("CARGO_CFG_TARGET_POINTER_WIDTH", "64") {
        return Err("its programs are for little-endian machines of 64 bits".to_owned());
    }
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    for program in PROGRAMS {
        let to = format!("{}/{program}.bpf.o", env::var("OUT_DIR").unwrap_or_default());
        let from = format!("src/capture/ebpf/{program}.bpf.c");
        let run = Command::new(&clang)
            .args([
                "-target",
                "bpf",
                "-mcpu=v3",
                "-O2",
                "-g",
                "-fdebug-compilation-dir=.",
                "-Wall",
                "-Werror",
                "-c",
                &from,
                "-o",
                &to,
            ])
            .output();
        match run {
            Err(_) => return Err("there was no clang when it was built".to_owned()),
            Ok(out) if !out.status.success() => {
                let text = String::from_utf8_lossy(&out.stderr).lines().next().unwrap_or_default().to_owned();
                println!("cargo::warning=counting in the kernel is left out: {text}");
                return Err("clang did not take its programs when it was built".to_owned());
            }
            Ok(_) => {}
        }
    }
    Ok(())
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
