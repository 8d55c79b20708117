//! A box joins the Wi-Fi network of its `perch.toml`, on radios that the kernel makes up (mac80211_hwsim): one is the box's, the other an access
//! point with DHCP. It proves files, units, sandbox and networkd; nothing of a real radio, its firmware or its country.
//! It wants a kernel with the module mac80211_hwsim, which the image's has.

use std::time::Duration;

use anyhow::{Result, ensure};
use perch_tests::box_settings::ssh_toml;
use perch_tests::card::Card;
use perch_tests::guest;
use perch_tests::lab::Lab;
use perch_tests::qemu::Board;
use perch_tests::vm::{SshKey, Vm};
use perch_tests::wait::wait_until;

const WIFI: &str =
    "[wifi]\nssid = \"At home\"\npassword = \"correct \\\"horse\\\"\"\ncountry = \"DE\"\n";
/// For wpa_supplicant as an access point (`mode=2`), with the name and the password of above.
const ACCESS_POINT: &[u8] = b"country=DE\nnetwork={\n\tssid=\"At home\"\n\tmode=2\n\tfrequency=2412\n\tkey_mgmt=WPA-PSK\n\tproto=RSN\n\tpairwise=CCMP\n\tpsk=\"correct \"horse\"\"\n}\n";
const ADDRESSES: &[u8] =
    b"[Match]\nName=wlan1\n\n[Network]\nAddress=10.99.0.1/24\nDHCPServer=yes\nConfigureWithoutCarrier=yes\n";

#[test]
#[ignore = "run `ci/test --only wifi`"]
fn a_box_joins_the_wifi_network_of_its_card() -> Result<()> {
    let lab = Lab::new("wifi", "joins")?;
    let key = SshKey::new(&lab)?;
    let card = Card::flash(&lab, "card")?;
    card.write("perch.toml", format!("{}{WIFI}", ssh_toml(&key)).as_bytes())?;
    let mut vm = Vm::start(&lab, Board::Virt, &card, &key)?;
    vm.wait_ready()?;
    let left = card_has_password(&vm)?;
    ensure!(!left, "the password is still on the card");
    vm.run("modprobe mac80211_hwsim radios=2")?;
    start_access_point(&vm)?;
    wait_until(Duration::from_secs(120), "an address by Wi-Fi", || {
        let addresses = vm.run("ip -4 -brief address show dev wlan0")?;
        Ok(addresses.contains(" 10.99.0.").then_some(()))
    })?;
    let routes = vm.run("ip route show dev wlan0")?;
    ensure!(
        routes.contains("metric 2048"),
        "a cable is not preferred: {routes}"
    );
    let said = vm.run("journalctl -b --no-pager -u perch-wifi@wlan0")?;
    ensure!(
        said.contains("alpha2=DE"),
        "the country was not set: {said}"
    );
    guest::assert_sandboxed(&vm)?;

    // Off again at once, and nothing of it runs.
    vm.run("provisioner settings set wifi.ssid= wifi.country= wifi.hidden= wifi.password=")?;
    let state = vm.run("systemctl is-active perch-wifi@wlan0 || true")?;
    ensure!(state.trim() == "inactive", "it goes on: {state}");
    vm.assert_healthy()?;
    vm.power_off()?;
    lab.passed();
    Ok(())
}

fn card_has_password(vm: &Vm) -> Result<bool> {
    Ok(vm.run("cat /boot/firmware/perch.toml")?.contains("horse"))
}

/// The second radio, which the box would let join, too.
fn start_access_point(vm: &Vm) -> Result<()> {
    wait_until(Duration::from_secs(60), "both radios to be served", || {
        let shown = vm.run("systemctl is-active perch-wifi@wlan0 perch-wifi@wlan1 || true")?;
        Ok((shown.matches("active").count() == 2 && !shown.contains("inactive")).then_some(()))
    })?;
    vm.run("systemctl stop perch-wifi@wlan1; mkdir -p /run/systemd/network")?;
    vm.run_with_input(
        "cat > /run/systemd/network/44-access-point.network",
        ADDRESSES,
    )?;
    vm.run_with_input("cat > /run/access-point.conf", ACCESS_POINT)?;
    vm.run(
        "networkctl reload && systemd-run --quiet --collect --unit=access-point \
         /usr/sbin/wpa_supplicant -c /run/access-point.conf -i wlan1 -D nl80211",
    )
    .map(drop)
}
