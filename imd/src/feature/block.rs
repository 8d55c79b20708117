//! Blocking (XEP-0191): the list and its pushes. What it stops is in [`crate::route::blocked`].

use std::sync::Arc;

use async_trait::async_trait;
use imd_proto::{Condition, Element, Jid, Kind, Stanza, StanzaError, ns};

use super::{Answer, Feature, Reply, Request, Target, report, store_error};
use crate::route::{blocked::covers, presence};
use crate::server::Server;

pub(super) struct Block;

#[async_trait]
impl Feature for Block {
    fn server_features(&self) -> Vec<&'static str> {
        vec![ns::BLOCKING]
    }

    fn account_features(&self) -> Vec<&'static str> {
        vec![ns::BLOCKING]
    }

    fn requests(&self) -> Vec<(Target, &'static str)> {
        vec![
            (Target::Account, ns::BLOCKING),
            (Target::Server, ns::BLOCKING),
        ]
    }

    async fn request(&self, request: &Request<'_>) -> Answer {
        let (session, user) = request.own()?;
        let store = &request.server.store;
        match (request.payload.name(), request.is_set()) {
            ("blocklist", false) => {
                session.state().blocking = true;
                let blocked = store.blocked(user).await.map_err(|e| store_error(&e))?;
                Ok(Reply::With(
                    Element::new("blocklist", ns::BLOCKING)
                        .with_children(blocked.iter().map(|j| item(j))),
                ))
            }
            ("block", true) => {
                let jids = jids(request.payload)?;
                if jids.is_empty() {
                    return Err(StanzaError::with_text(
                        Condition::BadRequest,
                        "name whom to block",
                    ));
                }
                let reports = reports(request.payload)?;
                let max = request.server.config.limits.blocked;
                let before = store.blocked(user).await.map_err(|e| store_error(&e))?;
                let new = store
                    .block(user, &jids, max)
                    .await
                    .map_err(|e| store_error(&e))?;
                // Whoever is blocked now must not see the account any more (XEP-0191 §3.2), said before it takes effect.
                request.server.blocked.hold(user, before);
                presence::hide_from(request.server, user, |jid| {
                    new.iter().any(|entry| covers(entry, jid))
                })
                .await;
                request.server.blocked.forget(user);
                push(request.server, user, "block", &jids);
                for reported in &reports {
                    report::file(request.server, user, reported).await?;
                }
                Ok(Reply::Empty)
            }
            ("unblock", true) => {
                let jids = jids(request.payload)?;
                let freed = if jids.is_empty() {
                    store.unblock_all(user).await
                } else {
                    store.unblock(user, &jids).await
                };
                let freed = freed.map_err(|e| store_error(&e))?;
                request.server.blocked.forget(user);
                presence::show_to(request.server, user, |jid| {
                    freed.iter().any(|entry| covers(entry, jid))
                })
                .await;
                push(request.server, user, "unblock", &jids);
                Ok(Reply::Empty)
            }
            _ => Err(Condition::BadRequest.into()),
        }
    }
}

fn item(jid: &str) -> Element {
    Element::new("item", ns::BLOCKING).with_attr("jid", jid)
}

fn jids(payload: &Element) -> Result<Vec<String>, StanzaError> {
    payload
        .children()
        .filter(|c| c.is("item", ns::BLOCKING))
        .map(|item| {
            let jid = item.attr("jid").ok_or(Condition::BadRequest)?;
            jid.parse::<Jid>().map(|jid| jid.to_string()).map_err(|e| {
                StanzaError::with_text(Condition::JidMalformed, format!("{jid:?}: {e}"))
            })
        })
        .collect()
}

fn reports(payload: &Element) -> Result<Vec<report::Reported>, StanzaError> {
    payload
        .children()
        .filter(|c| c.is("item", ns::BLOCKING))
        .filter_map(|item| report::read(item).transpose())
        .collect()
}

fn push(server: &Arc<Server>, user: &str, name: &'static str, jids: &[String]) {
    for session in server
        .directory
        .sessions(user)
        .iter()
        .filter(|s| s.state().blocking)
    {
        let push = Element::new("iq", ns::CLIENT)
            .with_attr("type", "set")
            .with_attr("id", server.random_id::<8>())
            .with_attr("to", session.jid.as_str())
            .with_child(
                Element::new(name, ns::BLOCKING).with_children(jids.iter().map(|j| item(j))),
            );
        if let Ok(push) = Stanza::stamp(Kind::Iq, push, server.account_jid(user)) {
            session.send(&push.element);
        }
    }
}
