//! A version that somebody sends as a file: for a box without a publisher, or without the internet.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Multipart, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use axum::routing::post;

use super::updates::{give, page, view};
use crate::agent::command::Command;
use crate::backup::shelf::free;
use crate::web::Web;
use crate::web::files::receive;
use crate::web::page::size;
use crate::web::pages::errors;
use crate::web::texts::Texts;
use crate::web::visitor::{Admin, Visitor};

/// Left free besides the file: people go on writing meanwhile.
const RESERVE: u64 = 64 << 20;

pub(super) fn routes() -> Router<Arc<Web>> {
    // A bundle is as large as a system.
    let file = post(sent).layer(DefaultBodyLimit::disable());
    Router::new().route("/admin/updates/file", file)
}

/// Why a form cannot be used.
enum Unread {
    Foreign,
    Text(String),
}

async fn sent(
    State(web): State<Arc<Web>>,
    Admin { visitor, .. }: Admin,
    headers: HeaderMap,
    form: Multipart,
) -> Response {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    match read(&web, &visitor, length, form).await {
        Ok(without_backup) => {
            let command = Command::InstallUpload { without_backup };
            let response = give(&web, &visitor, command).await;
            if !response.status().is_redirection() {
                // Refused meanwhile: nobody will want it.
                let _ = tokio::fs::remove_file(web.backups.join(PLACE)).await;
            }
            response
        }
        Err(Unread::Foreign) => errors::foreign_form(&visitor),
        Err(Unread::Text(fault)) => page(&web, &visitor, Some(fault)).await,
    }
}

/// Below the folder of backups; the agent's programs know it as `update::job::UPLOADED`.
const PLACE: &str = "in/uploaded.raucb";

/// The token, whether the owner wants it without a young backup, and then the file, which is not taken before all else is good.
async fn read(
    web: &Web,
    visitor: &Visitor,
    length: Option<u64>,
    mut form: Multipart,
) -> Result<bool, Unread> {
    let t = visitor.t;
    let unreadable = || Unread::Text(t.m("error-unreadable"));
    let (mut is_ours, mut without_backup) = (false, false);
    while let Some(field) = form.next_field().await.map_err(|_| unreadable())? {
        match field.name().unwrap_or_default() {
            "token" => {
                let token = field.text().await.map_err(|_| unreadable())?;
                is_ours = visitor.holds(web, &token);
            }
            _ if !is_ours => return Err(Unread::Foreign),
            "without-backup" => without_backup = true,
            "file" => {
                if field.file_name().is_none_or(str::is_empty) {
                    break;
                }
                let view = view(web, visitor).await;
                // RAUC may be reading the one before.
                if view.is_ok_and(|view| view.is_under_way) {
                    return Err(Unread::Text(t.m("update-refused-busy")));
                }
                has_room(t, &web.backups, length).map_err(Unread::Text)?;
                let place = web.backups.join(PLACE);
                // What a power cut has left there of a stick's file is root's, and cannot be written again.
                let _ = tokio::fs::remove_file(&place).await;
                let came = receive(field, &place).await;
                return came.map(|_| without_backup).map_err(|detail| {
                    Unread::Text(t.with("update-not-sent", &[("detail", &detail)]))
                });
            }
            _ => {}
        }
    }
    Err(if is_ours {
        Unread::Text(t.m("update-no-file"))
    } else {
        Unread::Foreign
    })
}

/// Says what is missing before the file is on its way. A browser says how long a form is; what does not fit all the same is refused
/// by the disk.
pub(super) fn has_room(t: Texts, folder: &Path, length: Option<u64>) -> Result<(), String> {
    let (Some(length), Ok(free)) = (length, free(folder)) else {
        return Ok(());
    };
    let needed = length.saturating_add(RESERVE);
    if needed <= free {
        return Ok(());
    }
    let (needed_text, free_text) = (size(needed), size(free));
    let missing = size(needed - free);
    let values = [
        ("needed", needed_text.as_str()),
        ("free", &free_text),
        ("missing", &missing),
    ];
    Err(t.with("update-no-room", &values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::texts::Language;

    #[test]
    fn what_is_missing_is_said_before_the_file_comes() {
        let t = Texts(Language::En);
        let folder = std::env::temp_dir();
        assert!(has_room(t, &folder, Some(1)).is_ok());
        assert!(has_room(t, &folder, None).is_ok());
        let Err(text) = has_room(t, &folder, Some(1 << 60)) else {
            panic!("there is no such disk")
        };
        assert!(text.contains("missing"), "{text}");
    }
}
