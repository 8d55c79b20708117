//! Other computers that get backups: OpenSSH's server and an S3 server on this computer, and a wire to them that can be cut.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::authority::Certificate;
use crate::command::output_of;
use crate::lab::{Lab, repository};
use crate::qemu::free_port;
use crate::wait::wait_until;

/// What opens the S3 server.
pub const ACCESS_KEY: &str = "perchbackup";
/// As above.
pub const SECRET_KEY: &str = "a/secret+of-the-test";
/// The S3 server: Versity's gateway (Apache-2.0), which checks signatures and checksums, on a folder.
const GATEWAY: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";
const START: Duration = Duration::from_secs(60);

/// A running server. Dropping it ends it.
pub struct Server {
    child: Child,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An SSH server's own files.
pub struct Sshd {
    folder: PathBuf,
    port: u16,
}

impl Sshd {
    /// Of a server that nobody may log in to, and that is not started.
    ///
    /// # Errors
    ///
    /// There is no port left, or a file cannot be written.
    pub fn new(lab: &Lab) -> Result<Self> {
        let folder = lab.work.join("sshd");
        fs::create_dir_all(&folder).context("make the SSH server's folder")?;
        fs::create_dir_all("/run/sshd").context("make the SSH server's empty folder")?;
        let sshd = Self {
            folder,
            port: free_port()?.1,
        };
        sshd.new_host_key()?;
        sshd.authorize("")?;
        Ok(sshd)
    }

    /// Gives it another host key, and returns its fingerprint.
    ///
    /// # Errors
    ///
    /// `ssh-keygen` fails.
    pub fn new_host_key(&self) -> Result<()> {
        let key = self.folder.join("host_key");
        for old in [key.clone(), key.with_extension("pub")] {
            fs::remove_file(old).ok();
        }
        let mut keygen = Command::new("ssh-keygen");
        keygen
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key);
        output_of(&mut keygen).map(drop)
    }

    /// The fingerprint of its host key, as its owner reads it.
    ///
    /// # Errors
    ///
    /// `ssh-keygen` fails.
    pub fn fingerprint(&self) -> Result<String> {
        let public = self.folder.join("host_key.pub");
        let line = output_of(Command::new("ssh-keygen").arg("-lf").arg(public))?;
        let word = line.split_whitespace().nth(1);
        Ok(word.context("a fingerprint")?.to_owned())
    }

    /// Lets root in with this key alone.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn authorize(&self, line: &str) -> Result<()> {
        let file = self.folder.join("authorized_keys");
        fs::write(file, format!("{line}\n")).context("write authorized_keys")
    }

    /// Starts it, always on the same port.
    ///
    /// # Errors
    ///
    /// It does not come up.
    pub fn start(&self, lab: &Lab) -> Result<Server> {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
             Subsystem sftp internal-sftp\nForceCommand internal-sftp\n",
            self.port,
            at("host_key"),
            at("authorized_keys"),
        );
        fs::write(at("sshd_config"), config).context("write sshd_config")?;
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f", &at("sshd_config")]);
        start(lab, command, "sshd", self.port)
    }
}

/// Compiles the S3 server, once; it stays in `target/`.
///
/// # Errors
///
/// It cannot be fetched or compiled.
pub fn gateway() -> Result<PathBuf> {
    let folder = repository().join("target/gateway");
    let program = folder.join("versitygw");
    if !program.exists() {
        let mut go = Command::new("/usr/lib/go-1.26/bin/go");
        go.args(["install", GATEWAY]);
        go.env("GOBIN", &folder).env("GOPATH", folder.join("go"));
        go.env("GOCACHE", folder.join("cache"))
            .env("GOFLAGS", "-modcacherw");
        output_of(&mut go)?;
        for rest in ["go", "cache"] {
            fs::remove_dir_all(folder.join(rest)).ok();
        }
    }
    Ok(program)
}

/// Starts an S3 server whose buckets are the folders of `folder`.
///
/// # Errors
///
/// It does not come up.
pub fn start_gateway(lab: &Lab, folder: &Path, tls: Option<&Certificate>) -> Result<Server> {
    fs::create_dir_all(folder).context("make the S3 server's folder")?;
    let port = free_port()?.1;
    let mut command = Command::new(gateway()?);
    command.args(["--access", ACCESS_KEY, "--secret", SECRET_KEY]);
    command.args(["--port", &format!("127.0.0.1:{port}")]);
    if let Some(tls) = tls {
        command
            .arg("--cert")
            .arg(&tls.chain)
            .arg("--key")
            .arg(&tls.key);
    }
    // In files beside the objects: not every file system has attributes.
    let sidecar = folder.with_file_name("attributes");
    fs::create_dir_all(&sidecar).context("make the S3 server's folder")?;
    command
        .args(["posix", "--sidecar"])
        .arg(sidecar)
        .arg(folder);
    start(lab, command, "versitygw", port)
}

fn start(lab: &Lab, mut command: Command, name: &str, port: u16) -> Result<Server> {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(lab.logs.join(format!("{name}.log")))
        .context("open a server's log")?;
    command.stdin(Stdio::null());
    command
        .stdout(log.try_clone().context("share a log")?)
        .stderr(log);
    let child = command.spawn().with_context(|| format!("start {name}"))?;
    let server = Server { child, port };
    wait_until(START, name, || {
        Ok(TcpStream::connect(("127.0.0.1", port)).ok())
    })?;
    Ok(server)
}

/// A wire to a server that can be cut, or carry something wrong.
pub struct Wire {
    /// Where it is taken on 127.0.0.1.
    pub port: u16,
    faults: Arc<Faults>,
}

/// What is wrong with a wire.
#[derive(Default)]
struct Faults {
    /// So many bytes more go to the server, and then the connection ends; below 0: no limit.
    left: AtomicI64,
    /// Whether one of a backup's bytes arrives as another.
    is_bad: AtomicBool,
}

impl Wire {
    /// A good wire to a port.
    ///
    /// # Errors
    ///
    /// There is no port left.
    pub fn to(port: u16) -> Result<Self> {
        let (listener, own) = free_port()?;
        let faults = Arc::new(Faults::default());
        faults.left.store(-1, Ordering::Relaxed);
        let shared = Arc::clone(&faults);
        std::thread::spawn(move || accept(&listener, port, &shared));
        Ok(Self { port: own, faults })
    }

    /// Cuts it after so many bytes; `None`: it is whole again.
    pub fn cut_after(&self, bytes: Option<i64>) {
        self.faults
            .left
            .store(bytes.unwrap_or(-1), Ordering::Relaxed);
    }

    /// Whether it carries something wrong from now on.
    pub fn corrupt(&self, is_bad: bool) {
        self.faults.is_bad.store(is_bad, Ordering::Relaxed);
    }
}

fn accept(listener: &TcpListener, port: u16, faults: &Arc<Faults>) {
    for taken in listener.incoming().flatten() {
        // A server that is down ends the connection.
        let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
            continue;
        };
        let (Ok(back), Ok(from)) = (server.try_clone(), taken.try_clone()) else {
            continue;
        };
        let shared = Arc::clone(faults);
        std::thread::spawn(move || carry(from, server, Some(&shared)));
        std::thread::spawn(move || carry(back, taken, None));
    }
}

/// Ends both connections when one ends.
fn carry(mut from: TcpStream, mut to: TcpStream, faults: Option<&Faults>) {
    let mut buffer = vec![0; 32 << 10];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        let Some(chunk) = buffer.get_mut(..bytes) else {
            break;
        };
        if let Some(faults) = faults {
            let left = faults.left.load(Ordering::Relaxed);
            let count = i64::try_from(bytes).unwrap_or(i64::MAX);
            if (0..count).contains(&left) {
                break;
            }
            if left >= 0 {
                faults.left.store(left - count, Ordering::Relaxed);
            }
            // Requests are shorter than this; only a backup fills a whole buffer.
            if faults.is_bad.load(Ordering::Relaxed)
                && bytes > 16 << 10
                && let Some(byte) = chunk.last_mut()
            {
                *byte ^= 1;
            }
        }
        if to.write_all(chunk).is_err() {
            break;
        }
    }
    for end in [&from, &to] {
        // The other side may have ended it.
        let _ = end.shutdown(Shutdown::Both);
    }
}
