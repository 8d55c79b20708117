//! The fifth step: trusting the box's certificates.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{IntoResponse, Response};

use super::Wizard;
use crate::web::Web;
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::pages::trust::Steps;
use crate::web::visitor::Admin;

#[derive(Template)]
#[template(path = "setup_trust.html")]
struct Trust {
    page: Page,
    wizard: Wizard,
    steps: Steps,
}

pub async fn show(State(web): State<Arc<Web>>, Admin { visitor, .. }: Admin) -> Response {
    let status = match web.agent.status().await {
        Ok(status) => status,
        Err(refusal) => return errors::agent(&visitor, &refusal),
    };
    let steps = Steps::of(&visitor, &status);
    let policy = steps.policy();
    let shown = Trust {
        page: Page::of(&visitor),
        wizard: Wizard::at(&visitor, "/setup/trust"),
        steps,
    };
    (
        [(CONTENT_SECURITY_POLICY, policy)],
        show_page(visitor.t.0, &shown),
    )
        .into_response()
}
