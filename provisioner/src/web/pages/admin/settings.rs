//! The box's settings: a change is shown before it is made, can be taken back, and a new network wants to be confirmed.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use super::notice::Notice;
use super::settings_groups::{
    GROUPS, GroupView, OPEN_WIFI, as_value, group_views, typed as as_typed,
};
use crate::agent::client::unexpected;
use crate::agent::command::{Answer, Changed, Command, Refusal, SettingsView, Why};
use crate::settings::keys::SECRET_KEYS;
use crate::settings::plan::Step;
use crate::settings::{history, keys as settings};
use crate::tuning::report::{Outcome, Row};
use crate::web::Web;
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::settings_words;
use crate::web::texts::Texts;
use crate::web::visitor::{Admin, Fields, Sent};

/// What opens the Wi-Fi network.
const WIFI_PASSWORD: &str = "wifi.password";
/// The field that says that a secret waits for the change.
const HELD: &str = "held";

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/admin/settings", get(list).post(preview))
        .route("/admin/settings/apply", post(apply))
        .route("/admin/settings/undo", post(undo))
        .route("/admin/settings/confirm", post(confirm))
        .route("/admin/settings/tuning", get(tuning))
}

#[derive(Template)]
#[template(path = "settings.html")]
struct List {
    page: Page,
    notice: Option<String>,
    fault: Option<String>,
    groups: Vec<GroupView>,
    history: Vec<history::Entry>,
    on_trial: bool,
}

/// A change before it is made, or after.
#[derive(Template)]
#[template(path = "settings_change.html")]
struct Change {
    page: Page,
    changed: Changed,
    pairs: Vec<(String, String)>,
    /// Whether a secret waits in memory for the change.
    is_held: bool,
    is_made: bool,
}

impl List {
    fn choice(&self, value: &str) -> String {
        settings_words::choice(self.page.t, value)
    }

    fn label(&self, change: &settings::Change) -> String {
        label(self.page.t, &change.key)
    }

    fn shown(&self, toml: &Option<String>) -> String {
        shown(self.page.t, toml.as_ref())
    }
}

impl Change {
    fn label(&self, change: &settings::Change) -> String {
        label(self.page.t, &change.key)
    }

    fn shown(&self, toml: &Option<String>) -> String {
        shown(self.page.t, toml.as_ref())
    }

    fn step(&self, step: &Step) -> String {
        settings_words::step(self.page.t, step)
    }
}

#[derive(Template)]
#[template(path = "tuning.html")]
struct Tuning {
    page: Page,
    rows: Vec<Row>,
}

async fn view(web: &Web, admin: &Admin) -> Result<SettingsView, Refusal> {
    match web
        .agent
        .ask(admin.visitor.actor(), Command::Settings)
        .await?
    {
        Answer::Settings(view) => Ok(*view),
        other => Err(unexpected(&other)),
    }
}

fn current(view: &SettingsView) -> BTreeMap<String, String> {
    let values = view.values.iter();
    values
        .filter_map(|(key, value)| Some((key.clone(), as_typed(value.as_ref()?))))
        .collect()
}

async fn page(
    web: &Web,
    admin: &Admin,
    changed: &BTreeMap<String, String>,
    notice: Option<String>,
    fault: Option<String>,
) -> Response {
    let view = match view(web, admin).await {
        Ok(view) => view,
        Err(refusal) => return errors::agent(&admin.visitor, &refusal),
    };
    let mut values = current(&view);
    values.extend(changed.clone());
    let mut history = view.history;
    history.reverse();
    let shown = List {
        page: Page::of(&admin.visitor),
        notice,
        fault,
        groups: group_views(admin.visitor.t, &values),
        history,
        on_trial: view.on_trial,
    };
    show_page(admin.visitor.t.0, &shown)
}

async fn list(State(web): State<Arc<Web>>, admin: Admin, Query(notice): Query<Notice>) -> Response {
    let notice = notice.text(admin.visitor.t);
    page(&web, &admin, &BTreeMap::new(), notice, None).await
}

/// How the page names a setting, without what a field wants; a setting that it does not have by its key.
fn label(t: Texts, key: &str) -> String {
    let mut fields = GROUPS.iter().flat_map(|(_, fields)| fields.iter());
    let found = fields.find(|(known, _, _)| *known == key);
    let text = found.map_or_else(|| key.to_owned(), |(_, label, _)| t.m(label));
    let name = text.split([':', '：']).next().unwrap_or_default();
    name.trim().to_owned()
}

/// A value of TOML for people.
fn shown(t: Texts, toml: Option<&String>) -> String {
    toml.map_or_else(
        || "–".to_owned(),
        |toml| settings_words::choice(t, &as_typed(toml)),
    )
}

fn explain(t: Texts, refusal: &Refusal) -> String {
    let label = |key: &str| label(t, key);
    match refusal.why {
        Why::Invalid => {
            let detail = settings_words::refusal(t, refusal, label);
            t.with("settings-invalid", &[("detail", &detail)])
        }
        _ => t.with("change-failed", &[("detail", &t.said(&refusal.text))]),
    }
}

/// What somebody has typed that differs from what is set. An empty secret stays as it is.
fn differences(fields: &Fields, before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let sent = |name: &str| fields.0.iter().any(|(field, _)| field == name);
    let known = GROUPS
        .iter()
        .flat_map(|(_, fields)| fields.iter().map(|(key, _, _)| *key));
    let typed = known.filter(|key| sent(key)).map(|key| {
        let is_secret = SECRET_KEYS.contains(&key);
        let value = if is_secret {
            fields.raw(key)
        } else {
            fields.get(key)
        };
        (key.to_owned(), value.to_owned())
    });
    let differs = |(key, value): &(String, String)| {
        before.get(key).map_or("", String::as_str) != value.as_str()
    };
    let mut typed: BTreeMap<String, String> = typed.filter(differs).collect();
    let has = |key: &str| before.contains_key(key);
    if sent(OPEN_WIFI) && has(WIFI_PASSWORD) && !typed.contains_key(WIFI_PASSWORD) {
        typed.insert(WIFI_PASSWORD.to_owned(), String::new());
    }
    typed
}

/// Says what the change would do.
async fn preview(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let before = match view(&web, &by).await {
        Ok(view) => current(&view),
        Err(refusal) => return errors::agent(&by.visitor, &refusal),
    };
    let typed = differences(&fields, &before);
    let pairs: Vec<(String, String)> = typed
        .iter()
        .map(|(key, value)| (key.clone(), as_value(key, value)))
        .collect();
    if pairs.is_empty() {
        let text = by.visitor.t.m("settings-nothing");
        return page(&web, &by, &typed, None, Some(text)).await;
    }
    let command = Command::ChangeSettings {
        pairs: pairs.clone(),
        dry_run: true,
    };
    match web.agent.ask(by.visitor.actor(), command).await {
        Ok(Answer::Changed(changed)) => {
            let is_secret = |(key, value): &(String, String)| {
                SECRET_KEYS.contains(&key.as_str()) && !value.is_empty()
            };
            let (secrets, pairs) = pairs.into_iter().partition(is_secret);
            let is_held = web.held.put(&by.visitor.mark(), secrets);
            change_page(&by, changed, pairs, is_held, false)
        }
        Ok(other) => errors::agent(&by.visitor, &unexpected(&other)),
        Err(refusal) => {
            let text = explain(by.visitor.t, &refusal);
            page(&web, &by, &typed, None, Some(text)).await
        }
    }
}

fn change_page(
    by: &Admin,
    changed: Changed,
    pairs: Vec<(String, String)>,
    is_held: bool,
    is_made: bool,
) -> Response {
    let shown = Change {
        page: Page::of(&by.visitor),
        changed,
        pairs,
        is_held,
        is_made,
    };
    show_page(by.visitor.t.0, &shown)
}

async fn apply(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let wants_secret = fields.get(HELD) == "yes";
    let mut pairs: Vec<(String, String)> = fields
        .0
        .into_iter()
        .filter(|(name, _)| !["token", HELD].contains(&name.as_str()))
        .collect();
    if wants_secret {
        let Some(secrets) = web.held.take(&by.visitor.mark()) else {
            let text = by.visitor.t.m("settings-secret-lost");
            return page(&web, &by, &BTreeMap::new(), None, Some(text)).await;
        };
        pairs.extend(secrets);
    }
    let command = Command::ChangeSettings {
        pairs,
        dry_run: false,
    };
    carry_out(&web, &by, command).await
}

async fn undo(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let number = fields.get("number").parse().unwrap_or_default();
    carry_out(&web, &by, Command::UndoSettings { number }).await
}

async fn carry_out(web: &Web, by: &Admin, command: Command) -> Response {
    match web.agent.ask(by.visitor.actor(), command).await {
        Ok(Answer::Changed(changed)) => change_page(by, changed, Vec::new(), false, true),
        Ok(other) => errors::agent(&by.visitor, &unexpected(&other)),
        Err(refusal) => {
            let text = explain(by.visitor.t, &refusal);
            page(web, by, &BTreeMap::new(), None, Some(text)).await
        }
    }
}

async fn confirm(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    let reached = by.visitor.reached;
    let command = Command::ConfirmNetwork { reached };
    match web.agent.ask(by.visitor.actor(), command).await {
        Ok(_) => Redirect::to("/admin/settings?done=confirmed").into_response(),
        Err(refusal) => {
            let text = match refusal.why {
                Why::Elsewhere => elsewhere(&web, &by).await,
                _ => explain(by.visitor.t, &refusal),
            };
            page(&web, &by, &BTreeMap::new(), None, Some(text)).await
        }
    }
}

/// Where to confirm the network: its fixed addresses.
async fn elsewhere(web: &Web, by: &Admin) -> String {
    let values = view(web, by).await.map(|view| current(&view));
    let values = values.unwrap_or_default();
    let fixed = ["network.ipv4", "network.ipv6"]
        .iter()
        .filter_map(|key| values.get(*key)?.split_once('/'))
        .map(|(address, _)| match address.contains(':') {
            true => format!("https://[{address}]"),
            false => format!("https://{address}"),
        });
    let addresses = fixed.collect::<Vec<_>>().join(", ");
    let values = [("addresses", addresses.as_str())];
    by.visitor.t.with("settings-confirm-elsewhere", &values)
}

async fn tuning(State(web): State<Arc<Web>>, admin: Admin) -> Response {
    let view = match view(&web, &admin).await {
        Ok(view) => view,
        Err(refusal) => return errors::agent(&admin.visitor, &refusal),
    };
    let mut rows = view
        .tuning
        .map(|report| report.settings)
        .unwrap_or_default();
    // What needs a look first.
    rows.sort_by_key(|row| row.outcome != Outcome::Failed);
    let page = Page::of(&admin.visitor);
    show_page(admin.visitor.t.0, &Tuning { page, rows })
}
