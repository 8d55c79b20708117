//! `/invitations`.

use axum::Json;
use axum::http::StatusCode;

use super::input::{Body, Path};
use super::problem::Problem;
use crate::admin::Administrator;
use crate::admin::invitations::{InvitationView, NewInvitation};

/// List invitations, newest first.
#[utoipa::path(get, path = "/invitations", tag = "invitations",
    responses((status = 200, body = Vec<InvitationView>), (status = "default", body = Problem)))]
pub(super) async fn list(admin: Administrator) -> Result<Json<Vec<InvitationView>>, Problem> {
    Ok(Json(admin.invitations().await?))
}

/// Make an invitation, or a link to set a new password.
#[utoipa::path(post, path = "/invitations", tag = "invitations", request_body = NewInvitation,
    responses((status = 201, body = InvitationView), (status = "default", body = Problem)))]
pub(super) async fn create(
    admin: Administrator,
    Body(new): Body<NewInvitation>,
) -> Result<(StatusCode, Json<InvitationView>), Problem> {
    let invitation = admin.invite(new).await?;
    Ok((StatusCode::CREATED, Json(invitation)))
}

/// Take an invitation back.
#[utoipa::path(delete, path = "/invitations/{token}", tag = "invitations", params(("token", description = "The invitation's token.")),
    responses((status = 204), (status = "default", body = Problem)))]
pub(super) async fn revoke(
    admin: Administrator,
    Path(token): Path<String>,
) -> Result<StatusCode, Problem> {
    admin.revoke_invitation(&token).await?;
    Ok(StatusCode::NO_CONTENT)
}
