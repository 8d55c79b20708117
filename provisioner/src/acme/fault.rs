//! Why an order failed: one of a few kinds, for which there are words and a way out (`certificate-fault-…` in the pages'
//! texts), and what the other side said.

use instant_acme::{Error, Problem};
use serde::{Deserialize, Serialize};

use super::http::Unreachable;

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The box's domain is none that an authority could certify.
    NoPublicDomain,
    /// The authority does not answer, or not as one that the box trusts.
    Unreachable,
    /// The domain has no address.
    NameUnknown,
    /// The domain's address is not this box's.
    NotHere,
    /// Nobody answers on port 80 of the domain's address.
    PortClosed,
    /// The record that the hook has put is not seen.
    RecordMissing,
    /// There is no hook, or it is no program.
    HookMissing,
    /// The hook has failed.
    HookFailed,
    /// The authority has been asked too often.
    RateLimited,
    /// The authority wants its terms agreed to anew.
    Terms,
    /// The authority refuses for another reason.
    Refused,
    /// The authority has trouble of its own, or gave what is of no use.
    Trouble,
}

/// All of them.
pub const KINDS: [Kind; 12] = [
    Kind::NoPublicDomain,
    Kind::Unreachable,
    Kind::NameUnknown,
    Kind::NotHere,
    Kind::PortClosed,
    Kind::RecordMissing,
    Kind::HookMissing,
    Kind::HookFailed,
    Kind::RateLimited,
    Kind::Terms,
    Kind::Refused,
    Kind::Trouble,
];

/// Why an order failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What kind.
    pub kind: Kind,
    /// What the other side said, for who looks into it. May be empty.
    pub detail: String,
}

/// The longest detail that is kept: authorities quote whole pages.
const LONGEST: usize = 400;

impl Fault {
    /// A failure.
    pub fn new(kind: Kind, detail: impl AsRef<str>) -> Self {
        let detail = detail.as_ref().chars();
        let detail = detail.map(|c| if c.is_control() { ' ' } else { c });
        Self {
            kind,
            detail: detail.take(LONGEST).collect(),
        }
    }

    /// What an authority says of a whole order or account.
    #[must_use]
    pub fn of_problem(problem: &Problem) -> Self {
        let kind = match name(problem) {
            "rateLimited" => Kind::RateLimited,
            "userActionRequired" => Kind::Terms,
            "serverInternal" | "badNonce" => Kind::Trouble,
            "dns" => Kind::NameUnknown,
            _ => Kind::Refused,
        };
        Self::new(kind, detail(problem))
    }

    /// What an authority says of a proof (RFC 8555 §6.7).
    #[must_use]
    pub fn of_proof(problem: &Problem, by_dns: bool) -> Self {
        let kind = match name(problem) {
            "dns" | "unauthorized" | "incorrectResponse" | "connection" if by_dns => {
                Kind::RecordMissing
            }
            "dns" => Kind::NameUnknown,
            "unauthorized" | "incorrectResponse" => Kind::NotHere,
            "connection" | "tls" => Kind::PortClosed,
            _ => return Self::of_problem(problem),
        };
        Self::new(kind, detail(problem))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match &error {
            Error::Api(problem) => Self::of_problem(problem),
            Error::Other(inner) if inner.is::<Unreachable>() => {
                Self::new(Kind::Unreachable, inner.to_string())
            }
            _ => Self::new(Kind::Trouble, error.to_string()),
        }
    }
}

/// The last part of `urn:ietf:params:acme:error:NAME`.
fn name(problem: &Problem) -> &str {
    let name = problem.r#type.as_deref().unwrap_or_default();
    name.rsplit(':').next().unwrap_or_default()
}

fn detail(problem: &Problem) -> String {
    let parts = problem.subproblems.iter();
    let parts = parts.filter_map(|part| part.detail.as_deref());
    let all: Vec<&str> = problem.detail.as_deref().into_iter().chain(parts).collect();
    all.join("; ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn problem(name: &str) -> Problem {
        let text = format!(
            r#"{{"type":"urn:ietf:params:acme:error:{name}","detail":"it said","status":400}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_an_authority_says_becomes_what_to_do() {
        for (name, by_http, by_dns) in [
            ("dns", Kind::NameUnknown, Kind::RecordMissing),
            ("connection", Kind::PortClosed, Kind::RecordMissing),
            ("unauthorized", Kind::NotHere, Kind::RecordMissing),
            ("incorrectResponse", Kind::NotHere, Kind::RecordMissing),
            ("rateLimited", Kind::RateLimited, Kind::RateLimited),
            ("caa", Kind::Refused, Kind::Refused),
            ("serverInternal", Kind::Trouble, Kind::Trouble),
        ] {
            let problem = problem(name);
            assert_eq!(Fault::of_proof(&problem, false).kind, by_http, "{name}");
            assert_eq!(Fault::of_proof(&problem, true).kind, by_dns, "{name}");
        }
        for (name, kind) in [
            ("rejectedIdentifier", Kind::Refused),
            ("externalAccountRequired", Kind::Refused),
            ("userActionRequired", Kind::Terms),
            ("unauthorized", Kind::Refused),
        ] {
            let fault = Fault::of_problem(&problem(name));
            assert_eq!(
                (fault.kind, fault.detail.as_str()),
                (kind, "it said"),
                "{name}"
            );
        }
    }

    #[test]
    fn a_detail_is_one_line_of_bounded_length() {
        let fault = Fault::new(Kind::NotHere, "a\nb".repeat(1000));
        assert_eq!(fault.detail.chars().count(), LONGEST);
        assert!(!fault.detail.contains('\n'));
    }
}
