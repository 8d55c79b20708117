//! The web chat at `/chat/`: Converse.js from the folder `web.web_root`, set up for this server. Nothing comes from
//! elsewhere.

mod files;

use std::path::Path as FilePath;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use imd_proto::xml::escape_into;

use super::Web;

/// The page. Its scripts are files, because the policy allows no others.
const PAGE: &str = include_str!("page.html");
/// What the page runs after Converse.js; `SETTINGS` is replaced.
const START: &str = include_str!("start.js");

/// The routes of the web chat.
pub(super) fn routes() -> axum::Router<Arc<Web>> {
    // The address alone leads there until the box has a page of its own; not for ever, so browsers do not keep it.
    axum::Router::new()
        .route("/", get(|| async { Redirect::temporary("/chat/") }))
        .route("/chat", get(|| async { Redirect::permanent("/chat/") }))
        .route("/chat/", get(page))
        .route("/chat/start.js", get(start))
        .route("/chat/converse/{*file}", get(file))
}

/// Scripts are the server's own files. Converse.js sets styles in the page and compiles WebAssembly (OMEMO). Pictures
/// come from this server only: others would learn who looks at them.
fn policy(web: &Web) -> String {
    let url = web.server.config.public_url();
    let socket = url.replacen("http", "ws", 1);
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data: blob: {url}; media-src 'self' blob: {url}; \
         font-src 'self' data:; connect-src 'self' {socket} {url}; worker-src 'self'; manifest-src 'self'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

/// Whether the folder holds the web chat.
fn root(web: &Web) -> Option<&FilePath> {
    let root = web.server.config.web.web_root.as_deref()?;
    root.join("converse.min.js").is_file().then_some(root)
}

async fn page(State(web): State<Arc<Web>>) -> Response {
    if root(&web).is_none() {
        return missing(&web);
    }
    let mut domain = String::new();
    escape_into(&mut domain, &web.server.config.domain);
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (CONTENT_SECURITY_POLICY, policy(&web)),
        (CACHE_CONTROL, "no-cache".to_owned()),
    ];
    (headers, PAGE.replace("DOMAIN", &domain)).into_response()
}

/// What whoever runs the server has to do.
fn missing(web: &Web) -> Response {
    let why = match &web.server.config.web.web_root {
        None => "web_root is not set".to_owned(),
        Some(root) => format!("there is no converse.min.js in {}", root.display()),
    };
    let text = format!(
        "There is no web chat on this server: {why}.\n\nWhoever runs it: fill a folder with `ci/web-chat FOLDER` \
         (from the source of imd), and write into imd.toml:\n\n[web]\nweb_root = \"FOLDER\"\n"
    );
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn start(State(web): State<Arc<Web>>) -> Response {
    let domain = &web.server.config.domain;
    let settings = serde_json::json!({
        "domain": domain,
        "rooms": web.server.config.rooms_domain(),
    });
    let headers = [
        (CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, START.replace("SETTINGS", &settings.to_string())).into_response()
}

async fn file(
    State(web): State<Arc<Web>>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Response {
    match root(&web) {
        Some(root) => files::serve(root, &file, &headers).await,
        None => missing(&web),
    }
}
