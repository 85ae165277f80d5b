//! The first run: from captures to a draft of a site, from a site to a plan of capturing, and what is said without either.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "helpers of tests may stop at the first surprise, too"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use portwitness::matrix::{Matrix, Role};
use portwitness::site::{self, Site};
use support::{Pcap, SYN, portwitness, run, told};

const CON: [u8; 4] = [10, 77, 0, 10];
const MNT: [u8; 4] = [10, 77, 0, 12];
const TGT: [u8; 4] = [10, 77, 1, 20];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut all: Vec<PathBuf> = all.filter(|p| p.to_string_lossy().contains(".pcap")).collect();
    all.sort();
    all
}

/// The draft of a capture, `None` where it cannot be read.
fn draft(capture: &Path) -> Option<String> {
    let (status, out, err) = run(root(), &["site", "init", &capture.to_string_lossy()]);
    assert!(status == 0 || (status == 2 && err.contains("cannot read")), "{}: {err}", capture.display());
    (status == 0).then_some(out)
}

fn load(name: &Path, text: &str) -> Site {
    match site::load("site.toml", text, &Matrix::embedded()) {
        Ok((site, _)) => site,
        Err(errors) => panic!("{}: {errors:?}\n{text}", name.display()),
    }
}

fn roles(site: &Site) -> BTreeSet<(String, Role)> {
    let of = |h: &site::Host| {
        let pairs = |a: &std::net::IpAddr| h.roles.iter().map(|r| (a.to_string(), *r)).collect::<Vec<_>>();
        h.addrs.iter().flat_map(pairs).collect::<Vec<_>>()
    };
    site.hosts.iter().flat_map(of).collect()
}

/// Takes the marks off what a draft suggests: windows and exceptions.
fn taken_over(text: &str) -> String {
    let keys = ["# [[window]]", "# [[allow]]", "# from ", "# to ", "# service ", "# reason "];
    let line = |l: &str| if keys.iter().any(|k| l.starts_with(k)) { l[2..].to_owned() } else { l.to_owned() };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The site a bundled capture was recorded at.
fn recorded_at(capture: &Path) -> Site {
    let name = capture.file_name().unwrap().to_string_lossy().into_owned();
    let file = capture.with_file_name(format!("{}.site.toml", name.split('.').next().unwrap()));
    load(&file, &fs::read_to_string(&file).unwrap())
}

#[test]
fn drafts_of_the_bundled_captures_load_and_suggest_no_wrong_role() {
    let folder = root().join("captures");
    let mut found = BTreeSet::new();
    for capture in captures(&folder) {
        let named = capture.file_name().unwrap().to_string_lossy().into_owned();
        let text = draft(&capture).unwrap();
        let site = load(&capture, &text);
        let (suggested, mut truth) = (roles(&site), roles(&recorded_at(&capture)));
        // From the network a staging server is a target: the draft says so beside it.
        let staging: Vec<_> = truth.iter().filter(|(_, r)| *r == Role::StagingServer).cloned().collect();
        truth.extend(staging.into_iter().map(|(a, _)| (a, Role::TargetWindows)));
        let wrong: Vec<_> = suggested.difference(&truth).collect();
        assert!(wrong.is_empty(), "{named}: {wrong:?}");
        for point in &site.points {
            assert!(named.contains(&format!(".{}.", point.name)), "{named} was not taken at {}", point.name);
        }
        load(&capture, &taken_over(&text));
        if named.starts_with("restore-clean.") {
            found.extend(suggested);
        }
    }
    let clean = roles(&recorded_at(&folder.join("restore-clean.console.pcapng")));
    assert_eq!(found, clean, "together the places show every role");
}

#[test]
fn a_draft_suggests_nothing_where_nothing_of_a_restore_was_seen_and_a_window_where_it_was() {
    let folder = root().join("captures");
    let draft_of = |name: &str| draft(&folder.join(name)).unwrap();
    let blind = load(&folder, &draft_of("rpc-dynamic-dropped.mount-server.pcap"));
    assert!(roles(&blind).is_empty());
    let seen = load(&folder, &taken_over(&draft_of("restore-clean.mount-server.pcap")));
    assert_eq!(seen.windows.len(), 1);
}

#[test]
fn several_captures_keep_their_places_in_the_draft() {
    let (console, mount) = ("captures/restore-clean.console.pcapng", "captures/restore-clean.mount-server.pcap");
    let (status, out, err) = run(root(), &["site", "init", console, mount]);
    assert_eq!(status, 0, "{err}");
    let site = load(root(), &out);
    let places: Vec<_> = site.points.iter().map(|p| (p.name.as_str(), p.captures.join(","))).collect();
    let (c, m) = ("restore-clean.console.pcapng".to_owned(), "restore-clean.mount-server.pcap".to_owned());
    assert_eq!(places, [("console", c), ("mount-server", m)], "{out}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("site.toml");
    fs::write(&file, &out).unwrap();
    let (status, out, _) = run(root(), &["verify", "--site", &file.to_string_lossy(), console, mount]);
    assert_eq!((status, out.lines().next()), (0, Some("PASS, 6 of 6 required in view")), "{out}");
}

#[test]
fn strangers_get_a_draft_that_loads_and_no_role() {
    let Some(folder) = std::env::var_os("PORTWITNESS_CORPUS").map(PathBuf::from) else {
        assert!(std::env::var_os("CI").is_none(), "PORTWITNESS_CORPUS must be set under CI");
        skip("corpus: PORTWITNESS_CORPUS names no folder of captures");
        return;
    };
    let mut read = 0;
    for capture in captures(&folder.join("files")) {
        let Some(text) = draft(&capture) else { continue };
        assert_eq!(roles(&load(&capture, &text)), BTreeSet::new(), "{}", capture.display());
        load(&capture, &taken_over(&text));
        read += 1;
    }
    assert!(read > 140, "only {read} were read");
}

#[test]
fn scans_and_ordinary_sessions_suggest_no_role() {
    let dir = tempfile::tempdir().unwrap();
    let mut scan = Pcap::new();
    for port in [22, 25, 80, 110, 135, 139, 143, 443, 445, 993, 1035, 1521, 3260, 3389, 6160, 6162, 8080] {
        scan.tcp((CON, 50_000 + port), (TGT, port), SYN, 7, 0, b"");
    }
    let mut sweep = Pcap::new();
    for last in 1..60 {
        for port in [6160, 6162, 445, 135] {
            sweep.tcp((CON, 50_000 + last), ([10, 77, 1, last as u8], port), SYN, 7, 0, b"");
        }
    }
    let mut ordinary = Pcap::new();
    ordinary.session((CON, 50_001), (MNT, 22), b"SSH-2.0-a\r\n", b"SSH-2.0-b\r\n");
    ordinary.session((CON, 50_002), (MNT, 443), b"\x16\x03\x01\x00\x01\x01", b"\x16\x03\x03\x00\x01\x02");
    ordinary.session((CON, 50_003), (MNT, 3268), b"0\x0c\x02\x01", b"0\x0c\x02\x01");
    ordinary.session((CON, 50_004), (MNT, 3128), b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n");
    for (name, pcap) in [("scan.pcap", scan), ("sweep.pcap", sweep), ("ordinary.pcap", ordinary)] {
        let file = dir.path().join(name);
        fs::write(&file, pcap.bytes()).unwrap();
        let text = draft(&file).unwrap();
        assert_eq!(roles(&load(&file, &text)), BTreeSet::new(), "{name}\n{text}");
        assert!(text.lines().count() < 150, "a scan buries the roles:\n{text}");
    }
}

#[test]
fn a_draft_overwrites_nothing_and_says_what_comes_next() {
    let dir = tempfile::tempdir().unwrap();
    let capture = root().join("captures/restore-clean.console.pcapng");
    let args = ["site", "init", &capture.to_string_lossy(), "-o", "my.toml"].map(str::to_owned);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (status, out, err) = run(dir.path(), &args);
    assert_eq!((status, out.as_str()), (0, ""), "{err}");
    assert!(err.contains("wrote my.toml, 3 roles in it") && err.contains("verify --site my.toml"), "{err}");
    let before = fs::read_to_string(dir.path().join("my.toml")).unwrap();
    load(Path::new("my.toml"), &before);
    let (status, _, err) = run(dir.path(), &args);
    assert_eq!(status, 2);
    assert!(err.contains("my.toml exists already"), "{err}");
    assert_eq!(fs::read_to_string(dir.path().join("my.toml")).unwrap(), before);
}

/// Runs `site init --ask` with answers.
fn ask(folder: &Path, answers: &str) -> (i32, String, String) {
    let capture = root().join("captures/restore-clean.console.pcapng");
    let capture = capture.to_string_lossy();
    let mut command = portwitness(folder, &["site", "init", "--ask", "--answers-from-stdin", &capture]);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    told(&child.wait_with_output().unwrap())
}

#[test]
fn questions_take_suggestions_addresses_none_and_ask_back() {
    let dir = tempfile::tempdir().unwrap();
    // console: as suggested; backup-server: none; mount-server: where?, a typing error, two; repository; target; none; none.
    let (status, out, err) =
        ask(dir.path(), "\n-\n?\n10.77.0.300\n10.77.0.12 fd00:77::12\n10.77.0.13\n\n-\n10.77.1.20\n-\n");
    assert_eq!((status, out.as_str()), (0, ""), "{err}");
    for said in ["console [10.77.0.10]: ", "Mount Server", "'10.77.0.300' is not", "has one operating system"] {
        assert!(err.contains(said), "lacks {said:?}: {err}");
    }
    let site = load(dir.path(), &fs::read_to_string(dir.path().join("site.toml")).unwrap());
    let expected = [
        ("10.77.0.10", Role::Console),
        ("10.77.0.12", Role::MountServer),
        ("10.77.0.13", Role::Repository),
        ("10.77.1.20", Role::TargetWindows),
        ("fd00:77::12", Role::MountServer),
    ];
    let expected: BTreeSet<_> = expected.into_iter().map(|(a, r)| (a.to_owned(), r)).collect();
    assert_eq!(roles(&site), expected);
}

#[test]
fn questions_need_somebody_to_answer_them() {
    let dir = tempfile::tempdir().unwrap();
    let (status, _, err) = ask(dir.path(), "\n\n");
    assert_eq!(status, 2);
    assert!(err.contains("the answers ended at 'mount-server'; nothing was written"), "{err}");
    assert!(!dir.path().join("site.toml").exists());
    let capture = root().join("captures/restore-clean.console.pcapng");
    let mut command = portwitness(dir.path(), &["site", "init", "--ask", &capture.to_string_lossy()]);
    let (status, _, err) = told(&command.stdin(Stdio::null()).output().unwrap());
    assert_eq!(status, 2);
    assert!(err.contains("--ask needs a terminal"), "{err}");
}

/// The plan of a site as JSON.
fn plan_json(folder: &Path, args: &[&str]) -> serde_json::Value {
    let args: Vec<&str> = ["plan", "--format", "json"].into_iter().chain(args.iter().copied()).collect();
    let (status, out, err) = run(folder, &args);
    assert_eq!(status, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

fn chosen(plan: &serde_json::Value) -> Vec<&str> {
    let places = plan["places"].as_array().unwrap().iter().filter(|p| p["chosen"] == true);
    places.map(|p| p["place"].as_str().unwrap()).collect()
}

#[test]
fn a_plan_names_the_fewest_places_and_the_command_that_judges_them() {
    let (status, out, err) = run(root(), &["plan", "--site", "captures/site.toml"]);
    assert_eq!((status, err.as_str()), (0, ""));
    for said in [
        "Capture at 3 places to see all 6 required rows",
        "pktmon start --capture --comp nics --pkt-size 0 --file-size 4096 --file-name console.etl",
        "pktmon etl2pcap console.etl --out console.pcapng",
        "dumpcap -i Ethernet -B 64 -s 512 -w mount-server.pcapng",
        "portwitness verify --site captures/site.toml --at mount-server=mount-server.pcapng --at target-windows=",
    ] {
        assert!(out.contains(said), "lacks {said:?}:\n{out}");
    }
    let plan = plan_json(root(), &["--site", "captures/site.toml"]);
    assert_eq!(plan["schema"], "portwitness.plan/1");
    assert_eq!(chosen(&plan), ["mount-server", "target-windows", "console"]);
    assert_eq!(plan, plan_json(root(), &["--site", "captures/site.toml"]));
}

/// Judging captures of the planned places with the planned command, and cut as planned, shows what the plan promised.
#[test]
fn what_the_plan_promises_the_judge_delivers() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan_json(root(), &["--site", "captures/site.toml"]);
    let mut args = vec!["verify".to_owned(), "--site".to_owned(), "captures/site.toml".to_owned()];
    for place in plan["places"].as_array().unwrap().iter().filter(|p| p["chosen"] == true) {
        let word = place["place"].as_str().unwrap();
        let ending = if word == "console" { "pcapng" } else { "pcap" };
        let whole = fs::read(root().join(format!("captures/restore-clean.{word}.{ending}"))).unwrap();
        let snaplen = place["snaplen"].as_u64().unwrap() as usize;
        let file = dir.path().join(format!("{word}.{ending}"));
        fs::write(&file, if snaplen > 0 { cut(&whole, snaplen) } else { whole }).unwrap();
        args.extend(["--at".to_owned(), format!("{word}={}", file.display())]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (status, out, _) = run(root(), &args);
    assert_eq!((status, out.lines().next()), (0, Some("PASS, 6 of 6 required in view")), "{out}");
}

/// A classic little-endian pcap with every frame cut to so many bytes.
fn cut(pcap: &[u8], snaplen: usize) -> Vec<u8> {
    let (header, mut rest) = pcap.split_at(24);
    let mut out = header.to_vec();
    out[16..20].copy_from_slice(&(snaplen as u32).to_le_bytes());
    while rest.len() >= 16 {
        let caplen = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let kept = caplen.min(snaplen);
        out.extend(&rest[..8]);
        out.extend((kept as u32).to_le_bytes());
        out.extend(&rest[12..16 + kept]);
        rest = &rest[16 + caplen..];
    }
    out
}

#[test]
fn a_plan_for_linux_takes_tcpdump_and_filters_that_compile() {
    let dir = tempfile::tempdir().unwrap();
    let site = "scenario = \"image-level\"\n[hosts]\nmnt01 = [\"10.77.0.12\", \"fd00:77::12\"]\n[roles]\nconsole = [\"10.77.0.10\"]\nbackup-server = [\"10.77.0.11\"]\nmount-server = [\"mnt01\"]\nrepository = [\"10.77.0.13\"]\ntarget-linux = [\"10.77.1.22\"]\n";
    fs::write(dir.path().join("hosts.toml"), site).unwrap();
    let mirror = format!("{site}[[observation_point]]\nat = \"mirror\"\ncaptures = [\"span*.pcap\"]\n");
    fs::write(dir.path().join("mirror.toml"), mirror).unwrap();
    let hosts = plan_json(dir.path(), &["--site", "hosts.toml"]);
    assert_eq!(chosen(&hosts), ["mount-server", "console"]);
    assert_eq!((&hosts["places"][0]["os"], &hosts["places"][1]["os"]), (&"linux".into(), &"windows".into()));
    let span = plan_json(dir.path(), &["--site", "mirror.toml"]);
    assert_eq!(chosen(&span), ["mirror"]);
    let other = plan_json(dir.path(), &["--site", "hosts.toml", "--os", "mnt01=windows"]);
    assert_eq!(other["places"][0]["file"], "mount-server.pcapng");
    let (status, _, err) = run(dir.path(), &["plan", "--site", "hosts.toml", "--os", "mnt02=linux"]);
    assert!(status == 2 && err.contains("did you mean 'mnt01'?"), "{err}");
    for plan in [&hosts, &span] {
        let line = plan["places"][0]["commands"][0]["start"][0].as_str().unwrap();
        let filter = line.split('\'').nth(1).unwrap();
        assert!(filter.contains("host 10.77.0.13 or host 10.77.1.22 or icmp or icmp6"), "{filter}");
        compiles(filter);
    }
}

/// Whether tcpdump takes a filter, where there is a tcpdump.
fn compiles(filter: &str) {
    let capture = root().join("captures/restore-clean.console.pcapng");
    let done = std::process::Command::new("tcpdump").arg("-nr").arg(capture).args(["-c", "1", filter]).output();
    match done {
        Ok(done) => assert!(done.status.success(), "{filter}: {}", String::from_utf8_lossy(&done.stderr)),
        Err(_) => skip("tcpdump: not there to compile a filter"),
    }
}

/// Every subcommand, with the lines its help may take on 80 columns.
const COMMANDS: [(&str, usize); 17] = [
    ("", 24),
    ("verify", 52),
    ("flows", 40),
    ("explain", 40),
    ("matrix", 40),
    ("matrix list", 40),
    ("matrix show", 40),
    ("matrix lint", 40),
    ("site", 40),
    ("site init", 40),
    ("plan", 40),
    ("observe", 40),
    ("doctor", 40),
    ("diff", 40),
    ("watch", 74),
    ("completions", 40),
    ("man", 40),
];

#[test]
fn every_help_fits_its_screen_and_shows_an_example() {
    for (command, lines) in COMMANDS {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let (status, out, err) = told(&portwitness(root(), &args).env("COLUMNS", "80").output().unwrap());
        assert_eq!((status, err.as_str()), (0, ""), "{command}");
        assert!(out.lines().count() <= lines, "{command} takes {} lines:\n{out}", out.lines().count());
        assert!(out.contains("Example"), "{command} has no example");
        let (_, example) = out.split_once("Example").unwrap();
        assert!(example.contains("portwitness "), "{command}: {example}");
    }
}

#[test]
fn completions_and_manual_pages_know_every_subcommand() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (status, out, err) = run(root(), &["completions", shell]);
        assert_eq!((status, err.as_str()), (0, ""), "{shell}");
        for word in ["verify", "plan", "init"] {
            assert!(out.contains(word), "{shell} lacks {word}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let (status, out, err) = run(root(), &["man", "-o", &dir.path().to_string_lossy()]);
    assert_eq!((status, out.as_str(), err.as_str()), (0, "", ""));
    for (command, _) in COMMANDS {
        let name = ["portwitness"].into_iter().chain(command.split_whitespace()).collect::<Vec<_>>().join("-");
        let page = fs::read_to_string(dir.path().join(format!("{name}.1"))).unwrap();
        assert!(page.contains(".TH"), "{name}");
    }
    let (status, out, _) = run(root(), &["man"]);
    assert!(status == 0 && out.contains(".TH portwitness 1"), "{out}");
    let (status, _, err) = run(dir.path(), &["man", "-o", "nowhere"]);
    assert!(status == 2 && err.contains("cannot write manual pages to nowhere"), "{err}");
}

#[test]
fn without_a_site_the_report_names_what_is_blocked_and_the_command_to_run_next() {
    let capture = "captures/rpc-dynamic-dropped.console.pcapng";
    let (status, out, err) = run(root(), &["verify", capture]);
    assert_eq!((status, err.as_str()), (3, ""), "{out}");
    let first_screen: String = out.lines().take(24).collect::<Vec<_>>().join("\n");
    for said in [
        "10.77.0.10 to 10.77.1.20 tcp/49154",
        "blocked",
        "10.77.0.10  console",
        &format!("portwitness site init {capture} -o site.toml"),
        &format!("portwitness verify --site site.toml {capture}"),
    ] {
        assert!(first_screen.contains(said), "the first screen lacks {said:?}:\n{out}");
    }
    let (_, line, _) = run(root(), &["verify", "--format", "line", capture]);
    assert!(line.contains("blocked: image.rpc-dynamic 10.77.0.10 -> 10.77.1.20 tcp/49154"), "{line}");
    assert!(line.contains("; no site was given"), "{line}");
}

#[test]
fn without_a_site_a_stranger_is_told_what_a_restore_would_have_shown() {
    let dir = tempfile::tempdir().unwrap();
    let mut ssh = Pcap::new();
    ssh.session((CON, 50_001), (MNT, 22), b"SSH-2.0-a\r\n", b"SSH-2.0-b\r\n");
    fs::write(dir.path().join("it's mine.pcap"), ssh.bytes()).unwrap();
    let (status, out, _) = run(dir.path(), &["verify", "it's mine.pcap"]);
    assert_eq!(status, 3);
    let (status, _, err) = run(dir.path(), &["site", "init", "it's mine.pcap", "-o", "site.toml"]);
    assert!(status == 0 && err.contains("no role in it yet: fill in [roles]"), "{err}");
    let (status, judged, _) = run(dir.path(), &["verify", "--site", "site.toml", "it's mine.pcap"]);
    assert!(status == 3 && judged.contains("the site gives no host a role"), "{judged}");
    let (status, _, err) = run(dir.path(), &["plan", "--site", "site.toml"]);
    assert!(status == 2 && err.contains("nothing to capture for site.toml"), "{err}");
    for said in
        ["None. No host was seen", "portwitness flows", "portwitness site init 'it'\\''s mine.pcap' -o site.toml"]
    {
        assert!(out.contains(said), "lacks {said:?}:\n{out}");
    }
}

/// Says what was not tested, past the runner that hides what passing tests print.
fn skip(what: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "SKIP {what}");
}
