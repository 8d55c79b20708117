//! Other XMPP servers from Debian's packages, on loopback addresses of their own, with one account each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::authority::Certificate;
use crate::lab::Lab;
use crate::qemu::free_port;
use crate::wait::wait_until;

/// How long a server may take to start: the machine may be busy.
const START: Duration = Duration::from_secs(300);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Prosody.
    Prosody,
    /// ejabberd.
    Ejabberd,
}

/// What a peer is told.
pub struct Settings<'a> {
    /// Its certificate.
    pub certificate: &'a Certificate,
    /// The authority that it trusts.
    pub trusted: &'a Path,
    /// Whether it talks only with servers whose certificates it can verify; otherwise dialback is enough.
    pub strict: bool,
    /// The port of the name server on 127.0.0.1.
    pub dns: u16,
}

/// A place for a peer: its domain, address and ports.
#[derive(Debug, Clone)]
pub struct Place {
    /// Which server.
    pub kind: Kind,
    /// Its domain; rooms are at `conference.` before it.
    pub domain: &'static str,
    /// Its loopback address.
    pub address: &'static str,
    /// Where clients connect, with STARTTLS.
    pub c2s: u16,
    /// Where servers connect.
    pub s2s: u16,
}

/// A running server. Dropping it kills it.
pub struct Peer(Child);

/// The name of the account.
pub const USER: &str = "pia";
/// Its password.
pub const PASSWORD: &str = "pias password";

impl Place {
    /// Free ports for a peer.
    ///
    /// # Errors
    ///
    /// No ports are free.
    pub fn new(kind: Kind) -> Result<Self> {
        let (domain, address) = match kind {
            Kind::Prosody => ("prosody.example", "127.0.0.2"),
            Kind::Ejabberd => ("ejabberd.example", "127.0.0.3"),
        };
        Ok(Self {
            kind,
            domain,
            address,
            c2s: free_port()?.1,
            s2s: free_port()?.1,
        })
    }

    /// Starts the server and waits until it listens and has its account.
    ///
    /// # Errors
    ///
    /// It is not installed, refused its configuration, or did not listen in time.
    pub fn start(&self, lab: &Lab, settings: &Settings<'_>) -> Result<Peer> {
        let (mut command, ready) = match self.kind {
            Kind::Prosody => self.prosody(lab, settings)?,
            Kind::Ejabberd => self.ejabberd(lab, settings)?,
        };
        let output = fs::File::create(lab.logs.join("peer.out")).context("make peer.out")?;
        let errors = output.try_clone().context("share peer.out")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let mut peer = Peer(child);
        for port in [self.c2s, self.s2s] {
            wait_until(START, &format!("{} on {port}", self.domain), || {
                peer.check(lab)?;
                let address = format!("{}:{port}", self.address);
                Ok(std::net::TcpStream::connect(address).ok())
            })?;
        }
        if let Some(ready) = ready {
            wait_until(START, "the account of the peer", || {
                peer.check(lab)?;
                Ok(ready.exists().then_some(()))
            })?;
        }
        Ok(peer)
    }

    fn prosody(&self, lab: &Lab, settings: &Settings<'_>) -> Result<(Command, Option<PathBuf>)> {
        let folder = lab.work.join("peer");
        // Prosody keeps an account in a file of Lua, the domain's dots as %2e.
        let accounts = folder
            .join(self.domain.replace('.', "%2e"))
            .join("accounts");
        fs::create_dir_all(&accounts).context("make Prosody's folder")?;
        let account = format!("return {{ [\"password\"] = \"{PASSWORD}\" }};\n");
        fs::write(accounts.join(format!("{USER}.dat")), account).context("make the account")?;
        let ssl = format!(
            "{{ certificate = {:?}; key = {:?}; cafile = {:?} }}",
            settings.certificate.chain, settings.certificate.key, settings.trusted
        );
        let config = format!(
            "run_as_root = true\npidfile = {pid:?}\ndata_path = {folder:?}\n\
             interfaces = {{ \"{address}\" }}\nc2s_ports = {{ {c2s} }}\ns2s_ports = {{ {s2s} }}\n\
             c2s_direct_tls_ports = {{ }}\ns2s_direct_tls_ports = {{ }}\n\
             authentication = \"internal_plain\"\nstorage = \"internal\"\ns2s_secure_auth = {strict}\n\
             modules_enabled = {{ \"roster\"; \"saslauth\"; \"tls\"; \"dialback\"; \"disco\"; \"ping\"; \"s2s_bidi\"; \"posix\" }}\n\
             unbound = {{ resolvconf = false; hoststxt = false; forward = {{ \"127.0.0.1@{dns}\" }}; \
             options = {{ [\"do-not-query-localhost:\"] = \"no\" }} }}\n\
             log = {{ debug = {log:?} }}\nssl = {ssl}\n\
             VirtualHost \"{domain}\"\nComponent \"conference.{domain}\" \"muc\"\n",
            pid = folder.join("prosody.pid"),
            address = self.address,
            c2s = self.c2s,
            s2s = self.s2s,
            strict = settings.strict,
            dns = settings.dns,
            log = lab.logs.join("prosody.log"),
            domain = self.domain,
        );
        let file = folder.join("prosody.cfg.lua");
        fs::write(&file, config).context("write Prosody's configuration")?;
        let mut command = Command::new("prosody");
        command.arg("-F").arg("--config").arg(file);
        Ok((command, None))
    }

    fn ejabberd(&self, lab: &Lab, settings: &Settings<'_>) -> Result<(Command, Option<PathBuf>)> {
        let folder = lab.work.join("peer");
        fs::create_dir_all(&folder).context("make ejabberd's folder")?;
        let read = |path: &Path| {
            fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
        };
        let pem = folder.join("ejabberd.pem");
        let both = read(&settings.certificate.key)? + &read(&settings.certificate.chain)?;
        fs::write(&pem, both).context("write ejabberd's certificate")?;
        let listener = |port, module: &str| {
            format!(
                "  - port: {port}\n    ip: \"{}\"\n    module: {module}\n",
                self.address
            )
        };
        let config = format!(
            "loglevel: info\nhosts: [{domain}]\ncertfiles: [{pem:?}]\nca_file: {ca:?}\n\
             s2s_use_starttls: {tls}\nauth_password_format: plain\n\
             listen:\n{c2s}    starttls_required: true\n{s2s}\
             access_rules:\n  local:\n    allow: all\n\
             modules:\n  mod_disco: {{}}\n  mod_ping: {{}}\n  mod_roster: {{}}\n  mod_s2s_bidi: {{}}\n  \
             mod_s2s_dialback: {{}}\n  mod_muc:\n    host: conference.{domain}\n",
            domain = self.domain,
            ca = settings.trusted,
            tls = if settings.strict {
                "required"
            } else {
                "optional"
            },
            c2s = listener(self.c2s, "ejabberd_c2s"),
            s2s = listener(self.s2s, "ejabberd_s2s_in"),
        );
        let file = folder.join("ejabberd.yml");
        fs::write(&file, config).context("write ejabberd's configuration")?;
        let names = folder.join("inetrc");
        // In this order: the first line forgets the name servers before it.
        let lookup = format!(
            "{{resolv_conf,\"\"}}.\n{{hosts_file,\"\"}}.\n{{lookup,[dns]}}.\n{{nameserver,{{127,0,0,1}},{}}}.\n",
            settings.dns
        );
        fs::write(&names, lookup).context("write Erlang's name settings")?;
        let ready = folder.join("ready");
        // Not ejabberdctl, which changes to a user that may not read this folder.
        let mut command = Command::new("erl");
        command
            .args(["-noinput", "-pa"])
            .arg(library()?)
            .args(["-mnesia", "dir"])
            .arg(format!("{:?}", folder.join("mnesia")))
            .args(["-s", "ejabberd", "-eval"])
            .arg(format!(
                "ok = ejabberd_auth:try_register(<<\"{USER}\">>, <<\"{}\">>, <<\"{PASSWORD}\">>), \
                 ok = file:write_file({ready:?}, <<>>).",
                self.domain
            ))
            .env("EJABBERD_CONFIG_PATH", &file)
            .env("EJABBERD_LOG_PATH", lab.logs.join("ejabberd.log"))
            .env("ERL_INETRC", names)
            .env("HOME", &folder);
        Ok((command, Some(ready)))
    }
}

/// Where Debian has ejabberd's code.
fn library() -> Result<PathBuf> {
    let entries = fs::read_dir("/usr/lib/x86_64-linux-gnu").context("look for ejabberd")?;
    let found = entries.flatten().map(|entry| entry.path().join("ebin"));
    found
        .filter(|path| path.to_string_lossy().contains("/ejabberd-") && path.is_dir())
        .min()
        .context("ejabberd is not installed: the build root has it")
}

impl Peer {
    fn check(&mut self, lab: &Lab) -> Result<()> {
        if let Some(status) = self.0.try_wait().context("look after the peer")? {
            let said = fs::read_to_string(lab.logs.join("peer.out")).unwrap_or_default();
            bail!("the peer ended: {status}\n{said}");
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
