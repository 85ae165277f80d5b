//! Counting in the kernel: the same traffic gives the same report as libpcap's capture and tcpdump's file of it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use super::cmd::{Running, command};
use super::failure::{Context as _, Result};
use super::{LIMIT, Value, essence, ip, json, portwitness, seal, settle, started, verify};

const SITE: &str = r#"
scenario      = "image-level"
operations    = ["enterprise-manager"]
observed_from = ["mount-server"]

[hosts]
mnt01 = ["10.77.0.12", "fd00:77::12"]
rep01 = ["10.77.0.13", "fd00:77::13"]
lin01 = ["10.77.0.22"]

[roles]
mount-server  = ["mnt01"]
repository    = ["rep01"]
target-linux  = ["lin01"]
"#;

fn wires() -> Result<()> {
    super::wires()?;
    ip("addr add fd00:77::12/64 dev w0 nodad")?;
    ip("-n far addr add fd00:77::13/64 dev w1 nodad")
}

/// A server in the far namespace that sends `down` bytes, takes all it is sent, and then says so.
fn bulk(address: &'static str, down: usize) -> Result<()> {
    super::in_far(move |ready| {
        let listener = TcpListener::bind(address).unwrap();
        ready.send(()).unwrap();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.write_all(&vec![7; down]).unwrap();
            let mut buffer = vec![0; 256 * 1024];
            while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
            let _gone = stream.write_all(b"all");
        }
    })
}

/// Takes `down` bytes, sends `up` in pieces of `piece`, and waits for the end.
fn transfer(address: &str, down: usize, up: usize, piece: usize) -> Result<()> {
    let mut stream = TcpStream::connect(address).context(format!("cannot connect to {address}"))?;
    stream.read_exact(&mut vec![0; down]).context("read")?;
    let bytes = vec![9; piece];
    for _ in 0..up / piece {
        stream.write_all(&bytes).context("write")?;
    }
    stream.shutdown(std::net::Shutdown::Write).context("shutdown")?;
    let mut end = Vec::new();
    stream.read_to_end(&mut end).context("end")?;
    assert_eq!(end, b"all");
    Ok(())
}

/// The three of one traffic.
struct Three {
    ebpf: Running,
    pcap: Running,
    dump: Running,
}

fn folder(work: &Path, name: &str) -> Result<std::path::PathBuf> {
    let dir = work.join(name);
    fs::create_dir_all(dir.join("logs")).context("folder")?;
    fs::write(dir.join("site.toml"), SITE).context("site")?;
    Ok(dir)
}

fn watch(work: &Path, engine: &str, more: &str) -> Result<Running> {
    let dir = folder(work, engine)?;
    let args = format!("watch --site site.toml --json -o report --format json --engine {engine} {more}");
    started(&dir, &mut portwitness(&dir, &args))
}

impl Three {
    fn begin(work: &Path, more: &str) -> Result<Self> {
        let device = more.split(' ').nth(1).unwrap_or("w0");
        let args = ["-i", device, "-U", "-B", "16384", "-s", "300", "-w", "t.pcap", "-Z", "root"];
        let mut dump = Running::start("tcpdump", &work.join("logs"), command("tcpdump", &args).current_dir(work))?;
        dump.ready(LIMIT, |text| text.contains("listening on"))?;
        let (pcap, ebpf) = (watch(work, "pcap", more)?, watch(work, "ebpf", more)?);
        Ok(Self { ebpf, pcap, dump })
    }

    /// Ends all three; what the kernel's counters, libpcap and tcpdump's file came to.
    fn end(mut self, work: &Path) -> Result<[Value; 3]> {
        settle();
        for running in [&mut self.ebpf, &mut self.pcap, &mut self.dump] {
            running.interrupt()?;
            running.wait(LIMIT)?;
        }
        fs::write(work.join("site.toml"), SITE).context("site")?;
        let (_, dumped) = verify(work, "t.pcap");
        Ok([json(&work.join("ebpf/report")), json(&work.join("pcap/report")), dumped])
    }
}

fn lost(report: &Value) -> &Value {
    &report["captures"][0]["loss"]["kernel"]
}

/// All that three reports have to agree on.
fn agree([ebpf, pcap, dumped]: &[Value; 3]) {
    assert_eq!((lost(ebpf), lost(pcap)), (&0.into(), &0.into()), "{}\n{}", ebpf["captures"], pcap["captures"]);
    assert_eq!(ebpf["captures"][0]["format"], "ebpf");
    assert_eq!(ebpf["captures"][0]["filter"], pcap["captures"][0]["filter"]);
    for other in [pcap, dumped] {
        let (a, b) = (essence(ebpf), essence(other));
        for (x, y) in a["flows"].as_array().unwrap().iter().zip(b["flows"].as_array().unwrap()) {
            assert_eq!(x, y);
        }
        assert_eq!(a, b);
    }
}

#[test]
fn counted_flows_are_those_of_libpcap_and_of_a_file() -> Result<()> {
    seal::sealed("ebpf::counted_flows_are_those_of_libpcap_and_of_a_file", |work| {
        wires()?;
        super::servers()?;
        bulk("10.77.0.13:2502", 3_000_000)?;
        bulk("[fd00:77::13]:2501", 0)?;
        bulk("10.77.0.22:135", 200_000)?;
        let three = Three::begin(work, "-i w0")?;
        super::traffic()?;
        // Both ways, with offload and in small segments.
        transfer("10.77.0.13:2502", 3_000_000, 20_000_000, 65_536)?;
        transfer("[fd00:77::13]:2501", 0, 5_000_000, 50_000)?;
        transfer("10.77.0.22:135", 200_000, 100_000, 500)?;
        let socket = UdpSocket::bind("10.77.0.12:0").context("socket")?;
        socket.send_to(&[1; 5000], "10.77.0.13:53").context("fragments")?;
        let all = three.end(work)?;
        agree(&all);
        // Most of it was counted and never rose.
        let bytes = |r: &Value| r["captures"][0]["bytes"].as_u64().unwrap();
        assert!(bytes(&all[0]) < bytes(&all[1]) / 20, "{} {}", all[0]["captures"], all[1]["captures"]);
        Ok(())
    })
}

/// The flow to a port.
fn to(report: &Value, port: u16) -> Value {
    let flows = report["flows"].as_array().unwrap();
    flows.iter().find(|f| f["resp"]["port"] == port).unwrap_or_else(|| panic!("{port}: {report}")).clone()
}

fn requirement(report: &Value, rule: &str) -> Value {
    report["requirements"].as_array().unwrap().iter().find(|r| r["rule"] == rule).unwrap().clone()
}

/// Rules of this host's own firewall.
fn firewall(work: &Path, rules: &str) -> Result<()> {
    fs::write(work.join("own.nft"), format!("table inet own {{\n{rules}\n}}\n")).context("rules")?;
    let out = command("nft", &["-f", "own.nft"]).current_dir(work).output().context("nft")?;
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

fn try_to_reach(address: &str) {
    let patience = Duration::from_millis(4500);
    let failed = TcpStream::connect_timeout(&address.parse().unwrap(), patience);
    assert!(failed.is_err(), "{address}");
}

#[test]
fn what_the_hosts_own_firewall_drops_is_told_by_its_kernel_alone() -> Result<()> {
    seal::sealed("ebpf::what_the_hosts_own_firewall_drops_is_told_by_its_kernel_alone", |work| {
        wires()?;
        super::servers()?;
        let server = TcpListener::bind("10.77.0.12:6160").context("server")?;
        firewall(
            work,
            "chain leaving { type filter hook output priority 0; tcp dport 6162 drop; }\n\
             chain coming { type filter hook input priority 0; tcp dport 6160 drop; }",
        )?;
        let three = Three::begin(work, "-i any")?;
        super::talk("10.77.0.22:22", b"SSH-2.0-PuTTY_0.80\r\n")?;
        super::talk("10.77.0.13:8080", b"hello")?;
        try_to_reach("10.77.0.13:6162");
        super::in_far(|done| {
            try_to_reach("10.77.0.12:6160");
            done.send(()).unwrap();
        })?;
        std::thread::sleep(Duration::from_secs(3));
        let [ebpf, pcap, _] = three.end(work)?;
        drop(server);
        let blocked = requirement(&ebpf, "image.data-mover");
        assert_eq!(
            (&blocked["outcome"], &blocked["cause"]),
            (&"blocked".into(), &"dropped_locally".into()),
            "{blocked}"
        );
        assert!(blocked["reason"].as_str().unwrap().contains("NETFILTER_DROP"), "{blocked}");
        assert_ne!(requirement(&pcap, "image.data-mover")["outcome"], "blocked");
        let (out, back) = (to(&ebpf, 6162), to(&ebpf, 6160));
        assert_eq!((&out["attempt"], &out["orig_packets"]), (&"dropped_locally".into(), &0.into()), "{out}");
        assert_eq!(back["attempt"], "dropped_locally", "{back}");
        assert_eq!(to(&pcap, 6160)["attempt"], "unanswered");
        Ok(())
    })
}

#[test]
fn processes_that_open_and_accept_flows_are_named() -> Result<()> {
    seal::sealed("ebpf::processes_that_open_and_accept_flows_are_named", |work| {
        wires()?;
        super::servers()?;
        // One that listens from before, one that begins while it is watched.
        let early = TcpListener::bind("10.77.0.12:6160").context("server")?;
        let mut watch = watch(work, "ebpf", "-i w0")?;
        let late = TcpListener::bind("0.0.0.0:6161").context("server")?;
        super::talk("10.77.0.22:22", b"SSH-2.0-PuTTY_0.80\r\n")?;
        super::in_far(|done| {
            let kept = ["10.77.0.12:6160", "10.77.0.12:6161"].map(|a| TcpStream::connect(a).unwrap());
            done.send(()).unwrap();
            std::thread::sleep(Duration::from_secs(5));
            drop(kept);
        })?;
        settle();
        watch.interrupt()?;
        watch.wait(LIMIT)?;
        drop((early, late));
        let report = json(&work.join("ebpf/report"));
        let own = std::env::current_exe().context("self")?;
        let name = own.file_name().unwrap().to_string_lossy().into_owned();
        for (port, side, listens) in [(22, "orig", false), (6160, "resp", true), (6161, "resp", true)] {
            let flow = to(&report, port);
            let all = flow["processes"].as_array().unwrap_or_else(|| panic!("{port}: {flow}")).clone();
            let [process] = all.as_slice() else { panic!("{port}: {flow}") };
            assert_eq!((&process["side"], &process["listens"]), (&side.into(), &listens.into()), "{process}");
            assert_eq!(process["pid"], std::process::id(), "{process}");
            assert!(process["program"].as_str().unwrap().ends_with(&name), "{process}");
        }
        Ok(())
    })
}
