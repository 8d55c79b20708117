//! Writes settings in the formats of the programs that take them. The values are types without a character that these
//! formats would want escaped.

use std::fmt::Write;
use std::net::IpAddr;

use super::Wifi;
use super::updates::Updates;
use crate::model::network::{Ipv4, Ipv6, Network};
use crate::model::{HostName, TimeServer};

/// The first line of each file.
pub const HEAD: &str = "# Written by the provisioner; change the box's settings instead.\n";

/// /etc/hosts.
pub fn hosts(name: &str) -> String {
    format!("127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost ip6-loopback\n")
}

/// The default name of a box.
pub fn default_host_name() -> Result<HostName, String> {
    HostName::new("perch")
}

/// A drop-in of timesyncd.conf(5).
pub fn time_servers(servers: &[TimeServer]) -> String {
    let names: Vec<&str> = servers.iter().map(TimeServer::as_str).collect();
    format!("{HEAD}[Time]\nNTP={}\n", names.join(" "))
}

/// update.toml.
pub fn updates(updates: &Updates) -> String {
    let quoted = super::keys::quoted;
    let values = [
        ("url", updates.url.as_ref().map(|url| quoted(url.as_str()))),
        (
            "channel",
            updates.channel.as_ref().map(|name| quoted(name.as_str())),
        ),
        (
            "pinned",
            updates.pinned.as_ref().map(|name| quoted(name.as_str())),
        ),
        ("automatic", updates.automatic.map(|on| on.to_string())),
        (
            "window",
            updates.window.map(|window| quoted(&window.to_string())),
        ),
        (
            "authority",
            updates.authority.as_ref().map(|path| quoted(path.as_str())),
        ),
    ];
    let lines = values
        .into_iter()
        .filter_map(|(key, value)| Some(format!("{key} = {}\n", value?)));
    HEAD.to_owned() + &lines.collect::<String>()
}

/// The wired device's systemd.network(5): its addresses, or only the VLAN on it.
pub fn wired(network: &Network) -> String {
    let mut text = format!("{HEAD}[Match]\n");
    match &network.interface {
        Some(name) => line(&mut text, "Name", name.as_str()),
        None => text.push_str("Type=ether\nKind=!*\n"),
    }
    match network.vlan_device() {
        Some(device) => {
            text.push_str("\n[Network]\n");
            line(&mut text, "VLAN", &device);
            // The box is in the VLAN and nowhere else.
            text.push_str("DHCP=no\nIPv6AcceptRA=no\nLinkLocalAddressing=no\n");
        }
        None => text.push_str(&addresses(network)),
    }
    text
}

/// The VLAN device's systemd.netdev(5). `None`: there is no VLAN.
pub fn vlan_device(network: &Network) -> Option<String> {
    let (device, id) = (network.vlan_device()?, network.vlan?);
    Some(format!(
        "{HEAD}[NetDev]\nName={device}\nKind=vlan\n\n[VLAN]\nId={}\n",
        id.number()
    ))
}

/// The VLAN device's systemd.network(5). `None`: there is no VLAN.
pub fn vlan(network: &Network) -> Option<String> {
    let device = network.vlan_device()?;
    Some(format!(
        "{HEAD}[Match]\nName={device}\n{}",
        addresses(network)
    ))
}

/// The Wi-Fi device's systemd.network(5). A cable is preferred where both lead to the same networks.
pub fn wifi_network() -> String {
    format!(
        "{HEAD}[Match]\nType=wlan\n\n[Network]\nDHCP=yes\nIPv6AcceptRA=yes\nMulticastDNS=no\n\n\
         [DHCPv4]\nRouteMetric=2048\nUseDomains=no\n\n[IPv6AcceptRA]\nRouteMetric=2048\n"
    )
}

/// wpa_supplicant.conf(5); `key` as it stands there, `None` for an open network.
pub fn wpa_supplicant(wifi: &Wifi, key: Option<&str>) -> String {
    let mut text = HEAD.to_owned();
    if let Some(country) = &wifi.country {
        line(&mut text, "country", country.as_str());
    }
    text.push_str("\nnetwork={\n");
    // A name may hold any character; in hexadecimal digits none of them means anything.
    line(
        &mut text,
        "\tssid",
        &crate::model::secret::hex(wifi.ssid.as_str().as_bytes()),
    );
    if wifi.hidden {
        text.push_str("\tscan_ssid=1\n");
    }
    match key {
        Some(key) => {
            line(&mut text, "\tpsk", key);
            // WPA2 and WPA3; frames are protected where the access point can.
            text.push_str("\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n");
        }
        None => text.push_str("\tkey_mgmt=NONE\n"),
    }
    text.push_str("}\n");
    text
}

fn addresses(network: &Network) -> String {
    let dhcp = match (network.ipv4, network.ipv6) {
        (Ipv4::Dhcp, Ipv6::Auto) => "yes",
        (Ipv4::Dhcp, _) => "ipv4",
        // A router's advertisement may start DHCPv6 (DHCPv6Client= in [IPv6AcceptRA]), whatever stands here.
        (_, _) => "no",
    };
    let link_local = match (network.ipv4, network.ipv6) {
        // Reachable by name even where nobody gives out addresses.
        (Ipv4::Dhcp, Ipv6::Auto | Ipv6::Fixed(..)) => "yes",
        (Ipv4::Dhcp, Ipv6::Off) => "ipv4",
        (_, Ipv6::Off) => "no",
        (_, _) => "ipv6",
    };
    let mut text = String::from("\n[Network]\n");
    line(&mut text, "DHCP", dhcp);
    let advertised = if network.ipv6 == Ipv6::Auto {
        "yes"
    } else {
        "no"
    };
    line(&mut text, "IPv6AcceptRA", advertised);
    line(&mut text, "LinkLocalAddressing", link_local);
    text.push_str("MulticastDNS=no\n");
    for server in &network.dns {
        line(&mut text, "DNS", &server.to_string());
    }
    if let Ipv4::Fixed(address, bits) = network.ipv4 {
        line(&mut text, "Address", &format!("{address}/{bits}"));
    }
    if let Ipv6::Fixed(address, bits) = network.ipv6 {
        line(&mut text, "Address", &format!("{address}/{bits}"));
    }
    let gateways = [
        network.ipv4_gateway.map(IpAddr::from),
        network.ipv6_gateway.map(IpAddr::from),
    ];
    for gateway in gateways.into_iter().flatten() {
        line(&mut text, "Gateway", &gateway.to_string());
    }
    text.push_str("\n[DHCPv4]\nUseDomains=no\n");
    text
}

fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{key}={value}");
}
