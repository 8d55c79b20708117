//! The fourth step: time zone, and the time itself where no server tells it.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use super::Wizard;
use crate::agent::command::{Answer, Command, Refusal};
use crate::agent::status::BoxStatus;
use crate::web::Web;
use crate::web::page::{Page, moment, show as show_page};
use crate::web::pages::{clock, errors};
use crate::web::visitor::{Admin, Sent, Visitor};

/// The list of zones that the system has rules of (tz database, zone1970.tab).
const ZONES: &str = "/usr/share/zoneinfo/zone1970.tab";

#[derive(Template)]
#[template(path = "setup_time.html")]
struct Time {
    page: Page,
    wizard: Wizard,
    clock: String,
    synchronised: bool,
    zone: String,
    zones: Vec<String>,
    fault: Option<String>,
}

async fn zone(web: &Web, visitor: &Visitor) -> Result<String, Refusal> {
    let view = match web.agent.ask(visitor.actor(), Command::Settings).await? {
        Answer::Settings(view) => view,
        other => return Err(crate::agent::client::unexpected(&other)),
    };
    let chosen = view.values.into_iter().find(|(key, _)| key == "timezone");
    let chosen = chosen.and_then(|(_, value)| value);
    Ok(chosen.map_or_else(
        || "UTC".to_owned(),
        |zone| zone.trim_matches('"').to_owned(),
    ))
}

fn zones() -> Vec<String> {
    let table = std::fs::read_to_string(ZONES).unwrap_or_default();
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let mut zones: Vec<String> = lines
        .filter_map(|line| line.split('\t').nth(2))
        .map(str::to_owned)
        .chain(["UTC".to_owned()])
        .collect();
    zones.sort();
    zones
}

fn page(visitor: &Visitor, status: &BoxStatus, zone: String, fault: Option<String>) -> Response {
    let shown = Time {
        page: Page::of(visitor),
        wizard: Wizard::at(visitor, "/setup/time"),
        clock: moment(status.clock),
        synchronised: status.clock_is_synchronised,
        zone,
        zones: zones(),
        fault,
    };
    show_page(visitor.t.0, &shown)
}

pub async fn show(State(web): State<Arc<Web>>, Admin { visitor, .. }: Admin) -> Response {
    match (web.agent.status().await, zone(&web, &visitor).await) {
        (Ok(status), Ok(zone)) => page(&visitor, &status, zone, None),
        (Err(refusal), _) | (_, Err(refusal)) => errors::agent(&visitor, &refusal),
    }
}

pub async fn set(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let visitor = by.visitor;
    let status = match web.agent.status().await {
        Ok(status) => status,
        Err(refusal) => return errors::agent(&visitor, &refusal),
    };
    let zone = fields.get("zone").to_owned();
    let again = |fault: String| page(&visitor, &status, zone.clone(), Some(fault));
    let t = visitor.t;
    let pairs = vec![("timezone".to_owned(), zone.clone())];
    let change = Command::ChangeSettings {
        pairs,
        dry_run: false,
    };
    if let Err(refusal) = web.agent.ask(visitor.actor(), change).await {
        return again(t.with("change-failed", &[("detail", &refusal.text)]));
    }
    match clock::take_over(&web, &visitor, &status, &fields).await {
        Ok(_) => Redirect::to("/setup/trust").into_response(),
        Err(fault) => again(fault),
    }
}
