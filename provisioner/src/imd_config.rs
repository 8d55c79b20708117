//! Renders `imd`'s configuration.

use anyhow::Result;

use crate::acme::service::FILE as DOMAIN_CERTIFICATE;
use crate::files::{Access, Files};
use crate::firstboot::certificates::{SERVER_CERTIFICATE, SERVER_KEY};
use crate::firstboot::state::BoxState;
use crate::model::Domain;
use crate::settings::federation::Federation;
use crate::settings::keys::quoted;
use crate::tuning::report::{Outcome, Row};

/// What explains its keys.
const SOURCE: &str = "configs/imd.example.toml";

/// Where it lies.
pub const PATH: &str = "/etc/perch/imd.toml";

/// Where other servers connect to (RFC 6120 §14.7: xmpp-server).
pub const FEDERATION_PORT: u16 = 5269;

/// The file's text.
pub fn render(domain: &Domain, federation: &Federation) -> String {
    let (listener, section) = render_federation(federation);
    // A domain has no character that TOML would want escaped.
    let domain = domain.as_str();
    format!(
        "# Written by the provisioner at every start; change the box's settings instead.
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
{listener}
[web]
web_root = \"/usr/share/perch/web\"
{section}"
    )
}

/// The line of the listener, and the section; both empty while it is off.
fn render_federation(federation: &Federation) -> (String, String) {
    if !federation.is_on() {
        return Default::default();
    }
    let mut section = "\n[federation]\nenabled = true\n".to_owned();
    let allow = federation.allow().iter();
    let allow: Vec<String> = allow.map(|domain| quoted(domain.as_str())).collect();
    if !allow.is_empty() {
        section.push_str(&format!("allow = [{}]\n", allow.join(", ")));
    }
    (format!("s2s = [\"[::]:{FEDERATION_PORT}\"]\n"), section)
}

/// The text for a box.
fn of(state: &BoxState) -> String {
    render(&state.domain(), &state.settings.federation)
}

/// Writes it if it differs. Returns whether it did.
///
/// # Errors
/// It cannot be written.
pub fn write(files: &Files, state: &BoxState) -> Result<bool> {
    files.replace(PATH, of(state).as_bytes(), Access::Everyone)
}

/// Whether a row of the report is of the configuration, and none of tuning.
pub fn is_row(row: &Row) -> bool {
    row.source == SOURCE
}

/// Writes the configuration as one more row of `apply`'s report.
pub fn apply(files: &Files, state: &BoxState) -> Row {
    let domain = &state.domain();
    match write(files, state) {
        Ok(true) => row(files, domain, Outcome::Applied, String::new()),
        Ok(false) => row(files, domain, Outcome::Unchanged, String::new()),
        Err(error) => row(files, domain, Outcome::Failed, format!("{error:#}")),
    }
}

/// What [`apply`] would do.
pub fn preview(files: &Files, state: &BoxState) -> Row {
    let as_wanted = std::fs::read(files.path(PATH)).is_ok_and(|text| text == of(state).as_bytes());
    let outcome = if as_wanted {
        Outcome::Unchanged
    } else {
        Outcome::WouldApply
    };
    row(files, &state.domain(), outcome, String::new())
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
