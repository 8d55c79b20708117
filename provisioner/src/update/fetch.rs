//! Fetches small files over HTTPS.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// The authorities that the system trusts.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// A list of releases is far smaller.
const LARGEST: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that believes servers whose certificates the authorities in a file have signed, or the system's. `is_strict`: an
/// answer whose status is no success is an error.
///
/// # Errors
/// The file cannot be read, or is not PEM.
pub fn agent(authority: Option<&str>, is_strict: bool) -> Result<ureq::Agent> {
    let path = authority.unwrap_or(SYSTEM_AUTHORITIES);
    let pem = std::fs::read(path).with_context(|| format!("reading {path}"))?;
    let mut roots = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) =
            item.with_context(|| format!("{path} is not PEM"))?
        {
            roots.push(certificate);
        }
    }
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Ok(ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .tls_config(tls)
        .https_only(true)
        .http_status_as_error(is_strict)
        .build()
        .new_agent())
}

/// The body at `url`, whose server's certificate is checked against the authorities in `authority`, or the system's.
///
/// # Errors
/// The server does not answer within a minute, is not trusted, or has no such file.
pub fn get(url: &str, authority: Option<&str>) -> Result<Vec<u8>> {
    let mut answer = agent(authority, true)?
        .get(url)
        .call()
        .with_context(|| format!("fetching {url}"))?;
    answer
        .body_mut()
        .with_config()
        .limit(LARGEST)
        .read_to_vec()
        .with_context(|| format!("reading {url}"))
}
