//! The log of administrative acts: the agent's, and the chat server's own, which has what was done by its commands, by apps and by
//! tokens, and what people reported.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::agent::audit::Entry;
use crate::agent::client::unexpected;
use crate::agent::command::{Answer, Command};
use crate::web::Web;
use crate::web::page::{Page, show as show_page};
use crate::web::pages::errors;
use crate::web::visitor::Admin;

/// What one page shows.
const MOST: usize = 200;
/// Details of the chat server are cut there.
const DETAIL_CHARS: usize = 200;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/admin/log", get(show))
}

/// A line of the chat server's log.
#[derive(Debug, Deserialize)]
struct Line {
    time: String,
    actor: String,
    action: String,
    target: String,
    detail: String,
}

/// What the page shows of an act.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    at: String,
    who: String,
    action: String,
    subject: String,
    detail: String,
    error: Option<String>,
}

impl From<Entry> for Shown {
    fn from(entry: Entry) -> Self {
        Self {
            at: entry.at,
            who: entry.who,
            action: entry.action,
            subject: entry.subject,
            detail: String::new(),
            error: entry.error,
        }
    }
}

impl From<Line> for Shown {
    fn from(line: Line) -> Self {
        let who = match line.actor.as_str() {
            "socket:0" => "root".to_owned(),
            "cli" => "root (command line)".to_owned(),
            _ => line.actor,
        };
        Self {
            at: line.time,
            who,
            action: line.action,
            subject: line.target,
            detail: line.detail.chars().take(DETAIL_CHARS).collect(),
            error: None,
        }
    }
}

#[derive(Template)]
#[template(path = "log.html")]
struct Log {
    page: Page,
    entries: Vec<Shown>,
    /// Whether the chat server's own log could not be had.
    is_half: bool,
}

/// Both by time, newest first. What the pages asked the chat server for is in the agent's log, with the name of who wanted it.
fn merge(agents: Vec<Entry>, servers: Vec<Line>, own_uid: u32) -> Vec<Shown> {
    let own = format!("socket:{own_uid}");
    let servers = servers.into_iter().filter(|line| line.actor != own);
    let mut all: Vec<Shown> = agents.into_iter().map(Shown::from).collect();
    all.extend(servers.map(Shown::from));
    // One that nobody can read the time of is among the oldest.
    let at = |act: &Shown| OffsetDateTime::parse(&act.at, &Rfc3339).ok();
    all.sort_by_key(|act| std::cmp::Reverse(at(act)));
    all.truncate(MOST);
    all
}

async fn show(State(web): State<Arc<Web>>, Admin { visitor, .. }: Admin) -> Response {
    let asked = web
        .agent
        .ask(visitor.actor(), Command::Audit { most: MOST })
        .await;
    let agents = match asked {
        Ok(Answer::Audit(entries)) => entries,
        Ok(other) => return errors::agent(&visitor, &unexpected(&other)),
        Err(refusal) => return errors::agent(&visitor, &refusal),
    };
    let servers: Result<Vec<Line>, _> = web.imd.get(&format!("/log?max={MOST}")).await;
    let log = Log {
        page: Page::of(&visitor),
        is_half: servers.is_err(),
        entries: merge(
            agents,
            servers.unwrap_or_default(),
            nix::unistd::getuid().as_raw(),
        ),
    };
    show_page(visitor.t.0, &log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_logs_are_one_by_time_without_what_the_pages_did_twice() {
        let agents = ["2026-12-01T12:00:03Z", "2026-12-01T12:00:01Z"].map(|at| Entry {
            at: at.to_owned(),
            who: "anna (192.168.1.23)".to_owned(),
            action: "person.freeze".to_owned(),
            subject: "ben".to_owned(),
            error: None,
        });
        let line = |time: &str, actor: &str| Line {
            time: time.to_owned(),
            actor: actor.to_owned(),
            action: "account.disable".to_owned(),
            target: "ben".to_owned(),
            detail: "x".repeat(300),
        };
        let servers = vec![
            line("2026-12-01T12:00:02.5Z", "socket:0"),
            line("2026-12-01T12:00:01Z", "socket:977"),
            line("2026-12-01T11:00:00Z", "api:school"),
        ];
        let merged = merge(agents.to_vec(), servers, 977);
        let found: Vec<(&str, &str)> = merged
            .iter()
            .map(|act| (act.at.get(11..19).unwrap_or_default(), act.who.as_str()))
            .collect();
        let anna = "anna (192.168.1.23)";
        assert_eq!(
            found,
            [
                ("12:00:03", anna),
                ("12:00:02", "root"),
                ("12:00:01", anna),
                ("11:00:00", "api:school")
            ]
        );
        assert_eq!(merged.get(1).map(|act| act.detail.len()), Some(200));
    }
}
