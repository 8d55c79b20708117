//! Message archive of accounts (XEP-0313), and which messages are worth keeping.

use std::sync::Arc;

use async_trait::async_trait;
use imd_proto::form::{Form, FormBuilder};
use imd_proto::rsm::{PageRequest, page_element};
use imd_proto::{Condition, Element, Jid, MessageType, Stanza, StanzaError, ns, xml};
use imd_store::{ArchiveEntry, ArchiveFilter, ArchiveId, ArchivePage, ArchivePaging, UnixMillis};

use super::{Answer, Feature, Reply, Request, Target, archive_prefs, store_error, time};
use crate::server::Server;

pub(super) struct Archive;

/// Extended queries (XEP-0313 §4.1.5).
const EXTENDED: &str = "urn:xmpp:mam:2#extended";
/// Full-text search (XEP-0431), the form field.
const FULL_TEXT: &str = "{urn:xmpp:fulltext:0}fulltext";

#[async_trait]
impl Feature for Archive {
    fn server_features(&self) -> Vec<&'static str> {
        vec![ns::STANZA_ID]
    }

    fn account_features(&self) -> Vec<&'static str> {
        vec![ns::MAM, EXTENDED, ns::STANZA_ID, FULL_TEXT]
    }

    fn requests(&self) -> Vec<(Target, &'static str)> {
        vec![(Target::Account, ns::MAM)]
    }

    async fn request(&self, request: &Request<'_>) -> Answer {
        let (session, user) = request.own()?;
        let owner = request.server.account_jid(user);
        match (request.payload.name(), request.is_set()) {
            ("query", false) => Ok(Reply::With(query_form())),
            ("query", true) => {
                let (results, fin) =
                    page(request.server, &owner, request.payload, &session.jid).await?;
                for result in results {
                    session.send_xml(result.into());
                }
                Ok(Reply::With(fin))
            }
            ("prefs", set) => archive_prefs::answer(request.server, user, request.payload, set)
                .await
                .map(Reply::With),
            ("metadata", false) => metadata(request.server, &owner).await.map(Reply::With),
            _ => Err(Condition::FeatureNotImplemented.into()),
        }
    }
}

/// The form that describes a query.
#[must_use]
pub fn query_form() -> Element {
    let form = FormBuilder::new("form", ns::MAM)
        .field("with", "jid-single", None, &[])
        .field("start", "text-single", None, &[])
        .field("end", "text-single", None, &[])
        .field("before-id", "text-single", None, &[])
        .field("after-id", "text-single", None, &[])
        .field("ids", "list-multi", None, &[])
        .field(FULL_TEXT, "text-single", None, &[])
        .build();
    Element::new("query", ns::MAM).with_child(form)
}

/// Where the archive begins and ends (XEP-0313 §5).
///
/// # Errors
/// When the store fails.
pub async fn metadata(server: &Server, owner: &Jid) -> Result<Element, StanzaError> {
    settled(server).await;
    let bounds = server
        .store
        .archive_bounds(owner.as_str())
        .await
        .map_err(|e| store_error(&e))?;
    let mut metadata = Element::new("metadata", ns::MAM);
    if let Some((start, end)) = bounds {
        for (name, mark) in [("start", start), ("end", end)] {
            metadata.push(
                Element::new(name, ns::MAM)
                    .with_attr("id", mark.id.to_string())
                    .with_attr("timestamp", time::format(mark.time)),
            );
        }
    }
    Ok(metadata)
}

/// A message may have been delivered and not be committed yet: what was routed before is in the answer. On a disk
/// that refuses writes there is nothing to wait for, and reading goes on.
async fn settled(server: &Server) {
    server.store.append(Vec::new()).await.await.ok();
}

/// A page of an archive for `to`: the result messages, serialised for a stream of clients, and the `<fin/>`.
///
/// # Errors
/// When the query makes no sense, names an id that is not there, or the store fails.
pub async fn page(
    server: &Arc<Server>,
    owner: &Jid,
    query: &Element,
    to: &Jid,
) -> Result<(Vec<String>, Element), StanzaError> {
    page_shown(server, owner, query, to, str::to_owned).await
}

/// The same, where `show` says what of a kept message the receiver may see.
///
/// # Errors
/// As for [`page`].
pub async fn page_shown(
    server: &Arc<Server>,
    owner: &Jid,
    query: &Element,
    to: &Jid,
    show: impl Fn(&str) -> String + Send,
) -> Result<(Vec<String>, Element), StanzaError> {
    let (filter, paging) = read_query(query, server.config.limits.archive_page)?;
    settled(server).await;
    let ids: Vec<ArchiveId> = [paging.after, paging.before, filter.after, filter.before]
        .into_iter()
        .flatten()
        .chain(filter.ids.iter().flatten().copied())
        .collect();
    let store = &server.store;
    if !ids.is_empty()
        && !store
            .archive_has(owner.as_str(), &ids)
            .await
            .map_err(|e| store_error(&e))?
    {
        return Err(StanzaError::with_text(
            Condition::ItemNotFound,
            "the archive has no message of that id",
        ));
    }
    let page = store
        .archive_page(owner.as_str(), filter, paging)
        .await
        .map_err(|e| store_error(&e))?;
    let flip = query.child("flip-page", ns::MAM).is_some();
    let query_id = query.attr("queryid");
    let mut results: Vec<String> = page
        .entries
        .iter()
        .map(|entry| result(owner, to, query_id, entry, &show(&entry.stanza)))
        .collect();
    if flip {
        results.reverse();
    }
    Ok((results, fin(query, &page)))
}

fn result(
    owner: &Jid,
    to: &Jid,
    query_id: Option<&str>,
    entry: &ArchiveEntry,
    stanza: &str,
) -> String {
    let mut out = String::with_capacity(stanza.len() + 400);
    out.push_str("<message");
    xml::attribute_into(&mut out, "from", owner.as_str());
    xml::attribute_into(&mut out, "to", to.as_str());
    out.push_str("><result");
    xml::attribute_into(&mut out, "xmlns", ns::MAM);
    xml::attribute_into(&mut out, "id", &entry.id.to_string());
    if let Some(query_id) = query_id {
        xml::attribute_into(&mut out, "queryid", query_id);
    }
    out.push_str("><forwarded");
    xml::attribute_into(&mut out, "xmlns", ns::FORWARD);
    out.push_str("><delay");
    xml::attribute_into(&mut out, "xmlns", ns::DELAY);
    xml::attribute_into(&mut out, "stamp", &time::format(entry.time));
    out.push_str("/>");
    out.push_str(stanza);
    out.push_str("</forwarded></result></message>");
    out
}

fn fin(query: &Element, page: &ArchivePage) -> Element {
    let id = |entry: Option<&ArchiveEntry>| entry.map(|e| e.id.to_string());
    let (first, last) = (id(page.entries.first()), id(page.entries.last()));
    let mut fin = Element::new("fin", ns::MAM).with_opt_attr("queryid", query.attr("queryid"));
    if page.complete {
        fin.set_attr("complete", "true");
    }
    fin.with_child(page_element(
        first.as_deref(),
        last.as_deref(),
        page.first_index,
        page.count,
    ))
}

fn read_query(query: &Element, most: u32) -> Result<(ArchiveFilter, ArchivePaging), StanzaError> {
    let bad = |text: String| StanzaError::with_text(Condition::BadRequest, text);
    let mut filter = ArchiveFilter::default();
    if let Some(form) = Form::find(query) {
        if form.context().is_some_and(|context| context != ns::MAM) {
            return Err(bad(format!("the form's FORM_TYPE must be {}", ns::MAM)));
        }
        for (name, values) in &form.fields {
            let value = values.first().map(String::as_str).unwrap_or_default();
            read_field(&mut filter, name, value, values)?;
        }
    }
    let page = PageRequest::find(query).map_err(bad)?;
    let id = |text: &Option<String>| match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| StanzaError::new(Condition::ItemNotFound)),
    };
    let paging = ArchivePaging {
        after: id(&page.after)?,
        before: id(&page.before)?,
        backwards: page.is_backwards(),
        max: page.max.unwrap_or(most).min(most),
        count: true,
    };
    Ok((filter, paging))
}

fn read_field(
    filter: &mut ArchiveFilter,
    name: &str,
    value: &str,
    values: &[String],
) -> Result<(), StanzaError> {
    let bad = || {
        StanzaError::with_text(
            Condition::BadRequest,
            format!("the field {name} cannot be {value:?}"),
        )
    };
    let id = |text: &str| {
        text.parse::<ArchiveId>()
            .map_err(|_| StanzaError::new(Condition::ItemNotFound))
    };
    match name {
        "FORM_TYPE" => {}
        "with" => {
            let jid: Jid = value.parse().map_err(|_| bad())?;
            filter.with = Some(jid.bare_str().to_owned());
            filter.with_resource = jid.resource().map(str::to_owned);
        }
        "start" => filter.start = Some(time::parse(value).ok_or_else(bad)?),
        "end" => filter.end = Some(time::parse(value).ok_or_else(bad)?),
        "after-id" => filter.after = Some(id(value)?),
        "before-id" => filter.before = Some(id(value)?),
        "ids" => filter.ids = Some(values.iter().map(|v| id(v)).collect::<Result<_, _>>()?),
        FULL_TEXT | "withtext" => filter.text = Some(value.to_owned()),
        _ => {
            // XEP-0313 §4.1: a field that is not understood must not be ignored.
            let text = format!("the archive does not know the field {name}");
            return Err(StanzaError::with_text(
                Condition::FeatureNotImplemented,
                text,
            ));
        }
    }
    Ok(())
}

/// The entry of a message in an account's archive; absent when it is not to be kept. `with`: the other side. `written`
/// makes of the owner's address what is kept.
#[must_use]
pub fn entry(
    server: &Server,
    user: &str,
    stanza: &Stanza,
    with: &Jid,
    now: UnixMillis,
    written: impl FnOnce(&Jid) -> String,
) -> Option<ArchiveEntry> {
    if !server.config.archive.enabled
        || stanza.message_type() == MessageType::Groupchat
        || !may_archive(stanza)
    {
        return None;
    }
    let owner = server.account_jid(user);
    let origin = stanza
        .element
        .child("origin-id", ns::STANZA_ID)
        .and_then(|o| o.attr("id"));
    Some(ArchiveEntry {
        id: server.store.archive_ids().next(),
        owner: owner.as_str().to_owned(),
        with: with.bare_str().to_owned(),
        with_resource: with.resource().map(str::to_owned),
        time: now,
        stanza: written(&owner),
        message_id: stanza.id().map(str::to_owned),
        origin_id: origin.map(str::to_owned),
        groupchat: false,
        body: stanza.element.child_text("body"),
    })
}

/// A message as the owner of an archive keeps it: without what others claim about that archive.
#[must_use]
pub fn kept(message: &Element, owner: &Jid) -> String {
    let mut message = message.clone();
    mark(&mut message, owner, None);
    message.to_xml()
}

/// Note in a message under which id its archive has it (XEP-0359 §3), and remove what others claim about that.
pub fn mark(message: &mut Element, owner: &Jid, id: Option<ArchiveId>) {
    message.remove_children(|c| {
        c.is("stanza-id", ns::STANZA_ID) && c.attr("by") == Some(owner.as_str())
    });
    if let Some(id) = id {
        message.push(
            Element::new("stanza-id", ns::STANZA_ID)
                .with_attr("by", owner.as_str())
                .with_attr("id", id.to_string()),
        );
    }
}

/// Whether a message is kept for an account that is offline (XEP-0160 §3).
#[must_use]
pub fn may_store(stanza: &Stanza) -> bool {
    stanza.element.child("no-store", ns::HINTS).is_none()
        && matches!(
            stanza.message_type(),
            MessageType::Chat | MessageType::Normal
        )
        && has_content(&stanza.element)
}

fn may_archive(stanza: &Stanza) -> bool {
    let hint = |name| stanza.element.child(name, ns::HINTS).is_some();
    if hint("no-store") || hint("no-permanent-store") || stanza.is_error() {
        return false;
    }
    if stanza.message_type() == MessageType::Headline {
        return hint("store");
    }
    has_content(&stanza.element)
}

/// Whether there is more in a message than that somebody is typing (XEP-0313 §7.1).
#[must_use]
pub fn has_content(message: &Element) -> bool {
    message.child("store", ns::HINTS).is_some()
        || message.children().any(|child| match child.ns() {
            ns::CLIENT => matches!(child.name(), "body" | "subject"),
            ns::CHAT_STATES
            | ns::HINTS
            | ns::STANZA_ID
            | ns::DELAY
            | ns::PUBSUB_EVENT
            | ns::CARBONS => false,
            other => is_kept(other),
        })
}

/// Extensions that make a message worth keeping without a body.
fn is_kept(ns: &str) -> bool {
    const KEPT: &[&str] = &[
        ns::RECEIPTS,
        ns::CHAT_MARKERS,
        ns::MUC_USER,
        "jabber:x:conference",
        "eu.siacs.conversations.axolotl",
        "urn:xmpp:omemo:2",
        "jabber:x:encrypted",
        "urn:xmpp:openpgp:0",
        "urn:xmpp:reactions:0",
        "urn:xmpp:message-retract:1",
        "urn:xmpp:message-correct:0",
        "urn:xmpp:fasten:0",
        "urn:xmpp:sfs:0",
        "urn:xmpp:call-invites:0",
    ];
    KEPT.contains(&ns) || ns.starts_with("urn:xmpp:jingle-message:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use imd_proto::Kind;

    fn message(inner: &str, kind: &str) -> Stanza {
        let text = format!("<message xmlns='jabber:client' type='{kind}'>{inner}</message>");
        let element = xml::parse_document(&text, xml::Limits::default()).unwrap();
        Stanza::stamp(Kind::Message, element, "a@b/c".parse().unwrap()).unwrap()
    }

    #[test]
    fn what_is_worth_keeping_is_kept() {
        let hint = "<body>x</body><no-store xmlns='urn:xmpp:hints'/>";
        let once = "<body>x</body><no-permanent-store xmlns='urn:xmpp:hints'/>";
        let typing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
        let receipt = "<received xmlns='urn:xmpp:receipts' id='1'/>";
        for (inner, kind, archived, stored) in [
            ("<body>x</body>", "chat", true, true),
            ("<body>x</body>", "normal", true, true),
            ("<body>x</body>", "headline", false, false),
            ("<body>x</body>", "error", false, false),
            (hint, "chat", false, false),
            (once, "chat", false, true),
            (typing, "chat", false, false),
            (receipt, "chat", true, true),
        ] {
            let message = message(inner, kind);
            assert_eq!(
                (may_archive(&message), may_store(&message)),
                (archived, stored),
                "{kind} {inner}"
            );
        }
    }

    #[test]
    fn a_forged_archive_id_is_replaced() {
        let owner: Jid = "a@b".parse().unwrap();
        let mut element = message(
            "<stanza-id xmlns='urn:xmpp:sid:0' by='a@b' id='forged'/>",
            "chat",
        )
        .element;
        mark(&mut element, &owner, Some(ArchiveId(1)));
        let ids: Vec<_> = element
            .children()
            .map(|c| c.attr("id").unwrap().to_owned())
            .collect();
        assert_eq!(ids, [ArchiveId(1).to_string()]);
    }
}
