//! The pages' texts: none is missing, none is left over, and templates have no words of their own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn files(folder: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no {ending} in {folder}");
    found
}

/// Keys with the names of the values in their texts.
fn catalogue(language: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut messages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in files(&format!("locales/{language}"), ".ftl") {
        let mut current = String::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((key, _)) = line.split_once(" =").filter(|_| !line.starts_with(' ')) {
                assert!(
                    !messages.contains_key(key),
                    "{}: {key} is there twice",
                    path.display()
                );
                messages.insert(key.to_owned(), BTreeSet::new());
                key.clone_into(&mut current);
            }
            for value in line.split('$').skip(1) {
                let name: String = value
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                messages.get_mut(&current).unwrap().insert(name);
            }
        }
    }
    messages
}

fn used() -> BTreeSet<String> {
    let sources = files("src/web", ".rs")
        .into_iter()
        .chain(files("src/firstboot", ".rs"))
        .chain(files("templates", ".html"));
    let texts: Vec<String> = sources.map(|(_, text)| text).collect();
    let literal = |text: &str| {
        text.split('"')
            .skip(1)
            .step_by(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    texts.iter().flat_map(|text| literal(text)).collect()
}

/// What templates ask for by name.
fn asked_for() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (_, text) in files("templates", ".html")
        .into_iter()
        .chain(files("src/web", ".rs"))
        .chain(files("src/firstboot", ".rs"))
    {
        for call in ["t.m(\"", "t.with(\"", "t.count(\""] {
            for rest in text.split(call).skip(1) {
                keys.insert(rest.split('"').next().unwrap().to_owned());
            }
        }
    }
    keys
}

#[test]
fn both_languages_have_every_text_with_the_same_values() {
    let (en, zh) = (catalogue("en"), catalogue("zh"));
    assert_eq!(en.keys().collect::<Vec<_>>(), zh.keys().collect::<Vec<_>>());
    for (key, values) in &en {
        assert_eq!(values, &zh[key], "{key}");
    }
}

#[test]
fn every_text_that_is_asked_for_is_there() {
    let en = catalogue("en");
    let missing: Vec<String> = asked_for()
        .into_iter()
        .filter(|key| !en.contains_key(key))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(asked_for().len() > 50);
}

#[test]
fn no_text_is_left_over() {
    let used = used();
    let left: Vec<String> = catalogue("en")
        .into_keys()
        // Those are found by what they are in English: `what_the_pages_translate_of_a_program_is_what_it_says`.
        .filter(|key| !used.contains(key) && !key.starts_with("said-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn templates_have_no_words_of_their_own_and_nothing_inline() {
    for (path, text) in files("templates", ".html") {
        let name = path.display();
        for forbidden in [
            " style=",
            "<style",
            "onclick",
            "onload",
            "javascript:",
            "<script>",
        ] {
            assert!(!text.contains(forbidden), "{name}: {forbidden}");
        }
        let bare = without(&without(&without(&text, "{%", "%}"), "{{", "}}"), "<", ">");
        let letters: String = bare.chars().filter(|c| c.is_alphabetic()).collect();
        assert!(letters.is_empty(), "{name}: {letters}");
        for attribute in ["alt=\"", "aria-label=\"", "title=\""] {
            for value in text.split(attribute).skip(1) {
                let value = value.split('"').next().unwrap();
                assert!(
                    value.is_empty() || value.starts_with("{{"),
                    "{name}: {attribute}{value}"
                );
            }
        }
    }
}

fn without(text: &str, open: &str, close: &str) -> String {
    let mut left = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(open) {
        left.push_str(before);
        rest = after.split_once(close).map_or("", |(_, after)| after);
    }
    left.push_str(rest);
    left
}

/// The string literals of a source file without its tests, as they are compiled; values in them become `{}`.
fn literals(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap();
    let mut found = Vec::new();
    let mut rest = code.chars().peekable();
    while let Some(sign) = rest.next() {
        match sign {
            '/' if rest.peek() == Some(&'/') => {
                while rest.next_if(|next| *next != '\n').is_some() {}
            }
            '\'' => {
                // A sign such as '"' is no literal's begin; a lifetime has no second quote.
                let ahead: String = rest.clone().take(3).collect();
                let length = if ahead.starts_with('\\') { 3 } else { 2 };
                if ahead.chars().nth(length - 1) == Some('\'') {
                    rest.by_ref().take(length).for_each(drop);
                }
            }
            '"' => found.push(literal(&mut rest)),
            _ => {}
        }
    }
    found
}

fn literal(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut text = String::new();
    while let Some(sign) = rest.next() {
        match sign {
            '"' => break,
            '\\' if rest.peek() == Some(&'\n') => {
                while rest.next_if(|next| next.is_whitespace()).is_some() {}
            }
            '\\' => text.extend(rest.next()),
            '{' => {
                while rest.next_if(|next| *next != '}').is_some() {}
                rest.next();
                text.push_str("{}");
            }
            _ => text.push(sign),
        }
    }
    text
}

/// What the pages can say of what programs say, as the programs write it.
fn said() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("locales/en/said.ftl");
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(" = "));
    lines
        .map(|(key, text)| {
            let parts: Vec<&str> = text.split("{ $").collect();
            let bare = parts.iter().enumerate().map(|(at, part)| match at {
                0 => (*part).to_owned(),
                _ => format!("{{}}{}", part.split_once(" }").unwrap().1),
            });
            (key.to_owned(), bare.collect())
        })
        .collect()
}

/// What programs say, from these folders and files.
fn spoken(folders: &[&str]) -> BTreeSet<String> {
    let sources = files("src", ".rs").into_iter().filter(|(path, _)| {
        folders
            .iter()
            .any(|folder| path.to_string_lossy().contains(&format!("/src/{folder}")))
    });
    sources.flat_map(|(_, text)| literals(&text)).collect()
}

#[test]
fn what_the_pages_translate_of_a_program_is_what_it_says() {
    let spoken = spoken(&["update/", "backup/", "disk/"]);
    let own =
        |text: &str| spoken.contains(text) || spoken.contains(&text.replace("PERCH-BACKUP", "{}"));
    let strange: Vec<(String, String)> = said()
        .into_iter()
        .filter(|(_, text)| {
            // What led to it comes after a colon; RAUC's own words come between what they mean and what to do.
            let led_to = text.strip_suffix(": {}").is_some_and(own);
            let of_rauc = text
                .split_once(" ({}): ")
                .is_some_and(|(meaning, remedy)| own(meaning) && own(remedy));
            !own(text) && !led_to && !of_rauc
        })
        .collect();
    assert!(strange.is_empty(), "{strange:#?}");
}

#[test]
fn what_a_program_says_to_an_owner_is_translated() {
    let said = said();
    let known = |spoken: &str| {
        said.values().any(|text| {
            text == spoken
                || text.replace("PERCH-BACKUP", "{}") == spoken
                || text.strip_suffix(": {}") == Some(spoken)
                || text
                    .split_once(" ({}): ")
                    .is_some_and(|(meaning, remedy)| meaning == spoken || remedy == spoken)
        })
    };
    let sources = [
        "update/preflight.rs",
        "update/backup_age.rs",
        "update/machine_start.rs",
        "update/health.rs",
        "update/reasons.rs",
        "update/stick_copy.rs",
        "update/kept.rs",
        "update/channel.rs",
        "update/run.rs",
        "update/effects.rs",
        "backup/stick.rs",
        "backup/source.rs",
        "backup/shelf.rs",
        "backup/open.rs",
    ];
    // What goes to the journal, the log or the command line alone; what is looked for in others' words; and what cannot happen to
    // somebody who did not write the file by hand.
    const NOT_ON_PAGES: [&str; 16] = [
        "I/O error, dev ",
        "a name in it is no text",
        "as it was before",
        "asking how much room {} has",
        "certificate is not yet valid",
        "it is older than {}, which runs",
        "less than a day old",
        "lower than the minimum",
        "none has ever been made: what is on the card is nowhere else (page Backups, or `provisioner backup`)",
        "other widths on other systems",
        "reading from file: Input/output error",
        "the database is what it was before the update; what was written since is in {}",
        "there is no {}",
        "{} does not belong into it",
        "{} has no {}",
        "{} is not valid",
    ];
    let is_for_pages = |text: &String| {
        let is_of_programs = text.starts_with('<') || text.starts_with("writing ");
        text.split(' ').count() >= 4 && !is_of_programs && !NOT_ON_PAGES.contains(&text.as_str())
    };
    let missing: Vec<String> = spoken(&sources)
        .into_iter()
        .filter(|text| is_for_pages(text) && !known(text))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
