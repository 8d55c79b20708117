//! Certificates between servers (RFC 6120 §13.7.2): which authorities are trusted, and whose domain a certificate proves.
//!
//! TLS itself takes any certificate whose key its owner holds; what it is worth is asked afterwards, for the
//! domain that is claimed. An inbound server's certificate is checked as a *server's*: public authorities no
//! longer issue certificates with the client-auth usage.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::config::FederationSettings;

/// Where Debian and its relatives keep the authorities that the system trusts (package `ca-certificates`).
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// TLS between servers, both ways, and what certificates are worth.
pub struct Tls {
    /// For servers that come, by STARTTLS.
    pub accept: TlsAcceptor,
    /// The same, TLS from the first byte: ALPN `xmpp-server` (XEP-0368 §4).
    pub accept_direct: TlsAcceptor,
    /// Towards other servers, by STARTTLS.
    pub connect: TlsConnector,
    /// The same, TLS from the first byte.
    pub connect_direct: TlsConnector,
    /// What certificates are worth.
    pub trust: Trust,
}

impl Tls {
    /// TLS with the server's own certificate.
    ///
    /// # Errors
    /// Names the file that cannot be read or is not what it should be.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        settings: &FederationSettings,
    ) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let any = Arc::new(AnyCertificate(provider.signature_verification_algorithms));
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::clone(&any) as _)
            .with_single_cert(chain.clone(), key.clone_key())
            .context("the private key does not fit the certificate")?;
        // A resumed session would carry a certificate whose time may be over.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(any)
            .with_client_auth_cert(chain, key)
            .context("the private key does not fit the certificate")?;
        client.resumption = Resumption::disabled();
        let (mut server_direct, mut client_direct) = (server.clone(), client.clone());
        server_direct.alpn_protocols = vec![b"xmpp-server".to_vec()];
        client_direct.alpn_protocols = vec![b"xmpp-server".to_vec()];
        Ok(Self {
            accept: TlsAcceptor::from(Arc::new(server)),
            accept_direct: TlsAcceptor::from(Arc::new(server_direct)),
            connect: TlsConnector::from(Arc::new(client)),
            connect_direct: TlsConnector::from(Arc::new(client_direct)),
            trust: Trust::new(settings, provider.signature_verification_algorithms)?,
        })
    }
}

/// The authorities that are trusted.
pub struct Trust {
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    fn new(settings: &FederationSettings, algorithms: WebPkiSupportedAlgorithms) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        if settings.system_roots {
            match certificates(Path::new(SYSTEM_ROOTS)) {
                Ok(found) => {
                    roots.add_parsable_certificates(found);
                }
                Err(error) => tracing::warn!(%error, "the system's authorities are not trusted"),
            }
        }
        if let Some(path) = &settings.extra_roots {
            let found = certificates(path)?;
            let (_, ignored) = roots.add_parsable_certificates(found);
            if ignored > 0 {
                return Err(anyhow!(
                    "{}: {ignored} of the certificates cannot be used as an authority's",
                    path.display()
                ));
            }
        }
        Ok(Self { roots, algorithms })
    }

    /// Whether a certificate proves a domain; the error says why not.
    ///
    /// # Errors
    /// With words for a person.
    pub fn proves(&self, chain: &[CertificateDer<'_>], domain: &str) -> Result<(), String> {
        let (end, between) = chain.split_first().ok_or("it showed no certificate")?;
        let end = ParsedCertificate::try_from(end).map_err(|e| e.to_string())?;
        let name = server_name(domain)?;
        verify_server_cert_signed_by_trust_anchor(
            &end,
            &self.roots,
            between,
            UnixTime::now(),
            self.algorithms.all,
        )
        .and_then(|()| verify_server_name(&end, &name))
        .map_err(|error| error.to_string())
    }
}

/// A domain as certificates and TLS have it.
///
/// # Errors
/// When it is no domain that a certificate can have.
pub fn server_name(domain: &str) -> Result<ServerName<'static>, String> {
    let ascii = idna::domain_to_ascii(domain).map_err(|_| format!("{domain} is no domain name"))?;
    ServerName::try_from(ascii).map_err(|_| format!("{domain} is no domain name"))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(|error| anyhow!("{}: cannot read certificates: {error}", path.display()))?;
    if found.is_empty() {
        return Err(anyhow!(
            "{}: no certificate found; expected PEM text with BEGIN CERTIFICATE",
            path.display()
        ));
    }
    Ok(found)
}

/// Takes any certificate, but only from who holds its key.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

/// The same three methods for clients' and for servers' certificates: rustls has a trait for each.
macro_rules! signatures_by_its_key {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.supported_schemes()
        }
    };
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    signatures_by_its_key!();
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    signatures_by_its_key!();
}
