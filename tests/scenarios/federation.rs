//! `imd` and other servers from Debian's packages, each on a loopback address of its own: messages, presence, rooms.

use anyhow::{Context, Result, ensure};
use perch_tests::authority::Authority;
use perch_tests::clients::converse;
use perch_tests::dns::{self, Record};
use perch_tests::host_imd::HostImd;
use perch_tests::lab::Lab;
use perch_tests::peers::{Kind, PASSWORD, Place, Settings};
use perch_tests::qemu::free_port;
use serde_json::json;

/// Not below `test`, about which resolvers do not ask anybody (RFC 6761 §6.2).
const DOMAIN: &str = "perch.example";
const ANNA: &str = "anna's password";

/// How each server proves its domain to the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// By a certificate of an authority that both trust.
    Certificates,
    /// By dialback: neither trusts the other's authority.
    Dialback,
}

/// Names of the test's domains, as DNS would have them.
fn names(place: &Place, imd: u16) -> Result<Vec<(String, Record)>> {
    let ours = (DOMAIN, "rooms", "127.0.0.1", imd);
    let theirs = (place.domain, "conference", place.address, place.s2s);
    let mut records = Vec::new();
    for (domain, rooms, address, port) in [ours, theirs] {
        // ejabberd asks the system for the host, which knows nothing of this name server: an address needs no asking.
        for name in [domain.to_owned(), format!("{rooms}.{domain}")] {
            let service = Record::Srv(port, address.to_owned());
            records.push((format!("_xmpp-server._tcp.{name}"), service));
        }
        records.push((
            address.to_owned(),
            Record::A(address.parse().context("an address")?),
        ));
    }
    Ok(records)
}

fn people_meet(name: &str, kind: Kind, proof: Proof) -> Result<()> {
    let lab = Lab::new("federation", name)?;
    let ours = Authority::new(&lab.work, "authority")?;
    let other = Authority::new(&lab.work, "other-authority")?;
    let trusted = proof == Proof::Certificates;
    let theirs = if trusted { &ours } else { &other };
    let place = Place::new(kind)?;
    let certificate = theirs.certificate(&lab.work, "peer", place.domain)?;
    let s2s = free_port()?.1;
    let dns = dns::start(names(&place, s2s)?)?;
    let settings = Settings {
        certificate: &certificate,
        trusted: &theirs.file,
        strict: trusted,
        dns,
    };
    let imd = HostImd::start_as(
        &lab,
        &ours,
        DOMAIN,
        &format!(
            "s2s = [\"127.0.0.1:{s2s}\"]\n[federation]\nenabled = true\nsystem_roots = false\nextra_roots = {:?}\n\
             accept_untrusted = {}\nname_servers = [\"127.0.0.1:{dns}\"]\n",
            ours.file, !trusted
        ),
    )?;
    imd.add_user("anna", ANNA)?;
    lab.note("imd listens");
    let peer = place.start(&lab, &settings)?;
    lab.note("the other server listens");
    let people = json!({
        "anna": ANNA,
        "peer": {
            "domain": place.domain,
            "address": place.address,
            "starttls": place.c2s,
            "ca": theirs.file,
            "pia": PASSWORD,
            "rooms": format!("conference.{}", place.domain),
        },
    });
    for conversation in ["the_peer_begins", "we_begin"] {
        converse(&lab, "federation.py", conversation, &imd.server, &people)?;
    }
    let log = std::fs::read_to_string(lab.logs.join("imd.log")).context("read imd.log")?;
    let (wanted, other) = match proof {
        Proof::Certificates => ("proof=\"certificate\"", "proof=\"dialback\""),
        Proof::Dialback => ("proof=\"dialback\"", "proof=\"certificate\""),
    };
    for way in ["stream of a server", "stream to a server"] {
        let lines: Vec<_> = log
            .lines()
            .filter(|line| line.contains(way) && line.contains("proof="))
            .collect();
        ensure!(
            lines
                .iter()
                .all(|line| line.contains(wanted) && !line.contains(other)),
            "expected {wanted} in each of {lines:#?}"
        );
    }
    drop(peer);
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only federation`"]
fn people_meet_those_of_prosody_by_certificates() -> Result<()> {
    people_meet("prosody_certificates", Kind::Prosody, Proof::Certificates)
}

#[test]
#[ignore = "run `ci/test --only federation`"]
fn people_meet_those_of_prosody_by_dialback() -> Result<()> {
    people_meet("prosody_dialback", Kind::Prosody, Proof::Dialback)
}

#[test]
#[ignore = "run `ci/test --only federation`"]
fn people_meet_those_of_ejabberd_by_certificates() -> Result<()> {
    people_meet("ejabberd_certificates", Kind::Ejabberd, Proof::Certificates)
}

#[test]
#[ignore = "run `ci/test --only federation`"]
fn people_meet_those_of_ejabberd_by_dialback() -> Result<()> {
    people_meet("ejabberd_dialback", Kind::Ejabberd, Proof::Dialback)
}
