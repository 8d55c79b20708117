//! Reading a file.

use std::io::SeekFrom;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use imd_store::Upload;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::allow_all_origins;
use super::range::{Wanted, wanted};
use crate::web::Web;

/// Bytes read from the disk in one go.
const CHUNK: usize = 64 * 1024;
/// Nothing in a file runs or loads anything in the name of this site, whatever it is.
const SANDBOX: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// Give out a file. Whoever knows the address may read.
pub(in crate::web) async fn get(
    State(web): State<Arc<Web>>,
    Path((id, _name)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let Some(uploads) = &web.uploads else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let upload = match web.server.store.upload(&id).await {
        // The files of a removed account go in a minute; until then they are not given out any more.
        Ok(Some(upload)) if upload.complete && upload.user.is_some() => upload,
        Ok(_) => return missing(),
        Err(error) => {
            tracing::warn!(%error, "cannot look up an upload");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    };
    let header = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let tag = format!("\"{}\"", upload.id);
    if header(IF_NONE_MATCH).is_some_and(|known| known == "*" || known.contains(&tag)) {
        return response(StatusCode::NOT_MODIFIED, &upload, Body::empty());
    }
    let range = header(RANGE).filter(|_| header(IF_RANGE).is_none_or(|known| known == tag));
    let (status, from, length) = match wanted(range, upload.size) {
        Wanted::All => (StatusCode::OK, 0, upload.size),
        Wanted::Part(first, last) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Wanted::Unsatisfiable => {
            let mut refusal = response(StatusCode::RANGE_NOT_SATISFIABLE, &upload, Body::empty());
            set(
                &mut refusal,
                CONTENT_RANGE,
                &format!("bytes */{}", upload.size),
            );
            return refusal;
        }
    };
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        match read(uploads.files.read(&id).await, from, length).await {
            Ok(body) => body,
            Err(error) => {
                tracing::warn!(%id, %error, "an uploaded file cannot be read");
                return missing();
            }
        }
    };
    let mut response = response(status, &upload, body);
    set(&mut response, CONTENT_LENGTH, &length.to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {from}-{}/{}", from + length - 1, upload.size);
        set(&mut response, CONTENT_RANGE, &range);
    }
    response
}

fn missing() -> Response {
    let text = "There is no such file, or not any more.\n";
    let mut response = (StatusCode::NOT_FOUND, text).into_response();
    allow_all_origins(response.headers_mut());
    response
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// A response about a file, with everything that keeps it from harming whoever opens it.
fn response(status: StatusCode, upload: &Upload, body: Body) -> Response {
    let kind = upload
        .content_type
        .as_deref()
        .unwrap_or("application/octet-stream");
    let way = if shown_in_browsers(kind) {
        "inline"
    } else {
        "attachment"
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    allow_all_origins(response.headers_mut());
    let name = super::slot::percent_encoded(&upload.filename);
    let fields = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, SANDBOX),
        (ETAG, &format!("\"{}\"", upload.id)),
        (ACCEPT_RANGES, "bytes"),
        // A file never changes, but it may have to go.
        (CACHE_CONTROL, "private, max-age=2592000, immutable"),
        (
            CONTENT_DISPOSITION,
            &format!("{way}; filename*=UTF-8''{name}"),
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "cross-origin",
        ),
    ];
    for (name, value) in fields {
        set(&mut response, name, value);
    }
    response
}

/// Media that browsers show and that cannot carry scripts. SVG can.
fn shown_in_browsers(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let image = [
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "image/avif",
    ];
    image.contains(&kind)
        || kind == "text/plain"
        || kind.starts_with("audio/")
        || kind.starts_with("video/")
}

/// The bytes of a file from one position, as many as are wanted.
async fn read(file: std::io::Result<File>, from: u64, length: u64) -> std::io::Result<Body> {
    let mut file = file?;
    file.seek(SeekFrom::Start(from)).await?;
    let stream = futures_util::stream::try_unfold(file.take(length), |mut file| async move {
        let mut chunk =
            Vec::with_capacity(CHUNK.min(usize::try_from(file.limit()).unwrap_or(CHUNK)));
        if chunk.capacity() == 0 || file.read_buf(&mut chunk).await? == 0 {
            return Ok::<_, std::io::Error>(None);
        }
        Ok(Some((Bytes::from(chunk), file)))
    });
    Ok(Body::from_stream(stream))
}
