//! Counting in the kernel: the same traffic gives the same report as libpcap's capture and tcpdump's file of it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;

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

fn packets(report: &Value) -> u64 {
    report["captures"][0]["packets"].as_u64().unwrap()
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
        println!("{} {} {}", packets(&all[0]), all[0]["captures"][0]["bytes"], all[1]["captures"][0]["bytes"]);
        for f in all[0]["flows"].as_array().unwrap() {
            println!("{} {} {}", f["service"], f["orig_packets"], f["orig_bytes"]);
        }
        Ok(())
    })
}
