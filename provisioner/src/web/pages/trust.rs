//! The box's certificate authority: how each system is told to trust it, and whether this browser does.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::pem::Pem;

use super::errors;
use crate::agent::command::{Actor, Answer, Command, Refusal, Why};
use crate::agent::status::BoxStatus;
use crate::model::secret::hex;
use crate::web::Web;
use crate::web::page::{Page, show};
use crate::web::visitor::Visitor;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/trust", get(trust))
        .route("/trust/light.svg", get(light))
        .route("/perch-ca.crt", get(certificate))
        .route("/perch-ca.mobileconfig", get(profile))
}

/// What the page and the wizard's step have in common.
pub struct Steps {
    /// The fingerprint, in pairs of digits.
    pub fingerprint: String,
    /// The picture that only a browser that trusts the box can load.
    pub light: String,
    /// The system of the visitor, whose steps are open.
    pub system: &'static str,
}

impl Steps {
    /// The steps for a visitor.
    pub fn of(visitor: &Visitor, status: &BoxStatus) -> Self {
        Self {
            fingerprint: status.fingerprint.clone().unwrap_or_default(),
            light: format!(
                "https://{}/trust/light.svg",
                status.other_name(&visitor.host)
            ),
            system: system(&visitor.browser),
        }
    }

    /// The policy of a page that shows them: the picture comes from the box's other name.
    pub fn policy(&self) -> HeaderValue {
        let origin = self.light.trim_end_matches("/trust/light.svg");
        let policy = format!(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' {origin}; connect-src 'self'; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'"
        );
        HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
    }
}

fn system(browser: &str) -> &'static str {
    let has = |word: &str| browser.contains(word);
    if has("Android") {
        "android"
    } else if has("iPhone") || has("iPad") {
        "iphone"
    } else if has("Macintosh") {
        "mac"
    } else if has("Windows") {
        "windows"
    } else {
        "linux"
    }
}

#[derive(Template)]
#[template(path = "trust.html")]
struct Trust {
    page: Page,
    steps: Steps,
}

async fn trust(State(web): State<Arc<Web>>, visitor: Visitor) -> Response {
    let status = match web.agent.status().await {
        Ok(status) => status,
        Err(refusal) => return errors::agent(&visitor, &refusal),
    };
    let steps = Steps::of(&visitor, &status);
    let policy = steps.policy();
    let shown = Trust {
        page: Page::of(&visitor),
        steps,
    };
    (
        [(CONTENT_SECURITY_POLICY, policy)],
        show(visitor.t.0, &shown),
    )
        .into_response()
}

/// The green light. Whoever sees it has loaded it from a name for which no exception was made.
async fn light() -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("image/svg+xml")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Shown by the page at the box's other name.
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("cross-origin"),
        ),
    ];
    (headers, include_str!("../../../static/light.svg")).into_response()
}

async fn authority(web: &Web) -> Result<Pem, Refusal> {
    let text = match web.agent.ask(Actor::default(), Command::Authority).await? {
        Answer::Authority(text) => text,
        other => return Err(crate::agent::client::unexpected(&other)),
    };
    let read = Pem::iter_from_buffer(text.as_bytes())
        .next()
        .and_then(Result::ok);
    read.ok_or_else(|| Refusal::new(Why::Failed, "the authority's certificate cannot be read"))
}

fn download(kind: &'static str, name: &'static str, content: Vec<u8>) -> Response {
    let headers = [(CONTENT_TYPE, kind), (CONTENT_DISPOSITION, name)];
    (headers, content).into_response()
}

async fn certificate(State(web): State<Arc<Web>>, visitor: Visitor) -> Response {
    match authority(&web).await {
        // DER: Android, Windows and Firefox open it by itself (RFC 5280; the type is that of RFC 2585 §4.1's practice).
        Ok(pem) => download(
            "application/x-x509-ca-cert",
            "attachment; filename=\"perch-ca.crt\"",
            pem.contents,
        ),
        Err(refusal) => errors::agent(&visitor, &refusal),
    }
}

async fn profile(State(web): State<Arc<Web>>, visitor: Visitor) -> Response {
    let (pem, status) = match (authority(&web).await, web.agent.status().await) {
        (Ok(pem), Ok(status)) => (pem, status),
        (Err(refusal), _) | (_, Err(refusal)) => return errors::agent(&visitor, &refusal),
    };
    download(
        "application/x-apple-aspen-config",
        "attachment; filename=\"perch-ca.mobileconfig\"",
        mobileconfig(&pem.contents, &status.host_name).into_bytes(),
    )
}

/// A configuration profile with one root certificate (Apple, Configuration Profile Reference: CertificateRoot). The same
/// certificate gives the same identifiers, so that it replaces itself. A host name has no character that XML would escape.
fn mobileconfig(der: &[u8], host_name: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    let digits = hex(digest.as_ref());
    let uuid = |from: usize| {
        let part =
            |start: usize, end: usize| digits.get(from + start..from + end).unwrap_or_default();
        format!(
            "{}-{}-4{}-8{}-{}",
            part(0, 8),
            part(8, 12),
            part(13, 16),
            part(17, 20),
            part(20, 32)
        )
    };
    let (profile, certificate) = (uuid(0), uuid(32));
    let content = STANDARD.encode(der);
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>PayloadContent</key>
  <array>
    <dict>
      <key>PayloadCertificateFileName</key><string>perch-ca.crt</string>
      <key>PayloadContent</key><data>{content}</data>
      <key>PayloadDisplayName</key><string>Perch ({host_name}.local)</string>
      <key>PayloadIdentifier</key><string>local.perch.ca.{certificate}</string>
      <key>PayloadType</key><string>com.apple.security.root</string>
      <key>PayloadUUID</key><string>{certificate}</string>
      <key>PayloadVersion</key><integer>1</integer>
    </dict>
  </array>
  <key>PayloadDisplayName</key><string>Perch ({host_name}.local)</string>
  <key>PayloadIdentifier</key><string>local.perch.{profile}</string>
  <key>PayloadRemovalDisallowed</key><false/>
  <key>PayloadType</key><string>Configuration</string>
  <key>PayloadUUID</key><string>{profile}</string>
  <key>PayloadVersion</key><integer>1</integer>
</dict>
</plist>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_the_certificate_and_identifiers_of_its_own() {
        let text = mobileconfig(b"certificate", "perch");
        assert!(text.contains(&STANDARD.encode(b"certificate")));
        let uuids: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once("PayloadUUID</key><string>"))
            .map(|(_, rest)| rest.trim_end_matches("</string>"))
            .collect();
        assert_eq!(uuids.len(), 2);
        assert_ne!(uuids[0], uuids[1]);
        assert!(uuids.iter().all(|uuid| uuid.len() == 36), "{uuids:?}");
        assert_eq!(text, mobileconfig(b"certificate", "perch"));
    }

    #[test]
    fn steps_are_those_of_the_visitors_system() {
        for (browser, expected) in [
            ("Mozilla/5.0 (Linux; Android 14; Pixel 8)", "android"),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)",
                "iphone",
            ),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15)", "mac"),
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "windows"),
            ("Mozilla/5.0 (X11; Linux x86_64)", "linux"),
        ] {
            assert_eq!(system(browser), expected);
        }
    }
}
