//! The first page: whether all is well, figures of this moment, and how they were (`history`).

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::history::{DAY, Picture, Span, Wanted, millis, number, pictures};
use super::{backups, certificate, updates};
use crate::agent::claim::Claim;
use crate::agent::status::BoxStatus;
use crate::disk::{self, Health};
use crate::web::Web;
use crate::web::figures::Figures;
use crate::web::history::{Sample, days_until_full};
use crate::web::page::{self, Page, show as show_page, size};
use crate::web::pages::errors;
use crate::web::texts::Texts;
use crate::web::verdict::{Facts, Level, PATIENCE, verdict};
use crate::web::visitor::{Admin, now};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/admin", get(show))
}

/// What imd says of itself.
#[derive(Debug, Deserialize)]
struct Statistics {
    people: u64,
    people_online: u64,
    rooms: u64,
}

/// A figure.
struct Tile {
    title: String,
    value: String,
    note: String,
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    page: Page,
    level: &'static str,
    sentence: String,
    /// Whether the time can be set by hand.
    wants_time: bool,
    is_set_up: bool,
    network_on_trial: bool,
    /// Whether two words of the recovery key are asked for.
    has_key_to_check: bool,
    tiles: Vec<Tile>,
    pictures: Vec<Picture>,
    from: String,
    to: String,
    is_month: bool,
}

async fn show(
    State(web): State<Arc<Web>>,
    Query(wanted): Query<Wanted>,
    Admin { visitor, .. }: Admin,
) -> Response {
    let status = match web.agent.status().await {
        Ok(status) => status,
        Err(refusal) => return errors::agent(&visitor, &refusal),
    };
    let statistics = web.imd.get::<Statistics>("/statistics").await.ok();
    let backups = backups::view(&web, &visitor).await.ok();
    let update = updates::state(&web, &visitor).await;
    let certificate = certificate::view(&web, &visitor).await.ok();
    let (t, figures, now) = (visitor.t, web.look(), now());
    let month = web.history.hours(now - 30 * DAY).unwrap_or_default();
    let days_left = days_until_full(&month, figures.disk_free);
    let facts = Facts {
        chat: statistics.is_some(),
        status: &status,
        backups: backups.as_ref(),
        update: update.as_ref().map(|(state, _)| state),
        certificate: certificate.as_ref().map(|view| &view.state),
        is_damaged: update.as_ref().is_some_and(|(_, damaged)| *damaged),
        figures: &figures,
        days_left,
        now,
    };
    let (level, sentence) = verdict(&facts);
    let span = Span::of(&web, &wanted);
    let mut tiles = people_tiles(t, statistics.as_ref(), &span.samples);
    tiles.extend(machine_tiles(t, &figures, days_left));
    tiles.extend(box_tiles(t, &status));
    let shown = Home {
        page: Page::of(&visitor),
        level: match level {
            Level::Well => "well",
            Level::Soon => "soon",
            Level::Unwell => "unwell",
        },
        sentence: t.m(sentence),
        wants_time: !status.clock_is_synchronised && status.uptime > PATIENCE,
        is_set_up: !matches!(status.claim, Claim::Made { set_up: false, .. }),
        network_on_trial: status.network_on_trial,
        has_key_to_check: backups.as_ref().is_some_and(|b| b.key_check.is_some()),
        tiles,
        pictures: pictures(t, &span),
        from: page::moment(span.from),
        to: page::moment(span.to),
        is_month: wanted.is_month(),
    };
    show_page(t.0, &shown)
}

fn tile(t: Texts, title: &str, value: impl Into<String>, note: impl Into<String>) -> Tile {
    Tile {
        title: t.m(title),
        value: value.into(),
        note: note.into(),
    }
}

fn people_tiles(t: Texts, statistics: Option<&Statistics>, samples: &[Sample]) -> Vec<Tile> {
    let Some(statistics) = statistics else {
        return Vec::new();
    };
    let online = statistics.people_online.to_string();
    let of = t.count("home-of-people", statistics.people);
    let mut tiles = vec![tile(t, "home-online", online, of)];
    if let Some(rate) = samples.last().and_then(|sample| sample.messages) {
        tiles.push(tile(t, "home-messages", number(rate), ""));
    }
    if let Some(time) = samples.last().and_then(|sample| sample.answer) {
        tiles.push(tile(t, "home-answer", millis(time), t.m("home-answer-how")));
    }
    tiles.push(tile(t, "home-rooms", statistics.rooms.to_string(), ""));
    tiles
}

fn machine_tiles(t: Texts, figures: &Figures, days_left: Option<u64>) -> Vec<Tile> {
    let mut tiles = Vec::new();
    if figures.disk > 0 {
        let left = match days_left {
            Some(days) if days <= 365 => t.count("home-disk-days", days),
            _ => t.with("home-disk-of", &[("size", &size(figures.disk))]),
        };
        tiles.push(tile(t, "home-disk", size(figures.disk_free), left));
    }
    if let Some(tenths) = figures.temperature {
        let note = match figures.throttled {
            Some(true) => t.m("home-throttled"),
            Some(false) => t.m("home-not-throttled"),
            None => String::new(),
        };
        let value = format!("{}.{} °C", tenths / 10, (tenths % 10).abs());
        tiles.push(tile(t, "home-temperature", value, note));
    }
    if let Some(clock) = figures.clock {
        let note = match figures.low_voltage {
            Some(true) => t.m("home-voltage-low"),
            Some(false) => t.m("home-voltage-good"),
            None => String::new(),
        };
        tiles.push(tile(t, "home-clock", format!("{clock} MHz"), note));
    }
    if figures.memory > 0 {
        let of = t.with("home-memory-of", &[("size", &size(figures.memory))]);
        tiles.push(tile(t, "home-memory", size(figures.memory_free), of));
    }
    if let Some(tenths) = figures.worn {
        let value = format!("{} %", u32::from(tenths) * 10);
        tiles.push(tile(t, "home-wear", value, t.m("home-wear-how")));
    }
    tiles.extend(figures.health.as_ref().map(|health| disk_tile(t, health)));
    tiles
}

/// What the disk says of itself, in words.
fn disk_tile(t: Texts, health: &Health) -> Tile {
    let state = match health.state {
        disk::State::Good => "home-disk-good",
        disk::State::Worn => "home-disk-worn-out",
        disk::State::Failing => "home-disk-fails",
        disk::State::NotTold => "home-disk-not-told",
    };
    let mut notes = Vec::new();
    if let Some(percent) = health.worn {
        let percent = percent.to_string();
        notes.push(t.with("home-disk-worn", &[("percent", &percent)]));
    }
    if let Some(sectors) = health.unreadable.filter(|sectors| *sectors > 0) {
        notes.push(t.count("home-disk-unreadable", sectors));
    }
    if let Some(sectors) = health.reallocated.filter(|sectors| *sectors > 0) {
        notes.push(t.count("home-disk-replaced", sectors));
    }
    notes.extend(health.temperature.map(|degrees| format!("{degrees} °C")));
    tile(t, "home-disk-health", t.m(state), notes.join(" · "))
}

fn box_tiles(t: Texts, status: &BoxStatus) -> Vec<Tile> {
    let slot = status.slot.as_deref().unwrap_or("–");
    let slot = t.with("home-slot", &[("slot", slot)]);
    let uptime = t.count("hours", status.uptime / 3600);
    vec![
        tile(t, "home-uptime", uptime, ""),
        tile(t, "home-version", status.version.clone(), slot),
    ]
}
