//! Deleting files that are too old, slots that were never used, and what belonged to removed accounts.

use std::sync::Arc;
use std::time::Duration;

use imd_store::now_millis;

use super::{SLOT_MILLIS, Uploads};
use crate::server::Server;

/// How often it is looked for.
const INTERVAL: Duration = Duration::from_secs(60);
/// Files deleted between two transactions.
const BATCH: u32 = 200;

/// Sweep until shutdown.
pub(super) async fn run(server: Arc<Server>, uploads: Arc<Uploads>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = server.shutdown.requested() => return,
        }
        if let Err(error) = sweep(&server, &uploads).await {
            tracing::warn!(%error, "cannot delete old uploads; trying again in a minute");
        }
    }
}

async fn sweep(server: &Server, uploads: &Uploads) -> anyhow::Result<()> {
    let now = now_millis();
    let retention = server.config.uploads.retention;
    let too_old = retention.map_or(0, |r| {
        now.saturating_sub(i64::try_from(r.as_millis()).unwrap_or(i64::MAX))
    });
    // A file that is being written when its slot runs out still has an hour.
    let unused = now - 2 * SLOT_MILLIS;
    loop {
        let old = server
            .store
            .uploads_to_delete(too_old, unused, BATCH)
            .await?;
        if old.is_empty() {
            return Ok(());
        }
        let mut ids = Vec::with_capacity(old.len());
        for upload in old {
            uploads.files.delete(&upload.id).await?;
            ids.push(upload.id);
        }
        let deleted = server.store.delete_uploads(&ids).await?;
        tracing::info!(files = deleted, "deleted uploads");
    }
}
