//! `/tokens`: only for those on the Unix socket, so that a token cannot make others that outlive it.

use axum::Json;
use axum::http::StatusCode;

use super::input::{Body, Path};
use super::problem::Problem;
use crate::admin::Administrator;
use crate::admin::tokens::{NewToken, TokenView};

fn local(admin: &Administrator) -> Result<(), Problem> {
    if admin.actor.starts_with("api:") {
        let detail = "tokens are managed on the server itself, by `imd token`";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(())
}

/// List tokens, without their secrets. Only over the Unix socket.
#[utoipa::path(get, path = "/tokens", tag = "tokens",
    responses((status = 200, body = Vec<TokenView>), (status = "default", body = Problem)))]
pub(super) async fn list(admin: Administrator) -> Result<Json<Vec<TokenView>>, Problem> {
    local(&admin)?;
    Ok(Json(admin.tokens().await?))
}

/// Make a token, which is shown in this answer only. Only over the Unix socket.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = NewToken,
    responses((status = 201, body = TokenView), (status = "default", body = Problem)))]
pub(super) async fn create(
    admin: Administrator,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<TokenView>), Problem> {
    local(&admin)?;
    let token = admin.create_token(new).await?;
    Ok((StatusCode::CREATED, Json(token)))
}

/// Take a token out of force. Only over the Unix socket.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(("id", description = "The token's id.")),
    responses((status = 204), (status = "default", body = Problem)))]
pub(super) async fn remove(
    admin: Administrator,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    local(&admin)?;
    admin.remove_token(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
