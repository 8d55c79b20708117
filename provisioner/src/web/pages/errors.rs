//! Pages for what does not work.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use crate::agent::command::Refusal;
use crate::web::imd::Fault;
use crate::web::page::{Page, show_with};
use crate::web::texts::Texts;
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    page: Page,
    title: String,
    text: String,
    /// In English, for whoever is asked for help. Empty: there is nothing more to say.
    detail: String,
}

fn error(
    visitor: &Visitor,
    status: StatusCode,
    title: &str,
    text: &str,
    detail: String,
) -> Response {
    let page = Page::of(visitor);
    let t = visitor.t;
    let shown = ErrorPage {
        title: t.m(title),
        text: t.m(text),
        page,
        detail,
    };
    show_with(status, t.0, &shown)
}

/// There is no such page.
pub async fn not_found(visitor: Visitor) -> Response {
    absent(&visitor)
}

/// What a form was sent to is asked for as a page, as by choosing another language there: the page above it has the form.
pub async fn wrong_method(visitor: Visitor) -> Response {
    let above = visitor.path.rsplit_once('/').map_or("", |(above, _)| above);
    Redirect::to(if above.is_empty() { "/" } else { above }).into_response()
}

/// There is no such page, person or other thing.
pub fn absent(visitor: &Visitor) -> Response {
    let status = StatusCode::NOT_FOUND;
    error(
        visitor,
        status,
        "error-absent-title",
        "error-absent",
        String::new(),
    )
}

/// The form did not come from our pages, or from one that is too old.
pub fn foreign_form(visitor: &Visitor) -> Response {
    let status = StatusCode::FORBIDDEN;
    error(
        visitor,
        status,
        "error-form-title",
        "error-form",
        String::new(),
    )
}

/// What nobody may do; `text` is the key of the reason.
pub fn refused(visitor: &Visitor, text: &str) -> Response {
    let status = StatusCode::FORBIDDEN;
    error(visitor, status, "error-refused-title", text, String::new())
}

/// The form cannot be read.
pub fn unreadable(visitor: &Visitor) -> Response {
    let status = StatusCode::BAD_REQUEST;
    error(
        visitor,
        status,
        "error-form-title",
        "error-unreadable",
        String::new(),
    )
}

/// The agent does not answer, or could not do it.
pub fn agent(visitor: &Visitor, refusal: &Refusal) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    error(
        visitor,
        status,
        "error-agent-title",
        "error-agent",
        refusal.to_string(),
    )
}

/// The chat server does not answer, or could not do it.
pub fn imd(visitor: &Visitor, fault: &Fault) -> Response {
    if fault.is(StatusCode::NOT_FOUND) {
        return absent(visitor);
    }
    let status = StatusCode::SERVICE_UNAVAILABLE;
    error(
        visitor,
        status,
        "error-imd-title",
        "error-imd",
        fault.to_string(),
    )
}

/// The database of the pages does not work.
pub fn store(visitor: &Visitor, fault: &anyhow::Error) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    error(
        visitor,
        status,
        "error-store-title",
        "error-store",
        format!("{fault:#}"),
    )
}

/// Not even that is known who is there.
pub fn failed(t: Texts) -> Response {
    let shown = ErrorPage {
        page: Page {
            t,
            token: String::new(),
            path: "/".to_owned(),
            here: "/".to_owned(),
            who: None,
        },
        title: t.m("error-store-title"),
        text: t.m("error-store"),
        detail: String::new(),
    };
    show_with(StatusCode::SERVICE_UNAVAILABLE, t.0, &shown)
}
