//! The settings files on the FAT partition: what the owner asks for without a keyboard on the box.
//!
//! A file with a problem is not used at all. One that has been applied is not applied again until it changes, so that
//! what is set from elsewhere in the meantime stays.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, Result};
use settings_file::{Document, Problems};

use super::FirstBoot;
use crate::backup;
use crate::files::Files;
use crate::model::Domain;
use crate::model::secret::hex;
use crate::settings::preseed;
use crate::settings::read::{self, Known, Reading, Wishes};
use crate::settings::secrets::Secrets;

/// The folder that computers see as the card.
pub const FOLDER: &str = "/boot/firmware";

/// A kind of settings file.
pub struct Kind {
    /// Its name on the card.
    pub name: &'static str,
    /// Reads it.
    pub read: fn(&Document, Known<'_>) -> Reading,
    /// Tables and keys of its secrets.
    pub secrets: &'static [(&'static str, &'static str)],
}

const RESTORE_WORDS: (&str, &str) = ("", "restore_words");

/// The files, later ones winning over earlier ones.
pub const KINDS: [Kind; 2] = [
    Kind {
        name: preseed::NAME,
        read: preseed::read,
        secrets: &[("user", "password"), ("wlan", "password")],
    },
    Kind {
        name: "perch.toml",
        read: |document, known| Reading {
            wishes: read::read(document, known),
            skipped: Vec::new(),
        },
        secrets: &[
            ("", "setup_code"),
            RESTORE_WORDS,
            ("admin", "password"),
            ("wifi", "password"),
            ("backup", "secret_key"),
        ],
    },
];

/// All that the card asks for.
#[derive(Debug, Default)]
pub struct Card {
    /// What the files without problems ask for. The settings of those that have been applied before are left out.
    pub wishes: Wishes,
    /// Files that were read without a problem.
    pub good: Vec<&'static str>,
    /// The files that will have been applied, each with a digest of its text without secrets. One with a problem counts as
    /// it was when it had none.
    pub digests: BTreeMap<String, String>,
    /// The files whose settings are in `wishes`.
    pub sources: Vec<&'static str>,
    /// Problems, for people.
    pub problems: Vec<String>,
    /// Parts that a box has no use for, for people.
    pub skipped: Vec<String>,
}

/// Reads the card. `applied` has the digests of the files that have been applied, `domain` is the box's.
pub fn read(
    files: &Files,
    secrets: &Secrets,
    applied: &BTreeMap<String, String>,
    domain: Option<&Domain>,
) -> Card {
    let mut card = Card::default();
    for kind in &KINDS {
        card.problems.extend(misnamed(files, kind.name));
        let known = Known {
            files,
            wifi: secrets.known_wifi(),
            domain,
            s3: secrets.known_s3(),
        };
        match read_file(files, kind, known) {
            None => {}
            Some(Err(problems)) => {
                let applied = applied.get_key_value(kind.name);
                card.digests
                    .extend(applied.map(|(name, digest)| (name.clone(), digest.clone())));
                card.problems
                    .extend(problems.iter().map(ToString::to_string));
            }
            Some(Ok((reading, digest))) => {
                let mut wishes = reading.wishes;
                if applied.get(kind.name) == Some(&digest) {
                    // Two secrets belong to a setting; the others are used whenever they are there.
                    wishes.settings = crate::settings::Settings {
                        wifi: wishes.settings.wifi.filter(|_| wishes.wifi_key.is_some()),
                        backup: wishes
                            .settings
                            .backup
                            .filter(|_| wishes.s3_secret.is_some()),
                        ..Default::default()
                    };
                } else {
                    card.sources.push(kind.name);
                }
                card.wishes.settings = card.wishes.settings.with(&wishes.settings);
                card.wishes.admin = wishes.admin.or(card.wishes.admin.take());
                card.wishes.wifi_key = wishes.wifi_key.or(card.wishes.wifi_key.take());
                card.wishes.s3_secret = wishes.s3_secret.or(card.wishes.s3_secret.take());
                card.wishes.setup_code = wishes.setup_code.or(card.wishes.setup_code.take());
                card.wishes.restore = wishes.restore.or(card.wishes.restore.take());
                card.skipped.extend(reading.skipped);
                card.good.push(kind.name);
                card.digests.insert(kind.name.to_owned(), digest);
            }
        }
    }
    card
}

fn read_file(
    files: &Files,
    kind: &Kind,
    known: Known<'_>,
) -> Option<Result<(Reading, String), Problems>> {
    let place = files.path(format!("{FOLDER}/{}", kind.name));
    if !place.exists() {
        return None;
    }
    let document = Document::read_as(kind.name, &place);
    let reading = (kind.read)(&document, known);
    let digest = digest(&document, kind);
    Some(
        document
            .into_result(Some(reading))
            .map(|reading| (reading, digest)),
    )
}

/// The problem with a file that an editor named `perch.toml.txt` without showing it. `None`: there is no such file.
fn misnamed(files: &Files, name: &str) -> Option<String> {
    let wrong = format!("{name}.txt");
    let is_there = |name: &str| files.path(format!("{FOLDER}/{name}")).exists();
    (!is_there(name) && is_there(&wrong))
        .then(|| format!("{wrong}:1: found a file of this name; accepted: {name}, without .txt"))
}

/// Of the text as it is once the secrets are removed, so that removing them is no change.
fn digest(document: &Document, kind: &Kind) -> String {
    let mut text = document.text().as_bytes().to_vec();
    // From the end, so that places before stay where they are.
    let mut spans = secret_spans(document, kind.secrets);
    spans.sort_by_key(|span| std::cmp::Reverse(span.start));
    for span in spans {
        text.splice(span, *b"\"\"");
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, without_padding(&text).as_slice());
    hex(digest.as_ref())
}

/// Blanks and line ends say nothing: an overwritten secret has the old one's length.
fn without_padding(text: &[u8]) -> Vec<u8> {
    text.iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect()
}

fn secret_spans(document: &Document, secrets: &[(&str, &str)]) -> Vec<Range<usize>> {
    let span = |(table, key): &(&str, &str)| {
        let mut root = document.root();
        if table.is_empty() {
            root.span(key)
        } else {
            root.table(table)?.span(key)
        }
    };
    secrets.iter().filter_map(span).collect()
}

/// Step: takes secrets off the card, once they are used or in the box.
///
/// # Errors
/// The card cannot be written.
pub fn remove_secrets(boot: &mut FirstBoot<'_>) -> Result<String> {
    let wishes = &boot.card.wishes;
    if let Some(admin) = &wishes.admin
        && boot.state.admin.as_ref() != Some(&admin.name)
    {
        return Ok("kept until the account is made".to_owned());
    }
    // A new box tries at its next start what did not work now: its owner may have forgotten the stick.
    let restores_later = backup::card::is_new(boot.files, &boot.state);
    let words = wishes.restore.as_ref().and_then(|r| r.key.as_ref());
    let words = words.filter(|_| !restores_later);
    if wishes.admin.is_none()
        && wishes.wifi_key.is_none()
        && wishes.s3_secret.is_none()
        && wishes.setup_code.is_none()
        && words.is_none()
    {
        return Ok("none".to_owned());
    }
    let mut removed = 0;
    for kind in KINDS
        .iter()
        .filter(|kind| boot.card.good.contains(&kind.name))
    {
        let path = format!("{FOLDER}/{}", kind.name);
        let document = Document::read_as(kind.name, &boot.files.path(&path));
        let used = kind.secrets.iter().copied();
        let used = used.filter(|secret| *secret != RESTORE_WORDS || !restores_later);
        for span in secret_spans(&document, &used.collect::<Vec<_>>()) {
            let mut blank = b"\"\"".to_vec();
            blank.resize(span.len().max(blank.len()), b' ');
            if document.text().as_bytes().get(span.clone()) == Some(blank.as_slice()) {
                continue;
            }
            // In place and at the same length: FAT replaces a file in several writes, and a power cut among them can
            // leave it unreadable. So no block holds the secret afterwards either.
            let at = u64::try_from(span.start).context("the secret's place in the file")?;
            boot.files.overwrite(&path, at, &blank)?;
            removed += 1;
        }
    }
    Ok(format!("{removed} used and removed"))
}
