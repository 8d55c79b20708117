//! Certificates for a box's own domain, from Let's Encrypt's test authority on this computer, proved through the image's nginx
//! or by a hook, and shown by nginx and `imd`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use perch_tests::certified_box::{CertifiedBox, DOMAIN, certificate};
use perch_tests::dns::Record;
use perch_tests::lab::Lab;
use perch_tests::pebble::{BLOCKED, Pebble, Wishes};
use provisioner::acme::fault::Kind;
use provisioner::acme::machine::State;

const RECORD: &str = "_acme-challenge.chat.perch.example";
/// It has an address, at which nobody knows the box.
const ELSEWHERE: &str = "elsewhere.perch.example";

fn names(record: &Path) -> Vec<(String, Record)> {
    let here = || Record::A(Ipv4Addr::LOCALHOST);
    vec![
        (DOMAIN.to_owned(), here()),
        (ELSEWHERE.to_owned(), here()),
        (BLOCKED.to_owned(), here()),
        (RECORD.to_owned(), Record::TextFile(record.to_owned())),
    ]
}

/// A box that wants nothing yet, and an authority that looks for its proofs there.
fn scene(name: &str, bad_nonces: u8) -> Result<(Lab, CertifiedBox, Pebble)> {
    let lab = Lab::new("acme", name)?;
    let made = CertifiedBox::start(&lab, "")?;
    let wishes = Wishes {
        names: names(&lab.work.join("record")),
        http_port: made.http,
        bad_nonces,
    };
    let pebble = Pebble::start(&lab, wishes)?;
    fs::copy(&pebble.authority, made.root.join("etc/perch/pebble.crt"))
        .context("let the box trust Pebble's server")?;
    Ok((lab, made, pebble))
}

fn want(made: &CertifiedBox, pebble: &Pebble, more: &[(&str, &str)]) -> Result<()> {
    let mut pairs = vec![
        ("acme.enabled", "true"),
        ("acme.agree_terms", "true"),
        ("acme.email", "anna@perch.example"),
        ("acme.directory", &pebble.directory),
        ("acme.authority", "/etc/perch/pebble.crt"),
    ];
    pairs.extend(more);
    made.set(&pairs)
}

/// Orders until the certificate is there.
fn have(made: &CertifiedBox, asked: bool) -> Result<()> {
    match made.work(asked)? {
        State::Valid { .. } => Ok(()),
        other => bail!("no certificate was had: {other:?}"),
    }
}

fn kind(state: &State) -> Result<Kind> {
    match state {
        State::Failed { fault, .. } => {
            println!("{:?}: {}", fault.kind, fault.detail);
            Ok(fault.kind)
        }
        other => bail!("it did not fail: {other:?}"),
    }
}

#[test]
#[ignore = "run `ci/test --only acme`"]
fn a_certificate_is_had_over_http_and_renewed_and_nobodys_connection_ends() -> Result<()> {
    let (lab, made, pebble) = scene("http", 0)?;
    made.wait_own(DOMAIN)?;
    ensure!(made.work(false)? == State::Off, "nothing is wanted yet");
    want(&made, &pebble, &[])?;
    have(&made, false)?;
    let root = pebble.root()?;
    let first = made.wait_shown(&root, None)?;
    lab.note("the first certificate is shown");
    for port in [made.https, made.direct_tls] {
        let local = certificate(&made.connect(port, "perch.local", b"")?)?;
        ensure!(made.is_own(&local)?, "perch.local keeps the box's own");
    }
    let account = made.root.join("var/lib/perch/acme/account.json");
    let about = fs::metadata(&account).context("the account")?;
    ensure!(
        about.permissions().mode() & 0o777 == 0o600,
        "root alone has the key"
    );
    let before = fs::read(&account).context("the account")?;
    let proofs = fs::read_dir(made.root.join("run/perch-acme")).context("the proofs")?;
    ensure!(proofs.count() == 0, "no proof is left");

    // Pebble gives ninety days.
    made.pass(59);
    have(&made, false)?;
    ensure!(made.wait_shown(&root, None)? == first, "not yet");
    let mut early = made.connect(made.direct_tls, DOMAIN, &root)?;
    made.pass(2);
    have(&made, false)?;
    made.wait_shown(&root, Some(&first))?;
    lab.note("the second certificate is shown");
    ensure!(
        fs::read(&account).context("the account")? == before,
        "one account"
    );
    let hello = format!(
        "<stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    );
    let mut answer = [0; 7];
    early
        .write_all(hello.as_bytes())
        .and_then(|()| early.flush())
        .and_then(|()| early.read_exact(&mut answer))
        .context("the connection from before the certificates")?;

    made.set(&[("acme.enabled", "false")])?;
    made.wait_own(DOMAIN)?;
    drop((made, pebble));
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only acme`"]
fn a_certificate_is_had_by_a_record_that_the_hook_puts_and_takes_away() -> Result<()> {
    let (lab, made, pebble) = scene("dns", 0)?;
    let (hook, record) = (made.root.join("etc/perch/hook"), lab.work.join("record"));
    let by_dns = [
        ("acme.challenge", "dns-01"),
        ("acme.hook", "/etc/perch/hook"),
    ];
    want(&made, &pebble, &by_dns)?;
    ensure!(kind(&made.work(false)?)? == Kind::HookMissing);
    let write = |text: &str| -> Result<()> {
        fs::write(&hook, format!("#!/bin/sh\n{text}\n")).context("write the hook")?;
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).context("the hook's mode")
    };
    write("echo the zone is locked >&2; exit 3")?;
    let failed = made.work(true)?;
    ensure!(kind(&failed)? == Kind::HookFailed);
    let State::Failed { fault, .. } = failed else {
        bail!("it failed")
    };
    ensure!(fault.detail.contains("exit status 3: the zone is locked"));
    // A hook that does nothing: the authority sees no record.
    write("exit 0")?;
    ensure!(kind(&made.work(true)?)? == Kind::RecordMissing);
    let (place, log) = (record.display(), lab.logs.join("hook.log"));
    write(&format!(
        "echo \"$@\" >>{}\ncase $1 in add) echo \"$3\" >{place} ;; remove) rm {place} ;; esac",
        log.display()
    ))?;
    have(&made, true)?;
    made.wait_shown(&pebble.root()?, None)?;
    ensure!(!record.exists(), "the record is taken away");
    let calls = fs::read_to_string(log).context("the hook's calls")?;
    let calls: Vec<&str> = calls.lines().collect();
    let [add, remove] = calls[..] else {
        bail!("two calls were wanted: {calls:?}")
    };
    ensure!(add.starts_with(&format!("add {RECORD} ")), "{add}");
    ensure!(add.replacen("add", "remove", 1) == remove, "{remove}");
    drop((made, pebble));
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only acme`"]
fn whatever_is_refused_is_said_and_what_served_before_goes_on() -> Result<()> {
    let (lab, made, mut pebble) = scene("refused", 0)?;
    want(&made, &pebble, &[("domain", "nowhere.perch.example")])?;
    let failed = made.work(false)?;
    // Let's Encrypt has a kind of its own for a name without an address; Pebble takes it for a connection that fails.
    ensure!(kind(&failed)? == Kind::PortClosed);
    ensure!(
        format!("{failed:?}").contains("could not resolve"),
        "{failed:?}"
    );
    made.set(&[("domain", BLOCKED)])?;
    ensure!(kind(&made.work(false)?)? == Kind::Refused);
    made.set(&[("domain", ELSEWHERE)])?;
    made.start_nginx("etc")?;
    ensure!(kind(&made.work(false)?)? == Kind::NotHere);
    made.stop_nginx();
    let failed = made.work(true)?;
    ensure!(kind(&failed)? == Kind::PortClosed);
    let State::Failed { held, failures, .. } = failed else {
        bail!("it failed")
    };
    ensure!((held, failures) == (None, 2), "two failed in a row");
    // It is not tried again at once, unless somebody asks.
    ensure!(made.work(false)? == failed);
    made.start_nginx("etc")?;
    made.wait_own(ELSEWHERE)?;

    made.set(&[("domain", DOMAIN)])?;
    made.start_nginx("run/perch-acme")?;
    have(&made, false)?;
    let root = pebble.root()?;
    let first = made.wait_shown(&root, None)?;
    pebble.stop()?;
    let failed = made.work(true)?;
    ensure!(kind(&failed)? == Kind::Unreachable);
    ensure!(failed.held().is_some(), "the certificate stays");
    ensure!(made.wait_shown(&root, None)? == first, "and serves");
    // Its end comes, and nobody has renewed it.
    made.pass(91);
    made.work(false)?;
    made.wait_own(DOMAIN)?;
    drop((made, pebble));
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only acme`"]
fn good_nonces_that_are_refused_are_got_over() -> Result<()> {
    let (lab, made, pebble) = scene("nonces", 20)?;
    want(&made, &pebble, &[])?;
    for _ in 0..4 {
        // An order gives up when the authority refuses the same request three times; the next try is another order.
        let had = (0..5).any(|_| matches!(made.work(true), Ok(State::Valid { .. })));
        ensure!(had, "no certificate in five tries");
    }
    let log = fs::read_to_string(&pebble.log).context("Pebble's log")?;
    ensure!(log.contains("nonce"), "Pebble refused none");
    drop((made, pebble));
    lab.passed();
    Ok(())
}
