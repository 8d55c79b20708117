//! Announces the box's second name on the network: avahi announces the host name by itself, and any other by a program of
//! its own for each address (avahi-publish(1)).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::ifaddrs::getifaddrs;

use crate::files::Files;
use crate::firstboot::identity;

/// How often the addresses are looked at: a lease may bring another one.
const LOOK: Duration = Duration::from_secs(10);

/// Announces until the process ends.
///
/// # Errors
/// The addresses cannot be looked at, or avahi-publish cannot be started.
pub fn run(files: &Files) -> Result<()> {
    let name = format!("{}.local", identity::second_name(files));
    let mut announced: BTreeMap<Ipv4Addr, Child> = BTreeMap::new();
    loop {
        let addresses = addresses().context("looking at the network's addresses")?;
        announced.retain(|address, child| {
            let stays = addresses.contains(address) && matches!(child.try_wait(), Ok(None));
            if !stays {
                // It may have ended by itself, as when avahi was restarted.
                let _ = child.kill();
                let _ = child.wait();
            }
            stays
        });
        for address in addresses {
            if let Entry::Vacant(place) = announced.entry(address) {
                place.insert(publish(&name, address)?);
            }
        }
        std::thread::sleep(LOOK);
    }
}

fn publish(name: &str, address: Ipv4Addr) -> Result<Child> {
    // Without the way back from address to name, which is the host name's.
    Command::new("avahi-publish")
        .args(["--address", "--no-reverse", name, &address.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("starting avahi-publish")
}

fn addresses() -> Result<Vec<Ipv4Addr>> {
    let all = getifaddrs()?.filter_map(|interface| interface.address);
    let v4 = all.filter_map(|address| Some(address.as_sockaddr_in()?.ip()));
    Ok(v4.filter(|address| !address.is_loopback()).collect())
}
