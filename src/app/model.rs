//! What payload said, once the payload itself is gone.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::base::{Stamp, Time, WireText};

/// Application protocols that are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AppProto {
    /// SSH identification string (RFC 4253 section 4.2).
    Ssh,
    /// TLS hello (RFC 8446 section 4.1).
    Tls,
    /// SMB negotiate over direct TCP (MS-SMB2 section 2.1).
    Smb,
    /// Connection-oriented DCE/RPC (C706 chapter 12).
    DceRpc,
    /// iSCSI login (RFC 7143 section 11.12).
    Iscsi,
    /// HTTP/1 request or status line.
    Http,
    /// Oracle TNS connection setup.
    Tns,
    /// Kerberos (RFC 4120).
    Kerberos,
    /// LDAP (RFC 4511).
    Ldap,
    /// DNS (RFC 1035).
    Dns,
    /// NTP (RFC 5905).
    Ntp,
}

impl AppProto {
    /// As in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::Tls => "tls",
            Self::Smb => "smb",
            Self::DceRpc => "dce-rpc",
            Self::Iscsi => "iscsi",
            Self::Http => "http",
            Self::Tns => "tns",
            Self::Kerberos => "kerberos",
            Self::Ldap => "ldap",
            Self::Dns => "dns",
            Self::Ntp => "ntp",
        }
    }
}

/// What one side's first bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Speaks {
    /// Nothing was sent, or nothing was captured.
    Nothing,
    /// The start of the stream was not seen: never a reason for `wrong_protocol`.
    NoStart,
    /// Too few bytes were captured to tell.
    Undecided,
    /// This protocol.
    Known(AppProto),
    /// Enough bytes from the stream's start, of none of the protocols above.
    Other,
}

/// What an LDAP message asks for (RFC 4511 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LdapOperation {
    /// Authentication.
    Bind,
    /// Search.
    Search,
    /// TLS on the same connection.
    StartTls,
    /// Another extended operation.
    Extended,
}

/// Facts a parser found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppFacts {
    /// SSH identification strings, without line ends.
    Ssh {
        /// Of the side that sent it: true for `key.ends[0]`.
        side_a: bool,
        /// E.g. `SSH-2.0-OpenSSH_9.2`.
        identification: WireText,
    },
    /// TLS ClientHello.
    TlsClient {
        /// Server name asked for.
        server_name: Option<WireText>,
        /// Application protocols offered, the first few (RFC 7301).
        alpn: Vec<WireText>,
    },
    /// TLS ServerHello.
    TlsServer {
        /// Negotiated version as on the wire, 0x0304 for TLS 1.3.
        version: u16,
        /// Application protocol chosen; encrypted in TLS 1.3.
        alpn: Option<WireText>,
    },
    /// A side's own certificate, where it passed in the clear: TLS 1.2 and before.
    TlsCertificate {
        /// Of the side that sent it: true for `key.ends[0]`.
        side_a: bool,
        /// Common name of the subject, else its organization.
        subject: Option<WireText>,
        /// Alternative names and addresses, the first few.
        names: Vec<WireText>,
        /// Common name of the issuer, else its organization.
        issuer: Option<WireText>,
        /// Beginning of its validity.
        not_before: Option<Time>,
        /// End of its validity.
        not_after: Option<Time>,
    },
    /// SMB dialect the server chose, as on the wire (0x0311), 0 for SMB 1.
    SmbDialect(u16),
    /// How the last SMB session setup ended.
    SmbSession {
        /// NT status, 0 for success (MS-ERREF section 2.3.1).
        status: u32,
    },
    /// A share asked for.
    SmbShare {
        /// Host part of its path.
        server: WireText,
        /// Name: `ADMIN$`.
        share: WireText,
        /// NT status of the answer, where it was seen.
        status: Option<u32>,
    },
    /// A named pipe opened: remote procedure calls inside SMB.
    SmbPipe {
        /// Name: `svcctl`.
        name: WireText,
    },
    /// SMB messages that are encrypted: what they ask for cannot be read.
    SmbEncrypted {
        /// How many among the first bytes.
        messages: u32,
    },
    /// A DCE/RPC bind for an interface.
    RpcBind {
        /// Interface UUID, lower case.
        interface: String,
        /// Accepted by the server, where the answer was seen.
        accepted: Option<bool>,
    },
    /// iSCSI login.
    IscsiLogin {
        /// Initiator name asked with.
        initiator: Option<WireText>,
        /// Target asked for.
        target: Option<WireText>,
        /// `AuthMethod` offered by the initiator: `CHAP,None`.
        auth_offered: Option<WireText>,
        /// `AuthMethod` chosen by the target.
        auth_chosen: Option<WireText>,
        /// Status class and detail of the final login response (RFC 7143 section 11.13.5): 0x0000 is success.
        status: Option<u16>,
    },
    /// A TLS alert in clear as a side's first record (RFC 8446 section 6).
    TlsAlert {
        /// Of the side that sent it: true for `key.ends[0]`.
        side_a: bool,
        /// 1 warning, 2 fatal.
        level: u8,
        /// E.g. 40: handshake failure.
        description: u8,
    },
    /// Targets that a discovery session was told of.
    IscsiTargets {
        /// Their names, the first few.
        names: Vec<WireText>,
    },
    /// An HTTP request or status line, without its line end.
    Http {
        /// Of the side that sent it: true for `key.ends[0]`.
        side_a: bool,
        /// E.g. `GET / HTTP/1.1`.
        line: WireText,
    },
    /// Authentication asked for in a DCE/RPC bind (MS-RPCE sections 2.2.1.1.7 and 2.2.1.1.8).
    RpcAuth {
        /// 9 SPNEGO, 10 NTLM, 16 Kerberos, ...
        service: u8,
        /// 5 signs stubs, 6 encrypts them.
        level: u8,
    },
    /// Endpoint-mapper answers that are encrypted: what they gave out cannot be read.
    MapperSealed {
        /// How many.
        answers: u32,
    },
    /// An endpoint-mapper answer whose status is an error.
    MapperRefused {
        /// Interface asked for, UUID in lower case, where the request could be read.
        interface: Option<String>,
        /// Status as on the wire; 0x16c9a0d6 is "not registered" (C706 appendix E).
        status: u32,
    },
    /// An endpoint-mapper answer that names a pipe and no port: the calls go inside SMB.
    MapperPipe {
        /// Interface the answer is for, UUID in lower case.
        interface: String,
        /// Pipe, as in the answer.
        pipe: WireText,
    },
    /// A connection to an Oracle database asked for.
    Tns {
        /// `SERVICE_NAME` of the connect data.
        service: Option<WireText>,
        /// `SID` of the connect data.
        sid: Option<WireText>,
        /// The last answer: `accept`, `refuse` or `redirect`.
        answer: Option<String>,
        /// Number of the listener's error: 12514 is ORA-12514.
        error: Option<u32>,
    },
    /// A Kerberos message.
    Kerberos {
        /// Of the side that sent it: true for `key.ends[0]`.
        side_a: bool,
        /// `AS-REQ`, `AS-REP`, `TGS-REQ`, `TGS-REP` or `KRB-ERROR`.
        message: String,
        /// Realm of the service.
        realm: Option<WireText>,
        /// Service asked for: `krbtgt/EXAMPLE.TEST`.
        service: Option<WireText>,
        /// Error code (RFC 4120 section 7.5.9).
        error: Option<u32>,
    },
    /// An LDAP operation.
    Ldap {
        /// What was asked for.
        operation: LdapOperation,
        /// Result code of the answer (RFC 4511 section 4.1.9), 0 for success.
        result: Option<u8>,
    },
    /// A DNS question.
    DnsQuestion {
        /// Name asked for.
        name: WireText,
        /// Record type: 1 is A, 28 AAAA, 33 SRV.
        kind: u16,
        /// Response code where the answer was seen: 0 no error, 3 no such name.
        rcode: Option<u8>,
    },
    /// The last NTP packet of a side.
    Ntp {
        /// Of the side that sent it: true for `key.ends[0]`.
        side_a: bool,
        /// Version.
        version: u8,
        /// 3 client, 4 server.
        mode: u8,
        /// Distance from a clock; 0 unspecified.
        stratum: u8,
        /// What a server of stratum 0 says: `RATE`, `DENY`.
        kiss: Option<WireText>,
    },
}

impl AppFacts {
    /// The protocol the fact is about.
    pub const fn proto(&self) -> AppProto {
        match self {
            Self::Ssh { .. } => AppProto::Ssh,
            Self::TlsClient { .. } | Self::TlsServer { .. } | Self::TlsAlert { .. } | Self::TlsCertificate { .. } => {
                AppProto::Tls
            }
            Self::SmbDialect(_)
            | Self::SmbSession { .. }
            | Self::SmbShare { .. }
            | Self::SmbPipe { .. }
            | Self::SmbEncrypted { .. } => AppProto::Smb,
            Self::RpcBind { .. }
            | Self::RpcAuth { .. }
            | Self::MapperSealed { .. }
            | Self::MapperRefused { .. }
            | Self::MapperPipe { .. } => AppProto::DceRpc,
            Self::IscsiLogin { .. } | Self::IscsiTargets { .. } => AppProto::Iscsi,
            Self::Http { .. } => AppProto::Http,
            Self::Tns { .. } => AppProto::Tns,
            Self::Kerberos { .. } => AppProto::Kerberos,
            Self::Ldap { .. } => AppProto::Ldap,
            Self::DnsQuestion { .. } => AppProto::Dns,
            Self::Ntp { .. } => AppProto::Ntp,
        }
    }
}

/// An address that an endpoint mapper gave out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MapperAnswer {
    /// When the answer was seen.
    pub at: Stamp,
    /// Interface the answer is for, UUID in lower case.
    pub interface: String,
    /// Address in the answer; 0.0.0.0 means "the host you asked".
    pub addr: IpAddr,
    /// TCP port in the answer.
    pub port: u16,
}

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusalStep {
    /// A fatal TLS alert in the clear.
    TlsAlert,
    /// An SSH disconnect before keys, or a server that was too busy to begin.
    SshDisconnect,
    /// SSH offers without a common method.
    SshAlgorithms,
    /// SMB dialects or settings.
    SmbNegotiate,
    /// Signing in to SMB.
    SmbSession,
    /// An SMB share.
    SmbShare,
    /// An iSCSI login.
    IscsiLogin,
    /// A whole DCE/RPC association.
    RpcBind,
    /// Every interface a DCE/RPC client asked for.
    RpcContext,
    /// A remote procedure call, by a fault.
    RpcCall,
    /// A connection to an Oracle database.
    TnsConnect,
    /// A Kerberos ticket.
    Kerberos,
    /// Signing in to LDAP.
    LdapBind,
    /// TLS on an LDAP connection.
    LdapStartTls,
    /// A request through an HTTP proxy.
    HttpProxy,
}

/// One peer would not go on with the other, before work began. The network had carried what they said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Refusal {
    /// The protocol it was said in.
    pub proto: AppProto,
    /// What was refused.
    pub step: RefusalStep,
    /// The side that said so: true for `key.ends[0]`; `None` where it follows from what both said.
    pub side_a: Option<bool>,
    /// Code as on the wire: alert, reason, status.
    pub code: u32,
    /// Its usual name.
    pub name: Option<String>,
    /// What was asked for, or the words of the side that refused.
    pub text: Option<WireText>,
    /// The frame that brought it.
    pub at: Stamp,
}

impl Refusal {
    /// Code and name, short: `0xc000006d STATUS_LOGON_FAILURE`. Everything from the wire is escaped.
    pub fn short(&self) -> String {
        let code = match self.step {
            RefusalStep::SmbNegotiate | RefusalStep::SmbSession | RefusalStep::SmbShare | RefusalStep::RpcCall => {
                format!("0x{:08x}", self.code)
            }
            RefusalStep::IscsiLogin => format!("0x{:04x}", self.code),
            RefusalStep::TnsConnect => format!("ORA-{:05}", self.code),
            RefusalStep::TlsAlert => format!("alert {}", self.code),
            RefusalStep::SshAlgorithms => {
                let what = self.text.as_ref().map(WireText::terminal).unwrap_or_default();
                return format!("no common {what} method");
            }
            _ => self.code.to_string(),
        };
        let name = self.name.as_ref().map(|n| WireText::new(n.as_bytes()).terminal());
        name.map_or_else(|| code.clone(), |n| format!("{code} {n}"))
    }
}

/// All that payload said about a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What each side speaks, in the order of the key's ends.
    pub speaks: [Speaks; 2],
    /// Facts, in a fixed order.
    pub facts: Vec<AppFacts>,
    /// Endpoint-mapper answers, in the order of their requests. The asking side is the peer of the answering one.
    pub mapper: Vec<MapperAnswer>,
    /// Where one peer would not go on with the other.
    #[serde(default)]
    pub refusal: Option<Refusal>,
}

impl Evidence {
    /// Nothing seen.
    pub const fn none() -> Self {
        Self { speaks: [Speaks::Nothing, Speaks::Nothing], facts: Vec::new(), mapper: Vec::new(), refusal: None }
    }

    /// Keeps the first refusal that is found.
    pub(super) fn refuse(&mut self, found: Option<Refusal>) {
        self.refusal = self.refusal.take().or(found);
    }

    /// Whether some side was seen to speak `proto`, and none another known protocol. Facts count also where the stream's start was
    /// not seen: a hello is a hello.
    pub fn confirms(&self, proto: AppProto) -> bool {
        let spoken = |s: &Speaks| *s == Speaks::Known(proto);
        let foreign = |s: &Speaks| matches!(s, Speaks::Known(p) if *p != proto);
        let seen = self.speaks.iter().any(spoken) || self.facts.iter().any(|f| f.proto() == proto);
        seen && !self.speaks.iter().any(foreign)
    }

    /// Whether a side that was seen from its start spoke something that is not `proto`, and no side spoke `proto`.
    pub fn contradicts(&self, proto: AppProto) -> bool {
        let spoken = |s: &Speaks| *s == Speaks::Known(proto);
        let foreign = |s: &Speaks| matches!(s, Speaks::Known(p) if *p != proto) || *s == Speaks::Other;
        self.speaks.iter().any(foreign) && !self.speaks.iter().any(spoken)
    }
}
