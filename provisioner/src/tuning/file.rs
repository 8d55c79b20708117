//! Reads the tuning files: `[[sysctl]]`, `[[file]]`, `[[unit]]`, `[[journald]]`, `[[mount]]`, `[[qdisc]]` and `[zram]`.

use std::path::Path;

use anyhow::{Context, Result};
use settings_file::{Document, Problem, Problems, Table, parse};

use super::setting::{Audience, Setting, Wanted, Wherever};
use super::storage::Storage;
use crate::model::Profile;

/// Reads all `*.toml` files of a folder in the order of their names.
///
/// # Errors
/// The folder cannot be read, or all problems of all files.
pub fn read_folder(folder: &Path) -> Result<Vec<Setting>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry
            .with_context(|| format!("reading {}", folder.display()))?
            .path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    paths.sort();
    let mut settings: Vec<Setting> = Vec::new();
    let mut problems: Vec<Problem> = Vec::new();
    for path in &paths {
        match read(Document::read(path)) {
            Ok(more) => settings.extend(more),
            Err(more) => problems.extend(more.iter().cloned()),
        }
    }
    for (index, setting) in settings.iter().enumerate() {
        if settings.iter().take(index).any(|earlier| {
            earlier.name == setting.name && earlier.audience.overlaps(&setting.audience)
        }) {
            problems.push(Problem {
                file: folder.display().to_string(),
                line: 1,
                key: setting.name.clone(),
                found: "the same setting twice".to_owned(),
                accepted: "one place for each setting".to_owned(),
                hint: None,
            });
        }
    }
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(Problems::new(problems).into())
    }
}

/// The settings of a folder that are meant for a box with this profile, whose data is on this storage.
///
/// # Errors
/// As [`read_folder`].
pub fn read_for(
    folder: &Path,
    profile: &Profile,
    storage: Option<Storage>,
) -> Result<Vec<Setting>> {
    let mut settings = read_folder(folder)?;
    settings.retain(|setting| setting.audience.has(profile, storage));
    Ok(settings)
}

fn read(doc: Document) -> Result<Vec<Setting>, Problems> {
    let mut root = doc.root();
    let mut settings = Vec::new();
    settings.extend(root.tables("sysctl").into_iter().map(sysctl));
    settings.extend(root.tables("file").into_iter().map(file));
    settings.extend(root.tables("unit").into_iter().map(unit));
    settings.extend(root.tables("journald").into_iter().map(journald));
    settings.extend(root.tables("mount").into_iter().map(mount));
    settings.extend(root.tables("qdisc").into_iter().map(qdisc));
    settings.extend(root.table("zram").map(zram));
    root.finish();
    let settings = settings.into_iter().collect::<Option<Vec<_>>>();
    doc.into_result(settings)
}

fn sysctl(mut table: Table<'_>) -> Option<Setting> {
    let key = table.required("key", sysctl_key);
    let place = key.as_ref().map(|key| Wherever::Files {
        pattern: format!("/proc/sys/{}", key.replace('.', "/")),
        only_if: None,
        offered_in: None,
    });
    setting(table, key, place)
}

fn file(mut table: Table<'_>) -> Option<Setting> {
    let name = table.required("name", parse::single_line);
    let pattern = table.required("path", kernel_path);
    let offered_in = table.optional("offered_in", parse::single_line);
    let only_if = table.table("only_if").map(|mut condition| {
        let file = condition.required("file", parse::single_line);
        let holds = condition.required("holds", parse::single_line);
        condition.finish();
        file.zip(holds)
    });
    let place = match only_if {
        Some(None) => None,
        whole => pattern.map(|pattern| Wherever::Files {
            pattern,
            only_if: whole.flatten(),
            offered_in,
        }),
    };
    setting(table, name, place)
}

fn unit(mut table: Table<'_>) -> Option<Setting> {
    let unit = table.required("unit", parse::single_line);
    let property = table.required("property", word);
    let place = unit.zip(property);
    let name = place
        .as_ref()
        .map(|(unit, property)| format!("{unit} {property}"));
    let place = place.map(|(unit, property)| Wherever::Unit { unit, property });
    setting(table, name, place)
}

fn journald(mut table: Table<'_>) -> Option<Setting> {
    let key = table.required("key", word);
    setting(table, key, Some(Wherever::Journald))
}

fn mount(mut table: Table<'_>) -> Option<Setting> {
    let path = table.required("path", parse::single_line);
    let option = table.required("option", word);
    let place = path.zip(option);
    let name = place
        .as_ref()
        .map(|(path, option)| format!("{path} {option}"));
    let place = place.map(|(path, option)| Wherever::Mount { path, option });
    setting(table, name, place)
}

fn qdisc(mut table: Table<'_>) -> Option<Setting> {
    let name = table.required("name", parse::single_line);
    let device = table.required("device", parse::single_line);
    setting(table, name, device.map(|device| Wherever::Qdisc { device }))
}

fn zram(mut table: Table<'_>) -> Option<Setting> {
    let percent = table.required("size_percent", parse::integer::<u64>(1..=200));
    let priority = table.required("priority", parse::integer::<u16>(0..=32767));
    let algorithms = table.list("algorithms", word).map(Wanted::FirstOf);
    if algorithms.is_none() {
        table.reject(
            "algorithms",
            "compression algorithms, best first, such as [\"zstd\", \"lz4\"]",
        );
    }
    let place = percent
        .zip(priority)
        .map(|(percent, priority)| Wherever::Zram { percent, priority });
    whole(table, Some("zram swap".to_owned()), place, algorithms)
}

/// A setting of what has been read of its table and what all of them have; `None` when something is wrong.
fn setting(mut table: Table<'_>, name: Option<String>, place: Option<Wherever>) -> Option<Setting> {
    let wanted = wanted(&mut table);
    whole(table, name, place, wanted)
}

fn whole(
    mut table: Table<'_>,
    name: Option<String>,
    place: Option<Wherever>,
    wanted: Option<Wanted>,
) -> Option<Setting> {
    let reason = table.required("reason", sentence);
    let source = table.required("source", sentence);
    let audience = audience(&mut table);
    let may_refuse = table.optional("may_refuse", parse::boolean);
    table.finish();
    Some(Setting {
        name: name?,
        place: place?,
        wanted: wanted?,
        reason: reason?,
        source: source?,
        audience: audience?,
        may_refuse: may_refuse.unwrap_or(false),
    })
}

fn audience(table: &mut Table<'_>) -> Option<Audience> {
    // A list that is there and wrong is no list for everybody.
    let (any_profile, any_storage) = (!table.has("profiles"), !table.has("storage"));
    let profiles = table.list("profiles", Profile::parse);
    let storage = table.list("storage", Storage::parse);
    Some(Audience {
        profiles: profiles.or(any_profile.then(Vec::new))?,
        storage: storage.or(any_storage.then(Vec::new))?,
    })
}

fn wanted(table: &mut Table<'_>) -> Option<Wanted> {
    let value = table
        .optional("value", parse::single_line)
        .map(Wanted::Exactly);
    let at_least = table
        .optional("at_least", parse::integer::<u64>(0..=i64::MAX as u64))
        .map(Wanted::AtLeast);
    let first_of = table
        .list("first_of", parse::single_line)
        .map(Wanted::FirstOf);
    let same_as = table
        .optional("same_as", parse::single_line)
        .map(Wanted::SameAs);
    let mut given = [value, at_least, first_of, same_as].into_iter().flatten();
    let wanted = given.next();
    if wanted.is_none() || given.next().is_some() {
        table.reject(
            "value",
            "exactly one of value, at_least, first_of and same_as",
        );
        return None;
    }
    wanted
}

fn sentence(value: &settings_file::Value<'_>) -> Result<String, String> {
    match value.as_str() {
        Some(text) if text.trim().len() >= 10 => {
            Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
        }
        _ => Err("a sentence, or the name of what explains it".to_owned()),
    }
}

fn word(value: &settings_file::Value<'_>) -> Result<String, String> {
    match value.as_str() {
        Some(text)
            if !text.is_empty()
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) =>
        {
            Ok(text.to_owned())
        }
        _ => Err("a word of letters, digits, - and _".to_owned()),
    }
}

fn sysctl_key(value: &settings_file::Value<'_>) -> Result<String, String> {
    match value.as_str() {
        Some(text)
            if text.split('.').all(|part| {
                !part.is_empty()
                    && part
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
            }) =>
        {
            Ok(text.to_owned())
        }
        _ => Err("a sysctl key, such as \"net.core.somaxconn\"".to_owned()),
    }
}

fn kernel_path(value: &settings_file::Value<'_>) -> Result<String, String> {
    match value.as_str() {
        Some(text)
            if (text.starts_with("/sys/") || text.starts_with("/proc/"))
                && !text.contains("..") =>
        {
            Ok(text.to_owned())
        }
        _ => Err("a path below /sys or /proc".to_owned()),
    }
}
