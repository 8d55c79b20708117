//! Style sheet, scripts and pictures. They are in the program, so that they always fit the pages.
//!
//! Not in it: uPlot, which `ci/charts` fetches when an image is built. Where it is not there, as in a plain clone, charts stay as the
//! server draws them.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::web::Web;

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLES: &str = "text/css; charset=utf-8";

type Pages = State<Arc<Web>>;

pub(super) fn routes() -> Router<Arc<Web>> {
    within()
        .route(
            "/static/uPlot.iife.min.js",
            get(async |State(web): Pages| fetched(&web, SCRIPT, "uPlot.iife.min.js")),
        )
        .route(
            "/static/uPlot.min.css",
            get(async |State(web): Pages| fetched(&web, STYLES, "uPlot.min.css")),
        )
}

/// A file of the folder that `ci/charts` fills.
fn fetched(web: &Web, kind: &'static str, name: &str) -> Response {
    match web.files().read(format!("/usr/share/perch/charts/{name}")) {
        Ok(Some(content)) => kept(kind, content),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => {
            eprintln!("<4>{error:#}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

macro_rules! files {
    ($(($path:literal, $kind:expr, $file:literal)),* $(,)?) => {
        fn within() -> Router<Arc<Web>> {
            Router::new()$(.route($path, get(async || kept($kind, include_bytes!($file).as_slice()))))*
        }
    };
}

files![
    (
        "/static/icons.svg",
        "image/svg+xml",
        "../../../static/icons.svg"
    ),
    ("/static/charts.js", SCRIPT, "../../../static/charts.js"),
    ("/static/perch.css", STYLES, "../../../static/perch.css"),
    ("/static/perch.js", SCRIPT, "../../../static/perch.js"),
    (
        "/static/perch.svg",
        "image/svg+xml",
        "../../../static/perch.svg"
    ),
    ("/favicon.ico", "image/svg+xml", "../../../static/perch.svg"),
];

fn kept(kind: &'static str, content: impl IntoResponse) -> Response {
    // Short, as the files change with an update and keep their names.
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=600")];
    (headers, content).into_response()
}
