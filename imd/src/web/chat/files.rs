//! Files of a folder, compressed where a compressed copy lies beside them.

use std::path::Path;
use std::time::UNIX_EPOCH;

use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

/// Serve the file of a name below a folder.
pub(super) async fn serve(root: &Path, name: &str, headers: &HeaderMap) -> Response {
    if !is_plain(name) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let header = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let gzip = header(ACCEPT_ENCODING).is_some_and(accepts_gzip);
    let packed = root.join(format!("{name}.gz"));
    let (path, encoding) = match tokio::fs::metadata(&packed).await {
        Ok(meta) if gzip && meta.is_file() => (packed, Some("gzip")),
        _ => (root.join(name), None),
    };
    let Ok(meta) = tokio::fs::metadata(&path).await else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if !meta.is_file() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let changed = meta
        .modified()
        .ok()
        .and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    let tag = format!(
        "\"{:x}-{:x}{}\"",
        meta.len(),
        changed.map_or(0, |t| t.as_secs()),
        encoding.unwrap_or_default()
    );
    let mut response = if header(IF_NONE_MATCH) == Some(tag.as_str()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match tokio::fs::read(&path).await {
            Ok(bytes) => bytes.into_response(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read a file of the web chat");
                return StatusCode::NOT_FOUND.into_response();
            }
        }
    };
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    // The names of the files stay the same in the next version.
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    fields.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        fields.insert(ETAG, tag);
    }
    if let Some(encoding) = encoding {
        fields.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// Whether a name stays in its folder: no part is empty, hidden or leads upwards.
fn is_plain(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    name.split('/')
        .all(|part| !part.is_empty() && !part.starts_with('.') && part.chars().all(fits))
}

fn accepts_gzip(header: &str) -> bool {
    header.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next() == Some("gzip") && !parts.any(|p| p == "q=0" || p == "q=0.0")
    })
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "ttf" => "font/ttf",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        assert!(is_plain("chunkjs/locales/zh_CN-po.js"));
        for bad in [
            "",
            "../x",
            "a/../b",
            "/etc/passwd",
            "a//b",
            ".hidden",
            "a/.b",
            "a\\b",
            "%2e",
        ] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }

    #[test]
    fn compression_is_used_only_where_it_is_wanted() {
        assert!(accepts_gzip("br, gzip;q=0.8"));
        assert!(!accepts_gzip("gzip;q=0, br"));
        assert!(!accepts_gzip("identity"));
    }
}
