//! TLS by rustls: version 1.2 and 1.3, the certificate from two files (RFC 7590).

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

/// Acceptors for the ways in.
#[derive(Clone)]
pub struct Acceptors {
    /// For STARTTLS: the protocol is known, so none is negotiated.
    pub starttls: TlsAcceptor,
    /// For direct TLS: ALPN `xmpp-client` (XEP-0368 §4).
    pub direct: TlsAcceptor,
    /// For HTTP: ALPN `http/1.1`.
    pub https: TlsAcceptor,
}

/// Read the certificate and make acceptors.
///
/// # Errors
/// Names the file that cannot be read or is not what it should be.
pub fn acceptors(files: &TlsFiles) -> Result<Acceptors> {
    let starttls = config(files)?;
    let mut direct = starttls.clone();
    direct.alpn_protocols = vec![b"xmpp-client".to_vec()];
    let mut https = starttls.clone();
    https.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Acceptors {
        starttls: TlsAcceptor::from(Arc::new(starttls)),
        direct: TlsAcceptor::from(Arc::new(direct)),
        https: TlsAcceptor::from(Arc::new(https)),
    })
}

fn config(files: &TlsFiles) -> Result<ServerConfig> {
    let chain = certificates(&files.certificate)?;
    let key = private_key(&files.key)?;
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| {
            format!(
                "{} does not fit the certificate {}",
                files.key.display(),
                files.certificate.display()
            )
        })?;
    config.ticketer = ring::Ticketer::new()?;
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(|error| anyhow!("{}: cannot read the certificate: {error}", path.display()))?;
    if chain.is_empty() {
        return Err(anyhow!(
            "{}: no certificate found; expected PEM text with BEGIN CERTIFICATE",
            path.display()
        ));
    }
    Ok(chain)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        anyhow!(
            "{}: cannot read the private key: {error}; expected PEM text with BEGIN PRIVATE KEY",
            path.display()
        )
    })
}
