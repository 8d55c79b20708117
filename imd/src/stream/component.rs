//! External components (XEP-0114): programs such as gateways and bots that own a domain of this server.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use imd_proto::xml::StreamEvent;
use imd_proto::{Condition, Element, Stanza, StanzaError, StreamCondition, StreamError, ns};
use ring::digest;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpStream;

use super::c2s::Ended;
use super::link::queue::{Outgoing, Queue, Refused, Sender, queue};
use super::link::wire::{Opening, Wire};
use super::link::{self, Event, Flow};
use crate::config::ComponentSettings;
use crate::feature::Service;
use crate::server::Server;
use crate::shutdown::Shutdown;

/// Silence after which a component's connection is probed with white space: the other end may be gone.
const PROBE: Duration = Duration::from_secs(60);

/// A configured component, connected or not.
pub struct Component {
    settings: ComponentSettings,
    link: Mutex<Option<Sender>>,
}

/// All components of the settings, by domain.
pub type Components = HashMap<String, Arc<Component>>;

/// Give each component its domain.
pub fn install(server: &Server) -> Components {
    let mut components = Components::new();
    for settings in &server.config.components {
        let component = Arc::new(Component {
            settings: settings.clone(),
            link: Mutex::default(),
        });
        server.add_service(settings.domain.clone(), Arc::clone(&component) as _);
        components.insert(settings.domain.clone(), component);
    }
    components
}

impl Component {
    fn link(&self) -> Option<Sender> {
        self.link
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Become the component's connection; absent when it has one.
    fn connect(&self, limit: usize) -> Option<Queue> {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if link.is_some() {
            return None;
        }
        let (sender, queue) = queue(limit);
        *link = Some(sender);
        Some(queue)
    }

    fn disconnect(&self) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[async_trait]
impl Service for Component {
    async fn stanza(&self, server: &Arc<Server>, stanza: Stanza) -> Option<imd_store::Commit> {
        let outgoing = Outgoing::new(stanza, ns::COMPONENT);
        let refused = match self.link() {
            Some(link) => link.push(outgoing),
            None => Err(Refused::Closed(Box::new(outgoing))),
        };
        let (head, condition, text) = match refused {
            Ok(()) => return None,
            Err(Refused::Full(outgoing)) => (
                outgoing.head,
                Condition::ResourceConstraint,
                "too much waits for this service",
            ),
            Err(Refused::Closed(outgoing)) => (
                outgoing.head,
                Condition::ServiceUnavailable,
                "this service is not connected at the moment",
            ),
        };
        server
            .bounce(&head, &StanzaError::with_text(condition, text))
            .await;
        None
    }

    fn name(&self) -> Option<String> {
        self.link().map(|_| self.settings.name.clone())
    }
}

/// Serve a component until its connection ends, or `stop` asks for the end. `permit` is given back once it has
/// proved who it is.
pub async fn serve<P: Send>(
    server: Arc<Server>,
    components: Arc<Components>,
    stream: TcpStream,
    peer: IpAddr,
    permit: P,
    stop: Shutdown,
) {
    let mut wire = Wire::new(stream, peer, ns::COMPONENT, link::limits(&server));
    let mut opened = false;
    let handshake = handshake(&server, &components, &mut wire, &mut opened);
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(server.config.limits.login_timeout, handshake) => outcome.unwrap_or_else(|_| {
            Err(StreamError::with_text(StreamCondition::ConnectionTimeout, "the handshake took too long").into())
        }),
        () = stop.requested() => Err(StreamCondition::SystemShutdown.into()),
    };
    drop(permit);
    match outcome {
        Ok((component, queue)) => {
            tracing::info!(domain = component.settings.domain, "component connected");
            run(&server, &component, wire, queue, stop).await;
            tracing::info!(domain = component.settings.domain, "component gone");
        }
        Err(ended) => {
            let goodbye = async {
                if !opened {
                    wire.open(&Opening::default()).await?;
                }
                link::goodbye(&mut wire, ended, false).await
            };
            // A peer that does not read its goodbye is not waited for.
            let _ = tokio::time::timeout(Duration::from_secs(2), goodbye).await;
        }
    }
}

/// XEP-0114 §3: the header names the component, and the handshake proves that it knows the secret.
async fn handshake(
    server: &Server,
    components: &Components,
    wire: &mut Wire,
    opened: &mut bool,
) -> Result<(Arc<Component>, Queue), Ended> {
    let header = match wire.next().await? {
        Some(StreamEvent::Open(header)) => header,
        Some(_) => return Err(StreamCondition::BadFormat.into()),
        None => return Err(Ended::Closed),
    };
    let domain = header.attr("to").unwrap_or_default().to_owned();
    let id = server.random_id::<16>();
    let opening = Opening {
        id: Some(&id),
        from: Some(&domain),
        ..Opening::default()
    };
    wire.open(&opening).await?;
    *opened = true;
    if !header.is("stream", ns::STREAM) {
        return Err(StreamCondition::InvalidNamespace.into());
    }
    let Some(component) = components.get(&domain) else {
        return Err(StreamError::with_text(
            StreamCondition::HostUnknown,
            "no component of this domain is in the settings",
        )
        .into());
    };
    let proof = match wire.next().await? {
        Some(StreamEvent::Stanza(element)) if element.is("handshake", ns::COMPONENT) => {
            element.text()
        }
        Some(StreamEvent::Close) => return Err(Ended::Finished),
        Some(_) => {
            return Err(StreamError::with_text(
                StreamCondition::NotAuthorized,
                "the handshake comes first",
            )
            .into());
        }
        None => return Err(Ended::Closed),
    };
    let expected = proof_of(&id, &component.settings.secret);
    let given = proof.trim().to_ascii_lowercase();
    if !bool::from(given.as_bytes().ct_eq(expected.as_bytes())) {
        tracing::info!(peer = %wire.peer, domain, "a component does not know its secret");
        return Err(StreamError::with_text(
            StreamCondition::NotAuthorized,
            "the secret is not right",
        )
        .into());
    }
    let Some(queue) = component.connect(server.config.limits.outbound_bytes) else {
        return Err(StreamError::with_text(
            StreamCondition::Conflict,
            "this component is connected already",
        )
        .into());
    };
    wire.send(&Element::new("handshake", ns::COMPONENT))
        .await
        .inspect_err(|_| component.disconnect())?;
    Ok((Arc::clone(component), queue))
}

/// XEP-0114 §3: the SHA-1 of stream id and secret.
fn proof_of(id: &str, secret: &str) -> String {
    let text = format!("{id}{secret}");
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    hash.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

async fn run(
    server: &Arc<Server>,
    component: &Component,
    wire: Wire,
    queue: Queue,
    stop: Shutdown,
) {
    let (mut flow, _notes) = Flow::<()>::new(wire, Some(queue), PROBE, stop);
    let ended = loop {
        let outcome = match flow.next(server).await {
            Ok(Event::Element(element)) => received(server, component, &mut flow, element).await,
            Ok(Event::Idle) => flow.probe().await,
            Ok(Event::Note(())) => Ok(()),
            Err(ended) => Err(ended),
        };
        if let Err(ended) = outcome {
            break ended;
        }
    };
    component.disconnect();
    let left = flow.end(server, ended).await;
    let text = "this service has gone away";
    link::bounce_all(server, left, Condition::ServiceUnavailable, text).await;
}

async fn received(
    server: &Arc<Server>,
    component: &Component,
    flow: &mut Flow<()>,
    element: Element,
) -> Result<(), Ended> {
    let stanza = link::stanza(element, ns::COMPONENT)?;
    if stanza.from.domain() != component.settings.domain {
        return Err(StreamError::with_text(
            StreamCondition::InvalidFrom,
            format!("this component is {}", component.settings.domain),
        )
        .into());
    }
    flow.route(server, stanza).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_the_hash_of_id_and_secret() {
        // sha1sum's answer for the stream id of XEP-0114's example and a secret.
        assert_eq!(
            proof_of("3BF96D32", "secret"),
            "b09ea9b3b7f586be8a08d0a3dd7466f110aeb136"
        );
    }
}
