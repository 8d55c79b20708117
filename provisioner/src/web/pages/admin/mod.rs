//! The administrators' pages. Each is in the list of [`AREAS`], which is the navigation.

pub mod backup_target;
pub mod backups;
mod certificate;
mod groups;
mod history;
mod home;
mod import;
mod invitations;
mod log;
mod notice;
mod people;
mod person;
pub mod power;
mod reset;
mod rooms;
mod sessions;
mod settings;
mod settings_groups;
mod support;
mod time;
mod update_file;
mod update_stick;
mod updates;

use std::sync::Arc;

use axum::Router;

use crate::web::Web;
use crate::web::page::Page;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .merge(backup_target::routes())
        .merge(backups::routes())
        .merge(certificate::routes())
        .merge(groups::routes())
        .merge(history::routes())
        .merge(home::routes())
        .merge(import::routes())
        .merge(invitations::routes())
        .merge(log::routes())
        .merge(people::routes())
        .merge(person::routes())
        .merge(power::routes())
        .merge(reset::routes())
        .merge(rooms::routes())
        .merge(sessions::routes())
        .merge(settings::routes())
        .merge(support::routes())
        .merge(time::routes())
        .merge(updates::routes())
}

/// The navigation: path, title, and a picture (`static/icons.svg`).
pub const AREAS: [(&str, &str, &str); 12] = [
    ("/admin", "nav-home", "home"),
    ("/admin/people", "nav-people", "people"),
    ("/admin/groups", "nav-groups", "groups"),
    ("/admin/invitations", "nav-invitations", "invitations"),
    ("/admin/rooms", "nav-rooms", "rooms"),
    ("/admin/settings", "nav-settings", "settings"),
    ("/admin/backups", "nav-backups", "backups"),
    ("/admin/updates", "nav-updates", "updates"),
    ("/admin/log", "nav-log", "log"),
    ("/admin/sessions", "nav-sessions", "sessions"),
    ("/admin/support", "nav-support", "support"),
    ("/admin/power", "nav-power", "power"),
];

/// An area as the navigation shows it.
pub struct Area {
    /// Where it is.
    pub path: &'static str,
    /// Its title.
    pub title: String,
    /// The name of its picture.
    pub icon: &'static str,
    /// Whether the page is in it.
    pub is_current: bool,
}

impl Page {
    /// The navigation.
    pub fn areas(&self) -> Vec<Area> {
        let areas = AREAS.iter().map(|(path, title, icon)| Area {
            path,
            title: self.t.m(title),
            icon,
            is_current: if *path == "/admin" {
                self.path == *path
            } else {
                self.is_in(path)
            },
        });
        areas.collect()
    }
}
