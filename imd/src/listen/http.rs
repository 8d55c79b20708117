//! HTTP listeners: TCP with TLS, loopback without, and Unix sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::count::{Counted, PerAddress};
use super::tcp::{ACCEPT_PAUSE, bind_one};
use super::tls::Current;
use crate::config::Listen;
use crate::server::Server;
use crate::web::{self, Parts, Peer};

/// How long a request's header may take, and a connection may be idle between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long bytes on the way to a peer may stay unread.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes of a request's header.
const HEADER_BYTES: usize = 32 * 1024;

enum Listener {
    Https(TcpListener),
    Http(TcpListener),
    /// Behind nginx.
    Proxied(UnixListener),
    /// For administrators.
    Admin(UnixListener),
}

/// Sockets that listen. The files of Unix sockets go with it.
pub struct Bound {
    listeners: Vec<Listener>,
    _files: Vec<SocketFile>,
}

/// The file of a Unix socket, removed when dropped.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Bound {
    /// The addresses, and whether TLS begins at once.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn addresses(&self) -> io::Result<Vec<(SocketAddr, bool)>> {
        self.listeners
            .iter()
            .filter_map(|listener| match listener {
                Listener::Https(tcp) => Some(tcp.local_addr().map(|a| (a, true))),
                Listener::Http(tcp) => Some(tcp.local_addr().map(|a| (a, false))),
                Listener::Proxied(_) | Listener::Admin(_) => None,
            })
            .collect()
    }
}

/// Bind all addresses and sockets.
///
/// # Errors
/// Names the address that is not free or not ours.
pub fn bind(listen: &Listen) -> anyhow::Result<Bound> {
    let mut bound = Bound {
        listeners: Vec::new(),
        _files: Vec::new(),
    };
    for address in &listen.https {
        bound.listeners.push(Listener::Https(tcp(*address)?));
    }
    for address in &listen.http {
        bound.listeners.push(Listener::Http(tcp(*address)?));
    }
    if let Some(path) = &listen.http_socket {
        bound.listeners.push(Listener::Proxied(unix(path, 0o660)?));
        bound._files.push(SocketFile(path.clone()));
    }
    if let Some(path) = &listen.admin {
        bound.listeners.push(Listener::Admin(unix(path, 0o660)?));
        bound._files.push(SocketFile(path.clone()));
    }
    Ok(bound)
}

fn tcp(address: SocketAddr) -> anyhow::Result<TcpListener> {
    bind_one(address).map_err(|error| anyhow::anyhow!("cannot listen on {address}: {error}"))
}

/// Bind a Unix socket, in the place of one that a daemon which was killed has left.
fn unix(path: &Path, mode: u32) -> anyhow::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;
    let bind = || -> io::Result<UnixListener> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        Ok(listener)
    };
    bind().map_err(|error| anyhow::anyhow!("cannot listen on {}: {error}", path.display()))
}

struct Door {
    server: Arc<Server>,
    acceptors: Current,
    connections: Arc<Semaphore>,
    per_address: PerAddress,
    site: Router,
    admin: Router,
}

/// Accept until shutdown, then wait until every connection has ended.
pub async fn run(server: Arc<Server>, acceptors: Current, bound: Bound, parts: Parts) {
    let limits = &server.config.limits;
    let (web, mut ongoing) = web::Web::new(Arc::clone(&server), parts);
    let door = Arc::new(Door {
        connections: Arc::new(Semaphore::new(limits.http_connections as usize)),
        per_address: PerAddress::new(limits.connections_per_address),
        site: web::site(&web),
        admin: web::admin(&web),
        acceptors,
        server,
    });
    drop(web);
    let mut accepting = JoinSet::new();
    let Bound { listeners, _files } = bound;
    for listener in listeners {
        accepting.spawn(accept(Arc::clone(&door), listener));
    }
    while accepting.join_next().await.is_some() {}
    drop(door);
    // WebSockets and BOSH sessions have tasks of their own, each of which holds a sender.
    while ongoing.recv().await.is_some() {}
}

/// A connection that has been accepted.
enum Accepted {
    Https(TcpStream, IpAddr),
    Http(TcpStream, IpAddr),
    Proxied(tokio::net::UnixStream),
    Admin(tokio::net::UnixStream),
}

impl Listener {
    async fn next(&self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Https(tcp) => {
                let (stream, peer) = tcp.accept().await?;
                limit_silence(&stream);
                Accepted::Https(stream, peer.ip())
            }
            Self::Http(tcp) => {
                let (stream, peer) = tcp.accept().await?;
                limit_silence(&stream);
                Accepted::Http(stream, peer.ip())
            }
            Self::Proxied(unix) => Accepted::Proxied(unix.accept().await?.0),
            Self::Admin(unix) => Accepted::Admin(unix.accept().await?.0),
        })
    }
}

async fn accept(door: Arc<Door>, listener: Listener) {
    let mut connections = JoinSet::new();
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&door.connections).acquire_owned() => permit,
            () = door.server.shutdown.requested() => break,
        };
        let Ok(permit) = permit else { break };
        let accepted = tokio::select! {
            accepted = listener.next() => accepted,
            () = door.server.shutdown.requested() => break,
        };
        match accepted {
            Ok(accepted) => {
                connections.spawn(connection(Arc::clone(&door), accepted, permit));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(door: Arc<Door>, accepted: Accepted, permit: OwnedSemaphorePermit) {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    match accepted {
        Accepted::Https(stream, ip) => {
            let Some(count) = door.per_address.enter(ip) else {
                tracing::info!(peer = %ip, "too many HTTP connections from one address");
                return;
            };
            let load = &door.server.load;
            load.rates.connection(ip).await;
            let acceptors = door.acceptors.get();
            let handshake = load.turns.take(ip, acceptors.https.accept(stream));
            match tokio::time::timeout(door.server.config.limits.login_timeout, handshake).await {
                Ok(Ok(stream)) => {
                    let peer = Peer::new(ip, guard(count));
                    serve(&door, stream, door.site.clone(), peer, permit).await;
                }
                Ok(Err(error)) => tracing::debug!(peer = %ip, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(peer = %ip, "TLS handshake took too long"),
            }
        }
        Accepted::Http(stream, ip) => {
            serve(
                &door,
                stream,
                door.site.clone(),
                Peer::new(ip, None),
                permit,
            )
            .await;
        }
        Accepted::Proxied(stream) => {
            serve(
                &door,
                stream,
                door.site.clone(),
                Peer::proxied(local),
                permit,
            )
            .await;
        }
        Accepted::Admin(stream) => {
            let uid = stream.peer_cred().ok().map(|user| user.uid());
            let peer = Peer::user(local, uid);
            serve(&door, stream, door.admin.clone(), peer, permit).await;
        }
    }
}

fn guard(count: Counted) -> Option<Arc<dyn Send + Sync>> {
    Some(Arc::new(count))
}

/// A peer that takes nothing for so long is gone: an unread response must not hold its connection for ever.
fn limit_silence(stream: &TcpStream) {
    let millis = u32::try_from(UNREAD_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = setsockopt(stream, TcpUserTimeout, &millis) {
        tracing::debug!(%error, "cannot limit the silence of a connection");
    }
}

/// Serve a connection until it ends or the daemon stops.
async fn serve<S>(door: &Door, stream: S, router: Router, peer: Peer, permit: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stop = door.server.shutdown.requested();
    if let Err(error) = speak(stream, router, peer, stop).await {
        tracing::debug!(%error, "HTTP connection ended");
    }
    drop(permit);
}

/// Speak HTTP/1.1 on a connection until it ends; after `stop` no further request is taken.
///
/// # Errors
/// When the peer does not speak HTTP, or goes in the middle of it.
pub async fn speak<S>(
    stream: S,
    router: Router,
    peer: Peer,
    stop: impl Future<Output = ()>,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        service.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}
