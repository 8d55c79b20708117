//! The box's own certificate authority, and the server certificate that it signs.
//!
//! The authority may only sign names below `local`, the box's domain, and addresses of local networks (RFC 5280 §4.2.1.10, critical): whoever trusts
//! it does not give the box power over other sites.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints,
};
use time::{Duration, OffsetDateTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{
    GeneralName, GeneralSubtree as GeneralSubtreeParsed, ParsedExtension,
};
use x509_parser::pem::Pem;

use super::identity;
use super::state::BoxState;
use crate::files::{Access, Files};
use crate::settings::change::LOCK as CHANGES;
use crate::system::System;

/// The authority's certificate.
pub const AUTHORITY: &str = "/var/lib/perch/tls/ca.crt";
/// The authority's key, which nobody but root reads.
pub const AUTHORITY_KEY: &str = "/var/lib/perch/tls/ca.key";
/// The server's certificate, followed by the authority's.
pub const SERVER_CERTIFICATE: &str = "/var/lib/perch/tls/server.crt";
/// The server's key, which imd reads.
pub const SERVER_KEY: &str = "/var/lib/perch/tls/server.key";

const AUTHORITY_DAYS: i64 = 20 * 365;
/// Apple's systems refuse a server certificate that is valid for more than 825 days.
const SERVER_DAYS: i64 = 820;
/// A server certificate that ends sooner is replaced at the next start.
const RENEW_DAYS: i64 = 270;
/// A box without a clock may be behind its clients.
const BACKDATED: Duration = Duration::days(1);

/// Sees to an authority that may sign the box's names.
///
/// # Errors
/// It cannot be made or written.
pub fn authority(files: &Files, system: &dyn System, state: &BoxState) -> Result<()> {
    let domain = state.domain();
    if is_authority_for(files, domain.as_str()) {
        return Ok(());
    }
    let key = KeyPair::generate().context("making a key")?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // Two boxes of one name must not have authorities of one name.
    let mark: String = params_mark(&key);
    params.distinguished_name.push(
        DnType::CommonName,
        format!("Perch box {} {mark}", state.host_name()),
    );
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(constraints(domain.as_str()));
    // Valid since before the image was built: the clock cannot be earlier.
    params.not_before = identity::build_time(files) - BACKDATED;
    params.not_after = system.now() + Duration::days(AUTHORITY_DAYS);
    let certificate = params
        .self_signed(&key)
        .context("signing the authority's certificate")?;
    // The key first: a certificate alone would look like a finished authority.
    files.replace(AUTHORITY_KEY, key.serialize_pem().as_bytes(), Access::Root)?;
    files.replace(AUTHORITY, certificate.pem().as_bytes(), Access::Everyone)?;
    Ok(())
}

fn params_mark(key: &KeyPair) -> String {
    use ring::digest::{SHA256, digest};
    let digest = digest(&SHA256, key.public_key_raw());
    digest
        .as_ref()
        .iter()
        .take(3)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn constraints(domain: &str) -> NameConstraints {
    let mut permitted = vec![GeneralSubtree::DnsName("local".to_owned())];
    if !domain.ends_with(".local") {
        permitted.push(GeneralSubtree::DnsName(domain.to_owned()));
    }
    // RFC 1918 and RFC 4193. Where some addresses are permitted, all others are not.
    let local = [
        CidrSubnet::from_v4_prefix([10, 0, 0, 0], 8),
        CidrSubnet::from_v4_prefix([172, 16, 0, 0], 12),
        CidrSubnet::from_v4_prefix([192, 168, 0, 0], 16),
        CidrSubnet::from_v6_prefix([0xfc, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 7),
    ];
    permitted.extend(local.map(GeneralSubtree::IpAddress));
    NameConstraints {
        permitted_subtrees: permitted,
        excluded_subtrees: Vec::new(),
    }
}

/// Sees to a certificate for the box's names, signed by the authority, with most of its time left. Returns whether it is
/// new, and the names.
///
/// # Errors
/// It cannot be made or written.
pub fn server(files: &Files, system: &dyn System, state: &BoxState) -> Result<(bool, String)> {
    let names = names(files, state);
    let addresses = local(&system.addresses());
    let now = system.now();
    if is_good_server(files, &names, &addresses, now) {
        return Ok((false, names.join(", ")));
    }
    let authority = files.read(AUTHORITY)?.context("there is no authority")?;
    let authority_key = files
        .read(AUTHORITY_KEY)?
        .context("the authority has no key")?;
    let authority_key = KeyPair::from_pem(&authority_key).context("reading the authority's key")?;
    let issuer = Issuer::from_ca_cert_pem(&authority, authority_key)
        .context("reading the authority's certificate")?;
    let key = KeyPair::generate().context("making a key")?;
    let shown = addresses.iter().map(ToString::to_string);
    let all: Vec<String> = names.iter().cloned().chain(shown).collect();
    let mut params = CertificateParams::new(all).context("putting the names into a certificate")?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(
        DnType::CommonName,
        names.first().map_or("perch.local", String::as_str),
    );
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Client use too: a server shows the same certificate when it calls another one (RFC 6120 §13.7.1.2).
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - BACKDATED;
    params.not_after = params.not_before + Duration::days(SERVER_DAYS);
    let certificate = params
        .signed_by(&key, &issuer)
        .context("signing the server's certificate")?;
    let chain = format!("{}{}\n", certificate.pem(), authority);
    files.replace(
        SERVER_KEY,
        key.serialize_pem().as_bytes(),
        Access::Group("imd"),
    )?;
    files.replace(SERVER_CERTIFICATE, chain.as_bytes(), Access::Everyone)?;
    Ok((true, names.join(", ")))
}

/// The names that clients know the box by.
fn names(files: &Files, state: &BoxState) -> Vec<String> {
    let mut names = vec![
        state.domain().as_str().to_owned(),
        format!("{}.local", state.host_name()),
        format!("{}.local", identity::second_name(files)),
    ];
    names.dedup();
    names
}

/// The addresses that the authority may sign: a browser that comes by one of them finds it in the certificate.
fn local(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let is_local = |address: &&IpAddr| match address {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    };
    let mut local: Vec<IpAddr> = addresses.iter().filter(is_local).copied().collect();
    local.sort_unstable();
    local.dedup();
    local
}

/// Sees to it that the server's certificate has the machine's addresses, and lets browsers have it. imd takes it up at its next
/// start: apps come by names, and their connections last. Returns whether it is new.
///
/// # Errors
/// It cannot be made or taken up.
pub fn follow_addresses(files: &Files, system: &dyn System) -> Result<bool> {
    let _lock = files.lock(CHANGES)?;
    let (is_new, _) = server(files, system, &BoxState::load(files)?)?;
    if is_new {
        system.run(
            &["systemctl", "try-reload-or-restart", "nginx.service"],
            None,
        )?;
    }
    Ok(is_new)
}

/// The SHA-256 of the authority's certificate, in pairs of digits. `None`: there is none yet.
pub fn fingerprint(files: &Files) -> Option<String> {
    let pem = read_pem(files, AUTHORITY)?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &pem.contents);
    Some(
        digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect::<Vec<_>>()
            .join(":"),
    )
}

/// Fails unless the authority's certificate and key are there and belong together.
///
/// # Errors
/// What is wrong with them.
pub fn check_pair(files: &Files) -> Result<()> {
    let pem = read_pem(files, AUTHORITY).context("the authority's certificate is missing")?;
    let certificate = pem.parse_x509();
    let certificate = certificate.context("reading the authority's certificate")?;
    let key = files.read(AUTHORITY_KEY)?;
    let key = KeyPair::from_pem(&key.context("the authority's key is missing")?);
    let key = key.context("reading the authority's key")?;
    ensure!(
        holds_key(&certificate, &key),
        "the authority's certificate is for another key"
    );
    Ok(())
}

fn read_pem(files: &Files, path: &str) -> Option<Pem> {
    let text = files.read(path).ok().flatten()?;
    Pem::iter_from_buffer(text.as_bytes()).next()?.ok()
}

fn is_authority_for(files: &Files, domain: &str) -> bool {
    let check = || {
        let pem = read_pem(files, AUTHORITY)?;
        let certificate = pem.parse_x509().ok()?;
        let key = KeyPair::from_pem(&files.read(AUTHORITY_KEY).ok()??).ok()?;
        let constraints = certificate
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::NameConstraints(constraints) => {
                    constraints.permitted_subtrees.as_ref()
                }
                _ => None,
            })?;
        let permitted = constraints.iter().any(|subtree| match subtree.base {
            GeneralName::DNSName(name) => domain == name || domain.ends_with(&format!(".{name}")),
            _ => false,
        });
        // One that may sign no addresses would make the server's certificate worthless.
        let addresses =
            |subtree: &GeneralSubtreeParsed<'_>| matches!(subtree.base, GeneralName::IPAddress(_));
        let permitted = permitted && constraints.iter().any(addresses);
        Some(permitted && holds_key(&certificate, &key))
    };
    check().unwrap_or(false)
}

/// Addresses of earlier times may be in it: a box that is started has none yet.
fn is_good_server(
    files: &Files,
    names: &[String],
    addresses: &[IpAddr],
    now: OffsetDateTime,
) -> bool {
    let check = || {
        let (pem, authority) = (
            read_pem(files, SERVER_CERTIFICATE)?,
            read_pem(files, AUTHORITY)?,
        );
        let (certificate, authority) = (pem.parse_x509().ok()?, authority.parse_x509().ok()?);
        let key = KeyPair::from_pem(&files.read(SERVER_KEY).ok()??).ok()?;
        let alternative = certificate.subject_alternative_name().ok()??;
        let has: Vec<&str> = alternative
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(*name),
                _ => None,
            })
            .collect();
        let octets = |address: &IpAddr| match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let has_address = |address: &IpAddr| {
            let wanted = octets(address);
            let mut all = alternative.value.general_names.iter();
            all.any(|name| matches!(name, GeneralName::IPAddress(found) if *found == wanted))
        };
        let ends = certificate.validity().not_after.to_datetime();
        Some(
            holds_key(&certificate, &key)
                && certificate.issuer() == authority.subject()
                && has == names.iter().map(String::as_str).collect::<Vec<_>>()
                && addresses.iter().all(has_address)
                && ends - now > Duration::days(RENEW_DAYS),
        )
    };
    check().unwrap_or(false)
}

/// Whether a certificate is for a key.
pub fn holds_key(certificate: &X509Certificate<'_>, key: &KeyPair) -> bool {
    certificate.public_key().subject_public_key.data.as_ref() == key.public_key_raw()
}
