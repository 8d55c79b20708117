//! Signing in and out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::errors;
use super::language::local_path;
use crate::agent::command::{Actor, Answer, Command};
use crate::model::AccountName;
use crate::web::Web;
use crate::web::imd::Fault;
use crate::web::page::{Page, show_with};
use crate::web::visitor::{Sent, Visitor};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/sign-in", get(show).post(sign_in))
        .route("/sign-out", post(sign_out))
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    page: Page,
    name: String,
    next: String,
    fault: Option<String>,
}

/// Where to go afterwards.
#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    next: String,
}

fn page(
    visitor: &Visitor,
    name: &str,
    next: &str,
    fault: Option<(StatusCode, String)>,
) -> Response {
    let (status, fault) = fault.map_or((StatusCode::OK, None), |(status, text)| {
        (status, Some(text))
    });
    let shown = SignIn {
        page: Page::of(visitor),
        name: name.to_owned(),
        next: next.to_owned(),
        fault,
    };
    show_with(status, visitor.t.0, &shown)
}

async fn show(visitor: Visitor, Query(Wanted { next }): Query<Wanted>) -> Response {
    page(&visitor, "", &next, None)
}

async fn sign_in(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Visitor>) -> Response {
    let visitor = by;
    let next = fields.get("next");
    // People type their address, too.
    let typed = fields.get("name").to_lowercase();
    let name = typed.split('@').next().unwrap_or_default();
    let known = visitor.is_known(&web, name);
    let again = |status, text| page(&visitor, &typed, next, Some((status, text)));
    let wait = time_to_wait(&web, &visitor, name, known).await;
    if !wait.is_zero() {
        let minutes = wait.as_secs().div_ceil(60);
        return again(
            StatusCode::TOO_MANY_REQUESTS,
            visitor.t.count("sign-in-wait", minutes),
        );
    }
    let actor = Actor {
        name: AccountName::new(name).ok(),
        address: visitor.address,
    };
    let refused = match web.imd.sign_in(name, fields.raw("password")).await {
        Ok(person) if person.role == "admin" => None,
        Ok(_) => Some("sign-in-no-admin"),
        Err(fault @ Fault::Away(_)) => return errors::imd(&visitor, &fault),
        Err(_) => Some("sign-in-wrong"),
    };
    if let Some(key) = refused {
        web.guard.failed(visitor.address, name, Instant::now());
        web.record(actor, "sign-in", name, Some(visitor.t.m(key)))
            .await;
        return again(StatusCode::FORBIDDEN, visitor.t.m(key));
    }
    web.guard.succeeded(visitor.address, name);
    web.record(actor, "sign-in", name, None).await;
    match visitor.begin(&web, name) {
        Ok(cookies) => {
            let next = if next.is_empty() {
                "/admin"
            } else {
                local_path(next)
            };
            cookies.on(Redirect::to(next))
        }
        Err(error) => errors::store(&visitor, &error),
    }
}

/// How long an attempt has to wait; the file on the card ends all waits.
async fn time_to_wait(web: &Web, visitor: &Visitor, name: &str, known: bool) -> Duration {
    let wait = web.guard.wait(visitor.address, name, known, Instant::now());
    if wait.is_zero() {
        return wait;
    }
    let asked = web.agent.ask(visitor.actor(), Command::TakeUnlock).await;
    if matches!(asked, Ok(Answer::Unlock(true))) {
        web.guard.forget();
        web.record(visitor.actor(), "sign-in.unlock", "", None)
            .await;
        return Duration::ZERO;
    }
    wait
}

async fn sign_out(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Visitor>) -> Response {
    if let Some(session) = &by.session
        && let Err(error) = web.store.end(session.number)
    {
        return errors::store(&by, &error);
    }
    Redirect::to("/").into_response()
}
