//! Who may use the API: whoever can open its Unix socket, and over TLS whoever has a token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::input::Actor;
use super::problem::Problem;
use crate::admin::tokens;
use crate::server::Server;
use crate::web::Peer;

/// The answer to those who do not say who they are.
pub(super) fn unknown() -> Problem {
    let detail =
        "this needs the header \"Authorization: Bearer TOKEN\" with a token of `imd token add`";
    Problem::new(StatusCode::UNAUTHORIZED, detail)
}

/// Let in whoever has a token.
pub(super) async fn by_token(
    State(server): State<Arc<Server>>,
    mut request: Request,
    next: Next,
) -> Response {
    let token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim().to_owned());
    let Some(token) = token else {
        return unknown().into_response();
    };
    match tokens::holder(&server, &token).await {
        Ok(Some(name)) => {
            request
                .extensions_mut()
                .insert(Actor(format!("api:{name}")));
            next.run(request).await
        }
        Ok(None) => {
            let detail = "the token is unknown or has run out; `imd token add` makes a new one";
            Problem::new(StatusCode::UNAUTHORIZED, detail).into_response()
        }
        Err(refusal) => Problem::from(refusal).into_response(),
    }
}

/// Let in whoever has opened the socket, and note which user that is.
pub(super) async fn by_socket(mut request: Request, next: Next) -> Response {
    let uid = request.extensions().get::<Peer>().and_then(Peer::uid);
    let actor = match uid {
        Some(uid) => format!("socket:{uid}"),
        None => "cli".to_owned(),
    };
    request.extensions_mut().insert(Actor(actor));
    next.run(request).await
}
