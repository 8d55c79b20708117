//! The list of people, and adding one.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;

use super::notice::Notice;
use crate::web::imd::{Fault, Person, encoded};
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::visitor::{Admin, Fields, Sent};
use crate::web::{Web, passwords};

/// People on one page.
const PAGE: u32 = 50;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/admin/people", get(list))
        .route("/admin/people-new", get(new).post(add))
}

/// What of the list is wanted.
#[derive(Debug, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    search: String,
    #[serde(default)]
    after: String,
}

/// A page of the API.
#[derive(Debug, Deserialize)]
pub struct People {
    /// In the order of their names.
    pub people: Vec<Person>,
    /// How many there are on all pages, as far as they fit the search.
    pub total: u64,
    /// Where the next page begins. Absent: this is the last.
    pub next: Option<String>,
}

/// A group of the API.
#[derive(Clone, Debug, Deserialize)]
pub struct Group {
    /// By which it is named in addresses.
    pub id: String,
    /// What people read.
    pub name: String,
    /// The address of its room.
    pub room: Option<String>,
    /// Usernames.
    pub members: Vec<String>,
}

#[derive(Template)]
#[template(path = "people.html")]
struct List {
    page: Page,
    notice: Option<String>,
    search: String,
    people: Vec<Person>,
    total: u64,
    next: Option<String>,
}

async fn list(
    State(web): State<Arc<Web>>,
    Admin { visitor, .. }: Admin,
    Query(Wanted { search, after }): Query<Wanted>,
    Query(notice): Query<Notice>,
) -> Response {
    let search = search.trim();
    let path = format!(
        "/people?max={PAGE}&search={}&after={}",
        encoded(search),
        encoded(&after)
    );
    let found: People = match web.imd.get(&path).await {
        Ok(found) => found,
        Err(fault) => return errors::imd(&visitor, &fault),
    };
    let next = found.next.map(|next| {
        format!(
            "/admin/people?search={}&after={}",
            encoded(search),
            encoded(&next)
        )
    });
    let shown = List {
        page: Page::of(&visitor),
        notice: notice.text(visitor.t),
        search: search.to_owned(),
        people: found.people,
        total: found.total,
        next,
    };
    show_page(visitor.t.0, &shown)
}

#[derive(Template)]
#[template(path = "people_new.html")]
struct New {
    page: Page,
    typed: Fields,
    groups: Vec<Group>,
    fault: Option<String>,
}

async fn new_page(web: &Web, admin: &Admin, typed: Fields, fault: Option<String>) -> Response {
    let groups = match web.imd.get("/groups").await {
        Ok(groups) => groups,
        Err(fault) => return errors::imd(&admin.visitor, &fault),
    };
    let shown = New {
        page: Page::of(&admin.visitor),
        typed,
        groups,
        fault,
    };
    show_page(admin.visitor.t.0, &shown)
}

async fn new(State(web): State<Arc<Web>>, admin: Admin) -> Response {
    new_page(&web, &admin, Fields::default(), None).await
}

async fn add(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let t = by.visitor.t;
    let name = fields.get("name").to_lowercase();
    let password = fields.raw("password");
    if !password.is_empty()
        && let Err(fault) = passwords::check(password, password, &[&name])
    {
        return new_page(&web, &by, fields, Some(t.m(fault.key()))).await;
    }
    let groups: Vec<&str> = fields.all("group").collect();
    let mut person = json!({ "username": name, "role": fields.get("role"), "groups": groups });
    if !password.is_empty() {
        person["password"] = password.into();
    }
    if !fields.get("display_name").is_empty() {
        person["display_name"] = fields.get("display_name").into();
    }
    let made: Result<Person, Fault> = web.imd.send(Method::POST, "/people", &person).await;
    let error = made.as_ref().err().map(ToString::to_string);
    web.record(by.visitor.actor(), "person.add", &name, error)
        .await;
    match made {
        Ok(person) => {
            let path = format!("/admin/people/{}?done=added", encoded(&person.username));
            Redirect::to(&path).into_response()
        }
        Err(fault) => {
            let text = if fault.is(StatusCode::CONFLICT) {
                t.m("account-name-taken")
            } else {
                t.with("change-failed", &[("detail", &fault.to_string())])
            };
            new_page(&web, &by, fields, Some(text)).await
        }
    }
}
