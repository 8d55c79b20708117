//! Where WebSocket and BOSH are, for clients that know only the domain (XEP-0156 §3, RFC 6415).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};

use super::Web;
use imd_proto::xml::escape_into;

fn links(web: &Web) -> [(&'static str, String); 2] {
    let url = web.server.config.public_url();
    // http becomes ws, https becomes wss (RFC 6455 §3).
    let socket = url.replacen("http", "ws", 1);
    [
        ("urn:xmpp:alt-connections:websocket", format!("{socket}/ws")),
        ("urn:xmpp:alt-connections:xbosh", format!("{url}/bosh")),
    ]
}

/// The document as XML.
pub(super) async fn xml(State(web): State<Arc<Web>>) -> Response {
    let mut body = String::from(
        "<?xml version='1.0' encoding='UTF-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\n",
    );
    for (rel, href) in links(&web) {
        body.push_str("  <Link rel='");
        body.push_str(rel);
        body.push_str("' href='");
        escape_into(&mut body, &href);
        body.push_str("'/>\n");
    }
    body.push_str("</XRD>\n");
    let headers = [
        (CONTENT_TYPE, "application/xrd+xml; charset=utf-8"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, body).into_response()
}

/// The document as JSON.
pub(super) async fn json(State(web): State<Arc<Web>>) -> Response {
    let links: Vec<_> = links(&web)
        .into_iter()
        .map(|(rel, href)| serde_json::json!({ "rel": rel, "href": href }))
        .collect();
    let body = Json(serde_json::json!({ "links": links }));
    ([(ACCESS_CONTROL_ALLOW_ORIGIN, "*")], body).into_response()
}
