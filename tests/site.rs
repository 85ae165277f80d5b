//! Site files: what loads, and what every mistake is told as.
#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop at the first surprise")]

use insta::assert_snapshot;
use portwitness::base::{Service, Time};
use portwitness::matrix::{Matrix, Need, Operation, Os, Role, Scenario};
use portwitness::site::{self, AllowPeer, Change, HostId, LoadError, Place, Site};

/// The example of the manual.
const EXAMPLE: &str = r#"
scenario      = "image-level"
operations    = ["application-item"]
observed_from = ["mount-server"]
companions    = ["infrastructure", "veeam-13"]
timezone      = "Europe/Berlin"

[hosts]
mnt01 = ["10.77.0.12", "fd00:77::12"]

[roles]
console        = ["10.77.0.10"]
backup-server  = ["10.77.0.11"]
mount-server   = ["mnt01"]
repository     = ["10.77.0.13"]
target-windows = ["10.77.1.20"]

[[observation_point]]
at = "repository"
captures = ["rep-*.pcapng"]
complete = true
sees = [["mount-server", "repository"]]

[[window]]
from = "2026-11-20T22:00:00+01:00"
to   = "2026-11-20T22:40:00+01:00"

[[allow]]
from = "mount-server"
to = "10.0.0.53"
service = "udp/53"
reason = "site DNS"

[[override]]
rule = "image.ssh"
port = "tcp/22"
service = "tcp/2222"
reason = "sshd moved, change 4711"
"#;

fn load(text: &str) -> Result<(Site, Vec<site::ConfigError>), Vec<site::ConfigError>> {
    static MATRIX: std::sync::LazyLock<Matrix> = std::sync::LazyLock::new(Matrix::embedded);
    site::load("site.toml", text, &MATRIX)
}

fn good(text: &str) -> Site {
    match load(text) {
        Ok((site, _)) => site,
        Err(errors) => panic!("{}", all(&errors)),
    }
}

fn all(errors: &[site::ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

/// The errors of a site: `line:column message | help`.
fn errors(text: &str) -> String {
    match load(text) {
        Ok(_) => "no error".to_owned(),
        Err(errors) => brief(&errors),
    }
}

fn brief(list: &[site::ConfigError]) -> String {
    let one = |e: &site::ConfigError| {
        let help = e.help.as_deref().map(|h| format!(" | {h}")).unwrap_or_default();
        format!("{}:{} {}{help}", e.line, e.column, e.message)
    };
    list.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn warnings(text: &str) -> String {
    match load(text) {
        Ok((_, warnings)) => brief(&warnings),
        Err(errors) => panic!("{}", all(&errors)),
    }
}

/// A small complete site with something in front of its tables and something behind.
fn around(head: &str, tail: &str) -> String {
    format!(
        "scenario = \"image-level\"\n{head}\n[roles]\nconsole = \"10.0.0.1\"\nbackup-server = \"10.0.0.2\"\n\
         mount-server = \"10.0.0.3\"\nrepository = \"10.0.0.4\"\ntarget-windows = \"10.0.0.5\"\n{tail}\n"
    )
}

#[test]
fn the_example_of_the_manual_loads_without_a_warning() {
    let (site, warnings) = load(EXAMPLE).unwrap_or_else(|e| panic!("{}", all(&e)));
    assert_eq!(brief(&warnings), "");
    assert_eq!(site.scenario, Scenario::ImageLevel);
    assert_eq!(site.timezone.as_deref(), Some("Europe/Berlin"));
    assert_eq!(site.facts.os, Some(Os::Windows));
    assert_eq!(site.hosts[0].label, "mnt01");
    assert_eq!(site.host_of("fd00:77::12".parse().unwrap()), Some(HostId(0)));
    assert_eq!(site.with_role(Role::MountServer).collect::<Vec<_>>(), [HostId(0)]);
    let repository = site.host_of("10.77.0.13".parse().unwrap()).unwrap();
    assert_eq!(site.points[0].places, [Place::Host(HostId(0))]);
    assert_eq!(site.points[1].sees, [(HostId(0), repository)]);
    assert!(site.points[1].complete);
    assert_eq!(site.windows[0].from, Time::parse("2026-11-20T21:00:00Z").unwrap());
    assert_eq!(site.allow[0].to, AllowPeer::Net("10.0.0.53/32".parse().unwrap()));
    assert_eq!(site.overrides[0].port, Some(Service::parse("tcp/22").unwrap()));
    assert_eq!(site.overrides[0].change, Change::Service(Service::parse("tcp/2222").unwrap()));
    assert_eq!(site.overrides[0].line, 34);
    assert_eq!(site.digest.as_deref().map(str::len), Some(64));
}

#[test]
fn what_is_left_out_has_its_usual_value() {
    let site = good("scenario = \"plug-in\"\n[roles]\ntarget-linux = [\"10.0.0.5\"]\n");
    assert_eq!(site.operations.iter().collect::<Vec<_>>(), [&Operation::ApplicationItem]);
    assert_eq!(site.companions, ["infrastructure", "veeam-13", "plugin-rman-13"]);
    assert!(site.points.is_empty() && site.windows.is_empty() && site.timezone.is_none());
    assert_eq!(good(&around("", "")).companions, ["infrastructure", "veeam-13"]);
    assert!(good(&around("companions = []", "")).companions.is_empty());
}

#[test]
fn a_mistake_is_shown_in_its_line() {
    let text = EXAMPLE.replace("backup-server  =", "backup-sever   =");
    let Err(found) = load(&text) else { panic!("it loads") };
    assert_snapshot!(all(&found), @r#"
    error: 'backup-sever' is not a known role
      --> site.toml:13:1
       |
    13 | backup-sever   = ["10.77.0.11"]
       | ^^^^^^^^^^^^
       |
       = help: did you mean 'backup-server'?
    "#);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "scenario = \"image\"\noperatons = [\"restore\"]\ncompanions = [\"infrastucture\"]\ntimezone = \"Europe/Berln\"\n\
                [hosts]\na = [\"10.0.0.1\"]\nb = [\"10.0.0.1\", \"10.0.0.300\"]\n[roles]\nconsole = [\"c\"]\n\
                [[window]]\nfrom = \"yesterday\"\n[[allow]]\nfrom = \"any\"\nto = \"any\"\nservice = \"udp\"\n\
                [[override]]\nrule = \"image.shh\"\nskip = true\nreason = \"x\"\n";
    assert_snapshot!(errors(text), @r#"
    1:12 'image' is not a known scenario | did you mean 'image-level'?
    2:1 a site has no key 'operatons' | did you mean 'operations'?
    3:15 'infrastucture' is not a known companion set | did you mean 'infrastructure'?
    4:12 'Europe/Berln' is not a known time zone | did you mean 'Europe/Berlin'?
    7:6 10.0.0.1 already belongs to host 'a' in line 6 | an address belongs to one host
    7:18 '10.0.0.300' is not an address | expected an IPv4 or IPv6 address; names are labels and are never resolved
    9:12 'c' names no host of this site | expected a label of [hosts], an address such as 10.77.0.12 or fd00:77::12, or a block such as 10.77.0.0/24
    10:1 a window lacks 'to' | expected a time such as 2026-11-20T22:00:00+01:00
    11:8 'yesterday' is not a time | expected a time such as 2026-11-20T22:00:00+01:00
    12:1 an exception [[allow]] lacks 'reason' | expected why this is an exception, such as reason = "change 4711"
    14:1 an exception from anybody to anybody would explain everything | name a role, a host or a block on one side at least
    15:11 'udp' is not a service; expected tcp/PORT, udp/PORT or tcp/FIRST-LAST
    17:8 'image.shh' is not a known rule | did you mean 'image.ssh'?
    "#);
}

#[test]
fn roles_and_operations_and_facts_have_known_words() {
    assert_snapshot!(errors(&around("operations = [\"aplication-item\", 3]\nexport_as = \"file\"\nrestore_to = 1\nexplore = \"yes\"\nstarted_from = \"\"\nos = \"Windows\"", "")), @"
    2:15 'aplication-item' is not a known operation | did you mean 'application-item'?
    2:34 an item of 'operations' is an integer | expected a string
    3:13 'file' is not a known export format | did you mean 'files'?
    4:14 'restore_to' is an integer | expected a string
    5:11 'explore' is a string | expected true or false
    6:16 'started_from' is empty
    7:6 'Windows' is not a known operating system | did you mean 'windows'?
    ");
    assert_snapshot!(errors(&around("operations = []", "")), @r#"2:14 'operations' is empty: a restore does something | leave the line out for ["application-item"]"#);
    assert_snapshot!(errors(&around("", "proxy = \"10.0.0.9\"")), @"9:1 'proxy' is not a known role | expected one of: console, backup-server, mount-server, repository, target-windows, staging-server, target-linux");
    assert_snapshot!(errors("operations = [\"export\"]\n[roles]\n"), @r#"
    1:1 a site lacks 'scenario' | expected scenario = "image-level" or scenario = "plug-in": which of the vendor's tables applies
    2:1 [roles] is empty | expected lines such as mount-server = ["10.77.0.12"]
    "#);
    assert_snapshot!(errors("scenario = \"plug-in\"\n"), @r#"1:1 a site lacks 'roles' | expected a table [roles] with lines such as mount-server = ["10.77.0.12"]"#);
}

#[test]
fn a_plug_in_scenario_is_only_restored() {
    let text = "scenario = \"plug-in\"\noperations = [\"application-item\", \"export\", \"instant-recovery\", \"publish\"]\n[roles]\nconsole = \"10.0.0.1\"\n";
    assert_snapshot!(errors(text), @"
    2:35 a plug-in scenario has no 'export' | plug-in backups are only restored: publish, export and instant recovery are for image-level backups
    2:45 a plug-in scenario has no 'instant-recovery' | plug-in backups are only restored: publish, export and instant recovery are for image-level backups
    2:65 a plug-in scenario has no 'publish' | plug-in backups are only restored: publish, export and instant recovery are for image-level backups
    ");
}

#[test]
fn hosts_and_addresses_are_told_apart() {
    let hosts = |lines: &str| {
        errors(&format!("scenario = \"image-level\"\n[hosts]\n{lines}\n[roles]\nconsole = \"10.9.9.9\"\n"))
    };
    assert_snapshot!(hosts("a = [\"10.0.0.1\"]\nb = [\"::ffff:10.0.0.1\"]"), @"4:6 10.0.0.1 already belongs to host 'a' in line 3 | an address belongs to one host");
    assert_snapshot!(hosts("a = []"), @"3:5 host 'a' has no address");
    assert_snapshot!(hosts("a = [\"mnt01.example.com\"]"), @"3:6 'mnt01.example.com' is not an address | expected an IPv4 or IPv6 address; names are labels and are never resolved");
    assert_snapshot!(hosts("any = [\"10.0.0.1\"]\n\"10.0.0.7\" = [\"10.0.0.2\"]"), @r#"
    3:1 'any' cannot be the label of a host | expected a name such as mnt01; addresses, "any" and "mirror" mean something else
    4:1 '10.0.0.7' cannot be the label of a host | expected a name such as mnt01; addresses, "any" and "mirror" mean something else
    "#);
    assert_snapshot!(hosts("a = [\"0.0.0.0\", \"224.0.0.1\", \"ff02::1\", \"255.255.255.255\"]"), @"
    3:6 0.0.0.0 is not the address of a host
    3:17 224.0.0.1 is not the address of a host
    3:30 ff02::1 is not the address of a host
    3:41 255.255.255.255 is not the address of a host
    ");
    assert_snapshot!(hosts("a = 5"), @"3:5 host 'a' is an integer | expected a string or a list of strings");
    assert_snapshot!(hosts("a = { adresses = [\"10.0.0.1\"], os = \"linx\" }"), @"
    3:7 this table has no key 'adresses' | did you mean 'addresses'?
    3:37 'linx' is not a known operating system | did you mean 'linux'?
    ");
    assert_snapshot!(hosts("a = [\"10.0.0.1\"]\na = [\"10.0.0.2\"]"), @"4:1 duplicate key");
}

#[test]
fn members_of_roles_are_hosts_addresses_or_blocks() {
    let role = |value: &str| {
        errors(&format!("scenario = \"image-level\"\n[hosts]\nmnt01 = \"10.0.0.1\"\n[roles]\nmount-server = {value}\n"))
    };
    assert_snapshot!(role("[\"mnt1\"]"), @"5:17 'mnt1' names no host of this site | did you mean 'mnt01'?");
    assert_snapshot!(role("[\"10.0.0.0/33\"]"), @"5:17 '10.0.0.0/33' is not a block of addresses | expected a block such as 10.77.0.0/24 or fd00:77::/64");
    assert_snapshot!(role("[\"10.0.0.5/24\"]"), @"5:17 '10.0.0.5/24' is an address inside a block | did you mean the block 10.0.0.0/24, or the address 10.0.0.5?");
    assert_snapshot!(role("[\"10.0.0.300\"]"), @"5:17 '10.0.0.300' names no host of this site | expected a label of [hosts], an address such as 10.77.0.12 or fd00:77::12, or a block such as 10.77.0.0/24");
    assert_snapshot!(role("{ host = [\"mnt01\"] }"), @"5:18 this table has no key 'host' | did you mean 'hosts'?");
    assert_snapshot!(role("{ hosts = [\"mnt01\"], os = 7 }"), @"5:42 'os' is an integer | expected a string");
}

#[test]
fn one_address_under_two_roles_is_one_host() {
    let site = good(
        "scenario = \"image-level\"\n[roles]\nmount-server = \"10.0.0.1\"\nrepository = [\"::ffff:10.0.0.1\", \"10.1.0.0/16\", \"::ffff:10.2.0.0/112\", \"10.3.0.1/32\"]\n",
    );
    assert_eq!(site.hosts.len(), 2);
    assert_eq!(site.hosts[0].roles.iter().collect::<Vec<_>>(), [&Role::MountServer, &Role::Repository]);
    assert_eq!(site.hosts[1].label, "10.3.0.1");
    assert_eq!(site.role_nets[1].1.to_string(), "10.2.0.0/16");
    assert!(site.roles_of("10.1.2.3".parse().unwrap()).contains(&Role::Repository));
}

#[test]
fn a_staging_server_has_the_system_of_the_target_unless_it_says_otherwise() {
    let os = |roles: &str| {
        let site = good(&format!("scenario = \"image-level\"\n[roles]\n{roles}\n"));
        let staging = site.with_role(Role::StagingServer).next().unwrap();
        site.host(staging).unwrap().os
    };
    assert_eq!(os("target-linux = \"10.0.0.1\"\nstaging-server = \"10.0.0.2\""), Some(Os::Linux));
    assert_eq!(os("target-windows = \"10.0.0.1\"\nstaging-server = \"10.0.0.2\""), Some(Os::Windows));
    let both = "target-windows = \"10.0.0.1\"\ntarget-linux = \"10.0.0.3\"\n";
    assert_eq!(os(&format!("{both}staging-server = \"10.0.0.2\"")), None);
    assert_eq!(os(&format!("{both}staging-server = {{ hosts = [\"10.0.0.2\"], os = \"linux\" }}")), Some(Os::Linux));
    assert_eq!(os(&format!("{both}staging-server = \"10.0.0.3\"")), Some(Os::Linux), "it is the Linux target");
    assert_eq!(
        os("staging-server = \"s\"\n[hosts]\ns = { addresses = \"10.0.0.2\", os = \"windows\" }"),
        Some(Os::Windows)
    );
    let export = good(
        "scenario = \"image-level\"\nos = \"linux\"\noperations = [\"export\"]\n[roles]\nstaging-server = \"10.0.0.2\"\n",
    );
    assert_eq!(export.hosts[0].os, Some(Os::Linux));
}

#[test]
fn a_host_has_one_operating_system() {
    assert_snapshot!(errors("scenario = \"image-level\"\n[roles]\ntarget-windows = \"10.0.0.1\"\ntarget-linux = \"10.0.0.1\"\n"), @"4:16 host '10.0.0.1' cannot be both windows and linux | a host has one operating system; a second one is a host of its own");
    assert_snapshot!(errors("scenario = \"image-level\"\n[hosts]\na = { addresses = \"10.0.0.1\", os = \"linux\" }\n[roles]\ntarget-windows = \"a\"\n"), @"3:36 host 'a' cannot be both linux and windows | a host has one operating system; a second one is a host of its own");
}

#[test]
fn observation_points_are_places_of_the_site() {
    let from = |words: &str| errors(&around(&format!("observed_from = {words}"), ""));
    assert_snapshot!(from("[\"mount-sever\"]"), @"2:18 'mount-sever' names no host of this site | did you mean 'mount-server'?");
    assert_snapshot!(from("[\"staging-server\", \"10.0.0.99\", \"10.0.0.0/24\"]"), @"
    2:18 role 'staging-server' has no host in this site | expected a role with hosts in [roles], a label of [hosts] or an address that stands in either
    2:36 10.0.0.99 is no host of this site | expected a role with hosts in [roles], a label of [hosts] or an address that stands in either
    2:49 '10.0.0.0/24' is a block of addresses, not a place | expected a role with hosts in [roles], a label of [hosts] or an address that stands in either
    ");
    assert_snapshot!(from("[\"mirror\", \"mirror\"]"), @"2:28 the observation point 'mirror' stands in line 2 already | tell them apart by 'captures'");
    let point = |lines: &str| errors(&around("", &format!("[[observation_point]]\n{lines}")));
    assert_snapshot!(point("captures = [\"a\"]"), @r#"9:1 an observation point lacks 'at' | expected a role, a host, an address or "mirror""#);
    assert_snapshot!(point("at = \"mirror\"\nsees = [[\"console\"]]\ncomplet = true"), @r#"
    11:9 'sees' lists something that is not a pair | expected pairs, such as sees = [["mount-server", "repository"]]
    12:1 an observation point has no key 'complet' | did you mean 'complete'?
    "#);
    assert_snapshot!(point("at = \"mirror\"\nsees = [[\"console\", \"target-linux\"], 3]\ncomplete = 1"), @r#"
    11:21 role 'target-linux' has no host in this site | expected a role with hosts in [roles], a label of [hosts] or an address that stands in either
    11:38 'sees' lists something that is not a pair | expected pairs, such as sees = [["mount-server", "repository"]]
    12:12 'complete' is an integer | expected true or false
    "#);
    let site =
        good(&around("observed_from = \"mirror\"", "[[observation_point]]\nat = \"10.0.0.3\"\ncaptures = \"m.pcap\""));
    assert_eq!(site.points[0].places, [Place::Mirror]);
    assert_eq!(site.points[1].captures, ["m.pcap"]);
}

#[test]
fn windows_need_a_zone_and_an_order() {
    let window = |head: &str, lines: &str| errors(&around(head, &format!("[[window]]\n{lines}")));
    let berlin = "timezone = \"Europe/Berlin\"";
    assert_snapshot!(window("", "from = 2026-11-20T22:00:00\nto = \"2026-11-20 23:00\""), @r#"
    10:8 '2026-11-20T22:00:00' has neither an offset nor a time zone | write an offset, as in 2026-11-20T22:00:00+01:00, or set timezone = "Europe/Berlin" at the top
    11:6 '2026-11-20 23:00' has neither an offset nor a time zone | write an offset, as in 2026-11-20T22:00:00+01:00, or set timezone = "Europe/Berlin" at the top
    "#);
    assert_snapshot!(window("", "from = 2026-11-20T22:00:00Z\nto = 2026-11-20T21:00:00Z"), @"10:8 the window begins at 2026-11-20 22:00:00.000 and ends before that, at 2026-11-20 21:00:00.000 | both in UTC; 'from' comes first");
    assert_snapshot!(window("", "from = 2026-11-20T22:00:00Z"), @"9:1 a window lacks 'to' | expected a time such as 2026-11-20T22:00:00+01:00");
    assert_snapshot!(window("", "from = 2026-11-20\nto = 5\nuntil = 3"), @"
    10:8 '2026-11-20' is not a time | expected a time such as 2026-11-20T22:00:00+01:00
    11:6 'to' is an integer | expected a time such as 2026-11-20T22:00:00+01:00
    12:1 a window has no key 'until' | expected one of: from, to
    ");
    assert_snapshot!(window(berlin, "from = 2026-10-25T02:30:00\nto = 2026-10-25T04:00:00"), @"10:8 '2026-10-25T02:30:00' occurs twice or never in the site's time zone | the clocks change then: write the offset, as in 2026-11-20T22:00:00+01:00");
    let site = good(&around(berlin, "[[window]]\nfrom = 2026-11-20T22:00:00\nto = \"2026-11-20 23:00\""));
    assert_eq!(site.windows[0].from, Time::parse("2026-11-20T21:00:00Z").unwrap());
    assert_eq!(site.windows[0].to, Time::parse("2026-11-20T22:00:00Z").unwrap());
}

#[test]
fn exceptions_carry_a_reason_and_a_bound() {
    let allow = |lines: &str| errors(&around("", &format!("[[allow]]\n{lines}")));
    assert_snapshot!(allow("from = \"console\"\nto = \"any\"\nservice = \"udp/53\""), @r#"9:1 an exception [[allow]] lacks 'reason' | expected why this is an exception, such as reason = "change 4711""#);
    assert_snapshot!(allow("from = \"console\"\nto = \"any\"\nservice = \"udp/53\"\nreason = \" \""), @"13:10 'reason' is empty");
    assert_snapshot!(allow("from = \"any\"\nto = \"0.0.0.0/0\"\nservice = \"udp/53\"\nreason = \"r\""), @"11:1 an exception from anybody to anybody would explain everything | name a role, a host or a block on one side at least");
    assert_snapshot!(allow("from = \"consol\"\nto = \"any\"\nservice = \"tcp/0\"\nreason = \"r\"\nexpires = \"soon\""), @"
    10:8 'consol' names no host of this site | did you mean 'console'?
    12:11 'tcp/0': port 0 names no service
    14:11 'soon' is not a time | expected a time such as 2026-11-20T22:00:00+01:00
    ");
    let dated = |date: &str| {
        let text = format!(
            "[[allow]]\nfrom = \"console\"\nto = \"any\"\nservice = \"udp/53\"\nreason = \"r\"\napproved_by = \"ops\"\nexpires = {date}"
        );
        good(&around("timezone = \"Europe/Berlin\"", &text)).allow[0].expires.unwrap().to_string()
    };
    assert_eq!(dated("2026-11-20"), "2026-11-20T22:59:59.999999999Z");
    assert_eq!(dated("\"2026-11-20\""), "2026-11-20T22:59:59.999999999Z");
    assert_eq!(dated("\"2026-11-20T12:00:00Z\""), "2026-11-20T12:00:00.000000000Z");
}

#[test]
fn overrides_change_one_thing_of_a_rule_there_is() {
    let over = |lines: &str| errors(&around("", &format!("[[override]]\n{lines}\nreason = \"r\"")));
    assert_snapshot!(over("rule = \"image.shh\"\nskip = true"), @"10:8 'image.shh' is not a known rule | did you mean 'image.ssh'?");
    assert_snapshot!(over("rule = \"image.rpc-deploy\"\nport = \"tcp/139\"\nneed = \"permitted\""), @r#"11:8 tcp/139 is no port of 'image.rpc-deploy' | expected one of "tcp/445", "tcp/135", "udp/135", "udp/445""#);
    assert_snapshot!(over("rule = \"image.rpc-deploy\"\nservice = \"tcp/4445\""), @r#"11:1 'image.rpc-deploy' has several ports | say which: port = one of "tcp/445", "tcp/135", "udp/135", "udp/445""#);
    assert_snapshot!(over("rule = \"image.ssh\"\nservice = \"udp/22\""), @"11:11 udp/22 is another protocol | tcp/22 speaks tcp; an override moves it to other ports");
    assert_snapshot!(over("rule = \"image.ssh\"\nneed = \"optional\""), @"11:8 'optional' is not a known need | expected one of: permitted, expected, required");
    assert_snapshot!(over("rule = \"image.ssh\"\nneed = \"permitted\"\nskip = true"), @"9:1 the override changes several things | expected exactly one of 'service', 'need', 'skip'");
    assert_snapshot!(over("rule = \"image.ssh\""), @"9:1 the override changes nothing | expected exactly one of 'service', 'need', 'skip'");
    assert_snapshot!(over("rule = \"image.ssh\"\nskip = false"), @"11:1 skip = false changes nothing | leave it out");
    assert_snapshot!(over("rule = \"image.ssh\"\nskip = true\nreason = \"r\"\n[[override]]\nrule = \"image.ssh\"\nport = \"tcp/22\"\nneed = \"expected\""), @"13:1 'image.ssh' is overridden in line 9 already | each port of a rule is overridden once");
    assert_snapshot!(errors(&around("", "[[override]]\nrule = \"image.ssh\"\nskip = true")), @r#"9:1 an exception [[override]] lacks 'reason' | expected why this is an exception, such as reason = "change 4711""#);
}

#[test]
fn an_override_applies_to_its_port_or_its_fallback() {
    let matrix = Matrix::embedded();
    let (_, rule) = matrix.rule("image.data-mover").unwrap();
    let applied = |lines: &str| {
        let site = good(&around("", &format!("[[override]]\nrule = \"image.data-mover\"\n{lines}\nreason = \"r\"")));
        assert!(site.overrides[0].is_about(&rule.ports[0]));
        site.overrides[0].apply(&rule.ports[0])
    };
    let port = applied("port = \"tcp/2500-3300\"\nservice = \"tcp/2500-5000\"").unwrap();
    assert_eq!((port.service.to_string(), port.fallback.unwrap().to_string()), ("tcp/6162".into(), "2500-5000".into()));
    assert_eq!(applied("service = \"tcp/7000\"").unwrap().service.to_string(), "tcp/7000");
    assert_eq!(applied("need = \"permitted\"").unwrap().need, Need::Permitted);
    assert_eq!(applied("skip = true"), None);
}

#[test]
fn doubtful_sites_load_and_are_told_about() {
    assert_snapshot!(warnings("scenario = \"image-level\"\n[roles]\nmount-server = \"10.0.0.1\"\ntarget-windows = \"10.0.0.2\"\nconsole = []\n"), @"
    1:1 no host has the role 'console': what needs it is not judged | asked for by image.rpc-deploy, image.oracle-runtime
    1:1 no host has the role 'backup-server': what needs it is not judged | asked for by image.rpc-deploy, image.oracle-runtime
    1:1 no host has the role 'repository': what needs it is not judged | asked for by image.data-mover
    5:1 role 'console' has no host | give it a host, or leave the line out where the restore has none
    ");
    assert_snapshot!(warnings(&around("restore_to = \"transaction\"\nexport_as = \"files\"\nstarted_from = \"rman\"", "")), @"
    1:1 the operations use a staging server, and the site has none | expected the role staging-server in [roles]
    3:1 'export_as' is without effect: the site has no export
    4:1 'started_from' is without effect: only a plug-in restore can be started from RMAN
    ");
    assert_snapshot!(warnings("scenario = \"image-level\"\n[roles]\nmount-server = \"10.0.0.1\"\nrepository = \"10.1.0.0/16\"\n"), @"
    1:1 the operations restore to a target, and the site has none | expected a role target-windows or target-linux in [roles]
    4:1 role 'repository' has only blocks of addresses: nothing is required of it | add the hosts that the restore uses
    ");
    assert_snapshot!(warnings(&around("os = \"linux\"", "[[override]]\nrule = \"plugin.ssh\"\nskip = true\nreason = \"r\"")), @"
    2:1 the backup is of linux and no target is | a database is restored to the system it came from
    9:1 the override is without effect: 'plugin.ssh' is not judged in this site | its scenario is another one, or its companion set is not chosen
    ");
    assert_snapshot!(warnings("scenario = \"image-level\"\nrestore_to = \"latest\"\n[hosts]\nconsole = \"10.0.0.1\"\n[roles]\ntarget-windows = \"10.0.0.5\"\ntarget-linux = \"10.0.0.6\"\nstaging-server = [\"10.0.0.7\", \"10.0.0.7\"]\n"), @r#"
    1:1 no host has the role 'console': what needs it is not judged | asked for by image.rpc-deploy, image.oracle-runtime, image.ssh
    1:1 no host has the role 'backup-server': what needs it is not judged | asked for by image.rpc-deploy, image.oracle-runtime
    1:1 no host has the role 'mount-server': what needs it is not judged | asked for by image.installer, image.ssh, image.iscsi
    4:1 host 'console' is called like a role it does not have | call the host something else: where hosts are named, this word means the role
    8:19 the operating system of the staging server is not known | say it: staging-server = { hosts = [...], os = "windows" }
    8:31 '10.0.0.7' has the role 'staging-server' already
    "#);
}

#[test]
fn files_that_are_no_site_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let told = |path: &std::path::Path| match Site::load_file(path, &Matrix::embedded()) {
        Err(LoadError::Run(e)) => e.to_string().replace(&folder.path().display().to_string(), "DIR"),
        other => panic!("{other:?}"),
    };
    assert_snapshot!(told(folder.path()), @"cannot read DIR: it is a directory, not a site file");
    assert!(told(&folder.path().join("none.toml")).starts_with("cannot read DIR/none.toml: "));
    let binary = folder.path().join("site.toml");
    std::fs::write(&binary, b"scenario = \"\xff\"").unwrap();
    assert_snapshot!(told(&binary), @"cannot read DIR/site.toml: a site file is UTF-8 text, and the byte at offset 12 is not");
    std::fs::write(&binary, EXAMPLE).unwrap();
    assert!(Site::load_file(&binary, &Matrix::embedded()).is_ok());
    assert_snapshot!(errors("scenario = image-level\n[roles\n"), @"
    1:12 invalid float, expected `inf` | words are written in double quotes
    2:7 unclosed table, expected `]`
    ");
}

#[test]
fn no_text_stops_the_loader() {
    let text = EXAMPLE.replace("sshd moved", "sshd zog um: \u{e4}\u{1f980}\t");
    for (at, _) in text.char_indices() {
        let _ = load(&text[..at]);
        let _ = load(&format!("{}\u{1f980}{}", &text[..at], &text[at..]));
    }
}
