//! The box's clock, and the browser's for a box that no server tells the time.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use super::notice::Notice;
use crate::web::Web;
use crate::web::page::{Page, moment, show as show_page};
use crate::web::pages::{clock, errors};
use crate::web::visitor::{Admin, Sent, Visitor};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/admin/time", get(show).post(set))
}

#[derive(Template)]
#[template(path = "time.html")]
struct Time {
    page: Page,
    notice: Option<String>,
    fault: Option<String>,
    clock: String,
    synchronised: bool,
}

async fn page(
    web: &Web,
    visitor: &Visitor,
    notice: Option<String>,
    fault: Option<String>,
) -> Response {
    let status = match web.agent.status().await {
        Ok(status) => status,
        Err(refusal) => return errors::agent(visitor, &refusal),
    };
    let shown = Time {
        page: Page::of(visitor),
        notice,
        fault,
        clock: moment(status.clock),
        synchronised: status.clock_is_synchronised,
    };
    show_page(visitor.t.0, &shown)
}

async fn show(State(web): State<Arc<Web>>, admin: Admin, Query(notice): Query<Notice>) -> Response {
    let notice = notice.text(admin.visitor.t);
    page(&web, &admin.visitor, notice, None).await
}

async fn set(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let visitor = by.visitor;
    let status = match web.agent.status().await {
        Ok(status) => status,
        Err(refusal) => return errors::agent(&visitor, &refusal),
    };
    match clock::take_over(&web, &visitor, &status, &fields).await {
        Ok(true) => Redirect::to("/admin/time?done=clock").into_response(),
        Ok(false) => Redirect::to("/admin/time").into_response(),
        Err(fault) => page(&web, &visitor, None, Some(fault)).await,
    }
}
