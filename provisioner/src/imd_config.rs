//! Renders `imd`'s configuration.

use anyhow::Result;

use crate::acme::service::FILE as DOMAIN_CERTIFICATE;
use crate::files::{Access, Files};
use crate::firstboot::certificates::{SERVER_CERTIFICATE, SERVER_KEY};
use crate::model::Domain;
use crate::tuning::report::{Outcome, Row};

/// What explains its keys.
const SOURCE: &str = "configs/imd.example.toml";

/// Where it lies.
pub const PATH: &str = "/etc/perch/imd.toml";

/// The file's text.
pub fn render(domain: &Domain) -> String {
    // A domain has no character that TOML would want escaped.
    let domain = domain.as_str();
    format!(
        "# Written by the provisioner at every start; change perch.toml instead.
domain = \"{domain}\"
data_dir = \"/var/lib/imd\"

[tls]
certificate = \"{SERVER_CERTIFICATE}\"
key = \"{SERVER_KEY}\"
domain_certificate = \"{DOMAIN_CERTIFICATE}\"

[listen]
starttls = [\"[::]:5222\"]
direct_tls = [\"[::]:5223\"]
http_socket = \"/run/imd-http/http.sock\"
admin = \"/run/imd/admin.sock\"

[web]
web_root = \"/usr/share/perch/web\"
"
    )
}

/// Writes it if it differs. Returns whether it did.
///
/// # Errors
/// It cannot be written.
pub fn write(files: &Files, domain: &Domain) -> Result<bool> {
    files.replace(PATH, render(domain).as_bytes(), Access::Everyone)
}

/// Writes the configuration as one more row of `apply`'s report.
pub fn apply(files: &Files, domain: &Domain) -> Row {
    match write(files, domain) {
        Ok(true) => row(files, domain, Outcome::Applied, String::new()),
        Ok(false) => row(files, domain, Outcome::Unchanged, String::new()),
        Err(error) => row(files, domain, Outcome::Failed, format!("{error:#}")),
    }
}

/// What [`apply`] would do.
pub fn preview(files: &Files, domain: &Domain) -> Row {
    let as_wanted =
        std::fs::read(files.path(PATH)).is_ok_and(|text| text == render(domain).as_bytes());
    let outcome = if as_wanted {
        Outcome::Unchanged
    } else {
        Outcome::WouldApply
    };
    row(files, domain, outcome, String::new())
}

/// Whether the certificate that the configuration names is there; imd cannot start without it.
pub fn certificate(files: &Files) -> Row {
    let missing = [SERVER_CERTIFICATE, SERVER_KEY]
        .into_iter()
        .find(|path| !files.path(path).is_file());
    Row {
        name: "server certificate".to_owned(),
        place: SERVER_CERTIFICATE.to_owned(),
        wanted: "there".to_owned(),
        before: None,
        now: Some(
            if missing.is_none() {
                "there"
            } else {
                "missing"
            }
            .to_owned(),
        ),
        outcome: if missing.is_none() {
            Outcome::Unchanged
        } else {
            Outcome::Failed
        },
        note: missing
            .map(|path| format!("no {path}: perch-firstboot.service makes it"))
            .unwrap_or_default(),
        reason: "Clients log in over TLS only.".to_owned(),
        source: SOURCE.to_owned(),
    }
}

fn row(files: &Files, domain: &Domain, outcome: Outcome, note: String) -> Row {
    let now = files.read(PATH).ok().flatten().and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("domain = "))?;
        Some(line.trim_matches('"').to_owned())
    });
    Row {
        name: "chat domain".to_owned(),
        place: PATH.to_owned(),
        wanted: domain.as_str().to_owned(),
        before: None,
        now,
        outcome,
        note,
        reason: "The server's configuration follows the box's settings.".to_owned(),
        source: SOURCE.to_owned(),
    }
}
