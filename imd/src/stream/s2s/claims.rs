//! Dialback on a stream that another server opened (XEP-0220): keys that it shows, and keys that it asks about.

use std::sync::Arc;

use imd_proto::{Condition, Element, StreamCondition, jid};
use tokio::sync::mpsc;

use super::Problem;
use super::dialback::{self, Claim};
use super::inbound::{Inbound, proves};
use crate::stream::c2s::Ended;
use crate::stream::link::Flow;

/// Keys of one stream that are asked about at one time.
const MAX_CLAIMS: usize = 16;

/// What has been found out about a key.
pub(super) struct Verified {
    claim: Claim,
    outcome: Result<bool, Problem>,
}

impl Inbound {
    /// Somebody shows a key as proof that they are a domain (XEP-0220 §2.2).
    pub(super) async fn claim(
        &mut self,
        flow: &mut Flow<Verified>,
        notes: &mpsc::Sender<Verified>,
        result: &Element,
    ) -> Result<(), Ended> {
        let (from, to) = addresses(result)?;
        let refused = if !self.server.is_local_domain(&to) {
            Some(Condition::ItemNotFound)
        } else if !self.server.config.federation.allows(&from) {
            Some(Condition::PolicyViolation)
        } else if self.claims >= MAX_CLAIMS {
            Some(Condition::ResourceConstraint)
        } else {
            None
        };
        if let Some(condition) = refused {
            let error = dialback::error("result", &to, &from, condition);
            return Ok(flow.wire.send(&error).await?);
        }
        let claim = Claim {
            originating: from,
            receiving: to,
            stream: self.id.clone(),
            key: result.text().trim().to_owned(),
        };
        // A certificate is a better proof than a key (XEP-0344).
        if proves(&self.federation, &flow.wire, Some(&claim.originating)) {
            let outcome = Ok(true);
            let verified = Verified { claim, outcome };
            return self.settle(flow, verified, "certificate").await;
        }
        self.claims += 1;
        let (server, federation) = (Arc::clone(&self.server), Arc::clone(&self.federation));
        let notes = notes.clone();
        tokio::spawn(async move {
            let outcome = match federation.verifying.acquire().await {
                Ok(_permit) => dialback::verify(&server, &federation, &claim).await,
                Err(_) => Err(Problem::timeout("this server is about to end")),
            };
            // The stream may be over.
            let _ = notes.send(Verified { claim, outcome }).await;
        });
        Ok(())
    }

    pub(super) async fn verified(
        &mut self,
        flow: &mut Flow<Verified>,
        verified: Verified,
    ) -> Result<(), Ended> {
        self.claims -= 1;
        self.settle(flow, verified, "dialback").await
    }

    async fn settle(
        &mut self,
        flow: &mut Flow<Verified>,
        Verified { claim, outcome }: Verified,
        proof: &'static str,
    ) -> Result<(), Ended> {
        let (us, them) = (&claim.receiving, &claim.originating);
        let answer = match outcome {
            Ok(true) => dialback::element("result", us, them).with_attr("type", "valid"),
            Ok(false) => dialback::element("result", us, them).with_attr("type", "invalid"),
            Err(problem) => {
                tracing::info!(domain = them, %problem, "dialback fails");
                dialback::error("result", us, them, problem.condition)
            }
        };
        let valid = answer.attr("type") == Some("valid");
        flow.wire.send(&answer).await?;
        if valid {
            self.believe(flow, claim.receiving, claim.originating, proof);
        }
        Ok(())
    }

    /// Another server asks whether we made a key (XEP-0220 §2.4).
    pub(super) async fn answer_verify(
        &self,
        flow: &mut Flow<Verified>,
        verify: &Element,
    ) -> Result<(), Ended> {
        let (asking, ours) = addresses(verify)?;
        let id = verify.attr("id").unwrap_or_default();
        let answer = if self.server.is_local_domain(&ours) {
            let key = verify.text();
            let made = self.federation.secret.made(key.trim(), &asking, &ours, id);
            dialback::element("verify", &ours, &asking)
                .with_attr("type", if made { "valid" } else { "invalid" })
        } else {
            dialback::error("verify", &ours, &asking, Condition::ItemNotFound)
        };
        flow.wire.send(&answer.with_attr("id", id)).await?;
        Ok(())
    }
}

/// `from` and `to` of a dialback element.
fn addresses(element: &Element) -> Result<(String, String), Ended> {
    let domain = |name| {
        let text = element.attr(name)?;
        jid::prepare_domain(text).ok().map(|d| d.into_owned())
    };
    match (domain("from"), domain("to")) {
        (Some(from), Some(to)) => Ok((from, to)),
        _ => Err(StreamCondition::ImproperAddressing.into()),
    }
}
