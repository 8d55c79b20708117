//! The domain's certificate in service: one file with the key and the chain, so that a power cut leaves the old pair or the
//! new one, and nginx's part for the domain, which is there only while the file is good.

use anyhow::Result;
use rcgen::KeyPair;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use super::machine::Held;
use crate::files::{Access, Files};
use crate::firstboot::certificates::holds_key;
use crate::firstboot::state::BoxState;
use crate::model::Domain;
use crate::settings::outputs::Action;

/// The key, the domain's certificate, and those that signed it.
pub const FILE: &str = "/var/lib/perch/tls/domain.pem";
/// What nginx includes for the domain.
pub const NGINX: &str = "/etc/perch/nginx-domain.conf";

/// The two files, with who may read them.
pub const FILES: [(&str, Access); 2] = [(FILE, Access::Group("imd")), (NGINX, Access::Everyone)];

/// What takes a change up. Nobody's connection ends by it.
pub const TAKE_UP: [Action; 2] = [
    Action::Reload("nginx.service"),
    Action::Reload("imd.service"),
];

/// The domain that a certificate is wanted for. `None`: none is, or the domain is none that can have one.
#[must_use]
pub fn wanted(state: &BoxState) -> Option<&Domain> {
    let domain = state.settings.domain.as_ref();
    domain.filter(|domain| state.settings.acme.is_on() && domain.is_public())
}

/// The certificate that a text of key and chain is, if they belong together, are for the domain, and have not ended.
#[must_use]
pub fn check(text: &str, domain: &Domain, now: i64) -> Option<Held> {
    let key = KeyPair::from_pem(text).ok()?;
    let mut parts = Pem::iter_from_buffer(text.as_bytes()).flatten();
    let first = parts.find(|part| part.label == "CERTIFICATE")?;
    let certificate = first.parse_x509().ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let mut names = names.value.general_names.iter();
    let is_for = names.any(
        |name| matches!(name, GeneralName::DNSName(name) if name.eq_ignore_ascii_case(domain.as_str())),
    );
    let held = Held {
        from: certificate.validity().not_before.timestamp(),
        until: certificate.validity().not_after.timestamp(),
    };
    (is_for && holds_key(&certificate, &key) && now < held.until).then_some(held)
}

/// The certificate in service that the box wants. `None`: there is none.
///
/// # Errors
/// The file cannot be read.
pub fn held(files: &Files, state: &BoxState, now: i64) -> Result<Option<Held>> {
    let text = files.read(FILE)?;
    let both = text.as_deref().zip(wanted(state));
    Ok(both.and_then(|(text, domain)| check(text, domain, now)))
}

/// Takes a certificate that is not wanted, or whose time is over, out of service, and sees to nginx's part for one that is.
/// Returns whether something changed.
///
/// # Errors
/// A file cannot be read or written.
pub fn settle(files: &Files, state: &BoxState, now: i64) -> Result<bool> {
    let domain = wanted(state).filter(|_| matches!(held(files, state, now), Ok(Some(_))));
    if let Some(domain) = domain {
        return files.replace(NGINX, nginx(domain).as_bytes(), Access::Everyone);
    }
    let is_there = [NGINX, FILE].map(|path| files.path(path).exists());
    // nginx's part first: nginx does not start without the file that it names.
    files.remove(NGINX)?;
    files.remove(FILE)?;
    Ok(is_there.contains(&true))
}

/// Puts a certificate into service.
///
/// # Errors
/// It cannot be written.
pub fn install(files: &Files, domain: &Domain, text: &str) -> Result<()> {
    files.replace(FILE, text.as_bytes(), Access::Group("imd"))?;
    files.replace(NGINX, nginx(domain).as_bytes(), Access::Everyone)?;
    Ok(())
}

/// A domain has no character that nginx would take for one of its own.
fn nginx(domain: &Domain) -> String {
    let domain = domain.as_str();
    format!(
        "# Written by the provisioner: the certificate that an authority has given for the domain.
server {{
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name {domain};
    ssl_certificate {FILE};
    ssl_certificate_key {FILE};
    include /etc/nginx/perch-pages.conf;
}}
"
    )
}
