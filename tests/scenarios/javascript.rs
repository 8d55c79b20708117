//! JavaScript's XMPP libraries against an `imd` on this computer: logins, contacts, messages both ways, the archive.

use anyhow::Result;
use perch_tests::host_imd::{DOMAIN, HostImd};
use perch_tests::lab::Lab;
use perch_tests::node::Project;
use serde_json::json;

const ANNA: &str = "anna's password, ünïcode";
const BEN: &str = "ben's password";

/// Two people with one library meet on a fresh server; `service` makes its address from the server's ports.
fn meet(name: &str, script: &str, service: impl FnOnce(&HostImd) -> String) -> Result<()> {
    let lab = Lab::new("javascript", name)?;
    let project = Project::install("javascript")?;
    let imd = HostImd::start(&lab)?;
    imd.add_user("anna", ANNA)?;
    imd.add_user("ben", BEN)?;
    let service = service(&imd);
    let settings = json!({ "service": service, "domain": DOMAIN, "anna": ANNA, "ben": BEN });
    project.run(&lab, script, &settings, |node| {
        node.args(["--import", "./loopback.mjs"])
            .env("NODE_EXTRA_CA_CERTS", &imd.server.ca);
    })?;
    drop(imd);
    lab.passed();
    Ok(())
}

/// Not over STARTTLS: the library can miss what the server says after TLS has begun, and waits for ever then.
#[test]
#[ignore = "run `ci/test --only javascript`"]
fn xmpp_client_meets_over_direct_tls() -> Result<()> {
    meet("xmpp_client_tls", "xmpp_client.mjs", |imd| {
        format!("xmpps://{DOMAIN}:{}", imd.server.direct_tls)
    })
}

#[test]
#[ignore = "run `ci/test --only javascript`"]
fn xmpp_client_meets_over_websocket() -> Result<()> {
    meet("xmpp_client_websocket", "xmpp_client.mjs", |imd| {
        format!("wss://{DOMAIN}:{}/ws", imd.https)
    })
}

#[test]
#[ignore = "run `ci/test --only javascript`"]
fn strophe_meets_over_websocket() -> Result<()> {
    meet("strophe_websocket", "strophe.mjs", |imd| {
        format!("wss://{DOMAIN}:{}/ws", imd.https)
    })
}

#[test]
#[ignore = "run `ci/test --only javascript`"]
fn strophe_meets_over_bosh() -> Result<()> {
    meet("strophe_bosh", "strophe.mjs", |imd| {
        format!("https://{DOMAIN}:{}/bosh", imd.https)
    })
}
