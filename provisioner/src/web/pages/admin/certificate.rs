//! The certificate for the box's own domain: where it stands, what went wrong, and another try.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use super::notice::Notice;
use crate::acme::job::CertificateView;
use crate::acme::machine::State as Stand;
use crate::agent::client::unexpected;
use crate::agent::command::{Answer, Command, Refusal};
use crate::web::Web;
use crate::web::certificate::lines;
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::visitor::{Admin, Sent, Visitor};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/admin/settings/certificate", get(show).post(renew))
}

#[derive(Template)]
#[template(path = "certificate.html")]
struct Certificate {
    page: Page,
    notice: Option<String>,
    fault: Option<String>,
    /// How the first line looks.
    level: &'static str,
    lines: Vec<String>,
    domain: Option<String>,
    directory: String,
    is_on: bool,
    /// Whether another order could begin now.
    may_try: bool,
}

pub(super) async fn view(web: &Web, visitor: &Visitor) -> Result<CertificateView, Refusal> {
    let command = Command::Certificate;
    match web.agent.ask(visitor.actor(), command).await? {
        Answer::Certificate(view) => Ok(*view),
        other => Err(unexpected(&other)),
    }
}

async fn show(
    State(web): State<Arc<Web>>,
    Admin { visitor, .. }: Admin,
    Query(notice): Query<Notice>,
) -> Response {
    let notice = notice.text(visitor.t);
    page(&web, &visitor, notice, None).await
}

/// The page, with what is wrong with a wish.
async fn page(
    web: &Web,
    visitor: &Visitor,
    notice: Option<String>,
    fault: Option<String>,
) -> Response {
    let view = match view(web, visitor).await {
        Ok(view) => view,
        Err(refusal) => return errors::agent(visitor, &refusal),
    };
    let shown = Certificate {
        page: Page::of(visitor),
        notice,
        fault,
        level: match view.state {
            Stand::Valid { .. } => "good",
            Stand::Failed { .. } => "fault",
            _ => "note",
        },
        lines: lines(visitor.t, &view),
        may_try: view.is_on && !view.is_under_way,
        domain: view.domain,
        directory: view.directory,
        is_on: view.is_on,
    };
    show_page(visitor.t.0, &shown)
}

async fn renew(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    let command = Command::RenewCertificate;
    match web.agent.ask(by.visitor.actor(), command).await {
        Ok(_) => Redirect::to("/admin/settings/certificate?done=ordered").into_response(),
        Err(refusal) => {
            let detail = [("detail", refusal.text.as_str())];
            let fault = by.visitor.t.with("change-failed", &detail);
            page(&web, &by.visitor, None, Some(fault)).await
        }
    }
}
