//! `/health`: whether the server can do its work, for nginx, the provisioner and monitors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Mutex;

use super::Web;

/// How long an outcome is told again: every try is a write to the disk, and anybody may ask.
const FRESH: Duration = Duration::from_secs(5);

/// When the store was last tried, and what it said; absent: it took the write.
#[derive(Default)]
pub(super) struct Last(Mutex<Option<(Instant, Option<String>)>>);

impl Last {
    async fn problem(&self, web: &Web) -> Option<String> {
        let mut last = self.0.lock().await;
        match &*last {
            Some((when, problem)) if when.elapsed() < FRESH => problem.clone(),
            _ => {
                let problem = web.server.store.can_write().await.err().map(|error| {
                    tracing::warn!(%error, "the store takes no writes");
                    if error.is_resource_constraint() {
                        "the disk takes no new data".to_owned()
                    } else {
                        "the database has a problem; see the log".to_owned()
                    }
                });
                *last = Some((Instant::now(), problem.clone()));
                problem
            }
        }
    }
}

/// 200 when all is well, 503 when the store takes no writes; JSON with the reason either way.
pub(super) async fn get(State(web): State<Arc<Web>>) -> Response {
    let problem = web.health.problem(&web).await;
    let server = &web.server;
    let status = match problem {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = serde_json::json!({
        "status": if problem.is_none() { "ok" } else { "impaired" },
        "domain": server.config.domain,
        "store": problem.as_deref().unwrap_or("writable"),
        "sessions": server.directory.len(),
        "uptime_seconds": server.started.elapsed().as_secs(),
    });
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
