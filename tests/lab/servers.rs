//! The servers of a restore: real ones where free software speaks the protocol, the lab's own
//! receiver where it does not.
//!
//! Each has its own configuration, keys and folders below the lab's work folder, and binds the
//! address of its host alone. Nothing of the system's configuration is read or written.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::block::{Block, Fate};
use crate::cmd::{Running, command, find, run};
use crate::failure::{Context, Result};
use crate::hosts::{Host, Place, Topology};
use crate::net::{await_listening, inside};
use crate::peer::Receiver;
use crate::scenario::{Act, Step};

/// Account of every login in the lab; Samba maps the first to the superuser, the only one it can count on.
pub(crate) const USER: &str = "Administrator";
pub(crate) const PASSWORD: &str = "restore-lab-1";
/// Name of the iSCSI target that the mount server offers.
pub(crate) const IQN: &str = "iqn.2026-01.lab.portwitness:restore";

const START: Duration = Duration::from_secs(15);
const SETUP: Duration = Duration::from_secs(10);

/// A server and the host it runs on. A scenario that needs another one adds a row to its list.
#[derive(Clone, Copy)]
pub(crate) enum Server {
    /// HTTPS, as the backup server's services: one self-signed certificate.
    Tls(Host, u16),
    /// SMB, endpoint mapper and dynamic RPC, as every Windows machine.
    Samba(Host),
    /// iSCSI target with one small disk.
    Iscsi(Host, &'static [u16]),
    /// Secure shell with a key for the lab.
    Ssh(Host, u16),
    /// The lab's own receiver, in place of a vendor service.
    Receiver(Host, u16),
}

/// What the hosts of an Oracle restore serve, as far as this cast needs it and no block says that nothing listens.
pub(crate) fn standard(cast: &[Host], blocks: &[Block]) -> Vec<Server> {
    let mut all = vec![Server::Tls(Host::BackupServer, 443), Server::Receiver(Host::BackupServer, 10_006)];
    all.extend([6162, 2500, 8080].map(|port| Server::Receiver(Host::Repository, port)));
    all.extend([Server::Iscsi(Host::MountServer, &[3260, 3261]), Server::Ssh(Host::TargetLinux, 22)]);
    for windows in [Host::TargetWindows, Host::SecondTarget, Host::StagingServer] {
        all.push(Server::Samba(windows));
        all.extend([6160, 1035].map(|port| Server::Receiver(windows, port)));
    }
    let absent =
        |host, port| blocks.iter().any(|b| b.fate == Fate::NotServed && b.to == host && b.ports.contains(&port));
    all.retain(|s| cast.contains(&s.host()) && !matches!(s, Server::Receiver(host, port) if absent(*host, *port)));
    all
}

/// The same, where a script speaks SSH to a port that usually serves something else: then SSH is what answers there.
pub(crate) fn speaking_ssh(mut all: Vec<Server>, script: &[Step]) -> Vec<Server> {
    for step in script {
        if let Act::Ssh(asked) = step.act {
            for server in &mut all {
                if matches!(*server, Server::Tls(host, port) if (host, port) == (step.to, asked)) {
                    *server = Server::Ssh(step.to, asked);
                }
            }
        }
    }
    all
}

impl Server {
    const fn host(self) -> Host {
        match self {
            Self::Tls(host, _)
            | Self::Samba(host)
            | Self::Iscsi(host, _)
            | Self::Ssh(host, _)
            | Self::Receiver(host, _) => host,
        }
    }
}

/// Servers that run; all of them stop when this is dropped.
#[derive(Default)]
pub(crate) struct Servers {
    running: Vec<Running>,
    receivers: Vec<Receiver>,
    waits: Vec<(Host, Vec<u16>)>,
}

/// What starting a server needs to know.
struct Start<'a> {
    host: Host,
    /// The machine that plays the role.
    machine: Host,
    address: IpAddr,
    /// Folder of this server alone.
    dir: PathBuf,
    logs: &'a Path,
}

impl Servers {
    /// Starts all of `wanted` and waits until each listens.
    pub(crate) fn start(wanted: &[Server], topology: &Topology, work: &Path) -> Result<Self> {
        let mut servers = Self::default();
        for server in wanted {
            servers.add(*server, topology, work)?;
        }
        for (host, ports) in &servers.waits {
            await_listening(*host, ports, START).map_err(|e| e.and(&servers.logs()))?;
        }
        Ok(servers)
    }

    /// The end of every server's log, for a failure's text.
    pub(crate) fn logs(&self) -> String {
        let tail = |r: &Running| {
            let text = r.text();
            let lines: Vec<_> = text.lines().rev().take(12).collect();
            lines.into_iter().rev().map(|l| format!("    {l}\n")).collect::<String>()
        };
        self.running.iter().map(|r| format!("  {}:\n{}", r.name(), tail(r))).collect()
    }

    fn add(&mut self, server: Server, topology: &Topology, work: &Path) -> Result<()> {
        let host = server.host();
        let kind = match server {
            Server::Tls(..) => "tls",
            Server::Samba(_) => "samba",
            Server::Iscsi(..) => "iscsi",
            Server::Ssh(..) => "ssh",
            Server::Receiver(..) => "receiver",
        };
        let dir = work.join(host.name()).join(kind);
        fs::create_dir_all(&dir).context(format!("cannot create {}", dir.display()))?;
        let machine = topology.machine(host);
        let start = Start { host, machine, address: topology.address(host)?, dir, logs: &work.join("logs") };
        match server {
            Server::Tls(_, port) => self.tls(&start, port),
            Server::Samba(_) => self.samba(&start),
            Server::Iscsi(_, ports) => self.iscsi(&start, ports),
            Server::Ssh(_, port) => self.ssh(&start, port),
            Server::Receiver(_, port) => {
                self.receivers.push(Receiver::listen(machine, start.address, port)?);
                Ok(())
            }
        }
    }

    fn spawn(&mut self, at: &Start<'_>, name: &str, cmd: &mut Command, ports: &[u16]) -> Result<()> {
        let running = inside(Place::At(at.machine), || Running::start(&at.log_name(name), at.logs, cmd))?;
        self.running.push(running);
        self.waits.push((at.machine, ports.to_vec()));
        Ok(())
    }

    fn tls(&mut self, at: &Start<'_>, port: u16) -> Result<()> {
        let (key, cert) = (at.file("key.pem"), at.file("cert.pem"));
        let (subject, names) = (format!("/CN={}", at.host.name()), format!("subjectAltName=IP:{}", at.address));
        let request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let files = ["-days", "2", "-subj", &subject, "-addext", &names, "-keyout", &key, "-out", &cert];
        at.setup("make-certificate", command("openssl", &request).args(files))?;
        let accept = SocketAddr::from((at.address, port)).to_string();
        let args = ["s_server", "-accept", &accept, "-cert", &cert, "-key", &key, "-www", "-quiet"];
        self.spawn(at, "s_server", &mut command("openssl", &args), &[port])
    }

    fn samba(&mut self, at: &Start<'_>) -> Result<()> {
        let conf = at.file("smb.conf");
        fs::write(&conf, samba_conf(at)?).context("cannot write smb.conf")?;
        let password = at.file("password");
        fs::write(&password, format!("{PASSWORD}\n{PASSWORD}\n")).context("cannot write the password")?;
        let input = fs::File::open(&password).context("cannot read the password")?;
        at.setup("smbpasswd", command("smbpasswd", &["-c", &conf, "-s", "-a", "root"]).stdin(input))?;
        let helpers = ["--libexec-rpcds", "-F", "--debug-stdout", "--no-process-group", "-s", &conf];
        self.spawn(at, "samba-dcerpcd", &mut command("samba-dcerpcd", &helpers), &[135])?;
        self.spawn(
            at,
            "smbd",
            &mut command("smbd", &["-F", "--debug-stdout", "--no-process-group", "-s", &conf]),
            &[445],
        )
    }

    fn iscsi(&mut self, at: &Start<'_>, ports: &[u16]) -> Result<()> {
        let disk = at.file("disk.img");
        let image = fs::File::create(&disk).context("cannot create the disk")?;
        image.set_len(1 << 20).context("cannot size the disk")?;
        let portals: Vec<_> = ports.iter().map(|p| format!("portal={}", SocketAddr::from((at.address, *p)))).collect();
        let (portals, socket) = (portals.join(","), at.file("socket"));
        let mut daemon = command("tgtd", &["-f", "-t", "1", "--iscsi", &portals]);
        self.spawn(at, "tgtd", daemon.env("TGT_IPC_SOCKET", &socket), ports)?;
        await_listening(at.machine, ports, START).map_err(|e| e.and(&self.logs()))?;
        for (step, args) in [
            ("target", vec!["--op", "new", "--mode", "target", "--tid", "1", "-T", IQN]),
            ("disk", vec!["--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "-b", &disk]),
            ("access", vec!["--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL"]),
        ] {
            let mut admin = command("tgtadm", &["--lld", "iscsi"]);
            at.setup(&format!("tgtadm-{step}"), admin.args(args).env("TGT_IPC_SOCKET", &socket))?;
        }
        Ok(())
    }

    fn ssh(&mut self, at: &Start<'_>, port: u16) -> Result<()> {
        let (key, conf, login) = (at.file("host_key"), at.file("sshd_config"), at.file("login_key"));
        for file in [&key, &login] {
            at.setup(
                "ssh-keygen",
                &mut command("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", file]),
            )?;
        }
        let text = format!(
            "ListenAddress {}\nHostKey {key}\nAuthorizedKeysFile {login}.pub\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nUseDNS no\nDebianBanner no\n",
            SocketAddr::from((at.address, port))
        );
        fs::write(&conf, text).context("cannot write sshd_config")?;
        // sshd starts itself again for every connection and therefore wants its full path.
        let sshd = find("sshd").context("sshd is missing")?;
        self.spawn(at, "sshd", &mut command(&sshd.to_string_lossy(), &["-D", "-e", "-f", &conf]), &[port])
    }
}

impl Start<'_> {
    fn file(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }

    fn log_name(&self, name: &str) -> String {
        format!("{}-{name}", self.host.name())
    }

    fn setup(&self, name: &str, cmd: &mut Command) -> Result<()> {
        inside(Place::At(self.machine), || run(&self.log_name(name), self.logs, cmd, SETUP).map(drop))
    }
}

/// Where Samba, server or client, may write: never into the system's folders.
pub(crate) fn samba_folders(dir: &Path) -> Result<String> {
    let mut lines = String::new();
    for kind in ["lock", "state", "cache", "pid", "private", "ncalrpc"] {
        let folder = dir.join(kind);
        fs::create_dir_all(&folder).context(format!("cannot create {}", folder.display()))?;
        let option = match kind {
            "private" | "ncalrpc" => format!("{kind} dir"),
            _ => format!("{kind} directory"),
        };
        lines += &format!("  {option} = {}\n", folder.display());
    }
    lines += &format!("  log file = {}/log.%m\n", dir.display());
    Ok(lines)
}

fn samba_conf(at: &Start<'_>) -> Result<String> {
    let share = at.dir.join("admin");
    fs::create_dir_all(&share).context("cannot create the share")?;
    let names = at.dir.join("names");
    fs::write(&names, format!("root = {USER}\n")).context("cannot write the user map")?;
    Ok(format!(
        "[global]\n  netbios name = ORADB01\n  workgroup = LAB\n  server role = standalone server\n\
         \x20 server string = database server\n\
         \x20 interfaces = {address}/{prefix}\n  bind interfaces only = yes\n  smb ports = 445\n  disable netbios = yes\n\
         \x20 rpc start on demand helpers = no\n  rpc server dynamic port range = 49152-65535\n\
         \x20 load printers = no\n  printing = bsd\n  printcap name = /dev/null\n  disable spoolss = yes\n\
         \x20 username map = {names}\n{folders}\
         [ADMIN$]\n  path = {share}\n  read only = no\n",
        address = at.address,
        prefix = if at.address.is_ipv4() { 24 } else { 64 },
        names = names.display(),
        folders = samba_folders(&at.dir)?,
        share = share.display(),
    ))
}
