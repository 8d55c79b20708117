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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// Take one request, answer it, and give it back.
    async fn answer_once(listener: tokio::net::TcpListener, status: &str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0);
        }
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    }

    fn notice() -> Notice {
        Notice {
            account: "a@b".into(),
            messages: 1,
            sender: None,
            body: None,
        }
    }

    #[tokio::test]
    async fn a_notification_is_one_json_object() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(answer_once(listener, "204 No Content"));
        let url: Uri = format!("http://{address}/notify?box=1").parse().unwrap();
        post(&url, &notice()).await.unwrap();
        let request = server.await.unwrap();
        assert!(
            request.starts_with("POST /notify?box=1 HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.contains(&format!("host: {address}\r\n")),
            "{request}"
        );
        assert!(
            request.contains("content-type: application/json"),
            "{request}"
        );
        assert!(
            request.ends_with(r#"{"account":"a@b","messages":1}"#),
            "{request}"
        );
    }

    #[tokio::test]
    async fn a_refusal_and_an_absent_server_are_told_apart() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Uri = format!("http://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let server = tokio::spawn(answer_once(listener, "403 Forbidden"));
        let refused = post(&url, &notice()).await.unwrap_err();
        assert!(refused.to_string().contains("403"), "{refused}");
        server.await.unwrap();
        let absent = post(&url, &notice()).await.unwrap_err();
        assert!(absent.to_string().contains("cannot connect"), "{absent}");
    }
}
