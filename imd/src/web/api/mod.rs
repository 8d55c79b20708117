//! The admin API at `/api/v1`: REST with JSON, errors as RFC 9457, described by OpenAPI.
//!
//! Handlers read a request, call [`crate::admin`] and answer; nothing is decided here. Every route is entered with
//! `routes!`, which puts it into the document as well. The command line uses the same router, over the Unix socket or,
//! while the daemon does not run, in its own process.

mod auth;
mod groups;
mod input;
mod invitations;
mod people;
pub mod problem;
mod rooms;
mod server;
mod tokens;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_service::Service as _;
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use crate::server::Server;
use problem::Problem;

/// Where it is.
pub const PATH: &str = "/api/v1";
/// The largest body, in bytes: that of an import.
const BODY_BYTES: usize = 16 << 20;

/// The head of the document; the routes bring the rest.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "imd",
        description = "Administration of an imd server. Over the Unix socket no token is needed.",
        license(name = "Apache-2.0")
    ),
    servers((url = "/api/v1")),
    security(("token" = [])),
    modifiers(&Bearer)
)]
struct Document;

/// The one way to say who one is.
struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// What describes and answers some methods of one path.
type Described = UtoipaMethodRouter<Arc<Server>>;

/// All routes; made one by one, as each brings its part of the document, and all of that is a megabyte.
const ROUTES: [fn() -> Described; 26] = [
    || routes!(people::list, people::create),
    || routes!(people::import),
    || routes!(people::login),
    || routes!(people::devices),
    || routes!(people::sign_out),
    || routes!(people::show, people::change, people::remove),
    || routes!(groups::list, groups::create),
    || routes!(groups::show, groups::rename, groups::delete),
    || routes!(groups::add),
    || routes!(groups::remove),
    || routes!(rooms::list, rooms::create),
    || routes!(rooms::show, rooms::change, rooms::destroy),
    || routes!(invitations::list, invitations::create),
    || routes!(invitations::revoke),
    || routes!(server::sessions),
    || routes!(server::close),
    || routes!(server::statistics),
    || routes!(server::pulse),
    || routes!(server::announce),
    || routes!(server::retention),
    || routes!(server::retain, server::retain_as_all),
    || routes!(server::log),
    || routes!(server::back_up),
    || routes!(tokens::list, tokens::create),
    || routes!(tokens::remove),
    || routes!(openapi),
];

/// The document, as JSON.
#[must_use]
pub fn document() -> &'static str {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let empty = OpenApiRouter::with_openapi(Document::openapi());
        let all = ROUTES.iter().fold(empty, |all, make| all.routes(make()));
        // Plain data: this cannot fail.
        all.into_openapi().to_pretty_json().unwrap_or_default()
    })
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "about",
    responses((status = 200, body = Object, content_type = "application/json"), (status = "default", body = Problem)))]
async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], document()).into_response()
}

fn router() -> Router<Arc<Server>> {
    let add = |all: Router<Arc<Server>>, make: &fn() -> Described| {
        let (_, paths, methods) = make();
        let path = paths.paths.into_keys().next().unwrap_or_default();
        all.route(&path, methods)
    };
    ROUTES
        .iter()
        .fold(Router::new(), add)
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_route)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(axum::middleware::map_response(not_kept))
}

/// The API for those who have a token.
pub fn for_tokens(server: &Arc<Server>) -> Router {
    let server = Arc::clone(server);
    when_asked_for(move || {
        let auth = from_fn_with_state(Arc::clone(&server), auth::by_token);
        router().layer(auth).with_state(Arc::clone(&server))
    })
}

/// The API for those who have opened the socket, and for the command line itself.
pub fn for_socket(server: &Arc<Server>) -> Router {
    let server = Arc::clone(server);
    when_asked_for(move || {
        let router = router().layer(from_fn(auth::by_socket));
        router.with_state(Arc::clone(&server))
    })
}

/// Makes the routes with the first request: with their document they are much code and memory, and most servers are
/// seldom administered.
fn when_asked_for(make: impl Fn() -> Router + Send + Sync + 'static) -> Router {
    let made = Arc::new((OnceLock::new(), make));
    let pass_on = move |request: Request| {
        let made = Arc::clone(&made);
        async move {
            let (router, make) = &*made;
            let mut router = router.get_or_init(make).clone();
            // A router is always ready, and its errors are answers.
            router.call(request).await
        }
    };
    Router::new().nest(PATH, Router::new().fallback(pass_on))
}

async fn no_route() -> Problem {
    let detail = format!("there is no such route; {PATH}/openapi.json has all");
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn wrong_method() -> Problem {
    let detail = format!("this route has no such method; {PATH}/openapi.json has all");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// Answers are about people: nobody keeps them.
async fn not_kept(mut response: Response) -> Response {
    let value = axum::http::HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, value);
    response
}
