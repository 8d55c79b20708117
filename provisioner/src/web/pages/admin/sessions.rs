//! Who has signed in, with which browser; each session can be ended.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use crate::web::Web;
use crate::web::page::{Page, moment, show as show_page};
use crate::web::pages::errors;
use crate::web::store::Session;
use crate::web::visitor::{Admin, Sent, now};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/admin/sessions", get(show).post(end))
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct Sessions {
    page: Page,
    sessions: Vec<View>,
}

struct View {
    session: Session,
    browser: String,
    since: String,
    seen: String,
    is_own: bool,
}

async fn show(State(web): State<Arc<Web>>, Admin { visitor, .. }: Admin) -> Response {
    let own = visitor.session.as_ref().map(|session| session.number);
    let sessions = match web.store.sessions(now()) {
        Ok(sessions) => sessions,
        Err(error) => return errors::store(&visitor, &error),
    };
    let views = sessions
        .into_iter()
        .filter(|session| !session.name.is_empty())
        .map(|session| View {
            browser: browser(&session.browser),
            since: moment(session.created),
            seen: moment(session.seen),
            is_own: own == Some(session.number),
            session,
        });
    let shown = Sessions {
        page: Page::of(&visitor),
        sessions: views.collect(),
    };
    show_page(visitor.t.0, &shown)
}

async fn end(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let number = fields.get("number").parse().unwrap_or_default();
    match web.store.end(number) {
        Ok(_) => {
            web.record(by.visitor.actor(), "session.end", fields.get("name"), None)
                .await;
            Redirect::to("/admin/sessions").into_response()
        }
        Err(error) => errors::store(&by.visitor, &error),
    }
}

/// A browser and its system in two words, as people know them.
fn browser(said: &str) -> String {
    let first = |names: &[(&str, &'static str)]| {
        let found = names.iter().find(|(mark, _)| said.contains(mark));
        found.map_or("?", |(_, name)| name)
    };
    let program = first(&[
        ("Edg/", "Edge"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Macintosh", "Mac"),
        ("Linux", "Linux"),
    ]);
    format!("{program}, {system}")
}

#[cfg(test)]
mod tests {
    use super::browser;

    #[test]
    fn browsers_are_named_as_people_know_them() {
        let chrome =
            "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/131.0 Mobile Safari/537.36";
        assert_eq!(browser(chrome), "Chrome, Android");
        assert_eq!(
            browser("Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"),
            "Firefox, Linux"
        );
        assert_eq!(browser("curl"), "?, ?");
    }
}
