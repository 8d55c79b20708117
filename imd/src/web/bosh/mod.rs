//! XMPP over HTTP (BOSH, XEP-0124 and XEP-0206), for networks that let nothing else through.
//!
//! Each session has a task ([`session`]) between the requests, which come and go, and a stream like any other
//! ([`transport`]).

mod body;
mod ending;
mod session;
mod transport;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_TYPE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use imd_proto::xml::{StreamEvent, parse_document};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{Peer, Web};
use crate::load::Full;
use crate::stream::c2s;
use body::{Body, HTTPBIND, terminate};

/// Requests of one session that wait for its task.
const QUEUE: usize = 4;
/// Sessions that are over and can still be found, at the most.
const LINGERING: usize = 256;

/// A request of a session.
struct Incoming {
    body: Body,
    reply: oneshot::Sender<String>,
}

/// A session, as requests find it.
struct Handle {
    requests: mpsc::Sender<Incoming>,
    authenticated: Arc<AtomicBool>,
}

/// All sessions, by their ids.
pub(super) struct Sessions {
    by_id: Mutex<HashMap<String, Arc<Handle>>>,
    /// Places for sessions that are over and may be asked for once more.
    lingering: Semaphore,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            by_id: Mutex::default(),
            lingering: Semaphore::new(LINGERING),
        }
    }
}

impl Sessions {
    fn find(&self, sid: &str) -> Option<Arc<Handle>> {
        let sessions = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(sid).cloned()
    }

    fn enter(&self, sid: &str, handle: Handle) -> Arc<Handle> {
        let handle = Arc::new(handle);
        let mut sessions = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.insert(sid.to_owned(), Arc::clone(&handle));
        handle
    }

    fn leave(&self, sid: &str) {
        let mut sessions = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(sid);
    }
}

/// The routes of BOSH.
pub(super) fn routes(web: &Web) -> axum::Router<Arc<Web>> {
    // A body holds stanzas: room for one of the largest, and for its wrapping.
    let most = web.server.config.limits.stanza_bytes + 4096;
    axum::Router::new()
        .route("/bosh", post(request).options(options))
        .layer(DefaultBodyLimit::max(most))
}

async fn options() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    let values = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "POST, OPTIONS"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type"),
        (ACCESS_CONTROL_MAX_AGE, "7200"),
    ];
    for (name, value) in values {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn request(
    State(web): State<Arc<Web>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    let answer = match answer(&web, peer, &headers, &bytes).await {
        Ok(answer) => answer,
        Err(full) => return super::ws::later(full.text, full.retry_after),
    };
    let headers = [
        (CONTENT_TYPE, "text/xml; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, answer).into_response()
}

/// The body of the response: XEP-0124 §17.3 reports every condition with status 200.
///
/// # Errors
/// A session begins, and no more are let in.
async fn answer(
    web: &Arc<Web>,
    peer: Peer,
    headers: &HeaderMap,
    bytes: &[u8],
) -> Result<String, Full> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(terminate("bad-request"));
    };
    let mut limits = web.after_login_limits();
    limits.stanza_bytes += 4096;
    // The body itself is one level more.
    limits.depth += 1;
    let element = match parse_document(text, limits) {
        Ok(element) if element.is("body", HTTPBIND) => element,
        _ => return Ok(terminate("bad-request")),
    };
    let Some(body) = Body::read(element) else {
        return Ok(terminate("bad-request"));
    };
    let small = web.server.config.limits.login_stanza_bytes;
    let handle = match &body.sid {
        Some(sid) => web.bosh.find(sid),
        // A session that begins is not logged in.
        None if text.len() > small => return Ok(terminate("policy-violation")),
        None => match web.server.full() {
            Some(full) => return Err(full),
            None => begin(web, peer, headers, &body),
        },
    };
    let Some(handle) = handle else {
        let known = body.sid.is_some();
        return Ok(terminate(if known {
            "item-not-found"
        } else {
            "improper-addressing"
        }));
    };
    if !handle.authenticated.load(Ordering::Acquire) && text.len() > small {
        return Ok(terminate("policy-violation"));
    }
    let (reply, answered) = oneshot::channel();
    if handle
        .requests
        .send(Incoming { body, reply })
        .await
        .is_err()
    {
        return Ok(terminate("item-not-found"));
    }
    // A session that ends while the request waits says so by dropping it.
    let answer = answered.await;
    Ok(answer.unwrap_or_else(|_| terminate("item-not-found")))
}

/// Begin a session (XEP-0124 §7.1). `None`: it asks for nothing that there is, or too many are logging in.
fn begin(web: &Arc<Web>, peer: Peer, headers: &HeaderMap, body: &Body) -> Option<Arc<Handle>> {
    body.to.as_ref()?;
    let permit = Arc::clone(&web.before_login).try_acquire_owned().ok()?;
    let sid = web.server.random_id::<16>();
    let authenticated = Arc::new(AtomicBool::new(false));
    let (events, for_stream) = mpsc::channel(1);
    let (out, from_stream) = mpsc::channel(64);
    let (requests, incoming) = mpsc::channel(QUEUE);
    let stream = transport::Bosh::new(
        for_stream,
        out,
        peer.address(headers),
        Arc::clone(&authenticated),
    );
    let handle = Handle {
        requests,
        authenticated,
    };
    let entered = web.bosh.enter(&sid, handle);
    let session = session::Session::new(sid.clone(), body, events);
    let (web, server) = (Arc::clone(web), Arc::clone(&web.server));
    let ongoing = web.ongoing.clone();
    tokio::spawn(c2s::serve(server, Box::new(stream), permit));
    tokio::spawn(async move {
        let (shutdown, lingering) = (&web.server.shutdown, &web.bosh.lingering);
        session
            .run(shutdown, lingering, incoming, from_stream)
            .await;
        web.bosh.leave(&sid);
        drop((ongoing, peer));
    });
    Some(entered)
}

/// The header of a stream that a body begins or restarts.
fn header(body: &Body) -> StreamEvent {
    use imd_proto::{Element, ns};
    StreamEvent::Open(
        Element::new("stream", ns::STREAM)
            .with_attr("version", "1.0")
            .with_opt_attr("to", body.to.as_deref())
            .with_opt_attr("from", body.from.as_deref()),
    )
}
