//! Reads the settings file.

use std::path::Path;
use std::time::Duration;

use settings_file::{Document, Problems, Table, Value, parse as value};

use super::{
    ArchiveSettings, Config, Limits, Listen, MayCreate, RoomSettings, TlsFiles, contact, servers,
    web,
};

/// Read and check a settings file.
///
/// # Errors
/// With every problem in it, each naming file, line, key, what was found and what is accepted.
pub fn read(path: &Path) -> Result<Config, Problems> {
    from_document(Document::read(path))
}

/// Check settings given as text.
///
/// # Errors
/// With every problem in it.
pub fn parse(name: &str, text: &str) -> Result<Config, Problems> {
    from_document(Document::parse(name, text))
}

fn from_document(doc: Document) -> Result<Config, Problems> {
    let mut root = doc.root();
    let domain = root.required("domain", domain);
    let data_dir = root.required("data_dir", value::path);
    let tls = tls(root.table_or_empty("tls"));
    let listen = listen(root.table_or_empty("listen"));
    let limits = limits(root.table_or_empty("limits"));
    let archive = archive(root.table_or_empty("archive"));
    let rooms = rooms(root.table_or_empty("rooms"));
    let web = web::web(root.table_or_empty("web"));
    let uploads = web::uploads(root.table_or_empty("uploads"));
    let external_services = root
        .tables("external_service")
        .into_iter()
        .filter_map(web::external_service)
        .collect();
    let components = root
        .tables("component")
        .into_iter()
        .filter_map(|table| servers::component(table, domain.as_deref()))
        .collect();
    let push = contact::push(root.table_or_empty("push"));
    let contact = contact::contact(root.table_or_empty("contact"));
    let federation = servers::federation(root.table_or_empty("federation"));
    root.finish();
    let config = match (domain, data_dir, tls) {
        (Some(domain), Some(data_dir), Some(tls)) => Some(Config {
            domain,
            data_dir,
            tls,
            listen,
            limits,
            archive,
            rooms,
            web,
            uploads,
            external_services,
            components,
            federation,
            push,
            contact,
        }),
        _ => None,
    };
    doc.into_result(config)
}

pub(super) fn domain(found: &Value<'_>) -> Result<String, String> {
    let accepted = "a domain name in quotes, such as \"perch.local\"";
    let text = found.as_str().ok_or(accepted)?;
    let domain = imd_proto::jid::prepare_domain(text).map_err(|_| accepted)?;
    if domain
        .split('.')
        .any(|label| label.is_empty() || label.len() > 63)
    {
        return Err(accepted.to_owned());
    }
    Ok(domain.into_owned())
}

fn tls(mut table: Table<'_>) -> Option<TlsFiles> {
    let certificate = table.required("certificate", value::path);
    let key = table.required("key", value::path);
    let domain_certificate = table.optional("domain_certificate", value::path);
    table.finish();
    Some(TlsFiles {
        certificate: certificate?,
        key: key?,
        domain_certificate,
    })
}

fn listen(mut table: Table<'_>) -> Listen {
    let listen = Listen {
        starttls: table
            .list("starttls", value::socket_address)
            .unwrap_or_default(),
        direct_tls: table
            .list("direct_tls", value::socket_address)
            .unwrap_or_default(),
        https: table
            .list("https", value::socket_address)
            .unwrap_or_default(),
        http: table.list("http", web::loopback).unwrap_or_default(),
        http_socket: table.optional("http_socket", value::path),
        admin: table.optional("admin", value::path),
        component: table.list("component", web::loopback).unwrap_or_default(),
        s2s: table.list("s2s", value::socket_address).unwrap_or_default(),
        s2s_direct_tls: table
            .list("s2s_direct_tls", value::socket_address)
            .unwrap_or_default(),
    };
    table.finish();
    listen
}

fn archive(mut table: Table<'_>) -> ArchiveSettings {
    let archive = ArchiveSettings {
        enabled: table.optional("enabled", value::boolean).unwrap_or(true),
        search: table.optional("search", value::boolean).unwrap_or(true),
        retention: table.optional("retention", value::duration),
    };
    table.finish();
    archive
}

fn rooms(mut table: Table<'_>) -> RoomSettings {
    let default = RoomSettings::default();
    let create = |found: &Value<'_>| match found.as_str() {
        Some("administrators") => Ok(MayCreate::Administrators),
        Some("members") => Ok(MayCreate::Members),
        Some("anyone") => Ok(MayCreate::Anyone),
        _ => Err("\"administrators\", \"members\" or \"anyone\"".to_owned()),
    };
    let t = &mut table;
    let rooms = RoomSettings {
        domain: t.optional("domain", domain),
        create: t.optional("create", create).unwrap_or(default.create),
        max_occupants: number(t, "max_occupants", 1, 100_000, default.max_occupants),
        max_rooms: number(t, "max_rooms", 0, 1_000_000, default.max_rooms),
    };
    table.finish();
    rooms
}

fn limits(mut table: Table<'_>) -> Limits {
    let default = Limits::default();
    let t = &mut table;
    let limits = Limits {
        stanza_bytes: size(t, "stanza_bytes", 10_000, 64 << 20, default.stanza_bytes),
        login_stanza_bytes: size(
            t,
            "login_stanza_bytes",
            4096,
            1 << 20,
            default.login_stanza_bytes,
        ),
        stanza_depth: number(t, "stanza_depth", 8, 1000, default.stanza_depth),
        login_timeout: time(t, "login_timeout", 1, 600, default.login_timeout),
        login_attempts: number(t, "login_attempts", 1, 100, default.login_attempts),
        login_failures: number(t, "login_failures", 1, 10_000, default.login_failures),
        loopback_exempt: t
            .optional("loopback_exempt", value::boolean)
            .unwrap_or(default.loopback_exempt),
        token_lifetime: time(t, "token_lifetime", 1, 366 * 86_400, default.token_lifetime),
        connections_per_address: number(
            t,
            "connections_per_address",
            1,
            1_000_000,
            default.connections_per_address,
        ),
        connections_before_login: number(
            t,
            "connections_before_login",
            1,
            1_000_000,
            default.connections_before_login,
        ),
        http_connections: number(
            t,
            "http_connections",
            10,
            1_000_000,
            default.http_connections,
        ),
        sessions: number(t, "sessions", 1, 1_000_000, default.sessions),
        sessions_per_account: number(
            t,
            "sessions_per_account",
            1,
            1000,
            default.sessions_per_account,
        ),
        outbound_bytes: size(
            t,
            "outbound_bytes",
            64 << 10,
            1 << 30,
            default.outbound_bytes,
        ),
        outbound_total_bytes: size(
            t,
            "outbound_total_bytes",
            1 << 20,
            1 << 40,
            default.outbound_total_bytes,
        ),
        account_rate: rate(t, "account_rate", default.account_rate),
        account_burst: rate(t, "account_burst", default.account_burst),
        address_rate: rate(t, "address_rate", default.address_rate),
        address_burst: rate(t, "address_burst", default.address_burst),
        write_timeout: time(t, "write_timeout", 1, 600, default.write_timeout),
        life_timeout: time(t, "life_timeout", 1, 3600, default.life_timeout),
        idle_timeout: time(t, "idle_timeout", 1, 86_400, default.idle_timeout),
        resume_timeout: time(t, "resume_timeout", 0, 86_400, default.resume_timeout),
        roster_items: number(t, "roster_items", 10, 100_000, default.roster_items),
        group_members: number(t, "group_members", 2, 5000, default.group_members),
        subscription_requests: number(
            t,
            "subscription_requests",
            1,
            10_000,
            default.subscription_requests,
        ),
        offline_messages: number(t, "offline_messages", 0, 100_000, default.offline_messages),
        blocked: number(t, "blocked", 1, 100_000, default.blocked),
        private_elements: number(t, "private_elements", 1, 10_000, default.private_elements),
        archive_page: number(t, "archive_page", 1, 10_000, default.archive_page),
        pep_nodes: number(t, "pep_nodes", 10, 10_000, default.pep_nodes),
        channels: number(t, "channels", 1, 100_000, default.channels),
        pubsub_items: number(t, "pubsub_items", 10, 100_000, default.pubsub_items),
        pubsub_bytes: size(
            t,
            "pubsub_bytes",
            64 << 10,
            1 << 30,
            default.pubsub_bytes as usize,
        ) as u64,
        pubsub_subscriptions: number(
            t,
            "pubsub_subscriptions",
            10,
            1_000_000,
            default.pubsub_subscriptions,
        ),
    };
    table.finish();
    limits
}

pub(super) fn number<T>(table: &mut Table<'_>, key: &str, least: T, most: T, default: T) -> T
where
    T: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    table
        .optional(key, value::integer(least..=most))
        .unwrap_or(default)
}

pub(super) fn size(
    table: &mut Table<'_>,
    key: &str,
    least: usize,
    most: usize,
    default: usize,
) -> usize {
    let parse = |found: &Value<'_>| {
        let bytes = value::size(found)?;
        usize::try_from(bytes)
            .ok()
            .filter(|bytes| (least..=most).contains(bytes))
            .ok_or_else(|| format!("a size from {least} to {most} bytes, such as \"64KiB\""))
    };
    table.optional(key, parse).unwrap_or(default)
}

fn rate(table: &mut Table<'_>, key: &str, default: usize) -> usize {
    size(table, key, 16 << 10, 1 << 30, default)
}

pub(super) fn time(
    table: &mut Table<'_>,
    key: &str,
    least: u64,
    most: u64,
    default: Duration,
) -> Duration {
    let parse = |found: &Value<'_>| {
        let time = value::duration(found)?;
        if (least..=most).contains(&time.as_secs()) {
            Ok(time)
        } else {
            Err(format!(
                "a time from {least} to {most} seconds, such as \"30s\""
            ))
        }
    };
    table.optional(key, parse).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str =
        "domain = \"Perch.Local\"\ndata_dir = \"/d\"\n[tls]\ncertificate = \"/c\"\nkey = \"/k\"\n";

    #[test]
    fn the_least_file_gets_defaults() {
        let config = parse("imd.toml", LEAST).unwrap();
        assert_eq!(config.domain, "perch.local");
        assert_eq!(config.limits.stanza_bytes, 256 * 1024);
        assert!(config.listen.starttls.is_empty());
    }

    #[test]
    fn every_problem_is_reported_with_line_and_key() {
        let text = "domain = \"a b\"\n[tls]\nkey = 3\n[listen]\nstarttls = [\"here\"]\n[limits]\nstanza_bytes = 1\nstanza_byte = 2\n";
        let problems = parse("imd.toml", text).unwrap_err().to_string();
        for expected in [
            "imd.toml:1: domain",
            "data_dir",
            "tls.certificate",
            "imd.toml:3: tls.key",
            "imd.toml:5: listen.starttls[0]",
            "imd.toml:7: limits.stanza_bytes",
            "imd.toml:8: limits.stanza_byte",
        ] {
            assert!(
                problems.contains(expected),
                "{expected:?} is not in:\n{problems}"
            );
        }
    }
}
