//! A small XMPP client of our own: direct TLS, SCRAM-SHA-256-PLUS or PLAIN, and raw XML.
//!
//! slixmpp cannot bind its login to a TLS 1.3 channel (Python's `ssl` has no `tls-exporter`), and thousands of its
//! sessions do not fit a test machine. This client does not parse XML: it reads until a tag it waits for has come.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest, hmac, pbkdf2};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long the server may take for one answer.
const ANSWER: Duration = Duration::from_secs(120);

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// RFC 5802 with RFC 9266's `tls-exporter`.
    ScramSha256Plus,
    /// SCRAM-SHA-256-PLUS with channel-binding data that are not this connection's.
    ScramSha256PlusForged,
    /// RFC 4616, cheap for the client.
    Plain,
}

/// A TLS connection that is told once whom to trust.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
    domain: String,
    port: u16,
}

impl Connector {
    /// Connects to `port` on loopback, where the certificate must prove `domain` and be signed by the authority in `ca`.
    ///
    /// # Errors
    ///
    /// `ca` is not a PEM certificate.
    pub fn new(ca: &Path, domain: &str, port: u16) -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        let authority =
            CertificateDer::from_pem_file(ca).with_context(|| format!("read {}", ca.display()))?;
        roots
            .add(authority)
            .with_context(|| format!("trust {}", ca.display()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("choose TLS versions")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"xmpp-client".to_vec()];
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            domain: domain.to_owned(),
            port,
        })
    }

    /// The domain that it connects to.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Opens a session with a bound resource.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, is not trusted, or refused the login.
    pub async fn log_in(
        &self,
        user: &str,
        password: &str,
        resource: &str,
        login: Login,
    ) -> Result<Client> {
        let mut client = self.authenticate(user, password, login).await?;
        client.bind(resource).await?;
        Ok(client)
    }

    /// Opens a stream on which a resource can be bound, or a session resumed.
    ///
    /// # Errors
    ///
    /// As [`Connector::log_in`].
    pub async fn authenticate(&self, user: &str, password: &str, login: Login) -> Result<Client> {
        let tcp = TcpStream::connect(("127.0.0.1", self.port))
            .await
            .context("connect")?;
        let name = ServerName::try_from(self.domain.clone()).context("the domain as a TLS name")?;
        let stream = self.tls.connect(name, tcp).await.context("TLS handshake")?;
        let mut client = Client {
            stream,
            unread: String::new(),
        };
        client.open(&self.domain).await?;
        match login {
            Login::Plain => client.plain(user, password).await?,
            Login::ScramSha256Plus => client.scram(user, password, false).await?,
            Login::ScramSha256PlusForged => client.scram(user, password, true).await?,
        }
        client.open(&self.domain).await?;
        Ok(client)
    }
}

/// A logged-in session.
pub struct Client {
    stream: TlsStream<TcpStream>,
    unread: String,
}

impl Client {
    /// Writes raw XML.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub async fn send(&mut self, xml: &str) -> Result<()> {
        self.stream
            .write_all(xml.as_bytes())
            .await
            .context("write to the server")?;
        self.stream.flush().await.context("flush to the server")
    }

    /// Whether `text` has come and is still to be read.
    #[must_use]
    pub fn has_come(&self, text: &str) -> bool {
        self.unread.contains(text)
    }

    /// Reads up to and with `mark`, and returns what was read.
    ///
    /// # Errors
    ///
    /// The server closed, or took longer than [`ANSWER`].
    pub async fn read_past(&mut self, mark: &str) -> Result<String> {
        let read = async {
            loop {
                if let Some(at) = self.unread.find(mark) {
                    let rest = self.unread.split_off(at + mark.len());
                    return Ok(std::mem::replace(&mut self.unread, rest));
                }
                let mut piece = [0; 4096];
                let length = self
                    .stream
                    .read(&mut piece)
                    .await
                    .context("read from the server")?;
                if length == 0 {
                    bail!(
                        "the server closed while {mark} was awaited; it had said {:?}",
                        self.unread
                    );
                }
                self.unread
                    .push_str(&String::from_utf8_lossy(&piece[..length]));
            }
        };
        tokio::time::timeout(ANSWER, read)
            .await
            .with_context(|| format!("no {mark} within {ANSWER:?}"))?
    }

    /// Binds a resource (RFC 6120 §7).
    ///
    /// # Errors
    ///
    /// The server refused.
    pub async fn bind(&mut self, resource: &str) -> Result<()> {
        self.send(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq>"
        ))
        .await?;
        let bound = self.read_past("</iq>").await?;
        if !bound.contains("<jid>") {
            bail!("the server did not bind {resource}: {bound}");
        }
        Ok(())
    }

    async fn open(&mut self, domain: &str) -> Result<()> {
        self.send(&format!(
            "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        ))
        .await?;
        self.read_past("</stream:features>").await.map(|_| ())
    }

    async fn plain(&mut self, user: &str, password: &str) -> Result<()> {
        let secret = BASE64.encode(format!("\0{user}\0{password}"));
        self.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>"
        ))
        .await?;
        let answer = self.read_past(">").await?;
        if !answer.contains("<success") {
            bail!("login refused: {answer}{}", self.unread);
        }
        Ok(())
    }

    async fn scram(&mut self, user: &str, password: &str, forged: bool) -> Result<()> {
        let bare = format!("n={user},r=a-nonce-of-the-test");
        let header = "p=tls-exporter,,";
        let first = BASE64.encode(format!("{header}{bare}"));
        self.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256-PLUS'>{first}</auth>"
        ))
        .await?;
        let challenge = self.sasl_answer("challenge").await?;
        let part = |name: char| {
            let mut parts = challenge
                .split(',')
                .filter_map(|field| field.split_once('='));
            parts
                .find(|(key, _)| key.starts_with(name))
                .map(|(_, value)| value.to_owned())
                .context("a SCRAM field is missing")
        };
        let (nonce, salt, rounds) = (
            part('r')?,
            BASE64.decode(part('s')?)?,
            part('i')?.parse().context("SCRAM rounds")?,
        );
        let mut binding = self
            .stream
            .get_ref()
            .1
            .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""))
            .context("the TLS exporter")?;
        if forged {
            binding[0] ^= 1;
        }
        let bound = BASE64.encode([header.as_bytes(), &binding].concat());
        let unproved = format!("c={bound},r={nonce}");
        let mut salted = [0; digest::SHA256_OUTPUT_LEN];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            rounds,
            &salt,
            password.as_bytes(),
            &mut salted,
        );
        let client_key = sign(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, &client_key);
        let whole = format!("{bare},{challenge},{unproved}");
        let signature = sign(stored.as_ref(), whole.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(&signature)
            .map(|(key, sign)| key ^ sign)
            .collect();
        let last = BASE64.encode(format!("{unproved},p={}", BASE64.encode(proof)));
        self.send(&format!(
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{last}</response>"
        ))
        .await?;
        let success = self.sasl_answer("success").await?;
        let expected = BASE64.encode(sign(&sign(&salted, b"Server Key"), whole.as_bytes()));
        if success != format!("v={expected}") {
            bail!("the server did not prove that it knows the password: {success}");
        }
        Ok(())
    }

    /// The decoded text of the next SASL element, which must be `name`.
    async fn sasl_answer(&mut self, name: &str) -> Result<String> {
        let answer = self.read_past("</").await?;
        self.read_past(">").await?;
        if !answer.contains(&format!("<{name}")) {
            bail!("login refused: {answer}");
        }
        let text = answer
            .trim_end_matches("</")
            .rsplit('>')
            .next()
            .unwrap_or_default();
        let bytes = BASE64
            .decode(text)
            .with_context(|| format!("the text of {answer}"))?;
        String::from_utf8(bytes).context("SCRAM text is not UTF-8")
    }
}

/// The value of an attribute in a tag, as this server writes it.
///
/// # Errors
///
/// The tag has no such attribute.
pub fn attribute(tag: &str, name: &str) -> Result<String> {
    let after = tag.split(&format!(" {name}='")).nth(1);
    let value = after.and_then(|rest| rest.split('\'').next());
    Ok(value
        .with_context(|| format!("no {name} in {tag}"))?
        .to_owned())
}

fn sign(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data)
        .as_ref()
        .to_vec()
}
