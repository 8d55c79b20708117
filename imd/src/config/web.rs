//! Settings of the web: addresses, uploads, the web chat, and services elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use settings_file::{Table, Value, parse as value};

use super::Listen;
use super::file::{number, size};

/// What people and programs reach by HTTP.
#[derive(Debug, Clone)]
pub struct WebSettings {
    /// The address that browsers use, without a slash at the end; absent: `https://` and the domain, with the
    /// port of the first HTTPS listener where that is not 443 and no socket for nginx is set.
    pub public_url: Option<String>,
    /// The folder with the web chat's files (Converse.js); absent: there is no web chat.
    pub web_root: Option<PathBuf>,
    /// How long an invitation can be used.
    pub invite_days: u32,
    /// Whether every member may invite, not only administrators.
    pub members_invite: bool,
}

impl Default for WebSettings {
    fn default() -> Self {
        Self {
            public_url: None,
            web_root: None,
            invite_days: 7,
            members_invite: true,
        }
    }
}

/// Bounds of uploads (XEP-0363).
#[derive(Debug, Clone)]
pub struct UploadSettings {
    /// Bytes of one file; 0 turns uploads off.
    pub file_bytes: u64,
    /// Bytes of one person's files together.
    pub user_bytes: u64,
    /// Bytes that one person may upload in a day (UTC).
    pub day_bytes: u64,
    /// Bytes of all files together.
    pub total_bytes: u64,
    /// Bytes of the disk that uploads leave free, so that messages can be kept.
    pub keep_free: u64,
    /// How long files are kept; absent: until the account is removed.
    pub retention: Option<Duration>,
}

impl Default for UploadSettings {
    fn default() -> Self {
        Self {
            file_bytes: 100 << 20,
            user_bytes: 2 << 30,
            day_bytes: 500 << 20,
            total_bytes: 20 << 30,
            keep_free: 512 << 20,
            retention: None,
        }
    }
}

/// A STUN or TURN server that clients are told of (XEP-0215).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalService {
    /// `stun`, `stuns`, `turn` or `turns`.
    pub kind: &'static str,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `udp` or `tcp`.
    pub transport: &'static str,
    /// Shared with the TURN server, which then takes names and passwords that run out; absent: none are given.
    pub secret: Option<String>,
}

pub(super) fn web(mut table: Table<'_>) -> WebSettings {
    let web = WebSettings {
        public_url: table.optional("public_url", public_url),
        web_root: table.optional("web_root", value::path),
        invite_days: number(&mut table, "invite_days", 1, 365, 7),
        members_invite: table
            .optional("members_invite", value::boolean)
            .unwrap_or(true),
    };
    table.finish();
    web
}

fn public_url(found: &Value<'_>) -> Result<String, String> {
    let accepted = "an address in quotes, such as \"https://perch.local\", without a path";
    let text = found.as_str().ok_or(accepted)?;
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .ok_or(accepted)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    if host.is_empty() || !host.chars().all(fits) {
        return Err(accepted.to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn uploads(mut table: Table<'_>) -> UploadSettings {
    let default = UploadSettings::default();
    let t = &mut table;
    let mut bytes = |key, least: u64, default: u64| {
        let most = 1_usize << 50;
        let read = size(t, key, least as usize, most, default as usize);
        read as u64
    };
    let uploads = UploadSettings {
        file_bytes: bytes("file_bytes", 0, default.file_bytes),
        user_bytes: bytes("user_bytes", 1, default.user_bytes),
        day_bytes: bytes("day_bytes", 1, default.day_bytes),
        total_bytes: bytes("total_bytes", 1, default.total_bytes),
        keep_free: bytes("keep_free", 0, default.keep_free),
        retention: table.optional("retention", value::duration),
    };
    table.finish();
    uploads
}

const KINDS: [(&str, &str); 4] = [
    ("stun", "stun"),
    ("stuns", "stuns"),
    ("turn", "turn"),
    ("turns", "turns"),
];
const TRANSPORTS: [(&str, &str); 2] = [("udp", "udp"), ("tcp", "tcp")];

pub(super) fn external_service(mut table: Table<'_>) -> Option<ExternalService> {
    table.secret("secret");
    let kind = table.required("type", value::one_of(&KINDS));
    let host = table.required("host", value::single_line);
    let port = table.optional("port", value::integer(1..=65535_u16));
    let transport = table.optional("transport", value::one_of(&TRANSPORTS));
    let secret = table.optional("secret", value::single_line);
    table.finish();
    Some(ExternalService {
        kind: kind?,
        host: host?,
        port: port.unwrap_or(3478),
        transport: transport.unwrap_or("udp"),
        secret,
    })
}

/// An address of this computer only: nothing between two programs on it needs TLS.
pub(super) fn loopback(found: &Value<'_>) -> Result<SocketAddr, String> {
    let address = value::socket_address(found)?;
    if address.ip().to_canonical().is_loopback() {
        Ok(address)
    } else {
        Err(
            "an address of this computer itself, such as \"127.0.0.1:5280\", because there is no TLS"
                .to_owned(),
        )
    }
}

impl super::Config {
    /// What browsers' addresses begin with, without a slash at the end.
    #[must_use]
    pub fn public_url(&self) -> String {
        self.web
            .public_url
            .clone()
            .unwrap_or_else(|| default_url(&self.domain, &self.listen))
    }
}

fn default_url(domain: &str, listen: &Listen) -> String {
    match listen.https.first().map(SocketAddr::port) {
        Some(port) if port != 443 && listen.http_socket.is_none() => {
            format!("https://{domain}:{port}")
        }
        _ => format!("https://{domain}"),
    }
}
