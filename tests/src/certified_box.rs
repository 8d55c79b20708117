//! A box on this computer whose domain wants a certificate: its folder, its settings, the `imd` that the provisioner's own
//! configuration makes, and the image's nginx, both on ports of the test's.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use provisioner::acme::machine::State;
use provisioner::acme::{run, service};
use provisioner::files::Files;
use provisioner::firstboot::{self, certificates, state::BoxState};
use provisioner::imd_config;
use provisioner::settings::apply::Machine;
use provisioner::settings::change::{change, request_of_pairs};
use provisioner::settings::federation::Federation;
use provisioner::system::{Linux, System};
use provisioner::update::tls;
use rustls::{ClientConnection, StreamOwned};
use time::{Duration as Span, OffsetDateTime};

use crate::host_imd;
use crate::lab::{Lab, repository};
use crate::qemu::free_port;
use crate::wait::wait_until;

/// The box's domain.
pub const DOMAIN: &str = "chat.perch.example";
const PATIENCE: Duration = Duration::from_secs(10);

/// The box.
pub struct CertifiedBox {
    /// Its root.
    pub root: PathBuf,
    /// Where nginx serves HTTP.
    pub http: u16,
    /// Where nginx serves HTTPS.
    pub https: u16,
    /// Where `imd` takes direct TLS.
    pub direct_tls: u16,
    nginx_folder: PathBuf,
    logs: PathBuf,
    imd: RefCell<Option<Child>>,
    nginx: RefCell<Option<Child>>,
    /// How far its clock is ahead of this computer's.
    ahead: Cell<Span>,
}

/// A connection with TLS.
pub type Connection = StreamOwned<ClientConnection, TcpStream>;

impl CertifiedBox {
    /// A box after its first start, with these lines in `perch.toml`, `imd` and nginx running.
    ///
    /// # Errors
    ///
    /// A program is missing, or does not come up.
    pub fn start(lab: &Lab, settings: &str) -> Result<Self> {
        let root = lab.work.join("root");
        for folder in [
            "boot/firmware",
            "data/etc",
            "run/perch-acme",
            "var/lib/imd",
            "etc/perch",
        ] {
            fs::create_dir_all(root.join(folder)).context("make the box's folders")?;
        }
        let machine_id = "0123456789abcdef0123456789abcdef\n";
        fs::write(root.join("data/etc/machine-id"), machine_id).context("write a machine ID")?;
        let card = root.join("boot/firmware/perch.toml");
        let text = format!("domain = \"{DOMAIN}\"\n{settings}");
        fs::write(card, text).context("write perch.toml")?;
        let made = Self {
            root,
            http: free_port()?.1,
            https: free_port()?.1,
            direct_tls: free_port()?.1,
            nginx_folder: lab.work.join("nginx"),
            logs: lab.logs.clone(),
            imd: RefCell::default(),
            nginx: RefCell::default(),
            ahead: Cell::default(),
        };
        let mut said = Vec::new();
        let files = made.files();
        firstboot::run(&files, &made, |line| said.push(line.to_owned()))?;
        let status = fs::read_to_string(made.root.join("boot/firmware/perch-status.txt"));
        fs::write(
            lab.logs.join("perch-status.txt"),
            status.unwrap_or_default(),
        )
        .context("keep the box's status")?;
        let is_set = BoxState::load(&files)?.settings.domain.is_some();
        ensure!(is_set, "the settings are not taken: {said:#?}");
        made.start_imd()?;
        made.start_nginx("run/perch-acme")?;
        Ok(made)
    }

    fn files(&self) -> Files {
        Files::new(&self.root)
    }

    /// Sets keys to values, as the command line does.
    ///
    /// # Errors
    ///
    /// They are not taken.
    pub fn set(&self, pairs: &[(&str, &str)]) -> Result<()> {
        let files = self.files();
        let machine = Machine {
            files: &files,
            system: self,
        };
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let request = request_of_pairs(machine, &pairs)?;
        change(machine, &request, "the test").map(drop)
    }

    /// What `perch-certificate.service` does.
    ///
    /// # Errors
    ///
    /// What came of it cannot be kept or taken up.
    pub fn work(&self, asked: bool) -> Result<State> {
        let files = self.files();
        let machine = Machine {
            files: &files,
            system: self,
        };
        run::work(machine, asked)
    }

    /// Lets so many days pass.
    pub fn pass(&self, days: i64) {
        self.ahead.set(self.ahead.get() + Span::days(days));
    }

    /// The certificate that is shown at a port to who asks for a name and believes the box's authority and these (PEM).
    ///
    /// # Errors
    ///
    /// Nobody answers, or shows a certificate that is believed.
    pub fn connect(&self, port: u16, name: &str, also: &[u8]) -> Result<Connection> {
        let own = fs::read(self.root.join(&certificates::AUTHORITY[1..])).context("read ca.crt")?;
        let roots = [&own, also].concat();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let protocol = if port == self.https {
            "http/1.1"
        } else {
            "xmpp-client"
        };
        let mut stream = tls::connect(address, name, &roots, protocol, PATIENCE)?;
        while stream.conn.is_handshaking() {
            stream
                .conn
                .complete_io(&mut stream.sock)
                .context("shake hands")?;
        }
        Ok(stream)
    }

    /// Waits until both programs show a certificate that these (PEM) have signed, and not `before`. Returns it.
    ///
    /// # Errors
    ///
    /// They do not.
    pub fn wait_shown(&self, root: &[u8], before: Option<&[u8]>) -> Result<Vec<u8>> {
        let mut shown = Vec::new();
        for (port, who) in [(self.https, "nginx"), (self.direct_tls, "imd")] {
            let what = format!("{who} to show the new certificate");
            shown = wait_until(Duration::from_secs(20), &what, || {
                let of = certificate(&self.connect(port, DOMAIN, root)?)?;
                Ok((Some(&of[..]) != before && !self.is_own(&of)?).then_some(of))
            })?;
        }
        Ok(shown)
    }

    /// Waits until both programs show the certificate of the box's own authority for a name.
    ///
    /// # Errors
    ///
    /// They do not.
    pub fn wait_own(&self, name: &str) -> Result<()> {
        for (port, who) in [(self.https, "nginx"), (self.direct_tls, "imd")] {
            let what = format!("{who} to show the box's own certificate");
            wait_until(Duration::from_secs(20), &what, || {
                let shown = certificate(&self.connect(port, name, b"")?)?;
                Ok(self.is_own(&shown)?.then_some(()))
            })?;
        }
        Ok(())
    }

    /// Whether a certificate is the one of the box's own authority.
    ///
    /// # Errors
    ///
    /// That one cannot be read.
    pub fn is_own(&self, certificate: &[u8]) -> Result<bool> {
        use rustls::pki_types::pem::PemObject as _;
        let place = self.root.join(&certificates::SERVER_CERTIFICATE[1..]);
        let own = rustls::pki_types::CertificateDer::from_pem_file(place);
        Ok(own.context("read server.crt")?.as_ref() == certificate)
    }

    fn start_imd(&self) -> Result<()> {
        if let Some(mut child) = self.imd.borrow_mut().take() {
            child.kill().context("end imd")?;
            child.wait().context("wait for imd")?;
        }
        let root = self.root.display().to_string();
        let domain = BoxState::load(&self.files())?.domain();
        let text = imd_config::render(&domain, &Federation::default())
            .replace("\"/var/lib/", &format!("\"{root}/var/lib/"))
            .replace("[\"[::]:5222\"]", "[]")
            .replace("[::]:5223", &format!("127.0.0.1:{}", self.direct_tls))
            .replace("\"/run/", &format!("\"{root}/run/"));
        // What serves browsers is nginx's business here.
        let lines = text.lines().filter(|line| !line.starts_with("web_root"));
        let text: Vec<&str> = lines.collect();
        for folder in ["run/imd", "run/imd-http"] {
            fs::create_dir_all(self.root.join(folder)).context("make imd's folders")?;
        }
        let config = self.root.join("etc/imd-here.toml");
        fs::write(&config, text.join("\n")).context("write imd.toml")?;
        let mut command = Command::new(host_imd::program()?);
        command.args(["serve", "--config"]).arg(config);
        self.imd.replace(Some(self.spawn(command, "imd.log")?));
        self.wait_port(self.direct_tls, "imd")
    }

    /// Starts nginx with the image's files, its proofs from a folder of the box.
    ///
    /// # Errors
    ///
    /// It does not come up.
    pub fn start_nginx(&self, proofs: &str) -> Result<()> {
        self.stop_nginx();
        fs::create_dir_all(&self.nginx_folder).context("make nginx's folder")?;
        let source = repository().join("overlays/perch/etc/nginx");
        for name in ["nginx.conf", "perch-pages.conf"] {
            let text = fs::read_to_string(source.join(name)).context("read nginx's files")?;
            let text = text.replace("user www-data;", "user root;").replace(
                "alias /run/perch-acme/",
                &format!("alias {}/", self.root.join(proofs).display()),
            );
            fs::write(self.nginx_folder.join(name), self.here(&text)).context("write nginx's")?;
        }
        self.take_over_domain()?;
        let mut command = Command::new("nginx");
        command
            .args(["-g", "daemon off;", "-p"])
            .arg(&self.nginx_folder);
        command.arg("-c").arg(self.nginx_folder.join("nginx.conf"));
        self.nginx.replace(Some(self.spawn(command, "nginx.log")?));
        self.wait_port(self.https, "nginx")
    }

    /// Ends nginx.
    pub fn stop_nginx(&self) {
        if let Some(mut child) = self.nginx.borrow_mut().take() {
            // Its workers go with it at this signal.
            signal(&child, Signal::SIGTERM).ok();
            child.wait().ok();
        }
    }

    /// A text of nginx's for this computer: its places and ports.
    fn here(&self, text: &str) -> String {
        let (root, folder) = (self.root.display(), self.nginx_folder.display());
        let lines = text.lines().filter(|line| !line.contains("listen [::]"));
        let text: Vec<&str> = lines.collect();
        text.join("\n")
            .replace("listen 80 ", &format!("listen 127.0.0.1:{} ", self.http))
            .replace("listen 443 ", &format!("listen 127.0.0.1:{} ", self.https))
            .replace("/var/lib/perch/", &format!("{root}/var/lib/perch/"))
            .replace("unix:/run/", &format!("unix:{root}/run/"))
            .replace("pid /run/", &format!("pid {folder}/"))
            .replace("/etc/nginx/perch-", &format!("{folder}/perch-"))
            .replace("/etc/perch/", &format!("{folder}/"))
    }

    /// nginx's part for the domain, which the provisioner has written or taken away.
    fn take_over_domain(&self) -> Result<()> {
        let place = self.nginx_folder.join("nginx-domain.conf");
        match fs::read_to_string(self.root.join(&service::NGINX[1..])) {
            Ok(text) => fs::write(place, self.here(&text)).context("write the domain's part"),
            Err(_) => {
                fs::remove_file(place).ok();
                Ok(())
            }
        }
    }

    fn spawn(&self, mut command: Command, log: &str) -> Result<Child> {
        let place = self.logs.join(log);
        let log = File::options().create(true).append(true).open(&place);
        let log = log.with_context(|| format!("open {}", place.display()))?;
        command.stdin(Stdio::null());
        command
            .stderr(log.try_clone().context("share a log")?)
            .stdout(log);
        command
            .spawn()
            .with_context(|| format!("start {command:?}"))
    }

    fn wait_port(&self, port: u16, who: &str) -> Result<()> {
        let what = format!("{who} to listen");
        wait_until(Duration::from_secs(60), &what, || {
            TcpStream::connect(("127.0.0.1", port)).context("connect")?;
            Ok(Some(()))
        })
    }

    fn reload(&self, unit: &str) -> Result<()> {
        let child = match unit {
            "nginx.service" => {
                self.take_over_domain()?;
                self.nginx.borrow()
            }
            _ => self.imd.borrow(),
        };
        child
            .as_ref()
            .map_or(Ok(()), |child| signal(child, Signal::SIGHUP))
    }
}

/// The first certificate that a connection was shown.
///
/// # Errors
///
/// None was.
pub fn certificate(connection: &Connection) -> Result<Vec<u8>> {
    let shown = connection.conn.peer_certificates().and_then(<[_]>::first);
    Ok(shown.context("no certificate was shown")?.as_ref().to_vec())
}

fn signal(child: &Child, signal: Signal) -> Result<()> {
    let number = i32::try_from(child.id()).context("a process number")?;
    kill(Pid::from_raw(number), signal).context("send a signal")
}

impl Drop for CertifiedBox {
    fn drop(&mut self) {
        self.stop_nginx();
        if let Some(mut child) = self.imd.borrow_mut().take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// The box's system: hooks run, units are the test's own programs, and the clock can be ahead.
impl System for CertifiedBox {
    fn run_as(
        &self,
        user: Option<&str>,
        command: &[&str],
        stdin: Option<&str>,
    ) -> Result<(i32, String)> {
        match command {
            ["timeout", ..] => Linux.run_as(user, command, stdin),
            ["systemctl", "try-reload-or-restart", unit] => {
                self.reload(unit).map(|()| (0, String::new()))
            }
            ["systemctl", "try-restart", "imd.service"] => {
                self.start_imd().map(|()| (0, String::new()))
            }
            ["systemctl", ..] => Ok((0, String::new())),
            _ => bail!("{command:?} is not this test's business"),
        }
    }

    fn unit_property(&self, _: &str, _: &str) -> Result<Option<String>> {
        Ok(Some("active".to_owned()))
    }

    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + self.ahead.get()
    }

    fn set_clock(&self, _: OffsetDateTime) -> Result<()> {
        Ok(())
    }

    fn set_host_name(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn mount(&self, _: &str, _: &Path, _: &str, _: bool) -> Result<()> {
        bail!("nothing is mounted here")
    }

    fn unmount(&self, _: &Path) -> Result<()> {
        bail!("nothing is mounted here")
    }

    fn addresses(&self) -> Vec<IpAddr> {
        Vec::new()
    }

    fn is_name_taken(&self, _: &str) -> Result<bool> {
        Ok(false)
    }
}
