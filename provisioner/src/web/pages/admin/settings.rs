//! The box's settings: a change is shown before it is made, can be taken back, and a new network wants to be confirmed.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use super::notice::Notice;
use crate::agent::client::unexpected;
use crate::agent::command::{Answer, Changed, Command, Refusal, SettingsView, Why};
use crate::settings::plan::Step;
use crate::settings::{history, keys as settings};
use crate::tuning::report::{Outcome, Row};
use crate::web::Web;
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::settings_words;
use crate::web::texts::Texts;
use crate::web::visitor::{Admin, Sent};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/admin/settings", get(list).post(preview))
        .route("/admin/settings/apply", post(apply))
        .route("/admin/settings/undo", post(undo))
        .route("/admin/settings/confirm", post(confirm))
        .route("/admin/settings/tuning", get(tuning))
}

/// The settings that the page offers, in groups: key, text, and the choices where there are few.
const GROUPS: [(&str, &[Field]); 6] = [
    (
        "settings-group-box",
        &[
            ("hostname", "host-name", &[]),
            ("domain", "domain", &[]),
            ("language", "language", &["en", "zh"]),
            ("timezone", "time-zone", &[]),
            ("time.servers", "settings-time-servers", &[]),
        ],
    ),
    (
        "settings-group-speed",
        &[(
            "profile",
            "settings-profile",
            &["balanced", "performance", "quiet"],
        )],
    ),
    (
        "settings-group-network",
        &[
            ("network.ipv4", "settings-ipv4", &[]),
            ("network.ipv4_gateway", "settings-ipv4-gateway", &[]),
            ("network.ipv6", "settings-ipv6", &[]),
            ("network.ipv6_gateway", "settings-ipv6-gateway", &[]),
            ("network.dns", "settings-dns", &[]),
            ("network.vlan", "settings-vlan", &[]),
            ("network.interface", "settings-interface", &[]),
        ],
    ),
    (
        "settings-group-updates",
        &[
            ("updates.url", "settings-updates-url", &[]),
            ("updates.channel", "settings-updates-channel", &[]),
            (
                "updates.automatic",
                "settings-updates-automatic",
                &["true", "false"],
            ),
            ("updates.window", "settings-updates-window", &[]),
        ],
    ),
    (
        "settings-group-acme",
        &[
            ("acme.enabled", "settings-acme-enabled", &["true", "false"]),
            (
                "acme.agree_terms",
                "settings-acme-terms",
                &["true", "false"],
            ),
            ("acme.email", "settings-acme-email", &[]),
            (
                "acme.challenge",
                "settings-acme-challenge",
                &["http-01", "dns-01"],
            ),
            ("acme.hook", "settings-acme-hook", &[]),
            ("acme.directory", "settings-acme-directory", &[]),
        ],
    ),
    (
        "settings-group-ssh",
        &[
            ("ssh.enabled", "settings-ssh", &["true", "false"]),
            ("ssh.authorized_keys", "settings-ssh-keys", &[]),
        ],
    ),
];

type Field = (&'static str, &'static str, &'static [&'static str]);

struct GroupView {
    /// Other pages point to it.
    id: &'static str,
    title: String,
    fields: Vec<FieldView>,
}

struct FieldView {
    key: &'static str,
    label: String,
    value: String,
    choices: &'static [&'static str],
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

/// A value as people type it: a text without quotes, a list with commas.
fn typed(toml: &str) -> String {
    let table: Option<toml::Table> = format!("value = {toml}").parse().ok();
    match table.as_ref().and_then(|table| table.get("value")) {
        Some(toml::Value::String(text)) => text.clone(),
        Some(toml::Value::Array(items)) => {
            let items = items.iter().filter_map(toml::Value::as_str);
            items.collect::<Vec<_>>().join(", ")
        }
        _ => toml.to_owned(),
    }
}

/// What people have typed as the agent takes it: lists in TOML.
fn as_value(key: &str, typed: &str) -> String {
    let is_list = ["network.dns", "time.servers", "ssh.authorized_keys"].contains(&key);
    if !is_list || typed.is_empty() {
        return typed.to_owned();
    }
    let items = typed
        .split([',', '\n', '，'])
        .map(str::trim)
        .filter(|item| !item.is_empty());
    let items = items.map(|item| toml::Value::String(item.to_owned()));
    toml::Value::Array(items.collect()).to_string()
}

fn group_views(t: Texts, values: &BTreeMap<String, String>) -> Vec<GroupView> {
    let field = |(key, label, choices): &Field| FieldView {
        key,
        label: t.m(label),
        value: values.get(*key).cloned().unwrap_or_default(),
        choices,
    };
    let groups = GROUPS.iter().map(|(title, fields)| GroupView {
        id: title,
        title: t.m(title),
        fields: fields.iter().map(field).collect(),
    });
    groups.collect()
}

fn current(view: &SettingsView) -> BTreeMap<String, String> {
    let values = view.values.iter();
    values
        .filter_map(|(key, value)| Some((key.clone(), typed(value.as_ref()?))))
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
        |toml| settings_words::choice(t, &typed(toml)),
    )
}

fn explain(t: Texts, refusal: &Refusal) -> String {
    let label = |key: &str| label(t, key);
    match refusal.why {
        Why::Invalid => {
            let detail = settings_words::refusal(t, refusal, label);
            t.with("settings-invalid", &[("detail", &detail)])
        }
        _ => t.with("change-failed", &[("detail", &refusal.text)]),
    }
}

/// Says what the change would do.
async fn preview(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let before = match view(&web, &by).await {
        Ok(view) => current(&view),
        Err(refusal) => return errors::agent(&by.visitor, &refusal),
    };
    let known = GROUPS
        .iter()
        .flat_map(|(_, fields)| fields.iter().map(|(key, _, _)| *key));
    let typed: BTreeMap<String, String> = known
        .filter(|key| fields.0.iter().any(|(field, _)| field == key))
        .map(|key| (key.to_owned(), fields.get(key).to_owned()))
        .filter(|(key, value)| before.get(key).map_or("", String::as_str) != value)
        .collect();
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
        Ok(Answer::Changed(changed)) => change_page(&by, changed, pairs, false),
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
    is_made: bool,
) -> Response {
    let shown = Change {
        page: Page::of(&by.visitor),
        changed,
        pairs,
        is_made,
    };
    show_page(by.visitor.t.0, &shown)
}

async fn apply(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let pairs = fields
        .0
        .into_iter()
        .filter(|(name, _)| name != "token")
        .collect();
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
        Ok(Answer::Changed(changed)) => change_page(by, changed, Vec::new(), true),
        Ok(other) => errors::agent(&by.visitor, &unexpected(&other)),
        Err(refusal) => {
            let text = explain(by.visitor.t, &refusal);
            page(web, by, &BTreeMap::new(), None, Some(text)).await
        }
    }
}

async fn confirm(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    match web
        .agent
        .ask(by.visitor.actor(), Command::ConfirmNetwork)
        .await
    {
        Ok(_) => Redirect::to("/admin/settings?done=confirmed").into_response(),
        Err(refusal) => {
            let text = explain(by.visitor.t, &refusal);
            page(&web, &by, &BTreeMap::new(), None, Some(text)).await
        }
    }
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

#[cfg(test)]
mod tests {
    use super::{as_value, typed};

    #[test]
    fn values_are_typed_without_signs_of_toml() {
        for (key, shown, toml) in [
            ("hostname", "office", "\"office\""),
            ("network.vlan", "10", "10"),
            (
                "network.dns",
                "192.168.1.1, fd00::1",
                "[\"192.168.1.1\", \"fd00::1\"]",
            ),
        ] {
            assert_eq!(typed(toml), shown);
            let back = as_value(key, shown);
            assert!(back == shown || back == toml, "{back}");
        }
        assert_eq!(as_value("network.dns", ""), "");
    }
}
