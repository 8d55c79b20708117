//! `/groups`.

use axum::Json;
use axum::http::StatusCode;

use super::input::{Body, Path};
use super::problem::Problem;
use crate::admin::Administrator;
use crate::admin::groups::{GroupChange, GroupView, NewGroup};

type Answer<T> = Result<Json<T>, Problem>;

/// List groups by name, with their members.
#[utoipa::path(get, path = "/groups", tag = "groups",
    responses((status = 200, body = Vec<GroupView>), (status = "default", body = Problem)))]
pub(super) async fn list(admin: Administrator) -> Answer<Vec<GroupView>> {
    Ok(Json(admin.groups().await?))
}

/// Make a group: its members are contacts of each other at once and share a room.
#[utoipa::path(post, path = "/groups", tag = "groups", request_body = NewGroup,
    responses((status = 201, body = GroupView), (status = "default", body = Problem)))]
pub(super) async fn create(
    admin: Administrator,
    Body(new): Body<NewGroup>,
) -> Result<(StatusCode, Json<GroupView>), Problem> {
    let group = admin.create_group(new).await?;
    Ok((StatusCode::CREATED, Json(group)))
}

/// Show a group.
#[utoipa::path(get, path = "/groups/{id}", tag = "groups", params(("id", description = "The group's id.")),
    responses((status = 200, body = GroupView), (status = "default", body = Problem)))]
pub(super) async fn show(admin: Administrator, Path(id): Path<String>) -> Answer<GroupView> {
    Ok(Json(admin.group(&id).await?))
}

/// Give a group another name.
#[utoipa::path(patch, path = "/groups/{id}", tag = "groups", params(("id", description = "The group's id.")),
    request_body = GroupChange,
    responses((status = 200, body = GroupView), (status = "default", body = Problem)))]
pub(super) async fn rename(
    admin: Administrator,
    Path(id): Path<String>,
    Body(change): Body<GroupChange>,
) -> Answer<GroupView> {
    Ok(Json(admin.rename_group(&id, change).await?))
}

/// End a group and destroy its room; the answer shows it as it was.
#[utoipa::path(delete, path = "/groups/{id}", tag = "groups", params(("id", description = "The group's id.")),
    responses((status = 200, body = GroupView), (status = "default", body = Problem)))]
pub(super) async fn delete(admin: Administrator, Path(id): Path<String>) -> Answer<GroupView> {
    Ok(Json(admin.delete_group(&id).await?))
}

/// Put people into a group, all or none: a list of usernames.
#[utoipa::path(post, path = "/groups/{id}/members", tag = "groups", params(("id", description = "The group's id.")),
    request_body = Vec<String>,
    responses((status = 200, body = GroupView), (status = "default", body = Problem)))]
pub(super) async fn add(
    admin: Administrator,
    Path(id): Path<String>,
    Body(users): Body<Vec<String>>,
) -> Answer<GroupView> {
    Ok(Json(admin.add_members(&id, &users).await?))
}

/// Take somebody out of a group.
#[utoipa::path(delete, path = "/groups/{id}/members/{username}", tag = "groups",
    params(("id", description = "The group's id."), ("username", description = "The name before @.")),
    responses((status = 200, body = GroupView), (status = "default", body = Problem)))]
pub(super) async fn remove(
    admin: Administrator,
    Path((id, user)): Path<(String, String)>,
) -> Answer<GroupView> {
    Ok(Json(admin.remove_members(&id, &[user]).await?))
}
