//! Who an SSH server is: the key that it shows, the one that the owner has accepted, and nothing in between.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::files::{Access, Files};

/// The accepted key, as known_hosts(5) has it.
pub const ACCEPTED: &str = "/var/lib/perch/backup/known_hosts";
/// Kinds of keys, the preferred one first.
const KINDS: [&str; 3] = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"];

/// A server's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostKey {
    /// Host and port as known_hosts(5) has them.
    pub host: String,
    /// Its kind, such as `ssh-ed25519`.
    pub kind: String,
    /// The key itself, in base64.
    pub key: String,
}

impl HostKey {
    /// Of a line of known_hosts(5), which is what ssh-keyscan prints.
    #[must_use]
    pub fn of_line(line: &str) -> Option<Self> {
        let mut parts = line.split_whitespace();
        let found = Self {
            host: parts.next()?.to_owned(),
            kind: parts.next()?.to_owned(),
            key: parts.next()?.to_owned(),
        };
        let is_whole = KINDS.contains(&found.kind.as_str()) && STANDARD.decode(&found.key).is_ok();
        is_whole.then_some(found)
    }

    /// The preferred one of those that a server shows.
    #[must_use]
    pub fn best(lines: &str) -> Option<Self> {
        let all: Vec<Self> = lines.lines().filter_map(Self::of_line).collect();
        let of_kind = |kind: &&str| all.iter().find(|key| key.kind == **kind).cloned();
        KINDS.iter().find_map(of_kind)
    }

    /// Its fingerprint as ssh-keygen prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        // It was decoded once.
        let key = STANDARD.decode(&self.key).unwrap_or_default();
        let digest = ring::digest::digest(&ring::digest::SHA256, &key);
        format!("SHA256:{}", STANDARD_NO_PAD.encode(digest.as_ref()))
    }

    /// Accepts it, in the place of any other.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn accept(&self, files: &Files) -> Result<()> {
        let line = format!("{} {} {}\n", self.host, self.kind, self.key);
        files
            .replace(ACCEPTED, line.as_bytes(), Access::Root)
            .map(drop)
    }
}

/// The key that was accepted for this host. `None`: none was.
///
/// # Errors
/// The file cannot be read.
pub fn accepted(files: &Files, host: &str) -> Result<Option<HostKey>> {
    let text = files.read(ACCEPTED).context("the accepted host key")?;
    let key = text.as_deref().and_then(HostKey::best);
    Ok(key.filter(|key| key.host == host))
}

/// Accepts none any more.
///
/// # Errors
/// It cannot be written down.
pub fn forget(files: &Files) -> Result<()> {
    files.remove(ACCEPTED)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const ED25519: &str =
        "nas ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    const RSA: &str = "nas ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQ==";

    #[test]
    fn the_preferred_key_of_a_server_is_taken() {
        let scan = format!("# nas:22 SSH-2.0-OpenSSH\n{RSA}\n{ED25519}\n");
        let key = HostKey::best(&scan).unwrap();
        assert_eq!(
            (key.host.as_str(), key.kind.as_str()),
            ("nas", "ssh-ed25519")
        );
        // As ssh-keygen -l prints it of the same line.
        assert_eq!(
            key.fingerprint(),
            "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
        );
        assert_eq!(
            HostKey::best("nas ssh-dss AAAA\nnas ssh-ed25519 !\n\nnas"),
            None
        );
    }

    #[test]
    fn an_accepted_key_is_that_of_one_host_and_port() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path());
        assert_eq!(accepted(&files, "nas").unwrap(), None);
        let key = HostKey::of_line(ED25519).unwrap();
        key.accept(&files).unwrap();
        assert_eq!(accepted(&files, "nas").unwrap(), Some(key));
        assert_eq!(accepted(&files, "[nas]:2222").unwrap(), None);
        forget(&files).unwrap();
        assert_eq!(accepted(&files, "nas").unwrap(), None);
    }
}
