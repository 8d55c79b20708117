//! Asking for a slot (XEP-0363 §4 to §6), at `upload.` below the server's domain.

use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use imd_proto::form::FormBuilder;
use imd_proto::{Condition, Element, Stanza, StanzaError, ns};
use imd_store::{StoreError, Upload, UploadQuota, now_millis};

use super::{NS, Uploads};
use crate::feature::{Answer, Reply, Service, store_error};
use crate::route;
use crate::server::Server;

const DAY_MILLIS: i64 = 86_400_000;
/// Bytes of a file name.
const NAME_BYTES: usize = 255;

/// The service that gives slots.
pub(super) struct Slots {
    pub(super) uploads: Arc<Uploads>,
}

#[async_trait]
impl Service for Slots {
    async fn stanza(&self, server: &Arc<Server>, stanza: Stanza) -> Option<imd_store::Commit> {
        if !stanza.is_request() {
            let nobody = StanzaError::new(Condition::ServiceUnavailable);
            server.bounce(&stanza, &nobody).await;
            return None;
        }
        let reply = match self.answer(server, &stanza).await {
            Ok(Reply::With(payload)) => stanza.result_with(payload),
            Ok(Reply::Empty | Reply::Sent) => stanza.result(),
            Err(error) => stanza.error(&error),
        };
        let from = stanza.to.clone().unwrap_or_else(|| server.domain.clone());
        if let Ok(reply) = Stanza::stamp(stanza.kind, reply, from) {
            route::answer(server, reply).await;
        }
        None
    }

    fn name(&self) -> Option<String> {
        Some("Files".to_owned())
    }
}

impl Slots {
    async fn answer(&self, server: &Arc<Server>, stanza: &Stanza) -> Answer {
        let payload = stanza
            .element
            .first_child()
            .ok_or_else(|| StanzaError::new(Condition::BadRequest))?;
        let get = stanza.type_attr() == Some("get");
        match (payload.name(), payload.ns()) {
            ("query", ns::DISCO_INFO) if get => Ok(Reply::With(info(server))),
            ("query", ns::DISCO_ITEMS) if get => {
                Ok(Reply::With(Element::new("query", ns::DISCO_ITEMS)))
            }
            ("ping", ns::PING) if get => Ok(Reply::Empty),
            ("request", NS) if get => self.slot(server, stanza, payload).await,
            ("request", NS) => Err(StanzaError::with_text(
                Condition::BadRequest,
                "a slot is asked for with type='get'",
            )),
            _ => Err(Condition::ServiceUnavailable.into()),
        }
    }

    async fn slot(&self, server: &Arc<Server>, stanza: &Stanza, request: &Element) -> Answer {
        let Some(user) = stanza
            .from
            .local()
            .filter(|_| server.is_local_account(&stanza.from))
        else {
            return Err(StanzaError::with_text(
                Condition::Forbidden,
                "only accounts of this server may upload here",
            ));
        };
        let settings = &server.config.uploads;
        let upload = wanted(server, user, request, settings.file_bytes)?;
        self.leaves_room(upload.size, settings.keep_free)?;
        let quota = UploadQuota {
            user_bytes: settings.user_bytes,
            day_bytes: settings.day_bytes,
            day_start: upload.created_at - upload.created_at.rem_euclid(DAY_MILLIS),
            total_bytes: settings.total_bytes,
        };
        let token = self.uploads.token(&upload);
        let url = format!(
            "{}/upload/{}/{}",
            server.config.public_url(),
            upload.id,
            percent_encoded(&upload.filename)
        );
        server
            .store
            .reserve_upload(upload, quota)
            .await
            .map_err(|e| refused(&e))?;
        let authorization = Element::new("header", NS)
            .with_attr("name", "Authorization")
            .with_text(format!("Bearer {token}"));
        let put = Element::new("put", NS)
            .with_attr("url", url.as_str())
            .with_child(authorization);
        Ok(Reply::With(
            Element::new("slot", NS)
                .with_child(put)
                .with_child(Element::new("get", NS).with_attr("url", url)),
        ))
    }
}

impl Slots {
    /// Messages come before files: the last bytes of a disk are theirs.
    fn leaves_room(&self, size: u64, keep_free: u64) -> Result<(), StanzaError> {
        match self.uploads.files.free_bytes() {
            Ok(free) if free < keep_free.saturating_add(size) => Err(StanzaError::with_text(
                Condition::ResourceConstraint,
                "the server's disk is nearly full: it takes messages, but no files",
            )),
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "cannot tell how much of the disk is free for uploads");
                Ok(())
            }
        }
    }
}

/// A quota that is used up is the sender's to wait for, or to ask the administrator about.
fn refused(error: &StoreError) -> StanzaError {
    match error {
        StoreError::Limit { .. } => {
            StanzaError::with_text(Condition::ResourceConstraint, error.to_string())
        }
        other => store_error(other),
    }
}

/// Check a request and make the slot that it asks for.
fn wanted(
    server: &Server,
    user: &str,
    request: &Element,
    most: u64,
) -> Result<Upload, StanzaError> {
    let bad = |text: &str| StanzaError::with_text(Condition::BadRequest, text);
    let filename = request.attr("filename").unwrap_or_default();
    if !is_file_name(filename) {
        return Err(bad(
            "filename: a name of 1 to 255 bytes, without slashes and control characters, is accepted",
        ));
    }
    let size = request
        .attr("size")
        .and_then(|s| s.parse::<u64>().ok())
        .filter(|size| *size > 0)
        .ok_or_else(|| bad("size: the number of bytes, at least 1, is accepted"))?;
    if size > most {
        let max = Element::new("max-file-size", NS).with_text(most.to_string());
        let text = format!("a file may have {most} bytes at the most");
        return Err(StanzaError::with_text(Condition::NotAcceptable, text)
            .with_application(Element::new("file-too-large", NS).with_child(max)));
    }
    let content_type = request.attr("content-type").filter(|t| !t.is_empty());
    if content_type.is_some_and(|t| !is_media_type(t)) {
        return Err(bad(
            "content-type: a media type such as image/jpeg is accepted",
        ));
    }
    Ok(Upload {
        id: server.random_id::<20>(),
        user: Some(user.to_owned()),
        filename: filename.to_owned(),
        size,
        content_type: content_type.map(str::to_owned),
        created_at: now_millis(),
        complete: false,
    })
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES
        && name != "."
        && name != ".."
        && !name
            .chars()
            .any(|c| c == '/' || c == '\\' || c.is_control())
}

/// RFC 9110 §8.3.1, with parameters.
fn is_media_type(text: &str) -> bool {
    let token = |t: &str| {
        !t.is_empty()
            && t.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    text.len() <= 255
        && text.bytes().all(|b| (b' '..0x7f).contains(&b))
        && essence
            .split_once('/')
            .is_some_and(|(kind, sub)| token(kind) && token(sub))
}

/// A text as it stands in a part of an address and in a header (RFC 3986 §2.1).
#[must_use]
pub fn percent_encoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn info(server: &Server) -> Element {
    let identity = Element::new("identity", ns::DISCO_INFO)
        .with_attr("category", "store")
        .with_attr("type", "file")
        .with_attr("name", "Files");
    let features = [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::PING, NS];
    let most = server.config.uploads.file_bytes.to_string();
    let form = FormBuilder::new("result", NS)
        .field("max-file-size", "text-single", None, &[&most])
        .build();
    Element::new("query", ns::DISCO_INFO)
        .with_child(identity)
        .with_children(
            features.map(|f| Element::new("feature", ns::DISCO_INFO).with_attr("var", f)),
        )
        .with_child(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_paths_are_refused() {
        assert!(is_file_name("猫 picture.jpeg"));
        for bad in ["", ".", "..", "a/b", "a\\b", "a\nb", &"x".repeat(256)] {
            assert!(!is_file_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn media_types_cannot_smuggle_headers() {
        assert!(is_media_type("text/plain; charset=utf-8"));
        for bad in ["text", "text/", "/x", "a b/c", "text/plain\r\nX: y", "é/x"] {
            assert!(!is_media_type(bad), "{bad:?}");
        }
    }

    #[test]
    fn names_are_encoded_for_addresses() {
        assert_eq!(percent_encoded("a b%é.png"), "a%20b%25%C3%A9.png");
    }
}
