//! Choosing another language.

use std::sync::Arc;

use axum::Router;
use axum::response::{Redirect, Response};
use axum::routing::post;

use crate::web::Web;
use crate::web::texts::Language;
use crate::web::visitor::{Cookies, Sent, Visitor};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/language", post(choose))
}

async fn choose(Sent { fields, .. }: Sent<Visitor>) -> Response {
    let back = Redirect::to(local_path(fields.get("back")));
    match Language::of_code(fields.get("language")) {
        Some(language) => Cookies::language(language).on(back),
        None => Cookies::default().on(back),
    }
}

/// A path on this box; the front page for anything else.
pub(super) fn local_path(text: &str) -> &str {
    let is_local = text.starts_with('/')
        && !text.starts_with("//")
        && text.chars().all(|c| c.is_ascii_graphic() && c != '\\');
    if is_local { text } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::local_path;

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(local_path("/setup/name"), "/setup/name");
        for text in [
            "",
            "https://example.org/",
            "//example.org",
            "/\\example.org",
            "/a\r\nb",
        ] {
            assert_eq!(local_path(text), "/", "{text:?}");
        }
    }
}
