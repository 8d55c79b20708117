//! Rooms: list, create, settings, who has a part in them, how long messages are kept.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::notice::Notice;
use crate::web::Web;
use crate::web::imd::{Fault, encoded};
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::visitor::{Admin, Fields, Sent};

/// Choices of how long messages are kept.
const DAYS: [u64; 5] = [1, 7, 30, 90, 365];

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/admin/rooms", get(list).post(add))
        .route("/admin/rooms/{name}", get(show).post(change))
        .route("/admin/rooms/{name}/part", post(part))
        .route("/admin/rooms/{name}/keep", post(keep))
        .route("/admin/rooms/{name}/delete", post(delete))
}

/// A room in the list.
#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    title: String,
    public: bool,
    occupants: u64,
}

/// A room.
#[derive(Debug, Deserialize)]
struct Room {
    name: String,
    jid: String,
    title: Option<String>,
    description: Option<String>,
    public: Option<bool>,
    members_only: Option<bool>,
    moderated: Option<bool>,
    archive: Option<bool>,
    affiliations: Vec<Affiliation>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Affiliation {
    jid: String,
    affiliation: String,
}

/// How long messages are kept.
#[derive(Debug, Deserialize)]
struct Retention {
    days: Option<u64>,
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    owner: String,
    days: Option<u64>,
}

#[derive(Template)]
#[template(path = "rooms.html")]
struct List {
    page: Page,
    notice: Option<String>,
    fault: Option<String>,
    rooms: Vec<Entry>,
    name: String,
    title: String,
}

#[derive(Template)]
#[template(path = "room.html")]
struct Shown {
    page: Page,
    notice: Option<String>,
    fault: Option<String>,
    room: Room,
    heading: String,
    /// Days, or "forever"; empty: as for all.
    kept: String,
    kept_by_all: String,
}

async fn list_page(
    web: &Web,
    admin: &Admin,
    typed: (&str, &str),
    notice: Option<String>,
    fault: Option<String>,
) -> Response {
    match web.imd.get("/rooms").await {
        Ok(rooms) => {
            let shown = List {
                page: Page::of(&admin.visitor),
                notice,
                fault,
                rooms,
                name: typed.0.to_owned(),
                title: typed.1.to_owned(),
            };
            show_page(admin.visitor.t.0, &shown)
        }
        Err(fault) => errors::imd(&admin.visitor, &fault),
    }
}

async fn page(
    web: &Web,
    admin: &Admin,
    name: &str,
    notice: Option<String>,
    fault: Option<String>,
) -> Result<Response, Fault> {
    let room: Room = web.imd.get(&format!("/rooms/{}", encoded(name))).await?;
    let retention: Retention = web.imd.get("/retention").await?;
    let own = retention.rules.iter().find(|rule| rule.owner == room.jid);
    let t = admin.visitor.t;
    let shown_days = |days: Option<u64>| match days {
        Some(days) => t.count("room-days", days),
        None => t.m("room-for-ever"),
    };
    let shown = Shown {
        page: Page::of(&admin.visitor),
        notice,
        fault,
        kept: own.map_or_else(String::new, |rule| {
            rule.days
                .map_or_else(|| "forever".to_owned(), |days| days.to_string())
        }),
        kept_by_all: shown_days(retention.days),
        heading: room
            .title
            .clone()
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| room.name.clone()),
        room,
    };
    Ok(show_page(t.0, &shown))
}

async fn list(State(web): State<Arc<Web>>, admin: Admin, Query(notice): Query<Notice>) -> Response {
    let notice = notice.text(admin.visitor.t);
    list_page(&web, &admin, ("", ""), notice, None).await
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

/// Settings as the form has them: a box that is not ticked is not sent.
fn settings(fields: &Fields) -> Value {
    let ticked = |name: &str| fields.get(name) == "yes";
    json!({
        "title": fields.get("title"), "description": fields.get("description"), "public": ticked("public"),
        "members_only": ticked("members_only"), "moderated": ticked("moderated"), "archive": ticked("archive"),
    })
}

async fn add(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let (name, title) = (fields.get("name").to_lowercase(), fields.get("title"));
    let members_only = fields.get("members_only") == "yes";
    let new = json!({
        "name": name,
        "settings": { "title": title, "members_only": members_only, "public": !members_only },
        "affiliations": [{ "jid": by.name.as_str(), "affiliation": "owner" }],
    });
    let made = web.imd.tell(Method::POST, "/rooms", &new).await;
    let error = made.as_ref().err().map(ToString::to_string);
    web.record(by.visitor.actor(), "room.add", &name, error)
        .await;
    match made {
        Ok(()) => {
            Redirect::to(&format!("/admin/rooms/{}?done=added", encoded(&name))).into_response()
        }
        Err(fault) => {
            let text = by
                .visitor
                .t
                .with("change-failed", &[("detail", &fault.to_string())]);
            list_page(&web, &by, (&name, title), None, Some(text)).await
        }
    }
}

async fn after(
    web: &Web,
    by: &Admin,
    name: &str,
    action: &str,
    outcome: Result<(), Fault>,
) -> Response {
    let error = outcome.as_ref().err().map(ToString::to_string);
    web.record(by.visitor.actor(), action, name, error).await;
    let Err(fault) = outcome else {
        return Redirect::to(&format!("/admin/rooms/{}?done=saved", encoded(name))).into_response();
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

async fn patch(web: &Web, name: &str, change: &Value) -> Result<(), Fault> {
    let path = format!("/rooms/{}", encoded(name));
    web.imd.tell(Method::PATCH, &path, change).await
}

async fn change(
    State(web): State<Arc<Web>>,
    Path(name): Path<String>,
    Sent { by, fields }: Sent<Admin>,
) -> Response {
    let change = json!({ "settings": settings(&fields) });
    let outcome = patch(&web, &name, &change).await;
    after(&web, &by, &name, "room.change", outcome).await
}

/// Gives somebody a part in a room, or takes it away.
async fn part(
    State(web): State<Arc<Web>>,
    Path(name): Path<String>,
    Sent { by, fields }: Sent<Admin>,
) -> Response {
    let affiliation = Affiliation {
        jid: fields.get("jid").to_owned(),
        affiliation: fields.get("affiliation").to_owned(),
    };
    let change = json!({ "affiliations": [affiliation] });
    let outcome = patch(&web, &name, &change).await;
    after(&web, &by, &name, "room.part", outcome).await
}

async fn keep(
    State(web): State<Arc<Web>>,
    Path(name): Path<String>,
    Sent { by, fields }: Sent<Admin>,
) -> Response {
    let outcome = set_retention(&web, &name, fields.get("days")).await;
    after(&web, &by, &name, "room.keep", outcome).await
}

async fn set_retention(web: &Web, name: &str, days: &str) -> Result<(), Fault> {
    let room: Room = web.imd.get(&format!("/rooms/{}", encoded(name))).await?;
    let path = format!("/retention/{}", encoded(&room.jid));
    match days {
        "" => match web.imd.tell(Method::DELETE, &path, &json!({})).await {
            // There was no rule of its own.
            Err(fault) if fault.is(axum::http::StatusCode::NOT_FOUND) => Ok(()),
            other => other,
        },
        "forever" => {
            web.imd
                .tell(Method::PUT, &path, &json!({ "days": null }))
                .await
        }
        days => {
            let days: Option<u32> = days.parse().ok();
            web.imd
                .tell(
                    Method::PUT,
                    &path,
                    &json!({ "days": days.unwrap_or_default() }),
                )
                .await
        }
    }
}

async fn delete(
    State(web): State<Arc<Web>>,
    Path(name): Path<String>,
    Sent { by, fields }: Sent<Admin>,
) -> Response {
    let path = format!("/rooms/{}", encoded(&name));
    let outcome = if fields.get("confirm") == name {
        web.imd.tell(Method::DELETE, &path, &json!({})).await
    } else {
        let detail = by.visitor.t.m("person-delete-unconfirmed");
        Err(Fault::Refused {
            status: 422,
            detail,
            errors: Vec::new(),
        })
    };
    if outcome.is_err() {
        return after(&web, &by, &name, "room.delete", outcome).await;
    }
    web.record(by.visitor.actor(), "room.delete", &name, None)
        .await;
    Redirect::to("/admin/rooms?done=deleted").into_response()
}
