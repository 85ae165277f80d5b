//! The rules files say what the vendor's page and our reading of it say.
#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop at the first surprise")]

use std::collections::BTreeSet;

use portwitness::matrix::{
    self, EMBEDDED, ExportAs, Healing, Matrix, Need, Operation, Os, Peer, RestoreFacts, RestoreTo, Role, Rule,
    Scenario, SetKind, StartedFrom,
};

use Need::{Expected, Permitted, Required};
use Operation::{ApplicationItem, EnterpriseManager, Export, InstantRecovery, Publish};
use Role::{BackupServer, Console, MountServer, Repository, StagingServer, TargetLinux, TargetWindows};

#[test]
fn the_embedded_rules_lint_clean() {
    for (file, text) in EMBEDDED {
        let found = matrix::lint(text, file);
        let texts: Vec<String> = found.iter().map(|d| d.error.to_string()).collect();
        assert!(found.is_empty(), "{}", texts.join("\n"));
    }
    let ids: Vec<String> = Matrix::embedded().sets.into_iter().map(|s| s.id).collect();
    assert_eq!(ids, ["veeam-oracle-13.0.1", "infrastructure", "plugin-rman-13", "veeam-13"]);
}

#[test]
fn every_rule_says_what_it_is_for_and_where_it_comes_from() {
    let matrix = Matrix::embedded();
    let mut ids = BTreeSet::new();
    for (set, rule) in matrix.sets.iter().flat_map(|s| s.rules.iter().map(move |r| (s, r))) {
        assert!(ids.insert(&rule.id), "{} is there twice", rule.id);
        assert!(!rule.purpose.is_empty() && !rule.basis.is_empty(), "{}", rule.id);
        if set.kind == SetKind::Matrix {
            assert!(!rule.blocked_symptom.is_empty() && !rule.next_step.is_empty(), "{}", rule.id);
            assert!(rule.stage.is_some() && rule.scenario.is_some(), "{}", rule.id);
        }
    }
    let set = &matrix.sets[0];
    assert_eq!((set.build.as_deref(), set.date.as_deref()), (Some("13.0.1.1071"), Some("2025-12-23")));
    assert_eq!(set.digest.len(), 64);
}

/// Table, from, to, ports.
type Row = (Scenario, &'static [Role], &'static [Role], &'static [&'static str]);

/// The vendor's page, typed row by row with inherited cells filled in: table, from, to, ports.
const PAGE: &[Row] = &[
    (Scenario::ImageLevel, &[Console], &[BackupServer], &["tcp/443"]),
    (
        Scenario::ImageLevel,
        &[BackupServer, Console, MountServer],
        &[TargetWindows, StagingServer],
        &["tcp/135", "udp/135", "tcp/445", "udp/445"],
    ),
    (
        Scenario::ImageLevel,
        &[BackupServer, Console, MountServer],
        &[TargetWindows, StagingServer],
        &["tcp/49152-65535"],
    ),
    (Scenario::ImageLevel, &[BackupServer, Console, MountServer], &[TargetWindows, StagingServer], &["tcp/1035-1075"]),
    (Scenario::ImageLevel, &[MountServer], &[TargetWindows, StagingServer], &["tcp/6160", "tcp/445"]),
    (Scenario::ImageLevel, &[Console, MountServer], &[TargetLinux], &["tcp/22"]),
    (Scenario::ImageLevel, &[BackupServer, Console, MountServer], &[Repository], &["tcp/6162", "tcp/2500-3300"]),
    (Scenario::ImageLevel, &[TargetWindows, StagingServer], &[MountServer], &["tcp/3260-3270"]),
    (Scenario::PlugIn, &[Console], &[BackupServer], &["tcp/443"]),
    (Scenario::PlugIn, &[Console], &[TargetWindows], &["tcp/135", "udp/135", "tcp/445", "udp/445"]),
    (Scenario::PlugIn, &[Console], &[TargetWindows], &["tcp/49152-65535"]),
    (Scenario::PlugIn, &[Console], &[TargetWindows], &["tcp/1035-1075"]),
    (Scenario::PlugIn, &[Console], &[TargetLinux], &["tcp/22"]),
    (Scenario::PlugIn, &[BackupServer, Console, TargetLinux], &[Repository], &["tcp/6162", "tcp/2500-3300"]),
];

/// From, to, service: once per pair and port.
type Cells = BTreeSet<(Scenario, Role, Role, String)>;

fn page_cells() -> Cells {
    let mut cells = Cells::new();
    for &(scenario, from, to, ports) in PAGE {
        for (&from, &to) in from.iter().flat_map(|f| to.iter().map(move |t| (f, t))) {
            cells.extend(ports.iter().map(|p| (scenario, from, to, (*p).to_owned())));
        }
    }
    cells
}

fn rule_cells() -> Cells {
    let role = |peer: &Peer| match peer {
        Peer::Role(role) => *role,
        other => panic!("{other:?} in the matrix"),
    };
    let mut cells = Cells::new();
    for rule in &Matrix::embedded().sets[0].rules {
        for (from, to) in rule.from.iter().flat_map(|f| rule.to.iter().map(move |t| (role(&f.peer), role(t)))) {
            for port in &rule.ports {
                let services = [Some(port.service), port.fallback_service()];
                cells.extend(services.iter().flatten().map(|s| (rule.scenario.unwrap(), from, to, s.to_string())));
            }
        }
    }
    cells
}

#[test]
fn both_tables_of_the_page_are_there_cell_by_cell_and_nothing_else() {
    let (page, rules) = (page_cells(), rule_cells());
    assert_eq!(page.difference(&rules).collect::<Vec<_>>(), Vec::<&_>::new(), "on the page only");
    assert_eq!(rules.difference(&page).collect::<Vec<_>>(), Vec::<&_>::new(), "in the rules only");
    assert_eq!(Matrix::embedded().sets[0].rules.len(), PAGE.len());
}

const T: &[Operation] = &[ApplicationItem, Publish, InstantRecovery, EnterpriseManager];

/// What one source has to show on one port: per operation, `None` for what it does not drive.
fn needs(rule: &str, role: Role, port: &str, facts: RestoreFacts) -> [Option<Need>; 5] {
    let matrix = Matrix::embedded();
    let (_, rule) = matrix.rule(rule).unwrap();
    let port = rule.ports.iter().find(|p| p.service.to_string() == port).unwrap();
    let drive = |o| {
        let of_role = rule.from.iter().filter(|s| s.peer == Peer::Role(role));
        of_role.filter_map(|s| s.drive(o, &facts, port.need)).max()
    };
    [ApplicationItem, Publish, Export, InstantRecovery, EnterpriseManager].map(drive)
}

fn allowed(rule: &str, role: Role, facts: RestoreFacts) -> Vec<Operation> {
    let matrix = Matrix::embedded();
    let (_, rule) = matrix.rule(rule).unwrap();
    let of_role = || rule.from.iter().filter(|s| s.peer == Peer::Role(role));
    Operation::ALL.iter().copied().filter(|&o| of_role().any(|s| s.allowed(o, &facts))).collect()
}

const R: Option<Need> = Some(Required);
const E: Option<Need> = Some(Expected);
const P: Option<Need> = Some(Permitted);

/// Columns: application-item, publish, export, instant-recovery, enterprise-manager.
const NEEDS: &[(&str, Role, &str, [Option<Need>; 5])] = &[
    ("image.console", Console, "tcp/443", [R, R, R, E, P]),
    ("image.rpc-deploy", Console, "tcp/445", [R, R, R, E, None]),
    ("image.rpc-deploy", BackupServer, "tcp/445", [R, R, R, None, None]),
    ("image.rpc-deploy", MountServer, "tcp/445", [None, None, None, R, R]),
    ("image.rpc-deploy", Console, "tcp/135", [E, E, E, E, None]),
    ("image.rpc-deploy", BackupServer, "tcp/135", [E, E, E, None, None]),
    ("image.rpc-deploy", MountServer, "tcp/135", [None, None, None, E, E]),
    ("image.rpc-deploy", Console, "udp/135", [P, P, P, P, None]),
    ("image.rpc-deploy", MountServer, "udp/445", [None, None, None, P, P]),
    ("image.rpc-dynamic", Console, "tcp/49152-65535", [E, E, E, E, None]),
    ("image.rpc-dynamic", BackupServer, "tcp/49152-65535", [E, E, E, None, None]),
    ("image.rpc-dynamic", MountServer, "tcp/49152-65535", [None, None, None, E, E]),
    ("image.oracle-runtime", Console, "tcp/1035-1075", [R, R, R, E, None]),
    ("image.oracle-runtime", BackupServer, "tcp/1035-1075", [R, R, R, None, None]),
    ("image.oracle-runtime", MountServer, "tcp/1035-1075", [None, None, None, R, R]),
    ("image.installer", MountServer, "tcp/6160", [R, R, R, R, R]),
    ("image.installer", MountServer, "tcp/445", [E, E, E, E, E]),
    ("image.ssh", MountServer, "tcp/22", [R, R, None, R, R]),
    ("image.ssh", Console, "tcp/22", [R, R, None, R, P]),
    ("image.data-mover", MountServer, "tcp/6162", [R, R, R, R, R]),
    ("image.data-mover", Console, "tcp/6162", [None; 5]),
    ("image.data-mover", BackupServer, "tcp/6162", [None; 5]),
    ("image.iscsi", TargetWindows, "tcp/3260-3270", [R, R, None, R, R]),
    ("image.iscsi", StagingServer, "tcp/3260-3270", [R, R, R, R, R]),
    ("related.ssh-staging", MountServer, "tcp/22", [E, E, E, E, E]),
    ("related.ssh-staging", Console, "tcp/22", [E, E, E, E, E]),
];

#[test]
fn the_needs_of_image_level_restores_are_those_of_our_reading() {
    for &(rule, role, port, expected) in NEEDS {
        assert_eq!(needs(rule, role, port, RestoreFacts::default()), expected, "{rule} {role} {port}");
    }
    for (rule, role) in [("image.rpc-deploy", BackupServer), ("image.oracle-runtime", Console)] {
        assert_eq!(allowed(rule, role, RestoreFacts::default()), Operation::ALL, "{rule} {role}");
    }
    assert_eq!(
        allowed("image.rpc-dynamic", MountServer, RestoreFacts::default()),
        [InstantRecovery, EnterpriseManager]
    );
    for role in [MountServer, Console, BackupServer] {
        assert_eq!(allowed("image.data-mover", role, RestoreFacts::default()), Operation::ALL, "{role}");
    }
}

#[test]
fn files_of_a_windows_backup_may_be_exported_by_the_console() {
    let files = RestoreFacts { export_as: Some(ExportAs::Files), os: Some(Os::Windows), ..RestoreFacts::default() };
    assert_eq!(needs("image.data-mover", Console, "tcp/6162", files), [None, None, R, None, None]);
    assert_eq!(needs("image.data-mover", MountServer, "tcp/6162", files), [R; 5]);
    assert_eq!(allowed("image.data-mover", Console, files), Operation::ALL);
    let linux = RestoreFacts { os: Some(Os::Linux), ..files };
    assert_eq!(needs("image.data-mover", Console, "tcp/6162", linux), [None; 5]);
}

#[test]
fn the_needs_of_plug_in_restores_are_those_of_our_reading() {
    let console = RestoreFacts { started_from: Some(StartedFrom::Console), ..RestoreFacts::default() };
    let rman = RestoreFacts { started_from: Some(StartedFrom::Rman), ..RestoreFacts::default() };
    let cases = [
        ("plugin.console", Console, "tcp/443", R),
        ("plugin.rpc-deploy", Console, "tcp/445", R),
        ("plugin.rpc-deploy", Console, "tcp/135", E),
        ("plugin.rpc-deploy", Console, "udp/135", P),
        ("plugin.rpc-dynamic", Console, "tcp/49152-65535", E),
        ("plugin.oracle-runtime", Console, "tcp/1035-1075", R),
        ("plugin.ssh", Console, "tcp/22", R),
    ];
    for (rule, role, port, need) in cases {
        for facts in [RestoreFacts::default(), console] {
            assert_eq!(needs(rule, role, port, facts)[0], need, "{rule} {port}");
        }
        assert_eq!(needs(rule, role, port, rman), [None; 5], "{rule} {port}: RMAN needs no console");
    }
    for facts in [console, rman] {
        assert_eq!(needs("plugin.data-mover", TargetLinux, "tcp/6162", facts)[0], R);
        assert_eq!(needs("plugin-rman.data", TargetWindows, "tcp/6162", facts)[0], R);
        for role in [TargetWindows, TargetLinux] {
            assert_eq!(needs("plugin-rman.control", role, "tcp/10006", facts)[0], R);
            assert_eq!(needs("plugin-rman.control", role, "tcp/443", facts)[0], E);
        }
        for role in [Console, BackupServer] {
            assert_eq!(needs("plugin.data-mover", role, "tcp/6162", facts), [None; 5]);
            assert!(allowed("plugin.data-mover", role, facts).contains(&ApplicationItem));
        }
    }
}

#[test]
fn targets_and_staging_servers_take_part_when_the_operation_uses_them() {
    let matrix = Matrix::embedded();
    let latest = RestoreFacts { restore_to: Some(RestoreTo::Latest), ..RestoreFacts::default() };
    let using = |role, facts: RestoreFacts| -> Vec<Operation> {
        Operation::ALL.iter().copied().filter(|&o| matrix.takes_part_in(role, o, &facts)).collect()
    };
    assert_eq!(using(TargetWindows, latest), T);
    assert_eq!(using(TargetLinux, RestoreFacts::default()), T);
    assert_eq!(using(StagingServer, latest), [Export]);
    assert_eq!(
        using(StagingServer, RestoreFacts { restore_to: Some(RestoreTo::Transaction), ..latest }),
        Operation::ALL
    );
    assert_eq!(using(StagingServer, RestoreFacts { explore: Some(true), ..latest }), Operation::ALL);
    assert_eq!(using(StagingServer, RestoreFacts { explore: Some(false), ..latest }), [Export]);
    assert_eq!(using(StagingServer, RestoreFacts::default()), Operation::ALL, "not said: it may be a transaction");
    let files = |os| RestoreFacts { export_as: Some(ExportAs::Files), os: Some(os), ..latest };
    assert_eq!(using(StagingServer, files(Os::Windows)), []);
    assert_eq!(using(StagingServer, files(Os::Linux)), [Export]);
    assert_eq!(using(Console, latest), Operation::ALL);
    let staging = matrix.sets[0].participation.iter().find(|p| p.role == StagingServer).unwrap();
    assert!(staging.soften_without_restore_to);
}

#[test]
fn stages_follow_each_other_as_a_restore_does() {
    let matrix = Matrix::embedded();
    let order: &[&[&str]] = &[
        &["image.console", "plugin.console"],
        &["image.rpc-deploy", "image.ssh", "plugin.rpc-deploy", "plugin.ssh", "related.ssh-staging"],
        &["image.rpc-dynamic", "image.oracle-runtime", "plugin.rpc-dynamic", "plugin.oracle-runtime"],
        &["image.data-mover", "plugin-rman.control"],
        &["image.installer", "plugin.data-mover", "plugin-rman.data"],
        &["image.iscsi"],
    ];
    for (stage, rules) in (1_u8..).zip(order) {
        for id in *rules {
            assert_eq!(matrix.rule(id).unwrap().1.stage, Some(stage), "{id}");
        }
    }
}

#[test]
fn each_port_heals_as_its_kind_does() {
    let matrix = Matrix::embedded();
    for port in matrix.sets.iter().flat_map(|s| &s.rules).flat_map(|r| &r.ports) {
        let expected = match port.service.to_string().as_str() {
            "tcp/49152-65535" => Healing::Mapper,
            "tcp/1035-1075" => Healing::NextFree,
            "tcp/2500-3300" | "tcp/3260-3270" => Healing::Range,
            _ => Healing::SamePort,
        };
        assert_eq!(port.healing, expected, "{}", port.service);
    }
    let deploy = matrix.rule("image.rpc-deploy").unwrap().1;
    assert_eq!(deploy.ports.iter().find_map(|p| p.substituted_by), Some(445));
    let mover = matrix.rule("image.data-mover").unwrap().1;
    assert_eq!(mover.ports[0].fallback.unwrap().to_string(), "2500-3300");
}

#[test]
fn linux_and_windows_staging_servers_have_their_own_rules() {
    let matrix = Matrix::embedded();
    let rule = |id: &str| -> Rule { matrix.rule(id).unwrap().1.clone() };
    for id in ["image.rpc-deploy", "image.rpc-dynamic", "image.oracle-runtime", "image.installer", "image.iscsi"] {
        assert!(rule(id).takes_staging(Some(Os::Windows)) && !rule(id).takes_staging(Some(Os::Linux)), "{id}");
    }
    assert!(!rule("related.ssh-staging").takes_staging(Some(Os::Windows)));
    assert!(rule("related.ssh-staging").takes_staging(None));
}

#[test]
fn dynamic_ports_orient_nothing_and_services_do() {
    use portwitness::base::Proto::Tcp;
    let ports = Matrix::embedded().service_ports();
    assert!([22, 135, 443, 445, 1035, 2500, 3260, 6160, 6162].iter().all(|&p| ports.contains(Tcp, p)));
    assert!(!ports.contains(Tcp, 49152) && !ports.contains(Tcp, 60000));
}

/// Set, from, to, services.
type Related = (&'static str, Option<Role>, Option<Role>, &'static [&'static str]);

/// Companion traffic by set, from, to and service; `None` is a host without a role.
const COMPANIONS: &[Related] = &[
    (
        "infrastructure",
        Some(MountServer),
        None,
        &["udp/53", "tcp/53", "tcp/88", "udp/88", "tcp/389", "udp/389", "tcp/636"],
    ),
    ("infrastructure", Some(TargetLinux), None, &["tcp/3268", "tcp/3269", "tcp/445", "tcp/139", "udp/137", "udp/138"]),
    ("infrastructure", Some(Repository), None, &["udp/123", "tcp/4460", "udp/514", "tcp/514", "tcp/6514", "tcp/80"]),
    ("infrastructure", Some(BackupServer), None, &["tcp/5432", "tcp/1433", "tcp/443", "tcp/902"]),
    (
        "infrastructure",
        None,
        Some(TargetWindows),
        &["tcp/3389", "tcp/5985", "tcp/1521", "tcp/2805", "tcp/2741", "tcp/1239"],
    ),
    (
        "infrastructure",
        None,
        Some(BackupServer),
        &["tcp/22", "tcp/10443", "tcp/9419", "tcp/9405", "tcp/9398", "tcp/9392"],
    ),
    (
        "veeam-13",
        Some(BackupServer),
        Some(MountServer),
        &["tcp/6170", "tcp/6160", "tcp/6162", "tcp/445", "tcp/2500-3300"],
    ),
    ("veeam-13", Some(MountServer), Some(BackupServer), &["tcp/443", "tcp/9401", "tcp/6162", "tcp/2500-3300"]),
    ("veeam-13", Some(Console), Some(MountServer), &["tcp/2500-3300", "tcp/6162", "tcp/6170", "tcp/3260-3270"]),
    (
        "veeam-13",
        Some(BackupServer),
        Some(Repository),
        &["tcp/22", "tcp/6160", "tcp/6162", "tcp/2500-3300", "tcp/445", "tcp/135", "tcp/139", "udp/137"],
    ),
    ("veeam-13", Some(Repository), Some(BackupServer), &["tcp/6162", "tcp/2500-3300"]),
    ("veeam-13", Some(Repository), Some(MountServer), &["tcp/2500-3300"]),
    ("veeam-13", Some(Console), Some(StagingServer), &["tcp/6162", "tcp/2500-3300", "tcp/22"]),
    ("veeam-13", Some(StagingServer), Some(Console), &["tcp/6162", "tcp/2500-3300"]),
    ("veeam-13", Some(MountServer), Some(TargetWindows), &["tcp/6162", "tcp/11731"]),
    ("veeam-13", Some(TargetLinux), Some(MountServer), &["tcp/6162", "tcp/2500-3300"]),
    ("veeam-13", Some(TargetLinux), Some(Repository), &["tcp/6162", "tcp/2500-3300"]),
    ("veeam-13", Some(MountServer), Some(TargetLinux), &["tcp/6162", "tcp/2500-3300"]),
    ("veeam-13", Some(Repository), Some(TargetLinux), &["tcp/6162", "tcp/2500-3300"]),
    ("veeam-13", Some(TargetWindows), Some(Repository), &["tcp/6162", "tcp/2500-3300"]),
    (
        "veeam-13",
        Some(BackupServer),
        Some(TargetWindows),
        &["tcp/135", "tcp/445", "tcp/6160", "tcp/6162", "tcp/6167", "tcp/6173", "tcp/11731", "tcp/2500-3300"],
    ),
    (
        "veeam-13",
        Some(BackupServer),
        Some(TargetLinux),
        &["tcp/22", "tcp/6160", "tcp/6162", "tcp/6167", "tcp/2500-3300"],
    ),
    ("plugin-rman-13", Some(TargetLinux), Some(BackupServer), &["tcp/10006", "tcp/443"]),
    ("plugin-rman-13", Some(TargetWindows), Some(Repository), &["tcp/6162", "tcp/2500-3300"]),
];

fn fits(peers: &[Peer], role: Option<Role>) -> bool {
    peers.iter().any(|p| match (p, role) {
        (Peer::Role(r), Some(role)) => *r == role,
        (Peer::AnyRole, Some(_)) | (Peer::Outside, None) => true,
        _ => false,
    })
}

#[test]
fn companion_sets_hold_what_is_known_of_such_traffic() {
    let matrix = Matrix::embedded();
    for &(set, from, to, services) in COMPANIONS {
        let set = matrix.sets.iter().find(|s| s.id == set).unwrap();
        for service in services {
            let holds = |rule: &&Rule| {
                let sources: Vec<Peer> = rule.from.iter().map(|s| s.peer).collect();
                let of_port = |p: &matrix::RulePort| {
                    [Some(p.service), p.fallback_service()].iter().flatten().any(|s| s.to_string() == *service)
                };
                fits(&sources, from) && fits(&rule.to, to) && rule.ports.iter().any(of_port)
            };
            assert!(set.rules.iter().any(|r| holds(&r)), "{}: {from:?} -> {to:?} {service}", set.id);
        }
    }
}

#[test]
fn companions_do_not_explain_away_the_conditions_of_the_page() {
    let matrix = Matrix::embedded();
    let explained = |from, to, port: u16, scenario| {
        let companions = matrix.sets.iter().filter(|s| s.kind == SetKind::Companion).flat_map(|s| &s.rules);
        companions.filter(|r| r.scenario.is_none_or(|s| s == scenario)).any(|r| {
            let sources: Vec<Peer> = r.from.iter().map(|s| s.peer).collect();
            let ports = r.ports.iter().any(|p| p.service.contains(portwitness::base::Proto::Tcp, port));
            fits(&sources, Some(from)) && fits(&r.to, Some(to)) && ports
        })
    };
    for port in [135, 445, 1035, 50000] {
        assert!(!explained(MountServer, TargetWindows, port, Scenario::ImageLevel), "mount server, {port}");
        assert!(!explained(BackupServer, TargetWindows, port, Scenario::PlugIn), "plug-in, {port}");
    }
    for port in [22, 443, 3389] {
        assert!(!explained(TargetWindows, MountServer, port, Scenario::ImageLevel));
        assert!(!explained(MountServer, TargetWindows, port, Scenario::ImageLevel));
    }
}
