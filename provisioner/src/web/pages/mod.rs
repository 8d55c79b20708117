//! The pages. Each file has its routes; this is the list of them.

pub mod admin;
mod clock;
pub mod errors;
pub mod front;
pub mod language;
pub mod restore;
pub mod setup;
pub mod sign_in;
pub mod statics;
pub mod trust;

use std::sync::Arc;

use axum::Router;

use super::Web;

/// All routes.
pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .merge(admin::routes())
        .merge(front::routes())
        .merge(language::routes())
        .merge(restore::routes())
        .merge(setup::routes())
        .merge(sign_in::routes())
        .merge(statics::routes())
        .merge(trust::routes())
}
