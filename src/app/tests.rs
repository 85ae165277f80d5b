//! Properties of all parsers together.

use proptest::prelude::*;

use super::rpc::tests::Wire;
use super::stream::tests::{from_start, stamp};
use super::*;
use crate::base::WireText;

/// One side of every protocol, and what it is.
fn samples() -> Vec<(Speaks, Vec<u8>)> {
    use AppProto as P;
    let w = Wire::CLASSIC;
    let known = |p, bytes: Vec<u8>| (Speaks::Known(p), bytes);
    vec![
        known(P::Ssh, b"SSH-2.0-OpenSSH_9.2\r\n\0\0\x05\xdc".to_vec()),
        known(P::Ssh, b"Stay out\r\nGO AWAY\r\nSSH-2.0-x\r\n".to_vec()),
        known(P::Tls, tls::tests::client_hello("vbr.example", 9)),
        known(P::Tls, tls::tests::client_hello("vbr.example", 500)),
        known(P::Tls, tls::tests::server_hello()),
        known(P::Tls, vec![21, 3, 3, 0, 2, 2, 40]),
        known(P::Smb, smb::tests::negotiate(None)),
        known(P::Smb, [smb::tests::negotiate(Some(0x02ff)), smb::tests::negotiate(Some(0x0311))].concat()),
        known(P::Smb, smb::tests::session_request()),
        known(P::Smb, [vec![0x82, 0, 0, 0], smb::tests::negotiate(Some(0x0210))].concat()),
        known(P::DceRpc, [w.bind(Some((6, 32))), w.request(2, 1, 3)].concat()),
        known(P::DceRpc, [w.bind_ack(), w.mapped(2, &[49154])].concat()),
        known(P::Tls, [tls::tests::server_hello(), tls_records::tests::certificate_records(300)].concat()),
        known(P::Ssh, [ssh_packets::tests::offer("a", "b", "c"), ssh_packets::tests::leave(2, "x")].concat()),
        known(P::Smb, [smb::tests::negotiate(None), smb_session::tests::client("ADMIN$")].concat()),
        known(P::Smb, [smb::tests::negotiate(Some(0x0311)), smb_session::tests::server(0, 0xc000_0022)].concat()),
        known(P::Iscsi, iscsi::tests::request()),
        known(P::Iscsi, iscsi::tests::response(0)),
        known(P::Http, b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        known(P::Http, b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        known(P::Kerberos, kerberos::tests::in_stream(&kerberos::tests::request())),
        known(P::Kerberos, kerberos::tests::in_stream(&kerberos::tests::error(25))),
        known(P::Tns, tns::tests::connect()),
        known(P::Tns, tns::tests::refuse("12514")),
        known(P::Dns, dns::tests::ask_in_stream(0x0100, "vbr.example.test")),
        known(P::Ldap, [ldap::tests::bind(1), ldap::tests::bind(2)].concat()),
        known(P::Ldap, ldap::tests::bound(1, 49)),
        (Speaks::Other, b"\x20\0\0\0\x01\0\0\0vendor protocol".to_vec()),
        (Speaks::Other, b"\0\0\0\x40\0\0\0\x01".to_vec()),
        (Speaks::Other, b"\x23\0\0\0\0\0\0\0hello, everyone!".to_vec()),
        (Speaks::Other, b"C\0\0\0vendor".to_vec()),
        (Speaks::Undecided, b"220 mail.example ready\r\n".to_vec()),
    ]
}

fn speaks(bytes: &[u8]) -> Speaks {
    let [side, _] = evidence(&from_start(&[bytes]), &Stream::new(1)).speaks;
    side
}

#[test]
fn a_prefix_never_speaks_another_protocol_than_the_whole() {
    for (expected, bytes) in samples() {
        let mut decided = false;
        for n in 1..=bytes.len() {
            let now = speaks(&bytes[..n]);
            assert!(
                now == expected || (now == Speaks::Undecided && !decided),
                "{n} of {}: {now:?}",
                bytes.escape_ascii()
            );
            decided |= now == expected && expected != Speaks::Undecided;
        }
        assert_eq!(speaks(&bytes), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn without_the_start_nothing_is_judged_and_a_hello_still_tells() {
    let mut s = Stream::new(Stream::CAP);
    s.insert(0, &tls::tests::client_hello("vbr.example", 500), stamp(1));
    let e = evidence(&s, &Stream::new(1));
    assert_eq!(e.speaks, [Speaks::NoStart, Speaks::Nothing]);
    assert!(e.confirms(AppProto::Tls) && !e.contradicts(AppProto::Ssh));
    s.set_from_start(true);
    s.shift_by(5);
    assert_eq!(evidence(&s, &Stream::new(1)).speaks[0], Speaks::NoStart, "the first bytes are missing");
    let mut beyond = Stream::new(4);
    beyond.insert(9, b"x", stamp(1));
    assert_eq!(evidence(&beyond, &Stream::new(1)).speaks[0], Speaks::NoStart);
}

#[test]
fn summaries_say_what_was_spoken() {
    let w = Wire::CLASSIC;
    let both = |a: &[u8], b: &[u8]| evidence(&from_start(&[a]), &from_start(&[b])).summary();
    let mapper = [w.bind(None), w.request(2, 1, 3)].concat();
    let answer = [w.bind_ack(), w.mapped(2, &[49154])].concat();
    for (expected, got) in [
        ("SSH (SSH-2.0-a\\u{1b} / SSH-2.0-b)", {
            let mut e = evidence(&from_start(&[b"SSH-2.0-a\r\n"]), &from_start(&[b"SSH-2.0-b\r\n"]));
            e.facts[0] = AppFacts::Ssh { side_a: true, identification: WireText::new(b"SSH-2.0-a\x1b") };
            e.summary()
        }),
        ("TLS 1.3 for vbr.example", both(&tls::tests::client_hello("vbr.example", 9), &tls::tests::server_hello())),
        ("SMB 3.1.1", both(&smb::tests::negotiate(Some(0x0311)), &smb::tests::negotiate(None))),
        ("DCE/RPC bind srvsvc (refused), epmapper, gave out port 49154 for srvsvc", both(&answer, &mapper)),
        (
            "iSCSI login to iqn.2000-01.example:mount accepted",
            both(&iscsi::tests::response(0), &iscsi::tests::request()),
        ),
        ("HTTP (GET / HTTP/1.1); no protocol known here", both(b"GET / HTTP/1.1\r\n", b"\0\0\0\0\0")),
        (
            "Oracle TNS service orcl.example.test, refused (ORA-12514)",
            both(&tns::tests::connect(), &tns::tests::refuse("12514")),
        ),
        ("LDAP bind (invalidCredentials)", both(&ldap::tests::bound(1, 49), &ldap::tests::bind(1))),
        ("too few bytes to tell", both(b"SSH", b"")),
        ("no payload", both(b"", b"")),
    ] {
        assert_eq!(got, expected);
    }
}

/// Both sides of every datagram protocol, and how it is told.
fn datagrams() -> Vec<(AppProto, &'static str, Vec<u8>, Vec<u8>)> {
    use AppProto as P;
    let (ask, answer) = (dns::tests::ask(0x0100, "dc.example.test"), dns::tests::ask(0x8183, "dc.example.test"));
    let (client, server) = (ntp::tests::packet_of(3, 0, [0; 4]), ntp::tests::packet_of(4, 0, *b"RATE"));
    let ticket = "Kerberos AS-REQ for krbtgt/EXAMPLE.TEST, KDC_ERR_PREAUTH_REQUIRED for krbtgt/EXAMPLE.TEST";
    vec![
        (P::Dns, "DNS A dc.example.test (NXDOMAIN)", ask, answer),
        (P::Ntp, "NTP 4, told to stop (RATE)", client, server),
        (P::Kerberos, ticket, kerberos::tests::request(), kerberos::tests::error(25)),
        (P::Ldap, "LDAP bind (invalidCredentials)", ldap::tests::bind(1), ldap::tests::bound(1, 49)),
    ]
}

fn whole(bytes: &[u8]) -> Vec<Part<'_>> {
    vec![part::part(bytes)]
}

#[test]
fn datagrams_say_what_was_spoken_and_a_cut_one_never_says_another() {
    for (proto, summary, a, b) in datagrams() {
        let e = datagram_evidence(&whole(&a), &whole(&b));
        assert_eq!((e.speaks.clone(), e.summary()), ([Speaks::Known(proto), Speaks::Known(proto)], summary.to_owned()));
        for n in 0..a.len() {
            let cut = Part { bytes: &a[..n], ..part::part(&a) };
            let [said, _] = datagram_evidence(&[cut], &[]).speaks;
            assert!(said == Speaks::Undecided || said == Speaks::Known(proto), "{n} of {proto:?}: {said:?}");
        }
    }
    assert_eq!(datagram_evidence(&whole(b"\x08\0\0\0\x12\xb5\0\0"), &[]).speaks, [Speaks::Other, Speaks::Nothing]);
}

#[test]
fn what_ended_a_conversation_before_work_is_told_with_its_code_and_who_said_it() {
    let hello = tls::tests::client_hello("vbr.example", 500);
    let ssh = ssh_packets::tests::offer;
    let refused = |a: &[u8], b: &[u8]| {
        let e = evidence(&from_start(&[a]), &from_start(&[b]));
        e.refusal.map(|r| (r.step, r.side_a, r.short()))
    };
    let fatal = [21, 3, 3, 0, 2, 2, 48];
    let server = [tls::tests::server_hello(), tls_records::tests::certificate_records(500)].concat();
    let client = [hello.clone(), fatal.to_vec()].concat();
    let said = |step, side_a, text: &str| Some((step, side_a, text.to_owned()));
    use RefusalStep as R;
    assert_eq!(refused(&client, &server), said(R::TlsAlert, Some(true), "alert 48 unknown_ca"));
    assert_eq!(refused(&hello, &fatal), said(R::TlsAlert, Some(false), "alert 48 unknown_ca"));
    assert_eq!(refused(&hello, &[21, 3, 3, 0, 2, 1, 0]), None, "close_notify");
    let (new, old) =
        (ssh("curve25519-sha256", "aes128-ctr", "x"), ssh("diffie-hellman-group1-sha1", "aes128-ctr", "x"));
    assert_eq!(refused(&new, &old), said(R::SshAlgorithms, None, "no common key exchange method"));
    let leaves = [new.clone(), ssh_packets::tests::leave(2, "bye")].concat();
    assert_eq!(refused(&new, &leaves), said(R::SshDisconnect, Some(false), "2 PROTOCOL_ERROR"));
    assert_eq!(refused(&new, &[new.clone(), ssh_packets::tests::leave(11, "")].concat()), None, "it just left");
    let busy = b"Exceeded MaxStartups\r\n";
    assert_eq!(refused(&new, busy), said(R::SshDisconnect, Some(false), "12 TOO_MANY_CONNECTIONS"));
    let (iscsi_request, denied) = (iscsi::tests::request(), iscsi::tests::response(0x0201));
    assert_eq!(refused(&denied, &iscsi_request), said(R::IscsiLogin, Some(true), "0x0201 authentication failure"));
    assert_eq!(refused(&iscsi::tests::response(0x0101), &iscsi_request), None, "sent elsewhere");
    let (tns, no) = (tns::tests::connect(), tns::tests::refuse("12514"));
    let text = "ORA-12514 the listener does not know the service";
    assert_eq!(refused(&tns, &no), said(R::TnsConnect, Some(false), text));
    let (bind, no, yes) = (ldap::tests::bind(1), ldap::tests::bound(1, 49), ldap::tests::bound(1, 0));
    assert_eq!(refused(&bind, &no), said(R::LdapBind, Some(false), "49 invalidCredentials"));
    assert_eq!(refused(&bind, &yes), None);
    assert_eq!(refused(&bind, &ldap::tests::bound(1, 14)), None, "the bind goes on");
    let proxied = b"CONNECT repo.example:443 HTTP/1.1\r\n\r\n";
    assert_eq!(refused(proxied, b"HTTP/1.1 403 Forbidden\r\n"), said(R::HttpProxy, Some(false), "403 Forbidden"));
    assert_eq!(refused(proxied, b"HTTP/1.1 407 x\r\n\r\nHTTP/1.1 200 OK\r\n"), None, "it signed in");
    assert_eq!(refused(b"GET / HTTP/1.1\r\n", b"HTTP/1.1 403 Forbidden\r\n"), None, "no proxy, and its own affair");
}

#[test]
fn smb_and_kerberos_refusals_are_told_and_their_ordinary_steps_are_not() {
    let client = [smb::tests::negotiate(None), smb_session::tests::client("ADMIN$")].concat();
    let smb = |session, share| {
        let server = [smb::tests::negotiate(Some(0x0311)), smb_session::tests::server(session, share)].concat();
        let e = evidence(&from_start(&[&client]), &from_start(&[&server]));
        (e.refusal.as_ref().map(Refusal::short), e.summary())
    };
    assert_eq!(smb(0, 0), (None, "SMB 3.1.1, share IPC$, ADMIN$, pipe svcctl".to_owned()));
    let (short, summary) = smb(0xc000_006d, 0);
    assert_eq!(short.unwrap(), "0xc000006d STATUS_LOGON_FAILURE");
    assert_eq!(summary, "SMB 3.1.1, share IPC$, ADMIN$, refused: 0xc000006d STATUS_LOGON_FAILURE");
    assert_eq!(smb(0, 0xc000_0022).0.unwrap(), "0xc0000022 STATUS_ACCESS_DENIED");
    let kerberos = |code| {
        let (q, e) = (kerberos::tests::request(), kerberos::tests::error(code));
        datagram_evidence(&whole(&q), &whole(&e)).refusal.map(|r| r.short())
    };
    assert_eq!(kerberos(25), None, "preauthentication is always asked for");
    assert_eq!(kerberos(37).unwrap(), "37 KRB_AP_ERR_SKEW");
}

#[test]
fn a_service_that_answers_as_itself_is_not_contradicted_by_a_stray_client() {
    let e = evidence(&from_start(&[b"GET / HTTP/1.0\r\n"]), &from_start(&[b"SSH-2.0-x\r\n"]));
    assert!(!e.confirms(AppProto::Ssh) && !e.contradicts(AppProto::Ssh));
    assert!(e.contradicts(AppProto::Smb));
}

#[test]
fn crafted_streams_cost_no_more_than_their_bytes() {
    let w = Wire::CLASSIC;
    let cap = usize::try_from(Stream::CAP_MAPPER).unwrap();
    // One call id for everything, whole answers never, a header at every piece, and bytes one by one from the end.
    let client = [w.bind(None), w.request(2, 1, 3).repeat(cap / 100)].concat();
    let server = [w.bind_ack(), [5, 0, 2, 1, 0x10, 0, 0, 0, 24, 0, 0, 0].repeat(cap / 12)].concat();
    let mut backwards = Stream::new(Stream::CAP_MAPPER);
    backwards.set_from_start(true);
    for (n, b) in server.iter().enumerate().rev().filter(|(n, _)| n % 3 != 2 || *n < 200) {
        let n = u32::try_from(n).unwrap();
        backwards.insert(i64::from(n), &[*b], stamp(n));
    }
    let e = evidence(&from_start(&[&client]), &backwards);
    assert_eq!(e.speaks, [Speaks::Known(AppProto::DceRpc), Speaks::Known(AppProto::DceRpc)]);
    assert!(e.mapper.is_empty());
    let lines = b"a\n".repeat(cap / 2);
    assert_eq!(speaks(&lines), Speaks::Other);
    let tiny = [22, 3, 1, 0, 1, 1].repeat(cap / 6);
    assert_eq!(speaks(&tiny), Speaks::Other);
}

/// Samples with a few bytes changed, cut or repeated: nearer to real trouble than noise.
fn mangled() -> impl Strategy<Value = Vec<u8>> {
    let change = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (prop::sample::select(samples()), change, any::<prop::sample::Index>()).prop_map(
        |((_, mut bytes), changes, cut)| {
            for (i, b) in changes {
                let i = i.index(bytes.len());
                bytes[i] = b;
            }
            bytes.truncate(cut.index(bytes.len()) + 1);
            bytes
        },
    )
}

fn sides() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        mangled(),
        prop::collection::vec(any::<u8>(), 0..200),
        (mangled(), mangled()).prop_map(|(a, b)| [a, b].concat())
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_evidence_panic(a in sides(), b in sides(), holes in prop::collection::vec(0usize..300, 2)) {
        let mut s = from_start(&[&a]);
        s.clip(0, i64::try_from(holes[0]).unwrap());
        s.insert(i64::try_from(holes[0] + holes[1]).unwrap(), &b, stamp(9));
        let other = from_start(&[&b, &a]);
        let _ = evidence(&s, &other).summary();
        let _ = evidence(&other, &s).summary();
    }

    #[test]
    fn no_datagrams_make_evidence_panic(
        which in 0usize..4,
        change in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        wire in 0u32..2000,
        noise in sides(),
    ) {
        let (_, _, mut a, b) = datagrams().swap_remove(which);
        for (i, v) in change {
            let i = i.index(a.len());
            a[i] = v;
        }
        let mut last = Speaks::Undecided;
        for n in 0..=a.len() {
            let cut = Part { wire, ..part::part(&a[..n]) };
            let e = datagram_evidence(&[cut, part::part(&noise)], &[part::part(&b), part::part(&noise)]);
            let _ = e.summary();
            let [now, _] = e.speaks;
            prop_assert!(last == Speaks::Undecided || last == now, "{:?} became {:?} at {}", last, now, n);
            last = now;
        }
        let _ = datagram_evidence(&[part::part(&noise)], &[]).summary();
    }

    #[test]
    fn more_bytes_only_decide_the_undecided(bytes in sides()) {
        let mut last = Speaks::Undecided;
        for n in 1..=bytes.len() {
            let now = speaks(&bytes[..n]);
            prop_assert!(last == Speaks::Undecided || last == now, "{:?} became {:?} at {}", last, now, n);
            last = now;
        }
    }

    #[test]
    fn every_parser_alone_keeps_its_promise(bytes in sides()) {
        type Answer = fn(&[u8]) -> Outcome<()>;
        let parsers: [Answer; 11] = [
            |b| tls::parse(b).map(|_| ()),
            |b| smb::parse(b).map(|_| ()),
            rpc::parse,
            |b| iscsi::parse(b).map(|_| ()),
            |b| http::parse(b).map(|_| ()),
            |b| ssh::parse(b).map(|_| ()),
            kerberos::stream,
            kerberos::datagram,
            tns::parse,
            dns::stream,
            ldap::parse,
        ];
        for parse in parsers {
            let mut last = Outcome::NeedMore;
            for n in 0..=bytes.len() {
                let now = parse(&bytes[..n]);
                prop_assert!(last == Outcome::NeedMore || last == now, "{:?} became {:?} at {}", last, now, n);
                last = now;
            }
        }
    }
}
