//! Invitation pages: which app to take, one QR code, and registering right here, also without JavaScript.

mod apps;
mod page;
mod words;

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, USER_AGENT, VARY,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use imd_store::InviteKind;
use serde::Deserialize;

use super::Web;
use crate::admin::invites::{self, RedeemError};
use crate::admin::people;
use page::{Fault, Page};
use words::Words;

/// The pages load a style sheet and a picture from here, and send forms here. Nothing else, and no script.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

/// The routes of invitations.
pub(super) fn routes() -> axum::Router<Arc<Web>> {
    axum::Router::new()
        .route("/invite/assets/style.css", get(style))
        .route("/invite/{token}", get(show).post(submit))
        .route("/invite/{token}/qr.svg", get(qr))
        .route("/invite/{token}/done", get(done))
}

async fn style() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        (CACHE_CONTROL, "public, max-age=86400"),
    ];
    (headers, include_str!("style.css")).into_response()
}

/// What a form of a page brings.
#[derive(Debug, Deserialize)]
struct Filled {
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    repeat: String,
}

/// Words in the reader's language.
fn words(headers: &HeaderMap) -> &'static Words {
    words::preferred(header(headers, ACCEPT_LANGUAGE))
}

fn header(headers: &HeaderMap, name: HeaderName) -> &str {
    headers
        .get(name)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default()
}

fn page_of<'a>(web: &'a Web, headers: &'a HeaderMap) -> Page<'a> {
    Page {
        words: words(headers),
        domain: &web.server.config.domain,
        chat: web.server.config.web.web_root.is_some(),
        platform: apps::Platform::of(header(headers, USER_AGENT)),
    }
}

fn html(status: StatusCode, words: &Words, body: String) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (VARY, "Accept-Language, User-Agent"),
        (axum::http::header::CONTENT_LANGUAGE, words.code),
    ];
    (status, headers, body).into_response()
}

/// The page for an invitation that cannot be used, or while the store fails.
fn failed(page: &Page<'_>, error: &RedeemError) -> Response {
    let (status, fault) = match error {
        RedeemError::Store(error) => {
            tracing::warn!(%error, "an invitation cannot be used");
            (StatusCode::SERVICE_UNAVAILABLE, Fault::Store)
        }
        _ => (StatusCode::NOT_FOUND, Fault::NotUsable),
    };
    html(status, page.words, page.sorry(fault))
}

async fn show(
    State(web): State<Arc<Web>>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    let page = page_of(&web, &headers);
    match invites::usable(&web.server, &token).await {
        Ok(invite) => {
            let uri = invites::uri(&web.server, &invite);
            html(
                StatusCode::OK,
                page.words,
                page.invitation(&invite, &uri, None, ""),
            )
        }
        Err(error) => failed(&page, &error),
    }
}

async fn submit(
    State(web): State<Arc<Web>>,
    Path(token): Path<String>,
    headers: HeaderMap,
    Form(filled): Form<Filled>,
) -> Response {
    let page = page_of(&web, &headers);
    let invite = match invites::usable(&web.server, &token).await {
        Ok(invite) => invite,
        Err(error) => return failed(&page, &error),
    };
    let outcome = if filled.password != filled.repeat {
        Err(Fault::Repeat)
    } else {
        let made = match invite.kind {
            InviteKind::Reset => invites::reset(&web.server, &token, &filled.password).await,
            _ => invites::redeem(&web.server, &token, &filled.name, &filled.password).await,
        };
        made.map_err(|error| Fault::of(&error))
    };
    match outcome {
        // Reloading the page that follows must not send the form again.
        Ok(user) => Redirect::to(&format!(
            "/invite/{token}/done?name={}",
            super::percent_encoded(&user)
        ))
        .into_response(),
        Err(fault @ (Fault::NotUsable | Fault::Store)) => {
            html(fault.status(), page.words, page.sorry(fault))
        }
        Err(fault) => {
            let uri = invites::uri(&web.server, &invite);
            let status = fault.status();
            let body = page.invitation(&invite, &uri, Some(fault), &filled.name);
            html(status, page.words, body)
        }
    }
}

#[derive(Debug, Deserialize)]
struct Done {
    name: String,
}

async fn done(
    State(web): State<Arc<Web>>,
    Path(_token): Path<String>,
    Query(done): Query<Done>,
    headers: HeaderMap,
) -> Response {
    let page = page_of(&web, &headers);
    match people::username(&done.name) {
        Some(user) => html(StatusCode::OK, page.words, page.welcome(&user)),
        None => html(
            StatusCode::NOT_FOUND,
            page.words,
            page.sorry(Fault::NotUsable),
        ),
    }
}

/// The address of the page as QR code: the one that every camera can open.
async fn qr(State(web): State<Arc<Web>>, Path(token): Path<String>) -> Response {
    let Ok(invite) = invites::usable(&web.server, &token).await else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let url = invites::page_url(&web.server, &invite);
    match qrcode::QrCode::new(url) {
        Ok(code) => {
            let svg = code
                .render::<qrcode::render::svg::Color<'_>>()
                .min_dimensions(240, 240)
                .build();
            let headers = [(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, "no-store")];
            (headers, svg).into_response()
        }
        Err(error) => {
            tracing::warn!(%error, "the address of an invitation fits into no QR code");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
