//! The fields of a node's configuration form, one by one: how each is read, written and described.

use imd_proto::Element;
use imd_proto::form::FormBuilder;

use super::node::{
    AccessModel, Bounds, MaxItems, NodeConfig, NotificationType, PublishModel, SendLast,
};
use super::{NODE_CONFIG, PUBLISH_OPTIONS};

/// Why a field was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no such field.
    Unknown,
    /// It cannot have that value; what it can have.
    Value(String),
}

const ACCESS: &[(&str, &str, AccessModel)] = &[
    ("open", "Everybody", AccessModel::Open),
    (
        "presence",
        "Those who see my presence",
        AccessModel::Presence,
    ),
    ("roster", "Groups of my contacts", AccessModel::Roster),
    ("authorize", "Approved subscribers", AccessModel::Authorize),
    ("whitelist", "Members", AccessModel::Whitelist),
];
const PUBLISH: &[(&str, &str, PublishModel)] = &[
    ("publishers", "Publishers", PublishModel::Publishers),
    ("subscribers", "Subscribers", PublishModel::Subscribers),
    ("open", "Everybody", PublishModel::Open),
];
const LAST: &[(&str, &str, SendLast)] = &[
    ("never", "Never", SendLast::Never),
    ("on_sub", "To new subscribers", SendLast::OnSub),
    (
        "on_sub_and_presence",
        "To new subscribers and at login",
        SendLast::OnSubAndPresence,
    ),
];
const NOTIFICATION: &[(&str, &str, NotificationType)] = &[
    ("headline", "Headline", NotificationType::Headline),
    ("normal", "Normal", NotificationType::Normal),
    ("chat", "Chat", NotificationType::Chat),
];
/// The longest title, description or type, in bytes.
const TEXT_BYTES: usize = 1023;

fn chosen<T: Copy>(choices: &[(&str, &str, T)], value: &str) -> Result<T, Refused> {
    choices
        .iter()
        .find(|(name, _, _)| *name == value)
        .map(|(_, _, choice)| *choice)
        .ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _, _)| *name).collect();
            Refused::Value(format!("one of {}", names.join(", ")))
        })
}

fn name_of<T: PartialEq>(
    choices: &'static [(&'static str, &'static str, T)],
    value: &T,
) -> &'static str {
    choices
        .iter()
        .find(|(_, _, choice)| choice == value)
        .map_or("", |(name, _, _)| name)
}

fn boolean(value: &str) -> Result<bool, Refused> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Refused::Value("1 or 0".to_owned())),
    }
}

fn fixed(value: &str, only: &[&str]) -> Result<(), Refused> {
    if only.contains(&value) {
        Ok(())
    } else {
        Err(Refused::Value(format!("always {}", only[0])))
    }
}

fn text(value: &str) -> Result<String, Refused> {
    if value.len() <= TEXT_BYTES {
        Ok(value.to_owned())
    } else {
        Err(Refused::Value(format!("{TEXT_BYTES} bytes at the most")))
    }
}

fn access(value: &str, limits: &Bounds) -> Result<AccessModel, Refused> {
    let offered = |model: &AccessModel| {
        limits.has_roster || !matches!(model, AccessModel::Presence | AccessModel::Roster)
    };
    let choices: Vec<_> = ACCESS
        .iter()
        .filter(|(_, _, model)| offered(model))
        .copied()
        .collect();
    chosen(&choices, value)
}

fn max_items(value: &str, limits: &Bounds) -> Result<MaxItems, Refused> {
    if value == "max" {
        return Ok(MaxItems::Max);
    }
    match value.parse::<u32>() {
        Ok(number) if number == limits.max_items => Ok(MaxItems::Max),
        Ok(number) if (1..limits.max_items).contains(&number) => Ok(MaxItems::Number(number)),
        _ => Err(Refused::Value(format!(
            "a number from 1 to {} or \"max\"",
            limits.max_items
        ))),
    }
}

/// Set a field.
///
/// # Errors
/// When there is no such field, or it cannot have that value.
pub(super) fn set(
    config: &mut NodeConfig,
    name: &str,
    values: &[String],
    limits: &Bounds,
) -> Result<(), Refused> {
    let value = values.first().map(String::as_str).unwrap_or_default();
    match name {
        "FORM_TYPE" => fixed(value, &[NODE_CONFIG, PUBLISH_OPTIONS])?,
        "pubsub#title" => config.title = text(value)?,
        "pubsub#description" => config.description = text(&values.join("\n"))?,
        "pubsub#type" => config.payload_type = text(value)?,
        "pubsub#access_model" => config.access_model = access(value, limits)?,
        "pubsub#roster_groups_allowed" => {
            config.roster_groups = values.iter().map(|v| text(v)).collect::<Result<_, _>>()?;
        }
        "pubsub#publish_model" => config.publish_model = chosen(PUBLISH, value)?,
        "pubsub#persist_items" => config.persist_items = boolean(value)?,
        "pubsub#max_items" => config.max_items = max_items(value, limits)?,
        "pubsub#send_last_published_item" => config.send_last = chosen(LAST, value)?,
        "pubsub#deliver_notifications" => config.deliver_notifications = boolean(value)?,
        "pubsub#deliver_payloads" => config.deliver_payloads = boolean(value)?,
        "pubsub#notify_retract" => config.notify_retract = boolean(value)?,
        "pubsub#notify_delete" => config.notify_delete = boolean(value)?,
        "pubsub#notify_config" => config.notify_config = boolean(value)?,
        "pubsub#notification_type" => config.notification_type = chosen(NOTIFICATION, value)?,
        // What is always so here may be asked for.
        "pubsub#node_type" => fixed(value, &["leaf"])?,
        "pubsub#subscribe" => fixed(value, &["1", "true"])?,
        "pubsub#purge_offline" | "pubsub#presence_based_delivery" | "pubsub#notify_sub" => {
            fixed(value, &["0", "false"])?;
        }
        "pubsub#item_expire" => fixed(value, &["max"])?,
        _ => return Err(Refused::Unknown),
    }
    Ok(())
}

fn yes(value: bool) -> &'static str {
    if value { "1" } else { "0" }
}

fn options<'a, T>(choices: &'a [(&'a str, &'a str, T)]) -> Vec<(&'a str, &'a str)> {
    choices
        .iter()
        .map(|(name, label, _)| (*name, *label))
        .collect()
}

/// The form with the present values.
pub(super) fn form(config: &NodeConfig, limits: &Bounds) -> Element {
    let max = match config.max_items {
        MaxItems::Max => "max".to_owned(),
        MaxItems::Number(number) => number.to_string(),
    };
    let models: Vec<_> = options(ACCESS)
        .into_iter()
        .filter(|(name, _)| access(name, limits).is_ok())
        .collect();
    let groups: Vec<&str> = config.roster_groups.iter().map(String::as_str).collect();
    let switch = |form: FormBuilder, name: &str, label: &str, value: bool| {
        form.field(name, "boolean", Some(label), &[yes(value)])
    };
    let mut form = FormBuilder::new("form", NODE_CONFIG)
        .field(
            "pubsub#title",
            "text-single",
            Some("Title"),
            &[&config.title],
        )
        .field(
            "pubsub#description",
            "text-single",
            Some("Description"),
            &[&config.description],
        )
        .field(
            "pubsub#type",
            "text-single",
            Some("Namespace of the payloads"),
            &[&config.payload_type],
        )
        .choice(
            "pubsub#access_model",
            "Who may read",
            name_of(ACCESS, &config.access_model),
            &models,
        );
    if limits.has_roster {
        form = form.field(
            "pubsub#roster_groups_allowed",
            "text-multi",
            Some("Groups that may read"),
            &groups,
        );
    }
    form = form
        .choice(
            "pubsub#publish_model",
            "Who may publish",
            name_of(PUBLISH, &config.publish_model),
            &options(PUBLISH),
        )
        .field(
            "pubsub#max_items",
            "text-single",
            Some("How many items are kept"),
            &[&max],
        )
        .choice(
            "pubsub#send_last_published_item",
            "When the newest item is sent",
            name_of(LAST, &config.send_last),
            &options(LAST),
        )
        .choice(
            "pubsub#notification_type",
            "Type of notifications",
            name_of(NOTIFICATION, &config.notification_type),
            &options(NOTIFICATION),
        );
    for (name, label, value) in [
        ("pubsub#persist_items", "Keep items", config.persist_items),
        (
            "pubsub#deliver_notifications",
            "Notify of new items",
            config.deliver_notifications,
        ),
        (
            "pubsub#deliver_payloads",
            "Notifications with payload",
            config.deliver_payloads,
        ),
        (
            "pubsub#notify_retract",
            "Notify of retracted items",
            config.notify_retract,
        ),
        (
            "pubsub#notify_delete",
            "Notify when the node is deleted",
            config.notify_delete,
        ),
        (
            "pubsub#notify_config",
            "Notify when the configuration changes",
            config.notify_config,
        ),
    ] {
        form = switch(form, name, label, value);
    }
    form.build()
}

/// What anybody may know of a node (XEP-0060 §5.4), as a result form.
pub(super) fn meta_data(config: &NodeConfig, creator: &str) -> Element {
    FormBuilder::new("result", super::META_DATA)
        .field("pubsub#title", "text-single", None, &[&config.title])
        .field(
            "pubsub#description",
            "text-single",
            None,
            &[&config.description],
        )
        .field("pubsub#type", "text-single", None, &[&config.payload_type])
        .field("pubsub#creator", "jid-single", None, &[creator])
        .field(
            "pubsub#access_model",
            "list-single",
            None,
            &[name_of(ACCESS, &config.access_model)],
        )
        .field(
            "pubsub#publish_model",
            "list-single",
            None,
            &[name_of(PUBLISH, &config.publish_model)],
        )
        .build()
}
