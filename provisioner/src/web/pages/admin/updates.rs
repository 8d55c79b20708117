//! Updates: what runs, what there is, and the buttons that install it or go back.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use super::backups::again;
use super::update_stick::{self, StickRow};
use crate::agent::client::unexpected;
use crate::agent::command::{Answer, Command, Refusal, Why};
use crate::agent::updates::{UpdateView, available, is_at_rest};
use crate::update::backup_age::BackupAge;
use crate::update::job::Job;
use crate::update::kept::Trouble;
use crate::update::machine::State as Update;
use crate::update::progress::Progress;
use crate::update::{channel, database};
use crate::web::Web;
use crate::web::page::{self, Page, show as show_page};
use crate::web::pages::errors;
use crate::web::texts::Texts;
use crate::web::visitor::{Admin, Sent, Visitor};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/admin/updates", get(show))
        .route("/admin/updates/check", post(check))
        .route("/admin/updates/install", post(install))
        .route("/admin/updates/back", post(go_back))
        .route("/admin/updates/journal", get(journal))
        .merge(super::update_file::routes())
        .merge(super::update_stick::routes())
}

/// A sentence, and how it is shown.
struct Line {
    kind: &'static str,
    text: String,
}

/// How far the other slot is written.
struct Bar {
    percent: u32,
    text: String,
}

#[derive(Template)]
#[template(path = "updates.html")]
struct Updates {
    page: Page,
    fault: Option<String>,
    is_damaged: bool,
    running: String,
    other: String,
    state: Line,
    /// What is left over from an update that failed.
    remains: Vec<String>,
    bar: Option<Bar>,
    /// Whether the box goes away now and comes back.
    is_restarting: bool,
    has_journal: bool,
    checked: String,
    trouble: Option<String>,
    /// Who is asked. `None`: nobody.
    publisher: Option<String>,
    publisher_fault: Option<String>,
    /// Whether the box installs by itself, and when.
    habit: String,
    is_under_way: bool,
    available: Option<String>,
    back: Option<String>,
    /// Why there is no way back.
    no_way_back: Option<String>,
    backup: Line,
    /// Whether only the owner's word lets an update begin.
    is_backup_wanted: bool,
    sticks: Vec<StickRow>,
}

/// Where an update is, and whether the running system is damaged. `None`: the agent does not say.
pub(super) async fn state(web: &Web, visitor: &Visitor) -> Option<(Update, bool)> {
    let asked = web.agent.ask(visitor.actor(), Command::UpdateState).await;
    match asked {
        Ok(Answer::UpdateState { state, is_damaged }) => Some((*state, is_damaged)),
        _ => None,
    }
}

async fn show(State(web): State<Arc<Web>>, Admin { visitor, .. }: Admin) -> Response {
    page(&web, &visitor, None).await
}

/// All that is known of updates.
///
/// # Errors
/// The agent does not say.
pub(super) async fn view(web: &Web, visitor: &Visitor) -> Result<UpdateView, Refusal> {
    match web.agent.ask(visitor.actor(), Command::Updates).await? {
        Answer::Updates(view) => Ok(*view),
        other => Err(unexpected(&other)),
    }
}

/// The page, with what is wrong with a form.
pub(super) async fn page(web: &Web, visitor: &Visitor, fault: Option<String>) -> Response {
    let mut view = match view(web, visitor).await {
        Ok(view) => view,
        Err(refusal) => return errors::agent(visitor, &refusal),
    };
    let t = visitor.t;
    // What is said about a form stays until somebody has read it.
    let is_looking = update_stick::have_looked(web, visitor, &mut view).await && fault.is_none();
    let is_restarting = is_restarting(&view);
    let shown = Updates {
        page: Page::of(visitor),
        fault,
        is_damaged: view.is_damaged,
        running: running(t, &view),
        other: other(t, &view),
        state: sentence(t, &view),
        remains: remains(t, &view),
        bar: view.progress.map(|progress| bar(t, progress)),
        is_restarting,
        has_journal: view.has_journal,
        checked: match view.checked {
            Some(at) => t.with("update-checked", &[("time", &page::moment(at))]),
            None => t.m("update-never-checked"),
        },
        trouble: view.trouble.as_ref().map(|trouble| explain(t, trouble)),
        publisher: view.publisher.as_ref().map(|url| {
            let values = [("url", url.as_str()), ("channel", view.channel.as_str())];
            t.with("update-publisher-is", &values)
        }),
        publisher_fault: view.publisher_fault.clone(),
        habit: if view.is_automatic {
            t.with("update-automatic", &[("window", &view.window)])
        } else {
            t.m("update-by-hand")
        },
        is_under_way: view.is_under_way,
        available: available(&view.update).cloned(),
        backup: backup(t, view.backup),
        is_backup_wanted: view.backup.refusal().is_some(),
        sticks: update_stick::rows(t, &view.sticks),
        back: view.may_go_back.then(|| back(t, &view)),
        no_way_back: view
            .no_way_back
            .as_ref()
            .map(|gap| t.with("update-no-way-back", &[("version", gap.version.as_str())])),
    };
    let response = show_page(t.0, &shown);
    // A box that is away has no page to load; the one that says so stays.
    if is_looking || (view.is_under_way && !is_restarting) {
        again(response)
    } else {
        response
    }
}

/// What the newest backup's age means for an update.
fn backup(t: Texts, age: BackupAge) -> Line {
    let at = |key: &str, at: i64| t.with(key, &[("time", &page::moment(at))]);
    let (kind, text) = match age {
        BackupAge::Fresh { at: made } => ("quiet", at("update-backup-fresh", made)),
        BackupAge::NeverSetUp => ("note", t.m("update-backup-never")),
        BackupAge::Missing => ("fault", t.m("update-backup-missing")),
        BackupAge::Damaged => ("fault", t.m("update-backup-damaged")),
        BackupAge::Old { at: made, .. } => ("fault", at("update-backup-old", made)),
    };
    Line { kind, text }
}

/// Whether the slot that runs is about to be left.
fn is_restarting(view: &UpdateView) -> bool {
    match &view.update {
        Update::Trial { from, verdict, .. } => view.slot == Some(*from) || verdict.is_some(),
        _ => false,
    }
}

/// "version 1.2.0", or what stands for one that nobody knows.
fn version(t: Texts, version: Option<&str>) -> String {
    match version {
        Some(version) => t.with("update-version", &[("version", version)]),
        None => t.m("update-version-before"),
    }
}

fn running(t: Texts, view: &UpdateView) -> String {
    let version = version(t, Some(&view.running));
    match view.slot {
        Some(slot) => {
            let values = [("version", version.as_str()), ("slot", slot.name())];
            t.with("update-running", &values)
        }
        None => t.with("update-running-somewhere", &[("version", &version)]),
    }
}

/// The button that restarts into the other slot, which has a newer version after the owner went back once.
fn back(t: Texts, view: &UpdateView) -> String {
    let other = view.other.as_deref();
    let is_newer = other.is_some_and(|other| channel::compare(other, &view.running).is_gt());
    let key = if is_newer {
        "update-forward"
    } else {
        "update-back"
    };
    t.with(key, &[("version", &version(t, other))])
}

fn other(t: Texts, view: &UpdateView) -> String {
    let Some(slot) = view.slot.map(|slot| slot.other().name()) else {
        return String::new();
    };
    match (&view.update, &view.other) {
        (Update::Downloading { .. }, _) if view.is_under_way => {
            t.with("update-other-written", &[("slot", slot)])
        }
        (_, Some(other)) => {
            let version = version(t, Some(other));
            t.with(
                "update-other",
                &[("version", version.as_str()), ("slot", slot)],
            )
        }
        (_, None) => t.with("update-other-first", &[("slot", slot)]),
    }
}

/// Where an update is, in words.
fn sentence(t: Texts, view: &UpdateView) -> Line {
    let line = |kind: &'static str, text: String| Line { kind, text };
    let about = |key: &str, name: &str| t.with(key, &[("version", name)]);
    if view.is_under_way && is_at_rest(&view.update) {
        let key = match view.asked {
            Some(Job::Stick) => "update-copying",
            Some(Job::Install | Job::Upload | Job::Rollback) => "update-begins",
            Some(Job::Check) | None => "update-checking",
        };
        return line("note", t.m(key));
    }
    match &view.update {
        Update::Idle => line("quiet", t.m("update-nothing")),
        Update::Available { release } if release.source.is_some() => {
            line("good", about("update-available", &release.version))
        }
        Update::Available { .. } => line("quiet", t.m("update-nothing")),
        Update::Preflight { release }
        | Update::Downloading { release }
        | Update::Installed { release }
            if !view.is_under_way =>
        {
            line("fault", about("update-interrupted", &release.version))
        }
        Update::Preflight { release } => line("note", about("update-preflight", &release.version)),
        Update::Downloading { release } => {
            let is_far = release.source.as_deref().is_some_and(|s| s.contains("://"));
            let key = if is_far {
                "update-downloading"
            } else {
                "update-writing"
            };
            line("note", about(key, &release.version))
        }
        Update::Installed { release } => line("note", about("update-restarting", &release.version)),
        Update::Trial {
            verdict: Some(_), ..
        } => line("fault", t.m("update-leaving")),
        Update::Trial { release, .. } if is_restarting(view) => {
            line("note", about("update-restarting", &release.version))
        }
        Update::Trial { .. } => line("note", about("update-trial", &view.running)),
        Update::Committed { .. } => line("good", about("update-kept", &view.running)),
        Update::Failed {
            release, reason, ..
        } => {
            let reason = t.said(reason);
            let values = [
                ("version", release.version.as_str()),
                ("running", &view.running),
                ("detail", &reason),
            ];
            line("fault", t.with("update-failed", &values))
        }
    }
}

/// What an update that failed has left to be known or done.
fn remains(t: Texts, view: &UpdateView) -> Vec<String> {
    let is_undone = !view.update.is_being_undone() || view.is_under_way;
    let detail = t.said(view.left_over.as_deref().unwrap_or_default());
    let undo = (!is_undone).then(|| t.with("update-undo", &[("detail", &detail)]));
    let aside = view.aside.map(|at| {
        let time = page::moment(at);
        t.with(
            "update-aside",
            &[("time", &time), ("path", database::AFTER)],
        )
    });
    undo.into_iter().chain(aside).collect()
}

fn bar(t: Texts, progress: Progress) -> Bar {
    let percent = progress.percent.to_string();
    let mut parts = vec![t.with("update-percent", &[("percent", &percent)])];
    if let Some(rate) = progress.rate {
        parts.push(t.with("update-rate", &[("size", &page::size(rate))]));
    }
    if let Some(seconds) = progress.left {
        parts.push(t.count("update-left", seconds.div_ceil(60)));
    }
    Bar {
        percent: progress.percent,
        text: parts.join(" · "),
    }
}

fn explain(t: Texts, trouble: &Trouble) -> String {
    let key = match trouble.job {
        Job::Check => "update-check-failed",
        Job::Install | Job::Upload | Job::Stick | Job::Rollback => "update-not-begun",
    };
    let time = page::moment(trouble.at);
    t.with(
        key,
        &[("time", &time), ("detail", &t.said(&trouble.reason))],
    )
}

async fn check(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    give(&web, &by.visitor, Command::CheckForUpdate).await
}

async fn install(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let command = Command::InstallUpdate {
        version: fields.get("version").to_owned(),
        without_backup: !fields.get("without-backup").is_empty(),
    };
    give(&web, &by.visitor, command).await
}

async fn go_back(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    give(&web, &by.visitor, Command::GoBack).await
}

/// Gives a command, and shows what comes of it.
pub(super) async fn give(web: &Web, visitor: &Visitor, command: Command) -> Response {
    match web.agent.ask(visitor.actor(), command).await {
        Ok(_) => Redirect::to("/admin/updates").into_response(),
        Err(refusal) => page(web, visitor, Some(refused(visitor.t, &refusal))).await,
    }
}

fn refused(t: Texts, refusal: &Refusal) -> String {
    match refusal.why {
        Why::UnderWay => t.m("update-refused-busy"),
        Why::Invalid => t.m("update-refused-changed"),
        _ => t.with("update-refused", &[("detail", &t.said(&refusal.text))]),
    }
}

async fn journal(State(web): State<Arc<Web>>, Admin { visitor, .. }: Admin) -> Response {
    let text = match web.agent.ask(visitor.actor(), Command::FailedJournal).await {
        Ok(Answer::FailedJournal(text)) => text,
        Ok(other) => return errors::agent(&visitor, &unexpected(&other)),
        Err(_) => return errors::absent(&visitor),
    };
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        ),
        (
            CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"perch-failed-update.txt\""),
        ),
    ];
    (headers, text).into_response()
}
