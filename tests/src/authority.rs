//! A certificate authority of a test, and the certificates it gives.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// A certificate authority, its certificate in a file.
pub struct Authority {
    /// The authority's certificate, for those who are to trust it.
    pub file: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Files of a certificate.
pub struct Certificate {
    /// The certificate, then the authority's.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Authority {
    /// A new authority with its certificate in `folder`/`name`.crt.
    ///
    /// # Errors
    ///
    /// Its file could not be written.
    pub fn new(folder: &Path, name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new()).context("describe the authority")?;
        // A name unlike the certificates' own: one whose issuer has its own name counts as self-signed.
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Test authority {name}"));
        limit(&mut params);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().context("make the authority's key")?;
        let issuer = CertifiedIssuer::self_signed(params, key).context("sign the authority")?;
        let file = folder.join(format!("{name}.crt"));
        fs::write(&file, issuer.pem()).with_context(|| format!("write {}", file.display()))?;
        Ok(Self { file, issuer })
    }

    /// A certificate for a domain and those below it, in `folder`/`name`.crt and .key.
    ///
    /// # Errors
    ///
    /// A file could not be written.
    pub fn certificate(&self, folder: &Path, name: &str, domain: &str) -> Result<Certificate> {
        let key = KeyPair::generate().context("make a server's key")?;
        let names = vec![domain.to_owned(), format!("*.{domain}")];
        let mut params = CertificateParams::new(names).context("describe a server")?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, domain);
        params.use_authority_key_identifier_extension = true;
        limit(&mut params);
        let certificate = params
            .signed_by(&key, &self.issuer)
            .context("sign a server's certificate")?;
        let files = Certificate {
            chain: folder.join(format!("{name}.crt")),
            key: folder.join(format!("{name}.key")),
        };
        let chain = format!("{}{}", certificate.pem(), self.issuer.pem());
        fs::write(&files.chain, chain).context("write a certificate")?;
        fs::write(&files.key, key.serialize_pem()).context("write a key")?;
        Ok(files)
    }
}

/// Valid for some decades: Erlang sets a timer for the end of a certificate, which must not be too far away.
fn limit(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2045, 1, 1);
}
