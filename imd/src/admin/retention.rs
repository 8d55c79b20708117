//! How long archives keep messages: the box's rule (`archive.retention`), and those of single people and rooms.

use imd_proto::Jid;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Administrator, Refusal};
use crate::server::Server;

/// Where the rules of single owners are among the settings.
const PREFIX: &str = "retention.days.";
const FOREVER: &str = "forever";
/// The longest rule that is a number, in days.
const MOST_DAYS: u32 = 36_600;

/// How long one archive keeps messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetentionRule {
    /// The bare address of a person or a room.
    pub owner: String,
    /// Days; absent: for ever.
    pub days: Option<u32>,
}

/// All rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetentionView {
    /// Days for everybody else, as `archive.retention` in the settings file says; absent: for ever.
    pub days: Option<u64>,
    /// Rules of single people and rooms.
    pub rules: Vec<RetentionRule>,
}

/// A rule to set.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRetention {
    /// Days, 1 to 36600; `null`: for ever.
    pub days: Option<u32>,
}

/// The rules of single owners, by address.
///
/// # Errors
/// When the store fails.
pub async fn rules(server: &Server) -> Result<Vec<RetentionRule>, Refusal> {
    let kept = server.store.settings(PREFIX).await?;
    let rule = |(key, value): (String, String)| {
        let owner = key.strip_prefix(PREFIX)?.to_owned();
        // What cannot be read deletes nothing.
        let days = value.parse().ok();
        Some(RetentionRule { owner, days })
    };
    Ok(kept.into_iter().filter_map(rule).collect())
}

impl Administrator {
    /// All rules.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn retention(&self) -> Result<RetentionView, Refusal> {
        let days = self.server.config.archive.retention;
        Ok(RetentionView {
            days: days.map(|time| time.as_secs() / 86_400),
            rules: rules(&self.server).await?,
        })
    }

    /// The bare address that somebody means: an address, or a username of this server.
    async fn owner(&self, text: &str) -> Result<String, Refusal> {
        let rooms = self.server.config.rooms_domain();
        let accepted = "a username, or the address of a room or a person of this server";
        let jid = match text.contains('@') {
            true => text.parse::<Jid>().ok().map(|jid| jid.to_bare()),
            false => super::people::username(text).map(|user| self.server.account_jid(&user)),
        };
        let wrong = || Refusal::invalid("owner", format!("{text:?}"), accepted);
        let jid = jid.ok_or_else(wrong)?;
        if self.server.is_local_account(&jid) {
            self.account(jid.local().unwrap_or_default()).await?;
        } else if jid.domain() == rooms && jid.local().is_some() {
            self.server.rooms.settings(&self.server, &jid).await?;
        } else {
            return Err(wrong());
        }
        Ok(jid.to_string())
    }

    /// Give a person or a room its own rule.
    ///
    /// # Errors
    /// `Absent` when there is no such person or room; `Invalid` when the days are too many.
    pub async fn retain(&self, owner: &str, new: NewRetention) -> Result<RetentionRule, Refusal> {
        let owner = self.owner(owner).await?;
        if let Some(days) = new.days.filter(|days| !(1..=MOST_DAYS).contains(days)) {
            let accepted = format!("1 to {MOST_DAYS} days, or null: for ever");
            return Err(Refusal::invalid("days", days.to_string(), accepted));
        }
        let value = match new.days {
            Some(days) => days.to_string(),
            None => FOREVER.to_owned(),
        };
        self.note("retention.set", &owner, value.as_str()).await;
        self.set_retention(&owner, Some(value)).await?;
        Ok(RetentionRule {
            owner,
            days: new.days,
        })
    }

    /// Let the box's rule hold for a person or a room again.
    ///
    /// # Errors
    /// `Absent` when there is no such person or room.
    pub async fn retain_as_all(&self, owner: &str) -> Result<(), Refusal> {
        let owner = self.owner(owner).await?;
        self.set_retention(&owner, None).await?;
        self.note("retention.unset", &owner, "").await;
        Ok(())
    }

    pub(super) async fn set_retention(
        &self,
        owner: &str,
        value: Option<String>,
    ) -> Result<(), Refusal> {
        forget_or_set(&self.server, owner, value).await
    }
}

async fn forget_or_set(server: &Server, owner: &str, value: Option<String>) -> Result<(), Refusal> {
    let key = format!("{PREFIX}{owner}");
    Ok(server.store.set_setting(&key, value).await?)
}

/// An owner is gone: a new one of the same address must not inherit its rule.
///
/// # Errors
/// When the store fails.
pub async fn forget(server: &Server, owner: &str) -> Result<(), Refusal> {
    forget_or_set(server, owner, None).await
}
