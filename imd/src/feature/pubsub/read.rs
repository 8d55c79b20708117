//! Reading items (XEP-0060 §6.5), and what discovery shows of nodes (§5).

use imd_proto::rsm::{PageRequest, page_element};
use imd_proto::{Condition, Element, Jid, StanzaError, ns};
use imd_store::Item;

use super::access::may_read;
use super::host::Host;
use super::{bookmarks, fields, node_name};
use crate::feature::{Answer, Reply, store_error};
use crate::route;

/// About how many bytes of items one answer has. What does not fit is left out, and the result set says so (§6.5.4).
const ANSWER_BYTES: usize = 1024 * 1024;
/// Items asked for by id in one request.
const MAX_IDS: usize = 500;

/// Answer `<items/>`.
pub(super) async fn items(
    host: &Host<'_>,
    from: &Jid,
    items: &Element,
    pubsub: &Element,
) -> Answer {
    let name = node_name(items)?;
    if name == bookmarks::OLD
        && let Some(made) = bookmarks::old_items(host, from).await?
    {
        return Ok(Reply::With(made));
    }
    let node = host.get(name).await?;
    let viewer = host.viewer(&node, from).await?;
    may_read(&node.config, &viewer)?;
    let bad = |text: String| StanzaError::with_text(Condition::BadRequest, text);
    let mut found = Element::new("items", ns::PUBSUB).with_attr("node", name);
    let mut answer = Element::new("pubsub", ns::PUBSUB);
    let ids: Vec<&str> = items
        .children()
        .filter(|c| c.is("item", ns::PUBSUB))
        .filter_map(|c| c.attr("id"))
        .collect();
    if ids.len() > MAX_IDS {
        return Err(bad(format!("ask for {MAX_IDS} items at a time")));
    }
    if !ids.is_empty() {
        let store = &host.server.store;
        let mut bytes = 0;
        for id in ids {
            let item = store.item(host.jid.as_str(), name, id).await;
            if let Some(item) = item.map_err(|e| store_error(&e))? {
                bytes += item.payload.len();
                if bytes > ANSWER_BYTES && found.first_child().is_some() {
                    break;
                }
                found.push(item_element(&item));
            }
        }
        return Ok(Reply::With(answer.with_child(found)));
    }
    let max = match items.attr("max_items") {
        None => u32::MAX,
        Some(text) => text.parse::<u32>().ok().filter(|n| *n > 0).ok_or_else(|| {
            bad(format!(
                "max_items is a whole number from 1, found {text:?}"
            ))
        })?,
    };
    let page = PageRequest::find(pubsub).map_err(bad)?;
    let all = host
        .server
        .store
        .items(host.jid.as_str(), name, max)
        .await
        .map_err(|e| store_error(&e))?;
    let total = all.len();
    let paged = pubsub.child("set", ns::RSM).is_some();
    let (first, chosen) = choose(&all, &page)?;
    let complete = chosen.len() == total;
    let ends = (chosen.first().map(|i| &i.id), chosen.last().map(|i| &i.id));
    found = found.with_children(chosen.iter().map(item_element));
    answer.push(found);
    if paged || !complete {
        answer.push(page_element(
            ends.0.map(String::as_str),
            ends.1.map(String::as_str),
            ends.0.map(|_| first as u64),
            Some(total as u64),
        ));
    }
    Ok(Reply::With(answer))
}

/// The items of a page, and the index of the first. Without a page request, the newest that fit.
fn choose<'i>(all: &'i [Item], page: &PageRequest) -> Result<(usize, &'i [Item]), StanzaError> {
    let position = |id: &str| {
        all.iter()
            .position(|item| item.id == id)
            .ok_or_else(|| StanzaError::new(Condition::ItemNotFound))
    };
    let max = page.max.map_or(all.len(), |max| max as usize);
    let mut start = match (&page.after, page.index) {
        (Some(after), _) if !after.is_empty() => position(after)? + 1,
        (_, Some(index)) => (index as usize).min(all.len()),
        _ => 0,
    };
    let mut end = match page.before.as_deref() {
        None | Some("") => all.len(),
        Some(before) => position(before)?,
    };
    end = end.max(start);
    let from_the_end =
        page.is_backwards() || (page.max.is_none() && page.after.is_none() && page.index.is_none());
    let mut bytes = 0;
    let mut fits = |item: &Item| {
        bytes += item.payload.len() + item.id.len() + 64;
        bytes <= ANSWER_BYTES
    };
    if from_the_end {
        let count = all[start..end]
            .iter()
            .rev()
            .take(max)
            .take_while(|item| fits(item))
            .count();
        start = end - count.max(usize::from(start < end && max > 0));
    } else {
        let count = all[start..end]
            .iter()
            .take(max)
            .take_while(|item| fits(item))
            .count();
        end = start + count.max(usize::from(start < end && max > 0));
    }
    Ok((start, &all[start..end]))
}

/// An item as it stands in an answer.
fn item_element(item: &Item) -> Element {
    let element = Element::new("item", ns::PUBSUB).with_attr("id", item.id.as_str());
    match read_payload(item) {
        Some(payload) => element.with_child(payload),
        None => element,
    }
}

/// The payload of a stored item.
pub fn read_payload(item: &Item) -> Option<Element> {
    (!item.payload.is_empty())
        .then(|| route::read_stored(&item.payload))
        .flatten()
}

/// Answer disco#info for a node (§5.3, §5.4).
///
/// # Errors
/// `item-not-found` for a node that is not there or may not be seen.
pub async fn node_info(host: &Host<'_>, from: &Jid, name: &str) -> Result<Element, StanzaError> {
    let node = host.get(name).await?;
    let viewer = host.viewer(&node, from).await?;
    // On an account, only those who may read a node learn that it is there.
    if host.user.is_some() && may_read(&node.config, &viewer).is_err() {
        return Err(Condition::ItemNotFound.into());
    }
    let identity = Element::new("identity", ns::DISCO_INFO)
        .with_attr("category", "pubsub")
        .with_attr("type", "leaf");
    Ok(Element::new("query", ns::DISCO_INFO)
        .with_attr("node", name)
        .with_child(identity)
        .with_child(Element::new("feature", ns::DISCO_INFO).with_attr("var", ns::PUBSUB))
        .with_child(fields::meta_data(&node.config, &node.stored.creator)))
}

/// Answer disco#items: the nodes that may be seen, or with a node the ids of its items (§5.2, §5.5).
///
/// # Errors
/// `item-not-found` for an unknown node, or when the store fails.
pub async fn disco_items(
    host: &Host<'_>,
    from: &Jid,
    name: Option<&str>,
) -> Result<Element, StanzaError> {
    let item = || Element::new("item", ns::DISCO_ITEMS).with_attr("jid", host.jid.as_str());
    let mut query = Element::new("query", ns::DISCO_ITEMS).with_opt_attr("node", name);
    let store = &host.server.store;
    if let Some(name) = name {
        let node = host.get(name).await?;
        let viewer = host.viewer(&node, from).await?;
        may_read(&node.config, &viewer)?;
        let items = store
            .items(host.jid.as_str(), name, u32::MAX)
            .await
            .map_err(|e| store_error(&e))?;
        return Ok(query.with_children(items.iter().map(|i| item().with_attr("name", &*i.id))));
    }
    let nodes = store
        .nodes(host.jid.as_str())
        .await
        .map_err(|e| store_error(&e))?;
    for node in nodes {
        let node = super::host::Found::from(node);
        let viewer = host.viewer(&node, from).await?;
        if may_read(&node.config, &viewer).is_ok() {
            let title = Some(node.config.title.as_str()).filter(|t| !t.is_empty());
            query.push(
                item()
                    .with_attr("node", node.stored.name.as_str())
                    .with_opt_attr("name", title),
            );
        }
    }
    Ok(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(ids: &[&str], bytes: usize) -> Vec<Item> {
        ids.iter()
            .map(|id| Item {
                id: (*id).to_owned(),
                publisher: String::new(),
                time: 0,
                payload: "x".repeat(bytes),
            })
            .collect()
    }

    fn ids(chosen: &[Item]) -> Vec<&str> {
        chosen.iter().map(|i| i.id.as_str()).collect()
    }

    #[test]
    fn pages_cover_all_items_once() {
        let all = items(&["a", "b", "c", "d", "e"], 1);
        let page = |max, after: Option<&str>, before: Option<&str>| PageRequest {
            max,
            after: after.map(str::to_owned),
            before: before.map(str::to_owned),
            index: None,
        };
        for (request, expected) in [
            (page(None, None, None), vec!["a", "b", "c", "d", "e"]),
            (page(Some(2), None, None), vec!["a", "b"]),
            (page(Some(2), Some("b"), None), vec!["c", "d"]),
            (page(Some(2), Some("e"), None), vec![]),
            (page(Some(2), None, Some("")), vec!["d", "e"]),
            (page(Some(2), None, Some("d")), vec!["b", "c"]),
            (page(Some(0), None, None), vec![]),
        ] {
            let (_, chosen) = choose(&all, &request).unwrap();
            assert_eq!(ids(chosen), expected, "{request:?}");
        }
        assert!(choose(&all, &page(None, Some("z"), None)).is_err());
    }

    #[test]
    fn an_answer_has_a_bound_and_keeps_the_newest() {
        let all = items(&["a", "b", "c"], ANSWER_BYTES / 2);
        let (first, chosen) = choose(&all, &PageRequest::default()).unwrap();
        assert_eq!((first, ids(chosen)), (2, vec!["c"]));
    }
}
