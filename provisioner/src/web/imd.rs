//! The client of imd's admin API (`docs/operator/administration.md`), over its Unix socket.

use std::path::PathBuf;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::UnixStream;

/// An import hashes thousands of passwords.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest answer: thousands of people.
const LONGEST: usize = 32 << 20;

/// The chat server.
#[derive(Clone, Debug)]
pub struct Imd {
    socket: PathBuf,
    patience: Duration,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The server does not run, or does not answer.
    #[error("the chat server does not answer: {0}")]
    Away(String),
    /// It refused.
    #[error("{detail}")]
    Refused {
        /// The HTTP status: 404 absent, 409 exists already, 422 a value is not accepted.
        status: u16,
        /// Why, in English.
        detail: String,
        /// Each value that was not accepted, a line each.
        errors: Vec<String>,
    },
}

impl Fault {
    /// Whether the server refused with this status.
    pub fn is(&self, code: StatusCode) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == code.as_u16())
    }

    /// Each value that was not accepted, or the one reason there is.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Refused { errors, .. } if !errors.is_empty() => errors.clone(),
            other => vec![other.to_string()],
        }
    }
}

/// An account.
#[derive(Clone, Debug, Deserialize)]
pub struct Person {
    /// The name before `@`.
    pub username: String,
    /// The address.
    pub jid: String,
    /// `admin`, `member` or `limited`.
    pub role: String,
    /// False: frozen.
    pub enabled: bool,
    /// The name that others see.
    pub display_name: Option<String>,
    /// As in RFC 3339.
    pub created_at: String,
    /// Ids of the groups.
    pub groups: Vec<String>,
    /// Sessions at this moment.
    pub sessions: usize,
}

/// An invitation.
#[derive(Clone, Debug, Deserialize)]
pub struct Invitation {
    /// By which it is taken back.
    pub token: String,
    /// `account`, `contact` or `reset`.
    pub kind: String,
    /// The address of its page.
    pub url: String,
    /// The name it is for.
    pub username: Option<String>,
    /// The role of the new account.
    pub role: String,
    /// Ids of groups.
    pub groups: Vec<String>,
    /// When it runs out.
    pub expires_at: Option<String>,
    /// How often it can still be used; absent: without limit.
    pub uses_left: Option<u32>,
    /// Whether it can be used now.
    pub usable: bool,
    /// A note.
    pub note: Option<String>,
}

/// An invitation to make; as in the API.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewInvitation {
    /// `reset`: for a new password of `username`. Absent: for an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The name it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The role. Absent: member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Ids of groups.
    pub groups: Vec<String>,
    /// Days until it runs out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// How often it can be used; 0: without limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// A note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
    #[serde(default)]
    errors: Vec<ProblemValue>,
}

#[derive(Deserialize)]
struct ProblemValue {
    at: String,
    found: String,
    accepted: String,
}

impl ProblemValue {
    fn line(self) -> String {
        let Self {
            at,
            found,
            accepted,
        } = self;
        if accepted.is_empty() {
            format!("{at}: {found}")
        } else {
            format!("{at}: {found}; {accepted}")
        }
    }
}

impl Imd {
    /// The server that listens there.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            patience: PATIENCE,
        }
    }

    /// The same, for something that takes longer.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// An account, if the password is its own and it may log in.
    ///
    /// # Errors
    /// 403: not the password, frozen, or no such account.
    pub async fn sign_in(&self, name: &str, password: &str) -> Result<Person, Fault> {
        let path = format!("/people/{}/login", encoded(name));
        self.send(Method::POST, &path, &json!({ "password": password }))
            .await
    }

    /// Whether an account has certainly no rights of an administrator (any more).
    pub async fn is_no_administrator(&self, name: &str) -> bool {
        match self
            .get::<Person>(&format!("/people/{}", encoded(name)))
            .await
        {
            Ok(person) => person.role != "admin" || !person.enabled,
            Err(fault) => fault.is(StatusCode::NOT_FOUND),
        }
    }

    /// Makes an account.
    ///
    /// # Errors
    /// 409: the name is taken; 422: a value is not accepted.
    pub async fn add_person(
        &self,
        name: &str,
        password: &str,
        role: &str,
    ) -> Result<Person, Fault> {
        let new = json!({ "username": name, "password": password, "role": role });
        self.send(Method::POST, "/people", &new).await
    }

    /// Makes an invitation.
    ///
    /// # Errors
    /// 404: no such person or group; 422: a value is not accepted.
    pub async fn invite(&self, new: &NewInvitation) -> Result<Invitation, Fault> {
        self.send(Method::POST, "/invitations", new).await
    }

    /// Reads something.
    ///
    /// # Errors
    /// It is not there, or the server does not answer.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        read(&self.request(Method::GET, path, Bytes::new(), "").await?)
    }

    /// Sends something and reads the answer.
    ///
    /// # Errors
    /// It is refused, or the server does not answer.
    pub async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Fault> {
        let body = serde_json::to_vec(body).map_err(away)?;
        read(
            &self
                .request(method, path, body.into(), "application/json")
                .await?,
        )
    }

    /// Sends something to which there is no answer but that it is done.
    ///
    /// # Errors
    /// It is refused, or the server does not answer.
    pub async fn tell(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<(), Fault> {
        let body = serde_json::to_vec(body).map_err(away)?;
        self.request(method, path, body.into(), "application/json")
            .await
            .map(drop)
    }

    /// Sends a body as it is; the body of the answer.
    ///
    /// # Errors
    /// It is refused, or the server does not answer.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        kind: &str,
    ) -> Result<Bytes, Fault> {
        let exchange = self.exchange(method, path, body, kind);
        match tokio::time::timeout(self.patience, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(Fault::Away("it takes too long".to_owned())),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        kind: &str,
    ) -> Result<Bytes, Fault> {
        let stream = UnixStream::connect(&self.socket).await.map_err(away)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(away)?;
        let driver = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("host", "localhost");
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        let request = request.body(Full::new(body)).map_err(away)?;
        let response = sender.send_request(request).await.map_err(away)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body = body
            .map_err(|error| Fault::Away(error.to_string()))?
            .to_bytes();
        driver.abort();
        if status.is_success() {
            return Ok(body);
        }
        let problem = serde_json::from_slice::<Problem>(&body).unwrap_or_else(|_| Problem {
            detail: status.to_string(),
            errors: Vec::new(),
        });
        Err(Fault::Refused {
            status: status.as_u16(),
            detail: problem.detail,
            errors: problem.errors.into_iter().map(ProblemValue::line).collect(),
        })
    }
}

fn away(error: impl std::fmt::Display) -> Fault {
    Fault::Away(error.to_string())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(away)
}

/// A part of a path (RFC 3986 §3.3).
pub fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_a_path() {
        assert_eq!(encoded("anna/../x?y"), "anna%2F..%2Fx%3Fy");
        assert_eq!(encoded("小明"), "%E5%B0%8F%E6%98%8E");
    }
}
