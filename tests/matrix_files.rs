//! Mistakes in rules files are told with their line, and rules are explained in plain words.
#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop at the first surprise")]

use std::path::PathBuf;

use insta::assert_snapshot;
use portwitness::config::LoadError;
use portwitness::matrix::{self, EMBEDDED, Matrix, Severity, text};

const HEAD: &str = "id = \"mine\"\ntitle = \"Mine\"\nkind = \"matrix\"\n";

/// A rule that is right, for one thing to be made wrong in it.
const RULE: &str = "[[rule]]
id = \"m.one\"
from = [{ role = \"console\", drives = [\"publish\"] }]
to = [\"repository\"]
port = [{ tcp = 22, need = \"required\" }]
purpose = \"p\"
blocked_symptom = \"s\"
next_step = \"n\"
basis = \"b\"
";

fn lint(text: &str) -> String {
    let found = matrix::lint(text, "mine.toml");
    let one = |d: &matrix::Diagnostic| {
        let help = d.error.help.as_deref().map(|h| format!(" | {h}")).unwrap_or_default();
        let severity = if d.severity == Severity::Error { "" } else { "warning: " };
        format!("{}:{} {severity}{}{help}", d.error.line, d.error.column, d.error.message)
    };
    found.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// The right rule with one line replaced; line 4 is `[[rule]]`.
fn with(key: &str, line: &str) -> String {
    let start = format!("{key} = ");
    let lines: Vec<&str> = RULE.lines().map(|l| if l.starts_with(&start) { line } else { l }).collect();
    lint(&format!("{HEAD}{}\n", lines.join("\n")))
}

#[test]
fn the_right_rule_is_right() {
    assert_eq!(lint(&format!("{HEAD}{RULE}")), "");
}

#[test]
fn unknown_words_are_told_with_the_nearest_one() {
    assert_snapshot!(with("id", "idd = \"m.one\""), @"5:1 a rule has no key 'idd' | did you mean 'id'?");
    assert_snapshot!(with("from", "from = [{ role = \"consol\", drives = [\"publsh\"] }]"), @"6:18 'consol' is not a known role | did you mean 'console'?");
    assert_snapshot!(with("from", "from = [{ role = \"console\", need = { export = \"requird\", exprt = \"required\" } }]"), @"
    6:47 'requird' is not a known need | did you mean 'required'?
    6:58 'exprt' is not a known operation | did you mean 'export'?
    ");
    assert_snapshot!(with("from", "from = [{ role = \"console\", may = \"al\", when = { operation = \"export\", os = \"mac\" } }]"), @"
    6:35 'al' is not a known operation | expected one of: application-item, publish, export, instant-recovery, enterprise-manager
    6:50 a condition has no key 'operation' | did you mean 'operations'?
    6:77 'mac' is not a known operating system | expected one of: windows, linux
    ");
    assert_snapshot!(with("to", "to = [\"repositry\", 4]"), @"
    7:7 'repositry' is not a known role | did you mean 'repository'?
    7:20 an item of 'to' is an integer | expected a string
    ");
    assert_snapshot!(with("port", "port = [{ tcp = 22, need = \"must\", carries = \"shh\", healing = \"rang\" }]"), @"
    8:28 'must' is not a known need | expected one of: permitted, expected, required
    8:46 'shh' is not a known protocol | did you mean 'ssh'?
    8:63 'rang' is not a known kind of healing | did you mean 'range'?
    ");
    assert_snapshot!(with("basis", "basis = \"b\"\nscenario = \"image\"\nstage = 0\nstaging_os = \"win\"\nleast_packets = -1"), @"
    13:12 'image' is not a known scenario | did you mean 'image-level'?
    14:9 stage 0 is outside 1 to 255
    15:14 'win' is not a known operating system | did you mean 'windows'?
    16:17 'least_packets' is an integer | expected a whole number, 0 or more
    ");
    assert_snapshot!(lint(&format!("id = \"mine\"\ntitle = \"t\"\nkind = \"matrx\"\ndate = \"yesterday\"\nbuld = 1\n{RULE}")), @"
    3:8 'matrx' is not a known kind of rules file | did you mean 'matrix'?
    4:8 'yesterday' is not a date | expected a date such as 2025-12-23
    5:1 a rules file has no key 'buld' | did you mean 'build'?
    ");
}

#[test]
fn ports_have_to_be_ports() {
    assert_snapshot!(with("port", "port = [{ tcp = 0, need = \"required\" }]"), @r#"8:17 '0': port 0 names no service | expected a number from 1 to 65535, or a range such as "3260-3270""#);
    assert_snapshot!(with("port", "port = [{ tcp = 70000, need = \"required\" }]"), @r#"8:17 '70000' is not a port or a range of ports | expected a number from 1 to 65535, or a range such as "3260-3270""#);
    assert_snapshot!(with("port", "port = [{ tcp = \"30-20\", need = \"required\" }]"), @r#"8:17 '30-20': the range is empty, 30 is above 20 | expected a number from 1 to 65535, or a range such as "3260-3270""#);
    assert_snapshot!(with("port", "port = [{ tcp = 22, udp = 22, need = \"required\" }]"), @"8:9 a port names one protocol | expected exactly one of tcp = PORT, udp = PORT, icmp = true");
    assert_snapshot!(with("port", "port = [{ tcp = true }]"), @r#"
    8:9 a port lacks 'need' | expected "required", "expected" or "permitted"
    8:17 a port is a boolean | expected a number such as 445, or a range such as "3260-3270"
    "#);
    assert_snapshot!(with("port", "port = []"), @"8:8 'port' is empty | expected [[rule.port]] tables");
    assert_snapshot!(with("from", "from = []"), @"6:8 'from' is empty | expected [[rule.from]] tables");
    assert_snapshot!(with("to", "to = []"), @r#"7:6 'to' is empty | expected the roles that are connected to, such as to = ["repository"]"#);
    assert_snapshot!(with("port", "port = [\"tcp/22\"]"), @"8:9 a port of a matrix has to say how much it is needed | expected [[rule.port]] with 'need'; the short form is for companion sets");
}

#[test]
fn the_parts_of_a_rule_have_to_fit_each_other() {
    assert_snapshot!(with("port", "port = [{ tcp = 22, need = \"required\" }, { tcp = \"20-30\", need = \"expected\" }]"), @"8:50 tcp/22 and tcp/20-30 of the same rule overlap | each port belongs to one requirement of a rule");
    assert_snapshot!(with("port", "port = [{ tcp = 22, need = \"required\", fallback = \"20-30\" }]"), @"8:17 the fallback 20-30 contains the primary port tcp/22 | a fallback is used where the primary fails");
    assert_snapshot!(with("port", "port = [{ tcp = 22, need = \"required\", fallback = \"30-40\" }, { tcp = 35, need = \"required\" }]"), @"8:70 tcp/22 and tcp/35 of the same rule overlap | each port belongs to one requirement of a rule");
    assert_snapshot!(with("port", "port = [{ tcp = 22, need = \"required\", substituted_by = 23 }, { tcp = 24, need = \"required\" }]"), @"8:17 port 23 cannot stand in: it is no other port of the rule | expected another single port of the rule; it has tcp/24");
    assert_snapshot!(with("port", "port = [{ tcp = 22, need = \"required\", healing = \"mapper\" }, { tcp = \"30-40\", need = \"required\", healing = \"same-port\" }]"), @r#"
    8:50 healing 'mapper' does not fit tcp/22 | a single port heals as "same-port"
    8:108 healing 'same-port' does not fit tcp/30-40 | a range heals as "range", "mapper" or "next-free"
    "#);
    assert_snapshot!(with("to", "to = [\"repository\"]\neach = [\"mount-server\"]"), @"8:1 'each' names mount-server, which is on neither side of the rule | expected a role of 'from' or 'to'");
    assert_snapshot!(with("from", "from = [{ role = \"console\", drives = [\"publish\"], may = [\"publish\"] }]"), @"6:9 'publish' stands in more than one of 'drives', 'may' and 'need' | a role either drives a rule or merely may");
    assert_snapshot!(with("from", "from = [{ role = \"console\", drives = [\"publish\"] }, { role = \"console\", may = [\"publish\"] }]"), @"6:53 the role drives and may, or needs differently, in 'publish' | an earlier [[rule.from]] says otherwise under the same condition");
    assert_snapshot!(with("from", "from = [\"console\", { role = \"mount-server\" }]"), @"
    6:9 a rule of a matrix has to say when the role drives it | expected [[rule.from]] with 'drives', 'may' or 'need'; the short form is for companion sets
    6:20 a source lacks 'drives' | expected 'drives', 'may' or 'need' with the operations
    ");
}

#[test]
fn a_rule_needs_all_its_parts_and_its_own_id() {
    assert_snapshot!(lint(&format!("{HEAD}[[rule]]\n")), @r#"
    4:1 a rule lacks 'from' | expected [[rule.from]] tables, or a list such as from = ["any-role"]
    4:1 a rule lacks 'port' | expected [[rule.port]] tables, or a list such as port = ["udp/53"]
    4:1 a rule lacks 'to' | expected the roles that are connected to, such as to = ["repository"]
    4:1 a rule lacks 'purpose' | expected one sentence that says what the traffic is for
    4:1 a rule lacks 'basis' | expected where the row comes from: page and date, or "inferred"
    4:1 a rule lacks 'blocked_symptom' | expected what the administrator sees when it is blocked
    4:1 a rule lacks 'next_step' | expected what to check and change when it is blocked
    4:1 a rule lacks 'id' | expected a name such as "image.ssh"
    "#);
    assert_snapshot!(lint(&format!("{HEAD}{RULE}{RULE}")), @"14:6 two rules are called 'm.one' | the first one is in line 5; ids are unique");
    assert_snapshot!(lint("kind = \"companion\"\n"), @r#"
    1:1 a rules file lacks 'id' | expected a name such as "veeam-oracle-13.0.1"
    1:1 a rules file lacks 'title' | expected one line that says what the file is about
    "#);
    assert_snapshot!(lint(HEAD), @"1:1 the file has no rule | expected at least one [[rule]]");
}

#[test]
fn a_rule_that_no_restore_reaches_is_told() {
    let staged = "[[participation]]\nrole = \"repository\"\nwhen = [{ operations = [\"export\"] }]\n";
    assert_snapshot!(lint(&format!("{HEAD}{staged}{RULE}")), @"8:6 no restore can reach the rule 'm.one' | no role of 'from' may open it in any operation in which a role of 'to' takes part");
    let two = RULE.replace("}]\nto", "}, { role = \"mount-server\", drives = [\"export\"] }]\nto");
    assert_snapshot!(lint(&format!("{HEAD}{staged}{two}")), @"9:9 warning: this source of 'm.one' is without effect in every operation");
    assert_snapshot!(with("basis", "basis = \"b\"\nscenario = \"plug-in\""), @"5:6 no restore can reach the rule 'm.one' | no role of 'from' may open it in any operation in which a role of 'to' takes part");
    assert_snapshot!(with("from", "from = [{ role = \"console\", drives = [\"publish\"], when = { os = \"linux\", unless = { os = \"linux\" } } }]"), @"5:6 no restore can reach the rule 'm.one' | no role of 'from' may open it in any operation in which a role of 'to' takes part");
}

#[test]
fn files_replace_the_set_of_their_id_or_add_one() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let own = write("own.toml", &format!("{HEAD}{RULE}"));
    let loaded = matrix::load(std::slice::from_ref(&own)).unwrap();
    let ids: Vec<&str> = loaded.sets.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["mine", "veeam-oracle-13.0.1", "infrastructure", "plugin-rman-13", "veeam-13"]);
    write(
        "veeam.toml",
        &format!("{HEAD}{RULE}").replace("\"mine\"", "\"veeam-oracle-13.0.1\"").replace("m.one", "m.two"),
    );
    let loaded = matrix::load(&[folder.path().to_owned()]).unwrap();
    assert_eq!(loaded.sets.len(), 5);
    assert_eq!(loaded.rule("m.two").unwrap().0.id, "veeam-oracle-13.0.1");
    assert!(loaded.rule("image.ssh").is_none());
    let told = |paths: &[PathBuf]| match matrix::load(paths) {
        Err(e) => e.to_string().replace(&folder.path().display().to_string(), "DIR"),
        Ok(_) => panic!("it loads"),
    };
    assert_snapshot!(told(&[own.clone(), own]), @r#"
    error: two of the given files are called 'mine'
     --> DIR/own.toml:1:6
      |
    1 | id = "mine"
      |      ^^^^^^
      |
      = help: give each rules file its own id
    "#);
    let copy = write("copy.toml", &EMBEDDED[0].1.replace("\"veeam-oracle-13.0.1\"", "\"copy\""));
    assert!(told(&[copy]).contains("rule 'image.console' is also in the set 'veeam-oracle-13.0.1'"));
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert_snapshot!(told(std::slice::from_ref(&empty)), @"DIR/empty holds no rules file (*.toml)");
    assert!(matches!(matrix::load(&[empty.join("none.toml")]), Err(LoadError::Run(_))));
}

#[test]
fn no_text_stops_the_linter() {
    let text = format!("{HEAD}{RULE}").replace("\"p\"", "\"\u{e4}\u{1f980}\"");
    for (at, _) in text.char_indices() {
        let _ = matrix::lint(&text[..at], "mine.toml");
        let _ = matrix::lint(&format!("{}\u{1f980}{}", &text[..at], &text[at..]), "mine.toml");
    }
}

// --- Texts ---------------------------------------------------------------------------------------------------------------

#[test]
fn texts_fit_the_width() {
    let matrix = Matrix::embedded();
    let ids: Vec<String> = matrix.sets.iter().flat_map(|s| s.rules.iter().map(|r| r.id.clone())).collect();
    let mut texts = vec![text::list(&matrix, 80)];
    texts.extend(ids.iter().flat_map(|id| [text::explain(&matrix, id, 80), text::show(&matrix, id, 80)]).flatten());
    texts.extend(matrix.sets.iter().filter_map(|s| text::show(&matrix, &s.id, 80)));
    for line in texts.iter().flat_map(|t| t.lines()) {
        assert!(line.chars().count() <= 80, "{line}");
        assert!(!line.ends_with(' '), "{line:?}");
    }
    assert!(text::explain(&matrix, "no.rule", 80).is_none() && text::show(&matrix, "no.rule", 80).is_none());
}

#[test]
fn findings_are_shown_with_their_place_and_counted() {
    let found = matrix::lint(&format!("{HEAD}{}", RULE.replace("22", "0")), "mine.toml");
    assert_snapshot!(text::lint("mine.toml", &found), @r#"
    error: '0': port 0 names no service
     --> mine.toml:8:17
      |
    8 | port = [{ tcp = 0, need = "required" }]
      |                 ^
      |
      = help: expected a number from 1 to 65535, or a range such as "3260-3270"

    mine.toml: 1 error, 0 warnings
    "#);
    assert_eq!(text::lint("mine.toml", &[]), "mine.toml: 0 errors, 0 warnings\n");
}

#[test]
fn a_rule_is_explained_in_plain_words() {
    let matrix = Matrix::embedded();
    assert_snapshot!(text::explain(&matrix, "image.rpc-deploy", 80).unwrap().replace(&matrix.sets[0].digest, "DIGEST"), @r#"
    image.rpc-deploy
      The runtime that coordinates the restore is copied to the Windows machine over
      its administrative share and started there; the endpoint mapper on 135 names
      the ports it answers on.

    Ports
      tcp/445: required; carries smb.
      tcp/135: expected; carries rpc; 445 does its job, too.
      udp/135: permitted. In the revision of 2025-12-23 only.
      udp/445: permitted. In the revision of 2025-12-23 only.

    Who opens it
      console opens it in application-item, publish and export.
      console opens it in instant-recovery; there it is expected.
      console may open it in enterprise-manager; this proves nothing.
      backup-server opens it in application-item, publish and export.
      backup-server may open it in instant-recovery and enterprise-manager; this
        proves nothing.
      mount-server opens it in instant-recovery and enterprise-manager.

    To
      target-windows, staging-server (staging servers: windows only); looked for
        at each target-windows and staging-server, in stage 2 of the restore.

    When it is blocked
      Cannot connect to the machine's administrative share: "network path was not
        found", Win32 error 53. With 135 blocked: "RPC function call failed", RPC
        server unavailable (1722, 0x6BA, 0x800706BA).

    What to check next
      Allow TCP 135 and 445 from the named source to the target: on every firewall
        between, and in the target's Windows Firewall (File and Printer Sharing,
        Remote Administration). Then open the target's ADMIN$ share from that source
        with the account the restore uses.

    Notes
      The mount server is a source only in instant recovery and in a restore from
        Enterprise Manager.
      135 and 445 are two jobs: both are looked for. A blocked 135 breaks nothing
        where 445 works, since the mapper is offered over named pipes, too.
      UDP 135 and 445 stand in the revision of 2025-12-23 only. The page of
        2026-02-18 (same build) says TCP, and Microsoft lists both as TCP.

    Source
      Row published 2025-12-23. Which of the three sources acts in which operation,
      135 as merely expected and 445 in its place are our reading.
      set     veeam-oracle-13.0.1
      page    https://helpcenter.veeam.com/docs/vbr/userguide/veo_used_ports.html
      dated   2025-12-23
      build   13.0.1.1071
      sha256  DIGEST
    "#);
    assert_snapshot!(text::explain(&matrix, "image.data-mover", 80).unwrap().lines().take(22).collect::<Vec<_>>().join("\n"), @r#"
    image.data-mover
      Backup data is read from the repository by way of its data mover; one data
      channel per connection.

    Ports
      tcp/6162: required; carries the vendor's own protocol; a port of 2500-3300
        where it cannot be reached.

    Who opens it
      mount-server opens it in every operation.
      console opens it in export, where the export is of files and the backup is
        of windows.
      console may open it in every operation, but not where the operation is
        export, the export is of files and the backup is of windows; this proves
        nothing.
      backup-server may open it in every operation; this proves nothing.

    To
      repository; any one host will do, in stage 4 of the restore.

    When it is blocked
      "A connection attempt failed because the connected party did not properly
    "#);
    assert_snapshot!(text::show(&matrix, "image.iscsi", 80).unwrap(), @"
    image.iscsi
      table    image-level
      from     target-windows, staging-server
      to       mount-server
      each     target-windows and staging-server
      staging  windows staging servers only
      port     tcp/3260-3270: required; one port of the range; carries iscsi.
      stage    6
      purpose  The Windows machine mounts the backup's disks by iSCSI: it is the
               initiator, the mount server serves the disks on one port of the
               range, opened for the session.
    ");
    assert_snapshot!(text::list(&matrix, 80).lines().take(30).collect::<Vec<_>>().join("\n"), @"
    veeam-oracle-13.0.1 (matrix, build 13.0.1.1071, page of 2025-12-23)
      Veeam Explorer for Oracle 13: recovery from image-level and from plug-in
      backups
      image.console          console -> backup-server: tcp/443
      image.rpc-deploy       console, backup-server, mount-server -> target-windows,
                             staging-server: tcp/445, tcp/135, udp/135, udp/445
      image.rpc-dynamic      console, backup-server, mount-server -> target-windows,
                             staging-server: tcp/49152-65535
      image.oracle-runtime   console, backup-server, mount-server -> target-windows,
                             staging-server: tcp/1035-1075
      image.installer        mount-server -> target-windows, staging-server:
                             tcp/6160, tcp/445
      image.ssh              mount-server, console -> target-linux: tcp/22
      image.data-mover       mount-server, console, backup-server -> repository:
                             tcp/6162 else 2500-3300
      image.iscsi            target-windows, staging-server -> mount-server:
                             tcp/3260-3270
      plugin.console         console -> backup-server: tcp/443
      plugin.rpc-deploy      console -> target-windows: tcp/445, tcp/135, udp/135,
                             udp/445
      plugin.rpc-dynamic     console -> target-windows: tcp/49152-65535
      plugin.oracle-runtime  console -> target-windows: tcp/1035-1075
      plugin.ssh             console -> target-linux: tcp/22
      plugin.data-mover      target-linux, console, backup-server -> repository:
                             tcp/6162 else 2500-3300

    infrastructure (companion set)
      Name service, directory, time, logging, administration and other traffic of
      any server
      infra.dns                      any-role -> outside: udp/53, tcp/53
    ");
}
