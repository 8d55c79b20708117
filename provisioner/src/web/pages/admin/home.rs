//! The first page: whether all is well.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use crate::agent::claim::Claim;
use crate::web::Web;
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::visitor::Admin;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/admin", get(show))
}

/// What imd says of itself.
#[derive(Debug, Deserialize)]
struct Statistics {
    people: u64,
    people_online: u64,
    rooms: u64,
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    page: Page,
    is_well: bool,
    sentence: String,
    statistics: Option<Statistics>,
    is_set_up: bool,
    network_on_trial: bool,
    uptime: String,
    version: String,
    slot: String,
}

async fn show(State(web): State<Arc<Web>>, Admin { visitor, .. }: Admin) -> Response {
    let status = match web.agent.status().await {
        Ok(status) => status,
        Err(refusal) => return errors::agent(&visitor, &refusal),
    };
    let statistics = web.imd.get::<Statistics>("/statistics").await.ok();
    let t = visitor.t;
    let sentence = if statistics.is_none() {
        "home-no-chat"
    } else {
        "home-well"
    };
    let shown = Home {
        page: Page::of(&visitor),
        is_well: statistics.is_some(),
        sentence: t.m(sentence),
        statistics,
        is_set_up: !matches!(status.claim, Claim::Made { set_up: false, .. }),
        network_on_trial: status.network_on_trial,
        uptime: t.count("hours", status.uptime / 3600),
        version: status.version,
        slot: status.slot.unwrap_or_else(|| "–".to_owned()),
    };
    show_page(t.0, &shown)
}
