//! What stands at `/`: the wizard for an unclaimed box, the administrators' pages for who has signed in, and else the way to
//! the chat.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use super::errors;
use crate::agent::claim::Claim;
use crate::web::Web;
use crate::web::page::{Page, show};
use crate::web::visitor::Visitor;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/", get(front))
}

#[derive(Template)]
#[template(path = "front.html")]
struct Front {
    page: Page,
    domain: String,
}

async fn front(State(web): State<Arc<Web>>, visitor: Visitor) -> Response {
    let status = match web.agent.status().await {
        Ok(status) => status,
        Err(refusal) => return errors::agent(&visitor, &refusal),
    };
    if !matches!(status.claim, Claim::Made { .. }) {
        return Redirect::to("/setup").into_response();
    }
    if visitor.session.is_some() {
        return Redirect::to("/admin").into_response();
    }
    let shown = Front {
        page: Page::of(&visitor),
        domain: status.domain,
    };
    show(visitor.t.0, &shown)
}
