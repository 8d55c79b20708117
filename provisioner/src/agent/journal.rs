//! What went wrong since the start, from the journal, without what would tell who is on the box.

use std::sync::LazyLock;

use anyhow::{Context, Result};
use regex::{Captures, Regex};
use serde::{Deserialize, Serialize};

use crate::files::Files;
use crate::firstboot::state::BoxState;
use crate::settings::apply::Machine;

/// The most that are looked at.
const MOST: &str = "200";

/// An error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When, in seconds since 1970.
    pub at: i64,
    /// Whose: a unit, or a program.
    pub from: String,
    /// What it said, redacted.
    pub text: String,
}

/// One entry as `journalctl -o json` writes it.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "__REALTIME_TIMESTAMP", default)]
    microseconds: String,
    #[serde(rename = "_SYSTEMD_UNIT", default)]
    unit: Option<String>,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    program: Option<String>,
    /// A list of numbers where it is no text.
    #[serde(rename = "MESSAGE", default)]
    message: serde_json::Value,
}

/// The errors since the start, newest first; those that repeat are there once.
///
/// # Errors
/// The journal cannot be read.
pub fn errors(machine: Machine<'_>) -> Result<Vec<Line>> {
    let command = [
        "journalctl",
        "--boot",
        "--priority=err",
        "--output=json",
        "--reverse",
        "--quiet",
        "--no-pager",
        "--lines",
        MOST,
    ];
    let text = machine.system.run(&command, None)?;
    let redactor = Redactor::of(machine.files)?;
    let mut found: Vec<Line> = Vec::new();
    for entry in text
        .lines()
        .filter_map(|line| serde_json::from_str::<Entry>(line).ok())
    {
        let Some(message) = entry.message.as_str() else {
            continue;
        };
        let line = Line {
            at: entry.microseconds.parse::<i64>().unwrap_or_default() / 1_000_000,
            from: entry.unit.or(entry.program).unwrap_or_default(),
            text: redactor.redact(message),
        };
        if !found.iter().any(|known| known.text == line.text) {
            found.push(line);
        }
    }
    Ok(found)
}

/// Takes names and addresses out of texts.
pub struct Redactor {
    own: Vec<(String, &'static str)>,
}

/// What is recognised by its form, and what stands there instead.
static FORMS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let forms = [
        // Links that let somebody in.
        (r"/(invite|upload)/[A-Za-z0-9_\-]+", "/$1/…"),
        (r"AGE-SECRET-KEY-1[A-Z0-9]+", "…"),
        (
            r"(?i)\b(password|token|secret|setup_code)(=|: ?)\S+",
            "$1$2…",
        ),
        (r"\b([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\b", "(MAC)"),
        (r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b", "(IPv4)"),
        // The clock's 12:30:01 is none.
        (
            r"\b[0-9a-fA-F]{1,4}(:[0-9a-fA-F]{1,4})*::([0-9a-fA-F]{1,4}(:[0-9a-fA-F]{1,4})*)?",
            "(IPv6)",
        ),
        (r"\b([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}\b", "(IPv6)"),
    ];
    let read = forms.into_iter();
    read.filter_map(|(form, instead)| Some((Regex::new(form).ok()?, instead)))
        .collect()
});

/// The address of a person or a room, or the name of an instance of a unit.
static ADDRESS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"([^\s@/<>'\x22=,;()]+)@([A-Za-z0-9.\-]*)").ok());
const UNITS: [&str; 3] = [".service", ".timer", ".socket"];

fn without_people(text: &str) -> String {
    let Some(address) = ADDRESS.as_ref() else {
        return String::new();
    };
    let instead = |found: &Captures<'_>| {
        let (whole, domain) = (&found[0], &found[2]);
        if UNITS.iter().any(|ending| domain.ends_with(ending)) {
            whole.to_owned()
        } else {
            format!("someone@{domain}")
        }
    };
    address.replace_all(text, instead).into_owned()
}

impl Redactor {
    /// With the names of a box.
    ///
    /// # Errors
    /// Its state cannot be read.
    pub fn of(files: &Files) -> Result<Self> {
        let state = BoxState::load(files).context("the names of the box")?;
        let mut own = vec![(state.domain().as_str().to_owned(), "(domain)")];
        // Every box that was left as it came is called so, and so is the program.
        if state.host_name() != "perch" {
            own.push((state.host_name().to_owned(), "(host)"));
        }
        Ok(Self { own })
    }

    /// A text without names and addresses.
    pub fn redact(&self, text: &str) -> String {
        let forms = FORMS.iter();
        let text = forms.fold(without_people(text), |text, (form, instead)| {
            form.replace_all(&text, *instead).into_owned()
        });
        self.own
            .iter()
            .fold(text, |text, (name, instead)| text.replace(name, instead))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn every_form_can_be_read() {
        assert_eq!(FORMS.len(), 7);
        assert!(ADDRESS.is_some());
    }

    #[test]
    fn nobody_and_no_address_is_in_a_redacted_text() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("var/lib/perch/box.json");
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(&place, r#"{"host_name":"office"}"#).unwrap();
        let redactor = Redactor::of(&Files::new(root.path())).unwrap();
        for (text, redacted) in [
            (
                "anna@office.local/phone sent too much",
                "someone@(domain)/phone sent too much",
            ),
            ("from <ben.b@chat.example>", "from <someone@chat.example>"),
            ("client 192.168.1.23:51234", "client (IPv4):51234"),
            (
                "listening on [fe80::1ff:fe23:4567:890a]",
                "listening on [(IPv6)]",
            ),
            ("link is up: d8:3a:dd:01:02:03", "link is up: (MAC)"),
            ("GET /invite/abcDEF_1-2 failed", "GET /invite/… failed"),
            (
                "perch-backup@night.service failed",
                "perch-backup@night.service failed",
            ),
            ("password=hunter2 wrong", "password=… wrong"),
            ("AGE-SECRET-KEY-1QQQ", "…"),
            (
                "office: EXT4-fs error at 12:30:01",
                "(host): EXT4-fs error at 12:30:01",
            ),
        ] {
            assert_eq!(redactor.redact(text), redacted);
        }
    }
}
