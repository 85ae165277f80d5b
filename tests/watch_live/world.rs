//! A wire between two namespaces, a restore that plays on it, and the program that watches.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::cmd::{Running, command};
use crate::failure::{Context as _, Failure, Result};

pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) const SITE: &str = r#"
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

pub(crate) fn ip(args: &str) -> Result<()> {
    let args: Vec<&str> = args.split(' ').collect();
    let out = command("ip", &args).output().context("cannot start ip")?;
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    if out.status.success() { Ok(()) } else { Err(Failure::new(format!("ip {args:?}: {text}"))) }
}

/// This namespace is the mount server, with `w0`; the other end of the wire is both other hosts, in a namespace of its own.
pub(crate) fn wires() -> Result<()> {
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

/// Tells both ends of the first wire who has which address: neither asks later, at a time that nobody chose.
pub(crate) fn acquaint(near: &[&str], far: &[&str]) -> Result<()> {
    let mac = |whose: &[&str], interface: &str| {
        let out = command("ip", &[whose, &["-o", "link", "show", interface]].concat()).output().context("ip link")?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let mac = text.split(' ').skip_while(|w| *w != "link/ether").nth(1).map(str::to_owned);
        mac.ok_or_else(|| Failure::new(format!("no hardware address in {text}")))
    };
    let (near_mac, far_mac) = (mac(&[], "w0")?, mac(&["-n", "far"], "w1")?);
    far.iter().try_for_each(|a| ip(&format!("neigh replace {a} lladdr {far_mac} dev w0 nud permanent")))?;
    near.iter().try_for_each(|a| ip(&format!("-n far neigh replace {a} lladdr {near_mac} dev w1 nud permanent")))
}

/// Answers connections in the far namespace, for as long as the test runs.
pub(crate) fn serve(address: &'static str, greeting: &'static [u8]) -> Result<()> {
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
pub(crate) fn in_far(server: impl FnOnce(Sender<()>) + Send + 'static) -> Result<()> {
    let (send, ready) = channel();
    thread::spawn(move || {
        let far = File::open("/run/netns/far").unwrap();
        move_into_link_name_space(far.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        server(send);
    });
    ready.recv().context("no server")
}

pub(crate) fn talk(address: &str, hello: &[u8]) -> Result<()> {
    let mut stream = TcpStream::connect(address).context(format!("cannot connect to {address}"))?;
    let mut buffer = [0; 100];
    stream.write_all(hello).context("cannot talk")?;
    let _ = stream.read(&mut buffer).context("cannot listen")?;
    Ok(())
}

/// SSH works, the data mover works, a fallback port is refused, and a flow that no rule explains.
pub(crate) fn traffic() -> Result<()> {
    talk("10.77.0.22:22", b"SSH-2.0-PuTTY_0.80\r\n")?;
    talk("10.77.0.13:6162", b"hello")?;
    let _refused = TcpStream::connect("10.77.0.13:2500");
    talk("10.77.0.13:8080", b"hello")
}

pub(crate) fn portwitness(work: &Path, args: &str) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portwitness"));
    command.current_dir(work).args(args.split(' ')).env("LANG", "C.UTF-8").stdin(std::process::Stdio::null());
    command
}

pub(crate) fn watch(work: &Path, args: &str) -> Result<Running> {
    let args = format!("watch --site site.toml --json -o report --format json {args}");
    started(work, &mut portwitness(work, &args))
}

/// As a user who may do nothing but capture.
pub(crate) fn watch_as_nobody(work: &Path, args: &str) -> Result<Running> {
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

pub(crate) fn started(work: &Path, command: &mut std::process::Command) -> Result<Running> {
    let mut watch = Running::start("watch", &work.join("logs"), command)?;
    // The interface is open before the first judgement is told.
    watch.ready(LIMIT, |text| text.contains("image.ssh"))?;
    Ok(watch)
}

/// What every thread of the running `watch` may still do: effective and permitted capabilities, and whether it can gain any.
pub(crate) fn privileges() -> Vec<String> {
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

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn verify(work: &Path, args: &str) -> (i32, Value) {
    let out = portwitness(work, &format!("verify --site site.toml --format json {args}")).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let err = String::from_utf8_lossy(&out.stderr).into_owned();
    (out.status.code().unwrap(), serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}{err}")))
}

/// What two captures of the same traffic must agree on: counts and times of ICMP and ARP aside, all of it.
pub(crate) fn essence(report: &Value) -> Value {
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
pub(crate) fn but_names(mut report: Value) -> String {
    for capture in report["captures"].as_array_mut().unwrap() {
        capture["path"] = Value::Null;
    }
    for flow in report["flows"].as_array_mut().unwrap() {
        flow["input"] = Value::Null;
    }
    report.to_string()
}

/// Longer than the pace of judging and of the counters.
pub(crate) fn settle() {
    thread::sleep(Duration::from_millis(1500));
}

pub(crate) fn servers() -> Result<()> {
    serve("10.77.0.22:22", b"SSH-2.0-OpenSSH_9.2p1\r\n")?;
    serve("10.77.0.13:6162", b"hello")?;
    serve("10.77.0.13:8080", b"hello")
}
