//! Invitations: for one person or several, for a group, and a printed sheet for a class.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use super::notice::Notice;
use super::people::Group;
use crate::web::imd::{Fault, Invitation, NewInvitation, encoded};
use crate::web::page::{Page, moment, show as show_page};
use crate::web::pages::errors;
use crate::web::visitor::{Admin, Fields, Sent, now};
use crate::web::{Web, qr};

/// Codes of one sheet.
const MOST_ON_SHEET: u32 = 100;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/admin/invitations", get(list).post(add))
        .route("/admin/invitations/sheet", get(sheet).post(make_sheet))
        .route("/admin/invitations/show/{token}", get(show))
        .route("/admin/invitations/revoke", post(revoke))
}

/// An invitation as the list shows it.
struct View {
    invitation: Invitation,
    group_names: String,
    expires: String,
    uses: Option<u64>,
    qr: String,
}

impl View {
    fn of(invitation: Invitation, groups: &[Group], with_code: bool) -> Self {
        let name = |id: &String| {
            groups
                .iter()
                .find(|group| group.id == *id)
                .map(|g| g.name.clone())
        };
        let names: Vec<String> = invitation.groups.iter().filter_map(name).collect();
        let expires = invitation.expires_at.clone().unwrap_or_default();
        Self {
            uses: invitation.uses_left.map(u64::from),
            group_names: names.join(", "),
            // The day and the minute.
            expires: expires.get(..16).unwrap_or_default().replace('T', " "),
            qr: if with_code {
                qr::svg(&invitation.url)
            } else {
                String::new()
            },
            invitation,
        }
    }
}

#[derive(Template)]
#[template(path = "invitations.html")]
struct List {
    page: Page,
    notice: Option<String>,
    fault: Option<String>,
    views: Vec<View>,
    sheets: Vec<String>,
    groups: Vec<Group>,
}

impl List {
    fn sheet_address(&self, title: &str) -> String {
        format!("/admin/invitations/sheet?title={}", encoded(title))
    }
}

#[derive(Template)]
#[template(path = "invitation.html")]
struct One {
    page: Page,
    view: View,
}

#[derive(Template)]
#[template(path = "sheet.html")]
struct Sheet {
    page: Page,
    title: String,
    views: Vec<View>,
}

async fn all(web: &Web) -> Result<(Vec<Invitation>, Vec<Group>), Fault> {
    Ok((
        web.imd.get("/invitations").await?,
        web.imd.get("/groups").await?,
    ))
}

async fn list_page(
    web: &Web,
    admin: &Admin,
    notice: Option<String>,
    fault: Option<String>,
) -> Response {
    let (invitations, groups) = match all(web).await {
        Ok(all) => all,
        Err(fault) => return errors::imd(&admin.visitor, &fault),
    };
    let usable = invitations
        .into_iter()
        .filter(|invitation| invitation.usable);
    let (on_sheets, single): (Vec<_>, Vec<_>) = usable.partition(|i| sheet_of(i).is_some());
    let mut sheets: Vec<String> = on_sheets
        .iter()
        .filter_map(sheet_of)
        .map(str::to_owned)
        .collect();
    sheets.dedup();
    let shown = List {
        page: Page::of(&admin.visitor),
        notice,
        fault,
        views: single
            .into_iter()
            .map(|i| View::of(i, &groups, false))
            .collect(),
        sheets,
        groups,
    };
    show_page(admin.visitor.t.0, &shown)
}

/// What the note of an invitation on a sheet begins with.
const SHEET: &str = "sheet: ";

fn sheet_of(invitation: &Invitation) -> Option<&str> {
    invitation.note.as_deref()?.strip_prefix(SHEET)
}

async fn list(State(web): State<Arc<Web>>, admin: Admin, Query(notice): Query<Notice>) -> Response {
    let notice = notice.text(admin.visitor.t);
    list_page(&web, &admin, notice, None).await
}

/// What the forms have in common.
fn wanted(fields: &Fields) -> NewInvitation {
    let group = fields.get("group");
    NewInvitation {
        role: Some(fields.get("role").to_owned()).filter(|role| !role.is_empty()),
        groups: Some(group.to_owned())
            .filter(|group| !group.is_empty())
            .into_iter()
            .collect(),
        days: fields.get("days").parse().ok(),
        ..NewInvitation::default()
    }
}

async fn add(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let note = fields.get("note");
    let new = NewInvitation {
        uses: fields.get("uses").parse().ok(),
        note: Some(note.to_owned()).filter(|note| !note.is_empty() && !note.starts_with(SHEET)),
        ..wanted(&fields)
    };
    let made = web.imd.invite(&new).await;
    let error = made.as_ref().err().map(ToString::to_string);
    web.record(by.visitor.actor(), "invitation.add", note, error)
        .await;
    match made {
        Ok(made) => Redirect::to(&format!("/admin/invitations/show/{}", encoded(&made.token)))
            .into_response(),
        Err(fault) => {
            let text = by
                .visitor
                .t
                .with("change-failed", &[("detail", &fault.to_string())]);
            list_page(&web, &by, None, Some(text)).await
        }
    }
}

async fn show(State(web): State<Arc<Web>>, admin: Admin, Path(token): Path<String>) -> Response {
    let (invitations, groups) = match all(&web).await {
        Ok(all) => all,
        Err(fault) => return errors::imd(&admin.visitor, &fault),
    };
    let Some(found) = invitations
        .into_iter()
        .find(|invitation| invitation.token == token)
    else {
        return errors::absent(&admin.visitor);
    };
    let shown = One {
        page: Page::of(&admin.visitor),
        view: View::of(found, &groups, true),
    };
    show_page(admin.visitor.t.0, &shown)
}

async fn revoke(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let sheet = fields.get("sheet");
    let tokens: Vec<String> = if sheet.is_empty() {
        vec![fields.get("revoke").to_owned()]
    } else {
        match all(&web).await {
            Ok((all, _)) => all
                .into_iter()
                .filter(|i| sheet_of(i) == Some(sheet))
                .map(|i| i.token)
                .collect(),
            Err(fault) => return errors::imd(&by.visitor, &fault),
        }
    };
    for token in &tokens {
        let path = format!("/invitations/{}", encoded(token));
        if let Err(fault) = web.imd.tell(Method::DELETE, &path, &json!({})).await {
            return errors::imd(&by.visitor, &fault);
        }
    }
    let subject = if sheet.is_empty() { "1" } else { sheet };
    web.record(by.visitor.actor(), "invitation.revoke", subject, None)
        .await;
    Redirect::to("/admin/invitations?done=deleted").into_response()
}

/// Which sheet.
#[derive(Debug, Deserialize)]
struct Which {
    #[serde(default)]
    title: String,
}

async fn make_sheet(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let t = by.visitor.t;
    let number = fields
        .get("number")
        .parse()
        .ok()
        .filter(|n| (1..=MOST_ON_SHEET).contains(n));
    let Some(number) = number else {
        return list_page(&web, &by, None, Some(t.m("sheet-number"))).await;
    };
    let typed = fields.get("title");
    let title = if typed.is_empty() {
        moment(now())
    } else {
        typed.to_owned()
    };
    let new = NewInvitation {
        uses: Some(1),
        note: Some(format!("{SHEET}{title}")),
        ..wanted(&fields)
    };
    for _ in 0..number {
        if let Err(fault) = web.imd.invite(&new).await {
            web.record(
                by.visitor.actor(),
                "sheet.add",
                &title,
                Some(fault.to_string()),
            )
            .await;
            let text = t.with("change-failed", &[("detail", &fault.to_string())]);
            return list_page(&web, &by, None, Some(text)).await;
        }
    }
    web.record(
        by.visitor.actor(),
        "sheet.add",
        &format!("{title} ({number})"),
        None,
    )
    .await;
    Redirect::to(&format!(
        "/admin/invitations/sheet?title={}",
        encoded(&title)
    ))
    .into_response()
}

async fn sheet(
    State(web): State<Arc<Web>>,
    admin: Admin,
    Query(Which { title }): Query<Which>,
) -> Response {
    let (invitations, groups) = match all(&web).await {
        Ok(all) => all,
        Err(fault) => return errors::imd(&admin.visitor, &fault),
    };
    let on_it = invitations
        .into_iter()
        .filter(|i| i.usable && sheet_of(i) == Some(&title));
    let views: Vec<View> = on_it.map(|i| View::of(i, &groups, true)).collect();
    if views.is_empty() {
        return errors::absent(&admin.visitor);
    }
    let page = Page::of(&admin.visitor);
    show_page(admin.visitor.t.0, &Sheet { page, title, views })
}
