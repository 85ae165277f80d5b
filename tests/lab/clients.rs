//! What one host does to another: each act runs the real client of its protocol.
//!
//! Every function here is called inside the namespace of the originating host.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::cmd::{command, run};
use crate::failure::{Context, Result};
use crate::hosts::Host;
use crate::scenario::Act;
use crate::servers::{IQN, PASSWORD, USER, samba_folders};
use crate::{iscsi, peer};

/// A dropped SYN takes 7 s to fail; three in a row still fit.
const PATIENCE: Duration = Duration::from_secs(25);

/// Who acts on whom.
pub(crate) struct Pair<'a> {
    pub(crate) from: Host,
    pub(crate) to: Host,
    pub(crate) address: IpAddr,
    pub(crate) work: &'a Path,
    /// Makes log names unique within a play.
    pub(crate) number: usize,
}

/// Does `act`; says which port it ended up on where that is not given by the act itself.
pub(crate) fn perform(act: &Act, pair: &Pair<'_>) -> Result<Option<u16>> {
    match act {
        Act::Ping => peer::ping(pair.address).map(|()| None),
        Act::Tls(port) => pair.tls(*port).map(|()| None),
        Act::SmbPut { bytes } => pair.smb_put(*bytes).map(|()| None),
        Act::RpcCall => pair.rpc_call().map(|()| None),
        Act::Send { ports, bytes } => peer::send(pair.address, ports, *bytes).map(Some),
        Act::IscsiRead { port, blocks } => iscsi::read(pair.address, *port, IQN, *blocks).map(|()| None),
        Act::Ssh(port) => pair.ssh(*port).map(|()| None),
    }
}

impl Pair<'_> {
    fn run(&self, name: &str, cmd: &mut Command) -> Result<()> {
        let name = format!("step-{}-{}-{name}", self.number, self.from.name());
        run(&name, &self.work.join("logs"), cmd, PATIENCE).map(drop)
    }

    fn server_file(&self, kind: &str, name: &str) -> String {
        self.work.join(self.to.name()).join(kind).join(name).to_string_lossy().into_owned()
    }

    fn tls(&self, port: u16) -> Result<()> {
        let (cert, url) =
            (self.server_file("tls", "cert.pem"), format!("https://{}/", SocketAddr::from((self.address, port))));
        // --disable first: no configuration of the person who runs the test.
        let args = [
            "--disable",
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--cacert",
            &cert,
            "--output",
            "/dev/null",
            &url,
        ];
        self.run("curl", &mut command("curl", &args))
    }

    fn smb_put(&self, bytes: usize) -> Result<()> {
        let (conf, login) = (self.samba_conf()?, format!("{USER}%{PASSWORD}"));
        let file = self.work.join(format!("runtime-{}.bin", self.number));
        fs::write(&file, vec![0; bytes]).context("cannot write the file to deploy")?;
        // The name in the share is no address that smbclient would take from IPv6; -I says where it is.
        let (share, address) = ("//ORADB01/ADMIN$", self.address.to_string());
        let put = format!("put {} runtime-{}.bin", file.display(), self.from.name());
        self.run(
            "smbclient",
            &mut command("smbclient", &[share, "-I", &address, "-s", &conf, "-p", "445", "-U", &login, "-c", &put]),
        )
    }

    fn rpc_call(&self) -> Result<()> {
        let (conf, login) = (self.samba_conf()?, format!("{USER}%{PASSWORD}"));
        // Signed, so that the connection to the mapped port authenticates as a product would.
        let binding = format!("ncacn_ip_tcp:{}[sign]", self.address);
        self.run("rpcclient", &mut command("rpcclient", &["-s", &conf, "-U", &login, "-c", "srvinfo", &binding]))
    }

    fn ssh(&self, port: u16) -> Result<()> {
        let (key, hosts) = (self.server_file("ssh", "login_key"), self.work.join("known_hosts"));
        let known = format!("UserKnownHostsFile={}", hosts.display());
        let (port, login) = (port.to_string(), format!("root@{}", self.address));
        let args = ["-F", "/dev/null", "-i", &key, "-p", &port, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"];
        let trust = ["-o", "StrictHostKeyChecking=no", "-o", &known, &login, "true"];
        self.run("ssh", command("ssh", &args).args(trust))
    }

    /// Samba's clients too keep state and tell their name; both are the lab's own.
    fn samba_conf(&self) -> Result<String> {
        let dir = self.work.join(self.from.name()).join("samba-client");
        let folders = samba_folders(&dir)?;
        let name = self.from.name().to_uppercase();
        let conf = dir.join("smb.conf");
        let text = format!("[global]\n  netbios name = {name}\n  workgroup = LAB\n  disable netbios = yes\n{folders}");
        fs::write(&conf, text).context("cannot write a client's smb.conf")?;
        Ok(conf.to_string_lossy().into_owned())
    }
}
