//! What is in a backup: a list in front, the box's own files, and what the chat server keeps.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::acme;
use crate::agent::{audit, claim};
use crate::files::{Access, Files};
use crate::firstboot::certificates::{AUTHORITY, AUTHORITY_KEY, SERVER_CERTIFICATE, SERVER_KEY};
use crate::firstboot::state;
use crate::settings::secrets;

use super::target::{host_key, sftp};
use super::{key, owners, stick};

/// The number of the format. A box refuses a greater one.
pub const FORMAT: u32 = 1;
/// The first entry.
pub const MANIFEST: &str = "perch-backup.json";
/// The folder of the box's files in a backup, which has the shape of the box.
pub const BOX: &str = "box";
/// The folder of what `imd backup` made.
pub const IMD: &str = "imd";

/// The box's files, with who may read each; what the settings ask for besides is made anew from them, but for the files of [`owners`]. What is not here is not restored, and an entry with another name is refused.
pub const FILES: [(&str, Access); 20] = [
    (state::PATH, Access::Everyone),
    (secrets::PATH, Access::Root),
    (claim::MADE, Access::Everyone),
    (audit::PATH, Access::Root),
    (audit::OLDER, Access::Root),
    (key::PATH, Access::Root),
    (stick::ACCEPTED, Access::Everyone),
    (sftp::KEY, Access::Root),
    (sftp::PUBLIC_KEY, Access::Everyone),
    (host_key::ACCEPTED, Access::Root),
    (AUTHORITY_KEY, Access::Root),
    (AUTHORITY, Access::Everyone),
    (SERVER_KEY, Access::Group("imd")),
    (SERVER_CERTIFICATE, Access::Everyone),
    (acme::ACCOUNT, Access::Root),
    (acme::STATE, Access::Everyone),
    (acme::service::FILE, Access::Group("imd")),
    // The second name follows from it.
    ("/data/etc/machine-id", Access::Everyone),
    ("/etc/ssh/keys/ssh_host_ed25519_key", Access::Root),
    ("/etc/ssh/keys/ssh_host_ed25519_key.pub", Access::Everyone),
];

/// The list in front.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of the box that made it.
    pub version: String,
    /// Its host name.
    pub host_name: String,
    /// The domain of its addresses.
    pub domain: String,
    /// When, in seconds since 1970.
    pub made: i64,
}

impl Manifest {
    /// Of this box, now.
    ///
    /// # Errors
    /// The box's state cannot be read.
    pub fn of_box(files: &Files, now: i64) -> Result<Self> {
        let state = state::BoxState::load(files)?;
        Ok(Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host_name: state.host_name().to_owned(),
            domain: state.domain().as_str().to_owned(),
            made: now,
        })
    }

    /// Whether another version of the box made it that this one may not understand.
    pub fn is_newer(&self) -> bool {
        self.format > FORMAT || numbers(&self.version) > numbers(env!("CARGO_PKG_VERSION"))
    }

    /// As the first entry.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn text(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self).context("writing a backup's list as JSON")
    }
}

/// Only the format tells a version apart that is none.
fn numbers(version: &str) -> Vec<u64> {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    core.split('.')
        .filter_map(|part| part.parse().ok())
        .collect()
}

/// The files that there are, with their place in a backup.
pub fn present(files: &Files) -> Vec<(&'static str, String)> {
    FILES
        .iter()
        .filter(|(path, _)| files.path(path).is_file())
        .map(|(path, _)| (*path, format!("{BOX}{path}")))
        .collect()
}

/// Whether an entry of this name belongs into a backup.
pub fn is_known(name: &str) -> bool {
    if name == MANIFEST {
        return true;
    }
    if let Some(path) = name.strip_prefix(BOX) {
        return FILES.iter().any(|(known, _)| *known == path) || owners::is_owners(path);
    }
    let Some(rest) = name.strip_prefix(IMD).and_then(|r| r.strip_prefix('/')) else {
        return false;
    };
    match rest.split('/').collect::<Vec<_>>()[..] {
        ["manifest.json" | "imd.sqlite"] => true,
        ["uploads", two, id] => is_id(two) && is_id(id) && id.starts_with(two),
        _ => false,
    }
}

fn is_id(part: &str) -> bool {
    !part.is_empty()
        && part
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(format: u32, version: &str) -> Manifest {
        Manifest {
            format,
            version: version.to_owned(),
            host_name: "perch".to_owned(),
            domain: "perch.local".to_owned(),
            made: 0,
        }
    }

    #[test]
    fn a_backup_of_a_later_version_is_told_apart() {
        let own = env!("CARGO_PKG_VERSION");
        for (format, version, newer) in [
            (1, own, false),
            (1, "0.0.9", false),
            (1, "999.0.0", true),
            (1, "0.1.10", true),
            (2, own, true),
        ] {
            assert_eq!(manifest(format, version).is_newer(), newer, "{version}");
        }
    }

    #[test]
    fn only_what_belongs_into_a_backup_is_taken_out_of_one() {
        for (name, known) in [
            ("perch-backup.json", true),
            ("box/var/lib/perch/box.json", true),
            ("box/data/etc/machine-id", true),
            ("imd/imd.sqlite", true),
            ("imd/uploads/ab/abcd-ef", true),
            ("imd/uploads/ab/../../x", false),
            ("imd/uploads/cd/abcd", false),
            ("box/etc/perch/acme-hook", true),
            ("box/etc/perch/imd.toml", false),
            ("box/etc/shadow", false),
            ("box/../etc/shadow", false),
            ("/etc/shadow", false),
            ("../x", false),
            ("imd/other", false),
        ] {
            assert_eq!(is_known(name), known, "{name}");
        }
    }
}
