//! Renders `imd`'s configuration.

use anyhow::Result;

use crate::files::{Access, Files};
use crate::firstboot::certificates::{SERVER_CERTIFICATE, SERVER_KEY};
use crate::model::Domain;

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

[listen]
starttls = [\"[::]:5222\"]
direct_tls = [\"[::]:5223\"]
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
