//! Writing a file into its slot.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use imd_store::{Upload, now_millis};

use super::{SLOT_MILLIS, Uploads, allow_all_origins};
use crate::web::Web;

/// How long an upload may stand still.
const STALL: Duration = Duration::from_secs(60);

/// Why a file is not taken, in words for whoever debugs a client.
type Refusal = (StatusCode, String);

fn refuse<T>(status: StatusCode, text: impl Into<String>) -> Result<T, Refusal> {
    Err((status, text.into()))
}

/// Say to browsers that other origins may write here.
pub(in crate::web) async fn options() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    allow_all_origins(response.headers_mut());
    response
}

/// Take a file.
pub(in crate::web) async fn put(
    State(web): State<Arc<Web>>,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let outcome = match &web.uploads {
        Some(uploads) => take(&web, uploads, &id, &name, &headers, body).await,
        None => refuse(StatusCode::NOT_FOUND, "There are no uploads here."),
    };
    let mut response = match outcome {
        Ok(()) => StatusCode::CREATED.into_response(),
        Err((status, text)) => (status, text + "\n").into_response(),
    };
    allow_all_origins(response.headers_mut());
    response
}

async fn take(
    web: &Web,
    uploads: &Uploads,
    id: &str,
    name: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<(), Refusal> {
    let upload = slot(web, uploads, id, headers).await?;
    if upload.filename != name {
        return refuse(
            StatusCode::NOT_FOUND,
            "The slot is for a file of another name.",
        );
    }
    check(&upload, headers)?;
    let mut part = match uploads.files.begin(id).await {
        Ok(part) => part,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return refuse(StatusCode::CONFLICT, "The file is being uploaded already.");
        }
        Err(error) => return Err(disk(&error)),
    };
    let mut left = upload.size;
    let mut chunks = body.into_data_stream();
    loop {
        let Ok(chunk) = tokio::time::timeout(STALL, chunks.next()).await else {
            return refuse(StatusCode::REQUEST_TIMEOUT, "The upload stands still.");
        };
        let Some(chunk) = chunk else { break };
        let Ok(chunk) = chunk else {
            return refuse(StatusCode::BAD_REQUEST, "The upload broke off.");
        };
        left = match left.checked_sub(chunk.len() as u64) {
            Some(left) => left,
            None => return wrong_size(&upload),
        };
        part.write(&chunk).await.map_err(|e| disk(&e))?;
    }
    if left > 0 {
        return wrong_size(&upload);
    }
    uploads.files.finish(id, part).await.map_err(|e| disk(&e))?;
    if let Err(error) = web.server.store.complete_upload(id).await {
        tracing::warn!(%error, "an upload cannot be completed");
        return refuse(
            StatusCode::INSUFFICIENT_STORAGE,
            "The server's disk takes no new data at the moment.",
        );
    }
    Ok(())
}

/// The slot that the request may write to.
async fn slot(
    web: &Web,
    uploads: &Uploads,
    id: &str,
    headers: &HeaderMap,
) -> Result<Upload, Refusal> {
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "))
        .unwrap_or_default();
    let found = web.server.store.upload(id).await;
    let upload = match found {
        Ok(Some(upload)) if upload.user.is_some() => upload,
        Ok(_) => return refuse(StatusCode::NOT_FOUND, "There is no such slot."),
        Err(error) => {
            tracing::warn!(%error, "cannot look up a slot");
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "Try again later.");
        }
    };
    if !uploads.is_token(&upload, token) {
        return refuse(
            StatusCode::FORBIDDEN,
            "The Authorization header is not the one that came with the slot.",
        );
    }
    if upload.complete {
        return refuse(StatusCode::CONFLICT, "The file is there already.");
    }
    if upload.created_at + SLOT_MILLIS < now_millis() {
        return refuse(StatusCode::GONE, "The slot has run out: ask for a new one.");
    }
    Ok(upload)
}

fn check(upload: &Upload, headers: &HeaderMap) -> Result<(), Refusal> {
    let header = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    match header(CONTENT_LENGTH).map(str::parse::<u64>) {
        Some(Ok(length)) if length == upload.size => {}
        Some(_) => return wrong_size(upload),
        None => {
            return refuse(
                StatusCode::LENGTH_REQUIRED,
                "An upload needs a Content-Length.",
            );
        }
    }
    let sent = header(CONTENT_TYPE);
    match (&upload.content_type, sent) {
        (Some(wanted), Some(sent)) if !sent.eq_ignore_ascii_case(wanted) => refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("The slot is for {wanted}, not for {sent}."),
        ),
        _ => Ok(()),
    }
}

fn wrong_size<T>(upload: &Upload) -> Result<T, Refusal> {
    refuse(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("The slot is for exactly {} bytes.", upload.size),
    )
}

fn disk(error: &io::Error) -> Refusal {
    tracing::warn!(%error, "cannot write an uploaded file");
    (
        StatusCode::INSUFFICIENT_STORAGE,
        "The server's disk takes no new data at the moment.".to_owned(),
    )
}
