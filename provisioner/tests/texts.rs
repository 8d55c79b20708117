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
        .filter(|key| !used.contains(key))
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
