//! `/rooms`.

use axum::Json;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::input::{Body, Path, Query};
use super::problem::Problem;
use crate::admin::Administrator;
use crate::admin::rooms::{NewRoom, RoomChange, RoomEntry, RoomView};

type Answer<T> = Result<Json<T>, Problem>;

/// Why a room ends.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Why {
    /// Told to those who are in it; absent: nothing.
    reason: Option<String>,
}

/// List rooms by address.
#[utoipa::path(get, path = "/rooms", tag = "rooms",
    responses((status = 200, body = Vec<RoomEntry>), (status = "default", body = Problem)))]
pub(super) async fn list(admin: Administrator) -> Answer<Vec<RoomEntry>> {
    Ok(Json(admin.rooms().await?))
}

/// Make a room.
#[utoipa::path(post, path = "/rooms", tag = "rooms", request_body = NewRoom,
    responses((status = 201, body = RoomView), (status = "default", body = Problem)))]
pub(super) async fn create(
    admin: Administrator,
    Body(new): Body<NewRoom>,
) -> Result<(StatusCode, Json<RoomView>), Problem> {
    let room = admin.create_room(new).await?;
    Ok((StatusCode::CREATED, Json(room)))
}

/// Show a room with its settings and affiliations.
#[utoipa::path(get, path = "/rooms/{name}", tag = "rooms", params(("name", description = "The part of the address before @.")),
    responses((status = 200, body = RoomView), (status = "default", body = Problem)))]
pub(super) async fn show(admin: Administrator, Path(name): Path<String>) -> Answer<RoomView> {
    Ok(Json(admin.room(&name).await?))
}

/// Change settings and affiliations of a room.
#[utoipa::path(patch, path = "/rooms/{name}", tag = "rooms", params(("name", description = "The part of the address before @.")),
    request_body = RoomChange,
    responses((status = 200, body = RoomView), (status = "default", body = Problem)))]
pub(super) async fn change(
    admin: Administrator,
    Path(name): Path<String>,
    Body(change): Body<RoomChange>,
) -> Answer<RoomView> {
    Ok(Json(admin.change_room(&name, change).await?))
}

/// End a room, with its archive. The room of a group ends with the group.
#[utoipa::path(delete, path = "/rooms/{name}", tag = "rooms",
    params(("name", description = "The part of the address before @."), Why),
    responses((status = 204), (status = "default", body = Problem)))]
pub(super) async fn destroy(
    admin: Administrator,
    Path(name): Path<String>,
    Query(why): Query<Why>,
) -> Result<StatusCode, Problem> {
    admin.destroy_room(&name, why.reason.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}
