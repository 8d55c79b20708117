//! Reads the tuning files: `[[sysctl]]`, `[[file]]`, `[[unit]]`, `[[journald]]` and `[zram]`.

use std::path::Path;

use anyhow::{Context, Result};
use settings_file::{Document, Problem, Problems, Table, parse};

use crate::model::Profile;

/// A setting and why it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What the table calls it.
    pub name: String,
    /// Where it is set.
    pub place: Wherever,
    /// What it should be.
    pub wanted: Wanted,
    /// Why, for people.
    pub reason: String,
    /// The profiles that it is meant for. Empty: all of them.
    pub profiles: Vec<Profile>,
}

impl Setting {
    /// Whether it is meant for a box with this profile.
    pub fn is_for(&self, profile: &Profile) -> bool {
        self.profiles.is_empty() || self.profiles.contains(profile)
    }
}

/// Where a setting is set. A pattern may stand for several files or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wherever {
    /// Files of /proc or /sys.
    Files {
        /// Path in which `*` and `?` stand for parts of names.
        pattern: String,
        /// Only where this file beside the matched one holds this text.
        only_if: Option<(String, String)>,
        /// File beside the matched one that lists what the kernel offers.
        offered_in: Option<String>,
    },
    /// A property of a systemd unit.
    Unit {
        /// Such as `imd.service`.
        unit: String,
        /// Such as `LimitNOFILE`.
        property: String,
    },
    /// A key of journald.conf.
    Journald,
    /// Compressed swap in memory.
    Zram {
        /// Size of the swap space in percent of the memory.
        percent: u64,
        /// Priority among swap spaces; higher is used first.
        priority: u16,
    },
}

/// What a setting should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This text, whatever the white space.
    Exactly(String),
    /// This number or a greater one that is there already.
    AtLeast(u64),
    /// The first of these that the kernel offers.
    FirstOf(Vec<String>),
}

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
        if settings
            .iter()
            .take(index)
            .any(|earlier| earlier.name == setting.name && overlap(earlier, setting))
        {
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

/// The settings of a folder that are meant for a profile.
///
/// # Errors
/// As [`read_folder`].
pub fn read_profile(folder: &Path, profile: &Profile) -> Result<Vec<Setting>> {
    let mut settings = read_folder(folder)?;
    settings.retain(|setting| setting.is_for(profile));
    Ok(settings)
}

fn overlap(one: &Setting, other: &Setting) -> bool {
    one.profiles.is_empty()
        || other.profiles.is_empty()
        || one.profiles.iter().any(|profile| other.is_for(profile))
}

fn read(doc: Document) -> Result<Vec<Setting>, Problems> {
    let mut root = doc.root();
    let mut settings = Vec::new();
    settings.extend(root.tables("sysctl").into_iter().map(sysctl));
    settings.extend(root.tables("file").into_iter().map(file));
    settings.extend(root.tables("unit").into_iter().map(unit));
    settings.extend(root.tables("journald").into_iter().map(journald));
    settings.extend(root.table("zram").map(zram));
    root.finish();
    let settings = settings.into_iter().collect::<Option<Vec<_>>>();
    doc.into_result(settings)
}

fn sysctl(mut table: Table<'_>) -> Option<Setting> {
    let key = table.required("key", sysctl_key);
    let (wanted, reason) = (wanted(&mut table), reason(&mut table));
    table.finish();
    let key = key?;
    let pattern = format!("/proc/sys/{}", key.replace('.', "/"));
    let place = Wherever::Files {
        pattern,
        only_if: None,
        offered_in: None,
    };
    Some(Setting {
        name: key,
        place,
        wanted: wanted?,
        reason: reason?,
        profiles: Vec::new(),
    })
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
    let is_for_all = !table.has("profiles");
    let profiles = table.list("profiles", Profile::parse);
    let profiles = profiles.or(is_for_all.then(Vec::new));
    let (wanted, reason) = (wanted(&mut table), reason(&mut table));
    table.finish();
    let only_if = match only_if {
        Some(condition) => Some(condition?),
        None => None,
    };
    let place = Wherever::Files {
        pattern: pattern?,
        only_if,
        offered_in,
    };
    Some(Setting {
        name: name?,
        place,
        wanted: wanted?,
        reason: reason?,
        profiles: profiles?,
    })
}

fn unit(mut table: Table<'_>) -> Option<Setting> {
    let unit = table.required("unit", parse::single_line);
    let property = table.required("property", word);
    let (wanted, reason) = (wanted(&mut table), reason(&mut table));
    table.finish();
    let (unit, property) = (unit?, property?);
    let name = format!("{unit} {property}");
    Some(Setting {
        name,
        place: Wherever::Unit { unit, property },
        wanted: wanted?,
        reason: reason?,
        profiles: Vec::new(),
    })
}

fn journald(mut table: Table<'_>) -> Option<Setting> {
    let key = table.required("key", word);
    let (wanted, reason) = (wanted(&mut table), reason(&mut table));
    table.finish();
    Some(Setting {
        name: key?,
        place: Wherever::Journald,
        wanted: wanted?,
        reason: reason?,
        profiles: Vec::new(),
    })
}

fn zram(mut table: Table<'_>) -> Option<Setting> {
    let percent = table.required("size_percent", parse::integer::<u64>(1..=200));
    let priority = table.required("priority", parse::integer::<u16>(0..=32767));
    let algorithms = table.list("algorithms", word);
    if algorithms.is_none() {
        table.reject(
            "algorithms",
            "compression algorithms, best first, such as [\"zstd\", \"lz4\"]",
        );
    }
    let reason = reason(&mut table);
    table.finish();
    let place = Wherever::Zram {
        percent: percent?,
        priority: priority?,
    };
    Some(Setting {
        name: "zram swap".to_owned(),
        place,
        wanted: Wanted::FirstOf(algorithms?),
        reason: reason?,
        profiles: Vec::new(),
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
    let mut given = [value, at_least, first_of].into_iter().flatten();
    let wanted = given.next();
    if wanted.is_none() || given.next().is_some() {
        table.reject("value", "exactly one of value, at_least and first_of");
        return None;
    }
    wanted
}

fn reason(table: &mut Table<'_>) -> Option<String> {
    table.required("reason", |value| match value.as_str() {
        Some(text) if text.trim().len() >= 10 => {
            Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
        }
        _ => Err("a sentence that says why".to_owned()),
    })
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
