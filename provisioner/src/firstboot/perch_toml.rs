//! `perch.toml` on the FAT partition: what the owner asks for without a keyboard on the box.

use anyhow::{Context, Result};
use settings_file::{Document, Problems, Table, parse};

use super::FirstBoot;
use crate::files::Files;
use crate::model::{AccountName, Domain, HostName, Password, SshKey, TimeZone};

/// Where it lies.
pub const PATH: &str = "/boot/firmware/perch.toml";
/// What messages call it.
pub const NAME: &str = "perch.toml";

/// The owner's wishes. What is absent stays as it is on the box.
#[derive(Debug, PartialEq, Eq)]
pub struct PerchToml {
    /// Name on the network, without `.local`.
    pub host_name: Option<HostName>,
    /// Domain of the addresses.
    pub domain: Option<Domain>,
    /// Time zone.
    pub time_zone: Option<TimeZone>,
    /// An administrator to make, or whose password to set. Absent: none, or already done.
    pub admin: Option<Admin>,
    /// Whether SSH is on.
    pub ssh_enabled: Option<bool>,
    /// Who may log in by SSH.
    pub ssh_keys: Option<Vec<SshKey>>,
}

/// An administrator's account.
#[derive(Debug, PartialEq, Eq)]
pub struct Admin {
    /// The part of the address before the `@`.
    pub name: AccountName,
    /// The password.
    pub password: Password,
}

/// Reads it. `None`: there is no such file.
///
/// # Errors
/// All its problems.
pub fn read(files: &Files) -> Result<Option<PerchToml>, Problems> {
    let place = files.path(PATH);
    if !place.exists() {
        return Ok(None);
    }
    let document = Document::read_as(NAME, &place);
    let wishes = read_document(&document);
    document.into_result(Some(wishes)).map(Some)
}

/// The problem with a file that an editor named `perch.toml.txt` without showing it. `None`: there is no such file.
pub fn misnamed(files: &Files) -> Option<String> {
    let name = format!("{NAME}.txt");
    let found = files.path(PATH).with_file_name(&name).exists();
    found.then(|| format!("{name}:1: found a file of this name; accepted: {NAME}, without .txt"))
}

fn read_document(document: &Document) -> PerchToml {
    let mut root = document.root();
    let host_name = root.optional("hostname", HostName::parse);
    let domain = root.optional("domain", Domain::parse);
    let time_zone = root.optional("timezone", TimeZone::parse);
    let admin = root.table("admin").and_then(read_admin);
    let (ssh_enabled, ssh_keys) = root.table("ssh").map_or((None, None), read_ssh);
    root.finish();
    PerchToml {
        host_name,
        domain,
        time_zone,
        admin,
        ssh_enabled,
        ssh_keys,
    }
}

fn read_admin(mut table: Table<'_>) -> Option<Admin> {
    table.secret("password");
    let name = table.required("name", AccountName::parse);
    let password = table.optional("password", Password::parse).flatten();
    table.finish();
    Some(Admin {
        name: name?,
        password: password?,
    })
}

fn read_ssh(mut table: Table<'_>) -> (Option<bool>, Option<Vec<SshKey>>) {
    let enabled = table.optional("enabled", parse::boolean);
    let keys = table.list("authorized_keys", SshKey::parse);
    if enabled == Some(true) && !table.has("authorized_keys") {
        table.reject(
            "authorized_keys",
            "at least one key when SSH is enabled: passwords are not accepted there",
        );
    }
    table.finish();
    (enabled, keys)
}

/// Step: takes the password off the card, once the account is there.
///
/// # Errors
/// The card cannot be written.
pub fn remove_secrets(boot: &mut FirstBoot<'_>) -> Result<String> {
    let Some(admin) = boot
        .wishes
        .as_ref()
        .and_then(|wishes| wishes.admin.as_ref())
    else {
        return Ok("none".to_owned());
    };
    if boot.state.admin.as_ref() != Some(&admin.name) {
        return Ok("kept until the account is made".to_owned());
    }
    let document = Document::read_as(NAME, &boot.files.path(PATH));
    let Some(span) = document
        .root()
        .table("admin")
        .and_then(|table| table.span("password"))
    else {
        return Ok("none".to_owned());
    };
    // In place and at the same length: FAT replaces a file in several writes, and a power cut among them can leave it
    // unreadable. So no block holds the password afterwards either.
    let at = u64::try_from(span.start).context("the password's place in perch.toml")?;
    let mut blank = b"\"\"".to_vec();
    blank.resize(span.len().max(blank.len()), b' ');
    boot.files.overwrite(PATH, at, &blank)?;
    Ok("the password is used and removed".to_owned())
}
