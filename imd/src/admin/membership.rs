//! What follows from being in a group: contacts in rosters, presence, and a place in the group's room.
//!
//! All of it can be done again without harm, so that what a crash has left undone is done at the next start.

use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _};
use imd_proto::{Jid, StanzaError};
use imd_store::{Group, GroupContactChange, StoreError};

use crate::feature::muc::admin::{Change, What};
use crate::feature::muc::role::Affiliation;
use crate::feature::muc::settings::{Settings, Whois};
use crate::feature::pubsub::bookmarks;
use crate::feature::pubsub::host::Host;
use crate::feature::roster;
use crate::route::presence;
use crate::server::Server;

/// Rosters that are brought into line in one transaction.
const AT_ONCE: usize = 50;
/// Bookmarks that are written at one time.
const BOOKMARKS_AT_ONCE: usize = 64;
/// Numbers tried behind a room's name when it is taken.
const TRIES: u32 = 1000;

/// Make the rosters of `of` agree with their groups, and show it to their clients: the item, then who is online.
/// `with`: only these contacts.
///
/// # Errors
/// When the store fails; what was done before stays.
pub(super) async fn settle_contacts(
    server: &Arc<Server>,
    of: &[String],
    with: Option<&[String]>,
) -> Result<(), StoreError> {
    let domain = &server.config.domain;
    for some in of.chunks(AT_ONCE) {
        let changes = server
            .store
            .update_group_contacts(domain, some, with)
            .await?;
        for change in &changes {
            push(server, change);
        }
        for change in &changes {
            show(server, change).await;
        }
        if server.shutdown.is_requested() {
            break;
        }
    }
    Ok(())
}

/// Show a new display name to those who have its owner as a contact by a group, except where they chose another name.
///
/// # Errors
/// When the store fails.
pub(super) async fn rename_contact(
    server: &Server,
    user: &str,
    old: Option<String>,
) -> Result<(), StoreError> {
    let domain = &server.config.domain;
    let changes = server.store.rename_group_contact(domain, user, old).await?;
    changes.iter().for_each(|change| push(server, change));
    Ok(())
}

fn push(server: &Server, change: &GroupContactChange) {
    let item = match &change.after {
        Some(item) => roster::item_element(item),
        None => roster::removed_element(server.account_jid(&change.contact).as_str()),
    };
    roster::push(server, &change.user, &item, change.version);
}

/// Who is a contact now sees the presence at once; who is none any more sees it go.
async fn show(server: &Arc<Server>, change: &GroupContactChange) {
    let sees = |item: &Option<imd_store::RosterItem>| {
        item.as_ref().is_some_and(|i| i.subscription.is_from())
    };
    let (before, after) = (sees(&change.before), sees(&change.after));
    if before != after {
        let contact = server.account_jid(&change.contact);
        presence::show(server, &change.user, &contact, Some(after)).await;
    }
}

/// The part of an address that a name makes: letters and digits, others become `-`.
#[must_use]
pub(super) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        if c.is_alphanumeric() || matches!(c, '.' | '_') {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= 64 {
            break;
        }
    }
    let slug = slug.trim_matches(['-', '.']);
    match imd_proto::jid::prepare_local(slug) {
        Ok(prepared) if !prepared.is_empty() => prepared.into_owned(),
        _ => "group".to_owned(),
    }
}

/// Give a group a room where it has none, with all members in it. The members who are new in the room get a bookmark.
///
/// # Errors
/// When the store fails.
pub(super) async fn settle_room(
    server: &Arc<Server>,
    group: &Group,
    members: &[String],
) -> Result<Jid, StanzaError> {
    let failed = |e: StoreError| crate::feature::store_error(&e);
    let kept = group.room.as_deref().and_then(|r| r.parse::<Jid>().ok());
    let room = match kept {
        Some(room) if is_there(server, &room).await? => room,
        kept => make_room(server, group, kept).await?,
    };
    let known = server.store.affiliations(room.as_str()).await;
    let known = known.map_err(failed)?;
    let new: Vec<&String> = members
        .iter()
        .filter(|user| {
            let jid = server.account_jid(user);
            known.iter().all(|entry| entry.jid != jid.as_str())
        })
        .collect();
    if new.is_empty() {
        return Ok(room);
    }
    let changes = new
        .iter()
        .map(|user| affiliation(server, user, Affiliation::Member));
    server
        .rooms
        .change(server, &room, changes.collect())
        .await?;
    // Many at once, which the store writes together.
    let mut bookmarks = Vec::with_capacity(new.len());
    for user in new {
        let (server, user, group) = (Arc::clone(server), user.clone(), group.clone());
        bookmarks.push(bookmark(server, user, room.clone(), group).boxed());
    }
    let mut written = futures_util::stream::iter(bookmarks).buffer_unordered(BOOKMARKS_AT_ONCE);
    while written.next().await.is_some() {}
    Ok(room)
}

async fn bookmark(server: Arc<Server>, user: String, room: Jid, group: Group) {
    let host = Host::account(&server, &user);
    if let Err(error) = bookmarks::enter(&host, &room, &group.name).await {
        tracing::warn!(user, %room, ?error, "cannot bookmark the room of a group");
    }
}

async fn is_there(server: &Server, room: &Jid) -> Result<bool, StanzaError> {
    let found = server.store.room(room.as_str()).await;
    Ok(found
        .map_err(|e| crate::feature::store_error(&e))?
        .is_some())
}

/// A room of the group's own: for members only, who see each other's addresses, as encryption needs.
async fn make_room(
    server: &Arc<Server>,
    group: &Group,
    wanted: Option<Jid>,
) -> Result<Jid, StanzaError> {
    let settings = Settings {
        name: group.name.clone(),
        public: false,
        members_only: true,
        whois: Whois::Anyone,
        ..Settings::default()
    };
    let domain = server.config.rooms_domain();
    let base = slug(&group.name);
    let mut number = 1;
    let room = loop {
        let room = match (&wanted, number) {
            (Some(room), 1) => room.clone(),
            (_, 1) => address(&base, &domain)?,
            _ => address(&format!("{base}-{number}"), &domain)?,
        };
        match server
            .rooms
            .create(server, &room, settings.clone(), &[])
            .await
        {
            Ok(()) => break room,
            Err(error) if error.condition == imd_proto::Condition::Conflict && number < TRIES => {
                number += 1;
            }
            Err(error) => return Err(error),
        }
    };
    let with_room = Group {
        room: Some(room.as_str().to_owned()),
        ..group.clone()
    };
    let kept = server.store.update_group(with_room).await;
    kept.map_err(|e| crate::feature::store_error(&e))?;
    Ok(room)
}

fn address(local: &str, domain: &str) -> Result<Jid, StanzaError> {
    Jid::new(Some(local), domain, None).map_err(|error| {
        StanzaError::with_text(imd_proto::Condition::JidMalformed, error.to_string())
    })
}

/// Take people out of the room of a group, unless they are banned there.
///
/// # Errors
/// When the store fails.
pub(super) async fn leave_room(
    server: &Arc<Server>,
    room: &str,
    users: &[String],
) -> Result<(), StanzaError> {
    let Ok(room) = room.parse::<Jid>() else {
        return Ok(());
    };
    if !is_there(server, &room).await? {
        return Ok(());
    }
    let known = server.store.affiliations(room.as_str()).await;
    let known = known.map_err(|e| crate::feature::store_error(&e))?;
    let changes: Vec<Change> = users
        .iter()
        .filter(|user| {
            let jid = server.account_jid(user);
            known.iter().any(|entry| {
                entry.jid == jid.as_str() && entry.affiliation != imd_store::Affiliation::Outcast
            })
        })
        .map(|user| affiliation(server, user, Affiliation::None))
        .collect();
    if !changes.is_empty() {
        server.rooms.change(server, &room, changes).await?;
    }
    for user in users {
        let host = Host::account(server, user);
        if let Err(error) = bookmarks::leave(&host, &room).await {
            tracing::warn!(user, %room, ?error, "cannot remove the bookmark of a group's room");
        }
    }
    Ok(())
}

fn affiliation(server: &Server, user: &str, affiliation: Affiliation) -> Change {
    Change {
        what: What::Affiliation {
            jid: server.account_jid(user),
            affiliation,
            nick: None,
        },
        reason: None,
    }
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn names_become_parts_of_addresses() {
        for (name, expected) in [
            ("Class 1a", "class-1a"),
            ("  The  Board! ", "the-board"),
            ("家庭", "家庭"),
            ("@/&", "group"),
            ("", "group"),
            ("Ärzte.", "ärzte"),
        ] {
            assert_eq!(slug(name), expected, "{name}");
        }
    }
}
