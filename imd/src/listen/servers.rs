//! TCP listeners for external components and other servers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::tcp::{ACCEPT_PAUSE, bind_one};
use crate::config::Listen;
use crate::server::Server;
use crate::stream::component::{self, Components};

/// Who is expected at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// External components (XEP-0114).
    Component,
}

/// Sockets that listen.
pub struct Bound {
    listeners: Vec<(TcpListener, Way)>,
}

impl Bound {
    /// The addresses and who is expected there.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn addresses(&self) -> io::Result<Vec<(SocketAddr, Way)>> {
        self.listeners
            .iter()
            .map(|(listener, way)| Ok((listener.local_addr()?, *way)))
            .collect()
    }
}

/// Bind all addresses.
///
/// # Errors
/// Names the address that is not free or not ours.
pub fn bind(listen: &Listen) -> anyhow::Result<Bound> {
    let all = listen.component.iter().map(|a| (a, Way::Component));
    let listeners = all
        .map(|(address, way)| {
            let listener = bind_one(*address)
                .map_err(|error| anyhow::anyhow!("cannot listen on {address}: {error}"))?;
            Ok((listener, way))
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(Bound { listeners })
}

/// What becomes of those who come.
#[derive(Clone)]
pub struct Hosts {
    /// The components, by domain.
    pub components: Arc<Components>,
}

/// Accept until shutdown, then wait until every connection has ended.
pub async fn run(server: Arc<Server>, hosts: Hosts, bound: Bound) {
    let mut accepting = JoinSet::new();
    for (listener, way) in bound.listeners {
        accepting.spawn(accept(Arc::clone(&server), hosts.clone(), listener, way));
    }
    while accepting.join_next().await.is_some() {}
}

async fn accept(server: Arc<Server>, hosts: Hosts, listener: TcpListener, way: Way) {
    let before_login = Arc::new(Semaphore::new(
        server.config.limits.connections_before_login as usize,
    ));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = server.shutdown.requested() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Whoever has not logged in holds a permit; beyond that, newcomers are turned away.
                if let Ok(permit) = Arc::clone(&before_login).try_acquire_owned() {
                    let serving = serve(
                        Arc::clone(&server),
                        hosts.clone(),
                        stream,
                        peer.ip(),
                        way,
                        permit,
                    );
                    connections.spawn(serving);
                } else {
                    tracing::info!(peer = %peer.ip(), "too many connections that have not logged in");
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

async fn serve<P: Send>(
    server: Arc<Server>,
    hosts: Hosts,
    stream: TcpStream,
    peer: IpAddr,
    way: Way,
    permit: P,
) {
    // A small stanza must not wait for a second one.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "connection lost at once");
        return;
    }
    match way {
        Way::Component => component::serve(server, hosts.components, stream, peer, permit).await,
    }
}
