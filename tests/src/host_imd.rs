//! An `imd` on this computer: its own folder, certificate authority, ports and accounts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::authority::Authority;
use crate::clients::Server;
use crate::command::output_with_input;
use crate::lab::{Lab, repository};
use crate::qemu::free_port;
use crate::wait::wait_until;

/// The domain of every account on a server under test.
pub const DOMAIN: &str = "perch.test";

/// A server under test. Dropping it kills the daemon.
pub struct HostImd {
    /// Where clients find it.
    pub server: Server,
    /// The port for HTTPS, on loopback.
    pub https: u16,
    program: PathBuf,
    /// What runs the daemon, with its arguments: nothing, or a tool that counts.
    under: Vec<String>,
    config: PathBuf,
    log: PathBuf,
    daemon: Child,
}

impl HostImd {
    /// Starts `imd` (`PERCH_IMD`, else the debug build) in the test's scratch folder and waits until it listens.
    ///
    /// # Errors
    ///
    /// It is not built, refused its configuration, or did not listen in time.
    pub fn start(lab: &Lab) -> Result<Self> {
        Self::start_with(lab, "")
    }

    /// The same with more settings (TOML): the first lines may be further listeners, tables follow.
    ///
    /// # Errors
    ///
    /// As [`HostImd::start`].
    pub fn start_with(lab: &Lab, more: &str) -> Result<Self> {
        Self::start_as(lab, &Authority::new(&lab.work, "ca")?, DOMAIN, more)
    }

    /// The same as what a tool runs, such as one of valgrind's: `under` is its command line, to be followed by the daemon's.
    ///
    /// # Errors
    ///
    /// As [`HostImd::start`].
    pub fn start_under(lab: &Lab, under: &[String]) -> Result<Self> {
        let further = Further {
            under: under.to_vec(),
            ..Further::default()
        };
        Self::start_listening(lab, &Authority::new(&lab.work, "ca")?, DOMAIN, further, "")
    }

    /// The same with a certificate of the given authority for another domain.
    ///
    /// # Errors
    ///
    /// As [`HostImd::start`].
    pub fn start_as(lab: &Lab, authority: &Authority, domain: &str, more: &str) -> Result<Self> {
        Self::start_listening(lab, authority, domain, Further::default(), more)
    }

    /// The same with files at an address on the web that clients find when the domain is this computer, STARTTLS at a further
    /// address for clients that cannot be told a port, and the web chat from a folder.
    ///
    /// # Errors
    ///
    /// As [`HostImd::start`].
    pub fn start_public(lab: &Lab, also: Option<&str>, web_chat: Option<&Path>) -> Result<Self> {
        let https = free_port()?.1;
        let authority = Authority::new(&lab.work, "ca")?;
        let root = web_chat.map_or_else(String::new, |folder| {
            format!("web_root = \"{}\"\n", folder.display())
        });
        let more = format!("[web]\npublic_url = \"https://{DOMAIN}:{https}\"\n{root}");
        let further = Further {
            starttls: also,
            https: Some(https),
            under: Vec::new(),
        };
        Self::start_listening(lab, &authority, DOMAIN, further, &more)
    }

    fn start_listening(
        lab: &Lab,
        authority: &Authority,
        domain: &str,
        further: Further<'_>,
        more: &str,
    ) -> Result<Self> {
        let program = program()?;
        let (starttls, direct_tls) = (free_port()?.1, free_port()?.1);
        let https = further
            .https
            .map_or_else(|| Ok(free_port()?.1), anyhow::Ok)?;
        fs::create_dir_all(lab.work.join("data")).context("make the data folder")?;
        authority.certificate(&lab.work, "server", domain)?;
        let config = lab.work.join("imd.toml");
        let listen = Listen {
            starttls,
            also: further.starttls,
            direct_tls,
            https,
        };
        let settings = configuration(&lab.work, domain, &listen) + more;
        fs::write(&config, settings).context("write imd.toml")?;
        let server = Server {
            domain: domain.to_owned(),
            starttls,
            direct_tls,
            ca: authority.file.clone(),
        };
        let log = lab.logs.join("imd.log");
        let daemon = spawn(&further.under, &program, &config, &log)?;
        let mut imd = Self {
            server,
            https,
            program,
            under: further.under,
            config,
            log,
            daemon,
        };
        imd.wait_listening()?;
        Ok(imd)
    }

    /// Makes an account by the command line, while the daemon runs.
    ///
    /// # Errors
    ///
    /// `imd user add` failed.
    pub fn add_user(&self, name: &str, password: &str) -> Result<()> {
        let mut add = Command::new(&self.program);
        add.args(["user", "add", name, "--password-stdin", "--config"])
            .arg(&self.config);
        output_with_input(&mut add, format!("{password}\n").as_bytes())?;
        Ok(())
    }

    /// The program under test, which is its own command line too.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The daemon's process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.daemon.id()
    }

    /// Sends SIGKILL, so that nothing is finished or flushed.
    ///
    /// # Errors
    ///
    /// The daemon was gone already.
    pub fn kill_hard(&mut self) -> Result<()> {
        if let Some(status) = self.daemon.try_wait().context("look after imd")? {
            bail!("imd had ended by itself: {status}");
        }
        self.daemon.kill().context("kill imd")?;
        self.daemon.wait().context("wait for imd")?;
        Ok(())
    }

    /// Sends SIGTERM without waiting.
    ///
    /// # Errors
    ///
    /// The daemon is gone.
    pub fn ask_to_stop(&self) -> Result<()> {
        let number = i32::try_from(self.daemon.id()).context("the process number")?;
        kill(Pid::from_raw(number), Signal::SIGTERM).context("send SIGTERM to imd")
    }

    /// Waits until the daemon has ended.
    ///
    /// # Errors
    ///
    /// It still runs at the deadline.
    pub fn wait_ended(&mut self, deadline: Duration) -> Result<ExitStatus> {
        wait_until(deadline, "imd to end", || {
            self.daemon.try_wait().context("look after imd")
        })
    }

    /// Starts the daemon again on the same folder and ports.
    ///
    /// # Errors
    ///
    /// As [`HostImd::start`].
    pub fn start_again(&mut self) -> Result<()> {
        self.daemon = spawn(&self.under, &self.program, &self.config, &self.log)?;
        self.wait_listening()
    }

    fn wait_listening(&mut self) -> Result<()> {
        for port in [self.server.starttls, self.server.direct_tls, self.https] {
            wait_until(
                Duration::from_secs(60),
                &format!("imd to listen on {port}"),
                || {
                    if let Some(status) = self.daemon.try_wait().context("look after imd")? {
                        let said = fs::read_to_string(&self.log).unwrap_or_default();
                        return Ok(Some(Err(anyhow::anyhow!("imd ended: {status}\n{said}"))));
                    }
                    std::net::TcpStream::connect(("127.0.0.1", port)).context("connect")?;
                    Ok(Some(Ok(())))
                },
            )??;
        }
        Ok(())
    }
}

impl Drop for HostImd {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}

/// The program under test: `PERCH_IMD`, else the debug build.
///
/// # Errors
///
/// It is not built.
pub fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("PERCH_IMD") {
        return Ok(PathBuf::from(path));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repository().join("target"), PathBuf::from);
    let path = target.join("debug/imd");
    if !path.exists() {
        bail!("{} is not built: cargo build -p imd", path.display());
    }
    Ok(path)
}

fn spawn(under: &[String], program: &Path, config: &Path, log: &Path) -> Result<Child> {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(log)
        .context("open imd.log")?;
    let errors = log.try_clone().context("share imd.log")?;
    let mut command = match under {
        [] => Command::new(program),
        [tool, arguments @ ..] => {
            let mut command = Command::new(tool);
            command.args(arguments).arg(program);
            command
        }
    };
    command
        .args(["serve", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("start {}", program.display()))
}

/// Addresses and ports that a test chooses itself.
#[derive(Default)]
struct Further<'a> {
    /// A further address with STARTTLS.
    starttls: Option<&'a str>,
    /// The port for HTTPS.
    https: Option<u16>,
    /// What runs the daemon.
    under: Vec<String>,
}

/// Where a server listens: ports on 127.0.0.1, and perhaps a further address with STARTTLS.
struct Listen<'a> {
    starttls: u16,
    also: Option<&'a str>,
    direct_tls: u16,
    https: u16,
}

fn configuration(folder: &Path, domain: &str, listen: &Listen<'_>) -> String {
    let folder = folder.display();
    let Listen {
        starttls,
        direct_tls,
        https,
        ..
    } = listen;
    let also = listen
        .also
        .map_or_else(String::new, |address| format!(", \"{address}\""));
    format!(
        "domain = \"{domain}\"\n\
         data_dir = \"{folder}/data\"\n\
         [tls]\n\
         certificate = \"{folder}/server.crt\"\n\
         key = \"{folder}/server.key\"\n\
         [listen]\n\
         starttls = [\"127.0.0.1:{starttls}\"{also}]\n\
         direct_tls = [\"127.0.0.1:{direct_tls}\"]\n\
         https = [\"127.0.0.1:{https}\"]\n"
    )
}
