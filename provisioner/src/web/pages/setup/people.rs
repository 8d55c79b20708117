//! The last step: one invitation for the first people, and what comes next.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use super::Wizard;
use crate::agent::command::Command;
use crate::model::Domain;
use crate::web::Web;
use crate::web::imd::{Invitation, NewInvitation};
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::qr;
use crate::web::visitor::{Admin, Sent};

/// More are invited from the pages for it.
const MOST: u32 = 200;
/// For how long the first invitation is good.
const DAYS: u32 = 7;

#[derive(Template)]
#[template(path = "setup_people.html")]
struct People {
    page: Page,
    wizard: Wizard,
    number: String,
    fault: Option<String>,
    invitation: Option<Made>,
}

struct Made {
    url: String,
    qr: String,
}

impl Made {
    fn of(invitation: Invitation) -> Self {
        Self {
            qr: qr::svg(&invitation.url),
            url: invitation.url,
        }
    }
}

#[derive(Template)]
#[template(path = "setup_done.html")]
struct Done {
    page: Page,
    /// A domain that an authority could certify. Absent: the box has another.
    own_domain: Option<String>,
}

fn page(admin: &Admin, number: &str, fault: Option<String>, invitation: Option<Made>) -> Response {
    let shown = People {
        page: Page::of(&admin.visitor),
        wizard: Wizard::at(&admin.visitor, "/setup/people"),
        number: number.to_owned(),
        fault,
        invitation,
    };
    show_page(admin.visitor.t.0, &shown)
}

pub async fn show(admin: Admin) -> Response {
    page(&admin, "5", None, None)
}

pub async fn invite(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let typed = fields.get("number");
    let t = by.visitor.t;
    let number = typed
        .parse()
        .ok()
        .filter(|number| (1..=MOST).contains(number));
    let Some(number) = number else {
        return page(&by, typed, Some(t.m("setup-people-number")), None);
    };
    let new = NewInvitation {
        days: Some(DAYS),
        uses: Some(number),
        ..NewInvitation::default()
    };
    match web.imd.invite(&new).await {
        Ok(made) => {
            web.record(
                by.visitor.actor(),
                "invitation.add",
                &number.to_string(),
                None,
            )
            .await;
            page(&by, typed, None, Some(Made::of(made)))
        }
        Err(fault) => page(
            &by,
            typed,
            Some(t.with("change-failed", &[("detail", &fault.to_string())])),
            None,
        ),
    }
}

pub async fn finish(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    match web
        .agent
        .ask(by.visitor.actor(), Command::FinishSetup)
        .await
    {
        Ok(_) => Redirect::to("/setup/done").into_response(),
        Err(refusal) => errors::agent(&by.visitor, &refusal),
    }
}

pub async fn done(State(web): State<Arc<Web>>, admin: Admin) -> Response {
    let visitor = &admin.visitor;
    let status = match web.agent.status().await {
        Ok(status) => status,
        Err(refusal) => return errors::agent(visitor, &refusal),
    };
    let domain = Domain::new(&status.domain);
    let shown = Done {
        page: Page::of(visitor),
        own_domain: domain
            .is_ok_and(|domain| domain.is_public())
            .then_some(status.domain),
    };
    show_page(visitor.t.0, &shown)
}
