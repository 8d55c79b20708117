//! TLS to the box's own services, as somebody meets them who trusts the box's authority; and its page over that.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Bytes of a page that are read: its status is at the beginning.
const BEGINNING: u64 = 512;

/// Connects; the handshake happens with the first bytes.
///
/// # Errors
/// Nobody listens, or the authority is not PEM.
pub fn connect(
    address: SocketAddr,
    domain: &str,
    authority: &[u8],
    protocol: &str,
    patience: Duration,
) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority) {
        roots.add(certificate.context("the box's authority is not PEM")?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let name = ServerName::try_from(domain.to_owned())?;
    let connection = ClientConnection::new(Arc::new(config), name)?;
    let socket = TcpStream::connect_timeout(&address, patience)
        .with_context(|| format!("the server does not listen on {address}"))?;
    socket.set_read_timeout(Some(patience))?;
    socket.set_write_timeout(Some(patience))?;
    Ok(StreamOwned::new(connection, socket))
}

/// Asks for the box's first page.
///
/// # Errors
/// It does not come, or comes with another status than success or a way on.
pub fn first_page(
    address: SocketAddr,
    domain: &str,
    authority: &[u8],
    patience: Duration,
) -> Result<()> {
    let mut stream = connect(address, domain, authority, "http/1.1", patience)?;
    let request = format!("GET / HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.flush())
        .context("the web server closed the connection")?;
    let mut answer = Vec::new();
    stream
        .take(BEGINNING)
        .read_to_end(&mut answer)
        .context("the web server does not answer")?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split_whitespace().nth(1).unwrap_or_default();
    if !status.starts_with(['2', '3']) {
        let line = answer.lines().next().unwrap_or("nothing");
        bail!("it answers with {line}");
    }
    Ok(())
}
