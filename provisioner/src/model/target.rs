//! Where backups are sent: a folder of an SFTP server, or of a bucket that speaks S3's protocol.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use settings_file::Value;

use super::{is_host, is_label};

text_type! {
    /// A place for backups on another computer, as its owner writes it; [`TargetUrl::address`] takes it apart.
    TargetUrl,
    "\"sftp://user@host/folder\" (\"host:port\" if the port is not 22, \"/~/folder\" below the user's home), or \"s3://bucket/folder\"",
    |text| Address::of(text).is_some()
}

text_type! {
    /// The server of an S3 target.
    S3Endpoint,
    "the address of a server, such as \"https://s3.example.org\" or \"http://192.168.1.9:9000\"",
    |text| text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))
        .is_some_and(|rest| host_and_port(rest, 0).is_some())
}

text_type! {
    /// The region of an S3 target, which every signature names.
    Region,
    "a region of letters a-z, digits and hyphens, such as \"us-east-1\"",
    |text| text.len() <= 40 && is_label(text)
}

text_type! {
    /// The public part of what opens an S3 target.
    AccessKey,
    "an access key of 3 to 128 letters, digits and signs, as the server's owner gives it out",
    |text| (3..=128).contains(&text.len()) && is_plain(text, "._@+=/-")
}

/// A target, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A folder of an SSH server.
    Sftp(SftpAddress),
    /// A folder of a bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// What names of objects begin with, without a slash at its end; empty for none.
        prefix: String,
    },
}

/// A folder of an SSH server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SftpAddress {
    /// Who logs in.
    pub user: String,
    /// Name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The folder, absolute, or relative to the user's home.
    pub folder: String,
}

/// The port of SSH.
const SSH: u16 = 22;

impl TargetUrl {
    /// The target, taken apart. `None`: never, as it was checked.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        Address::of(&self.0)
    }

    /// Whether it is an S3 target.
    #[must_use]
    pub fn is_s3(&self) -> bool {
        self.0.starts_with("s3://")
    }
}

impl Address {
    fn of(text: &str) -> Option<Self> {
        if text.len() > 400 {
            return None;
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let prefix = prefix.trim_end_matches('/');
            let is_bucket = (3..=63).contains(&bucket.len()) && bucket.split('.').all(is_label);
            return (is_bucket && (prefix.is_empty() || is_path(prefix))).then(|| Self::S3 {
                bucket: bucket.to_owned(),
                prefix: prefix.to_owned(),
            });
        }
        let (login, path) = text.strip_prefix("sftp://")?.split_once('/')?;
        let (user, place) = login.split_once('@')?;
        // A hyphen in front would be an option of the program.
        let is_user = (1..=64).contains(&user.len())
            && is_plain(user, "._-")
            && !user.starts_with(['-', '.']);
        let (host, port) = host_and_port(place, SSH)?;
        let path = path.trim_end_matches('/');
        let folder = match path.strip_prefix("~/") {
            Some(below) if is_path(below) => below.to_owned(),
            None if path == "~" => ".".to_owned(),
            None if is_path(path) => format!("/{path}"),
            _ => return None,
        };
        is_user.then(|| {
            Self::Sftp(SftpAddress {
                user: user.to_owned(),
                host,
                port,
                folder,
            })
        })
    }
}

impl SftpAddress {
    /// Host and port as known_hosts has them (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
    #[must_use]
    pub fn known_as(&self) -> String {
        match self.port {
            SSH => self.host.clone(),
            port => format!("[{}]:{port}", self.host),
        }
    }
}

impl fmt::Display for SftpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.host, self.port)
    }
}

/// `host`, `host:port` or `[address]:port`; `usual` is the port where none is named.
fn host_and_port(text: &str, usual: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let is_v6 = address.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6());
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':')?),
            };
            is_v6.then_some((address, port))?
        }
        None => {
            let (host, port) = text
                .split_once(':')
                .map_or((text, None), |(h, p)| (h, Some(p)));
            let is_good = host.parse::<IpAddr>().is_ok() || is_host(host);
            is_good.then_some((host, port))?
        }
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None => usual,
    };
    Some((host.to_owned(), port))
}

/// Parts that mean themselves to every program: no quotes, no patterns, no way up.
fn is_path(text: &str) -> bool {
    text.split('/').all(|part| {
        !part.is_empty()
            && is_plain(part, "._-")
            && !part.starts_with('-')
            && part != "."
            && part != ".."
    })
}

fn is_plain(text: &str, signs: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || signs.contains(c))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn targets_are_taken_apart() {
        for (text, user, host, port, folder) in [
            ("sftp://perch@nas/backups", "perch", "nas", 22, "/backups"),
            (
                "sftp://a.b@nas.local:2222/srv/x/",
                "a.b",
                "nas.local",
                2222,
                "/srv/x",
            ),
            (
                "sftp://a@192.168.1.9/~/perch",
                "a",
                "192.168.1.9",
                22,
                "perch",
            ),
            ("sftp://a@[fd00::9]:2222/~", "a", "fd00::9", 2222, "."),
        ] {
            let found = TargetUrl::new(text).unwrap().address().unwrap();
            let wanted = SftpAddress {
                user: user.to_owned(),
                host: host.to_owned(),
                port,
                folder: folder.to_owned(),
            };
            assert_eq!(found, Address::Sftp(wanted), "{text}");
        }
        for (text, bucket, prefix) in [
            ("s3://perch-backups", "perch-backups", ""),
            ("s3://my.bucket/office/perch/", "my.bucket", "office/perch"),
        ] {
            let found = TargetUrl::new(text).unwrap().address().unwrap();
            let wanted = Address::S3 {
                bucket: bucket.to_owned(),
                prefix: prefix.to_owned(),
            };
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn targets_that_could_mean_something_else_to_a_program_are_refused() {
        for text in [
            "",
            "nas:/backups",
            "ftp://a@nas/x",
            "sftp://nas/x",
            "sftp://a@nas",
            "sftp://a@nas/",
            "sftp://a:secret@nas/x",
            "sftp://-oProxyCommand=x@nas/x",
            "sftp://a@-nas/x",
            "sftp://a@nas:0/x",
            "sftp://a@nas:70000/x",
            "sftp://a@[nas]:22/x",
            "sftp://a@nas/x/../y",
            "sftp://a@nas/~/../y",
            "sftp://a@nas/a b",
            "sftp://a@nas/a\"b",
            "sftp://a@nas/a\nrm x",
            "sftp://a@nas/*",
            "sftp://a@nas/-x",
            "s3://",
            "s3://ab",
            "s3://Bucket/x",
            "s3://bucket//x",
            "s3://bucket/../x",
            "s3://bucket/x?acl",
        ] {
            assert!(TargetUrl::new(text).is_err(), "{text:?}");
        }
        for text in [
            "s3.example.org",
            "https://",
            "https://s3.example.org/path",
            "https://user@s3.example.org",
            "ftp://s3.example.org",
            "https://s3.example.org:x",
        ] {
            assert!(S3Endpoint::new(text).is_err(), "{text:?}");
        }
        for text in [
            "https://s3.example.org",
            "http://127.0.0.1:9000",
            "https://[::1]:9000",
        ] {
            assert!(S3Endpoint::new(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_server_is_known_by_its_port_where_that_is_unusual() {
        for (text, known) in [
            ("sftp://a@nas/x", "nas"),
            ("sftp://a@nas:2222/x", "[nas]:2222"),
            ("sftp://a@[fd00::9]/x", "fd00::9"),
        ] {
            let Some(Address::Sftp(address)) = TargetUrl::new(text).unwrap().address() else {
                unreachable!("{text}");
            };
            assert_eq!(address.known_as(), known);
        }
    }
}
