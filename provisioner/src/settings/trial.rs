//! A change of the network is on trial until somebody confirms it over the new one; otherwise it goes back. The card's
//! changes are not: they come at a start, and whoever has the card can change it again.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Settings, Wifi};
use crate::model::network::{Ipv4, Ipv6, Network};

/// How long a change waits for its confirmation, in seconds.
pub const PATIENCE_SECONDS: u32 = 120;
/// The transient timer that ends the wait, and the unit of the image that it starts.
pub const TIMER: &str = "perch-network-trial";

/// Whether a change waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trial {
    /// No change waits.
    #[default]
    Settled,
    /// A change waits.
    Trying {
        /// The last network that somebody was sure of.
        #[serde(flatten)]
        before: Links,
    },
}

/// How a box is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// Its wired network. Absent: the default one.
    #[serde(rename = "before")]
    pub network: Option<Network>,
    /// Its Wi-Fi network, whose password is [`Secrets::former_wifi`](super::secrets::Secrets::former_wifi). Absent: none.
    #[serde(default)]
    pub wifi: Option<Wifi>,
}

impl Links {
    /// Those of a box with these settings.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self {
            network: settings.network.clone(),
            wifi: settings.wifi.clone(),
        }
    }

    /// Makes `settings` lead here again.
    pub fn put_back(self, settings: &mut Settings) {
        (settings.network, settings.wifi) = (self.network, self.wifi);
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody changes the network, which was `before`.
    Changed {
        /// How the box was reached.
        before: Links,
    },
    /// Somebody has reached the box over the new network, and says so.
    Confirmed,
    /// The time is over.
    TimedOut,
    /// The box has been started. The timer did not outlive that, and pulling the plug is what people do who have lost a box.
    Started,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Let the time run, from its beginning.
    StartTimer,
    /// Stop it.
    StopTimer,
    /// Make this the network again.
    GoBack(Links),
}

/// An event that makes no sense in a state.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no change of the network waits for a confirmation")]
pub struct NothingWaits;

/// Whether a request that came to the box at `reached` shows that it can be reached by the network on trial. A fixed address
/// that is new wants a request that came by the cable's device, whose present addresses are in `links`: one that came by Wi-Fi, or over an
/// address that the box had before and has no more, says nothing of it. Where a router gives out the addresses, any does.
#[must_use]
pub fn is_shown_by(
    before: &Links,
    network: Option<&Network>,
    links: &[(String, IpAddr)],
    reached: IpAddr,
) -> bool {
    let former = fixed_addresses(before.network.as_ref());
    let mut new = fixed_addresses(network);
    new.retain(|address| !former.contains(address));
    let reached = reached.to_canonical();
    new.is_empty()
        || new.contains(&reached)
        || links
            .iter()
            .any(|(device, address)| *address == reached && !device.starts_with("wl"))
}

fn fixed_addresses(network: Option<&Network>) -> Vec<IpAddr> {
    let v4 = network.and_then(|network| match network.ipv4 {
        Ipv4::Fixed(address, _) => Some(IpAddr::V4(address)),
        Ipv4::Dhcp | Ipv4::Off => None,
    });
    let v6 = network.and_then(|network| match network.ipv6 {
        Ipv6::Fixed(address, _) => Some(IpAddr::V6(address)),
        Ipv6::Auto | Ipv6::Off => None,
    });
    v4.into_iter().chain(v6).collect()
}

/// What becomes of a trial.
///
/// # Errors
/// Nothing waits that could be confirmed.
pub fn step(trial: &Trial, event: Event) -> Result<(Trial, Vec<Effect>), NothingWaits> {
    use Trial::{Settled, Trying};
    let done = |effects: Vec<Effect>| Ok((Settled, effects));
    match (trial, event) {
        (Settled, Event::Changed { before }) => Ok((Trying { before }, vec![Effect::StartTimer])),
        // Nobody was sure of the network in between.
        (Trying { before }, Event::Changed { .. }) => Ok((
            Trying {
                before: before.clone(),
            },
            vec![Effect::StopTimer, Effect::StartTimer],
        )),
        (Trying { .. }, Event::Confirmed) => done(vec![Effect::StopTimer]),
        (Trying { before }, Event::TimedOut | Event::Started) => {
            done(vec![Effect::GoBack(before.clone())])
        }
        (Settled, Event::Confirmed) => Err(NothingWaits),
        // The timer of a change that has been confirmed at the last moment.
        (Settled, Event::TimedOut | Event::Started) => done(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed() -> Links {
        Links {
            network: Some(Network {
                ipv4: "10.0.0.2/24".parse().unwrap(),
                ..Network::default()
            }),
            wifi: None,
        }
    }

    fn off() -> Links {
        Links {
            network: Some(Network {
                ipv4: Ipv4::Off,
                ..Network::default()
            }),
            wifi: None,
        }
    }

    #[test]
    fn a_trial_of_a_version_that_knew_of_no_wifi_is_understood() {
        let text = r#"{"trying": {"before": null}}"#;
        let trial: Trial = serde_json::from_str(text).unwrap();
        let before = Links::default();
        assert_eq!(trial, Trial::Trying { before });
    }

    #[test]
    fn a_new_fixed_address_is_shown_by_a_request_that_came_over_the_cable() {
        let links: Vec<(String, IpAddr)> = [
            ("end0", "10.0.0.2"),
            ("end0", "fe80::5"),
            ("wlan0", "10.0.0.77"),
        ]
        .map(|(device, address)| (device.to_owned(), address.parse().unwrap()))
        .into();
        let dhcp = Links::default();
        let other = Links {
            network: Some(Network {
                ipv4: "10.0.0.9/24".parse().unwrap(),
                ..Network::default()
            }),
            wifi: None,
        };
        let new = fixed().network;
        for (before, network, reached, is_shown) in [
            (&dhcp, &new, "10.0.0.2", true),
            (&dhcp, &new, "::ffff:10.0.0.2", true),
            // The same device by IPv6: its network works.
            (&dhcp, &new, "fe80::5", true),
            (&dhcp, &new, "10.0.0.77", false),
            (&dhcp, &new, "192.168.1.20", false),
            (&other, &new, "10.0.0.9", false),
            (&other, &new, "10.0.0.2", true),
            // The router's business, or the same address with another router.
            (&fixed(), &dhcp.network, "192.168.1.20", true),
            (&fixed(), &new, "10.0.0.77", true),
        ] {
            let shown = is_shown_by(before, network.as_ref(), &links, reached.parse().unwrap());
            assert_eq!(shown, is_shown, "{reached}");
        }
        // Before the device has it, too: whoever has come that way has shown it.
        let reached = "10.0.0.2".parse().unwrap();
        assert!(is_shown_by(&dhcp, new.as_ref(), &[], reached));
    }

    /// Every state with every event.
    #[test]
    fn what_becomes_of_each_event() {
        let trying = Trial::Trying { before: fixed() };
        let settled = || Trial::Settled;
        let table = [
            (
                settled(),
                Event::Changed { before: fixed() },
                Ok((trying.clone(), vec![Effect::StartTimer])),
            ),
            (settled(), Event::Confirmed, Err(NothingWaits)),
            (settled(), Event::TimedOut, Ok((settled(), vec![]))),
            (settled(), Event::Started, Ok((settled(), vec![]))),
            (
                trying.clone(),
                Event::Changed { before: off() },
                Ok((trying.clone(), vec![Effect::StopTimer, Effect::StartTimer])),
            ),
            (
                trying.clone(),
                Event::Confirmed,
                Ok((settled(), vec![Effect::StopTimer])),
            ),
            (
                trying.clone(),
                Event::TimedOut,
                Ok((settled(), vec![Effect::GoBack(fixed())])),
            ),
            (
                trying,
                Event::Started,
                Ok((settled(), vec![Effect::GoBack(fixed())])),
            ),
        ];
        for (trial, event, expected) in table {
            assert_eq!(step(&trial, event.clone()), expected, "{trial:?} {event:?}");
        }
    }
}
