//! SASL on the stream (RFC 6120 §6).

use std::sync::Arc;

use imd_proto::{Element, ns};

use super::Transport;
use super::c2s::Ended;
use crate::sasl::{self, Exchange, Failure, Mechanism, Step};
use crate::server::Server;

/// The mechanisms, and what they can be bound to (XEP-0440).
pub(super) fn features<T: Transport>(transport: &T) -> Vec<Element> {
    let binding = transport.channel_binding().is_some();
    let mechanisms = Mechanism::offered(binding)
        .into_iter()
        .map(|m| Element::new("mechanism", ns::SASL).with_text(m.name()));
    let mut features = vec![Element::new("mechanisms", ns::SASL).with_children(mechanisms)];
    if binding {
        features.push(
            Element::new("sasl-channel-binding", ns::SASL_CHANNEL_BINDING).with_child(
                Element::new("channel-binding", ns::SASL_CHANNEL_BINDING)
                    .with_attr("type", "tls-exporter"),
            ),
        );
    }
    features
}

/// Carry a login that a client began with `<auth/>`. `None`: it failed and the client may try again.
pub(super) async fn authenticate<T: Transport>(
    server: &Arc<Server>,
    transport: &mut T,
    auth: &Element,
) -> Result<Option<String>, Ended> {
    let name = auth.attr("mechanism").unwrap_or_default();
    let mut exchange = match Exchange::new(server, name, transport.channel_binding()) {
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
        match exchange.step(message.as_deref()).await {
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
