//! How the wired network is set up: DHCP or fixed addresses, gateways, name servers, a VLAN.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use settings_file::Value;

use super::InterfaceName;

/// The wired network. The default is what a home router expects: DHCP and router advertisements.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// The only device that it is meant for. Absent: every wired one.
    pub interface: Option<InterfaceName>,
    /// The VLAN that the box's addresses are in (IEEE 802.1Q). Absent: untagged.
    pub vlan: Option<VlanId>,
    /// IPv4.
    pub ipv4: Ipv4,
    /// The IPv4 router, with a fixed address.
    pub ipv4_gateway: Option<Ipv4Addr>,
    /// IPv6.
    pub ipv6: Ipv6,
    /// The IPv6 router, with a fixed address.
    pub ipv6_gateway: Option<Ipv6Addr>,
    /// Name servers, besides those that DHCP names.
    pub dns: Vec<IpAddr>,
}

/// How the box gets its IPv4 address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Ipv4 {
    /// From a DHCP server.
    #[default]
    Dhcp,
    /// None.
    Off,
    /// This one, with the length of its network's prefix in bits.
    Fixed(Ipv4Addr, u8),
}

/// How the box gets its IPv6 addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Ipv6 {
    /// From router advertisements and DHCPv6.
    #[default]
    Auto,
    /// None but the link-local one.
    Off,
    /// This one, with the length of its network's prefix in bits.
    Fixed(Ipv6Addr, u8),
}

/// A VLAN's number, 1 to 4094 (IEEE 802.1Q).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VlanId(u16);

impl VlanId {
    const ACCEPTED: &'static str = "a VLAN's number from 1 to 4094";

    /// Reads it from a settings file.
    ///
    /// # Errors
    /// What is accepted.
    pub fn parse(value: &Value<'_>) -> Result<Self, String> {
        let number = value
            .as_integer()
            .and_then(|number| u16::try_from(number).ok());
        number
            .ok_or_else(|| Self::ACCEPTED.to_owned())
            .and_then(Self::try_from)
    }

    /// The number.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for VlanId {
    type Error = String;

    fn try_from(number: u16) -> Result<Self, String> {
        if (1..=4094).contains(&number) {
            Ok(Self(number))
        } else {
            Err(Self::ACCEPTED.to_owned())
        }
    }
}

impl From<VlanId> for u16 {
    fn from(id: VlanId) -> u16 {
        id.0
    }
}

/// Splits `ADDRESS/BITS` where the prefix leaves room for hosts.
fn address_and_prefix<A: FromStr>(text: &str, longest: u8) -> Option<(A, u8)> {
    let (address, bits) = text.split_once('/')?;
    let bits: u8 = bits.parse().ok()?;
    (1..=longest)
        .contains(&bits)
        .then_some((address.parse().ok()?, bits))
}

impl Ipv4 {
    /// What is accepted, for people.
    pub const ACCEPTED: &'static str = "\"dhcp\", \"off\", or an address of a host with its prefix length, such as \"192.168.1.50/24\"";

    fn mask(bits: u8) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
    }

    /// Whether an address is in the network of the fixed one, and not the fixed one itself.
    fn has_neighbour(self, other: Ipv4Addr) -> bool {
        match self {
            Self::Fixed(own, bits) => {
                let mask = Self::mask(bits);
                own != other && u32::from(own) & mask == u32::from(other) & mask
            }
            _ => false,
        }
    }

    fn is_host(address: Ipv4Addr, bits: u8) -> bool {
        let host = u32::from(address) & !Self::mask(bits);
        let special = address.is_multicast()
            || address.is_loopback()
            || address.is_unspecified()
            || address.is_broadcast();
        !special && (bits >= 31 || (host != 0 && host != !Self::mask(bits)))
    }
}

impl FromStr for Ipv4 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "dhcp" => return Ok(Self::Dhcp),
            "off" => return Ok(Self::Off),
            _ => {}
        }
        address_and_prefix(text, 31)
            .filter(|(address, bits)| Self::is_host(*address, *bits))
            .map(|(address, bits)| Self::Fixed(address, bits))
            .ok_or_else(|| Self::ACCEPTED.to_owned())
    }
}

impl fmt::Display for Ipv4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dhcp => f.write_str("dhcp"),
            Self::Off => f.write_str("off"),
            Self::Fixed(address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

impl Ipv6 {
    /// What is accepted, for people.
    pub const ACCEPTED: &'static str = "\"auto\", \"off\", or an address with its prefix length, such as \"fd00:7065:7263:6800::5/64\"";

    /// Whether a router's address can be reached from the fixed one: link-local, or in its network.
    fn has_neighbour(self, other: Ipv6Addr) -> bool {
        match self {
            Self::Fixed(own, bits) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                let same = u128::from(own) & mask == u128::from(other) & mask;
                own != other && (same || other.is_unicast_link_local())
            }
            _ => false,
        }
    }
}

impl FromStr for Ipv6 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "off" => return Ok(Self::Off),
            _ => {}
        }
        address_and_prefix(text, 127)
            .filter(|(address, _): &(Ipv6Addr, u8)| {
                !address.is_multicast()
                    && !address.is_loopback()
                    && !address.is_unspecified()
                    && !address.is_unicast_link_local()
            })
            .map(|(address, bits)| Self::Fixed(address, bits))
            .ok_or_else(|| Self::ACCEPTED.to_owned())
    }
}

impl fmt::Display for Ipv6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::Fixed(address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl $name {
            /// Reads it from a settings file.
            ///
            /// # Errors
            /// What is accepted.
            pub fn parse(value: &Value<'_>) -> Result<Self, String> {
                value.as_str().unwrap_or_default().parse()
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    };
}

as_text!(Ipv4);
as_text!(Ipv6);

/// Reads an address without a prefix that a host can have.
///
/// # Errors
/// What is accepted.
pub fn host_address<A: FromStr + Copy + Into<IpAddr>>(value: &Value<'_>) -> Result<A, String> {
    value
        .as_str()
        .and_then(|text| text.parse::<A>().ok())
        .filter(|address| {
            let address: IpAddr = (*address).into();
            !address.is_multicast() && !address.is_unspecified()
        })
        .ok_or_else(|| "an IP address, such as \"192.168.1.1\" or \"fe80::1\"".to_owned())
}

impl Network {
    /// Keys that contradict each other, each with what would be accepted there.
    pub fn contradictions(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.ipv4 == Ipv4::Off && self.ipv6 == Ipv6::Off {
            let accepted = format!("with IPv4 off, {}", Ipv6::ACCEPTED.replace("\"off\", ", ""));
            found.push(("ipv6", accepted));
        }
        if let Some(gateway) = self.ipv4_gateway
            && !self.ipv4.has_neighbour(gateway)
        {
            let accepted = "another address in the network of a fixed network.ipv4".to_owned();
            found.push(("ipv4_gateway", accepted));
        }
        if let Some(gateway) = self.ipv6_gateway
            && !self.ipv6.has_neighbour(gateway)
        {
            let accepted =
                "a link-local address or another one in the network of a fixed network.ipv6";
            found.push(("ipv6_gateway", accepted.to_owned()));
        }
        found
    }

    /// The kernel's name of the VLAN device.
    pub fn vlan_device(&self) -> Option<String> {
        self.vlan.map(|id| format!("vlan{}", id.number()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_no_host_can_have_are_refused() {
        for text in [
            "",
            "DHCP",
            "192.168.1.5",
            "192.168.1.5/0",
            "192.168.1.5/32",
            "192.168.1.5/33",
            "192.168.1.0/24",
            "192.168.1.255/24",
            "127.0.0.1/8",
            "224.0.0.1/24",
            "0.0.0.0/8",
            "192.168.1.5/24\n",
            "fd00::1/64",
        ] {
            assert!(text.parse::<Ipv4>().is_err(), "IPv4 {text:?}");
        }
        for text in [
            "",
            "dhcp",
            "fd00::1",
            "fd00::1/0",
            "fd00::1/128",
            "::1/64",
            "ff02::1/64",
            "fe80::1/64",
            "::/64",
            "192.168.1.5/24",
        ] {
            assert!(text.parse::<Ipv6>().is_err(), "IPv6 {text:?}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["dhcp", "off", "10.0.0.2/31", "192.168.1.50/24"] {
            assert_eq!(text.parse::<Ipv4>().unwrap().to_string(), text);
        }
        for text in ["auto", "off", "fd00::5/64", "2001:db8::1/127"] {
            assert_eq!(text.parse::<Ipv6>().unwrap().to_string(), text);
        }
    }
}
