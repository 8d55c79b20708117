//! A certificate for the box's own domain from an authority that all devices trust, as settings.

use serde::{Deserialize, Serialize};
use settings_file::{Table, parse};

use crate::model::{AuthorityFile, ChallengeKind, DirectoryUrl, Domain, Email, HookFile};

/// Let's Encrypt's production directory.
pub const USUAL_DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Whether the box asks an authority, which, and how it proves that the domain is its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Acme {
    /// Absent: the box's own authority signs for the domain, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether the owner agrees to the authority's terms of service. Needed when it is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agree_terms: Option<bool>,
    /// Whom the authority may write to. Absent: nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// Absent: [`USUAL_DIRECTORY`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<DirectoryUrl>,
    /// Who has signed the certificate of the authority's own server, if no public authority has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<AuthorityFile>,
    /// Absent: `http-01`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<ChallengeKind>,
    /// What puts a record into the domain and takes it away. Needed for `dns-01`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<HookFile>,
}

impl Acme {
    /// Whether the box asks the authority.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.enabled == Some(true) && self.agree_terms == Some(true)
    }

    /// The authority's directory.
    #[must_use]
    pub fn directory(&self) -> &str {
        self.directory
            .as_ref()
            .map_or(USUAL_DIRECTORY, DirectoryUrl::as_str)
    }

    /// The hook, where the domain is proved by a record. `None`: by a file on port 80.
    #[must_use]
    pub fn dns_hook(&self) -> Option<&str> {
        let by_dns = self.challenge.as_ref().map(ChallengeKind::as_str) == Some("dns-01");
        by_dns.then(|| self.hook.as_ref().map_or("", HookFile::as_str))
    }
}

/// Reads the section of `perch.toml`, for a box with this domain.
pub(super) fn read(mut table: Table<'_>, domain: Option<&Domain>) -> Acme {
    let acme = Acme {
        enabled: table.optional("enabled", parse::boolean),
        agree_terms: table.optional("agree_terms", parse::boolean),
        email: table.optional("email", Email::parse),
        directory: table.optional("directory", DirectoryUrl::parse),
        authority: table.optional("authority", AuthorityFile::parse),
        challenge: table.optional("challenge", ChallengeKind::parse),
        hook: table.optional("hook", HookFile::parse),
    };
    if acme.enabled == Some(true) {
        if !domain.is_some_and(Domain::is_public) {
            table.reject(
                "enabled",
                "false, unless the setting domain is a public name of yours, such as \"chat.example.org\"",
            );
        }
        if acme.agree_terms != Some(true) {
            table.reject(
                "agree_terms",
                "true when enabled: the certificate authority wants its terms of service agreed to",
            );
        }
        if acme.dns_hook() == Some("") && !table.has("hook") {
            table.reject("hook", format!("for dns-01, {}", HookFile::ACCEPTED));
        }
    }
    table.finish();
    acme
}
