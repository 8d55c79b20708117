//! Settings of notifications (`[push]`) and of whom to write to about the server (`[contact]`).

use hyper::Uri;
use settings_file::{Table, Value, parse as value};

/// Push notifications (XEP-0357).
#[derive(Debug, Clone, Default)]
pub struct PushSettings {
    /// A web address that is told of messages for people whose clients all sleep; absent: none.
    pub webhook: Option<Uri>,
    /// Whether notifications say who wrote. They pass through the computers of the phone's maker.
    pub sender: bool,
    /// Whether notifications have the text of the message.
    pub body: bool,
}

/// Addresses for each purpose (XEP-0157), as URIs.
#[derive(Debug, Clone, Default)]
pub struct ContactSettings {
    /// The purposes that have addresses: the name of the form's field, and the URIs.
    pub addresses: Vec<(&'static str, Vec<String>)>,
}

/// Key in the settings and field in the form (XEP-0157 §3).
const PURPOSES: [(&str, &str); 7] = [
    ("abuse", "abuse-addresses"),
    ("admin", "admin-addresses"),
    ("feedback", "feedback-addresses"),
    ("sales", "sales-addresses"),
    ("security", "security-addresses"),
    ("status", "status-addresses"),
    ("support", "support-addresses"),
];

pub(super) fn push(mut table: Table<'_>) -> PushSettings {
    let push = PushSettings {
        webhook: table.optional("webhook", web_address),
        sender: table.optional("sender", value::boolean).unwrap_or(false),
        body: table.optional("body", value::boolean).unwrap_or(false),
    };
    table.finish();
    push
}

pub(super) fn contact(mut table: Table<'_>) -> ContactSettings {
    let addresses = PURPOSES
        .into_iter()
        .filter_map(|(key, field)| Some((field, table.list(key, uri)?)))
        .filter(|(_, uris)| !uris.is_empty())
        .collect();
    table.finish();
    ContactSettings { addresses }
}

fn web_address(found: &Value<'_>) -> Result<Uri, String> {
    let accepted = "a web address in quotes, such as \"https://example.org/notify\"";
    let uri: Uri = found
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or(accepted)?;
    if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() {
        Ok(uri)
    } else {
        Err(accepted.to_owned())
    }
}

fn uri(found: &Value<'_>) -> Result<String, String> {
    let accepted =
        "a URI in quotes, such as \"mailto:anna@example.org\" or \"xmpp:anna@perch.local\"";
    let text = found.as_str().ok_or(accepted)?;
    let scheme = text.split_once(':').filter(|(scheme, rest)| {
        !rest.is_empty()
            && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    });
    if scheme.is_some() && !text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Ok(text.to_owned())
    } else {
        Err(accepted.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    const LEAST: &str =
        "domain = \"x.y\"\ndata_dir = \"/d\"\n[tls]\ncertificate = \"/c\"\nkey = \"/k\"\n";

    #[test]
    fn addresses_and_the_webhook_are_read() {
        let text = format!(
            "{LEAST}[contact]\nabuse = [\"mailto:a@b.c\"]\nadmin = []\n[push]\nwebhook = \"http://127.0.0.1:9/x?y\"\n"
        );
        let config = parse("imd.toml", &text).unwrap();
        assert_eq!(
            config.contact.addresses,
            [("abuse-addresses", vec!["mailto:a@b.c".to_owned()])]
        );
        assert!(config.push.webhook.is_some() && !config.push.body && !config.push.sender);
    }

    #[test]
    fn what_is_no_address_is_named() {
        let text = format!(
            "{LEAST}[contact]\nabuse = [\"a@b.c\"]\n[push]\nwebhook = \"ftp://x\"\nbody = 1\n"
        );
        let problems = parse("imd.toml", &text).unwrap_err().to_string();
        for expected in [
            "imd.toml:7: contact.abuse[0]",
            "imd.toml:9: push.webhook",
            "imd.toml:10: push.body",
        ] {
            assert!(
                problems.contains(expected),
                "{expected:?} is not in:\n{problems}"
            );
        }
    }
}
