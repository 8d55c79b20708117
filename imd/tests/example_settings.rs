//! `configs/imd.example.toml` is true: every key is in it, with its default.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn example() -> String {
    std::fs::read_to_string(repository().join("configs/imd.example.toml")).unwrap()
}

/// The example with every key in force for which `wanted` says so of its line.
fn uncommented(wanted: impl Fn(&str) -> bool) -> String {
    let key = |line: &str| {
        line.strip_prefix('#')
            .is_some_and(|rest| !rest.starts_with(' ') && !rest.is_empty())
    };
    let lines = example();
    let lines = lines.lines().map(|line| {
        if key(line) && wanted(line) {
            &line[1..]
        } else {
            line
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_is_accepted_with_every_key_in_force() {
    let text = uncommented(|_| true);
    if let Err(problems) = imd::config::parse("imd.example.toml", &text) {
        panic!("{problems}");
    }
}

/// Keys that have no default are those whose comment says what absence means, and the tables at the end.
#[test]
fn the_values_shown_are_the_defaults() {
    let no_default = [
        "domain =",
        "public_url",
        "\"example.org\"",
        "type =",
        "host =",
        "port =",
        "transport =",
        "secret =",
        "name =",
        "[[",
    ];
    let shown = uncommented(|line| {
        !line.contains("  # ") && !no_default.iter().any(|key| line[1..].starts_with(key))
    });
    let shown = imd::config::parse("shown", &shown).unwrap();
    let default = imd::config::parse("default", &example()).unwrap();
    assert_eq!(format!("{shown:#?}"), format!("{default:#?}"));
}

#[test]
fn every_key_of_the_program_is_in_the_example() {
    let folder = repository().join("imd/src/config");
    let example = example();
    let mut keys = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap().to_owned();
        for call in [
            "required(",
            "optional(",
            "list(",
            "number(",
            "size(",
            "time(",
            "bytes(",
            "table_or_empty(",
            "tables(",
        ] {
            for (at, _) in source.match_indices(call) {
                let arguments: String = source[at + call.len()..].chars().take(80).collect();
                let Some(key) = arguments.split('"').nth(1) else {
                    continue;
                };
                let before = arguments.split('"').next().unwrap();
                // Only a literal that is the first argument, or the one after the table.
                if before.chars().any(|c| c == ')' || c == ':' || c == '.') {
                    continue;
                }
                keys += 1;
                assert!(
                    example.contains(key),
                    "the key {key} is not in configs/imd.example.toml"
                );
            }
        }
    }
    assert!(keys > 50, "only {keys} keys were found in the source");
}
