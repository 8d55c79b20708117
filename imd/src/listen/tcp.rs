//! TCP listeners for clients.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use imd_proto::xml::Limits;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::count::{Counted, PerAddress};
use super::tls::Current;
use crate::config::Listen;
use crate::server::Server;
use crate::stream::{c2s, tcp::Tcp};

/// Connections that may wait to be accepted: a whole school comes back at once after a power cut.
const BACKLOG: u32 = 4096;
/// How long accepting pauses when the system has no more files.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Sockets that listen.
pub struct Bound {
    listeners: Vec<(TcpListener, bool)>,
}

impl Bound {
    /// The addresses and whether TLS begins at once.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn addresses(&self) -> io::Result<Vec<(SocketAddr, bool)>> {
        self.listeners
            .iter()
            .map(|(listener, direct)| Ok((listener.local_addr()?, *direct)))
            .collect()
    }
}

/// Bind all addresses.
///
/// # Errors
/// Names the address that is not free or not ours.
pub fn bind(listen: &Listen) -> anyhow::Result<Bound> {
    let all = listen
        .starttls
        .iter()
        .map(|a| (a, false))
        .chain(listen.direct_tls.iter().map(|a| (a, true)));
    let listeners = all
        .map(|(address, direct)| {
            let listener = bind_one(*address)
                .map_err(|error| anyhow::anyhow!("cannot listen on {address}: {error}"))?;
            Ok((listener, direct))
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(Bound { listeners })
}

pub(super) fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

struct Door {
    server: Arc<Server>,
    acceptors: Current,
    before_login: Arc<Semaphore>,
    per_address: PerAddress,
}

/// Accept until shutdown, then wait until every connection has ended.
pub async fn run(server: Arc<Server>, acceptors: Current, bound: Bound) {
    let door = Arc::new(Door {
        before_login: Arc::new(Semaphore::new(
            server.config.limits.connections_before_login as usize,
        )),
        per_address: PerAddress::new(server.config.limits.connections_per_address),
        acceptors,
        server: Arc::clone(&server),
    });
    let mut accepting = JoinSet::new();
    for (listener, direct) in bound.listeners {
        accepting.spawn(accept(Arc::clone(&door), listener, direct));
    }
    while accepting.join_next().await.is_some() {}
}

async fn accept(door: Arc<Door>, listener: TcpListener, direct: bool) {
    let mut connections = JoinSet::new();
    loop {
        // Whoever has not logged in holds a permit: beyond that, newcomers wait in the kernel's queue.
        let permit = tokio::select! {
            permit = Arc::clone(&door.before_login).acquire_owned() => permit,
            () = door.server.shutdown.requested() => break,
        };
        let Ok(permit) = permit else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = door.server.shutdown.requested() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(count) = door.per_address.enter(peer.ip()) {
                    connections.spawn(connection(
                        Arc::clone(&door),
                        stream,
                        peer.ip(),
                        direct,
                        permit,
                        count,
                    ));
                } else {
                    tracing::info!(peer = %peer.ip(), "too many connections from one address");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    door: Arc<Door>,
    stream: TcpStream,
    peer: IpAddr,
    direct: bool,
    permit: OwnedSemaphorePermit,
    _count: Counted,
) {
    let load = &door.server.load;
    load.rates.connection(peer).await;
    // The handshake's state is large and must not live as long as the connection.
    let handshake = load
        .turns
        .take(peer, transport(&door, stream, peer, direct));
    if let Some(transport) = handshake.await {
        c2s::serve(Arc::clone(&door.server), transport, permit).await;
    }
}

/// A stream over a connection that has been accepted, its handshake done where TLS comes first.
async fn transport(door: &Door, stream: TcpStream, peer: IpAddr, direct: bool) -> Option<Box<Tcp>> {
    // A small message must not wait for a second one.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "connection lost at once");
        return None;
    }
    let limits = &door.server.config.limits;
    let before = Limits {
        stanza_bytes: limits.login_stanza_bytes,
        depth: limits.stanza_depth,
        ..Limits::default()
    };
    let after = Limits {
        stanza_bytes: limits.stanza_bytes,
        depth: limits.stanza_depth,
        ..Limits::default()
    };
    if !direct {
        let tls = Arc::clone(&door.acceptors.get().starttls);
        return Some(Box::new(Tcp::plain(stream, peer, tls, before, after)));
    }
    let tls = Arc::clone(&door.acceptors.get().direct);
    let handshake = Tcp::tls(stream, peer, tls, before, after);
    match tokio::time::timeout(limits.login_timeout, handshake).await {
        Ok(Ok(transport)) => return Some(Box::new(transport)),
        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
    }
    None
}
