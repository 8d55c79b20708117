//! Uploads (XEP-0363): slots by XMPP, files by HTTP, below `uploads/` in the data folder.
//!
//! A file is written beside its place, synced and renamed, and only then marked as complete: a power cut leaves
//! a whole file or none. Its address is the secret by which it is read; writing takes a token besides.

mod files;
mod get;
mod put;
mod range;
mod slot;
mod sweep;

pub(crate) use files::place;

use std::sync::Arc;

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
};
use axum::http::{HeaderMap, HeaderValue};
use imd_store::Upload;
use ring::hmac;

pub(super) use get::get;
pub(super) use put::{options, put};
pub use slot::percent_encoded;

use crate::server::Server;
use files::Files;

/// XEP-0363.
pub const NS: &str = "urn:xmpp:http:upload:0";
/// How long a slot waits for its file.
const SLOT_MILLIS: i64 = 3_600_000;

/// Uploads of a server.
pub struct Uploads {
    files: Files,
    key: hmac::Key,
}

impl Uploads {
    /// Start giving slots at `upload.` below the domain, and deleting what has to go. `None`: uploads are off.
    ///
    /// # Errors
    /// When the folder cannot be made or the store does not answer.
    pub async fn start(server: &Arc<Server>) -> anyhow::Result<Option<Arc<Self>>> {
        if server.config.uploads.file_bytes == 0 {
            return Ok(None);
        }
        let secret = server
            .store
            .setting_or("upload.key", server.random_id::<32>())
            .await?;
        let uploads = Arc::new(Self {
            files: Files::open(server.config.data_dir.join(crate::admin::backup::UPLOADS)).await?,
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
        });
        let service = slot::Slots {
            uploads: Arc::clone(&uploads),
        };
        server.add_service(
            format!("upload.{}", server.config.domain),
            Arc::new(service),
        );
        tokio::spawn(sweep::run(Arc::clone(server), Arc::clone(&uploads)));
        Ok(Some(uploads))
    }

    /// What the uploader of a slot shows.
    fn token(&self, upload: &Upload) -> String {
        let tag = hmac::sign(&self.key, Self::signed(upload).as_bytes());
        tag.as_ref().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Whether a token is that of the slot, in constant time.
    fn is_token(&self, upload: &Upload, token: &str) -> bool {
        let Some(tag) = unhex(token) else {
            return false;
        };
        hmac::verify(&self.key, Self::signed(upload).as_bytes(), &tag).is_ok()
    }

    fn signed(upload: &Upload) -> String {
        format!("{} {}", upload.id, upload.size)
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

/// Let web clients of any origin read and write: the secret is in the address and the token, not in the origin.
fn allow_all_origins(headers: &mut HeaderMap) {
    let values = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, PUT, OPTIONS"),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type, Range",
        ),
        (
            ACCESS_CONTROL_EXPOSE_HEADERS,
            "Accept-Ranges, Content-Range, Content-Length, ETag",
        ),
        (ACCESS_CONTROL_MAX_AGE, "7200"),
    ];
    for (name, value) in values {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hexadecimal_digits_are_a_token() {
        assert_eq!(unhex("00ff"), Some(vec![0, 255]));
        for bad in ["0", "0g", "é0"] {
            assert!(unhex(bad).is_none(), "{bad}");
        }
    }
}
