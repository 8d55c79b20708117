//! The part of the page Backups that is about the target: setting it up, the host key of its server, and what lies there.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;

use super::backups::{Line, give, page, sentence};
use crate::agent::backups::{BackupView, TargetCommand};
use crate::agent::command::{Command, Why};
use crate::backup::target::fault::Kind;
use crate::backup::target::state::TargetView;
use crate::settings::target::Target;
use crate::web::Web;
use crate::web::page::moment;
use crate::web::pages::errors;
use crate::web::settings_words;
use crate::web::texts::Texts;
use crate::web::visitor::{Admin, Sent};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/admin/backups/target", post(set))
        .route("/admin/backups/target/forget", post(forget))
        .route("/admin/backups/target/send", post(send))
        .route("/admin/backups/target/look", post(look))
        .route("/admin/backups/target/accept", post(accept))
        .route("/admin/backups/target/forget-key", post(forget_key))
}

/// The target as the page shows it.
pub struct TargetPanel {
    /// Its address. Absent: none is set up.
    pub address: Option<String>,
    /// What came of the last backup that was sent.
    pub sent: Option<Line>,
    /// What came of the last look, where that was after it.
    pub looked: Option<Line>,
    /// What came of the last backup that was fetched from there and tried.
    pub drilled: Option<Line>,
    /// The box's key, for the server.
    pub public_key: Option<String>,
    /// The fingerprint that counts.
    pub accepted: Option<String>,
    /// The fingerprint that waits.
    pub offered: Option<String>,
    /// The form.
    pub fields: Vec<FieldView>,
}

/// A field of the form.
pub struct FieldView {
    /// The setting.
    pub key: &'static str,
    /// Its name, for people.
    pub label: String,
    /// What it is set to.
    pub value: String,
    /// Whether it is not shown.
    pub is_secret: bool,
}

impl TargetPanel {
    /// Of what is known.
    pub fn of(t: Texts, view: &BackupView) -> Self {
        let target = view.target.as_ref();
        let outcome = |kind: &str| view.outcomes.0.get(kind).filter(|_| target.is_some());
        let sent = outcome("target");
        let looked = outcome("look").filter(|look| sent.is_none_or(|sent| sent.at < look.at));
        Self {
            address: target.map(|target| target.settings.url.as_str().to_owned()),
            sent: sent.map(|sent| sentence(t, sent, "backup-target-sent")),
            looked: looked.map(|looked| match looked.error {
                Some(_) => sentence(t, looked, ""),
                None => counted(t, looked.at, target),
            }),
            drilled: outcome("target-drill")
                .map(|drill| sentence(t, drill, "backup-target-drilled")),
            public_key: target.and_then(|target| target.public_key.clone()),
            accepted: target.and_then(|target| target.accepted.clone()),
            offered: target.and_then(|target| target.offered.clone()),
            fields: fields(t, target.map(|target| &target.settings)),
        }
    }
}

fn counted(t: Texts, at: i64, target: Option<&TargetView>) -> Line {
    let number = target.map_or(0, |target| target.lying.len()).to_string();
    let values = [("time", moment(at)), ("number", number)];
    let values = values.each_ref().map(|(key, value)| (*key, value.as_str()));
    Line {
        is_good: true,
        text: t.with("backup-target-looked", &values),
    }
}

fn fields(t: Texts, settings: Option<&Target>) -> Vec<FieldView> {
    let shown = |of: fn(&Target) -> Option<&str>| settings.and_then(of).unwrap_or_default();
    let values = [
        ("backup-target-url", shown(|s| Some(s.url.as_str()))),
        (
            "backup-target-endpoint",
            shown(|s| Some(s.endpoint.as_ref()?.as_str())),
        ),
        (
            "backup-target-region",
            shown(|s| Some(s.region.as_ref()?.as_str())),
        ),
        (
            "backup-target-access-key",
            shown(|s| Some(s.access_key.as_ref()?.as_str())),
        ),
        ("backup-target-secret-key", ""),
        (
            "backup-target-authority",
            shown(|s| Some(s.authority.as_ref()?.as_str())),
        ),
    ];
    let fields = Target::KEYS.into_iter().zip(values);
    fields
        .map(|(key, (label, value))| FieldView {
            key,
            label: t.m(label),
            value: value.to_owned(),
            is_secret: key == "backup.secret_key",
        })
        .collect()
}

/// Why the target could not be used, in the page's language.
pub fn explained(t: Texts, kind: Kind, detail: &str) -> String {
    t.m(match kind {
        Kind::HostKeyUnknown => "target-host-key-unknown",
        Kind::HostKeyChanged => "target-host-key-changed",
        Kind::KeyRefused => "target-key-refused",
        Kind::NoFolder => "target-no-folder",
        Kind::NoBucket => "target-no-bucket",
        Kind::NotAllowed => "target-not-allowed",
        Kind::WrongAccessKey => "target-wrong-access-key",
        Kind::WrongSecret => "target-wrong-secret",
        Kind::WrongRegion => "target-wrong-region",
        Kind::Clock => "target-clock",
        Kind::Certificate => "target-certificate",
        Kind::Full => "target-full",
        Kind::TooLarge => "target-too-large",
        Kind::NoName => "target-no-name",
        Kind::NoAnswer => "target-no-answer",
        Kind::Cut => "target-cut",
        Kind::Altered => "target-altered",
        Kind::NoBackup => "target-no-backup",
        // What was said is all that is known.
        Kind::Box | Kind::Other => return detail.to_owned(),
    })
}

/// Sets the target up, and looks whether it can be used.
async fn set(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let typed = |key: &&str| ((*key).to_owned(), fields.get(key).trim().to_owned());
    let pairs = Target::KEYS.iter().map(typed).collect();
    change(&web, &by, pairs, true).await
}

async fn forget(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    let pairs = Target::KEYS.map(|key| (key.to_owned(), String::new()));
    change(&web, &by, pairs.into(), false).await
}

async fn change(web: &Web, by: &Admin, pairs: Vec<(String, String)>, and_look: bool) -> Response {
    let command = Command::ChangeSettings {
        pairs,
        dry_run: false,
    };
    let visitor = &by.visitor;
    match web.agent.ask(visitor.actor(), command).await {
        Ok(_) if and_look => {
            give(
                web,
                visitor,
                Command::Target(TargetCommand::Look),
                "?done=saved",
            )
            .await
        }
        Ok(_) => axum::response::IntoResponse::into_response(axum::response::Redirect::to(
            "/admin/backups?done=saved",
        )),
        Err(refusal) if refusal.why == Why::Invalid => {
            let text = settings_words::refusal(visitor.t, &refusal, str::to_owned);
            let fault = visitor.t.with("settings-invalid", &[("detail", &text)]);
            page(web, visitor, None, Some(fault)).await
        }
        Err(refusal) => errors::agent(visitor, &refusal),
    }
}

async fn send(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    let command = Command::Target(TargetCommand::Send);
    give(&web, &by.visitor, command, "").await
}

async fn look(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    let command = Command::Target(TargetCommand::Look);
    give(&web, &by.visitor, command, "").await
}

/// Accepts the key that was shown, and looks what lies there.
async fn accept(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let fingerprint = fields.get("fingerprint").to_owned();
    let command = Command::Target(TargetCommand::AcceptHostKey { fingerprint });
    let visitor = &by.visitor;
    match web.agent.ask(visitor.actor(), command).await {
        Ok(_) => {
            give(
                &web,
                visitor,
                Command::Target(TargetCommand::Look),
                "?done=saved",
            )
            .await
        }
        // Another one waits by now: the page shows it.
        Err(refusal) => {
            let detail = visitor.t.said(&refusal.text);
            let fault = visitor.t.with("backup-refused", &[("detail", &detail)]);
            page(&web, visitor, None, Some(fault)).await
        }
    }
}

async fn forget_key(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    let command = Command::Target(TargetCommand::ForgetHostKey);
    give(&web, &by.visitor, command, "?done=saved").await
}
