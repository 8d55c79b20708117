//! The signing chain of updates: an offline root, release keys that it signs, and a list of those it has taken back.
//! Boxes carry the public part only (`keyring.pem`: the root's certificate and the list).

use std::{
    fs,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, bail};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use x509_parser::pem::Pem;

/// Days that a root certificate holds, and the list of revoked ones: an expired list would stop all updates.
const ROOT_DAYS: u64 = 30 * 365;
/// Days that a release key's certificate holds unless said otherwise.
pub const RELEASE_DAYS: u64 = 3 * 365;
const DAY: Duration = Duration::from_secs(86_400);

/// A folder with the chain's files.
pub struct Keys {
    /// Where they are.
    pub folder: PathBuf,
}

impl Keys {
    /// The folder's files; nothing is read yet.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// What images carry: the root's certificate and the list of revoked ones.
    #[must_use]
    pub fn keyring(&self) -> PathBuf {
        self.folder.join("keyring.pem")
    }

    /// The certificate that bundles and channel files are signed with.
    #[must_use]
    pub fn release_certificate(&self) -> PathBuf {
        self.folder.join("release.pem")
    }

    /// Its private key.
    #[must_use]
    pub fn release_key(&self) -> PathBuf {
        self.folder.join("release.key")
    }

    fn root_certificate(&self) -> PathBuf {
        self.folder.join("root.pem")
    }

    fn root_key(&self) -> PathBuf {
        self.folder.join("root.key")
    }

    /// Makes a new chain: root, release key, keyring.
    ///
    /// # Errors
    /// The folder has a chain already, or a file cannot be written.
    pub fn init(&self, name: &str) -> Result<()> {
        if self.root_certificate().exists() {
            bail!(
                "{} exists: a new chain would make every box that knows the old one refuse all updates; choose another folder",
                self.root_certificate().display()
            );
        }
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make {}", self.folder.display()))?;
        let key = KeyPair::generate().context("cannot make the root's key")?;
        let mut params = subject(&format!("{name} update root"))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let now = SystemTime::now();
        params.not_before = (now - DAY).into();
        params.not_after = (now + DAY * u32::try_from(ROOT_DAYS)?).into();
        let certificate = params.self_signed(&key).context("cannot sign the root")?;
        secret(&self.root_key(), &key.serialize_pem())?;
        write(&self.root_certificate(), &certificate.pem())?;
        self.release(name, 0, RELEASE_DAYS)?;
        self.write_keyring(&[])
    }

    /// A new release key, which the root signs; an earlier one is kept as `release-N.pem` and `.key`.
    /// Its certificate holds from `first_day` (days from today, may be negative) for `days`.
    ///
    /// # Errors
    /// The root's key is not there, or a file cannot be written.
    pub fn release(&self, name: &str, first_day: i64, days: u64) -> Result<()> {
        let issuer = self.issuer()?;
        let key = KeyPair::generate().context("cannot make the release key")?;
        let mut params = subject(&format!("{name} release"))?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let shift = DAY * u32::try_from(first_day.unsigned_abs())?;
        // An hour back: clocks differ.
        let now = SystemTime::now() - Duration::from_secs(3600);
        let from = if first_day < 0 {
            now - shift
        } else {
            now + shift
        };
        params.not_before = from.into();
        params.not_after = (from + DAY * u32::try_from(days)?).into();
        let certificate = params
            .signed_by(&key, &issuer)
            .context("cannot sign the release key")?;
        if self.release_certificate().exists() {
            let number = (1..)
                .find(|number| !self.folder.join(format!("release-{number}.pem")).exists())
                .unwrap_or(1);
            for ending in ["pem", "key"] {
                let from = self.folder.join(format!("release.{ending}"));
                let to = self.folder.join(format!("release-{number}.{ending}"));
                fs::rename(&from, &to)
                    .with_context(|| format!("cannot rename {}", from.display()))?;
            }
        }
        secret(&self.release_key(), &key.serialize_pem())?;
        write(&self.release_certificate(), &certificate.pem())
    }

    /// Takes a release certificate back: images built from now on refuse what it signs.
    ///
    /// # Errors
    /// `certificate` is none, or the root's key is not there.
    pub fn revoke(&self, certificate: &Path) -> Result<()> {
        let mut serials = self.revoked()?;
        serials.push(serial_of(certificate)?);
        serials.sort_unstable();
        serials.dedup();
        self.write_keyring(&serials)
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>> {
        let pem = read(&self.root_certificate())?;
        let key = KeyPair::from_pem(&read(&self.root_key())?)
            .with_context(|| format!("{} is no private key", self.root_key().display()))?;
        Issuer::from_ca_cert_pem(&pem, key)
            .with_context(|| format!("{} is no authority", self.root_certificate().display()))
    }

    fn revoked(&self) -> Result<Vec<Vec<u8>>> {
        let text = read(&self.keyring())?;
        for pem in Pem::iter_from_buffer(text.as_bytes()) {
            let pem = pem.with_context(|| format!("{} is not PEM", self.keyring().display()))?;
            if pem.label == "X509 CRL" {
                let (_, list) = x509_parser::parse_x509_crl(&pem.contents)
                    .with_context(|| format!("{} has a broken list", self.keyring().display()))?;
                return Ok(list
                    .iter_revoked_certificates()
                    .map(|one| one.raw_serial().to_vec())
                    .collect());
            }
        }
        Ok(Vec::new())
    }

    fn write_keyring(&self, revoked: &[Vec<u8>]) -> Result<()> {
        let now = SystemTime::now();
        let list = CertificateRevocationListParams {
            this_update: (now - DAY).into(),
            next_update: (now + DAY * u32::try_from(ROOT_DAYS)?).into(),
            crl_number: SerialNumber::from(now.duration_since(SystemTime::UNIX_EPOCH)?.as_secs()),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from_slice(serial),
                    revocation_time: now.into(),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list
            .signed_by(&self.issuer()?)
            .context("cannot sign the list of revoked keys")?;
        let list = list.pem().context("cannot write the list as PEM")?;
        write(&self.keyring(), &(read(&self.root_certificate())? + &list))
    }
}

fn subject(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new()).context("cannot describe a key")?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn serial_of(certificate: &Path) -> Result<Vec<u8>> {
    let text = read(certificate)?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(text.as_bytes())
        .with_context(|| format!("{} is no certificate", certificate.display()))?;
    let parsed = pem
        .parse_x509()
        .with_context(|| format!("{} is no certificate", certificate.display()))?;
    Ok(parsed.raw_serial().to_vec())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A file that only its owner may read.
fn secret(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    let mut file = fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> (tempfile::TempDir, Keys) {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::at(&folder.path().join("keys"));
        keys.init("perch").unwrap();
        (folder, keys)
    }

    #[test]
    fn a_chain_is_not_made_over_another() {
        let (_folder, keys) = chain();
        let root = read(&keys.root_certificate()).unwrap();
        let error = keys.init("perch").unwrap_err().to_string();
        assert!(error.contains("root.pem exists"), "{error}");
        assert_eq!(read(&keys.root_certificate()).unwrap(), root);
    }

    #[test]
    fn the_keyring_has_no_private_key_and_private_keys_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, keys) = chain();
        assert!(!read(&keys.keyring()).unwrap().contains("PRIVATE"));
        for key in [keys.root_key(), keys.release_key()] {
            let mode = fs::metadata(key).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_key_that_is_taken_back_is_in_the_keyring_for_good() {
        let (_folder, keys) = chain();
        let first = serial_of(&keys.release_certificate()).unwrap();
        keys.release("perch", 0, 30).unwrap();
        assert!(keys.revoked().unwrap().is_empty());
        let kept = keys.folder.join("release-1.pem");
        assert_eq!(serial_of(&kept).unwrap(), first);
        keys.revoke(&kept).unwrap();
        keys.release("perch", 0, 30).unwrap();
        keys.revoke(&keys.folder.join("release-2.pem")).unwrap();
        let revoked = keys.revoked().unwrap();
        assert_eq!(revoked.len(), 2);
        assert!(revoked.contains(&first));
    }
}
