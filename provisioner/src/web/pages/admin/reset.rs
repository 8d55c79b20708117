//! Factory reset, with a confirmation that has to be typed.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::power::UnderWay;
use crate::agent::command::Command;
use crate::web::Web;
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::visitor::{Admin, Sent, Visitor};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/admin/reset", get(show).post(reset))
}

#[derive(Template)]
#[template(path = "reset.html")]
struct Reset {
    page: Page,
    host_name: String,
    fault: Option<String>,
}

fn page(visitor: &Visitor, host_name: String, fault: Option<String>) -> Response {
    let page = Page::of(visitor);
    let shown = Reset {
        page,
        host_name,
        fault,
    };
    show_page(visitor.t.0, &shown)
}

async fn show(State(web): State<Arc<Web>>, Admin { visitor, .. }: Admin) -> Response {
    match web.agent.status().await {
        Ok(status) => page(&visitor, status.host_name, None),
        Err(refusal) => errors::agent(&visitor, &refusal),
    }
}

async fn reset(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let visitor = by.visitor;
    let host_name = match web.agent.status().await {
        Ok(status) => status.host_name,
        Err(refusal) => return errors::agent(&visitor, &refusal),
    };
    if !fields.get("name").eq_ignore_ascii_case(&host_name) {
        let fault = visitor.t.with("reset-wrong", &[("name", &host_name)]);
        return page(&visitor, host_name, Some(fault));
    }
    let keep_backups = fields.get("keep") == "yes";
    let command = Command::FactoryReset { keep_backups };
    if let Err(refusal) = web.agent.ask(visitor.actor(), command).await {
        return errors::agent(&visitor, &refusal);
    }
    let shown = UnderWay {
        page: Page::of(&visitor),
        title: visitor.t.m("reset-under-way"),
        text: visitor.t.m("reset-under-way-how"),
        comes_back: true,
    };
    show_page(visitor.t.0, &shown)
}
