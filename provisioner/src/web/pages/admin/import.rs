//! People as a table: CSV in and out (`docs/operator/administration.md` has the columns).

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::Method;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::people::People;
use crate::web::Web;
use crate::web::imd::{Fault, encoded};
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::visitor::{Admin, Sent};

/// Four thousand people with everything, as a form sends it.
const LONGEST: usize = 4 << 20;
/// As many as the API gives at once.
const PAGE: u32 = 1000;

pub(super) fn routes() -> Router<Arc<Web>> {
    let import = get(show).post(import).layer(DefaultBodyLimit::max(LONGEST));
    Router::new()
        .route("/admin/people-import", import)
        .route("/admin/people.csv", get(export))
}

#[derive(Template)]
#[template(path = "people_import.html")]
struct Import {
    page: Page,
    table: String,
    imported: Option<u64>,
    faults: Vec<String>,
}

/// The API's answer.
#[derive(Deserialize)]
struct Imported {
    accounts: u64,
}

async fn show(Admin { visitor, .. }: Admin) -> Response {
    let shown = Import {
        page: Page::of(&visitor),
        table: String::new(),
        imported: None,
        faults: Vec::new(),
    };
    show_page(visitor.t.0, &shown)
}

async fn import(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let table = fields.get("table").to_owned();
    let body = Bytes::from(table.clone());
    let answer = web
        .imd
        .request(Method::POST, "/people/import", body, "text/csv")
        .await;
    let read = |body: Bytes| {
        serde_json::from_slice::<Imported>(&body).map_err(|e| Fault::Away(e.to_string()))
    };
    let imported = answer.and_then(read);
    let number = imported
        .as_ref()
        .map_or(0, |done| done.accounts)
        .to_string();
    let error = imported.as_ref().err().map(ToString::to_string);
    web.record(by.visitor.actor(), "people.import", &number, error)
        .await;
    let (imported, faults, table) = match imported {
        Ok(done) => (Some(done.accounts), Vec::new(), String::new()),
        Err(fault) => (None, fault.lines(), table),
    };
    let shown = Import {
        page: Page::of(&by.visitor),
        table,
        imported,
        faults,
    };
    show_page(by.visitor.t.0, &shown)
}

async fn export(State(web): State<Arc<Web>>, Admin { visitor, .. }: Admin) -> Response {
    let mut table = "username,display_name,groups,role\r\n".to_owned();
    let mut after = String::new();
    loop {
        let path = format!("/people?max={PAGE}&after={}", encoded(&after));
        let found: People = match web.imd.get(&path).await {
            Ok(found) => found,
            Err(fault) => return errors::imd(&visitor, &fault),
        };
        for person in found.people {
            let name = person.display_name.unwrap_or_default();
            let row = [person.username, name, person.groups.join(";"), person.role];
            let row: Vec<String> = row.iter().map(|field| quoted(field)).collect();
            table.push_str(&row.join(","));
            table.push_str("\r\n");
        }
        match found.next {
            Some(next) => after = next,
            None => break,
        }
    }
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"people.csv\""),
    ];
    (headers, table).into_response()
}

/// A field of RFC 4180. A leading sign would be a formula to a spreadsheet: it gets an apostrophe.
fn quoted(field: &str) -> String {
    let safe = if field.starts_with(['=', '+', '-', '@', '\t']) {
        format!("'{field}")
    } else {
        field.to_owned()
    };
    if safe.contains(['"', ',', '\n', '\r', ';']) {
        format!("\"{}\"", safe.replace('"', "\"\""))
    } else {
        safe
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_field_cannot_be_taken_for_a_formula_or_another_field() {
        assert_eq!(quoted("Ann A."), "Ann A.");
        assert_eq!(quoted("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(quoted("=1+1"), "'=1+1");
    }
}
