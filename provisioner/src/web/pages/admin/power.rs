//! Restarting the box, and shutting it down.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};

use crate::agent::command::Command;
use crate::web::Web;
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::visitor::{Admin, Sent};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/admin/power", get(show))
        .route("/admin/power/restart", post(restart))
        .route("/admin/power/shut-down", post(shut_down))
}

#[derive(Template)]
#[template(path = "power.html")]
struct Power {
    page: Page,
}

/// While the box goes down.
#[derive(Template)]
#[template(path = "power_under_way.html")]
pub struct UnderWay {
    /// What every page has.
    pub page: Page,
    /// What happens.
    pub title: String,
    /// What to do meanwhile.
    pub text: String,
    /// Whether the box answers again afterwards.
    pub comes_back: bool,
}

async fn show(Admin { visitor, .. }: Admin) -> Response {
    let shown = Power {
        page: Page::of(&visitor),
    };
    show_page(visitor.t.0, &shown)
}

async fn restart(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    go(&web, by, Command::Restart).await
}

async fn shut_down(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    go(&web, by, Command::ShutDown).await
}

async fn go(web: &Web, by: Admin, command: Command) -> Response {
    let (visitor, t) = (by.visitor, by_texts(&command));
    if let Err(refusal) = web.agent.ask(visitor.actor(), command).await {
        return errors::agent(&visitor, &refusal);
    }
    let (title, text, comes_back) = t;
    let shown = UnderWay {
        page: Page::of(&visitor),
        title: visitor.t.m(title),
        text: visitor.t.m(text),
        comes_back,
    };
    show_page(visitor.t.0, &shown)
}

fn by_texts(command: &Command) -> (&'static str, &'static str, bool) {
    if *command == Command::Restart {
        ("power-restarting", "power-restarting-how", true)
    } else {
        ("power-shutting-down", "power-safe", false)
    }
}
