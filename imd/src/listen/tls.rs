//! TLS by rustls: version 1.2 and 1.3, the certificate from two files (RFC 7590).

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, Result, anyhow};
use ring::digest;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::config::{Config, TlsFiles};
use crate::stream::tls::{Certificates, Shown, enable};

/// Acceptors for the ways in.
pub struct Acceptors {
    /// For STARTTLS: the protocol is known, so none is negotiated.
    pub starttls: Arc<ServerConfig>,
    /// For direct TLS: ALPN `xmpp-client` (XEP-0368 §4).
    pub direct: Arc<ServerConfig>,
    /// For HTTP: ALPN `http/1.1`.
    pub https: TlsAcceptor,
}

/// The acceptors in use. They can be replaced; connections that are there keep what they have.
#[derive(Clone)]
pub struct Current(Arc<RwLock<Arc<Acceptors>>>);

impl Current {
    /// Reads the certificates.
    ///
    /// # Errors
    /// As [`acceptors`].
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Self(Arc::new(RwLock::new(Arc::new(acceptors(config)?)))))
    }

    /// For a connection that comes now.
    #[must_use]
    pub fn get(&self) -> Arc<Acceptors> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the certificates again, for the connections that come from now on.
    ///
    /// # Errors
    /// As [`acceptors`]; those from before stay.
    pub fn renew(&self, config: &Config) -> Result<()> {
        let new = Arc::new(acceptors(config)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

/// Read the certificates and make acceptors.
///
/// # Errors
/// Names the file that cannot be read or is not what it should be.
pub fn acceptors(config: &Config) -> Result<Acceptors> {
    let files = &config.tls;
    let mut starttls = server_config(Certificates {
        usual: shown(&files.certificate, &files.key)?,
        domain: domain_pair(files).map(|shown| (ascii(&config.domain), shown)),
    })?;
    let mut https = starttls.clone();
    https.alpn_protocols = vec![b"http/1.1".to_vec()];
    enable(&mut starttls);
    // A client of a stream has one connection and so has use for one ticket; browsers open several.
    starttls.send_tls13_tickets = 1;
    let mut direct = starttls.clone();
    direct.alpn_protocols = vec![b"xmpp-client".to_vec()];
    Ok(Acceptors {
        starttls: Arc::new(starttls),
        direct: Arc::new(direct),
        https: TlsAcceptor::from(Arc::new(https)),
    })
}

/// A domain as clients ask for it in TLS.
fn ascii(domain: &str) -> String {
    idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_owned())
}

/// The domain's own certificate, where there is one. A file that cannot be used must not keep the server from serving with
/// the other certificate.
fn domain_pair(files: &TlsFiles) -> Option<Shown> {
    let path = files.domain_certificate.as_deref()?;
    if !path.exists() {
        return None;
    }
    shown(path, path)
        .inspect_err(|error| {
            tracing::error!(
                error = format!("{error:#}"),
                "the domain's own certificate is not used"
            );
        })
        .ok()
}

/// The files that hold the certificate for the domain, and its key: the usual ones where the domain's own cannot be used.
pub(super) fn files_for_domain(files: &TlsFiles) -> (&Path, &Path) {
    match files.domain_certificate.as_deref() {
        Some(path) if domain_pair(files).is_some() => (path, path),
        _ => (&files.certificate, &files.key),
    }
}

fn shown(certificate: &Path, key: &Path) -> Result<Shown> {
    let chain = certificates(certificate)?;
    let end_point = chain.first().and_then(|c| end_point(c)).map(Arc::from);
    let pair = CertifiedKey::from_der(chain, private_key(key)?, &aws_lc_rs::default_provider())
        .with_context(|| {
            let (key, certificate) = (key.display(), certificate.display());
            format!("{key} does not fit the certificate {certificate}")
        })?;
    Ok(Shown {
        key: Arc::new(pair),
        end_point,
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

fn server_config(certificates: Certificates) -> Result<ServerConfig> {
    let mut provider = aws_lc_rs::default_provider();
    let aes = has_aes();
    provider
        .cipher_suites
        .sort_by_key(|suite| rank(suite.suite(), aes));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates));
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

    fn pem(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn of(files: &TlsFiles) -> Certificates {
        Certificates {
            usual: shown(&files.certificate, &files.key).unwrap(),
            domain: domain_pair(files).map(|shown| ("chat.example.org".to_owned(), shown)),
        }
    }

    #[test]
    fn the_domain_has_its_own_certificate_for_as_long_as_that_is_there_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let files = TlsFiles {
            certificate: place("s.crt"),
            key: place("s.key"),
            domain_certificate: Some(place("domain.pem")),
        };
        let (usual, key) = pem("perch.local");
        std::fs::write(&files.certificate, usual).unwrap();
        std::fs::write(&files.key, &key).unwrap();
        let end = |certificates: &Certificates, name: Option<&str>| {
            certificates.for_name(name).end_point.clone().unwrap()
        };
        let before = of(&files);
        assert!(before.domain.is_none());
        assert_eq!(end(&before, Some("chat.example.org")), end(&before, None));
        assert_eq!(files_for_domain(&files).0, files.certificate);
        let (own, own_key) = pem("chat.example.org");
        std::fs::write(place("domain.pem"), format!("{own_key}{own}")).unwrap();
        let with = of(&files);
        let local = end(&before, None);
        for (name, is_own) in [
            (Some("chat.example.org"), true),
            (None, true),
            (Some("perch.local"), false),
            (Some("rooms.chat.example.org"), false),
        ] {
            assert_eq!(end(&with, name) != local, is_own, "{name:?}");
        }
        assert_eq!(files_for_domain(&files).1, place("domain.pem"));
        // The key of another certificate.
        std::fs::write(place("domain.pem"), format!("{key}{own}")).unwrap();
        assert!(of(&files).domain.is_none());
        assert_eq!(files_for_domain(&files).0, files.certificate);
    }

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
