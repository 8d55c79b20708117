//! Entity capabilities (XEP-0115): the server announces its own, and learns from its clients' which nodes they want
//! to hear of. A client that has just said so gets the newest item of each (XEP-0163 §4.3.4).

pub mod hash;
mod interests;
mod last_items;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use imd_proto::{Element, Jid, Kind, Stanza, ns};

use super::Feature;
use crate::server::Server;
use crate::session::Session;

pub use interests::{Interests, Nodes, Who, wants};

/// Names this software to those who remember capabilities.
pub const NODE: &str = "urn:imd:server";
/// How long a client has to say what it can do.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Caps;

#[async_trait]
impl Feature for Caps {
    fn server_features(&self) -> Vec<&'static str> {
        vec![ns::CAPS, "http://jabber.org/protocol/caps#optimize"]
    }

    async fn available(&self, server: &Arc<Server>, session: &Arc<Session>, presence: &Stanza) {
        seen(server, Who::Session(Arc::clone(session)), &presence.element).await;
    }
}

/// The stream feature with the server's capabilities (§6.3).
#[must_use]
pub fn stream_feature(server: &Arc<Server>) -> Element {
    let ver = server
        .interests
        .own(|| hash::ver(&super::disco::server_info(server), "sha-1").unwrap_or_default());
    Element::new("c", ns::CAPS)
        .with_attr("hash", "sha-1")
        .with_attr("node", NODE)
        .with_attr("ver", ver)
}

/// Presence of somebody elsewhere that an account gets.
///
/// Boxed: asking for capabilities routes stanzas, and routing comes here.
pub fn contact_presence<'a>(
    server: &'a Arc<Server>,
    presence: &'a Stanza,
    user: &'a str,
) -> BoxFuture<'a, ()> {
    Box::pin(seen_elsewhere(server, presence, user))
}

async fn seen_elsewhere(server: &Arc<Server>, presence: &Stanza, user: &str) {
    if presence.from.is_bare() || presence.from.domain() == server.config.domain {
        return;
    }
    match presence.type_attr() {
        None => {
            let who = Who::Elsewhere {
                user: user.to_owned(),
                jid: presence.from.clone(),
            };
            seen(server, who, &presence.element).await;
        }
        Some("unavailable") => server.interests.forget_elsewhere(user, &presence.from),
        _ => {}
    }
}

/// A client has shown its capabilities: use what is known of its kind, or ask it.
async fn seen(server: &Arc<Server>, who: Who, presence: &Element) {
    let Some(caps) = presence.child("c", ns::CAPS) else {
        return;
    };
    let (Some(node), Some(ver), Some(hash)) =
        (caps.attr("node"), caps.attr("ver"), caps.attr("hash"))
    else {
        return;
    };
    let asked = Asked {
        kind: format!("{hash}:{ver}"),
        hash: hash.to_owned(),
        ver: ver.to_owned(),
        node: format!("{node}#{ver}"),
    };
    if let Some(nodes) = server.interests.known(&asked.kind) {
        return learned(server, &who, &nodes).await;
    }
    if server.interests.must_ask(&asked.kind, &who) {
        let server = Arc::clone(server);
        tokio::spawn(async move { ask_until_known(&server, &asked, who).await });
    }
}

/// What a client is asked about.
struct Asked {
    kind: String,
    hash: String,
    ver: String,
    node: String,
}

async fn ask_until_known(server: &Arc<Server>, asked: &Asked, first: Who) {
    let mut next = Some(first);
    while let Some(who) = next {
        if let Some(info) = ask(server, asked, &who).await {
            let nodes: Nodes = hash::wanted_nodes(&info).into();
            // Only what has its hash may speak for others (§5.4): a wrong one counts for who sent it alone.
            if hash::ver(&info, &asked.hash).as_deref() == Some(asked.ver.as_str()) {
                let waited = server.interests.learn(&asked.kind, &nodes);
                learned(server, &who, &nodes).await;
                for other in waited {
                    learned(server, &other, &nodes).await;
                }
                return;
            }
            learned(server, &who, &nodes).await;
        }
        next = server.interests.next_to_ask(&asked.kind);
    }
}

async fn ask(server: &Arc<Server>, asked: &Asked, who: &Who) -> Option<Element> {
    let (user, to): (&str, &Jid) = match who {
        Who::Session(session) => (&session.user, &session.jid),
        Who::Elsewhere { user, jid } => (user, jid),
    };
    let query = Element::new("query", ns::DISCO_INFO).with_attr("node", asked.node.as_str());
    let iq = Element::new("iq", ns::CLIENT)
        .with_attr("type", "get")
        .with_attr("id", server.random_id::<8>())
        .with_attr("to", to.as_str())
        .with_child(query);
    let request = Stanza::stamp(Kind::Iq, iq, server.account_jid(user)).ok()?;
    let answer = crate::route::asked::ask(server, request, PATIENCE).await?;
    if answer.type_attr() != Some("result") {
        return None;
    }
    answer.element.child("query", ns::DISCO_INFO).cloned()
}

/// It is known what a client wants: remember it, and send the newest items of what it did not want before.
async fn learned(server: &Arc<Server>, who: &Who, nodes: &Nodes) {
    match who {
        Who::Session(session) => {
            let before = {
                let mut state = session.state();
                if state.presence.is_none() {
                    return;
                }
                state.notify.replace(Arc::clone(nodes))
            };
            let new: Vec<String> = nodes
                .iter()
                .filter(|n| before.as_ref().is_none_or(|before| !wants(before, n)))
                .cloned()
                .collect();
            last_items::for_session(server, session, new).await;
        }
        Who::Elsewhere { user, jid } => {
            if server.interests.set_elsewhere(user, jid, nodes) {
                last_items::for_contact(server, user, jid, nodes.to_vec()).await;
            }
        }
    }
}

pub use last_items::for_new_contact;
