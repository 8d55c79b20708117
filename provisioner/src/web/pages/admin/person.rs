//! One person: role, groups, devices, a new password, freezing, deleting.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::notice::Notice;
use super::people::Group;
use crate::web::imd::{Fault, Invitation, NewInvitation, Person, encoded};
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::visitor::{Admin, Sent, Visitor};
use crate::web::{Web, qr};

/// For how long a link for a new password is good.
const RESET_DAYS: u32 = 2;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/admin/people/{name}", get(show))
        .route("/admin/people/{name}/change", post(change))
        .route("/admin/people/{name}/groups", post(groups))
        .route("/admin/people/{name}/password", post(password))
        .route("/admin/people/{name}/freeze", post(freeze))
        .route("/admin/people/{name}/close", post(close))
        .route("/admin/people/{name}/delete", post(delete))
}

/// A device of the API.
#[derive(Debug, Deserialize)]
struct Device {
    id: String,
    jid: Option<String>,
    connected: bool,
    software: Option<String>,
    device: Option<String>,
    token_since: Option<String>,
}

impl Device {
    /// What it says itself; a device that is away says nothing.
    fn name(&self) -> Option<String> {
        let told = [self.software.as_deref(), self.device.as_deref()];
        let told: Vec<&str> = told.into_iter().flatten().collect();
        match told.is_empty() {
            // The part of the address that is the device's.
            true => (self.jid.as_deref()?.split_once('/')).map(|(_, own)| own.to_owned()),
            false => Some(told.join(" ")),
        }
    }

    /// The day since which it needs no password; absent: it does.
    fn since(&self) -> Option<&str> {
        self.token_since.as_deref()?.get(..10)
    }
}

#[derive(Template)]
#[template(path = "person.html")]
struct Shown {
    page: Page,
    notice: Option<String>,
    fault: Option<String>,
    person: Person,
    groups: Vec<Group>,
    devices: Vec<Device>,
    is_own: bool,
}

#[derive(Template)]
#[template(path = "person_password.html")]
struct NewPassword {
    page: Page,
    name: String,
    url: String,
    qr: String,
}

async fn page(
    web: &Web,
    admin: &Admin,
    name: &str,
    notice: Option<String>,
    fault: Option<String>,
) -> Result<Response, Fault> {
    let person: Person = web.imd.get(&format!("/people/{}", encoded(name))).await?;
    let groups = web.imd.get("/groups").await?;
    let devices = web
        .imd
        .get(&format!("/people/{}/devices", encoded(name)))
        .await?;
    let shown = Shown {
        page: Page::of(&admin.visitor),
        notice,
        fault,
        is_own: person.username == admin.name.as_str(),
        person,
        groups,
        devices,
    };
    Ok(show_page(admin.visitor.t.0, &shown))
}

async fn show(
    State(web): State<Arc<Web>>,
    admin: Admin,
    Path(name): Path<String>,
    Query(notice): Query<Notice>,
) -> Response {
    let notice = notice.text(admin.visitor.t);
    match page(&web, &admin, &name, notice, None).await {
        Ok(response) => response,
        Err(fault) => errors::imd(&admin.visitor, &fault),
    }
}

/// Goes back to the person with a notice, or shows the fault there.
async fn after<T>(
    web: &Web,
    by: &Admin,
    name: &str,
    action: &str,
    word: &str,
    outcome: Result<T, Fault>,
) -> Response {
    let error = outcome.as_ref().err().map(ToString::to_string);
    web.record(by.visitor.actor(), action, name, error).await;
    let Err(fault) = outcome else {
        let path = format!("/admin/people/{}?done={word}", encoded(name));
        return Redirect::to(&path).into_response();
    };
    let text = by
        .visitor
        .t
        .with("change-failed", &[("detail", &fault.to_string())]);
    match page(web, by, name, None, Some(text)).await {
        Ok(response) => response,
        Err(fault) => errors::imd(&by.visitor, &fault),
    }
}

async fn patch(web: &Web, name: &str, change: Value) -> Result<Person, Fault> {
    web.imd
        .send(
            Method::PATCH,
            &format!("/people/{}", encoded(name)),
            &change,
        )
        .await
}

/// Nobody takes their own rights away: a box without an administrator could not be helped from here.
fn is_own(by: &Admin, name: &str) -> bool {
    by.name.as_str() == name
}

async fn change(
    State(web): State<Arc<Web>>,
    Path(name): Path<String>,
    Sent { by, fields }: Sent<Admin>,
) -> Response {
    let display = fields.get("display_name");
    let mut change = json!({ "display_name": (!display.is_empty()).then_some(display) });
    if !is_own(&by, &name) {
        change["role"] = fields.get("role").into();
    }
    let outcome = patch(&web, &name, change).await;
    after(&web, &by, &name, "person.change", "saved", outcome).await
}

async fn groups(
    State(web): State<Arc<Web>>,
    Path(name): Path<String>,
    Sent { by, fields }: Sent<Admin>,
) -> Response {
    let outcome = set_groups(&web, &name, &fields.all("group").collect::<Vec<_>>()).await;
    after(&web, &by, &name, "person.groups", "saved", outcome).await
}

async fn set_groups(web: &Web, name: &str, wanted: &[&str]) -> Result<(), Fault> {
    let person: Person = web.imd.get(&format!("/people/{}", encoded(name))).await?;
    for id in wanted
        .iter()
        .filter(|id| !person.groups.iter().any(|has| has == *id))
    {
        let path = format!("/groups/{}/members", encoded(id));
        web.imd.tell(Method::POST, &path, &[name]).await?;
    }
    for id in person
        .groups
        .iter()
        .filter(|id| !wanted.contains(&id.as_str()))
    {
        let path = format!("/groups/{}/members/{}", encoded(id), encoded(name));
        web.imd.tell(Method::DELETE, &path, &json!({})).await?;
    }
    Ok(())
}

/// A link by which the person chooses a password: nobody else ever knows it.
async fn password(
    State(web): State<Arc<Web>>,
    Path(name): Path<String>,
    Sent { by, .. }: Sent<Admin>,
) -> Response {
    let new = NewInvitation {
        kind: Some("reset".to_owned()),
        username: Some(name.clone()),
        days: Some(RESET_DAYS),
        ..NewInvitation::default()
    };
    let made: Result<Invitation, Fault> = web.imd.invite(&new).await;
    match made {
        Ok(invitation) => {
            web.record(by.visitor.actor(), "person.password-link", &name, None)
                .await;
            let shown = NewPassword {
                page: Page::of(&by.visitor),
                name,
                qr: qr::svg(&invitation.url),
                url: invitation.url,
            };
            show_page(by.visitor.t.0, &shown)
        }
        Err(fault) => after::<()>(&web, &by, &name, "person.password-link", "", Err(fault)).await,
    }
}

async fn freeze(
    State(web): State<Arc<Web>>,
    Path(name): Path<String>,
    Sent { by, fields }: Sent<Admin>,
) -> Response {
    if is_own(&by, &name) {
        return own(&by.visitor);
    }
    let frozen = fields.get("frozen") == "yes";
    let outcome = patch(&web, &name, json!({ "enabled": !frozen })).await;
    let (action, word) = if frozen {
        ("person.freeze", "frozen")
    } else {
        ("person.thaw", "thawed")
    };
    after(&web, &by, &name, action, word, outcome).await
}

async fn close(
    State(web): State<Arc<Web>>,
    Path(name): Path<String>,
    Sent { by, fields }: Sent<Admin>,
) -> Response {
    let (person, device) = (encoded(&name), encoded(fields.get("device")));
    let path = format!("/people/{person}/devices/{device}");
    let outcome = web.imd.tell(Method::DELETE, &path, &json!({})).await;
    after(&web, &by, &name, "person.sign-out", "closed", outcome).await
}

async fn delete(
    State(web): State<Arc<Web>>,
    Path(name): Path<String>,
    Sent { by, fields }: Sent<Admin>,
) -> Response {
    if is_own(&by, &name) {
        return own(&by.visitor);
    }
    // What cannot be taken back is confirmed by typing the name.
    if fields.get("confirm") != name {
        let text = by.visitor.t.m("person-delete-unconfirmed");
        return match page(&web, &by, &name, None, Some(text)).await {
            Ok(response) => response,
            Err(fault) => errors::imd(&by.visitor, &fault),
        };
    }
    let path = format!("/people/{}", encoded(&name));
    let outcome = web.imd.tell(Method::DELETE, &path, &json!({})).await;
    if outcome.is_err() {
        return after(&web, &by, &name, "person.delete", "", outcome).await;
    }
    web.record(by.visitor.actor(), "person.delete", &name, None)
        .await;
    if let Err(error) = web.store.end_all(&name) {
        return errors::store(&by.visitor, &error);
    }
    Redirect::to("/admin/people?done=deleted").into_response()
}

fn own(visitor: &Visitor) -> Response {
    errors::refused(visitor, "person-own")
}
