//! A server in this process, on loopback ports, with its data in a temporary folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use imd::config::Config;
use imd::shutdown::Shutdown;
use imd_store::sqlite::{SqliteOptions, SqliteStore};
use imd_store::{Account, AccountStore as _, Role, now_millis};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::daemon::Daemon;
use super::{DOMAIN, password};

/// Who a server is: its domain, and the certificate that proves it.
pub struct Identity {
    pub domain: String,
    /// PEM text: the certificate and those that signed it.
    pub chain: String,
    /// PEM text of the private key.
    pub key: String,
    /// Whom to trust so as to believe the certificate.
    pub root: rustls::pki_types::CertificateDer<'static>,
}

impl Identity {
    /// A domain that signs for itself.
    pub fn self_signed(domain: &str) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(vec![domain.to_owned()])?;
        Ok(Self {
            domain: domain.to_owned(),
            chain: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            root: made.cert.der().clone(),
        })
    }
}

/// A server and all that it keeps, until dropped.
pub struct TestServer {
    folder: tempfile::TempDir,
    domain: String,
    settings: String,
    certificate: rustls::pki_types::CertificateDer<'static>,
    /// Whether it runs as a process of its own.
    daemon: bool,
    /// A command that runs the daemon, and variables for it.
    wrapper: Vec<String>,
    environment: Vec<(String, String)>,
    running: Option<Running>,
}

struct Running {
    way: RunsAs,
    addresses: Vec<(SocketAddr, bool)>,
}

enum RunsAs {
    Task(Shutdown, JoinHandle<Result<()>>),
    Daemon(Daemon),
}

impl TestServer {
    /// A server that runs, with `more` settings (TOML) after the needed ones.
    pub async fn start(more: &str) -> Result<Self> {
        let mut server = Self::prepare(more)?;
        server.start_again().await?;
        Ok(server)
    }

    /// A server that does not run yet.
    pub fn prepare(more: &str) -> Result<Self> {
        Self::prepare_as(Identity::self_signed(DOMAIN)?, more)
    }

    /// The same with another identity.
    pub fn prepare_as(identity: Identity, more: &str) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let (certificate, key) = (folder.path().join("s.crt"), folder.path().join("s.key"));
        std::fs::write(&certificate, &identity.chain)?;
        std::fs::write(&key, &identity.key)?;
        let settings = format!(
            "domain = {:?}\ndata_dir = {:?}\n[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n\
             [listen]\nstarttls = [\"127.0.0.1:0\"]\ndirect_tls = [\"127.0.0.1:0\"]\nadmin = {:?}\n{more}\n",
            identity.domain,
            folder.path().join("data"),
            folder.path().join("admin.sock"),
        );
        Ok(Self {
            folder,
            domain: identity.domain,
            settings,
            certificate: identity.root,
            daemon: false,
            wrapper: Vec::new(),
            environment: Vec::new(),
            running: None,
        })
    }

    /// Its domain.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The settings as a file would have them.
    pub fn settings(&self) -> &str {
        &self.settings
    }

    /// Where everything is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the admin API is.
    pub fn admin_socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("data/imd.sqlite")
    }

    fn config(&self) -> Result<Config> {
        imd::config::parse("settings", &self.settings).map_err(|problems| anyhow!("{problems}"))
    }

    /// The same, to run as a process of its own, as on a box.
    pub fn into_daemon(mut self) -> Self {
        self.daemon = true;
        self
    }

    /// Run the daemon by another command, which gets it as its arguments.
    pub fn wrapper(&mut self, command: Vec<String>) {
        self.wrapper = command;
    }

    /// Give the daemon a variable.
    pub fn environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The process, while it runs as one.
    pub fn daemon(&self) -> Option<&Daemon> {
        match self.running.as_ref().map(|r| &r.way) {
            Some(RunsAs::Daemon(daemon)) => Some(daemon),
            _ => None,
        }
    }

    /// Start, or start again with the same data.
    pub async fn start_again(&mut self) -> Result<()> {
        let running = if self.daemon {
            let file = self.folder.path().join("imd.toml");
            std::fs::write(&file, &self.settings)?;
            let (daemon, addresses) =
                Daemon::start(&file, &self.wrapper, &self.environment).await?;
            Running {
                way: RunsAs::Daemon(daemon),
                addresses,
            }
        } else {
            self.start_task().await?
        };
        self.running = Some(running);
        Ok(())
    }

    async fn start_task(&self) -> Result<Running> {
        let config = self.config()?;
        let shutdown = Shutdown::default();
        let (sender, ready) = oneshot::channel();
        let asked = shutdown.clone();
        let task = tokio::spawn(async move {
            imd::cli::serve::serve(config, asked, |addresses| {
                // Whoever waited may have given up; the server then ends with the test.
                let _ = sender.send(addresses.to_vec());
            })
            .await
        });
        match ready.await {
            Ok(addresses) => Ok(Running {
                way: RunsAs::Task(shutdown, task),
                addresses,
            }),
            Err(_) => match task.await? {
                Ok(()) => Err(anyhow!("the server ended before it was ready")),
                Err(error) => Err(error.context("the server does not start")),
            },
        }
    }

    /// Stop in order, as SIGTERM does, and wait for the end.
    pub async fn stop(&mut self) -> Result<()> {
        match self.running.take().map(|running| running.way) {
            None => Ok(()),
            Some(RunsAs::Task(shutdown, task)) => {
                shutdown.request();
                task.await?
            }
            Some(RunsAs::Daemon(daemon)) => daemon.stop().await,
        }
    }

    /// Open the database beside the server, as the command line does.
    pub fn store(&self) -> Result<SqliteStore> {
        let database = self.database();
        if let Some(folder) = database.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let options = SqliteOptions {
            full_text: true,
            check: false,
        };
        Ok(SqliteStore::open(&database, options)?)
    }

    /// Make an account with its usual password.
    pub async fn account(&self, user: &str, role: Role) -> Result<()> {
        let account = Account {
            username: user.to_owned(),
            role,
            enabled: true,
            created_at: now_millis(),
        };
        let credentials = imd::sasl::derive(&password(user)).map_err(|e| anyhow!(e))?;
        let store = self.store()?;
        store.create_account(account, credentials).await?;
        Ok(())
    }

    /// Where clients connect.
    pub fn address(&self, direct_tls: bool) -> Result<SocketAddr> {
        let running = self.running.as_ref().context("the server does not run")?;
        running
            .addresses
            .iter()
            .find(|(_, direct)| *direct == direct_tls)
            .map(|(address, _)| *address)
            .context("the server does not listen for this kind of connection")
    }

    /// A TLS client that trusts this server's certificate and no other.
    pub fn tls(&self, alpn: bool) -> Result<tokio_rustls::TlsConnector> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        if alpn {
            config.alpn_protocols = vec![b"xmpp-client".to_vec()];
        }
        Ok(tokio_rustls::TlsConnector::from(Arc::new(config)))
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(Running {
            way: RunsAs::Task(shutdown, _),
            ..
        }) = &self.running
        {
            shutdown.request();
        }
    }
}
