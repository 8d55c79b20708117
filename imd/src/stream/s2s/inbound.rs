//! A stream that another server opens: TLS, then SASL EXTERNAL if the other server wants it.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use imd_proto::xml::StreamEvent;
use imd_proto::{Element, StreamCondition, StreamError, jid, ns};
use tokio::net::TcpStream;

use super::connect::said;
use super::{Federation, Pair};
use crate::sasl;
use crate::server::Server;
use crate::stream::c2s::Ended;
use crate::stream::link;
use crate::stream::link::queue::Sender;
use crate::stream::link::wire::{Opening, Wire};

/// Who speaks on a stream, as far as it is known.
pub(super) struct Inbound {
    pub(super) server: Arc<Server>,
    pub(super) federation: Arc<Federation>,
    /// Our domain that the stream is opened to.
    pub(super) local: String,
    /// Who the other server says it is; absent when it does not say.
    pub(super) remote: Option<String>,
    /// The stream's id.
    pub(super) id: String,
    /// The domains that have proved to be on this stream.
    pub(super) proved: HashSet<String>,
    /// Keys that are being asked about.
    pub(super) claims: usize,
    /// Whether the other server takes stanzas on the stream too (XEP-0288).
    pub(super) bidi: bool,
    /// The pair whose stanzas go out here too, and the way into its queue.
    pub(super) adopted: Option<(Pair, Sender)>,
}

/// Serve another server until its stream ends. `direct`: TLS begins with the first byte.
pub async fn serve(
    server: Arc<Server>,
    federation: Arc<Federation>,
    stream: TcpStream,
    peer: IpAddr,
    direct: bool,
) {
    let mut wire = Wire::new(stream, peer, ns::SERVER, link::limits(&server));
    let mut opened = false;
    let negotiation = Box::pin(negotiate(
        &server,
        &federation,
        &mut wire,
        direct,
        &mut opened,
    ));
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(server.config.limits.login_timeout, negotiation) => outcome.unwrap_or_else(|_| {
            Err(StreamError::with_text(StreamCondition::ConnectionTimeout, "the negotiation took too long").into())
        }),
        () = federation.stop.requested() => Err(StreamCondition::SystemShutdown.into()),
    };
    match outcome {
        Ok((inbound, first)) => inbound.run(wire, first).await,
        Err(ended) => {
            let goodbye = async {
                if !opened && !matches!(ended, Ended::Closed) {
                    let from = Some(server.config.domain.as_str());
                    open(&server, &mut wire, from, None).await?;
                }
                link::goodbye(&mut wire, ended, false).await
            };
            // A peer that does not read its goodbye is not waited for.
            let _ = tokio::time::timeout(Duration::from_secs(2), goodbye).await;
        }
    }
}

/// Answer a stream header; returns the stream's id.
async fn open(
    server: &Server,
    wire: &mut Wire,
    from: Option<&str>,
    to: Option<&str>,
) -> std::io::Result<String> {
    let id = server.random_id::<16>();
    let opening = Opening {
        id: Some(&id),
        from,
        to,
        versioned: true,
    };
    wire.open(&opening).await?;
    Ok(id)
}

/// Read a stream header and answer it: who is spoken to, who speaks, and the stream's id.
async fn begin(
    server: &Server,
    wire: &mut Wire,
    opened: &mut bool,
) -> Result<(String, Option<String>, String), Ended> {
    let header = match wire.next().await? {
        Some(StreamEvent::Open(header)) => header,
        Some(_) => return Err(StreamCondition::BadFormat.into()),
        None => return Err(Ended::Closed),
    };
    let domain = |name| {
        header
            .attr(name)
            .and_then(|text| jid::prepare_domain(text).ok())
            .map(|domain| domain.into_owned())
    };
    let (to, from) = (domain("to"), domain("from"));
    let ours = to.filter(|to| server.is_local_domain(to));
    let own = ours.as_deref().unwrap_or(&server.config.domain);
    let id = open(server, wire, Some(own), from.as_deref()).await?;
    *opened = true;
    if !header.is("stream", ns::STREAM) {
        return Err(StreamCondition::InvalidNamespace.into());
    }
    let Some(local) = ours else {
        return Err(
            StreamError::with_text(StreamCondition::HostUnknown, "no such domain here").into(),
        );
    };
    if header.attr("version").is_none_or(|v| v.starts_with('0')) {
        return Err(StreamError::with_text(
            StreamCondition::UnsupportedVersion,
            "version 1.0 is spoken here",
        )
        .into());
    }
    if let Some(remote) = &from
        && !server.config.federation.allows(remote)
    {
        let text = format!("this server does not talk with {remote}");
        return Err(StreamError::with_text(StreamCondition::PolicyViolation, text).into());
    }
    Ok((local, from, id))
}

/// TLS, features, and SASL where the other server chooses it. Otherwise its first element is given back.
async fn negotiate(
    server: &Arc<Server>,
    federation: &Arc<Federation>,
    wire: &mut Wire,
    direct: bool,
    opened: &mut bool,
) -> Result<(Inbound, Option<Element>), Ended> {
    if direct {
        wire.accept_tls(&federation.tls.accept_direct).await?;
    } else {
        begin(server, wire, opened).await?;
        let required =
            Element::new("starttls", ns::TLS).with_child(Element::new("required", ns::TLS));
        wire.send(&Element::new("features", ns::STREAM).with_child(required))
            .await?;
        let element = element(wire).await?;
        if !element.is("starttls", ns::TLS) {
            return Err(StreamError::with_text(
                StreamCondition::PolicyViolation,
                "TLS comes first",
            )
            .into());
        }
        wire.send(&Element::new("proceed", ns::TLS)).await?;
        *opened = false;
        wire.accept_tls(&federation.tls.accept).await?;
    }
    let (local, remote, id) = begin(server, wire, opened).await?;
    let external = proves(federation, wire, remote.as_deref());
    wire.send(&features(external)).await?;
    let mut inbound = Inbound {
        server: Arc::clone(server),
        federation: Arc::clone(federation),
        local,
        remote,
        id,
        proved: HashSet::new(),
        claims: 0,
        bidi: false,
        adopted: None,
    };
    loop {
        let element = element(wire).await?;
        if element.is("bidi", ns::BIDI) {
            inbound.bidi = true;
        } else if element.is("auth", ns::SASL) {
            let who = inbound.external(wire, &element).await?;
            inbound.proved.insert(who.clone());
            *opened = false;
            wire.restart();
            let (local, _, id) = begin(server, wire, opened).await?;
            (inbound.local, inbound.remote, inbound.id) = (local, Some(who), id);
            wire.send(&Element::new("features", ns::STREAM)).await?;
            return Ok((inbound, None));
        } else {
            return Ok((inbound, Some(element)));
        }
    }
}

pub(super) fn proves(federation: &Federation, wire: &Wire, domain: Option<&str>) -> bool {
    let Some(domain) = domain else { return false };
    let proof = federation.tls.trust.proves(wire.certificates(), domain);
    if let Err(why) = &proof {
        tracing::debug!(domain, why, "no SASL EXTERNAL for a server");
    }
    proof.is_ok()
}

fn features(external: bool) -> Element {
    let dialback = Element::new("dialback", ns::DIALBACK_FEATURE)
        .with_child(Element::new("errors", ns::DIALBACK_FEATURE));
    let mut features = Element::new("features", ns::STREAM);
    if external {
        let mechanism = Element::new("mechanism", ns::SASL).with_text("EXTERNAL");
        features.push(Element::new("mechanisms", ns::SASL).with_child(mechanism));
    }
    features
        .with_child(Element::new("bidi", ns::BIDI_FEATURE))
        .with_child(dialback)
}

async fn element(wire: &mut Wire) -> Result<Element, Ended> {
    match wire.next().await? {
        Some(StreamEvent::Stanza(element)) if element.is("error", ns::STREAM) => {
            tracing::info!(peer = %wire.peer, said = said(&element), "stream error");
            Err(Ended::Finished)
        }
        Some(StreamEvent::Stanza(element)) => Ok(element),
        Some(StreamEvent::Close) => Err(Ended::Finished),
        Some(StreamEvent::Open(_)) => Err(StreamCondition::BadFormat.into()),
        None => Err(Ended::Closed),
    }
}

impl Inbound {
    /// XEP-0178 §3: the domain of the certificate, which the other server names or has named in its header.
    async fn external(&self, wire: &mut Wire, auth: &Element) -> Result<String, Ended> {
        let named = match auth.text().trim() {
            "" | "=" => self.remote.clone(),
            text => sasl::decode(text)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .and_then(|text| jid::prepare_domain(&text).ok().map(|d| d.into_owned())),
        };
        let condition = match &named {
            _ if auth.attr("mechanism") != Some("EXTERNAL") => "invalid-mechanism",
            None => "invalid-authzid",
            Some(_) if self.remote.is_some() && self.remote != named => "invalid-authzid",
            Some(who) if !self.server.config.federation.allows(who) => "not-authorized",
            Some(who) if !proves(&self.federation, wire, Some(who)) => "not-authorized",
            Some(who) => {
                wire.send(&Element::new("success", ns::SASL)).await?;
                return Ok(who.clone());
            }
        };
        let failure =
            Element::new("failure", ns::SASL).with_child(Element::new(condition, ns::SASL));
        wire.send(&failure).await?;
        // RFC 6120 §6.4.5: the stream may go on with another try; XEP-0178 has it closed.
        Err(Ended::Finished)
    }
}
