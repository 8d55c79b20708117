//! The third step: the box's name and the domain of its addresses. A new name is a new origin for the browser, which has to
//! be signed in there anew: by a link that works once.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::Wizard;
use crate::agent::command::Command;
use crate::agent::status::BoxStatus;
use crate::model::{Domain, HostName};
use crate::web::Web;
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::visitor::{Admin, Sent, Visitor, now};

#[derive(Template)]
#[template(path = "setup_name.html")]
struct Name {
    page: Page,
    wizard: Wizard,
    host_name: String,
    second_name: String,
    domain: String,
    fault: Option<String>,
}

#[derive(Template)]
#[template(path = "setup_moved.html")]
struct Moved {
    page: Page,
    wizard: Wizard,
    link: String,
    address: String,
    second_name: String,
}

fn page(
    visitor: &Visitor,
    status: &BoxStatus,
    typed: (&str, &str),
    fault: Option<String>,
) -> Response {
    let shown = Name {
        page: Page::of(visitor),
        wizard: Wizard::at(visitor, "/setup/name"),
        host_name: typed.0.to_owned(),
        second_name: status.second_name.clone(),
        domain: typed.1.to_owned(),
        fault,
    };
    show_page(visitor.t.0, &shown)
}

/// The domain as the field has it: empty while it follows the name.
fn own_domain(status: &BoxStatus) -> &str {
    if status.domain == format!("{}.local", status.host_name) {
        ""
    } else {
        &status.domain
    }
}

pub async fn show(State(web): State<Arc<Web>>, Admin { visitor, .. }: Admin) -> Response {
    match web.agent.status().await {
        Ok(status) => page(
            &visitor,
            &status,
            (&status.host_name, own_domain(&status)),
            None,
        ),
        Err(refusal) => errors::agent(&visitor, &refusal),
    }
}

pub async fn set(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let Admin { visitor, name } = by;
    let before = match web.agent.status().await {
        Ok(status) => status,
        Err(refusal) => return errors::agent(&visitor, &refusal),
    };
    let (host, domain) = (
        fields.get("host_name").to_lowercase(),
        fields.get("domain").to_lowercase(),
    );
    let host = host.trim_end_matches(".local");
    let t = visitor.t;
    let again = |fault: String| page(&visitor, &before, (host, &domain), Some(fault));
    if HostName::new(host).is_err() {
        return again(t.m("host-name-fault"));
    }
    if !domain.is_empty() && Domain::new(&domain).is_err() {
        return again(t.m("domain-fault"));
    }
    if host == before.host_name && domain == own_domain(&before) {
        return Redirect::to("/setup/time").into_response();
    }
    let pairs = vec![
        ("hostname".to_owned(), host.to_owned()),
        ("domain".to_owned(), domain.clone()),
    ];
    let change = Command::ChangeSettings {
        pairs,
        dry_run: false,
    };
    if let Err(refusal) = web.agent.ask(visitor.actor(), change).await {
        return again(t.with("change-failed", &[("detail", &refusal.text)]));
    }
    let after = match web.agent.status().await {
        Ok(status) => status,
        Err(refusal) => return errors::agent(&visitor, &refusal),
    };
    let stays = visitor.host != format!("{}.local", before.host_name)
        || after.host_name == before.host_name;
    if stays {
        return Redirect::to("/setup/time").into_response();
    }
    let ticket = match web.store.ticket(name.as_str(), now()) {
        Ok(ticket) => ticket,
        Err(error) => return errors::store(&visitor, &error),
    };
    let address = format!("https://{}.local", after.host_name);
    let shown = Moved {
        page: Page::of(&visitor),
        wizard: Wizard::at(&visitor, "/setup/name"),
        link: format!("{address}/setup/resume?ticket={ticket}"),
        address,
        second_name: after.second_name,
    };
    show_page(t.0, &shown)
}

/// What the link brings.
#[derive(Deserialize)]
pub struct Resume {
    #[serde(default)]
    ticket: String,
}

pub async fn resume(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Query(Resume { ticket }): Query<Resume>,
) -> Response {
    let begun = match web.store.redeem(&ticket, now()) {
        Ok(Some(name)) => visitor.begin(&web, &name),
        // Used up or too old: the password does it, too.
        Ok(None) => return Redirect::to("/sign-in?next=/setup/time").into_response(),
        Err(error) => Err(error),
    };
    match begun {
        Ok(cookies) => cookies.on(Redirect::to("/setup/time")),
        Err(error) => errors::store(&visitor, &error),
    }
}
