//! Files that the owner has put into `/etc/perch` and the settings name: a hook for certificates, certificates of authorities. They
//! are in backups with their permissions, and come back with them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::contents::BOX;
use crate::acme::service;
use crate::files::{Access, Files};
use crate::settings::Settings;
use crate::settings::outputs::WPA_SUPPLICANT;
use crate::update::channel;

/// Only what lies there: the settings may name any file of the box.
pub const FOLDER: &str = "/etc/perch";
/// A larger file is left out: a backup is made every night.
const LONGEST: u64 = 32 << 20;
/// Folders in folders.
const DEEPEST: usize = 4;
/// What the box makes there itself.
const MADE: [&str; 3] = [crate::imd_config::PATH, WPA_SUPPLICANT, service::NGINX];

/// Whether a path is one that a file of the owner's may have.
pub fn is_owners(path: &str) -> bool {
    let Some(name) = path.strip_prefix(FOLDER).and_then(|n| n.strip_prefix('/')) else {
        return false;
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_name = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && part.chars().all(is_plain) && part.len() < 100
    };
    let parts = name.split('/');
    parts.clone().count() <= DEEPEST
        && parts.clone().all(is_name)
        && !name.ends_with(".new")
        && !MADE.contains(&path)
}

/// Those that these settings name, whether or not they are there. Settings of updates may be a file themselves.
fn named(settings: &Settings) -> Vec<String> {
    let authorities = [
        settings.acme.authority.as_ref(),
        settings.updates.authority.as_ref(),
        settings.backup.as_ref().and_then(|b| b.authority.as_ref()),
    ];
    let hook = settings.acme.hook.as_ref().map(|hook| hook.as_str());
    let paths = authorities.into_iter().flatten().map(|path| path.as_str());
    let mut found: Vec<String> = (paths.chain(hook).chain([channel::PATH]))
        .filter(|path| is_owners(path))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Those that are there and go into a backup, with their permissions. The journal has what is left out.
pub fn present(files: &Files, settings: &Settings) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for path in named(settings) {
        let Ok(about) = files.path(&path).metadata() else {
            continue;
        };
        if about.is_file() && about.len() <= LONGEST {
            found.push((path, mode_of(&about)));
        } else {
            eprintln!("<4>{path} is not in the backup: no file, or larger than 32 MiB");
        }
    }
    found
}

/// Neither for others to write nor with another user's rights.
fn mode_of(about: &fs::Metadata) -> u32 {
    (about.permissions().mode() & 0o755) | 0o600
}

/// The paths of those in a folder that has the shape of the box.
fn inside(files: &Files, from: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![FOLDER.to_owned()];
    while let Some(folder) = folders.pop() {
        let place = files.path(format!("{from}{folder}"));
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push(path);
            } else if is_owners(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Copies what [`put`] would replace into the folder `old`.
///
/// # Errors
/// A file cannot be read or copied.
pub fn remember(files: &Files, new: &str, old: &str) -> Result<()> {
    for path in inside(files, new) {
        if files.path(&path).exists() {
            copy(files, &path, &format!("{old}{path}"))?;
        }
    }
    Ok(())
}

/// Puts those of the folder `new` in their places.
///
/// # Errors
/// A file cannot be read or written.
pub fn put(files: &Files, new: &str) -> Result<()> {
    let paths = inside(files, new);
    paths
        .iter()
        .try_for_each(|path| copy(files, &format!("{new}{path}"), path))
}

/// Undoes [`put`].
///
/// # Errors
/// A file cannot be read, written or removed.
pub fn take_back(files: &Files, new: &str, old: &str) -> Result<()> {
    for path in inside(files, new) {
        let before = format!("{old}{path}");
        match files.path(&before).exists() {
            true => copy(files, &before, &path)?,
            false => files.remove(&path)?,
        }
    }
    Ok(())
}

fn copy(files: &Files, from: &str, to: &str) -> Result<()> {
    let source = files.path(from);
    let context = || format!("reading {}", source.display());
    let content = fs::read(&source).with_context(context)?;
    let mode = mode_of(&source.metadata().with_context(context)?);
    files
        .replace(Path::new(to), &content, Access::Mode(mode))
        .map(drop)
}

/// The permissions of an entry that is a file of the owner's. `None`: it is not.
pub fn mode_in(name: &str, mode: u32) -> Option<u32> {
    let path = name.strip_prefix(BOX)?;
    is_owners(path).then_some((mode & 0o755) | 0o600)
}

#[cfg(test)]
mod tests {
    use super::is_owners;

    #[test]
    fn only_files_of_the_owners_folder_that_the_box_does_not_make_are_the_owners() {
        for (path, owners) in [
            ("/etc/perch/acme-hook", true),
            ("/etc/perch/ca/updates.crt", true),
            ("/etc/perch/update.toml", true),
            ("/etc/perch/imd.toml", false),
            ("/etc/perch/wpa_supplicant.conf", false),
            ("/etc/perch/nginx-domain.conf", false),
            ("/etc/perch/acme-hook.new", false),
            ("/etc/perch/../shadow", false),
            ("/etc/perch/.hidden", false),
            ("/etc/perch//x", false),
            ("/etc/perch/", false),
            ("/etc/perch/a/b/c/d/e", false),
            ("/etc/perchx/hook", false),
            ("/etc/shadow", false),
        ] {
            assert_eq!(is_owners(path), owners, "{path}");
        }
    }
}
