//! How the disk says it is: wear, unreadable sectors, and whether it expects to fail (SMART).
//!
//! - `smart`: what smartctl prints into a [`Health`], pure.
//! - `look`: asks the disk that the box's data is on, from a unit of its own, and leaves the answer where the pages and the update
//!   machine read it.
//!
//! SD cards have nothing of the kind; what an eMMC says (`life_time`) is in `web::figures`.

pub mod look;
pub mod smart;

use serde::{Deserialize, Serialize};

/// What a disk says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// The judgement.
    pub state: State,
    /// Why it is failing or worn, in English; empty: it is neither.
    pub reasons: Vec<String>,
    /// Its maker's name for it. Absent: not told.
    pub model: Option<String>,
    /// How much of its life is over, in hundredths; more than 100 is possible. Absent: not told, as by disks that turn.
    pub worn: Option<u64>,
    /// In degrees (Celsius). Absent: not told.
    pub temperature: Option<i64>,
    /// Sectors that were replaced by spare ones. Absent: not told.
    pub reallocated: Option<u64>,
    /// Sectors that cannot be read. Absent: not told.
    pub unreadable: Option<u64>,
}

/// The judgement on a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing speaks against it.
    Good,
    /// It works, and is near its end.
    Worn,
    /// It has lost data, or says that it will.
    Failing,
    /// The disk, or the adapter that it is behind, says nothing of itself.
    #[default]
    NotTold,
}

impl State {
    /// Its name, for programs and the keys of texts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Worn => "worn",
            Self::Failing => "failing",
            Self::NotTold => "not-told",
        }
    }
}
