//! A stream that another server opened: TLS, then SASL EXTERNAL or dialback, then stanzas.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use imd_proto::xml::StreamEvent;
use imd_proto::{Condition, Element, Kind, StreamCondition, StreamError, jid, ns};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::connect::said;
use super::dialback::{self, Claim};
use super::{Federation, Pair, Problem};
use crate::sasl;
use crate::server::Server;
use crate::stream::c2s::Ended;
use crate::stream::link::queue::Sender;
use crate::stream::link::wire::{Opening, Wire};
use crate::stream::link::{self, Event, Flow};

/// Keys of one stream that are asked about at one time.
const MAX_CLAIMS: usize = 16;

/// What has been found out about a key.
struct Verified {
    claim: Claim,
    outcome: Result<bool, Problem>,
}

/// Who speaks on a stream, as far as it is known.
struct Inbound {
    server: Arc<Server>,
    federation: Arc<Federation>,
    /// Our domain that the stream is opened to.
    local: String,
    /// Who the other server says it is; absent when it does not say.
    remote: Option<String>,
    /// The stream's id.
    id: String,
    /// The domains that have proved to be on this stream.
    proved: HashSet<String>,
    claims: usize,
    bidi: bool,
    /// The pair whose stanzas go out here too, and the way into its queue.
    adopted: Option<(Pair, Sender)>,
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

fn proves(federation: &Federation, wire: &Wire, domain: Option<&str>) -> bool {
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

    async fn run(mut self, wire: Wire, first: Option<Element>) {
        let patience = self.server.config.limits.login_timeout;
        let stop = self.federation.stop.clone();
        let (mut flow, notes) = Flow::new(wire, None, patience, stop);
        if let Some(remote) = self.proved.iter().next().cloned() {
            let local = self.local.clone();
            self.believe(&mut flow, local, remote);
        }
        let mut outcome = match first {
            Some(first) => self.received(&mut flow, &notes, first).await,
            None => Ok(()),
        };
        let mut left = Vec::new();
        let ended = loop {
            if let Err(ended) = outcome {
                break ended;
            }
            outcome = match flow.next(&self.server).await {
                Ok(Event::Element(element)) => self.received(&mut flow, &notes, element).await,
                Ok(Event::Note(verified)) => self.verified(&mut flow, verified).await,
                Ok(Event::Idle) => {
                    left = self.leave(&mut flow);
                    flow.close().await
                }
                Err(ended) => Err(ended),
            };
        };
        left.append(&mut self.leave(&mut flow));
        let mut unsent = flow.end(&self.server, ended).await;
        unsent.append(&mut left);
        tracing::info!(
            local = self.local,
            remote = self.remote,
            "stream of a server ends"
        );
        if let Some((pair, _)) = &self.adopted {
            let error = Problem::timeout("the connection was lost").stanza_error();
            self.federation
                .send_again(&self.server, pair, unsent, &error)
                .await;
        }
    }

    /// Stop sending on this stream.
    fn leave(&self, flow: &mut Flow<Verified>) -> Vec<link::queue::Outgoing> {
        match (flow.queue.take(), &self.adopted) {
            (Some(mut queue), Some((pair, sender))) => {
                self.federation.leave(pair, sender, &mut queue)
            }
            _ => Vec::new(),
        }
    }

    /// A domain has proved to be on this stream.
    fn believe(&mut self, flow: &mut Flow<Verified>, local: String, remote: String) {
        flow.patience = self.server.config.federation.idle_timeout;
        tracing::info!(local, remote, bidi = self.bidi, "stream of a server");
        self.proved.insert(remote.clone());
        if self.bidi && self.adopted.is_none() {
            let pair = Pair { local, remote };
            if let Some((sender, queue)) = self.federation.adopt(&self.server, &pair) {
                flow.queue = Some(queue);
                self.adopted = Some((pair, sender));
            }
        }
    }

    async fn received(
        &mut self,
        flow: &mut Flow<Verified>,
        notes: &mpsc::Sender<Verified>,
        element: Element,
    ) -> Result<(), Ended> {
        match (element.name(), element.ns()) {
            ("error", ns::STREAM) => {
                tracing::info!(remote = self.remote, said = said(&element), "stream error");
                Err(Ended::Finished)
            }
            ("result", ns::DIALBACK) => self.claim(flow, notes, &element).await,
            ("verify", ns::DIALBACK) => self.answer_verify(flow, &element).await,
            _ if Kind::of(&element).is_some() => self.stanza(flow, element).await,
            (name, _) => Err(StreamError::with_text(
                StreamCondition::UnsupportedStanzaType,
                format!("<{name}> is not expected here"),
            )
            .into()),
        }
    }

    async fn stanza(&mut self, flow: &mut Flow<Verified>, element: Element) -> Result<(), Ended> {
        if self.proved.is_empty() {
            let text = "the stream is not authenticated";
            return Err(StreamError::with_text(StreamCondition::NotAuthorized, text).into());
        }
        let stanza = link::stanza(element, ns::SERVER)?;
        if !self.proved.contains(stanza.from.domain()) {
            let text = format!("{} is not proved on this stream", stanza.from.domain());
            return Err(StreamError::with_text(StreamCondition::InvalidFrom, text).into());
        }
        let to = stanza.to.as_ref().map(imd_proto::Jid::domain);
        // Nothing is passed on to others: that would be an open relay.
        if to.is_none_or(|domain| !self.server.is_local_domain(domain)) {
            return Err(StreamCondition::HostUnknown.into());
        }
        flow.route(&self.server, stanza).await;
        Ok(())
    }

    /// Somebody shows a key as proof that they are a domain (XEP-0220 §2.2).
    async fn claim(
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
            return self.verified_now(flow, Verified { claim, outcome }).await;
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

    async fn verified(
        &mut self,
        flow: &mut Flow<Verified>,
        verified: Verified,
    ) -> Result<(), Ended> {
        self.claims -= 1;
        self.verified_now(flow, verified).await
    }

    async fn verified_now(
        &mut self,
        flow: &mut Flow<Verified>,
        Verified { claim, outcome }: Verified,
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
            self.believe(flow, claim.receiving, claim.originating);
        }
        Ok(())
    }

    /// Another server asks whether we made a key (XEP-0220 §2.4).
    async fn answer_verify(
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
