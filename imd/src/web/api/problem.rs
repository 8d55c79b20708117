//! Errors as RFC 9457 has them: what was wrong, where, and what is accepted.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::{Fault, Refusal};

/// Why a request was not carried out. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says which kind it is (RFC 9457 §4.2.1).
    pub r#type: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, for people.
    pub detail: String,
    /// Each value that is wrong; empty where it is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemValue>,
}

/// What is wrong with one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemValue {
    /// Which: a field's name, or a line of a file.
    pub at: String,
    /// What was found.
    pub found: String,
    /// What is accepted; empty: `found` says it.
    pub accepted: String,
}

impl From<Fault> for ProblemValue {
    fn from(fault: Fault) -> Self {
        Self {
            at: fault.at,
            found: fault.found,
            accepted: fault.accepted,
        }
    }
}

impl Problem {
    /// A problem of this status.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            r#type: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// The request itself cannot be read: one value of it.
    #[must_use]
    pub fn unreadable(at: impl Into<String>, found: impl Into<String>) -> Self {
        let (at, found) = (at.into(), found.into());
        Self {
            errors: vec![ProblemValue {
                at: at.clone(),
                found: found.clone(),
                accepted: String::new(),
            }],
            ..Self::new(StatusCode::BAD_REQUEST, format!("{at}: {found}"))
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Absent(_) => StatusCode::NOT_FOUND,
            Refusal::Conflict(_) => StatusCode::CONFLICT,
            Refusal::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut problem = Self::new(status, refusal.to_string());
        if let Refusal::Invalid(faults) = refusal {
            problem.errors = faults.into_iter().map(ProblemValue::from).collect();
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, kind);
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"imd\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
