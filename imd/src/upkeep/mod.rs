//! What the server deletes by itself: each hour tokens and invitations that have run out and old lines of the log, each night
//! messages that are kept no longer. Only while the clock can be believed ([`clock`]).

pub mod clock;
mod night;

use std::sync::Arc;
use std::time::{Duration, Instant};

use imd_store::{UnixMillis, now_millis};

use crate::admin::{Refusal, retention};
use crate::server::Server;
use clock::{Clock, Judgement};

/// How often it is looked for.
const INTERVAL: Duration = Duration::from_secs(3600);
/// Messages deleted in one transaction: others write in between ...
const BATCH: u32 = 500;
/// ... and have the disk for themselves for so long.
const REST: Duration = Duration::from_millis(200);
const DAY_MILLIS: i64 = 86_400_000;
/// How long the log of administration is kept.
const LOG_DAYS: i64 = 730;
/// Where the time that was believed last is among the settings.
const TRUSTED: &str = "upkeep.clock";
/// Where the time at which messages were deleted last is.
const MESSAGES: &str = "upkeep.messages";

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Everything.
    Everything,
    /// What costs little.
    AllButMessages,
}

/// What was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deleted {
    /// Messages in archives.
    pub messages: u64,
    /// Login and API tokens.
    pub tokens: u64,
    /// Invitations.
    pub invitations: u64,
    /// Lines of the log.
    pub log_lines: u64,
}

/// Look after the database until shutdown: at once, and each hour; after messages each night.
pub async fn run(server: Arc<Server>) {
    let mut clock = None;
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = server.shutdown.requested() => return,
        }
        match hourly(&server, &mut clock).await {
            Ok(Some(deleted)) if deleted != Deleted::default() => {
                tracing::info!(?deleted, "deleted what is kept no longer");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot delete what is kept no longer; trying again in an hour");
            }
        }
    }
}

/// [`tick`] at the present time, with the clock as an earlier run has left it where this is the first time.
async fn hourly(server: &Server, clock: &mut Option<Clock>) -> Result<Option<Deleted>, Refusal> {
    let clock = match clock {
        Some(clock) => clock,
        None => clock.insert(Clock::new(trusted(server).await?)),
    };
    let now = now_millis();
    let since = time(server, MESSAGES).await?.map(|last| {
        // A clock that has gone back makes it wait, which does no harm.
        Duration::from_millis(u64::try_from(now - last).unwrap_or(0))
    });
    let what = match night::is_time(night::hour(), since) {
        true => What::Everything,
        false => What::AllButMessages,
    };
    tick(server, clock, now, Instant::now(), what).await
}

async fn trusted(server: &Server) -> Result<Option<UnixMillis>, Refusal> {
    time(server, TRUSTED).await
}

/// A time that is kept among the settings.
async fn time(server: &Server, key: &str) -> Result<Option<UnixMillis>, Refusal> {
    let kept = server.store.setting(key).await?;
    Ok(kept.and_then(|text| text.parse().ok()))
}

/// Look once, at a time of the wall clock and of the one that never jumps; `None`: put off, because of the clock.
///
/// # Errors
/// When the store fails; what was deleted before stays deleted.
pub async fn tick(
    server: &Server,
    clock: &mut Clock,
    now: UnixMillis,
    monotonic: Instant,
    what: What,
) -> Result<Option<Deleted>, Refusal> {
    match clock.judge(now, monotonic) {
        Judgement::Wait(why) => {
            tracing::warn!(
                why,
                "the clock cannot be believed yet: nothing is deleted by age"
            );
            return Ok(None);
        }
        Judgement::Believe => {}
    }
    server
        .store
        .set_setting(TRUSTED, Some(now.to_string()))
        .await?;
    let mut deleted = Deleted::default();
    if what == What::Everything {
        deleted.messages = delete_messages(server, now).await?;
        let kept = Some(now.to_string());
        server.store.set_setting(MESSAGES, kept).await?;
    }
    let store = &server.store;
    deleted.tokens = store.delete_expired_tokens(now).await?;
    deleted.invitations = store.delete_spent_invites(now).await?;
    deleted.log_lines = store
        .delete_audit_older(now - LOG_DAYS * DAY_MILLIS)
        .await?;
    Ok(Some(deleted))
}

/// Delete messages that are kept no longer, and say how many.
async fn delete_messages(server: &Server, now: UnixMillis) -> Result<u64, Refusal> {
    let store = &server.store;
    let mut deleted = 0;
    let rules = retention::rules(server).await?;
    for rule in &rules {
        let Some(days) = rule.days else { continue };
        let before = now - i64::from(days) * DAY_MILLIS;
        loop {
            let some = store
                .archive_delete_older(&rule.owner, before, BATCH)
                .await?;
            deleted += u64::from(some);
            if some < BATCH || !rest(server).await {
                break;
            }
        }
    }
    if let Some(time) = server.config.archive.retention {
        let kept = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let before = now.saturating_sub(kept);
        let except: Vec<String> = rules.into_iter().map(|rule| rule.owner).collect();
        loop {
            let some = store
                .archive_delete_older_of_all(before, &except, BATCH)
                .await?;
            deleted += u64::from(some);
            if some < BATCH || !rest(server).await {
                break;
            }
        }
    }
    Ok(deleted)
}

/// Leave the disk to others for a while; false when the server is shutting down.
async fn rest(server: &Server) -> bool {
    tokio::select! {
        () = tokio::time::sleep(REST) => true,
        () = server.shutdown.requested() => false,
    }
}
