//! One line for people.

use super::model::{AppFacts, AppProto, Evidence, LdapOperation, Refusal, RefusalStep, Speaks};
use super::rpc::interface_name;
use super::{codes, dns};
use crate::base::WireText;

/// Items named in a list before the rest is only counted.
const NAMED: usize = 3;

impl Evidence {
    /// One line for a terminal: `TLS 1.3 for vbr.example`. Everything from the wire is escaped; never empty.
    pub fn summary(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        for proto in self.protocols() {
            parts.push(match proto {
                AppProto::Ssh => self.ssh(),
                AppProto::Tls => self.tls(),
                AppProto::Smb => self.smb(),
                AppProto::DceRpc => self.rpc(),
                AppProto::Iscsi => self.iscsi(),
                AppProto::Http => self.http(),
                AppProto::Tns => self.tns(),
                AppProto::Kerberos => self.kerberos(),
                AppProto::Ldap => self.ldap(),
                AppProto::Dns => self.dns(),
                AppProto::Ntp => self.ntp(),
            });
        }
        if let (Some(last), Some(refusal)) = (parts.last_mut(), self.refusal.as_ref().filter(|r| !is_told(r))) {
            last.push_str(&format!(", refused: {}", refusal.short()));
        }
        if self.speaks.contains(&Speaks::Other) {
            parts.push("no protocol known here".into());
        }
        if parts.is_empty() {
            parts.push(self.undecided().into());
        }
        parts.join("; ")
    }

    /// Protocols of sides and facts, each once, sides first.
    fn protocols(&self) -> Vec<AppProto> {
        let spoken = self.speaks.iter().filter_map(|s| if let Speaks::Known(p) = s { Some(*p) } else { None });
        let mut all: Vec<AppProto> = Vec::new();
        for proto in spoken.chain(self.facts.iter().map(AppFacts::proto)) {
            if !all.contains(&proto) {
                all.push(proto);
            }
        }
        all
    }

    fn undecided(&self) -> &'static str {
        match &self.speaks {
            [Speaks::Nothing, Speaks::Nothing] => "no payload",
            s if s.contains(&Speaks::Undecided) => "too few bytes to tell",
            _ => "its start was not seen",
        }
    }

    fn ssh(&self) -> String {
        let names = self.facts.iter().filter_map(|f| match f {
            AppFacts::Ssh { identification, .. } => Some(identification.terminal()),
            _ => None,
        });
        with("SSH", " (", &names.collect::<Vec<_>>().join(" / "), ")")
    }

    fn http(&self) -> String {
        let lines = self.facts.iter().filter_map(|f| match f {
            AppFacts::Http { line, .. } => Some(line.terminal()),
            _ => None,
        });
        with("HTTP", " (", &lines.collect::<Vec<_>>().join(" / "), ")")
    }

    fn tls(&self) -> String {
        let mut text = "TLS".to_owned();
        for fact in &self.facts {
            if let AppFacts::TlsServer { version, .. } = fact {
                text.push_str(&format!(" {}", tls_version(*version)));
            }
        }
        for fact in &self.facts {
            match fact {
                AppFacts::TlsClient { server_name: Some(name), .. } => {
                    text.push_str(&format!(" for {}", name.terminal()));
                }
                AppFacts::TlsCertificate { subject, names, .. } => {
                    let shown = subject.as_ref().or(names.first()).map(WireText::terminal).unwrap_or_default();
                    text = with(&text, ", certificate of ", &shown, "");
                }
                AppFacts::TlsAlert { description, .. } if self.refusal.is_none() => {
                    text.push_str(&format!(", alert {description}"));
                }
                _ => {}
            }
        }
        text
    }

    fn smb(&self) -> String {
        let dialect = self.facts.iter().find_map(|f| if let AppFacts::SmbDialect(d) = f { Some(*d) } else { None });
        let mut text = with("SMB", " ", &dialect.map(smb_dialect).unwrap_or_default(), "");
        let shares = self.facts.iter().filter_map(|f| match f {
            AppFacts::SmbShare { share, .. } => Some(share.terminal()),
            _ => None,
        });
        text = with(&text, ", share ", &list(shares.collect()), "");
        let pipes = self
            .facts
            .iter()
            .filter_map(|f| if let AppFacts::SmbPipe { name } = f { Some(name.terminal()) } else { None });
        text = with(&text, ", pipe ", &list(pipes.collect()), "");
        if self.facts.iter().any(|f| matches!(f, AppFacts::SmbEncrypted { .. })) {
            text.push_str(", encrypted");
        }
        text
    }

    fn rpc(&self) -> String {
        let mut text = "DCE/RPC".to_owned();
        let binds = self.facts.iter().filter_map(|f| match f {
            AppFacts::RpcBind { interface, accepted } => {
                let refused = if *accepted == Some(false) { " (refused)" } else { "" };
                Some(format!("{}{refused}", named(interface)))
            }
            _ => None,
        });
        text = with(&text, " bind ", &list(binds.collect()), "");
        let given = self.mapper.iter().map(|m| format!("port {} for {}", m.port, named(&m.interface)));
        text = with(&text, ", gave out ", &list(given.collect()), "");
        for fact in &self.facts {
            match fact {
                AppFacts::MapperPipe { interface, pipe } => {
                    text.push_str(&format!(", gave out pipe {} for {}", pipe.terminal(), named(interface)));
                }
                AppFacts::MapperSealed { answers } => text.push_str(&format!(", {answers} answers encrypted")),
                AppFacts::MapperRefused { interface, status } => {
                    let what = interface.as_deref().map_or_else(|| "an interface".into(), named);
                    text.push_str(&format!(", does not know {what} (0x{status:08x})"));
                }
                _ => {}
            }
        }
        text
    }

    fn tns(&self) -> String {
        let mut text = "Oracle TNS".to_owned();
        for fact in &self.facts {
            let AppFacts::Tns { service, sid, answer, error } = fact else { continue };
            for (what, name) in [("service", service), ("SID", sid)] {
                text =
                    with(&text, &format!(" {what} "), &name.as_ref().map(WireText::terminal).unwrap_or_default(), "");
            }
            match (answer.as_deref(), error) {
                (Some("refuse"), Some(n)) => text.push_str(&format!(", refused (ORA-{n:05})")),
                (Some("refuse"), None) => text.push_str(", refused"),
                (Some("redirect"), _) => text.push_str(", redirected"),
                (Some("accept"), _) => text.push_str(", accepted"),
                _ => {}
            }
        }
        text
    }

    fn kerberos(&self) -> String {
        let said = self.facts.iter().filter_map(|f| {
            let AppFacts::Kerberos { message, service, error, .. } = f else { return None };
            let what = match error {
                Some(code) => codes::kerberos(*code).map_or_else(|| format!("error {code}"), str::to_owned),
                None => WireText::new(message.as_bytes()).terminal(),
            };
            Some(with(&what, " for ", &service.as_ref().map(WireText::terminal).unwrap_or_default(), ""))
        });
        with("Kerberos", " ", &list(said.collect()), "")
    }

    fn ldap(&self) -> String {
        let done = self.facts.iter().filter_map(|f| {
            let AppFacts::Ldap { operation, result } = f else { return None };
            let what = match operation {
                LdapOperation::Bind => "bind",
                LdapOperation::Search => "search",
                LdapOperation::StartTls => "StartTLS",
                LdapOperation::Extended => "extended operation",
            };
            let code =
                result.filter(|r| *r != 0).map(|r| codes::ldap(r).map_or_else(|| format!("result {r}"), str::to_owned));
            Some(with(what, " (", &code.unwrap_or_default(), ")"))
        });
        with("LDAP", " ", &list(done.collect()), "")
    }

    fn dns(&self) -> String {
        let asked = self.facts.iter().filter_map(|f| {
            let AppFacts::DnsQuestion { name, kind, rcode } = f else { return None };
            let code = rcode.and_then(dns::rcode_name).unwrap_or_default();
            Some(with(&format!("{} {}", dns::kind_name(*kind), name.terminal()), " (", &code, ")"))
        });
        with("DNS", " ", &list(asked.collect()), "")
    }

    fn ntp(&self) -> String {
        let mut text = "NTP".to_owned();
        let packets = || {
            self.facts.iter().filter_map(|f| {
                if let AppFacts::Ntp { version, mode, stratum, kiss, .. } = f {
                    Some((version, mode, stratum, kiss))
                } else {
                    None
                }
            })
        };
        if let Some((version, ..)) = packets().next() {
            text.push_str(&format!(" {version}"));
        }
        for (_, _, stratum, kiss) in packets().filter(|(_, mode, ..)| **mode == 4) {
            match kiss {
                Some(code) => text.push_str(&format!(", told to stop ({})", code.terminal())),
                None => text.push_str(&format!(", stratum {stratum}")),
            }
        }
        text
    }

    fn iscsi(&self) -> String {
        let mut text = "iSCSI".to_owned();
        for fact in &self.facts {
            if let AppFacts::IscsiLogin { initiator, target, status, auth_offered, auth_chosen } = fact {
                text.push_str(" login");
                if let Some(name) = target.as_ref().or(initiator.as_ref()) {
                    let to = if target.is_some() { "to" } else { "of" };
                    text.push_str(&format!(" {to} {}", name.terminal()));
                }
                let auth = auth_chosen.as_ref().or(auth_offered.as_ref()).filter(|a| a.as_bytes() != b"None");
                text = with(&text, " with ", &auth.map(WireText::terminal).unwrap_or_default(), "");
                match status {
                    Some(0) => text.push_str(" accepted"),
                    Some(s) if s >> 8 == 1 => text.push_str(&format!(" redirected (0x{s:04x})")),
                    Some(s) => text.push_str(&format!(" refused (0x{s:04x})")),
                    None => {}
                }
            }
        }
        text
    }
}

/// Whether the protocol's own part of the line says the refusal already.
const fn is_told(r: &Refusal) -> bool {
    matches!(
        r.step,
        RefusalStep::IscsiLogin
            | RefusalStep::TnsConnect
            | RefusalStep::Kerberos
            | RefusalStep::LdapBind
            | RefusalStep::LdapStartTls
            | RefusalStep::HttpProxy
    )
}

/// `text`, and where there is `more`, that between `open` and `close`.
fn with(text: &str, open: &str, more: &str, close: &str) -> String {
    if more.is_empty() { text.to_owned() } else { format!("{text}{open}{more}{close}") }
}

/// The first few items, each once, and how many more.
fn list(items: Vec<String>) -> String {
    let mut once: Vec<String> = Vec::new();
    for item in items {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    let more = once.len().saturating_sub(NAMED);
    once.truncate(NAMED);
    let text = once.join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

/// The interface's usual name, else its UUID, which may come from a saved file and is escaped like everything foreign.
fn named(uuid: &str) -> String {
    interface_name(uuid).map_or_else(|| WireText::new(uuid.as_bytes()).terminal(), str::to_owned)
}

fn tls_version(version: u16) -> String {
    match version {
        0x0300 => "SSL 3.0".into(),
        0x0301 => "1.0".into(),
        0x0302 => "1.1".into(),
        0x0303 => "1.2".into(),
        0x0304 => "1.3".into(),
        other => format!("0x{other:04x}"),
    }
}

fn smb_dialect(dialect: u16) -> String {
    match dialect {
        0 => "1".into(),
        0x02ff => "2 or later".into(),
        0x0202 => "2.0.2".into(),
        0x0210 => "2.1".into(),
        0x0300 => "3.0".into(),
        0x0302 => "3.0.2".into(),
        0x0311 => "3.1.1".into(),
        other => format!("0x{other:04x}"),
    }
}
