//! A folder of a bucket that speaks S3's protocol: requests signed by the crate rusty-s3, sent by ureq.
//!
//! One backup is one request, which the server carries out whole or not at all, with a checksum that it compares.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use ureq::http::Response;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::fault::{Fault, Kind};
use super::{Listing, Place};
use crate::backup::shelf::Lying;
use crate::files::Files;
use crate::settings::secrets::Secrets;
use crate::settings::target::Target;

/// The authorities that the system trusts.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// What one request may carry (Amazon S3, PutObject).
const LARGEST: u64 = 5 << 30;
/// A signed request is taken for so long.
const VALID: Duration = Duration::from_secs(3600);
/// Without an answer, or a byte, for so long the connection is over.
const PATIENCE: Duration = Duration::from_secs(300);
const CONNECT: Duration = Duration::from_secs(30);
/// An answer that is no backup: a thousand names, or an error.
const LONGEST_ANSWER: u64 = 4 << 20;
/// So many thousand names are looked at; a folder with more is for something else.
const MOST_PAGES: usize = 50;

/// A folder of a bucket.
pub struct S3 {
    agent: Agent,
    bucket: Bucket,
    credentials: Credentials,
    /// What the names of objects begin with: empty, or with a slash at its end.
    prefix: String,
}

impl S3 {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// The box has no secret key for it, or cannot read the authorities.
    pub fn new(
        files: &Files,
        target: &Target,
        secrets: &Secrets,
        bucket: &str,
        mut prefix: String,
    ) -> Result<Self> {
        let key = target.access_key.as_ref();
        let secret = secrets.s3.as_ref().filter(|s3| Some(&s3.access_key) == key);
        let secret = secret.context("the box has no secret key for backup.access_key")?;
        let endpoint = target
            .endpoint
            .as_ref()
            .context("backup.endpoint is missing")?;
        let url = endpoint
            .as_str()
            .parse()
            .context("reading backup.endpoint")?;
        // By path: a server of one's own has no name for each bucket.
        let bucket = Bucket::new(
            url,
            UrlStyle::Path,
            bucket.to_owned(),
            target.region().to_owned(),
        );
        if !prefix.is_empty() {
            prefix.push('/');
        }
        Ok(Self {
            agent: agent(files, target, endpoint.as_str().starts_with("https:"))?,
            bucket: bucket.map_err(|error| anyhow!("backup.endpoint: {error}"))?,
            credentials: Credentials::new(secret.access_key.as_str(), secret.secret.reveal()),
            prefix,
        })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn page(&self, token: Option<&str>) -> Result<(Vec<Lying>, Option<String>), Fault> {
        let mut action = self.bucket.list_objects_v2(Some(&self.credentials));
        if !self.prefix.is_empty() {
            action.with_prefix(self.prefix.as_str());
        }
        action.with_delimiter("/");
        if let Some(token) = token {
            action.with_continuation_token(token);
        }
        let answer = self.agent.get(action.sign(VALID).as_str()).call();
        let text = text_of(good(answer, false)?)?;
        let parsed = ListObjectsV2::parse_response(&text).map_err(|error| {
            Fault::new(Kind::Other, format!("its list cannot be read: {error}"))
        })?;
        let files = parsed.contents.into_iter().filter_map(|object| {
            Some(Lying {
                name: object.key.strip_prefix(&self.prefix)?.to_owned(),
                bytes: object.size?,
            })
        });
        Ok((files.collect(), parsed.next_continuation_token))
    }
}

fn agent(files: &Files, target: &Target, is_https: bool) -> Result<Agent> {
    let mut roots = Vec::new();
    if is_https {
        let path = target
            .authority
            .as_ref()
            .map_or(SYSTEM_AUTHORITIES, |path| path.as_str());
        let place = match path {
            SYSTEM_AUTHORITIES => path.into(),
            own => files.path(own),
        };
        let pem = std::fs::read(&place).with_context(|| format!("reading {}", place.display()))?;
        for item in parse_pem(&pem) {
            let item = item.with_context(|| format!("{} is not PEM", place.display()))?;
            if let PemItem::Certificate(certificate) = item {
                roots.push(certificate);
            }
        }
    }
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Ok(Agent::config_builder()
        .tls_config(tls)
        .proxy(None)
        .http_status_as_error(false)
        // Another address is another signature.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(PATIENCE))
        .timeout_per_write(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .build()
        .new_agent())
}

impl Place for S3 {
    fn list(&self) -> Result<Listing, Fault> {
        let mut listing = Listing::default();
        let mut token = None;
        for _ in 0..MOST_PAGES {
            let (files, next) = self.page(token.as_deref())?;
            listing.files.extend(files);
            token = next;
            if token.is_none() {
                return Ok(listing);
            }
        }
        Err(Fault::new(
            Kind::Other,
            "too many files lie there: use a folder for backups alone",
        ))
    }

    fn put(&self, file: &Path, name: &str) -> Result<(), Fault> {
        let mut opened = File::open(file).with_context(|| format!("reading {}", file.display()))?;
        let bytes = opened.metadata().context("looking at the backup")?.len();
        if bytes > LARGEST {
            return Err(Fault::new(Kind::TooLarge, format!("{} MiB", bytes >> 20)));
        }
        let checksum =
            checksum(&mut opened).with_context(|| format!("reading {}", file.display()))?;
        io::Seek::rewind(&mut opened).context("reading the backup again")?;
        let key = self.key(name);
        let mut action = self.bucket.put_object(Some(&self.credentials), &key);
        // Every server knows this one; newer checksums some refuse.
        action
            .headers_mut()
            .insert("content-md5", checksum.as_str());
        let answer = self
            .agent
            .put(action.sign(VALID).as_str())
            .header("content-md5", &checksum)
            .header("content-type", "application/octet-stream")
            // What is wrong is said before gigabytes are sent.
            .header("expect", "100-continue")
            .send(&opened);
        good(answer, true).map(drop)
    }

    fn fetch(&self, name: &str, into: &Path) -> Result<(), Fault> {
        let key = self.key(name);
        let action = self.bucket.get_object(Some(&self.credentials), &key);
        let answer = good(self.agent.get(action.sign(VALID).as_str()).call(), false)?;
        let mut file = File::create(into).with_context(|| format!("writing {}", into.display()))?;
        let mut body = answer.into_body().into_reader();
        let mut buffer = vec![0; 256 << 10];
        // Told apart: one is the connection's fault, the other the box's.
        loop {
            let read = body.read(&mut buffer);
            match read.map_err(|error| Fault::new(Kind::Cut, error.to_string()))? {
                0 => break,
                bytes => io::Write::write_all(&mut file, buffer.get(..bytes).unwrap_or_default())
                    .with_context(|| format!("writing {}", into.display()))?,
            }
        }
        Ok(())
    }

    fn remove(&self, names: &[String]) -> Result<(), Fault> {
        for name in names {
            let key = self.key(name);
            let action = self.bucket.delete_object(Some(&self.credentials), &key);
            match good(self.agent.delete(action.sign(VALID).as_str()).call(), false) {
                Err(fault) if fault.kind == Kind::NoBackup => {}
                other => drop(other?),
            }
        }
        Ok(())
    }
}

/// MD5 of what is left of a file, in base64 (RFC 1864).
fn checksum(file: &mut File) -> io::Result<String> {
    let mut digest = Md5::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(STANDARD.encode(digest.finalize())),
            bytes => digest.update(buffer.get(..bytes).unwrap_or_default()),
        }
    }
}

fn text_of(answer: Response<Body>) -> Result<String, Fault> {
    let mut body = answer.into_body();
    let read = body.with_config().limit(LONGEST_ANSWER).read_to_string();
    read.map_err(|error| fault_of_error(&error, false))
}

/// The answer, if it is a good one.
fn good(
    answer: Result<Response<Body>, ureq::Error>,
    is_sending: bool,
) -> Result<Response<Body>, Fault> {
    let answer = answer.map_err(|error| fault_of_error(&error, is_sending))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let text = text_of(answer).unwrap_or_default();
    Err(fault_of_answer(status.as_u16(), &text))
}

/// What an answer's code means (Amazon S3, "Error responses"; other servers have some of their own).
fn fault_of_answer(status: u16, body: &str) -> Fault {
    let (code, message) = (element(body, "Code"), element(body, "Message"));
    let lower = message.to_lowercase();
    let is_untimely = lower.contains("expired") || lower.contains("not yet valid");
    let kind = match code {
        "NoSuchBucket" => Kind::NoBucket,
        "NoSuchKey" => Kind::NoBackup,
        // The last one is versitygw's.
        "InvalidAccessKeyId" | "InvalidAccessKey" | "XAdminUserNotFound" => Kind::WrongAccessKey,
        "SignatureDoesNotMatch" => Kind::WrongSecret,
        "RequestTimeTooSkewed" | "ExpiredPresignRequest" | "RequestNotReadyYet" => Kind::Clock,
        "AccessDenied" if is_untimely => Kind::Clock,
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => Kind::NotAllowed,
        "AuthorizationHeaderMalformed"
        | "AuthorizationQueryParametersError"
        | "PermanentRedirect"
        | "TemporaryRedirect"
        | "IllegalLocationConstraintException" => Kind::WrongRegion,
        "QuotaExceeded" | "StorageFull" | "XMinioStorageFull" | "InsufficientStorage" => Kind::Full,
        "EntityTooLarge" => Kind::TooLarge,
        "BadDigest" | "InvalidDigest" | "IncompleteBody" => Kind::Altered,
        "" if status == 507 => Kind::Full,
        "" if status == 404 => Kind::NoBucket,
        "" if status == 403 => Kind::NotAllowed,
        _ => Kind::Other,
    };
    let detail = match code {
        "" => format!("HTTP status {status}"),
        code => format!("{code}: {message}"),
    };
    Fault::new(kind, detail)
}

/// The text of the first element with this name; empty if there is none.
fn element<'a>(body: &'a str, name: &str) -> &'a str {
    let inner = body.split_once(&format!("<{name}>")).map(|(_, rest)| rest);
    let text = inner.and_then(|rest| rest.split_once(&format!("</{name}>")));
    text.map_or("", |(text, _)| text)
}

fn fault_of_error(error: &ureq::Error, is_sending: bool) -> Fault {
    let text = error.to_string();
    let kind = match error {
        ureq::Error::HostNotFound => Kind::NoName,
        _ if text.to_lowercase().contains("certificate") => Kind::Certificate,
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Kind::NoAnswer
        }
        ureq::Error::Io(_) | ureq::Error::Timeout(_) if is_sending => Kind::Cut,
        ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => Kind::NoAnswer,
        ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed => {
            Kind::NoAnswer
        }
        _ => Kind::Other,
    };
    Fault::new(kind, text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_a_server_refuses_is_told_apart() {
        for (status, code, message, meant) in [
            (404, "NoSuchBucket", "", Kind::NoBucket),
            (404, "NoSuchKey", "", Kind::NoBackup),
            (403, "InvalidAccessKeyId", "", Kind::WrongAccessKey),
            (403, "SignatureDoesNotMatch", "", Kind::WrongSecret),
            (403, "AccessDenied", "Access Denied", Kind::NotAllowed),
            (403, "AccessDenied", "Request has expired", Kind::Clock),
            (403, "RequestTimeTooSkewed", "", Kind::Clock),
            (400, "AuthorizationHeaderMalformed", "", Kind::WrongRegion),
            (400, "BadDigest", "", Kind::Altered),
            (507, "XMinioStorageFull", "", Kind::Full),
            (500, "InternalError", "", Kind::Other),
        ] {
            let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
            assert_eq!(fault_of_answer(status, &body).kind, meant, "{code}");
        }
        for (status, meant) in [
            (404, Kind::NoBucket),
            (403, Kind::NotAllowed),
            (502, Kind::Other),
        ] {
            assert_eq!(fault_of_answer(status, "<html>").kind, meant, "{status}");
        }
    }

    #[test]
    fn the_checksum_is_that_of_rfc_1864() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, b"Check Integrity!").unwrap();
        io::Seek::rewind(&mut file).unwrap();
        // `printf 'Check Integrity!' | openssl md5 -binary | base64`
        assert_eq!(checksum(&mut file).unwrap(), "nwqq6b6ua/tTDk7B5M184w==");
    }
}
