//! Let's Encrypt's own test authority (Pebble) on this computer, which asks a name server of the test's.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use provisioner::update::fetch;
use serde_json::json;

use crate::authority::Authority;
use crate::dns::{self, Record};
use crate::lab::{Lab, repository};
use crate::qemu::free_port;
use crate::wait::wait_until;

/// A domain that it refuses whatever is proved.
pub const BLOCKED: &str = "blocked.perch.example";

/// What a test wants of it.
pub struct Wishes {
    /// What its name server knows.
    pub names: Vec<(String, Record)>,
    /// Where it looks for proofs by HTTP.
    pub http_port: u16,
    /// How many nonces of a hundred it refuses although they are good.
    pub bad_nonces: u8,
}

/// It runs until it is dropped.
pub struct Pebble {
    /// Its directory.
    pub directory: String,
    /// Who has signed the certificate of its own server.
    pub authority: PathBuf,
    /// What it has said.
    pub log: PathBuf,
    management: u16,
    process: Child,
}

impl Pebble {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// It is not built, or does not answer.
    pub fn start(lab: &Lab, wishes: Wishes) -> Result<Self> {
        let folder = lab.work.join("pebble");
        fs::create_dir_all(&folder).context("make Pebble's folder")?;
        let authority = Authority::new(&folder, "pebble")?;
        let files = authority.certificate(&folder, "server", "localhost")?;
        let (listen, management) = (free_port()?.1, free_port()?.1);
        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{listen}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": files.chain, "privateKey": files.key,
            "httpPort": wishes.http_port, "tlsPort": free_port()?.1,
            "ocspResponderURL": "", "externalAccountBindingRequired": false,
            "domainBlocklist": [BLOCKED],
            "retryAfter": { "authz": 1, "order": 1 },
        }});
        let place = folder.join("pebble.json");
        fs::write(&place, config.to_string()).context("write Pebble's configuration")?;
        let dns = dns::start(wishes.names)?;
        let log = lab.logs.join("pebble.log");
        let output = File::create(&log).context("make Pebble's log")?;
        let program = repository().join("target/pebble/pebble");
        ensure!(
            program.is_file(),
            "no {}: ci/test --only acme",
            program.display()
        );
        let process = Command::new(program)
            .arg("-config")
            .arg(&place)
            .args(["-dnsserver", &format!("127.0.0.1:{dns}")])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", "0")
            .env("PEBBLE_WFE_NONCEREJECT", wishes.bad_nonces.to_string())
            .stdin(Stdio::null())
            .stderr(output.try_clone().context("share Pebble's log")?)
            .stdout(output)
            .spawn()
            .context("start Pebble")?;
        let pebble = Self {
            directory: format!("https://localhost:{listen}/dir"),
            authority: authority.file,
            log,
            management,
            process,
        };
        wait_until(Duration::from_secs(30), "Pebble to answer", || {
            let authority = pebble.authority.to_str();
            fetch::get(&pebble.directory, authority).map(Some)
        })?;
        Ok(pebble)
    }

    /// The certificate of the authority that it signs with: made anew at each start.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn root(&self) -> Result<Vec<u8>> {
        let url = format!("https://localhost:{}/roots/0", self.management);
        fetch::get(&url, self.authority.to_str())
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// It has ended by itself.
    pub fn stop(&mut self) -> Result<()> {
        self.process.kill().context("end Pebble")?;
        self.process.wait().context("wait for Pebble").map(drop)
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
