//! Notifications to a web address of the box's owner: one JSON object by POST.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::notice::Notice;
use crate::server::Server;

/// How long a notification may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Debian's collection of certificate authorities.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

pub(super) async fn send(server: &Arc<Server>, notice: &Notice) {
    let Some(url) = &server.config.push.webhook else {
        return;
    };
    let outcome = tokio::time::timeout(PATIENCE, post(url, notice)).await;
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%url, error = format!("{error:#}"), "the webhook did not take a notification")
        }
        Err(_) => tracing::warn!(%url, "the webhook did not answer in time"),
    }
}

/// POST a notification.
///
/// # Errors
/// When the address cannot be reached, its certificate is not trusted, or it does not answer with success.
pub async fn post(url: &Uri, notice: &Notice) -> Result<()> {
    let host = url.host().context("no host in the address")?;
    let tls = url.scheme_str() == Some("https");
    let port = url.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let bare_host = host.trim_start_matches('[').trim_end_matches(']');
    let tcp = TcpStream::connect((bare_host, port))
        .await
        .with_context(|| format!("cannot connect to {host}:{port}"))?;
    let status = if tls {
        let name = ServerName::try_from(bare_host.to_owned())
            .with_context(|| format!("{host} is no host name"))?;
        let stream = connector()?
            .connect(name, tcp)
            .await
            .with_context(|| format!("no TLS with {host}"))?;
        request(stream, url, notice).await?
    } else {
        request(tcp, url, notice).await?
    };
    if !status.is_success() {
        bail!("it answered {status}");
    }
    Ok(())
}

fn connector() -> Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    let all = CertificateDer::pem_file_iter(AUTHORITIES)
        .with_context(|| format!("cannot read {AUTHORITIES}"))?;
    roots.add_parsable_certificates(all.filter_map(Result::ok));
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()?
    .with_root_certificates(roots)
    .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn request<S>(stream: S, url: &Uri, notice: &Notice) -> Result<hyper::StatusCode>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .context("no HTTP there")?;
    // It ends with the answer, or with this task's time.
    let connection = tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |p| p.as_str());
    let authority = url.authority().map_or("", |a| a.as_str());
    let request = Request::post(path)
        .header("host", authority)
        .header("content-type", "application/json")
        .header("user-agent", concat!("imd/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(Bytes::from(serde_json::to_vec(notice)?)))?;
    let answer = sender.send_request(request).await.context("no answer")?;
    connection.abort();
    Ok(answer.status())
}
