//! Where new versions come from, as settings, and how these meet `/etc/perch/update.toml` where somebody has written it by hand.
//!
//! A file by hand counts, and is shown as the settings' values, until a setting of updates is changed: then the file is written anew with
//! all of them, and is the settings' from there on. What the settings cannot express is left alone for as long as they say nothing.

use serde::{Deserialize, Serialize};
use settings_file::{Table, parse};

use super::outputs::{Content, Piece};
use super::render::HEAD;
use crate::files::{Access, Files};
use crate::model::{AuthorityFile, ChannelName, UpdateUrl, VersionName};
use crate::update::channel::{PATH, Source};
use crate::update::window::Window;

/// Where new versions come from, and when they are installed. The names are those of `update.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Updates {
    /// The publisher's folder. Absent: updates come by file only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<UpdateUrl>,
    /// Absent: stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// The only version that is offered. Absent: the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<VersionName>,
    /// Whether the box installs by itself at night. Absent: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automatic: Option<bool>,
    /// When it may. Absent: 03:00-05:00.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Who has signed the certificate of the publisher's server, if no public authority has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<AuthorityFile>,
}

/// A file that the settings have not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByHand {
    /// It says what settings can say.
    Understood(Updates),
    /// It says something else, or has a mistake.
    Foreign,
}

impl ByHand {
    /// Looks at the file. `None`: there is none, or it is the settings'.
    #[must_use]
    pub fn look(files: &Files) -> Option<Self> {
        let text = files.read(PATH).ok().flatten()?;
        if text.starts_with(HEAD.trim_end()) {
            return None;
        }
        // What the update itself would refuse is nobody's wish.
        let valid = toml::from_str::<Source>(&text).and_then(|_| toml::from_str::<Updates>(&text));
        Some(valid.map_or(Self::Foreign, Self::Understood))
    }

    /// Whether it says the same.
    #[must_use]
    pub fn says(&self, updates: &Updates) -> bool {
        match self {
            Self::Understood(own) => own == updates,
            Self::Foreign => *updates == Updates::default(),
        }
    }
}

/// The file that has them. `None`: one that was written by hand stays as it is.
#[must_use]
pub fn piece(updates: &Updates, by_hand: Option<&ByHand>) -> Option<Piece> {
    if by_hand.is_some_and(|file| file.says(updates)) {
        return None;
    }
    Some(Piece {
        path: PATH.to_owned(),
        content: if *updates == Updates::default() {
            Content::Absent
        } else {
            Content::Text(super::render::updates(updates))
        },
        access: Access::Everyone,
    })
}

/// Reads the section of `perch.toml`.
pub(super) fn read(mut table: Table<'_>) -> Updates {
    let updates = Updates {
        url: table.optional("url", UpdateUrl::parse),
        channel: table.optional("channel", ChannelName::parse),
        pinned: table.optional("pinned", VersionName::parse),
        automatic: table.optional("automatic", parse::boolean),
        window: table.optional("window", Window::parse),
        authority: table.optional("authority", AuthorityFile::parse),
    };
    table.finish();
    updates
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn with_url(url: &str) -> Updates {
        Updates {
            url: Some(UpdateUrl::new(url).unwrap()),
            ..Updates::default()
        }
    }

    #[test]
    fn a_file_by_hand_is_understood_where_settings_could_say_it() {
        let found = |text: &str| {
            let folder = tempfile::tempdir().unwrap();
            let files = Files::new(folder.path());
            files.replace(PATH, text.as_bytes(), Access::Root).unwrap();
            ByHand::look(&files)
        };
        let understood = |updates| Some(ByHand::Understood(updates));
        for (text, meant) in [
            ("# later\n", understood(Updates::default())),
            (
                "url = \"https://u.example/p\"\n",
                understood(with_url("https://u.example/p")),
            ),
            ("urll = \"https://u.example/p\"\n", Some(ByHand::Foreign)),
            (
                "url = \"https://u.example/p?key=1\"\n",
                Some(ByHand::Foreign),
            ),
            ("window = \"at night\"\n", Some(ByHand::Foreign)),
            (
                super::super::render::updates(&with_url("https://u.example")).as_str(),
                None,
            ),
        ] {
            assert_eq!(found(text), meant, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_what_an_update_reads() {
        let updates = Updates {
            url: Some(UpdateUrl::new("https://u.example/p").unwrap()),
            channel: Some(ChannelName::new("beta").unwrap()),
            pinned: Some(VersionName::new("1.2.3").unwrap()),
            automatic: Some(true),
            window: Some("23:00-01:30".parse().unwrap()),
            authority: Some(AuthorityFile::new("/etc/perch/ca.crt").unwrap()),
        };
        let source: Source = toml::from_str(&super::super::render::updates(&updates)).unwrap();
        assert_eq!(source.folder().unwrap(), "https://u.example/p");
        assert_eq!((source.channel(), source.automatic), ("beta", true));
        assert_eq!(source.window, updates.window);
        assert_eq!(source.pinned.as_deref(), Some("1.2.3"));
        assert_eq!(source.authority.as_deref(), Some("/etc/perch/ca.crt"));
    }
}
