//! The first step: a language, and claiming the box.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use super::Wizard;
use crate::agent::claim::Claim;
use crate::agent::command::{Command, Refusal, Why};
use crate::agent::status::BoxStatus;
use crate::web::Web;
use crate::web::page::{self, Page};
use crate::web::pages::errors;
use crate::web::store;
use crate::web::texts::{LANGUAGES, Language, Texts};
use crate::web::visitor::{Cookies, Sent, Visitor};

#[derive(Template)]
#[template(path = "setup_welcome.html")]
struct Welcome {
    page: Page,
    wizard: Wizard,
    needs_code: bool,
    fault: Option<String>,
}

impl Welcome {
    fn languages(&self) -> Vec<(&'static str, &'static str, bool)> {
        let current = self.page.t.0;
        let all = LANGUAGES.iter();
        all.map(|(language, name)| (language.code(), *name, *language == current))
            .collect()
    }
}

#[derive(Template)]
#[template(path = "setup_taken.html")]
struct Taken {
    page: Page,
    text: String,
}

pub async fn show(State(web): State<Arc<Web>>, visitor: Visitor) -> Response {
    let status = match web.agent.status().await {
        Ok(status) => status,
        Err(refusal) => return errors::agent(&visitor, &refusal),
    };
    page(&visitor, &status, None)
}

fn page(visitor: &Visitor, status: &BoxStatus, refusal: Option<&Refusal>) -> Response {
    match &status.claim {
        Claim::Made { .. } if visitor.session.is_some() => {
            Redirect::to("/setup/name").into_response()
        }
        Claim::Made { .. } => taken(visitor, &status.claim),
        Claim::UnderWay { visit, .. } if refusal.is_none() && *visit == visitor.mark() => {
            Redirect::to("/setup/administrator").into_response()
        }
        Claim::UnderWay { address, .. } if Some(*address) != visitor.address => {
            taken(visitor, &status.claim)
        }
        Claim::UnderWay { .. } | Claim::Open => {
            let shown = Welcome {
                page: Page::of(visitor),
                wizard: Wizard::at(visitor, "/setup"),
                needs_code: status.needs_code,
                fault: refusal.map(|refusal| explain(visitor.t, refusal)),
            };
            page::show(visitor.t.0, &shown)
        }
    }
}

fn taken(visitor: &Visitor, claim: &Claim) -> Response {
    let t = visitor.t;
    let text = match claim {
        Claim::UnderWay { address, since, .. } => {
            let values = [
                ("address", &*address.to_string()),
                ("time", &page::moment(*since)),
            ];
            t.with("setup-taken-under-way", &values)
        }
        Claim::Made {
            by,
            address: Some(address),
            at: Some(at),
            ..
        } => {
            let (address, time) = (address.to_string(), page::moment(*at));
            t.with(
                "setup-taken-made",
                &[("name", by), ("address", &address), ("time", &time)],
            )
        }
        Claim::Made { by, .. } => t.with("setup-taken-by-card", &[("name", by)]),
        Claim::Open => String::new(),
    };
    let shown = Taken {
        page: Page::of(visitor),
        text,
    };
    page::show(t.0, &shown)
}

fn explain(t: Texts, refusal: &Refusal) -> String {
    t.m(match refusal.why {
        Why::NotLocal => "setup-claim-not-local",
        Why::TooLate => "setup-claim-too-late",
        Why::Code => "setup-claim-code",
        Why::Wait => "setup-claim-wait",
        Why::Taken => "setup-claim-taken",
        Why::Elsewhere | Why::Backward | Why::UnderWay | Why::Invalid | Why::Failed => {
            "setup-claim-failed"
        }
    })
}

pub async fn claim(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Visitor>) -> Response {
    let mut visitor = by;
    let language = Language::of_code(fields.get("language"));
    visitor.t = Texts(language.unwrap_or(visitor.t.0));
    let code = Some(fields.get("code").to_owned()).filter(|code| !code.is_empty());
    let id = match store::new_id() {
        Ok(id) => id,
        Err(error) => return errors::store(&visitor, &error),
    };
    let visit = store::mark(&id);
    let command = Command::Claim { code, visit };
    let claimed = web.agent.ask(visitor.actor(), command).await;
    if let Err(refusal) = claimed {
        return match web.agent.status().await {
            Ok(status) => page(&visitor, &status, Some(&refusal)),
            Err(refusal) => errors::agent(&visitor, &refusal),
        };
    }
    let pairs = vec![("language".to_owned(), visitor.t.0.code().to_owned())];
    let change = Command::ChangeSettings {
        pairs,
        dry_run: false,
    };
    if let Err(refusal) = web.agent.ask(visitor.actor(), change).await {
        // The cookie has it, too: the wizard goes on.
        eprintln!("<4>the box's language: {refusal}");
    }
    match visitor.begin_as(&web, &id, "") {
        Ok(cookies) => cookies
            .and(Cookies::language(visitor.t.0))
            .on(Redirect::to("/setup/administrator")),
        Err(error) => errors::store(&visitor, &error),
    }
}
