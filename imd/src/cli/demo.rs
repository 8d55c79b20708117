//! `imd demo`: the whole server on this computer, gone when it ends.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use imd_store::{Account, AccountStore as _, Role, now_millis};

use crate::config::{
    ArchiveSettings, Config, FederationSettings, Limits, Listen, TlsFiles, UploadSettings,
    WebSettings,
};
use crate::sasl;
use crate::shutdown::Shutdown;

const DOMAIN: &str = "localhost";
const ACCOUNTS: [&str; 2] = ["alice", "bob"];

pub(super) fn command(port: u16, web_root: Option<PathBuf>) -> Result<ExitCode> {
    super::serve::init_log();
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let config = configuration(folder.path(), port, web_root)?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let password = accounts(&config).await?;
        let certificate = config.tls.certificate.clone();
        let chat = match &config.web.web_root {
            Some(_) => format!("{}/chat/", config.public_url()),
            None => "start with --web-root FOLDER, after `ci/web-chat FOLDER`".to_owned(),
        };
        let shutdown = Shutdown::default();
        let asked = shutdown.clone();
        tokio::spawn(async move {
            // An error means that Ctrl-C cannot be heard; the demo then ends with its process.
            if tokio::signal::ctrl_c().await.is_ok() {
                asked.request();
            }
        });
        super::serve::serve(config, shutdown, |addresses| {
            introduce(addresses, &password, &certificate, &chat)
        })
        .await
    })?;
    Ok(ExitCode::SUCCESS)
}

fn configuration(folder: &Path, port: u16, web_root: Option<PathBuf>) -> Result<Config> {
    let tls = TlsFiles {
        certificate: folder.join("demo.crt"),
        key: folder.join("demo.key"),
        domain_certificate: None,
    };
    let made = rcgen::generate_simple_self_signed(vec![DOMAIN.to_owned()])
        .context("cannot make a certificate")?;
    std::fs::write(&tls.certificate, made.cert.pem())?;
    std::fs::write(&tls.key, made.signing_key.serialize_pem())?;
    let (direct, web) = port
        .checked_add(2)
        .map(|web| (web - 1, web))
        .ok_or_else(|| anyhow!("the port must be below 65534"))?;
    let both = |port| {
        vec![
            SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
        ]
    };
    Ok(Config {
        domain: DOMAIN.to_owned(),
        data_dir: folder.join("data"),
        tls,
        listen: Listen {
            starttls: both(port),
            direct_tls: both(direct),
            https: both(web),
            ..Listen::default()
        },
        limits: Limits::default(),
        push: crate::config::PushSettings::default(),
        contact: crate::config::ContactSettings::default(),
        rooms: crate::config::RoomSettings::default(),
        archive: ArchiveSettings {
            enabled: true,
            search: true,
            retention: None,
        },
        web: WebSettings {
            web_root,
            ..WebSettings::default()
        },
        uploads: UploadSettings::default(),
        external_services: Vec::new(),
        components: Vec::new(),
        federation: FederationSettings::default(),
    })
}

/// Make the two accounts; returns their password.
async fn accounts(config: &Config) -> Result<String> {
    let store = super::open_store(config, false)?;
    let bytes: [u8; 6] = ring::rand::generate(&ring::rand::SystemRandom::new())
        .map_err(|_| anyhow!("the system has no random numbers"))?
        .expose();
    let password: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    for name in ACCOUNTS {
        let account = Account {
            username: name.to_owned(),
            role: Role::Member,
            enabled: true,
            created_at: now_millis(),
        };
        let credentials = sasl::derive(&password).map_err(|e| anyhow!(e))?;
        store.create_account(account, credentials).await?;
    }
    Ok(password)
}

fn introduce(addresses: &[(SocketAddr, bool)], password: &str, certificate: &Path, chat: &str) {
    println!(
        "\nThe server runs on this computer until you press Ctrl-C; then everything in it is gone.\n"
    );
    for name in ACCOUNTS {
        println!("  account  {name}@{DOMAIN}   password  {password}");
    }
    for (address, direct) in addresses {
        println!(
            "  server   {address} ({})",
            if *direct { "direct TLS" } else { "STARTTLS" }
        );
    }
    println!("  web chat {chat}");
    println!(
        "\nPoint a client (Gajim, Dino, Conversations in an emulator) at an account, with the server above as"
    );
    println!(
        "host and port, and accept the certificate, which is self-signed: {}\n",
        certificate.display()
    );
}
