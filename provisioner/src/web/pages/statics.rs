//! Style sheet, scripts and pictures. They are in the program, so that they always fit the pages.

use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::web::Web;

macro_rules! files {
    ($(($path:literal, $kind:literal, $file:literal)),* $(,)?) => {
        pub(super) fn routes() -> Router<Arc<Web>> {
            Router::new()$(.route($path, get(async || file($kind, include_bytes!($file)))))*
        }
    };
}

files![
    (
        "/static/icons.svg",
        "image/svg+xml",
        "../../../static/icons.svg"
    ),
    (
        "/static/perch.css",
        "text/css; charset=utf-8",
        "../../../static/perch.css"
    ),
    (
        "/static/perch.js",
        "text/javascript; charset=utf-8",
        "../../../static/perch.js"
    ),
    (
        "/static/perch.svg",
        "image/svg+xml",
        "../../../static/perch.svg"
    ),
    ("/favicon.ico", "image/svg+xml", "../../../static/perch.svg"),
];

fn file(kind: &'static str, content: &'static [u8]) -> Response {
    // Short, as the files change with an update and keep their names.
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=600")];
    (headers, content).into_response()
}
