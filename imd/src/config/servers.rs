//! Settings of external components and of federation with other servers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use settings_file::{Table, Value, parse as value};

use super::file::{domain, number, time};

/// An external component (XEP-0114): a program that owns a domain of this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentSettings {
    /// The domain that is its own.
    pub domain: String,
    /// What it proves to know in its handshake.
    pub secret: String,
    /// Its name in service discovery; the domain when not given.
    pub name: String,
}

/// Federation with other servers.
#[derive(Debug, Clone)]
pub struct FederationSettings {
    /// Whether there is any: when false, stanzas to other domains are answered `remote-server-not-found`.
    pub enabled: bool,
    /// The only domains that are talked with, each with those below it; empty: all that are not denied.
    pub allow: Vec<String>,
    /// Domains that are not talked with, each with those below it, even when allowed.
    pub deny: Vec<String>,
    /// Where a domain's server is, `host:port`, instead of asking DNS.
    pub hosts: BTreeMap<String, String>,
    /// The name servers to ask where other servers are; empty: the system's.
    pub name_servers: Vec<SocketAddr>,
    /// Whether the authorities that the operating system trusts are trusted.
    pub system_roots: bool,
    /// PEM file with certificates of further authorities.
    pub extra_roots: Option<PathBuf>,
    /// Whether a server without a valid certificate may prove its domain by dialback (XEP-0220) alone.
    pub accept_untrusted: bool,
    /// How long connecting to a server may take.
    pub connect_timeout: Duration,
    /// Silence after which a connection between servers is closed.
    pub idle_timeout: Duration,
    /// Connections from other servers at one time.
    pub connections: u32,
    /// Domains that are connected to at one time.
    pub domains: u32,
}

impl Default for FederationSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            allow: Vec::new(),
            deny: Vec::new(),
            hosts: BTreeMap::new(),
            name_servers: Vec::new(),
            system_roots: true,
            extra_roots: None,
            accept_untrusted: false,
            connect_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(600),
            connections: 1000,
            domains: 1000,
        }
    }
}

impl FederationSettings {
    /// Whether a domain is talked with.
    #[must_use]
    pub fn allows(&self, domain: &str) -> bool {
        let listed = |list: &[String]| list.iter().any(|entry| covers(entry, domain));
        !listed(&self.deny) && (self.allow.is_empty() || listed(&self.allow))
    }
}

/// Whether a domain is `entry` or below it.
fn covers(entry: &str, domain: &str) -> bool {
    domain
        .strip_suffix(entry)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

pub(super) fn component(mut table: Table<'_>, server: Option<&str>) -> Option<ComponentSettings> {
    table.secret("secret");
    let own = table.required("domain", domain);
    let secret = table.required("secret", value::single_line);
    let name = table.optional("name", value::single_line);
    if own.is_some() && own.as_deref() == server {
        table.reject("domain", "a domain other than the server's own");
    }
    table.finish();
    let domain = own?;
    Some(ComponentSettings {
        secret: secret?,
        name: name.unwrap_or_else(|| domain.clone()),
        domain,
    })
}

pub(super) fn federation(mut table: Table<'_>) -> FederationSettings {
    let default = FederationSettings::default();
    let hosts = hosts(table.table_or_empty("hosts"));
    let t = &mut table;
    let federation = FederationSettings {
        enabled: t.optional("enabled", value::boolean).unwrap_or(false),
        allow: t.list("allow", domain).unwrap_or_default(),
        deny: t.list("deny", domain).unwrap_or_default(),
        hosts,
        name_servers: t
            .list("name_servers", value::socket_address)
            .unwrap_or_default(),
        system_roots: t
            .optional("system_roots", value::boolean)
            .unwrap_or(default.system_roots),
        extra_roots: t.optional("extra_roots", value::path),
        accept_untrusted: t
            .optional("accept_untrusted", value::boolean)
            .unwrap_or(default.accept_untrusted),
        connect_timeout: time(t, "connect_timeout", 1, 600, default.connect_timeout),
        idle_timeout: time(t, "idle_timeout", 1, 86_400, default.idle_timeout),
        connections: number(t, "connections", 1, 100_000, default.connections),
        domains: number(t, "domains", 1, 100_000, default.domains),
    };
    table.finish();
    federation
}

fn hosts(mut table: Table<'_>) -> BTreeMap<String, String> {
    let mut hosts = BTreeMap::new();
    for key in table.keys() {
        let place = table.optional(&key, host_and_port);
        match imd_proto::jid::prepare_domain(&key) {
            Ok(domain) => {
                hosts.extend(place.map(|place| (domain.into_owned(), place)));
            }
            Err(_) => table.reject(&key, "a domain name as the key"),
        }
    }
    table.finish();
    hosts
}

fn host_and_port(found: &Value<'_>) -> Result<String, String> {
    let accepted = "a host and port in quotes, such as \"192.0.2.5:5269\"";
    let text = found.as_str().ok_or(accepted)?;
    let (host, port) = text.rsplit_once(':').ok_or(accepted)?;
    match port.parse::<u16>() {
        Ok(port) if port > 0 && !host.is_empty() && !host.contains(char::is_whitespace) => {
            Ok(text.to_owned())
        }
        _ => Err(accepted.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], deny: &[&str]) -> FederationSettings {
        let list = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect();
        FederationSettings {
            allow: list(allow),
            deny: list(deny),
            ..FederationSettings::default()
        }
    }

    #[test]
    fn lists_cover_a_domain_and_those_below_it() {
        let open = policy(&[], &["bad.example"]);
        assert!(open.allows("good.example"));
        assert!(open.allows("notbad.example"));
        assert!(!open.allows("bad.example"));
        assert!(!open.allows("rooms.bad.example"));
        let closed = policy(&["school.example"], &["old.school.example"]);
        assert!(closed.allows("school.example"));
        assert!(closed.allows("rooms.school.example"));
        assert!(!closed.allows("old.school.example"));
        assert!(!closed.allows("elsewhere.example"));
    }
}
