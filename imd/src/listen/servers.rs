//! TCP listeners for external components and other servers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::count::PerAddress;
use super::tcp::{ACCEPT_PAUSE, bind_one};
use super::tls;
use crate::config::Config;
use crate::server::Server;
use crate::shutdown::Shutdown;
use crate::stream::component::{self, Components};
use crate::stream::s2s::certificate::Tls;
use crate::stream::s2s::{Federation, inbound};

/// Who is expected at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// External components (XEP-0114).
    Component,
    /// Other servers, with STARTTLS.
    Server,
    /// Other servers, TLS from the first byte.
    ServerDirectTls,
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
pub fn bind(config: &Config) -> anyhow::Result<Bound> {
    let listen = &config.listen;
    let mut all: Vec<_> = listen
        .component
        .iter()
        .map(|a| (a, Way::Component))
        .collect();
    if config.federation.enabled {
        all.extend(listen.s2s.iter().map(|a| (a, Way::Server)));
        let direct = listen.s2s_direct_tls.iter();
        all.extend(direct.map(|a| (a, Way::ServerDirectTls)));
    }
    let listeners = all
        .into_iter()
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
    components: Arc<Components>,
    federation: Option<Arc<Federation>>,
    /// Asks components and servers to end: after the clients, whose last stanzas are for them.
    stop: Shutdown,
    per_address: PerAddress,
    handshakes: Arc<Semaphore>,
    servers: Arc<Semaphore>,
}

impl Hosts {
    /// Install components and, where it is enabled, federation.
    ///
    /// # Errors
    /// Names the certificate file that cannot be used.
    pub fn new(server: &Arc<Server>) -> anyhow::Result<Self> {
        let config = &server.config;
        let federation = if config.federation.enabled {
            let (certificate, key) = tls::files_for_domain(&config.tls);
            let (chain, key) = (tls::certificates(certificate)?, tls::private_key(key)?);
            let tls = Tls::new(chain, key, &config.federation)?;
            let federation = Federation::new(server, tls);
            server.set_remote(Arc::clone(&federation) as _);
            Some(federation)
        } else {
            None
        };
        Ok(Self {
            components: Arc::new(component::install(server)),
            federation,
            stop: Shutdown::default(),
            per_address: PerAddress::new(config.limits.connections_per_address),
            handshakes: Arc::new(Semaphore::new(
                config.limits.connections_before_login as usize,
            )),
            servers: Arc::new(Semaphore::new(config.federation.connections as usize)),
        })
    }

    /// Send what waits for components and servers, then end their streams.
    pub async fn shut_down(&self) {
        self.stop.request();
        if let Some(federation) = &self.federation {
            federation.shut_down().await;
        }
    }
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
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = server.shutdown.requested() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(count) = hosts.per_address.enter(peer.ip()) {
                    let serving = serve(Arc::clone(&server), hosts.clone(), stream, peer.ip(), way);
                    connections.spawn(async move {
                        serving.await;
                        drop(count);
                    });
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

async fn serve(server: Arc<Server>, hosts: Hosts, stream: TcpStream, peer: IpAddr, way: Way) {
    // A small stanza must not wait for a second one.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "connection lost at once");
        return;
    }
    if way == Way::Component {
        let Ok(permit) = hosts.handshakes.try_acquire_owned() else {
            return tracing::info!(%peer, "too many connections before their handshake");
        };
        let components = hosts.components;
        return component::serve(server, components, stream, peer, permit, hosts.stop).await;
    }
    let Some(federation) = hosts.federation else {
        return;
    };
    let Ok(_permit) = hosts.servers.try_acquire() else {
        return tracing::info!(%peer, "too many connections from other servers");
    };
    let direct = way == Way::ServerDirectTls;
    inbound::serve(server, federation, stream, peer, direct).await;
}
