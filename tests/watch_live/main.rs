//! Capturing on interfaces, with real packets between two namespaces that the test makes: what `watch` says is what `verify`
//! says of what it kept, and of what tcpdump captured of the same traffic.

#![cfg(all(target_os = "linux", feature = "live"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise, too"
)]

#[cfg(ebpf)]
mod ebpf;
#[cfg(not(ebpf))]
#[test]
fn counting_in_the_kernel_is_tested() {
    let _ = writeln!(std::io::stderr(), "SKIP ebpf: {} (1 skipped)", portwitness::capture::NO_EBPF);
    assert!(std::env::var("CI").as_deref() != Ok("true"), "skipped where skipping is not allowed");
}

#[path = "../lab/cmd.rs"]
#[allow(dead_code, reason = "each test binary uses a part")]
mod cmd;
#[path = "../lab/failure.rs"]
#[allow(dead_code, reason = "each test binary uses a part")]
mod failure;
#[path = "../lab/seal.rs"]
mod seal;
#[cfg(ebpf)]
#[path = "../synth/mod.rs"]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "packets written by hand")]
mod synth;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use cmd::{Running, command};
use failure::{Context as _, Failure, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(20);

const SITE: &str = r#"
scenario      = "image-level"
operations    = ["enterprise-manager"]
POINT

[hosts]
mnt01 = ["10.77.0.12"]
rep01 = ["10.77.0.13"]
lin01 = ["10.77.0.22"]

[roles]
mount-server  = ["mnt01"]
repository    = ["rep01"]
target-linux  = ["lin01"]
"#;

fn ip(args: &str) -> Result<()> {
    let args: Vec<&str> = args.split(' ').collect();
    let out = command("ip", &args).output().context("cannot start ip")?;
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    if out.status.success() { Ok(()) } else { Err(Failure::new(format!("ip {args:?}: {text}"))) }
}

/// This namespace is the mount server, with `w0`; the other end of the wire is both other hosts, in a namespace of its own.
fn wires() -> Result<()> {
    ip("link set lo up")?;
    ip("netns add far")?;
    ip("link add w0 type veth peer name w1 netns far")?;
    ip("addr add 10.77.0.12/24 dev w0")?;
    ip("link set w0 up")?;
    for address in ["10.77.0.13/24", "10.77.0.22/24"] {
        ip(&format!("-n far addr add {address} dev w1"))?;
    }
    ip("-n far link set w1 up")
}

/// Answers connections in the far namespace, for as long as the test runs.
fn serve(address: &'static str, greeting: &'static [u8]) -> Result<()> {
    in_far(move |ready| {
        let listener = TcpListener::bind(address).unwrap();
        ready.send(()).unwrap();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.write_all(greeting).unwrap();
            let mut buffer = [0; 100];
            while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
        }
    })
}

/// Runs a server in the far namespace, in a thread of its own; waits until it says that it is there.
fn in_far(server: impl FnOnce(Sender<()>) + Send + 'static) -> Result<()> {
    let (send, ready) = channel();
    thread::spawn(move || {
        let far = File::open("/run/netns/far").unwrap();
        move_into_link_name_space(far.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        server(send);
    });
    ready.recv().context("no server")
}

fn talk(address: &str, hello: &[u8]) -> Result<()> {
    let mut stream = TcpStream::connect(address).context(format!("cannot connect to {address}"))?;
    let mut buffer = [0; 100];
    stream.write_all(hello).context("cannot talk")?;
    let _ = stream.read(&mut buffer).context("cannot listen")?;
    Ok(())
}

/// SSH works, the data mover works, a fallback port is refused, and a flow that no rule explains.
fn traffic() -> Result<()> {
    talk("10.77.0.22:22", b"SSH-2.0-PuTTY_0.80\r\n")?;
    talk("10.77.0.13:6162", b"hello")?;
    let _refused = TcpStream::connect("10.77.0.13:2500");
    talk("10.77.0.13:8080", b"hello")
}

fn portwitness(work: &Path, args: &str) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portwitness"));
    command.current_dir(work).args(args.split(' ')).env("LANG", "C.UTF-8").stdin(std::process::Stdio::null());
    command
}

fn watch(work: &Path, args: &str) -> Result<Running> {
    let args = format!("watch --site site.toml --json -o report --format json {args}");
    started(work, &mut portwitness(work, &args))
}

/// As a user who may do nothing but capture.
fn watch_as_nobody(work: &Path, args: &str) -> Result<Running> {
    fs::set_permissions(work, fs::Permissions::from_mode(0o777)).context("work")?;
    // Where it was built may be closed to others.
    let program = work.join("portwitness");
    fs::copy(env!("CARGO_BIN_EXE_portwitness"), &program).context("copy")?;
    let args = format!("watch --site site.toml --json -o report --format json {args}");
    let may =
        ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all,+net_raw", "--ambient-caps=+net_raw"];
    let mut command = command("setpriv", &may);
    command.current_dir(work).arg(program).args(args.split(' ')).env("LANG", "C.UTF-8");
    started(work, &mut command)
}

fn started(work: &Path, command: &mut std::process::Command) -> Result<Running> {
    let mut watch = Running::start("watch", &work.join("logs"), command)?;
    // The interface is open before the first judgement is told.
    watch.ready(LIMIT, |text| text.contains("image.ssh"))?;
    Ok(watch)
}

/// What every thread of the running `watch` may still do: effective and permitted capabilities, and whether it can gain any.
fn privileges() -> Vec<String> {
    let mut all = Vec::new();
    for process in fs::read_dir("/proc").unwrap().filter_map(std::result::Result::ok) {
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        if !command.starts_with(b"/") || !String::from_utf8_lossy(&command).contains("\0watch\0") {
            continue;
        }
        for thread in fs::read_dir(process.path().join("task")).unwrap() {
            let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            let of = |key: &str| status.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_default().trim().to_owned();
            all.push(format!("{} {} {}", of("CapEff:"), of("CapPrm:"), of("NoNewPrivs:")));
        }
    }
    all
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn verify(work: &Path, args: &str) -> (i32, Value) {
    let out = portwitness(work, &format!("verify --site site.toml --format json {args}")).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let err = String::from_utf8_lossy(&out.stderr).into_owned();
    (out.status.code().unwrap(), serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}{err}")))
}

/// What two captures of the same traffic must agree on: counts and times of ICMP and ARP aside, all of it.
fn essence(report: &Value) -> Value {
    let requirement = |r: &Value| [&r["rule"], &r["to"], &r["service"], &r["outcome"], &r["cause"]].map(Value::clone);
    let flow = |f: &Value| {
        let facts = [&f["id"], &f["class"], &f["unexpected"], &f["conn_state"], &f["attempt"], &f["rules"]];
        let counts = [&f["orig_packets"], &f["orig_bytes"], &f["resp_packets"], &f["resp_bytes"]];
        facts.into_iter().chain(counts).map(Value::clone).collect::<Vec<_>>()
    };
    let list = |key: &str| report[key].as_array().unwrap().clone();
    serde_json::json!({
        "verdict": report["verdict"],
        "reasons": report["reasons"],
        "requirements": list("requirements").iter().map(requirement).collect::<Vec<_>>(),
        "flows": list("flows").iter().map(flow).collect::<Vec<_>>(),
    })
}

/// All of a report but what names the file.
fn but_names(mut report: Value) -> String {
    for capture in report["captures"].as_array_mut().unwrap() {
        capture["path"] = Value::Null;
    }
    for flow in report["flows"].as_array_mut().unwrap() {
        flow["input"] = Value::Null;
    }
    report.to_string()
}

/// Longer than the pace of judging and of the counters.
fn settle() {
    thread::sleep(Duration::from_millis(1500));
}

fn servers() -> Result<()> {
    serve("10.77.0.22:22", b"SSH-2.0-OpenSSH_9.2p1\r\n")?;
    serve("10.77.0.13:6162", b"hello")?;
    serve("10.77.0.13:8080", b"hello")
}

#[test]
fn an_interface_a_file_kept_of_it_and_tcpdump_give_one_report() -> Result<()> {
    seal::sealed("an_interface_a_file_kept_of_it_and_tcpdump_give_one_report", |work| {
        wires()?;
        servers()?;
        fs::write(work.join("site.toml"), SITE.replace("POINT", "observed_from = [\"mount-server\"]"))
            .context("site")?;
        let logs = work.join("logs");
        let mut dump = Running::start(
            "tcpdump",
            &logs,
            command("tcpdump", &["-i", "w0", "-U", "-w", "t.pcap", "-Z", "root"]).current_dir(work),
        )?;
        dump.ready(LIMIT, |text| text.contains("listening on"))?;
        let mut watch = watch(work, "-i w0 --write kept.pcapng")?;
        let left = privileges();
        assert!(left.len() > 3 && left.iter().all(|l| l == "0000000000000000 0000000000000000 1"), "{left:?}");
        traffic()?;
        settle();
        watch.interrupt()?;
        let status = watch.wait(LIMIT)?;
        dump.interrupt()?;
        dump.wait(LIMIT)?;
        let live = json(&work.join("report"));
        let (kept_status, kept) = verify(work, "kept.pcapng");
        assert_eq!(but_names(live.clone()), but_names(kept), "{}", watch.text());
        assert_eq!(status.code(), Some(kept_status));
        let (_, dumped) = verify(work, "t.pcap");
        assert_eq!(essence(&live), essence(&dumped));
        // The report says what was filtered and counted, and the kernel's count is a count.
        let capture = &live["captures"][0];
        assert!(capture["filter"].as_str().is_some_and(|f| f.contains("host 10.77.0.12 or host")), "{capture}");
        assert_eq!(capture["loss"]["kernel"], 0, "{capture}");
        let events: Vec<Value> = watch.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let seen = |rule: &str| events.iter().any(|e| e["rule"] == rule && e["state"] == "satisfied");
        assert!(seen("image.ssh") && seen("image.data-mover"), "{}", watch.text());
        assert!(events.iter().any(|e| e["event"] == "unexpected" && e["service"] == "tcp/8080"), "{}", watch.text());
        assert!(!events.iter().any(|e| e["outcome"] == "missing"));
        Ok(())
    })
}

#[test]
fn any_knows_its_place_survives_a_wire_that_goes_down_and_rotates() -> Result<()> {
    seal::sealed("any_knows_its_place_survives_a_wire_that_goes_down_and_rotates", |work| {
        wires()?;
        servers()?;
        fs::write(work.join("site.toml"), SITE.replace("POINT", "")).context("site")?;
        let mut watch =
            watch_as_nobody(work, "-i any --write r.pcapng --rotate-time 2s --ring 3 --until satisfied --for 60s")?;
        talk("10.77.0.22:22", b"SSH-2.0-PuTTY_0.80\r\n")?;
        ip("link set w0 down")?;
        settle();
        ip("link set w0 up")?;
        settle();
        talk("10.77.0.13:6162", b"hello")?;
        watch.wait(LIMIT)?;
        assert!(watch.text().contains(r#""why":"satisfied""#), "{}", watch.text());
        let live = json(&work.join("report"));
        let point = &live["observation_points"][0];
        assert_eq!((&point["hosts"][0], &point["complete"]), (&"mnt01".into(), &true.into()), "{point}");
        let kept = fs::read_dir(work)
            .context("work")?
            .filter(|e| e.as_ref().is_ok_and(|e| e.file_name().to_string_lossy().starts_with("r-")));
        assert!((2..=3).contains(&kept.count()));
        Ok(())
    })
}

#[test]
fn an_interface_that_vanishes_ends_it_and_one_that_is_not_there_is_told() -> Result<()> {
    seal::sealed("an_interface_that_vanishes_ends_it_and_one_that_is_not_there_is_told", |work| {
        wires()?;
        servers()?;
        fs::write(work.join("site.toml"), SITE.replace("POINT", "")).context("site")?;
        let mut watch = watch(work, "-i w0")?;
        traffic()?;
        settle();
        ip("link del w0")?;
        let status = watch.wait(LIMIT)?;
        assert_eq!(status.code(), Some(1), "{}", watch.text());
        assert!(watch.text().contains(r#""why":"source""#), "{}", watch.text());
        for (args, why) in
            [("watch -i w9", "there is no interface 'w9'"), ("watch -i lo --filter portt", "capture filter")]
        {
            let out = portwitness(work, args).output().unwrap();
            let err = String::from_utf8_lossy(&out.stderr).into_owned();
            assert!(out.status.code() == Some(2) && err.contains(why), "{err}");
        }
        Ok(())
    })
}
