//! An administrator at the Unix socket of a server.

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::TestServer;
use super::client::within;

/// Carry out `METHOD /path [body]`; the status and the body of the answer.
pub async fn ask(server: &TestServer, request: &str) -> Result<(u16, String)> {
    within("answer an administrator", ask_patiently(server, request)).await
}

/// The same, however long it takes.
pub async fn ask_patiently(server: &TestServer, request: &str) -> Result<(u16, String)> {
    let mut words = request.trim().splitn(3, ' ');
    let method = words.next().context("no method")?;
    let path = words.next().context("no path")?;
    // An escaped line break is one in the body, as CSV needs.
    let body = words.next().unwrap_or_default().replace("\\n", "\n");
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"))
        .header("host", "localhost")
        .body(Full::new(Bytes::from(body)))?;
    let stream = UnixStream::connect(server.admin_socket()).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok((head.status.as_u16(), String::from_utf8(body.to_vec())?))
}
