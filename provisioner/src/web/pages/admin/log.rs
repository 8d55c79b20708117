//! The log of administrative acts.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use crate::agent::audit::Entry;
use crate::agent::client::unexpected;
use crate::agent::command::{Answer, Command};
use crate::web::Web;
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::visitor::Admin;

/// What one page shows.
const MOST: usize = 200;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/admin/log", get(show))
}

#[derive(Template)]
#[template(path = "log.html")]
struct Log {
    page: Page,
    entries: Vec<Entry>,
}

async fn show(State(web): State<Arc<Web>>, Admin { visitor, .. }: Admin) -> Response {
    let asked = web
        .agent
        .ask(visitor.actor(), Command::Audit { most: MOST })
        .await;
    match asked {
        Ok(Answer::Audit(entries)) => {
            let page = Page::of(&visitor);
            show_page(visitor.t.0, &Log { page, entries })
        }
        Ok(other) => errors::agent(&visitor, &unexpected(&other)),
        Err(refusal) => errors::agent(&visitor, &refusal),
    }
}
