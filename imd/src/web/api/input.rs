//! What handlers take from a request. What cannot be read is answered with a [`Problem`] that names the place.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::admin::Administrator;
use crate::server::Server;

/// Who asks, as [`super::auth`] has found out.
#[derive(Debug, Clone)]
pub struct Actor(pub String);

/// Why a handler was not called: a response, boxed because it is large.
pub struct Rejection(Box<Response>);

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem.into_response()))
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl FromRequestParts<Arc<Server>> for Administrator {
    type Rejection = Rejection;

    async fn from_request_parts(
        parts: &mut Parts,
        server: &Arc<Server>,
    ) -> Result<Self, Rejection> {
        match parts.extensions.get::<Actor>() {
            Some(Actor(actor)) => Ok(Self {
                server: Arc::clone(server),
                actor: actor.clone(),
            }),
            None => Err(super::auth::unknown().into()),
        }
    }
}

/// The body as JSON.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let bytes = bytes(request, state).await?;
        let text = if bytes.is_empty() { b"{}" } else { &bytes[..] };
        let mut reader = serde_json::Deserializer::from_slice(text);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            let at = if path == "." { "body".to_owned() } else { path };
            Problem::unreadable(at, error.inner().to_string())
        })?;
        reader
            .end()
            .map_err(|error| Problem::unreadable("body", error.to_string()))?;
        Ok(Self(value))
    }
}

/// The body as UTF-8 text.
pub struct Text(pub String);

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let bytes = bytes(request, state).await?;
        match String::from_utf8(bytes.into()) {
            Ok(text) => Ok(Self(text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let found = format!("byte {at} is not UTF-8; save the file as UTF-8");
                Err(Problem::unreadable("body", found).into())
            }
        }
    }
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Rejection> {
    Bytes::from_request(request, state).await.map_err(|error| {
        let status = error.status();
        let detail = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than is accepted here".to_owned(),
            _ => error.body_text(),
        };
        Problem::new(status, detail).into()
    })
}

/// What stands behind `?`.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::unreadable("query", error.body_text()).into()),
        }
    }
}

/// The changing parts of the path.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::unreadable("path", error.body_text()).into()),
        }
    }
}
