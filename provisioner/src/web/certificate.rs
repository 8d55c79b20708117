//! Where the certificate for the domain stands, in words: for the page, and for the command line.

use super::page::moment;
use super::texts::Texts;
use crate::acme::fault::Kind;
use crate::acme::job::CertificateView;
use crate::acme::machine::State;

/// What there is to say, the most important first.
pub fn lines(t: Texts, view: &CertificateView) -> Vec<String> {
    let domain = view.domain.as_deref().unwrap_or("–");
    let mut lines = Vec::new();
    if view.is_under_way {
        lines.push(t.with("certificate-ordering", &[("domain", domain)]));
    }
    match &view.state {
        State::Off if view.is_on => lines.push(t.m("certificate-missing")),
        State::Off => lines.push(t.m("certificate-off")),
        State::Missing => lines.push(t.m("certificate-missing")),
        State::Ordering { .. } if view.is_under_way => {}
        State::Ordering { .. } => lines.push(t.m("certificate-missing")),
        State::Valid { held } => {
            let (until, next) = (moment(held.until), moment(held.renewal()));
            let values = [("domain", domain), ("until", &until), ("next", &next)];
            lines.push(t.with("certificate-valid", &values));
        }
        State::Failed {
            fault,
            at,
            next,
            barred,
            ..
        } => {
            let (at, next) = (moment(*at), moment(*next));
            lines.push(t.with("certificate-failed", &[("at", &at), ("next", &next)]));
            lines.push(t.with(words(fault.kind), &[("domain", domain)]));
            if !fault.detail.is_empty() {
                lines.push(t.with("certificate-detail", &[("detail", &fault.detail)]));
            }
            if let Some(until) = barred {
                let until = moment(*until);
                lines.push(t.with("certificate-barred", &[("until", &until)]));
            }
        }
    }
    if let State::Failed { held, .. } = &view.state {
        lines.push(match held {
            Some(held) => t.with("certificate-still", &[("until", &moment(held.until))]),
            None => t.m("certificate-own"),
        });
    }
    lines
}

/// The text of a failure, with what to do.
fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::NoPublicDomain => "certificate-fault-no-public-domain",
        Kind::Unreachable => "certificate-fault-unreachable",
        Kind::NameUnknown => "certificate-fault-name-unknown",
        Kind::NotHere => "certificate-fault-not-here",
        Kind::PortClosed => "certificate-fault-port-closed",
        Kind::RecordMissing => "certificate-fault-record-missing",
        Kind::HookMissing => "certificate-fault-hook-missing",
        Kind::HookFailed => "certificate-fault-hook-failed",
        Kind::RateLimited => "certificate-fault-rate-limited",
        Kind::Terms => "certificate-fault-terms",
        Kind::Refused => "certificate-fault-refused",
        Kind::Trouble => "certificate-fault-trouble",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::fault::{Fault, KINDS};
    use crate::web::texts::LANGUAGES;

    #[test]
    fn every_failure_has_words_in_every_language_and_says_what_serves_meanwhile() {
        for (language, _) in LANGUAGES {
            for kind in KINDS {
                let t = Texts(language);
                let view = CertificateView {
                    is_on: true,
                    domain: Some("chat.example.org".to_owned()),
                    is_public: true,
                    directory: String::new(),
                    state: State::Failed {
                        held: None,
                        fault: Fault::new(kind, "it said so"),
                        at: 0,
                        failures: 1,
                        next: 3600,
                        barred: None,
                    },
                    is_under_way: false,
                };
                let lines = lines(t, &view);
                assert!(lines[1].chars().count() > 10, "{kind:?}: {}", lines[1]);
                assert_ne!(lines[1], words(kind));
                assert!(lines[2].contains("it said so"));
                assert_eq!(lines.last(), Some(&t.m("certificate-own")));
            }
        }
    }
}
