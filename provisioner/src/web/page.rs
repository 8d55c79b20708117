//! What every page has, and how it becomes a response.

use askama::Template;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::texts::{LANGUAGES, Language, Texts};
use super::visitor::Visitor;

/// Style sheets, scripts and pictures from here, forms to here; nothing inline, and no frames.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// What every page has. Templates know it as `page`.
#[derive(Clone, Debug)]
pub struct Page {
    /// The texts.
    pub t: Texts,
    /// What forms have to bring.
    pub token: String,
    /// The path of this page.
    pub path: String,
    /// Where whoever chooses another language comes back to.
    pub here: String,
    /// Who has signed in. Absent: nobody.
    pub who: Option<String>,
}

impl Page {
    /// The page for a visitor.
    pub fn of(visitor: &Visitor) -> Self {
        let name = visitor.session.as_ref().map(|session| session.name.clone());
        Self {
            t: visitor.t,
            token: visitor.token.clone(),
            path: visitor.path.clone(),
            here: visitor.here.clone(),
            who: name.filter(|name| !name.is_empty()),
        }
    }

    /// The code of the page's language.
    pub fn language(&self) -> &'static str {
        self.t.0.code()
    }

    /// The other languages: code and name.
    pub fn languages(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let others = LANGUAGES
            .iter()
            .filter(|(language, _)| *language != self.t.0);
        others.map(|(language, name)| (language.code(), *name))
    }

    /// Whether a path is that of this page or of one above it.
    pub fn is_in(&self, path: &str) -> bool {
        self.path == path
            || self
                .path
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'))
    }
}

/// A template as a response.
pub fn show(language: Language, page: &impl Template) -> Response {
    show_with(StatusCode::OK, language, page)
}

/// The same with a status.
pub fn show_with(status: StatusCode, language: Language, page: &impl Template) -> Response {
    match page.render() {
        Ok(body) => {
            let headers = [
                (
                    CONTENT_TYPE,
                    HeaderValue::from_static("text/html; charset=utf-8"),
                ),
                (CONTENT_LANGUAGE, HeaderValue::from_static(language.code())),
            ];
            (status, headers, body).into_response()
        }
        Err(error) => {
            eprintln!("<3>a page cannot be made: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Adds what every response carries, unless its page has set it.
pub async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let defaults = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (VARY, HeaderValue::from_static("Cookie, Accept-Language")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ),
        (
            HeaderName::from_static("permissions-policy"),
            HeaderValue::from_static("camera=(), microphone=(), geolocation=()"),
        ),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(value);
    }
    response
}

/// A number of bytes for people, such as `1.4 GB`.
pub fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    let mut tenths = bytes.div_ceil(100);
    let mut unit = "kB";
    for larger in units {
        unit = larger;
        if tenths < 10_000 {
            break;
        }
        if larger != "TB" {
            tenths /= 1000;
        }
    }
    if tenths < 100 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", tenths / 10)
    }
}

/// A moment for people, in UTC: `2026-11-30 14:02`.
pub fn moment(unix: i64) -> String {
    match time::OffsetDateTime::from_unix_timestamp(unix) {
        Ok(at) => format!("{} {:02}:{:02} UTC", at.date(), at.hour(), at.minute()),
        Err(_) => unix.to_string(),
    }
}
