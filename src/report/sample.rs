//! Reports made by hand, for the tests of the formats.

use super::*;
use crate::base::{InputId, Known, Problem, ProblemKind, Proto, Time};
use crate::flow::{EndPoint, FlowId};
use crate::matrix::{Need, Operation, Role, Scenario};

fn at(text: &str) -> Time {
    Time::parse(text).unwrap()
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|t| (*t).to_owned()).collect()
}

fn requirement(rule: &str, from: &[&str], to: &str, service: &str, outcome: Outcome) -> Requirement {
    Requirement {
        rule: rule.into(),
        scenario: Some(Scenario::ImageLevel),
        operations: vec![Operation::ApplicationItem],
        from: strings(from),
        from_roles: vec![Role::Console],
        to: to.into(),
        service: service.into(),
        need: Need::Required,
        stage: Some(2),
        outcome,
        cause: None,
        reason: "3 of 3 connections were established".into(),
        path: None,
        symptom: None,
        next_step: None,
        disagreement: None,
        fallback: None,
        substituted_by: None,
        settle_at: Vec::new(),
        in_view: true,
        exception: None,
        flows: Vec::new(),
        display_filter: String::new(),
    }
}

pub(super) fn flow(id: &str, orig: (&str, &str, u16), resp: (&str, &str, u16), frame: u64) -> FlowRecord {
    let end = |(host, addr, port): (&str, &str, u16)| EndRecord {
        addr: addr.parse().unwrap(),
        port,
        host: (!host.is_empty()).then(|| host.into()),
        roles: Some(Vec::new()),
    };
    let point = |(_, addr, port): (&str, &str, u16)| EndPoint { addr: addr.parse().unwrap(), port };
    FlowRecord {
        id: FlowId(id.into()),
        proto: Proto::Tcp,
        orig: end(orig),
        resp: end(resp),
        direction: Direction::Syn,
        conn_state: "SF",
        attempt: "established",
        attempt_reason: "the handshake was completed".into(),
        after: None,
        class: Some(Class::Expected),
        unexpected: None,
        assumed: false,
        reason: Some("allowed by image.ssh".into()),
        rules: strings(&["image.ssh"]),
        label: None,
        app: AppRecord {
            protocol: Some("ssh".into()),
            state: Some(AppState::Confirmed),
            summary: "ssh (SSH-2.0-OpenSSH_9.2)".into(),
            facts: Vec::new(),
            mapper: Vec::new(),
            refusal: None,
        },
        first: at("2026-11-20T21:00:03.25Z"),
        last: at("2026-11-20T21:00:10.5Z"),
        orig_packets: 12,
        orig_bytes: 4096,
        resp_packets: 10,
        resp_bytes: 123_456,
        orig_payload: 3000,
        resp_payload: 120_000,
        attempts: 1,
        vlans: Vec::new(),
        tunnels: Vec::new(),
        untunnelled_packets: None,
        icmp: Vec::new(),
        dropped: Vec::new(),
        processes: Vec::new(),
        warnings: Vec::new(),
        input: "restore.pcap".into(),
        first_frame: frame,
        observation_point: None,
        connection: None,
        display_filter: FlowFilter { proto: Proto::Tcp, ends: [orig, resp].map(point) },
    }
}

fn capture() -> Capture {
    Capture {
        path: "captures/restore.pcap".into(),
        format: "pcap".into(),
        sha256: Known::Unknown,
        linktypes: strings(&["Ethernet"]),
        packets: 1843,
        bytes: 1_432_112,
        first: Some(at("2026-11-20T21:00:00Z")),
        last: Some(at("2026-11-20T21:04:10Z")),
        loss: LossUsed { kernel: Known::Unknown, interface: Known::Unknown, inferred: 0 },
        filter: Known::Unknown,
        snaplen: Known::Known(65535),
        truncated: None,
        cannot_tell: Vec::new(),
        observation_point: "mnt01".into(),
        problems: Vec::new(),
    }
}

fn base(verdict: Verdict, headline: &str) -> Report {
    Report {
        schema: SCHEMA.into(),
        verdict,
        headline: headline.into(),
        reasons: Vec::new(),
        scope: Scope {
            mode: ScopeMode::Observable,
            required_in_view: 2,
            required: 3,
            exceptions: 0,
            first: Some(at("2026-11-20T21:00:00Z")),
            last: Some(at("2026-11-20T21:04:10Z")),
        },
        tool: Tool { name: "portwitness".into(), version: "0.1.0".into(), run_at: None },
        matrix: MatrixUsed {
            id: "veeam-oracle-13.0.1".into(),
            title: "Oracle restore".into(),
            build: Some("13.0.1.1071".into()),
            page: None,
            date: Some("2025-12-23".into()),
            digest: "00".repeat(32),
            companions: Vec::new(),
        },
        site: Some(SiteUsed {
            path: "site.toml".into(),
            digest: "11".repeat(32),
            scenario: Scenario::ImageLevel,
            operations: vec![Operation::ApplicationItem],
            hosts: Vec::new(),
            timezone: Some("Europe/Berlin".into()),
        }),
        inferred_roles: Vec::new(),
        exceptions: Vec::new(),
        captures: vec![capture()],
        clocks: Vec::new(),
        observation_points: vec![Point {
            name: "mnt01".into(),
            inferred: false,
            hosts: strings(&["mnt01"]),
            complete: true,
            forbids: Vec::new(),
        }],
        requirements: Vec::new(),
        disagreements: Vec::new(),
        endpoint_mapper: Vec::new(),
        flows: Vec::new(),
        classes: ClassCounts { expected: 4, ..ClassCounts::default() },
        coverage: Coverage { exercised: 2, required: 3, not_exercised: strings(&["image.console"]) },
        exposure: Exposure { needed: Openings { opened: 12, used: 4 }, ..Exposure::default() },
        warnings: Vec::new(),
        limits: strings(&["It judges network flows; it does not prove that data was restored."]),
    }
}

/// Everything in view works; one row is out of sight.
pub(super) fn pass() -> Report {
    let mut report = base(Verdict::Pass, "PASS, 2 of 3 required in view");
    let ssh = Requirement {
        flows: vec![FlowId("1:ssh=.1".into())],
        ..requirement("image.ssh", &["mnt01 (10.77.0.12)"], "lin01 (10.77.1.22)", "tcp/22", Outcome::Satisfied)
    };
    let mover = Requirement {
        reason: "tcp/6162 was refused; tcp/2500 was used instead".into(),
        ..requirement(
            "image.data-mover",
            &["mnt01 (10.77.0.12)"],
            "rep01 (10.77.0.13)",
            "tcp/6162",
            Outcome::SatisfiedByFallback,
        )
    };
    let console = Requirement {
        settle_at: strings(&["con01", "bak01"]),
        in_view: false,
        ..requirement("image.console", &["con01 (10.77.0.10)"], "bak01 (10.77.0.11)", "tcp/443", Outcome::NotObservable)
    };
    report.requirements = vec![console, ssh, mover];
    let none =
        requirement("image.iscsi", &["tgt01 (10.77.1.20)"], "mnt01 (10.77.0.12)", "tcp/3260", Outcome::NotApplicable);
    report.requirements.push(none);
    report.flows = vec![flow("1:ssh=.1", ("mnt01", "10.77.0.12", 50022), ("lin01", "10.77.1.22", 22), 7).into()];
    report
}

/// Dynamic RPC is blocked, something unexpected was seen, and an exception has expired.
pub(super) fn blocked() -> Report {
    let mut report = base(Verdict::Fail, "FAIL, 2 of 3 required in view, 1 exception");
    report.scope.exceptions = 1;
    report.reasons = strings(&[
        "image.rpc-dynamic is blocked: con01 (10.77.0.10) got no answer from tgt01 (10.77.1.20) on tcp/49154, the port that \
         its endpoint mapper named.",
        "1 flow between hosts of this restore that no rule explains: mnt01 (10.77.0.12) to tgt01 (10.77.1.20) tcp/3389.",
    ]);
    let rpc = Requirement {
        cause: Some(Cause::Unanswered),
        reason:
            "The endpoint mapper of tgt01 named tcp/49154; 4 SYNs to it in 7.0 s met silence, while tcp/135 answered \
                 on the same path."
                .into(),
        symptom: Some("RPC function call failed; the RPC server is unavailable (1722, 0x800706BA).".into()),
        next_step: Some(
            "Allow tcp/49152-65535 from con01 (10.77.0.10) to tgt01 (10.77.1.20) on the firewall between them.".into(),
        ),
        flows: vec![FlowId("1:rpc=.1".into()), FlowId("1:rpc=.2".into()), FlowId("1:rpc=.3".into())],
        display_filter: "ip.addr == 10.77.0.10 && ip.addr == 10.77.1.20 && tcp.port == 49154".into(),
        ..requirement(
            "image.rpc-dynamic",
            &["con01 (10.77.0.10)"],
            "tgt01 (10.77.1.20)",
            "tcp/49152-65535",
            Outcome::Blocked,
        )
    };
    let runtime = Requirement {
        cause: Some(Cause::EarlierStep),
        reason: "never due: image.rpc-dynamic is blocked".into(),
        ..requirement(
            "image.oracle-runtime",
            &["con01 (10.77.0.10)"],
            "tgt01 (10.77.1.20)",
            "tcp/1035-1075",
            Outcome::NotReached,
        )
    };
    let deploy =
        requirement("image.rpc-deploy", &["con01 (10.77.0.10)"], "tgt01 (10.77.1.20)", "tcp/135", Outcome::Satisfied);
    report.requirements = vec![deploy, rpc, runtime];
    report.flows = blocked_flows().into_iter().map(Into::into).collect();
    report.classes.unexpected = 1;
    report.captures[0].problems = vec![Problem {
        input: InputId(0),
        kind: ProblemKind::FileTruncated,
        detail: String::new(),
        offset: Some(1_432_100),
        frame: None,
        count: 1,
    }];
    report.captures[0].truncated = Some(1_432_100);
    report.exceptions = vec![Exception {
        kind: "allow".into(),
        what: "mount-server to 10.0.0.53 udp/53".into(),
        reason: "site DNS".into(),
        approved_by: Some("network team".into()),
        expires: Some(at("2026-10-01T00:00:00Z")),
        state: ExceptionState::Expired,
        line: 31,
        flows: 0,
    }];
    report
}

fn blocked_flows() -> Vec<FlowRecord> {
    let silent = |id: &str, port, frame| FlowRecord {
        conn_state: "S0",
        attempt: "unanswered",
        attempt_reason: "4 SYNs in 7.0 s, nothing back".into(),
        after: None,
        ..flow(id, ("con01", "10.77.0.10", port), ("tgt01", "10.77.1.20", 49154), frame)
    };
    let rdp = FlowRecord {
        class: Some(Class::Unexpected),
        unexpected: Some(UnexpectedKind::NoRule),
        reason: Some("no rule lets a mount server open tcp/3389 at a Windows target".into()),
        ..flow("1:rdp=.1", ("mnt01", "10.77.0.12", 50050), ("tgt01", "10.77.1.20", 3389), 220)
    };
    let dns = FlowRecord {
        proto: Proto::Udp,
        class: Some(Class::Related),
        label: Some("DNS (infrastructure)".into()),
        ..flow("1:dns=.1", ("mnt01", "10.77.0.12", 50051), ("", "10.0.0.53", 53), 3)
    };
    vec![dns, silent("1:rpc=.1", 50011, 118), silent("1:rpc=.2", 50012, 131), silent("1:rpc=.3", 50013, 150), rdp]
}

/// No site: roles are guesses and nothing is claimed absent. Names are hostile.
pub(super) fn no_site() -> Report {
    let mut report = base(Verdict::Inconclusive, "INCONCLUSIVE, no site was given");
    report.site = None;
    report.reasons = strings(&["Without a site file roles are guesses: write one and run again."]);
    report.inferred_roles = vec![InferredRole {
        address: "10.77.1.22".into(),
        role: Role::TargetLinux,
        because: "answers on tcp/22 to a host that also reaches tcp/6162 elsewhere".into(),
    }];
    report.captures[0].path = "evil\u{1b}[2J\nname\u{202e}.pcap".into();
    let open = Requirement {
        cause: Some(Cause::Time),
        reason: "The capture does not cover the restore.".into(),
        ..requirement("image.ssh", &["10.77.0.12"], "10.77.1.22", "tcp/22", Outcome::Inconclusive)
    };
    report.requirements = vec![open];
    report
}
