//! Why a target could not be used: in one sentence, with what to do.

use serde::{Deserialize, Serialize};

/// What is wrong, with what the other side said.
#[derive(Debug, thiserror::Error)]
#[error("{kind}{}", said(.detail))]
pub struct Fault {
    /// For programs, and for the page's own words.
    pub kind: Kind,
    /// What was said, for people who look into it; empty for nothing.
    pub detail: String,
}

/// What is wrong.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The owner has not accepted the server's host key.
    #[error(
        "the server's host key is not accepted yet: compare its fingerprint and accept it, on the page Backups or by \
         `provisioner backup target --accept FINGERPRINT`"
    )]
    HostKeyUnknown,
    /// The server shows another host key than the accepted one.
    #[error(
        "the server shows another host key than the accepted one, so nothing was sent: it is another computer, or was set up anew; \
         if you know why, forget the accepted key and accept the new one"
    )]
    HostKeyChanged,
    /// The server does not let the box's key in.
    #[error(
        "the server does not accept the box's key: put the line that is shown into the file authorized_keys of this user there"
    )]
    KeyRefused,
    /// There is no such folder.
    #[error("there is no such folder on the server: make it there, or correct backup.target")]
    NoFolder,
    /// There is no such bucket.
    #[error("there is no such bucket: make it there, or correct backup.target")]
    NoBucket,
    /// Reading or writing is not allowed.
    #[error(
        "the server does not allow it: give this user or access key the right to list, read, write and delete there"
    )]
    NotAllowed,
    /// The access key is unknown there.
    #[error("the server does not know this access key: correct backup.access_key")]
    WrongAccessKey,
    /// The secret key is another one.
    #[error("the secret key does not belong to this access key: set backup.secret_key again")]
    WrongSecret,
    /// The region is another one.
    #[error("the bucket is in another region: correct backup.region")]
    WrongRegion,
    /// The clocks differ.
    #[error(
        "the box's clock and the server's differ too much: look at the time on the page Settings"
    )]
    Clock,
    /// The certificate is not trusted.
    #[error(
        "the server's certificate is not trusted: renew it there, or name its authority in backup.authority"
    )]
    Certificate,
    /// There is no more room.
    #[error("there is no room: free some on the server, or raise the quota")]
    Full,
    /// The backup is larger than one request may be.
    #[error(
        "the backup is larger than 5 GiB, which this way cannot take: use an SFTP target or a stick"
    )]
    TooLarge,
    /// The name is not found.
    #[error(
        "the server's name is not found: correct it in backup.target or backup.endpoint, take its address instead (no name that ends in .local is found), or look at the box's network"
    )]
    NoName,
    /// Nobody answers.
    #[error("the server does not answer: is it on, and are its address and port right?")]
    NoAnswer,
    /// The connection ended.
    #[error(
        "the connection ended before everything was sent, and what arrived does not count: the box tries again next night"
    )]
    Cut,
    /// What arrived is not what was sent.
    #[error(
        "what arrived is not what was sent, and does not count: try again, and look at the server's disk if it stays so"
    )]
    Altered,
    /// There is no such backup.
    #[error("there is no such backup on the target")]
    NoBackup,
    /// The box itself cannot do it.
    #[error("the box could not do it")]
    Box,
    /// Anything else.
    #[error("the server refused it")]
    Other,
}

fn said(detail: &str) -> String {
    match detail {
        "" => String::new(),
        detail => format!(" ({detail})"),
    }
}

impl Fault {
    /// With what was said; its lines become one, and a long one is cut.
    pub fn new(kind: Kind, detail: impl AsRef<str>) -> Self {
        let words: Vec<&str> = detail.as_ref().split_whitespace().collect();
        Self {
            kind,
            detail: words.join(" ").chars().take(300).collect(),
        }
    }
}

impl Fault {
    /// One kind for another, where what was asked for gives it another meaning.
    #[must_use]
    pub fn instead(self, kind: Kind, meant: Kind) -> Self {
        let is_it = self.kind == kind;
        Self {
            kind: if is_it { meant } else { self.kind },
            ..self
        }
    }
}

impl From<anyhow::Error> for Fault {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Kind::Box, format!("{error:#}"))
    }
}
