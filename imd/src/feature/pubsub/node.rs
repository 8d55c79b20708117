//! A node's configuration (XEP-0060 §16.4.4): its values, its form, and whether publish-options agree with it.
//!
//! Pure: the store keeps the configuration as text, which only this file reads and writes.

use imd_proto::Element;
use imd_proto::form::Form;
use serde::{Deserialize, Serialize};

use super::fields;

/// Who may read a node and subscribe to it (XEP-0060 §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessModel {
    /// Everybody.
    Open,
    /// Those who see the owner's presence.
    Presence,
    /// Contacts in certain groups of the owner's roster.
    Roster,
    /// Subscribers that an owner has approved.
    Authorize,
    /// Members.
    Whitelist,
}

/// Who may publish (XEP-0060 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PublishModel {
    /// Owners and publishers.
    Publishers,
    /// Subscribers too.
    Subscribers,
    /// Everybody.
    Open,
}

/// When the newest item is sent without a new one being published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendLast {
    /// Never.
    Never,
    /// To new subscribers.
    OnSub,
    /// To new subscribers, and to those who come online.
    OnSubAndPresence,
}

/// How many items a node keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MaxItems {
    /// As many as the service allows.
    Max,
    /// So many.
    Number(u32),
}

impl MaxItems {
    /// The number, where the service allows `limit`.
    #[must_use]
    pub fn resolve(self, limit: u32) -> u32 {
        match self {
            Self::Max => limit,
            Self::Number(number) => number.min(limit),
        }
    }
}

/// The type of notification messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotificationType {
    /// `headline`: for those who are online.
    Headline,
    /// `normal`.
    Normal,
    /// `chat`.
    Chat,
}

impl NotificationType {
    /// The value of a message's `type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Headline => "headline",
            Self::Normal => "normal",
            Self::Chat => "chat",
        }
    }
}

/// What a node is like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeConfig {
    /// A short name for people; empty: none.
    pub title: String,
    /// What it is about; empty: not said.
    pub description: String,
    /// The namespace of its payloads; empty: not said.
    pub payload_type: String,
    /// Who may read.
    pub access_model: AccessModel,
    /// The groups of [`AccessModel::Roster`].
    pub roster_groups: Vec<String>,
    /// Who may publish.
    pub publish_model: PublishModel,
    /// Whether items are kept.
    pub persist_items: bool,
    /// How many.
    pub max_items: MaxItems,
    /// When the newest is sent again.
    pub send_last: SendLast,
    /// Whether notifications are sent at all.
    pub deliver_notifications: bool,
    /// Whether notifications have the payload.
    pub deliver_payloads: bool,
    /// Whether retracted items are announced though the publisher did not ask for it.
    pub notify_retract: bool,
    /// Whether the node's end is announced.
    pub notify_delete: bool,
    /// Whether a changed configuration is announced.
    pub notify_config: bool,
    /// The type of notification messages.
    pub notification_type: NotificationType,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self::pep()
    }
}

impl NodeConfig {
    /// What a node of an account is like unless it is said otherwise (XEP-0163 §5).
    #[must_use]
    pub fn pep() -> Self {
        Self {
            title: String::new(),
            description: String::new(),
            payload_type: String::new(),
            access_model: AccessModel::Presence,
            roster_groups: Vec::new(),
            publish_model: PublishModel::Publishers,
            persist_items: true,
            max_items: MaxItems::Number(1),
            send_last: SendLast::OnSubAndPresence,
            deliver_notifications: true,
            deliver_payloads: true,
            notify_retract: true,
            notify_delete: true,
            notify_config: false,
            notification_type: NotificationType::Headline,
        }
    }

    /// What a channel is like unless it is said otherwise.
    #[must_use]
    pub fn channel() -> Self {
        Self {
            access_model: AccessModel::Open,
            max_items: MaxItems::Max,
            send_last: SendLast::OnSub,
            ..Self::pep()
        }
    }

    /// The configuration as the store keeps it.
    #[must_use]
    pub fn to_stored(&self) -> String {
        // Plain values always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Read what the store kept. What cannot be read is nobody's but the owner's: whitelist.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self {
            access_model: AccessModel::Whitelist,
            ..Self::pep()
        })
    }

    /// Change what a submitted configuration form names; fields that are not known are not looked at (XEP-0004 §3.2).
    ///
    /// # Errors
    /// With what a field cannot be, and what it can.
    pub fn apply(&mut self, form: &Form, limits: &Bounds) -> Result<(), String> {
        let mut changed = self.clone();
        for (name, values) in &form.fields {
            match fields::set(&mut changed, name, values, limits) {
                Ok(()) | Err(fields::Refused::Unknown) => {}
                Err(fields::Refused::Value(accepted)) => {
                    let found = values.join(", ");
                    return Err(format!("{name} cannot be {found:?}; it is {accepted}"));
                }
            }
        }
        *self = changed;
        Ok(())
    }

    /// Change all that publish-options name, for a node that is to be created by publishing.
    ///
    /// # Errors
    /// With the field that is not known or cannot be that (XEP-0060 §7.1.5).
    pub fn apply_options(&mut self, form: &Form, limits: &Bounds) -> Result<(), String> {
        for (name, values) in &form.fields {
            fields::set(self, name, values, limits).map_err(|_| name.clone())?;
        }
        Ok(())
    }

    /// The first publish-option that the configuration does not agree with; `None` when all do.
    #[must_use]
    pub fn disagrees(&self, form: &Form, limits: &Bounds) -> Option<String> {
        for (name, values) in &form.fields {
            let mut wanted = self.clone();
            if fields::set(&mut wanted, name, values, limits).is_err() || wanted != *self {
                return Some(name.clone());
            }
        }
        None
    }

    /// The form that shows or asks for the configuration.
    #[must_use]
    pub fn form(&self, limits: &Bounds) -> Element {
        fields::form(self, limits)
    }
}

/// What a service can do for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most items.
    pub max_items: u32,
    /// Whether there is a roster and presence to give access by: on accounts.
    pub has_roster: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Bounds = Bounds {
        max_items: 500,
        has_roster: true,
    };

    fn form(fields: &[(&str, &str)]) -> Form {
        Form {
            form_type: "submit".into(),
            fields: fields
                .iter()
                .map(|(n, v)| ((*n).to_owned(), vec![(*v).to_owned()]))
                .collect(),
        }
    }

    #[test]
    fn a_configuration_survives_the_store() {
        let mut config = NodeConfig::channel();
        config.roster_groups = vec!["a".into()];
        assert_eq!(NodeConfig::from_stored(&config.to_stored()), config);
    }

    #[test]
    fn a_damaged_configuration_opens_nothing() {
        let config = NodeConfig::from_stored("{");
        assert_eq!(config.access_model, AccessModel::Whitelist);
    }

    /// What clients really send: XEP-0384 §5.3.1, XEP-0402 §3.1, XEP-0490 §4.
    #[test]
    fn publish_options_of_everyday_clients_make_the_node() {
        let mut omemo = NodeConfig::pep();
        omemo
            .apply_options(
                &form(&[
                    ("FORM_TYPE", super::super::PUBLISH_OPTIONS),
                    ("pubsub#access_model", "open"),
                    ("pubsub#persist_items", "true"),
                    ("pubsub#max_items", "max"),
                    ("pubsub#send_last_published_item", "never"),
                ]),
                &LIMITS,
            )
            .unwrap();
        assert_eq!(
            (omemo.access_model, omemo.max_items, omemo.send_last),
            (AccessModel::Open, MaxItems::Max, SendLast::Never)
        );
    }

    #[test]
    fn publish_options_must_agree_with_the_node() {
        let node = NodeConfig::pep();
        for (field, value, agrees) in [
            ("pubsub#access_model", "presence", true),
            ("pubsub#access_model", "open", false),
            ("pubsub#access_model", "nonsense", false),
            ("pubsub#persist_items", "1", true),
            ("pubsub#persist_items", "0", false),
            ("pubsub#max_items", "1", true),
            ("pubsub#max_items", "max", false),
            ("pubsub#no_such_field", "1", false),
            ("pubsub#node_type", "leaf", true),
        ] {
            let verdict = node.disagrees(&form(&[(field, value)]), &LIMITS);
            assert_eq!(verdict.is_none(), agrees, "{field} = {value}");
        }
    }

    #[test]
    fn the_highest_number_of_items_is_max() {
        let mut node = NodeConfig::pep();
        node.apply(&form(&[("pubsub#max_items", "500")]), &LIMITS)
            .unwrap();
        assert_eq!(
            node.disagrees(&form(&[("pubsub#max_items", "max")]), &LIMITS),
            None
        );
        let error = node
            .apply(&form(&[("pubsub#max_items", "501")]), &LIMITS)
            .unwrap_err();
        assert!(error.contains("501") && error.contains("500"), "{error}");
    }

    #[test]
    fn a_refused_configuration_changes_nothing() {
        let mut node = NodeConfig::pep();
        let mixed = form(&[
            ("pubsub#title", "new"),
            ("pubsub#access_model", "everybody"),
        ]);
        let error = node.apply(&mixed, &LIMITS).unwrap_err();
        assert!(error.contains("whitelist"), "{error}");
        assert_eq!(node, NodeConfig::pep());
    }
}
