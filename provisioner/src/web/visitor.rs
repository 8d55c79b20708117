//! Who is there: recognised once for each request, and taken by the pages as one of the types below.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use time::OffsetDateTime;

use super::Web;
use super::pages::errors;
use super::store::{self, Session};
use super::texts::{Language, Texts};
use crate::agent::command::Actor;
use crate::model::AccountName;

/// The cookie of a visit or session. Its prefix lets browsers refuse it from elsewhere (RFC 6265bis §4.1.3.2).
const VISIT: &str = "__Host-perch";
/// The cookie of a chosen language.
const LANGUAGE: &str = "__Host-perch-language";
/// The cookie of a browser that has signed in before.
const KNOWN: &str = "__Host-perch-known";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";
const YEAR_SECONDS: u32 = 365 * 86_400;

/// Whoever asks for a page.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The texts in their language.
    pub t: Texts,
    /// Where they are, as nginx says. Absent: not known.
    pub address: Option<IpAddr>,
    /// The box's address that they have come to, as nginx says. Absent: not known.
    pub reached: Option<IpAddr>,
    /// Their session. Absent: they have not signed in.
    pub session: Option<Session>,
    /// The path of the page.
    pub path: String,
    /// The same with what stands behind the `?`, which says what the page shows.
    pub here: String,
    /// The host that the browser asked for, without port.
    pub host: String,
    /// What a form has to bring.
    pub token: String,
    /// What the browser says of itself.
    pub browser: String,
    id: String,
    known: Option<String>,
}

/// An administrator who has signed in.
#[derive(Clone, Debug)]
pub struct Admin {
    /// As anybody.
    pub visitor: Visitor,
    /// The account.
    pub name: AccountName,
}

/// The one who sets the box up: who has claimed it, or an administrator.
#[derive(Clone, Debug)]
pub struct Owner {
    /// As anybody.
    pub visitor: Visitor,
    /// The account. Absent: there is none yet.
    pub name: Option<AccountName>,
}

/// A form that somebody has sent from one of our pages, with who it was.
#[derive(Debug)]
pub struct Sent<T> {
    /// Who.
    pub by: T,
    /// The fields.
    pub fields: Fields,
}

/// The fields of a form.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// A field, without white space around; empty if the form has none of this name.
    pub fn get(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// A field as it stands: a password.
    pub fn raw(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// All values of a field, such as boxes that are ticked.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.0.iter().filter(move |(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Visitor {
    /// For the agent.
    pub fn actor(&self) -> Actor {
        let name = self.session.as_ref().map(|session| session.name.as_str());
        Actor {
            name: name.and_then(|name| AccountName::new(name).ok()),
            address: self.address,
        }
    }

    /// By what the agent knows this browser again.
    pub fn mark(&self) -> String {
        store::mark(&self.id)
    }

    /// The address, for people.
    pub fn address_shown(&self) -> String {
        self.address
            .map(|address| address.to_string())
            .unwrap_or_default()
    }

    /// Whether a form that brings this token is one of ours.
    pub fn holds(&self, web: &Web, token: &str) -> bool {
        is_equal(token, &sign(web, "form", &self.id))
    }

    /// Whether this browser has signed in as `account` before.
    pub fn is_known(&self, web: &Web, account: &str) -> bool {
        self.known
            .as_deref()
            .is_some_and(|known| known == sign(web, "known", account))
    }

    /// Begins a session; what the response has to carry. `name`: empty while there is no account.
    ///
    /// # Errors
    /// The database fails.
    pub fn begin(&self, web: &Web, name: &str) -> anyhow::Result<Cookies> {
        self.begin_as(web, &store::new_id()?, name)
    }

    /// The same with a new cookie that somebody has been told the mark of.
    ///
    /// # Errors
    /// The database fails.
    pub fn begin_as(&self, web: &Web, id: &str, name: &str) -> anyhow::Result<Cookies> {
        if let Some(session) = &self.session {
            web.store.end(session.number)?;
        }
        let address = self.address_shown();
        web.store.begin(id, name, &address, &self.browser, now())?;
        let mut cookies = Cookies::default().with(VISIT, id, store::WHOLE_SECONDS.unsigned_abs());
        if !name.is_empty() {
            cookies = cookies.with(KNOWN, &sign(web, "known", name), YEAR_SECONDS.into());
        }
        Ok(cookies)
    }
}

/// Cookies to be set.
#[derive(Debug, Default)]
pub struct Cookies(Vec<String>);

impl Cookies {
    fn with(mut self, name: &str, value: &str, seconds: u64) -> Self {
        self.0
            .push(format!("{name}={value}; Max-Age={seconds}; {ATTRIBUTES}"));
        self
    }

    /// The chosen language.
    pub fn language(language: Language) -> Self {
        Self::default().with(LANGUAGE, language.code(), YEAR_SECONDS.into())
    }

    /// And these.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// Adds them to a response.
    pub fn on(self, response: impl IntoResponse) -> Response {
        let mut response = response.into_response();
        for cookie in self.0 {
            if let Ok(value) = HeaderValue::try_from(cookie) {
                response.headers_mut().append(SET_COOKIE, value);
            }
        }
        response
    }
}

/// Seconds since 1970.
pub fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

fn sign(web: &Web, purpose: &str, text: &str) -> String {
    let tag = hmac::sign(&web.key, format!("{purpose}:{text}").as_bytes());
    URL_SAFE_NO_PAD.encode(tag.as_ref())
}

fn header(headers: &HeaderMap, name: impl Into<HeaderName>) -> &str {
    let value = headers.get(name.into());
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then(|| value.to_owned()))
}

/// Finds out who is there. A browser that brings no cookie gets one, by which its forms are known.
pub async fn recognise(State(web): State<Arc<Web>>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let brought = cookie(headers, VISIT).filter(|id| id.len() == 43);
    let session = match &brought {
        Some(id) => web.store.session(id, now()).unwrap_or_else(|error| {
            eprintln!("<3>sessions: {error:#}");
            None
        }),
        None => None,
    };
    let Ok(id) = brought.clone().map_or_else(store::new_id, Ok) else {
        return errors::failed(Texts(Language::En));
    };
    let language = cookie(headers, LANGUAGE)
        .and_then(|code| Language::of_code(&code))
        .or_else(|| Language::of_header(header(headers, ACCEPT_LANGUAGE)));
    let host = header(headers, axum::http::header::HOST);
    let visitor = Visitor {
        t: Texts(language.unwrap_or(Language::En)),
        // nginx replaces what the browser may have sent by these names.
        address: header(headers, HeaderName::from_static("x-real-ip"))
            .parse()
            .ok(),
        reached: header(headers, HeaderName::from_static("x-real-server"))
            .parse()
            .ok(),
        session,
        path: request.uri().path().to_owned(),
        here: request
            .uri()
            .path_and_query()
            .map_or("/", PathAndQuery::as_str)
            .to_owned(),
        host: host_name(host).to_owned(),
        token: sign(&web, "form", &id),
        browser: header(headers, USER_AGENT).to_owned(),
        known: cookie(headers, KNOWN),
        id: id.clone(),
    };
    request.extensions_mut().insert(visitor);
    let response = next.run(request).await;
    if brought.is_some() || response.headers().contains_key(SET_COOKIE) {
        return response;
    }
    // Until the browser is closed.
    Cookies(vec![format!("{VISIT}={id}; {ATTRIBUTES}")]).on(response)
}

fn host_name(host: &str) -> &str {
    let end = if host.starts_with('[') {
        host.find(']').map(|at| at + 1)
    } else {
        host.find(':')
    };
    end.and_then(|end| host.get(..end)).unwrap_or(host)
}

impl FromRequestParts<Arc<Web>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Web>) -> Result<Self, Response> {
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or_else(|| errors::failed(Texts(Language::En)))
    }
}

impl FromRequestParts<Arc<Web>> for Admin {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Response> {
        let visitor = Visitor::from_request_parts(parts, web).await?;
        let to_sign_in = || {
            // After signing in the page is asked for again, but not a form sent again.
            let wanted = if parts.method == Method::GET {
                parts.uri.path()
            } else {
                "/admin"
            };
            Redirect::to(&format!("/sign-in?next={wanted}")).into_response()
        };
        let session = visitor.session.as_ref();
        let Some(name) = session.and_then(|session| AccountName::new(&session.name).ok()) else {
            return Err(to_sign_in());
        };
        // Somebody may have lost the role since. Without the chat server, its administrators must be able to see why.
        if web.imd.is_no_administrator(name.as_str()).await {
            let _ = web.store.end_all(name.as_str());
            return Err(to_sign_in());
        }
        Ok(Self { visitor, name })
    }
}

impl FromRequestParts<Arc<Web>> for Owner {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Response> {
        let visitor = Visitor::from_request_parts(parts, web).await?;
        match &visitor.session {
            Some(session) if session.name.is_empty() => Ok(Self {
                visitor,
                name: None,
            }),
            Some(_) => {
                let Admin { visitor, name } = Admin::from_request_parts(parts, web).await?;
                Ok(Self {
                    visitor,
                    name: Some(name),
                })
            }
            None => Err(Redirect::to("/setup").into_response()),
        }
    }
}

impl<T> FromRequest<Arc<Web>> for Sent<T>
where
    T: FromRequestParts<Arc<Web>, Rejection = Response> + Send,
{
    type Rejection = Response;

    async fn from_request(request: Request, web: &Arc<Web>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, web).await?;
        let by = T::from_request_parts(&mut parts, web).await?;
        // Browsers say where a form came from (Fetch Metadata); those that do not have the token all the same.
        let from = header(&parts.headers, HeaderName::from_static("sec-fetch-site")).to_owned();
        let request = Request::from_parts(parts, body);
        let form = axum::Form::<Vec<(String, String)>>::from_request(request, web).await;
        let Ok(axum::Form(fields)) = form else {
            return Err(errors::unreadable(&visitor));
        };
        let fields = Fields(fields);
        let is_ours = ["", "same-origin", "none"].contains(&from.as_str());
        if !is_ours || !visitor.holds(web, fields.raw("token")) {
            return Err(errors::foreign_form(&visitor));
        }
        Ok(Self { by, fields })
    }
}

/// Compares without telling by the time how much agrees.
fn is_equal(one: &str, other: &str) -> bool {
    let differences = one
        .bytes()
        .zip(other.bytes())
        .fold(0, |sum, (a, b)| sum | (a ^ b));
    one.len() == other.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_from_its_port() {
        for (host, name) in [
            ("perch.local", "perch.local"),
            ("perch.local:8443", "perch.local"),
            ("192.168.1.5:443", "192.168.1.5"),
            ("[fe80::1]:443", "[fe80::1]"),
            ("[fe80::1]", "[fe80::1]"),
        ] {
            assert_eq!(host_name(host), name);
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; __Host-perch=x"));
        headers.append(COOKIE, HeaderValue::from_static("b=2"));
        assert_eq!(cookie(&headers, VISIT).as_deref(), Some("x"));
        assert_eq!(cookie(&headers, "b").as_deref(), Some("2"));
        assert_eq!(cookie(&headers, "perch"), None);
    }
}
