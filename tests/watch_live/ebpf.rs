//! Counting in the kernel: the same traffic gives the same report as libpcap's capture and tcpdump's file of it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use portwitness::base::{InputId, Known, Proto};
use portwitness::capture::ebpf::{Asked, Sieve};
use portwitness::capture::interfaces::Halt;
use portwitness::capture::{CaptureFile, Growth};
use portwitness::observe::{Growing, Observation};
use proptest::collection::vec;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use rustix::process::Signal;

use super::cmd::{Running, command};
use super::failure::{Context as _, Result};
use super::synth::steps::{play, step};
use super::world::{LIMIT, essence, ip, json, portwitness, settle, started, verify};
use super::{Value, seal, world};

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
    world::wires()?;
    ip("addr add fd00:77::12/64 dev w0 nodad")?;
    ip("-n far addr add fd00:77::13/64 dev w1 nodad")?;
    // Three captures end one after the other: what came in between would be in some of them alone.
    world::acquaint(&["10.77.0.12", "fd00:77::12"], &["10.77.0.13", "10.77.0.22", "fd00:77::13"])
}

/// A server in the far namespace that sends `down` bytes, takes all it is sent, and then says so.
fn bulk(address: &'static str, down: usize) -> Result<()> {
    world::in_far(move |ready| {
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

fn connect(address: &str) -> Result<TcpStream> {
    TcpStream::connect(address).context(format!("cannot connect to {address}"))
}

/// Takes `down` bytes, sends `up` in pieces of `piece`, and waits for the end.
fn transfer(mut stream: TcpStream, down: usize, up: usize, piece: usize) -> Result<()> {
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
        let args = ["-i", device, "-U", "-B", "131072", "-s", "0", "-w", "t.pcap", "-Z", "root"];
        let mut dump = Running::start("tcpdump", &work.join("logs"), command("tcpdump", &args).current_dir(work))?;
        dump.ready(LIMIT, |text| text.contains("listening on"))?;
        let pcap = format!("{more} --buffer 128").replace(" --ebpf-flows 1", "");
        let (pcap, ebpf) = (watch(work, "pcap", &pcap)?, watch(work, "ebpf", more)?);
        fs::write(work.join("site.toml"), SITE).context("site")?;
        Ok(Self { ebpf, pcap, dump })
    }

    /// Ends all three; what the kernel's counters, libpcap and tcpdump's file came to.
    fn end(mut self, work: &Path) -> Result<[Value; 3]> {
        settle();
        for running in [&mut self.ebpf, &mut self.pcap, &mut self.dump] {
            running.interrupt()?;
            running.wait(LIMIT)?;
        }
        let (_, dumped) = verify(work, "t.pcap");
        Ok([json(&work.join("ebpf/report")), json(&work.join("pcap/report")), dumped])
    }
}

fn lost(report: &Value) -> &Value {
    &report["captures"][0]["loss"]["kernel"]
}

/// All of a flow but times, numbers of frames, and what only a host's kernel says.
fn timeless(value: &Value) -> Value {
    const TIMES: [&str; 10] = [
        "first",
        "last",
        "first_frame",
        "last_frame",
        "input",
        "at",
        "reason",
        "attempt_reason",
        "processes",
        "dropped",
    ];
    match value {
        Value::Object(all) => {
            all.iter().filter(|(k, _)| !TIMES.contains(&k.as_str())).map(|(k, v)| (k.clone(), timeless(v))).collect()
        }
        Value::Array(all) => all.iter().map(timeless).collect(),
        other => other.clone(),
    }
}

/// All that three reports have to agree on.
fn agree([ebpf, pcap, dumped]: &[Value; 3]) {
    assert_eq!((lost(ebpf), lost(pcap)), (&0.into(), &0.into()), "{}\n{}", ebpf["captures"], pcap["captures"]);
    assert_eq!(ebpf["captures"][0]["format"], "ebpf");
    // On all interfaces libpcap takes no filter of tags.
    let filter = |r: &Value| r["captures"][0]["filter"].as_str().unwrap().to_owned();
    assert!(filter(ebpf).starts_with(&filter(pcap)), "{}", filter(ebpf));
    for other in [pcap, dumped] {
        let flows = |r: &Value| r["flows"].as_array().unwrap().iter().map(timeless).collect::<Vec<_>>();
        for (x, y) in flows(ebpf).iter().zip(&flows(other)) {
            assert_eq!(x, y, "{}", other["captures"][0]["path"]);
        }
        assert_eq!(essence(ebpf), essence(other));
    }
}

#[test]
fn counted_flows_are_those_of_libpcap_and_of_a_file() -> Result<()> {
    seal::sealed("ebpf::counted_flows_are_those_of_libpcap_and_of_a_file", |work| {
        wires()?;
        world::servers()?;
        bulk("10.77.0.13:2502", 3_000_000)?;
        bulk("[fd00:77::13]:2501", 0)?;
        bulk("10.77.0.22:135", 200_000)?;
        let three = Three::begin(work, "-i w0")?;
        let left = world::privileges();
        assert!(left.len() > 3 && left.iter().all(|l| l == "0000000000000000 0000000000000000 1"), "{left:?}");
        world::traffic()?;
        // Both ways, with offload and in small segments.
        transfer(connect("10.77.0.13:2502")?, 3_000_000, 8_000_000, 65_536)?;
        transfer(connect("[fd00:77::13]:2501")?, 0, 5_000_000, 50_000)?;
        transfer(connect("10.77.0.22:135")?, 200_000, 100_000, 500)?;
        let socket = UdpSocket::bind("10.77.0.12:0").context("socket")?;
        socket.send_to(&[1; 5000], "10.77.0.13:53").context("fragments")?;
        let all = three.end(work)?;
        agree(&all);
        // Most of it was counted and never rose.
        let bytes = |r: &Value| r["captures"][0]["bytes"].as_u64().unwrap();
        assert!(bytes(&all[0]) < bytes(&all[1]) / 10, "{} {}", all[0]["captures"], all[1]["captures"]);
        Ok(())
    })
}

#[test]
fn loss_in_both_directions_and_small_tables_change_no_count() -> Result<()> {
    seal::sealed("ebpf::loss_in_both_directions_and_small_tables_change_no_count", |work| {
        wires()?;
        bulk("10.77.0.13:2502", 2_000_000)?;
        bulk("10.77.0.13:2503", 100_000)?;
        bulk("10.77.0.22:22", 0)?;
        world::in_far(|done| {
            let rules = "add table ip lossy\nadd chain ip lossy coming { type filter hook input priority 0; }\n\
                         add rule ip lossy coming numgen random mod 100 < 3 drop\n";
            let out = command("nft", &[rules]).output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            done.send(()).unwrap();
        })?;
        firewall(work, "chain coming { type filter hook input priority 0; numgen random mod 100 < 2 drop; }")?;
        // Only one flow is counted at a time; the others rise whole.
        let three = Three::begin(work, "-i any --ebpf-flows 1")?;
        // One begins after the other: each capture has them in that order.
        let (first, second) = (connect("10.77.0.13:2502")?, connect("10.77.0.13:2503")?);
        std::thread::scope(|scope| {
            let one = scope.spawn(|| transfer(first, 2_000_000, 8_000_000, 30_000));
            let two = scope.spawn(|| transfer(second, 100_000, 1_000_000, 700));
            one.join().unwrap()?;
            two.join().unwrap()
        })?;
        transfer(connect("10.77.0.22:22")?, 0, 500_000, 1_000)?;
        agree(&three.end(work)?);
        Ok(())
    })
}

/// Sends frames out of interfaces of this namespace: lines of an interface's name and octets in hexadecimal.
const SENDER: &str = r#"
import socket, sys, time
out = {}
for line in sys.stdin:
    name, frame = line.split()
    if name not in out:
        out[name] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        out[name].bind((name, 0))
    out[name].send(bytes.fromhex(frame))
    time.sleep(float(sys.argv[1]))
"#;

/// A pair of wires in this namespace; frames sent out of one end come in at the other.
fn loose_wires() -> Result<()> {
    ip("link add v0 address 02:00:00:00:00:0c type veth peer name v1 address 02:00:00:00:00:16")?;
    ip("link set v0 up")?;
    ip("link set v1 up")
}

fn send(work: &Path, frames: &str, pause: &str) -> Result<()> {
    fs::write(work.join("frames"), frames).context("frames")?;
    let mut sender = command("/usr/bin/python3", &["-c", SENDER, pause]);
    let frames = fs::File::open(work.join("frames")).context("frames")?;
    let mut sender = Running::start("sender", &work.join("logs"), sender.stdin(frames))?;
    assert!(sender.wait(LIMIT)?.success(), "{}", sender.text());
    Ok(())
}

/// Frames of random steps, sent by the end they come from.
fn random_frames(cases: usize) -> (String, usize) {
    let mut runner = TestRunner::deterministic();
    let (mut lines, mut number) = (String::new(), 0);
    for case in 0..cases {
        let (usual, large) = if case % 2 == 0 { (40, 40) } else { (8, 20) };
        let steps = vec(step(usual, large), 1500).new_tree(&mut runner).unwrap().current();
        for (data, _, _) in play(&steps) {
            let ip = if data[12] == 0x81 { 18 } else { 14 };
            let at = ip + if data[ip] >> 4 == 6 { 40 } else { 20 };
            let port = u16::from_be_bytes([data[at], data[at + 1]]);
            let hex: String = data.iter().map(|b| format!("{b:02x}")).collect();
            lines += &format!("{} {hex}\n", if port >= 50_000 { "v0" } else { "v1" });
            number += 1;
        }
    }
    (lines, number)
}

/// What a source comes to.
fn observed(mut source: impl Growth) -> Observation {
    let mut growing = Growing::new("x");
    loop {
        if let Some(event) = source.next() {
            growing.take(event);
        } else if source.is_waiting() {
            std::thread::sleep(Duration::from_millis(5));
        } else {
            break;
        }
    }
    growing.finish(source.finish())
}

/// All of a flow but times and numbers of frames.
fn unstamped(value: &Value) -> Value {
    match value {
        Value::Object(all) => {
            let kept = all.iter().filter(|(k, _)| *k != "frame" && *k != "time");
            kept.map(|(k, v)| (k.clone(), unstamped(v))).collect()
        }
        Value::Array(all) => all.iter().map(unstamped).collect(),
        // Text is never a number; times are the only ones with so many digits.
        Value::String(text) if text.len() > 18 && text.starts_with("20") => Value::Null,
        other => other.clone(),
    }
}

#[test]
fn random_connections_come_to_the_same_flows() -> Result<()> {
    seal::sealed("ebpf::random_connections_come_to_the_same_flows", |work| {
        wires()?;
        loose_wires()?;
        let (frames, number) = random_frames(10);
        let args = ["-i", "v0", "-U", "-B", "65536", "-s", "0", "-w", "t.pcap", "-Z", "root"];
        let mut dump = Running::start("tcpdump", &work.join("logs"), command("tcpdump", &args).current_dir(work))?;
        dump.ready(LIMIT, |text| text.contains("listening on"))?;
        let asked = Asked { interfaces: vec!["v0".to_owned()], ring: 64 << 20, ..Asked::default() };
        let halt = Halt::default();
        let (source, _) = Sieve::open(&asked).unwrap().start(&halt, InputId(0)).unwrap();
        let counting = std::thread::spawn(move || observed(source));
        send(work, &frames, "0.00005")?;
        settle();
        halt.ask();
        let counted = counting.join().unwrap();
        dump.interrupt()?;
        dump.wait(LIMIT)?;
        let file = CaptureFile::open(&work.join("t.pcap"), InputId(0)).unwrap();
        let captured = observed(file.frames());
        assert_eq!(counted.inputs[0].loss_kernel, Known::Known(0));
        assert!(counted.inputs[0].packets >= u64::try_from(number).unwrap());
        // What rose is far less than all that passed.
        assert!(counted.inputs[0].bytes < captured.inputs[0].bytes / 2, "{:?}", counted.inputs);
        // Neighbours' greetings come when they like.
        let flows = |seen: &Observation| {
            let tcp = seen.flows.iter().filter(|f| f.key.proto == Proto::Tcp);
            tcp.map(|f| unstamped(&serde_json::to_value(f).unwrap())).collect::<Vec<_>>()
        };
        let (counted, captured) = (flows(&counted), flows(&captured));
        assert_eq!(counted.len(), captured.len());
        for (x, y) in counted.iter().zip(&captured) {
            assert_eq!(x, y);
        }
        Ok(())
    })
}

/// A segment in an Ethernet frame with a tag; `from_b` swaps both ends.
fn tagged(from_b: bool, flags: u8, seq: u32, ack: u32, payload: usize) -> String {
    let ends: [(u8, u16); 2] = [(12, 40_000), (22, 22)];
    let ((src, sport), (dst, dport)) = if from_b { (ends[1], ends[0]) } else { (ends[0], ends[1]) };
    let mut frame = vec![2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src, 0x81, 0, 0, 5, 8, 0];
    let total = u16::try_from(40 + payload).unwrap().to_be_bytes();
    frame.extend([0x45, 0, total[0], total[1], 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 77, 0, src, 10, 77, 0, dst]);
    frame.extend(sport.to_be_bytes().into_iter().chain(dport.to_be_bytes()));
    frame.extend(seq.to_be_bytes().into_iter().chain(ack.to_be_bytes()));
    frame.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    frame.resize(frame.len() + payload, 7);
    let hex: String = frame.iter().map(|b| format!("{b:02x}")).collect();
    format!("{} {hex}\n", if from_b { "v1" } else { "v0" })
}

/// A connection that downloads 60 kB over sequence numbers that wrap.
fn tagged_connection() -> String {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    let (a, b) = (1000_u32, u32::MAX - 30_000);
    let mut lines = tagged(false, SYN, a, 0, 0) + &tagged(true, SYN | ACK, b, a + 1, 0);
    lines += &tagged(false, ACK, a + 1, b.wrapping_add(1), 0);
    lines += &tagged(false, ACK, a + 1, b.wrapping_add(1), 50);
    for n in 0..60_u32 {
        let seq = b.wrapping_add(1 + 1000 * n);
        lines += &tagged(true, ACK, seq, a + 51, 1000);
        lines += &tagged(false, ACK, a + 51, seq.wrapping_add(1000), 0);
    }
    lines + &tagged(false, ACK | 1, a + 51, b.wrapping_add(60_001), 0)
}

#[test]
fn tagged_frames_are_counted_whether_the_kernel_took_the_tag_off_or_not() -> Result<()> {
    seal::sealed("ebpf::tagged_frames_are_counted_whether_the_kernel_took_the_tag_off_or_not", |work| {
        wires()?;
        loose_wires()?;
        let three = Three::begin(work, "-i v0")?;
        send(work, &tagged_connection(), "0.0005")?;
        let all = three.end(work)?;
        agree(&all);
        let flow = to(&all[0], 22);
        assert_eq!((&flow["resp_payload"], &flow["vlans"][0]), (&60_000.into(), &"5".into()), "{flow}");
        let bytes = all[0]["captures"][0]["bytes"].as_u64().unwrap();
        assert!(bytes < 30_000, "{bytes}: most of it was counted");
        Ok(())
    })
}

/// The flows to a port.
fn all_to(report: &Value, port: u16) -> impl Iterator<Item = Value> {
    report["flows"].as_array().unwrap().iter().filter(move |f| f["resp"]["port"] == port).cloned()
}

/// The flow to a port.
fn to(report: &Value, port: u16) -> Value {
    all_to(report, port).next().unwrap_or_else(|| panic!("{port}: {report}"))
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
        world::servers()?;
        let server = TcpListener::bind("10.77.0.12:6160").context("server")?;
        firewall(
            work,
            "chain leaving { type filter hook output priority 0; tcp dport 6162 drop; }\n\
             chain coming { type filter hook input priority 0; tcp dport 6160 drop; }",
        )?;
        let three = Three::begin(work, "-i any")?;
        world::talk("10.77.0.22:22", b"SSH-2.0-PuTTY_0.80\r\n")?;
        world::talk("10.77.0.13:8080", b"hello")?;
        try_to_reach("10.77.0.13:6162");
        world::in_far(|done| {
            let tries = [(); 3].map(|()| std::thread::spawn(|| try_to_reach("10.77.0.12:6160")));
            tries.into_iter().for_each(|t| t.join().unwrap());
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
        // The kernel runs no such program within itself: of what it drops in the middle of dropping something else it tells
        // nothing, and then the attempt is merely unanswered. Of three that happens to one at most.
        let back: Vec<Value> = all_to(&ebpf, 6160).filter(|f| f["attempt"] == "dropped_locally").collect();
        let out = to(&ebpf, 6162);
        assert_eq!((&out["attempt"], &out["orig_packets"]), (&"dropped_locally".into(), &0.into()), "{out}");
        assert!(back.len() >= 2, "{}", ebpf["flows"]);
        assert!(all_to(&ebpf, 6160).all(|f| f["dropped"].is_array()), "{}", ebpf["flows"]);
        assert!(all_to(&pcap, 6160).all(|f| f["attempt"] != "dropped_locally"));
        Ok(())
    })
}

#[test]
fn processes_that_open_and_accept_flows_are_named() -> Result<()> {
    seal::sealed("ebpf::processes_that_open_and_accept_flows_are_named", |work| {
        wires()?;
        world::servers()?;
        // One that listens from before, one that begins while it is watched.
        let early = TcpListener::bind("10.77.0.12:6160").context("server")?;
        let mut watch = watch(work, "ebpf", "-i w0")?;
        let late = TcpListener::bind("0.0.0.0:6161").context("server")?;
        world::talk("10.77.0.22:22", b"SSH-2.0-PuTTY_0.80\r\n")?;
        world::in_far(|done| {
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

/// What this process has in the kernel: maps by its descriptors, and programs that use them.
fn held(pid: u32) -> (Vec<u64>, Vec<u64>) {
    let mut maps = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().filter_map(std::result::Result::ok) {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        maps.extend(text.lines().filter_map(|l| l.strip_prefix("map_id:")?.trim().parse::<u64>().ok()));
    }
    let programs = all("prog");
    let uses = |p: &&Value| {
        p["map_ids"].as_array().is_some_and(|ids| ids.iter().any(|id| maps.contains(&id.as_u64().unwrap())))
    };
    let programs = programs.iter().filter(uses).map(|p| p["id"].as_u64().unwrap()).collect();
    (maps, programs)
}

/// All that the kernel has of a kind.
fn all(kind: &str) -> Vec<Value> {
    let out = command("bpftool", &["-j", kind, "show"]).output().unwrap();
    serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)))
}

#[test]
fn nothing_stays_in_the_kernel_when_it_is_killed() -> Result<()> {
    seal::sealed("ebpf::nothing_stays_in_the_kernel_when_it_is_killed", |work| {
        wires()?;
        let mut watch = watch(work, "ebpf", "-i w0")?;
        let (maps, programs) = held(watch.id());
        assert!(maps.len() >= 5 && programs.len() == 3, "{maps:?} {programs:?}");
        watch.kill();
        let left = || {
            let ids = |kind: &str| all(kind).iter().map(|v| v["id"].as_u64().unwrap()).collect::<Vec<_>>();
            let (m, p) = (ids("map"), ids("prog"));
            maps.iter().any(|id| m.contains(id)) || programs.iter().any(|id| p.contains(id))
        };
        let until = std::time::Instant::now() + LIMIT;
        while left() {
            assert!(std::time::Instant::now() < until, "{maps:?} {programs:?} are still there");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    })
}

#[test]
fn frames_that_find_no_room_are_loss_and_forbid_absence() -> Result<()> {
    seal::sealed("ebpf::frames_that_find_no_room_are_loss_and_forbid_absence", |work| {
        wires()?;
        world::servers()?;
        // A frame's first bytes do not fit.
        let mut watch = watch(work, "ebpf", "-i any --ebpf-ring 4096")?;
        // Nor does anybody make room meanwhile.
        watch.signal(Signal::STOP)?;
        for _ in 0..50 {
            world::talk("10.77.0.13:8080", &[9; 1000])?;
        }
        watch.signal(Signal::CONT)?;
        settle();
        watch.interrupt()?;
        watch.wait(LIMIT)?;
        let report = json(&work.join("ebpf/report"));
        assert!(lost(&report).as_u64().is_some_and(|n| n > 10), "{}", report["captures"]);
        let ssh = requirement(&report, "image.ssh");
        assert_eq!((&ssh["outcome"], &ssh["cause"]), (&"inconclusive".into(), &"loss".into()), "{ssh}");
        Ok(())
    })
}

#[test]
fn what_needs_every_packet_is_refused_or_left_to_libpcap() -> Result<()> {
    seal::sealed("ebpf::what_needs_every_packet_is_refused_or_left_to_libpcap", |work| {
        wires()?;
        let dir = folder(work, "refused")?;
        let out = portwitness(&dir, "watch --site site.toml -i w0 --engine ebpf --write x.pcapng").output().unwrap();
        let err = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(2) && err.contains("--write needs every packet"), "{err}");
        let out = portwitness(&dir, "watch --site site.toml -i w0 --engine ebpf --for 1s --json").output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(text.contains(r#""format":"ebpf""#), "{text}");
        let out = portwitness(&dir, "watch --site site.toml -i w0 --write x.pcapng --for 1s --json").output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(text.contains(r#""format":"pcapng""#), "{text}");
        Ok(())
    })
}
