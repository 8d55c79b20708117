//! The web: XMPP over WebSocket and BOSH, where they are, uploads, invitations, the web chat, health.
//!
//! Handlers get requests whose peer is known ([`Peer`]). What lasts longer than a request (a WebSocket, a BOSH
//! session) holds a sender of [`Web`], so that shutdown can wait for it.

pub mod api;
mod bosh;
mod chat;
mod headers;
mod health;
mod host_meta;
mod invite;
mod peer;
pub mod upload;
mod ws;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use imd_proto::xml;
use tokio::sync::{Semaphore, mpsc};

pub use peer::Peer;
pub use upload::percent_encoded;

use crate::server::Server;

/// What all handlers share.
pub struct Web {
    /// The server.
    pub server: Arc<Server>,
    /// Permits of streams that have not logged in.
    before_login: Arc<Semaphore>,
    /// Held by whatever outlives its request.
    ongoing: mpsc::Sender<Infallible>,
    health: health::Last,
    bosh: bosh::Sessions,
    /// Absent: uploads are off.
    uploads: Option<Arc<upload::Uploads>>,
}

/// Parts of the web that the rest of the server knows of, started before anybody can connect.
#[derive(Default)]
pub struct Parts {
    uploads: Option<Arc<upload::Uploads>>,
}

impl Parts {
    /// Start them.
    ///
    /// # Errors
    /// When a folder cannot be made or the store does not answer.
    pub async fn start(server: &Arc<Server>) -> anyhow::Result<Self> {
        Ok(Self {
            uploads: upload::Uploads::start(server).await?,
        })
    }
}

impl Web {
    /// The web of a server, and a receiver that ends when everything that outlived its request has ended.
    #[must_use]
    pub fn new(server: Arc<Server>, parts: Parts) -> (Arc<Self>, mpsc::Receiver<Infallible>) {
        let (ongoing, receiver) = mpsc::channel(1);
        let permits = server.config.limits.connections_before_login as usize;
        let web = Arc::new(Self {
            server,
            before_login: Arc::new(Semaphore::new(permits)),
            ongoing,
            health: health::Last::default(),
            bosh: bosh::Sessions::default(),
            uploads: parts.uploads,
        });
        (web, receiver)
    }

    /// Limits of elements before login.
    fn before_login_limits(&self) -> xml::Limits {
        self.limits(self.server.config.limits.login_stanza_bytes)
    }

    /// Limits of elements after login.
    fn after_login_limits(&self) -> xml::Limits {
        self.limits(self.server.config.limits.stanza_bytes)
    }

    fn limits(&self, stanza_bytes: usize) -> xml::Limits {
        xml::Limits {
            stanza_bytes,
            depth: self.server.config.limits.stanza_depth,
            ..xml::Limits::default()
        }
    }
}

/// What everybody can reach.
pub fn site(web: &Arc<Web>) -> Router {
    Router::new()
        .route("/ws", get(ws::upgrade))
        .route("/.well-known/host-meta", get(host_meta::xml))
        .route("/.well-known/host-meta.json", get(host_meta::json))
        .route("/health", get(health::get))
        .route(
            "/upload/{id}/{name}",
            get(upload::get).put(upload::put).options(upload::options),
        )
        .merge(bosh::routes(web))
        .merge(chat::routes())
        .merge(invite::routes())
        .fallback(not_found)
        .with_state(Arc::clone(web))
        .merge(api::for_tokens(&web.server))
        .layer(axum::middleware::map_response(headers::secure))
}

/// What administrators of this computer reach.
pub fn admin(web: &Arc<Web>) -> Router {
    Router::new()
        .route("/health", get(health::get))
        .fallback(not_found)
        .with_state(Arc::clone(web))
        .merge(api::for_socket(&web.server))
}

async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "There is no such page here.\n").into_response()
}
