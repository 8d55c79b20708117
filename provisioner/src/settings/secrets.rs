//! Secrets that the box has to keep, in a file for root alone.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Settings;
use super::outputs::{Content, Piece};
use super::read::Wishes;
use crate::files::{Access, Files};
use crate::model::Ssid;
use crate::model::secret::{S3Secret, SetupCodeHash, WifiKey};
use crate::model::target::AccessKey;

/// Where they are kept.
pub const PATH: &str = "/var/lib/perch/secrets.json";

/// What is kept. Unknown fields are passed over: after a roll-back they may be a newer version's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Secrets {
    /// What opens the Wi-Fi network.
    pub wifi: Option<WifiSecret>,
    /// What opens the Wi-Fi network from before a change that is on trial. Absent: the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub former_wifi: Option<WifiSecret>,
    /// The hash of the code that lets somebody claim the box.
    pub setup_code: Option<SetupCodeHash>,
    /// What opens the S3 target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<TargetSecret>,
}

/// What opens one S3 target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetSecret {
    /// The access key that it belongs to.
    pub access_key: AccessKey,
    /// The secret key.
    pub secret: S3Secret,
}

/// What opens one Wi-Fi network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WifiSecret {
    /// The network.
    pub ssid: Ssid,
    /// Its key.
    pub key: WifiKey,
}

impl Secrets {
    /// Reads them; none if there are none yet.
    ///
    /// # Errors
    /// The file is there but not readable.
    pub fn load(files: &Files) -> Result<Self> {
        match files.read(PATH)? {
            Some(text) => serde_json::from_str(&text).with_context(|| format!("reading {PATH}")),
            None => Ok(Self::default()),
        }
    }

    /// The Wi-Fi network whose key is here.
    pub fn known_wifi(&self) -> Option<&Ssid> {
        self.wifi.as_ref().map(|wifi| &wifi.ssid)
    }

    /// Keeps what opened the Wi-Fi network that a change leaves, whose secrets were `before`. In a row of changes that nobody was sure
    /// of, that of the first one stays.
    pub fn keep_former_wifi(&mut self, before: &Self, row: bool) {
        let kept = before.former_wifi.clone().filter(|_| row);
        let left = before.wifi.clone().filter(|_| before.wifi != self.wifi);
        self.former_wifi = kept.or(left);
    }

    /// Makes what opened the Wi-Fi network before the change on trial open it again.
    pub fn go_back_to_former_wifi(&mut self) {
        self.wifi = self.former_wifi.take().or(self.wifi.take());
    }

    /// The access key whose secret key is here.
    pub fn known_s3(&self) -> Option<&AccessKey> {
        self.s3.as_ref().map(|s3| &s3.access_key)
    }

    /// These secrets with those of `wishes`, without that of a target that the settings have no more.
    ///
    /// # Errors
    /// There are no random numbers for a hash.
    pub fn with(&self, settings: &Settings, wishes: &Wishes) -> Result<Self> {
        let mut merged = self.clone();
        if let (Some(key), Some(wifi)) = (&wishes.wifi_key, &settings.wifi) {
            merged.wifi = Some(WifiSecret {
                ssid: wifi.ssid.clone(),
                key: key.clone(),
            });
        }
        let wanted = settings.backup.as_ref().and_then(|t| t.access_key.as_ref());
        merged.s3 = match (&wishes.s3_secret, wanted) {
            (Some(secret), Some(access_key)) => Some(TargetSecret {
                access_key: access_key.clone(),
                secret: secret.clone(),
            }),
            (_, wanted) => merged.s3.filter(|s3| Some(&s3.access_key) == wanted),
        };
        if let Some(code) = &wishes.setup_code {
            // The same code keeps its hash: a boot that changes nothing writes nothing.
            let known = merged.setup_code.take().filter(|hash| hash.is_of(code));
            merged.setup_code = Some(match known {
                Some(hash) => hash,
                None => SetupCodeHash::of(code)?,
            });
        }
        Ok(merged)
    }

    /// The keys whose secrets are others in `new`, where there were some before or are some then.
    pub fn changed(&self, new: &Self) -> Vec<&'static str> {
        let table = [
            ("setup_code", self.setup_code != new.setup_code),
            ("wifi.password", self.wifi != new.wifi),
            ("backup.secret_key", self.s3 != new.s3),
        ];
        let changed = table.into_iter().filter(|(_, is_changed)| *is_changed);
        changed.map(|(key, _)| key).collect()
    }

    /// The file that holds them.
    ///
    /// # Errors
    /// They cannot be written as JSON.
    pub fn piece(&self) -> Result<Piece> {
        let content = if *self == Self::default() {
            Content::Absent
        } else {
            let text = serde_json::to_string_pretty(self).context("writing secrets as JSON")?;
            Content::Text(format!("{text}\n"))
        };
        Ok(Piece {
            path: PATH.to_owned(),
            content,
            access: Access::Root,
        })
    }
}
