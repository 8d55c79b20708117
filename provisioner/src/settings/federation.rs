//! Whether people of the box talk with those of other servers, as settings.

use serde::{Deserialize, Serialize};
use settings_file::{Table, parse};

use crate::model::Domain;

/// More would be a list that nobody reads.
const MOST_DOMAINS: usize = 100;

/// Whether people of the box talk with those of other servers, and of which.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Federation {
    /// Absent: they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The domains that are talked with, each with those below it. Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<Domain>>,
}

impl Federation {
    /// Whether the box talks with other servers.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.enabled == Some(true)
    }

    /// The domains that are talked with; none: all.
    #[must_use]
    pub fn allow(&self) -> &[Domain] {
        self.allow.as_deref().unwrap_or_default()
    }
}

/// Reads the section of `perch.toml`.
pub(super) fn read(mut table: Table<'_>) -> Federation {
    let enabled = table.optional("enabled", parse::boolean);
    let allow = table.list("allow", Domain::parse);
    // An empty list would be read as "nobody" and mean "everybody".
    let count = allow.as_ref().map(Vec::len);
    if count.is_some_and(|count| count == 0 || count > MOST_DOMAINS) {
        table.reject(
            "allow",
            format!("1 to {MOST_DOMAINS} domains; without the key, all are talked with"),
        );
    }
    table.finish();
    Federation { enabled, allow }
}
