//! The second step: the administrator's account.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::Wizard;
use crate::agent::claim::Claim;
use crate::agent::command::{Actor, Command};
use crate::agent::status::BoxStatus;
use crate::model::AccountName;
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::visitor::{Fields, Owner, Sent, Visitor};
use crate::web::{Web, passwords};

#[derive(Template)]
#[template(path = "setup_administrator.html")]
struct Administrator {
    page: Page,
    wizard: Wizard,
    domain: String,
    name: String,
    fault: Option<String>,
}

fn page(visitor: &Visitor, status: &BoxStatus, name: &str, fault: Option<String>) -> Response {
    let shown = Administrator {
        page: Page::of(visitor),
        wizard: Wizard::at(visitor, "/setup/administrator"),
        domain: status.domain.clone(),
        name: name.to_owned(),
        fault,
    };
    show_page(visitor.t.0, &shown)
}

pub async fn show(State(web): State<Arc<Web>>, Owner { visitor, name }: Owner) -> Response {
    if name.is_some() {
        return Redirect::to("/setup/name").into_response();
    }
    match web.agent.status().await {
        Ok(status) => page(&visitor, &status, "", None),
        Err(refusal) => errors::agent(&visitor, &refusal),
    }
}

pub async fn make(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Owner>) -> Response {
    let Owner { visitor, name } = by;
    if name.is_some() {
        return Redirect::to("/setup/name").into_response();
    }
    let status = match web.agent.status().await {
        Ok(status) => status,
        Err(refusal) => return errors::agent(&visitor, &refusal),
    };
    let wanted = fields.get("name").to_lowercase();
    match create(&web, &visitor, &status, &wanted, &fields).await {
        Ok(name) => match visitor.begin(&web, name.as_str()) {
            Ok(cookies) => cookies.on(Redirect::to("/setup/name")),
            Err(error) => errors::store(&visitor, &error),
        },
        Err(fault) => page(&visitor, &status, &wanted, Some(fault)),
    }
}

/// Makes the account and the claim one for good.
async fn create(
    web: &Web,
    visitor: &Visitor,
    status: &BoxStatus,
    wanted: &str,
    fields: &Fields,
) -> Result<AccountName, String> {
    let t = visitor.t;
    let name = AccountName::new(wanted).map_err(|_| t.m("account-name-fault"))?;
    let password = fields.raw("password");
    let about = [name.as_str(), &status.domain, &status.host_name, "perch"];
    passwords::check(password, fields.raw("repeat"), &about).map_err(|fault| t.m(fault.key()))?;
    // Before there is an account: somebody else may have begun in the meantime.
    if !matches!(&status.claim, Claim::UnderWay { visit, .. } if *visit == visitor.mark()) {
        return Err(t.m("setup-claim-taken"));
    }
    let made = web.imd.add_person(name.as_str(), password, "admin").await;
    if let Err(fault) = made {
        // Perhaps this very page was cut off between account and claim: then the password is the account's.
        let taken = fault.is(StatusCode::CONFLICT);
        let own = taken && web.imd.sign_in(name.as_str(), password).await.is_ok();
        if !own {
            let key = if taken {
                "account-name-taken"
            } else {
                "setup-account-failed"
            };
            return Err(t.with(key, &[("detail", &fault.to_string())]));
        }
    }
    let actor = Actor {
        name: Some(name.clone()),
        address: visitor.address,
    };
    let visit = visitor.mark();
    let claimed = web.agent.ask(actor, Command::FinishClaim { visit }).await;
    claimed.map_err(|refusal| t.with("setup-account-failed", &[("detail", &refusal.text)]))?;
    Ok(name)
}
