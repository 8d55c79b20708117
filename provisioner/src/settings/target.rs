//! The section `[backup]`: where backups are sent every night, and what opens that place.

use serde::{Deserialize, Serialize};
use settings_file::Table;

use crate::model::AuthorityFile;
use crate::model::secret::S3Secret;
use crate::model::target::{AccessKey, Region, S3Endpoint, TargetUrl};

/// Where backups are sent. What opens an S3 target is kept with the secrets; for SFTP the box makes a key of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The place.
    pub url: TargetUrl,
    /// The server of an S3 target. Absent for SFTP, as are all below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<S3Endpoint>,
    /// Its region. Absent: [`Target::REGION`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// The public part of what opens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<AccessKey>,
    /// Who has signed the server's certificate, if no public authority has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<AuthorityFile>,
}

impl Target {
    /// The region of a server that has no others: what most of them call it.
    pub const REGION: &'static str = "us-east-1";
    /// All keys of the section.
    pub const KEYS: [&'static str; 6] = [
        "backup.target",
        "backup.endpoint",
        "backup.region",
        "backup.access_key",
        "backup.secret_key",
        "backup.authority",
    ];

    /// The region in use.
    #[must_use]
    pub fn region(&self) -> &str {
        self.region.as_ref().map_or(Self::REGION, Region::as_str)
    }
}

/// Of keys that only an S3 target has.
const ONLY_S3: &str = "nothing, unless backup.target is an S3 target";

/// Reads the section of `perch.toml`. `known` is the access key whose secret key is in the box.
pub(super) fn read(
    mut table: Table<'_>,
    known: Option<&AccessKey>,
) -> Option<(Target, Option<S3Secret>)> {
    table.secret("secret_key");
    let url = table.required("target", TargetUrl::parse);
    let is_s3 = url.as_ref().is_some_and(TargetUrl::is_s3);
    let (endpoint, access_key) = if is_s3 {
        let endpoint = table.required("endpoint", S3Endpoint::parse);
        (endpoint, table.required("access_key", AccessKey::parse))
    } else {
        let endpoint = table.optional("endpoint", S3Endpoint::parse);
        (endpoint, table.optional("access_key", AccessKey::parse))
    };
    let region = table.optional("region", Region::parse);
    let secret = table.optional("secret_key", S3Secret::parse);
    let authority = table.optional("authority", AuthorityFile::parse);
    if url.is_some() && !is_s3 {
        for key in [
            "endpoint",
            "region",
            "access_key",
            "secret_key",
            "authority",
        ] {
            if table.has(key) {
                table.reject(key, ONLY_S3);
            }
        }
    }
    // An empty one has been moved into the box.
    let is_unread = table.has("secret_key") && secret.is_none();
    let is_missing = secret.as_ref().is_none_or(Option::is_none);
    if is_s3 && is_missing && !is_unread && access_key.as_ref() != known {
        let accepted = format!(
            "{}: the box has none for this access key",
            S3Secret::ACCEPTED
        );
        table.reject("secret_key", accepted);
    }
    table.finish();
    let target = Target {
        url: url?,
        endpoint,
        region,
        access_key,
        authority,
    };
    Some((target, secret.flatten()))
}
