//! SASL on the stream (RFC 6120 §6).

use std::net::IpAddr;
use std::sync::Arc;

use imd_proto::{Element, ns};
use imd_store::Credentials;

use super::c2s::Ended;
use super::{Transport, sasl2};
use crate::sasl::{self, Exchange, Failure, Offer, Step};
use crate::server::Server;

/// What is offered before login. `known`: the account that the client says it is.
pub(super) fn features(offer: &Offer, known: Option<&Credentials>) -> Vec<Element> {
    let mechanisms = offer
        .mechanisms
        .iter()
        .map(|m| Element::new("mechanism", ns::SASL).with_text(m.name()));
    let mut features = vec![
        Element::new("mechanisms", ns::SASL).with_children(mechanisms),
        sasl2::feature(offer, known),
    ];
    if !offer.binding.is_empty() {
        let types = offer.binding.types().into_iter().map(|name| {
            Element::new("channel-binding", ns::SASL_CHANNEL_BINDING).with_attr("type", name)
        });
        features.push(
            Element::new("sasl-channel-binding", ns::SASL_CHANNEL_BINDING).with_children(types),
        );
    }
    features
}

/// Count a failed login, and let the answer to any login wait where too many have failed.
pub(super) async fn slowed(server: &Server, peer: IpAddr, named: Option<&str>, step: Step) -> Step {
    if matches!(step, Step::Challenge(_)) {
        return step;
    }
    if let Step::Success { user, .. } = &step {
        server.load.rates.login(user).await;
    }
    let limits = &server.config.limits;
    if limits.loopback_exempt && peer.to_canonical().is_loopback() {
        return step;
    }
    // Whether the password was right must not show in the time of the answer.
    let delay = server.guard.delay(peer, named, limits.login_failures);
    match &step {
        Step::Success { user, .. } => server.guard.succeeded(user),
        _ => server.guard.failed(peer, named),
    }
    tokio::time::sleep(delay).await;
    step
}

/// What whoever wants to log in is told while no more are let in.
pub(super) fn full(server: &Server) -> Option<Failure> {
    let full = server.full()?;
    Some(Failure::with_text("temporary-auth-failure", full.text))
}

/// Carry a login that a client began with `<auth/>`. `None`: it failed and the client may try again.
pub(super) async fn authenticate<T: Transport>(
    server: &Arc<Server>,
    transport: &mut T,
    offer: &Offer,
    auth: &Element,
) -> Result<Option<String>, Ended> {
    if let Some(failure) = full(server) {
        return failed(transport, &failure).await;
    }
    let name = auth.attr("mechanism").unwrap_or_default();
    let mut exchange = match Exchange::new(server, name, offer.clone()) {
        Ok(exchange) => exchange,
        Err(failure) => return failed(transport, &failure).await,
    };
    let initial = auth.text();
    let mut message = match initial.as_str() {
        "" => None,
        text => match sasl::decode(text) {
            Ok(message) => Some(message),
            Err(failure) => return failed(transport, &failure).await,
        },
    };
    loop {
        let step = exchange.step(message.as_deref()).await;
        match slowed(server, transport.peer(), exchange.named(), step).await {
            Step::Challenge(challenge) => {
                let challenge =
                    Element::new("challenge", ns::SASL).with_text(sasl::encode(&challenge));
                transport.send(&challenge).await?;
            }
            Step::Success { user, data } => {
                let mut success = Element::new("success", ns::SASL);
                if let Some(data) = data {
                    success.push_text(sasl::encode(&data));
                }
                transport.send(&success).await?;
                return Ok(Some(user));
            }
            Step::Failed(failure) => {
                tracing::info!(peer = %transport.peer(), mechanism = name, condition = failure.condition, "login failed");
                return failed(transport, &failure).await;
            }
        }
        let answer = super::c2s::element(transport).await?;
        if answer.is("abort", ns::SASL) {
            return failed(transport, &Failure::new("aborted")).await;
        }
        if !answer.is("response", ns::SASL) {
            return failed(transport, &Failure::malformed()).await;
        }
        message = match sasl::decode(&answer.text()) {
            Ok(message) => Some(message),
            Err(failure) => return failed(transport, &failure).await,
        };
    }
}

async fn failed<T: Transport>(
    transport: &mut T,
    failure: &Failure,
) -> Result<Option<String>, Ended> {
    let mut element =
        Element::new("failure", ns::SASL).with_child(Element::new(failure.condition, ns::SASL));
    if let Some(text) = failure.text {
        element.push(Element::new("text", ns::SASL).with_text(text));
    }
    transport.send(&element).await?;
    Ok(None)
}
