//! Bookmarks of rooms, one set seen through three protocols (XEP-0402 §5 `#compat`, XEP-0411): the items of
//! `urn:xmpp:bookmarks:1`, the one item of the node `storage:bookmarks` (XEP-0048), and private storage (XEP-0049).
//!
//! The items are what is kept; the other two are made of them when they are asked for. What the old formats have
//! besides rooms (addresses of web pages) stays where it was put.

use imd_proto::{Element, Jid, StanzaError, ns};
use imd_store::Item;

use super::host::{Found, Host};
use super::node::{AccessModel, MaxItems, NodeConfig, SendLast};
use super::notify::{self, Event};
use super::{publish, read};
use crate::feature::store_error;

/// Node and namespace of XEP-0402.
pub const NS: &str = "urn:xmpp:bookmarks:1";
/// Node and namespace of XEP-0048.
pub const OLD: &str = "storage:bookmarks";
/// The id of the one item of the old node.
pub const OLD_ITEM: &str = "current";

/// What the node of bookmarks is like (XEP-0402 §3.1).
fn config() -> NodeConfig {
    NodeConfig {
        access_model: AccessModel::Whitelist,
        max_items: MaxItems::Max,
        send_last: SendLast::Never,
        ..NodeConfig::pep()
    }
}

fn is_true(value: Option<&str>) -> bool {
    matches!(value, Some("1" | "true"))
}

/// A bookmark of XEP-0048 as one of XEP-0402, with what only the new one has taken from `before`.
#[must_use]
pub fn modern(old: &Element, before: Option<&Element>) -> Element {
    let mut new = Element::new("conference", NS)
        .with_opt_attr("name", old.attr("name"))
        .with_opt_attr("autojoin", is_true(old.attr("autojoin")).then_some("true"));
    for name in ["nick", "password"] {
        if let Some(text) = old.child(name, OLD).map(Element::text) {
            new.push(Element::new(name, NS).with_text(text));
        }
    }
    if let Some(extensions) = before.and_then(|b| b.child("extensions", NS)) {
        new.push(extensions.clone());
    }
    new
}

/// A bookmark of XEP-0402 as one of XEP-0048.
#[must_use]
pub fn old(jid: &str, new: &Element) -> Element {
    let mut old = Element::new("conference", OLD)
        .with_attr("jid", jid)
        .with_opt_attr("name", new.attr("name"))
        .with_opt_attr("autojoin", is_true(new.attr("autojoin")).then_some("true"));
    for name in ["nick", "password"] {
        if let Some(text) = new.child(name, NS).map(Element::text) {
            old.push(Element::new(name, OLD).with_text(text));
        }
    }
    old
}

/// The old format with these bookmarks, and with what `base` has besides rooms.
#[must_use]
pub fn storage(bookmarks: &[(String, Element)], base: Option<&Element>) -> Element {
    let mut storage = base
        .cloned()
        .unwrap_or_else(|| Element::new("storage", OLD));
    storage.remove_children(|c| c.is("conference", OLD));
    storage.with_children(bookmarks.iter().map(|(jid, new)| old(jid, new)))
}

/// What has to be published and retracted so that the bookmarks are those of an old format.
#[must_use]
pub fn changes(
    bookmarks: &[(String, Element)],
    storage: &Element,
) -> (Vec<(String, Element)>, Vec<String>) {
    let mut wanted: Vec<(String, Element)> = Vec::new();
    for conference in storage.children().filter(|c| c.is("conference", OLD)) {
        let Some(jid) = conference.attr("jid").and_then(|j| j.parse::<Jid>().ok()) else {
            continue;
        };
        let id = jid.bare_str();
        let before = bookmarks.iter().find(|(known, _)| known == id);
        // Of two for one room the last counts.
        wanted.retain(|(known, _)| known != id);
        wanted.push((id.to_owned(), modern(conference, before.map(|(_, b)| b))));
    }
    let gone = bookmarks
        .iter()
        .filter(|(id, _)| wanted.iter().all(|(wanted, _)| wanted != id))
        .map(|(id, _)| id.clone())
        .collect();
    wanted.retain(|(id, new)| {
        bookmarks
            .iter()
            .find(|(known, _)| known == id)
            .is_none_or(|(_, before)| old(id, before) != old(id, new))
    });
    (wanted, gone)
}

/// The bookmarks of an account; `None` while it has none and never had.
///
/// # Errors
/// When the store fails.
pub async fn all(host: &Host<'_>) -> Result<Option<Vec<(String, Element)>>, StanzaError> {
    if host.find(NS).await?.is_none() {
        return Ok(None);
    }
    let items = host
        .server
        .store
        .items(host.jid.as_str(), NS, u32::MAX)
        .await
        .map_err(|e| store_error(&e))?;
    Ok(Some(items.iter().filter_map(bookmark).collect()))
}

fn bookmark(item: &Item) -> Option<(String, Element)> {
    let payload = read::read_payload(item)?;
    payload
        .is("conference", NS)
        .then(|| (item.id.clone(), payload))
}

/// Take over what a client wrote in an old format.
///
/// # Errors
/// When the store fails; what was taken over before stays.
pub async fn take(host: &Host<'_>, storage: &Element) -> Result<(), StanzaError> {
    let bookmarks = all(host).await?.unwrap_or_default();
    let (published, gone) = changes(&bookmarks, storage);
    for (id, new) in &published {
        publish::put_own(host, NS, config(), id, new).await?;
    }
    if !gone.is_empty() {
        let node = host.get(NS).await?;
        for id in &gone {
            publish::retract_own(host, &node, id).await?;
        }
    }
    Ok(())
}

/// Bookmark a room for an account, so that its clients enter it by themselves, unless it is bookmarked already.
///
/// # Errors
/// When the store fails.
pub async fn enter(host: &Host<'_>, room: &Jid, name: &str) -> Result<(), StanzaError> {
    let found = host.server.store.item(host.jid.as_str(), NS, room.as_str());
    if found.await.map_err(|e| store_error(&e))?.is_some() {
        return Ok(());
    }
    let bookmark = Element::new("conference", NS)
        .with_attr("name", name)
        .with_attr("autojoin", "true");
    publish::put_own(host, NS, config(), room.as_str(), &bookmark).await?;
    changed(host).await;
    Ok(())
}

/// Take the bookmark of a room away, where there is one.
///
/// # Errors
/// When the store fails.
pub async fn leave(host: &Host<'_>, room: &Jid) -> Result<(), StanzaError> {
    if let Some(node) = host.find(NS).await?
        && publish::retract_own(host, &node, room.as_str()).await?
    {
        changed(host).await;
    }
    Ok(())
}

/// Give the bookmark of a room another name, where it has the old one.
///
/// # Errors
/// When the store fails.
pub async fn rename(host: &Host<'_>, room: &Jid, old: &str, new: &str) -> Result<(), StanzaError> {
    let found = host.server.store.item(host.jid.as_str(), NS, room.as_str());
    let found = found.await.map_err(|e| store_error(&e))?;
    let Some((_, mut bookmark)) = found.as_ref().and_then(bookmark) else {
        return Ok(());
    };
    if bookmark.attr("name") == Some(old) {
        bookmark.set_attr("name", new);
        publish::put_own(host, NS, config(), room.as_str(), &bookmark).await?;
        changed(host).await;
    }
    Ok(())
}

/// The bookmarks have changed: tell those who follow the old node.
pub(super) async fn changed(host: &Host<'_>) {
    let outcome: Result<(), StanzaError> = async {
        let node = match host.find(OLD).await? {
            Some(node) => node,
            None => Found::from(host.new_node(OLD, &host.jid, &config())),
        };
        if let Some(storage) = old_item(host).await? {
            notify::send(host, &node, Event::Published(OLD_ITEM, Some(&storage))).await;
        }
        Ok(())
    }
    .await;
    if let Err(error) = outcome {
        tracing::warn!(account = %host.jid, ?error, "cannot tell of changed bookmarks");
    }
}

/// The payload of the old node's one item, made of the bookmarks; `None` when there is nothing to make it of.
///
/// # Errors
/// When the store fails.
pub async fn old_item(host: &Host<'_>) -> Result<Option<Element>, StanzaError> {
    let Some(bookmarks) = all(host).await? else {
        return Ok(None);
    };
    let kept = host
        .server
        .store
        .items(host.jid.as_str(), OLD, 1)
        .await
        .map_err(|e| store_error(&e))?;
    let base = kept.last().and_then(read::read_payload);
    Ok(Some(storage(&bookmarks, base.as_ref())))
}

/// Answer a request for the items of the old node; `None` when they are to be answered as any others.
///
/// # Errors
/// When the store fails.
pub(super) async fn old_items(host: &Host<'_>, from: &Jid) -> Result<Option<Element>, StanzaError> {
    if host.user.is_none() || !from.same_bare(&host.jid) {
        return Ok(None);
    }
    Ok(old_item(host).await?.map(|storage| {
        let item = Element::new("item", ns::PUBSUB)
            .with_attr("id", OLD_ITEM)
            .with_child(storage);
        Element::new("pubsub", ns::PUBSUB).with_child(
            Element::new("items", ns::PUBSUB)
                .with_attr("node", OLD)
                .with_child(item),
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use imd_proto::xml::{Limits, parse_document};

    fn xml(text: &str) -> Element {
        parse_document(text, Limits::default()).unwrap()
    }

    /// As the reader has it, which sorts attributes.
    fn read(element: &Element) -> Element {
        xml(&element.to_xml())
    }

    fn kept() -> Vec<(String, Element)> {
        vec![
            (
                "a@rooms".into(),
                xml(
                    "<conference xmlns='urn:xmpp:bookmarks:1' name='A' autojoin='1'><nick>me</nick>\
                     <extensions><pinned xmlns='urn:x'/></extensions></conference>",
                ),
            ),
            (
                "b@rooms".into(),
                xml("<conference xmlns='urn:xmpp:bookmarks:1'/>"),
            ),
        ]
    }

    #[test]
    fn the_old_format_shows_all_bookmarks_and_keeps_web_pages() {
        let base = xml(
            "<storage xmlns='storage:bookmarks'><url url='https://x'/><conference jid='gone@rooms'/></storage>",
        );
        assert_eq!(
            read(&storage(&kept(), Some(&base))),
            xml("<storage xmlns='storage:bookmarks'><url url='https://x'/>\
                 <conference jid='a@rooms' name='A' autojoin='true'><nick>me</nick></conference>\
                 <conference jid='b@rooms'/></storage>")
        );
    }

    #[test]
    fn what_an_old_client_changes_is_changed_and_nothing_else() {
        let written = xml("<storage xmlns='storage:bookmarks'>\
             <conference jid='a@rooms' name='A' autojoin='1'><nick>you</nick></conference>\
             <conference jid='c@rooms'/><conference jid='@'/></storage>");
        let (published, gone) = changes(&kept(), &written);
        assert_eq!(gone, ["b@rooms"]);
        let published: Vec<_> = published
            .into_iter()
            .map(|(id, new)| (id, read(&new)))
            .collect();
        assert_eq!(
            published,
            [
                (
                    "a@rooms".to_owned(),
                    xml(
                        "<conference xmlns='urn:xmpp:bookmarks:1' name='A' autojoin='true'><nick>you</nick>\
                         <extensions><pinned xmlns='urn:x'/></extensions></conference>"
                    )
                ),
                (
                    "c@rooms".to_owned(),
                    xml("<conference xmlns='urn:xmpp:bookmarks:1'/>")
                ),
            ]
        );
    }

    #[test]
    fn writing_the_same_again_changes_nothing() {
        let (published, gone) = changes(&kept(), &storage(&kept(), None));
        assert!(published.is_empty() && gone.is_empty());
    }
}
