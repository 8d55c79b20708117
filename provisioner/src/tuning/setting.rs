//! What the tuning files ask for, as types.

use super::storage::Storage;
use crate::model::Profile;

/// A setting and why it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What the table calls it.
    pub name: String,
    /// Where it is set.
    pub place: Wherever,
    /// What it should be.
    pub wanted: Wanted,
    /// Why, for people.
    pub reason: String,
    /// Where the thing itself is explained: a page of the kernel's documentation, a manual page.
    pub source: String,
    /// Which boxes it is meant for.
    pub audience: Audience,
    /// Whether a kernel or driver that refuses it simply lacks it: then nothing has failed.
    pub may_refuse: bool,
}

/// Which boxes a setting is meant for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// The profiles. Empty: all of them.
    pub profiles: Vec<Profile>,
    /// What the data is kept on. Empty: whatever it is.
    pub storage: Vec<Storage>,
}

impl Audience {
    /// Whether a box with this profile and storage is among them. A storage that is not known is none of those named.
    pub fn has(&self, profile: &Profile, storage: Option<Storage>) -> bool {
        (self.profiles.is_empty() || self.profiles.contains(profile))
            && (self.storage.is_empty() || storage.is_some_and(|kind| self.storage.contains(&kind)))
    }

    /// Whether one box can be among both.
    pub fn overlaps(&self, other: &Self) -> bool {
        shared(&self.profiles, &other.profiles) && shared(&self.storage, &other.storage)
    }
}

/// Whether two lists, of which an empty one stands for everything, have something in common.
fn shared<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.is_empty() || other.is_empty() || one.iter().any(|item| other.contains(item))
}

/// Where a setting is set. A pattern may stand for several files or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wherever {
    /// Files of /proc or /sys.
    Files {
        /// Path in which `*` and `?` stand for parts of names.
        pattern: String,
        /// Only where this file beside the matched one holds this text.
        only_if: Option<(String, String)>,
        /// File beside the matched one that lists what the kernel offers.
        offered_in: Option<String>,
    },
    /// A property of a systemd unit.
    Unit {
        /// Such as `imd.service`.
        unit: String,
        /// Such as `LimitNOFILE`.
        property: String,
    },
    /// A key of journald.conf.
    Journald,
    /// An option of a mounted file system.
    Mount {
        /// Where it is mounted.
        path: String,
        /// The option's name, such as `commit`; its value follows an equals sign.
        option: String,
    },
    /// The queue discipline of network devices (tc(8)).
    Qdisc {
        /// Name of the device, in which `*` and `?` stand for parts.
        device: String,
    },
    /// Compressed swap in memory.
    Zram {
        /// Size of the swap space in percent of the memory.
        percent: u64,
        /// Priority among swap spaces; higher is used first.
        priority: u16,
    },
}

/// What a setting should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This text, whatever the white space.
    Exactly(String),
    /// This number or a greater one that is there already.
    AtLeast(u64),
    /// The first of these that the kernel offers.
    FirstOf(Vec<String>),
    /// What this file beside the one that is set holds.
    SameAs(String),
}
