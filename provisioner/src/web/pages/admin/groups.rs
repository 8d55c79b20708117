//! Groups: whose people are contacts of each other, with a room of their own.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde_json::json;

use super::notice::Notice;
use super::people::Group;
use crate::web::Web;
use crate::web::imd::{Fault, encoded};
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::visitor::{Admin, Sent};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/admin/groups", get(list).post(add))
        .route("/admin/groups/{id}", get(show).post(rename))
        .route("/admin/groups/{id}/members", post(members))
        .route("/admin/groups/{id}/delete", post(delete))
}

#[derive(Template)]
#[template(path = "groups.html")]
struct List {
    page: Page,
    notice: Option<String>,
    fault: Option<String>,
    groups: Vec<Group>,
}

#[derive(Template)]
#[template(path = "group.html")]
struct Shown {
    page: Page,
    notice: Option<String>,
    fault: Option<String>,
    group: Group,
}

async fn list_page(
    web: &Web,
    admin: &Admin,
    notice: Option<String>,
    fault: Option<String>,
) -> Response {
    match web.imd.get("/groups").await {
        Ok(groups) => {
            let page = Page::of(&admin.visitor);
            show_page(
                admin.visitor.t.0,
                &List {
                    page,
                    notice,
                    fault,
                    groups,
                },
            )
        }
        Err(fault) => errors::imd(&admin.visitor, &fault),
    }
}

async fn page(
    web: &Web,
    admin: &Admin,
    id: &str,
    notice: Option<String>,
    fault: Option<String>,
) -> Response {
    match web.imd.get(&format!("/groups/{}", encoded(id))).await {
        Ok(group) => {
            let page = Page::of(&admin.visitor);
            show_page(
                admin.visitor.t.0,
                &Shown {
                    page,
                    notice,
                    fault,
                    group,
                },
            )
        }
        Err(fault) => errors::imd(&admin.visitor, &fault),
    }
}

async fn list(State(web): State<Arc<Web>>, admin: Admin, Query(notice): Query<Notice>) -> Response {
    let notice = notice.text(admin.visitor.t);
    list_page(&web, &admin, notice, None).await
}

async fn show(
    State(web): State<Arc<Web>>,
    admin: Admin,
    Path(id): Path<String>,
    Query(notice): Query<Notice>,
) -> Response {
    let notice = notice.text(admin.visitor.t);
    page(&web, &admin, &id, notice, None).await
}

async fn add(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let name = fields.get("name");
    let made: Result<Group, Fault> = web
        .imd
        .send(Method::POST, "/groups", &json!({ "name": name }))
        .await;
    let error = made.as_ref().err().map(ToString::to_string);
    web.record(by.visitor.actor(), "group.add", name, error)
        .await;
    match made {
        Ok(group) => Redirect::to(&format!("/admin/groups/{}", encoded(&group.id))).into_response(),
        Err(fault) => {
            let text = by
                .visitor
                .t
                .with("change-failed", &[("detail", &fault.to_string())]);
            list_page(&web, &by, None, Some(text)).await
        }
    }
}

async fn after<T>(
    web: &Web,
    by: &Admin,
    id: &str,
    action: &str,
    outcome: Result<T, Fault>,
) -> Response {
    let error = outcome.as_ref().err().map(ToString::to_string);
    web.record(by.visitor.actor(), action, id, error).await;
    match outcome {
        Ok(_) => Redirect::to(&format!("/admin/groups/{}?done=saved", encoded(id))).into_response(),
        Err(fault) => {
            let text = by
                .visitor
                .t
                .with("change-failed", &[("detail", &fault.to_string())]);
            page(web, by, id, None, Some(text)).await
        }
    }
}

async fn rename(
    State(web): State<Arc<Web>>,
    Path(id): Path<String>,
    Sent { by, fields }: Sent<Admin>,
) -> Response {
    let change = json!({ "name": fields.get("name") });
    let outcome = web
        .imd
        .tell(Method::PATCH, &format!("/groups/{}", encoded(&id)), &change)
        .await;
    after(&web, &by, &id, "group.rename", outcome).await
}

/// Adds those who are typed, or takes one out.
async fn members(
    State(web): State<Arc<Web>>,
    Path(id): Path<String>,
    Sent { by, fields }: Sent<Admin>,
) -> Response {
    let gone = fields.get("remove");
    if !gone.is_empty() {
        let path = format!("/groups/{}/members/{}", encoded(&id), encoded(gone));
        let outcome = web.imd.tell(Method::DELETE, &path, &json!({})).await;
        return after(&web, &by, &id, "group.remove-member", outcome).await;
    }
    let typed = fields.get("add");
    let separators = |c: char| c.is_whitespace() || ",;，；、".contains(c);
    let names: Vec<&str> = typed
        .split(separators)
        .filter(|name| !name.is_empty())
        .collect();
    let path = format!("/groups/{}/members", encoded(&id));
    let outcome = web.imd.tell(Method::POST, &path, &names).await;
    after(&web, &by, &id, "group.add-members", outcome).await
}

async fn delete(
    State(web): State<Arc<Web>>,
    Path(id): Path<String>,
    Sent { by, .. }: Sent<Admin>,
) -> Response {
    let path = format!("/groups/{}", encoded(&id));
    let outcome = web.imd.tell(Method::DELETE, &path, &json!({})).await;
    if outcome.is_err() {
        return after(&web, &by, &id, "group.delete", outcome).await;
    }
    web.record(by.visitor.actor(), "group.delete", &id, None)
        .await;
    Redirect::to("/admin/groups?done=deleted").into_response()
}
