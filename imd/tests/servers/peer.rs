//! Servers that know each other's places and trust one authority, and a scripted server of our own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, bail};
use imd::config::FederationSettings;
use imd::sasl::encode;
use imd::stream::link::wire::{Opening, Wire};
use imd::stream::s2s::certificate::Tls;
use imd_proto::xml::{Limits, StreamEvent};
use imd_proto::{Element, ns};
use imd_store::Role;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;

use crate::components::free_port;
use crate::support::client::within;
use crate::support::{Identity, TestServer};

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "The test's authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        Ok(Self(CertifiedIssuer::self_signed(params, key)?))
    }

    /// A domain with a certificate for it and those below it, as a server only: today's authorities give no other.
    pub fn identity(&self, domain: &str) -> Result<Identity> {
        let names = vec![domain.to_owned(), format!("*.{domain}")];
        let mut params = CertificateParams::new(names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.distinguished_name.push(DnType::CommonName, domain);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        Ok(Identity {
            domain: domain.to_owned(),
            chain: certificate.pem(),
            key: key.serialize_pem(),
            root: self.0.der().clone(),
        })
    }

    /// A file with the authority's certificate.
    pub fn file(&self, folder: &std::path::Path) -> Result<std::path::PathBuf> {
        let path = folder.join("authority.crt");
        std::fs::write(&path, self.0.pem())?;
        Ok(path)
    }
}

/// Where a server takes those of others, and what it is told besides.
pub struct Place {
    pub identity: Identity,
    pub address: SocketAddr,
    pub direct: Option<SocketAddr>,
    pub more: String,
}

impl Place {
    pub async fn new(identity: Identity) -> Result<Self> {
        Ok(Self {
            identity,
            address: free_port().await?,
            direct: None,
            more: String::new(),
        })
    }

    /// A server here with an account `alice`. `hosts`: the domains whose place it knows.
    pub async fn start(
        self,
        folder: &std::path::Path,
        authority: &Authority,
        hosts: &[(&str, SocketAddr)],
    ) -> Result<TestServer> {
        let known: String = hosts
            .iter()
            .map(|(domain, address)| format!("\"{domain}\" = \"{address}\"\n"))
            .collect();
        let direct = self
            .direct
            .map(|address| format!("\"{address}\""))
            .unwrap_or_default();
        let settings = format!(
            "s2s = [\"{}\"]\ns2s_direct_tls = [{direct}]\n[federation]\nenabled = true\nsystem_roots = false\nextra_roots = {:?}\n{}\n[federation.hosts]\n{known}",
            self.address,
            authority.file(folder)?,
            self.more,
        );
        let mut server = TestServer::prepare_as(self.identity, &settings)?;
        server.start_again().await?;
        server.account("alice", Role::Member).await?;
        Ok(server)
    }
}

/// A stream of ours to a server under test, inside TLS.
pub struct Peer {
    pub wire: Wire,
    pub features: Element,
    from: String,
    to: String,
}

impl Peer {
    /// Connect in the name of `from`, with the certificate of `identity`.
    pub async fn connect(
        address: SocketAddr,
        identity: &Identity,
        from: &str,
        to: &str,
        direct: bool,
    ) -> Result<Self> {
        let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
        let settings = FederationSettings {
            system_roots: false,
            ..FederationSettings::default()
        };
        let tls = Tls::new(chain, key, &settings)?;
        let stream = TcpStream::connect(address).await?;
        let peer = IpAddr::from(Ipv4Addr::LOCALHOST);
        let wire = Wire::new(stream, peer, ns::SERVER, Limits::default());
        let mut peer = Self {
            wire,
            features: Element::new("features", ns::STREAM),
            from: from.to_owned(),
            to: to.to_owned(),
        };
        let name = to.to_owned().try_into()?;
        if direct {
            peer.wire.connect_tls(&tls.connect_direct, name).await?;
        } else {
            peer.open().await?;
            peer.features
                .child("starttls", ns::TLS)
                .context("STARTTLS is not offered")?;
            peer.wire.send(&Element::new("starttls", ns::TLS)).await?;
            let proceed = peer.element().await?;
            assert!(proceed.is("proceed", ns::TLS), "{proceed:?}");
            peer.wire.connect_tls(&tls.connect, name).await?;
        }
        peer.open().await?;
        Ok(peer)
    }

    async fn open(&mut self) -> Result<()> {
        let opening = Opening {
            from: Some(&self.from),
            to: Some(&self.to),
            versioned: true,
            ..Opening::default()
        };
        self.wire.open(&opening).await?;
        match self.event().await? {
            Some(StreamEvent::Open(_)) => {}
            other => bail!("expected a stream header, got {other:?}"),
        }
        self.features = self.element().await?;
        Ok(())
    }

    /// SASL EXTERNAL; the server's answer.
    pub async fn external(&mut self) -> Result<Element> {
        let auth = Element::new("auth", ns::SASL)
            .with_attr("mechanism", "EXTERNAL")
            .with_text(encode(self.from.as_bytes()));
        self.wire.send(&auth).await?;
        let answer = self.element().await?;
        if answer.is("success", ns::SASL) {
            self.wire.restart();
            self.open().await?;
        }
        Ok(answer)
    }

    pub async fn event(&mut self) -> Result<Option<StreamEvent>> {
        within("hear from the server", async {
            self.wire
                .next()
                .await
                .map_err(|error| anyhow::anyhow!("{error:?}"))
        })
        .await
    }

    pub async fn element(&mut self) -> Result<Element> {
        match self.event().await? {
            Some(StreamEvent::Stanza(element)) => Ok(element),
            other => bail!("expected an element, got {other:?}"),
        }
    }

    /// Send a message and return the stream error that it brings.
    pub async fn refused(&mut self, from: &str, to: &str) -> Result<String> {
        let message = Element::new("message", ns::SERVER)
            .with_attr("from", from)
            .with_attr("to", to);
        self.wire.send(&message).await?;
        let error = self.element().await?;
        assert!(error.is("error", ns::STREAM), "{error:?}");
        let condition = error.first_child().context("no condition")?;
        Ok(condition.name().to_owned())
    }
}
