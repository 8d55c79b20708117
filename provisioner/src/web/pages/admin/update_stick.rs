//! A version on a USB stick: for who has it as a file, and no way to send a large one.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;

use super::update_file::has_room;
use super::updates::{give, page, view};
use crate::agent::command::Command;
use crate::agent::updates::UpdateView;
use crate::model::bundle::{BundleName, StickId};
use crate::update::stick::{Bundle, Look, StickView};
use crate::update::stick_copy::Chosen;
use crate::web::Web;
use crate::web::page::size;
use crate::web::texts::Texts;
use crate::web::visitor::{Admin, Sent, Visitor};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/admin/updates/stick", post(chosen))
}

/// A stick, with what there is to choose.
pub(super) struct StickRow {
    /// As the form sends it.
    pub(super) id: String,
    pub(super) title: String,
    /// What is said instead of a list.
    pub(super) note: Option<Note>,
    pub(super) bundles: Vec<BundleRow>,
}

/// A sentence, and how it is shown.
pub(super) struct Note {
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// A file on a stick.
pub(super) struct BundleRow {
    /// As the form sends it.
    pub(super) name: String,
    pub(super) about: String,
    /// Why it would be refused. Absent: nothing is known against it.
    pub(super) refusal: Option<String>,
}

/// Has the sticks looked at that nobody has looked at yet; they are in `view` then, as being looked at. Returns whether any is.
pub(super) async fn have_looked(web: &Web, visitor: &Visitor, view: &mut UpdateView) -> bool {
    let is_waiting = |stick: &StickView| stick.look == Look::Waiting;
    if !view.is_under_way && view.sticks.iter().any(is_waiting) {
        let asked = web.agent.ask(visitor.actor(), Command::LookAtSticks).await;
        for stick in view.sticks.iter_mut().filter(|stick| is_waiting(stick)) {
            stick.look = match &asked {
                Ok(_) => Look::Looking,
                Err(refusal) => Look::Fault(refusal.text.clone()),
            };
        }
    }
    view.sticks.iter().any(|stick| stick.look == Look::Looking)
}

pub(super) fn rows(t: Texts, sticks: &[StickView]) -> Vec<StickRow> {
    let row = |stick: &StickView| StickRow {
        id: stick.id.as_str().to_owned(),
        title: title(t, stick),
        note: note(t, &stick.look),
        bundles: match &stick.look {
            Look::Found(bundles) => bundles.iter().map(|bundle| of_bundle(t, bundle)).collect(),
            _ => Vec::new(),
        },
    };
    sticks.iter().map(row).collect()
}

/// "Intenso Rainbow · PHOTOS · 31 GB · serial number 4C53"
fn title(t: Texts, stick: &StickView) -> String {
    let serial = t.with("update-stick-serial", &[("serial", &stick.serial)]);
    let words = [
        stick.model.clone(),
        stick.label.clone(),
        stick.bytes.map(size).unwrap_or_default(),
        serial,
    ];
    let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" · ")
}

fn note(t: Texts, look: &Look) -> Option<Note> {
    let (kind, text) = match look {
        Look::Found(bundles) if !bundles.is_empty() => return None,
        Look::Found(_) => ("quiet", t.m("update-stick-empty")),
        Look::Waiting | Look::Busy => ("quiet", t.m("update-stick-busy")),
        Look::Looking => ("note", t.m("update-stick-looking")),
        Look::Unanswered => ("fault", t.m("update-stick-unanswered")),
        Look::Format => ("fault", t.m("update-stick-format")),
        Look::Fault(detail) => (
            "fault",
            t.with("update-stick-fault", &[("detail", &t.said(detail))]),
        ),
    };
    Some(Note { kind, text })
}

fn of_bundle(t: Texts, bundle: &Bundle) -> BundleRow {
    let length = size(bundle.bytes);
    let mut about = vec![bundle.name.as_str().to_owned(), length];
    if let Some(version) = &bundle.version {
        about.push(t.with("update-version", &[("version", version)]));
    }
    let refusal = bundle.refusal.as_ref();
    BundleRow {
        name: bundle.name.as_str().to_owned(),
        about: about.join(" · "),
        refusal: refusal.map(|why| t.with("update-stick-refused", &[("detail", &t.said(why))])),
    }
}

async fn chosen(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let visitor = &by.visitor;
    let names = (
        StickId::new(fields.get("stick")),
        BundleName::new(fields.get("name")),
    );
    let (Ok(stick), Ok(name)) = names else {
        let fault = visitor.t.m("update-refused-changed");
        return page(&web, visitor, Some(fault)).await;
    };
    let chosen = Chosen { stick, name };
    // The agent says all else that speaks against it.
    let view = view(&web, visitor).await;
    let bytes = view.ok().and_then(|view| length(&view, &chosen));
    if let Err(fault) = has_room(visitor.t, &web.backups, bytes) {
        return page(&web, visitor, Some(fault)).await;
    }
    let command = Command::InstallFromStick {
        chosen,
        without_backup: !fields.get("without-backup").is_empty(),
    };
    give(&web, visitor, command).await
}

fn length(view: &UpdateView, chosen: &Chosen) -> Option<u64> {
    let stick = view.sticks.iter().find(|stick| stick.id == chosen.stick)?;
    let Look::Found(bundles) = &stick.look else {
        return None;
    };
    let bundle = bundles.iter().find(|bundle| bundle.name == chosen.name);
    bundle.map(|bundle| bundle.bytes)
}
