//! `/sessions`, `/statistics`, `/pulse`, `/announcements`, `/retention`, `/log`, `/backups`.

use axum::Json;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::input::{Body, Path, Query};
use super::problem::Problem;
use crate::admin::Administrator;
use crate::admin::announce::{Announced, Announcement};
use crate::admin::backup::{Manifest, NewBackup};
use crate::admin::log::LogLine;
use crate::admin::retention::{NewRetention, RetentionRule, RetentionView};
use crate::admin::sessions::SessionView;
use crate::admin::statistics::{Pulse, Statistics};

type Answer<T> = Result<Json<T>, Problem>;

/// Whose sessions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Whose {
    /// Only those of this person.
    username: Option<String>,
}

/// How many sessions were ended.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Closed {
    /// Sessions.
    pub closed: usize,
}

/// Which lines of the log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Lines {
    /// Only actions that begin with this, such as `account.` or `report.`.
    action: Option<String>,
    /// Only lines with smaller numbers; absent: the newest.
    before: Option<u64>,
    /// How many at the most, 1 to 1000; absent: 100.
    max: Option<u32>,
}

/// List sessions by address.
#[utoipa::path(get, path = "/sessions", tag = "sessions", params(Whose),
    responses((status = 200, body = Vec<SessionView>), (status = "default", body = Problem)))]
pub(super) async fn sessions(
    admin: Administrator,
    Query(whose): Query<Whose>,
) -> Answer<Vec<SessionView>> {
    Ok(Json(admin.sessions(whose.username.as_deref()).await?))
}

/// End a session (full address), or all of a person's (bare address). Clients may come back; `/people/{username}/devices` has how to sign them out.
#[utoipa::path(delete, path = "/sessions/{jid}", tag = "sessions",
    params(("jid", description = "The address, with / written as %2F.")),
    responses((status = 200, body = Closed), (status = "default", body = Problem)))]
pub(super) async fn close(admin: Administrator, Path(jid): Path<String>) -> Answer<Closed> {
    let closed = admin.close_sessions(&jid).await?;
    Ok(Json(Closed { closed }))
}

/// Figures of this moment.
#[utoipa::path(get, path = "/statistics", tag = "server",
    responses((status = 200, body = Statistics), (status = "default", body = Problem)))]
pub(super) async fn statistics(admin: Administrator) -> Answer<Statistics> {
    Ok(Json(admin.statistics().await?))
}

/// Figures that cost nothing, for every minute.
#[utoipa::path(get, path = "/pulse", tag = "server",
    responses((status = 200, body = Pulse), (status = "default", body = Problem)))]
pub(super) async fn pulse(admin: Administrator) -> Json<Pulse> {
    Json(admin.pulse())
}

/// Send a message from the server to everybody.
#[utoipa::path(post, path = "/announcements", tag = "server", request_body = Announcement,
    responses((status = 200, body = Announced), (status = "default", body = Problem)))]
pub(super) async fn announce(
    admin: Administrator,
    Body(new): Body<Announcement>,
) -> Answer<Announced> {
    Ok(Json(admin.announce(new).await?))
}

/// How long archives keep messages.
#[utoipa::path(get, path = "/retention", tag = "retention",
    responses((status = 200, body = RetentionView), (status = "default", body = Problem)))]
pub(super) async fn retention(admin: Administrator) -> Answer<RetentionView> {
    Ok(Json(admin.retention().await?))
}

/// Give a person or a room its own rule.
#[utoipa::path(put, path = "/retention/{owner}", tag = "retention",
    params(("owner", description = "A username, or the address of a person or room.")), request_body = NewRetention,
    responses((status = 200, body = RetentionRule), (status = "default", body = Problem)))]
pub(super) async fn retain(
    admin: Administrator,
    Path(owner): Path<String>,
    Body(new): Body<NewRetention>,
) -> Answer<RetentionRule> {
    Ok(Json(admin.retain(&owner, new).await?))
}

/// Let the server's rule hold for a person or a room again.
#[utoipa::path(delete, path = "/retention/{owner}", tag = "retention",
    params(("owner", description = "A username, or the address of a person or room.")),
    responses((status = 204), (status = "default", body = Problem)))]
pub(super) async fn retain_as_all(
    admin: Administrator,
    Path(owner): Path<String>,
) -> Result<StatusCode, Problem> {
    admin.retain_as_all(&owner).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What administrators did and people reported, newest first.
#[utoipa::path(get, path = "/log", tag = "server", params(Lines),
    responses((status = 200, body = Vec<LogLine>), (status = "default", body = Problem)))]
pub(super) async fn log(admin: Administrator, Query(lines): Query<Lines>) -> Answer<Vec<LogLine>> {
    let action = lines.action.unwrap_or_default();
    let max = lines.max.unwrap_or(100);
    Ok(Json(admin.log(&action, lines.before, max).await?))
}

/// Make a backup in a folder of the server, over its own socket only. Answers when it is made, which may take minutes.
#[utoipa::path(post, path = "/backups", tag = "server", request_body = NewBackup,
    responses((status = 200, body = Manifest), (status = "default", body = Problem)))]
pub(super) async fn back_up(admin: Administrator, Body(new): Body<NewBackup>) -> Answer<Manifest> {
    Ok(Json(admin.back_up(new).await?))
}
