use unicode_width::UnicodeWidthStr as _;

use super::super::{Report, sample};
use super::{Style, render};

fn text(report: &Report, width: usize) -> String {
    render(report, &Style { width, ..Style::default() })
}

#[test]
fn a_blocked_row_is_on_the_first_screen_with_what_to_do() {
    insta::assert_snapshot!(text(&sample::blocked(), 80), @r#"
    FAIL, 2 of 3 required in view, 1 exception
    captured 2026-11-20 21:00:00.000 to 21:04:10.000 UTC (22:00:00 to 22:04:10
    +01:00)

    Why
      • image.rpc-dynamic is blocked: con01 (10.77.0.10) got no answer from tgt01
        (10.77.1.20) on tcp/49154, the port that its endpoint mapper named.
      • 1 flow between hosts of this restore that no rule explains: mnt01
        (10.77.0.12) to tgt01 (10.77.1.20) tcp/3389.

    What failed
      ✗ image.rpc-dynamic tcp/49152-65535 blocked, unanswered
        path      con01 (10.77.0.10) → tgt01 (10.77.1.20)
        seen      The endpoint mapper of tgt01 named tcp/49154; 4 SYNs to it in 7.0
                  s met silence, while tcp/135 answered on the same path.
        next      Allow tcp/49152-65535 from con01 (10.77.0.10) to tgt01
                  (10.77.1.20) on the firewall between them.
        product   RPC function call failed; the RPC server is unavailable (1722,
                  0x800706BA).
        evidence  restore.pcap:118 2026-11-20 21:00:03.250 UTC (22:00:03 +01:00)
                  con01 10.77.0.10:50011 → tgt01 10.77.1.20:49154, unanswered (S0)
                  restore.pcap:131 2026-11-20 21:00:03.250 UTC (22:00:03 +01:00)
                  con01 10.77.0.10:50012 → tgt01 10.77.1.20:49154, unanswered (S0)
                  and 1 more flow (--verbose)
        wireshark ip.addr == 10.77.0.10 && ip.addr == 10.77.1.20 && tcp.port == 49154

    Requirements
      ✓ satisfied    image.rpc-deploy      tcp/135          required
                     con01 (10.77.0.10) → tgt01 (10.77.1.20)
      ✗ blocked      image.rpc-dynamic     tcp/49152-65535  required
                     con01 (10.77.0.10) → tgt01 (10.77.1.20)
      · not reached  image.oracle-runtime  tcp/1035-1075    required
                     con01 (10.77.0.10) → tgt01 (10.77.1.20)
                     never due: image.rpc-dynamic is blocked

    Unexpected flows
      ✗ no rule: mnt01 (10.77.0.12) → tgt01 (10.77.1.20) tcp/3389, 1 flow
        seen      no rule lets a mount server open tcp/3389 at a Windows target
        evidence  restore.pcap:220 2026-11-20 21:00:03.250 UTC (22:00:03 +01:00),
                  established
        wireshark ip.addr == 10.77.0.12 && ip.addr == 10.77.1.20 && tcp.port == 50050 && tcp.port == 3389

    Related traffic (explained by companion sets or exceptions)
      • DNS (infrastructure): udp/53, 1 flow: mnt01 (10.77.0.12) → 10.0.0.53

    Exceptions of the site
      ! expired, ignored: mount-server to 10.0.0.53 udp/53 (allow, line 31): site
        DNS; approved by network team; until 2026-10-01 00:00:00.000 UTC (02:00:00
        +02:00)

    Coverage and exposure
      coverage  2 of 3 required rows seen working; not seen working: image.console
      exposure  openings used: needed 4 of 12 (unused is not unneeded)

    Captures
      • captures/restore.pcap: pcap, Ethernet, 1843 packets, 1.4 MB, at mnt01
        time      2026-11-20 21:00:00.000 to 21:04:10.000 UTC (22:00:00 to 22:04:10
                  +01:00)
        loss      kernel unknown, interface unknown; none inferred from
                  acknowledgements
        filter    unknown; capture length 65535 bytes
        damage    readable up to byte 1432100; nothing after it was judged
        problem   the file ends in the middle of a record, first at byte 1432100

    In sight
      • mnt01 (declared): mnt01; all its traffic

    Flows
      4 expected, 1 unexpected

    What this does not say
      – It judges network flows; it does not prove that data was restored.

    portwitness 0.1.0; matrix veeam-oracle-13.0.1 (build 13.0.1.1071, page of
    2025-12-23); site site.toml
    --verbose adds every flow and the evidence of what was satisfied; --format json
    has all of it
    "#);
}

#[test]
fn a_pass_says_what_it_covers_and_what_is_out_of_sight() {
    insta::assert_snapshot!(text(&sample::pass(), 120), @r#"
    PASS, 2 of 3 required in view
    captured 2026-11-20 21:00:00.000 to 21:04:10.000 UTC (22:00:00 to 22:04:10 +01:00)

    Requirements
      · not observable         image.console     tcp/443   required  con01 (10.77.0.10) → bak01 (10.77.0.11)
      ✓ satisfied              image.ssh         tcp/22    required  mnt01 (10.77.0.12) → lin01 (10.77.1.22)
      ✓ satisfied by fallback  image.data-mover  tcp/6162  required  mnt01 (10.77.0.12) → rep01 (10.77.0.13)
                               tcp/6162 was refused; tcp/2500 was used instead
      – 1 row does not apply here (--verbose lists them)

    Coverage and exposure
      coverage  2 of 3 required rows seen working; not seen working: image.console
      exposure  openings used: needed 4 of 12 (unused is not unneeded)

    Captures
      • captures/restore.pcap: pcap, Ethernet, 1843 packets, 1.4 MB, at mnt01
        time      2026-11-20 21:00:00.000 to 21:04:10.000 UTC (22:00:00 to 22:04:10 +01:00)
        loss      kernel unknown, interface unknown; none inferred from acknowledgements
        filter    unknown; capture length 65535 bytes

    In sight
      • mnt01 (declared): mnt01; all its traffic
      · not in sight: image.console tcp/443; a capture at con01 or bak01 would settle it

    Flows
      4 expected

    What this does not say
      – It judges network flows; it does not prove that data was restored.

    portwitness 0.1.0; matrix veeam-oracle-13.0.1 (build 13.0.1.1071, page of 2025-12-23); site site.toml
    --verbose adds every flow and the evidence of what was satisfied; --format json has all of it
    "#);
}

#[test]
fn without_a_site_guesses_are_shown_as_guesses_and_names_are_harmless() {
    insta::assert_snapshot!(text(&sample::no_site(), 80), @r#"
    INCONCLUSIVE, no site was given
    captured 2026-11-20 21:00:00.000 to 21:04:10.000 UTC

    Why
      • Without a site file roles are guesses: write one and run again.

    Roles worked out from traffic (no site was given)
      10.77.1.22  target-linux
                  answers on tcp/22 to a host that also reaches tcp/6162 elsewhere

    Next: a site, for a verdict
      draft     portwitness site init CAPTURE -o site.toml
      check     each role in site.toml, and where the captures were taken
                (observed_from)
      judge     portwitness verify --site site.toml CAPTURE

    Requirements
      ? inconclusive  image.ssh  tcp/22  required  10.77.0.12 → 10.77.1.22

    What the capture does not settle
      ? image.ssh tcp/22 inconclusive, the capture does not cover the restore
        path      10.77.0.12 → 10.77.1.22
        seen      The capture does not cover the restore.

    Coverage and exposure
      coverage  2 of 3 required rows seen working; not seen working: image.console
      exposure  openings used: needed 4 of 12 (unused is not unneeded)

    Captures
      • evil\u{1b}[2J\nname\u{202e}.pcap: pcap, Ethernet, 1843 packets, 1.4 MB, at
        mnt01
        time      2026-11-20 21:00:00.000 to 21:04:10.000 UTC
        loss      kernel unknown, interface unknown; none inferred from
                  acknowledgements
        filter    unknown; capture length 65535 bytes

    In sight
      • mnt01 (declared): mnt01; all its traffic

    Flows
      4 expected

    What this does not say
      – It judges network flows; it does not prove that data was restored.

    portwitness 0.1.0; matrix veeam-oracle-13.0.1 (build 13.0.1.1071, page of
    2025-12-23)
    --verbose adds every flow and the evidence of what was satisfied; --format json
    has all of it
    "#);
}

#[test]
fn nothing_is_wider_than_the_terminal_but_what_is_to_be_copied() {
    for report in [sample::pass(), sample::blocked(), sample::no_site()] {
        for (width, verbose) in [(40, true), (60, false), (80, true), (100, false), (200, true)] {
            let text = render(&report, &Style { width, verbose, ..Style::default() });
            let copied = ["wireshark ", "draft ", "judge "];
            for line in text.lines().filter(|l| !copied.iter().any(|c| l.trim_start().starts_with(c))) {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }
}

#[test]
fn colour_changes_nothing_but_colour() {
    let report = sample::blocked();
    let plain = render(&report, &Style { verbose: true, ..Style::default() });
    let coloured = render(&report, &Style { verbose: true, color: true, ..Style::default() });
    assert_ne!(plain, coloured);
    let stripped = without_colour(&coloured);
    assert_eq!(stripped, plain);
}

fn without_colour(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        out.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    out + rest
}

#[test]
fn an_ascii_terminal_gets_ascii() {
    let text = render(&sample::no_site(), &Style { ascii: true, verbose: true, ..Style::default() });
    assert!(text.is_ascii(), "{text}");
    let text = render(&sample::blocked(), &Style { ascii: true, ..Style::default() });
    assert!(text.is_ascii() && text.contains("con01 (10.77.0.10) -> tgt01"), "{text}");
}
