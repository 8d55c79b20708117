//! Where the server of a domain is: the settings, SRV records, then the domain's own addresses (RFC 6120 §3.2, XEP-0368).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use ring::rand::SecureRandom;

/// The port of servers (RFC 6120 §14.7).
const PORT: u16 = 5269;

/// A place to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// A host name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether TLS begins with the first byte.
    pub direct_tls: bool,
}

/// A service record (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    priority: u16,
    weight: u16,
    target: Target,
}

/// Finds servers.
pub struct Resolver {
    hosts: BTreeMap<String, String>,
    dns: Option<TokioResolver>,
    random: ring::rand::SystemRandom,
}

impl Resolver {
    /// With the places of the settings, and name servers for the rest: those given, or the system's where there are none.
    #[must_use]
    pub fn new(hosts: BTreeMap<String, String>, name_servers: &[SocketAddr]) -> Self {
        let dns = if name_servers.is_empty() {
            TokioResolver::builder_tokio().and_then(|builder| builder.build())
        } else {
            let servers = name_servers.iter().map(name_server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build()
        };
        Self {
            hosts,
            dns: dns
                .inspect_err(|error| tracing::warn!(%error, "DNS cannot be asked for servers"))
                .ok(),
            random: ring::rand::SystemRandom::new(),
        }
    }

    /// The places to try for a domain, in order; none when its owner says that it has no server.
    pub async fn targets(&self, domain: &str) -> Vec<Target> {
        if let Some(place) = self.hosts.get(domain) {
            return fixed(place).into_iter().collect();
        }
        let fallback = || Target {
            host: domain.to_owned(),
            port: PORT,
            direct_tls: false,
        };
        if domain.parse::<IpAddr>().is_ok() {
            return vec![fallback()];
        }
        let Ok(ascii) = idna::domain_to_ascii(domain) else {
            return Vec::new();
        };
        let (plain, direct) = tokio::join!(
            self.service("_xmpp-server", &ascii, false),
            self.service("_xmpps-server", &ascii, true),
        );
        if plain.is_empty() && direct.is_empty() {
            return vec![Target {
                host: ascii,
                ..fallback()
            }];
        }
        let records = plain.into_iter().chain(direct);
        // RFC 2782: the root as the target means that there is no such service.
        let offered = records.filter(|record| !record.target.host.is_empty());
        order(offered.collect(), |most| self.below_or_equal(most))
    }

    async fn service(&self, service: &str, domain: &str, direct_tls: bool) -> Vec<Record> {
        let Some(dns) = &self.dns else {
            return Vec::new();
        };
        let name = format!("{service}._tcp.{domain}.");
        let found = match dns.srv_lookup(name.as_str()).await {
            Ok(found) => found,
            Err(error) => {
                if !error.is_no_records_found() {
                    tracing::debug!(name, %error, "DNS does not answer");
                }
                return Vec::new();
            }
        };
        let records = found
            .answers()
            .iter()
            .filter_map(|answer| match &answer.data {
                RData::SRV(srv) => Some(Record {
                    priority: srv.priority,
                    weight: srv.weight,
                    target: Target {
                        host: srv.target.to_ascii().trim_end_matches('.').to_owned(),
                        port: srv.port,
                        direct_tls,
                    },
                }),
                _ => None,
            });
        records.collect()
    }

    /// The addresses of a target, in the order to try them.
    pub async fn addresses(&self, target: &Target) -> Vec<SocketAddr> {
        if let Ok(address) = target.host.parse::<IpAddr>() {
            return vec![(address, target.port).into()];
        }
        if let Some(dns) = &self.dns
            && let Ok(found) = dns.lookup_ip(format!("{}.", target.host)).await
        {
            return found.iter().map(|ip| (ip, target.port).into()).collect();
        }
        // The system also knows names of the local network (multicast DNS) and of its own files.
        match tokio::net::lookup_host((target.host.as_str(), target.port)).await {
            Ok(found) => found.collect(),
            Err(_) => Vec::new(),
        }
    }

    fn below_or_equal(&self, most: u32) -> u32 {
        let mut bytes = [0; 8];
        // Without random numbers the order is still a valid one.
        let _ = self.random.fill(&mut bytes);
        let wide = u64::from_le_bytes(bytes) % (u64::from(most) + 1);
        u32::try_from(wide).unwrap_or_default()
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

fn fixed(place: &str) -> Option<Target> {
    let (host, port) = place.rsplit_once(':')?;
    Some(Target {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: port.parse().ok()?,
        direct_tls: false,
    })
}

/// RFC 2782: by priority, and among equals at random in proportion to their weights. `random` gives a number
/// from 0 to its argument.
fn order(mut records: Vec<Record>, random: impl Fn(u32) -> u32) -> Vec<Target> {
    // Weight 0 stands first among its equals, so that it is hardly ever taken before others.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let equals = records
            .iter()
            .take_while(|record| record.priority == first.priority);
        let weights: Vec<u32> = equals.map(|record| record.weight.into()).collect();
        let chosen = random(weights.iter().sum());
        let mut sum = 0;
        let at = weights.iter().position(|weight| {
            sum += weight;
            sum >= chosen
        });
        ordered.push(records.remove(at.unwrap_or(0)).target);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, host: &str) -> Record {
        Record {
            priority,
            weight,
            target: Target {
                host: host.to_owned(),
                port: 5269,
                direct_tls: false,
            },
        }
    }

    fn hosts(records: &[Record], random: impl Fn(u32) -> u32) -> Vec<String> {
        order(records.to_vec(), random)
            .into_iter()
            .map(|target| target.host)
            .collect()
    }

    #[test]
    fn records_are_tried_by_priority_and_weight() {
        let records = [
            record(20, 0, "last"),
            record(10, 60, "heavy"),
            record(10, 20, "light"),
            record(5, 0, "first"),
        ];
        assert_eq!(hosts(&records, |_| 0), ["first", "light", "heavy", "last"]);
        assert_eq!(
            hosts(&records, |most| most),
            ["first", "heavy", "light", "last"]
        );
        // 20 of 80 numbers above 0 pick the light one first, as its weight says.
        let light_first = (1..=80).filter(|number| {
            hosts(&records, |most| if most == 80 { *number } else { 0 })[1] == "light"
        });
        assert_eq!(light_first.count(), 20);
    }

    #[tokio::test]
    async fn a_place_from_the_settings_is_taken_as_it_is() {
        let hosts = [("a.example", "127.0.0.2:5270"), ("b.example", "[::1]:5269")];
        let hosts = hosts.map(|(domain, place)| (domain.to_owned(), place.to_owned()));
        let resolver = Resolver::new(hosts.into(), &[]);
        let target = &resolver.targets("a.example").await[0];
        assert_eq!((target.host.as_str(), target.port), ("127.0.0.2", 5270));
        let target = &resolver.targets("b.example").await[0];
        assert_eq!(
            resolver.addresses(target).await,
            ["[::1]:5269".parse().unwrap()]
        );
    }
}
