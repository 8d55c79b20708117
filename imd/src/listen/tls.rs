//! TLS by rustls: version 1.2 and 1.3, the certificate from two files (RFC 7590).

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use ring::digest;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CipherSuite, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;
use crate::stream::{self, tcp::Tls};

/// Acceptors for the ways in.
#[derive(Clone)]
pub struct Acceptors {
    /// For STARTTLS: the protocol is known, so none is negotiated.
    pub starttls: Tls,
    /// For direct TLS: ALPN `xmpp-client` (XEP-0368 §4).
    pub direct: Tls,
    /// For HTTP: ALPN `http/1.1`.
    pub https: TlsAcceptor,
}

/// Read the certificate and make acceptors.
///
/// # Errors
/// Names the file that cannot be read or is not what it should be.
pub fn acceptors(files: &TlsFiles) -> Result<Acceptors> {
    let chain = certificates(&files.certificate)?;
    let end_point: Option<Arc<[u8]>> = chain.first().and_then(|c| end_point(c)).map(Arc::from);
    let mut starttls = config(files, chain)?;
    let mut https = starttls.clone();
    https.alpn_protocols = vec![b"http/1.1".to_vec()];
    stream::tls::enable(&mut starttls);
    // A client of a stream has one connection and so has use for one ticket; browsers open several.
    starttls.send_tls13_tickets = 1;
    let mut direct = starttls.clone();
    direct.alpn_protocols = vec![b"xmpp-client".to_vec()];
    Ok(Acceptors {
        starttls: Tls {
            config: Arc::new(starttls),
            end_point: end_point.clone(),
        },
        direct: Tls {
            config: Arc::new(direct),
            end_point,
        },
        https: TlsAcceptor::from(Arc::new(https)),
    })
}

/// RFC 5929 §4.1: the certificate, hashed as its signature is, but by SHA-256 at the least.
fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    use x509_parser::oid_registry as oid;
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let signature = &parsed.signature_algorithm.algorithm;
    let is = |known: &[oid::Oid<'static>]| known.contains(signature);
    let hash = if is(&[oid::OID_PKCS1_SHA384WITHRSA, oid::OID_SIG_ECDSA_WITH_SHA384]) {
        &digest::SHA384
    } else if is(&[oid::OID_PKCS1_SHA512WITHRSA, oid::OID_SIG_ECDSA_WITH_SHA512]) {
        &digest::SHA512
    } else if is(&[
        oid::OID_PKCS1_SHA1WITHRSA,
        oid::OID_PKCS1_SHA256WITHRSA,
        oid::OID_SIG_ECDSA_WITH_SHA256,
    ]) {
        &digest::SHA256
    } else {
        // RSA-PSS and Ed25519 do not name one hash function: undefined there.
        return None;
    };
    Some(digest::digest(hash, certificate).as_ref().to_vec())
}

fn config(files: &TlsFiles, chain: Vec<CertificateDer<'static>>) -> Result<ServerConfig> {
    let key = private_key(&files.key)?;
    let mut provider = aws_lc_rs::default_provider();
    let aes = has_aes();
    provider
        .cipher_suites
        .sort_by_key(|suite| rank(suite.suite(), aes));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
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
    config.ignore_client_order = true;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(config)
}

/// Whether the processor has instructions for AES. That of a Raspberry Pi 4 has none.
fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

/// Which cipher suite costs this server least, least first; all of them are beyond attack. TLS 1.3 goes before 1.2. The
/// suites with AES-256 come with SHA-384, for which processors have no instructions where they have some for SHA-256.
fn rank(suite: CipherSuite, aes: bool) -> (bool, u8) {
    use CipherSuite as S;
    let old = !matches!(
        suite,
        S::TLS13_AES_128_GCM_SHA256
            | S::TLS13_CHACHA20_POLY1305_SHA256
            | S::TLS13_AES_256_GCM_SHA384
    );
    let cost = match suite {
        S::TLS13_AES_128_GCM_SHA256
        | S::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => u8::from(!aes),
        S::TLS13_CHACHA20_POLY1305_SHA256
        | S::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        | S::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => u8::from(aes),
        _ => 2,
    };
    (old, cost)
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
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

pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        anyhow!(
            "{}: cannot read the private key: {error}; expected PEM text with BEGIN PRIVATE KEY",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_suite_goes_first_and_none_is_lost() {
        let suites = |aes| {
            let mut suites: Vec<_> = aws_lc_rs::DEFAULT_CIPHER_SUITES
                .iter()
                .map(rustls::SupportedCipherSuite::suite)
                .collect();
            suites.sort_by_key(|suite| rank(*suite, aes));
            suites
        };
        assert_eq!(suites(true)[0], CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(
            suites(false)[0],
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
        );
        for aes in [true, false] {
            let suites = suites(aes);
            assert_eq!(suites[2], CipherSuite::TLS13_AES_256_GCM_SHA384);
            assert_eq!(suites.len(), aws_lc_rs::DEFAULT_CIPHER_SUITES.len());
        }
    }
}
