//! What service discovery says of the service and of a room (XEP-0045 §6).

use std::collections::BTreeMap;

use imd_proto::form::FormBuilder;
use imd_proto::rsm::{PageRequest, page_element};
use imd_proto::{Condition, Element, Jid, StanzaError, ns};

use super::names;
use super::role::Affiliation;
use super::room::Room;

/// What the list of rooms says of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name; empty: none.
    pub name: String,
    /// Whether it is shown.
    pub public: bool,
}

/// Rooms in one answer.
const PAGE: usize = 250;

fn feature(var: &str) -> Element {
    Element::new("feature", ns::DISCO_INFO).with_attr("var", var)
}

fn identity(name: &str) -> Element {
    Element::new("identity", ns::DISCO_INFO)
        .with_attr("category", "conference")
        .with_attr("type", "text")
        .with_attr("name", name)
}

/// disco#info of the service.
#[must_use]
pub fn service(name: &str) -> Element {
    let features = [
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::MUC,
        ns::PING,
        ns::RSM,
        ns::MAM,
        ns::STANZA_ID,
        names::UNIQUE,
        names::OCCUPANT_ID,
        names::HATS,
    ];
    Element::new("query", ns::DISCO_INFO)
        .with_child(identity(name))
        .with_children(features.map(feature))
}

/// disco#items of the service: public rooms, by pages (XEP-0059).
///
/// # Errors
/// When the page makes no sense.
pub fn rooms(index: &BTreeMap<String, Listed>, query: &Element) -> Result<Element, StanzaError> {
    let page = PageRequest::find(query)
        .map_err(|text| StanzaError::with_text(Condition::BadRequest, text))?;
    let public: Vec<(&String, &Listed)> = index.iter().filter(|(_, l)| l.public).collect();
    let max = page.max.map_or(PAGE, |m| m as usize).min(PAGE);
    let start = match (&page.after, page.index) {
        (Some(after), _) => public.partition_point(|(jid, _)| *jid <= after),
        (None, Some(index)) => (index as usize).min(public.len()),
        (None, None) => 0,
    };
    let end = match page.before.as_deref() {
        Some(before) if !before.is_empty() => {
            public.partition_point(|(jid, _)| jid.as_str() < before)
        }
        _ => public.len(),
    }
    .max(start);
    let chosen = if page.is_backwards() {
        end.saturating_sub(max).max(start)..end
    } else {
        start..(start + max).min(end)
    };
    let first_index = chosen.start as u64;
    let chosen = &public[chosen];
    let items = chosen.iter().map(|(jid, listed)| {
        let name = if listed.name.is_empty() {
            jid.split('@').next().unwrap_or_default()
        } else {
            &listed.name
        };
        Element::new("item", ns::DISCO_ITEMS)
            .with_attr("jid", jid.as_str())
            .with_attr("name", name)
    });
    let mut answer = Element::new("query", ns::DISCO_ITEMS).with_children(items);
    if query.child("set", ns::RSM).is_some() || chosen.len() < public.len() {
        let first = chosen.first().map(|(jid, _)| jid.as_str());
        let last = chosen.last().map(|(jid, _)| jid.as_str());
        let index = first.map(|_| first_index);
        answer.push(page_element(first, last, index, Some(public.len() as u64)));
    }
    Ok(answer)
}

/// disco#info of a room.
#[must_use]
pub fn room(room: &Room) -> Element {
    let s = &room.settings;
    let either = |holds, yes, no| if holds { yes } else { no };
    let mut features = vec![
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::MUC,
        ns::VCARD,
        ns::PING,
        ns::STANZA_ID,
        either(s.members_only, "muc_membersonly", "muc_open"),
        either(s.moderated, "muc_moderated", "muc_unmoderated"),
        either(s.non_anonymous(), "muc_nonanonymous", "muc_semianonymous"),
        either(
            s.password.is_some(),
            "muc_passwordprotected",
            "muc_unsecured",
        ),
        either(s.persistent, "muc_persistent", "muc_temporary"),
        either(s.public, "muc_public", "muc_hidden"),
        names::STABLE_ID,
        names::SELF_PING,
        names::REGISTER,
        names::REQUEST,
        names::OCCUPANT_ID,
        names::HATS,
        names::MODERATE,
        names::RETRACT,
    ];
    if s.archive {
        features.extend([ns::MAM, "urn:xmpp:mam:2#extended", names::RETRACT_TOMBSTONE]);
    }
    Element::new("query", ns::DISCO_INFO)
        .with_child(identity(&display_name(room)))
        .with_children(features.into_iter().map(feature))
        .with_child(details(room))
}

fn display_name(room: &Room) -> String {
    if room.settings.name.is_empty() {
        room.jid.local().unwrap_or_default().to_owned()
    } else {
        room.settings.name.clone()
    }
}

/// The extended information (XEP-0128; XEP-0045 §15.5.4, XEP-0486 §4).
fn details(room: &Room) -> Element {
    let s = &room.settings;
    let owners: Vec<&str> = room
        .affiliations
        .iter()
        .filter(|(_, e)| e.affiliation == Affiliation::Owner && s.non_anonymous())
        .map(|(jid, _)| jid.as_str())
        .collect();
    let number = |n: usize| n.to_string();
    let boolean = |b: bool| if b { "1" } else { "0" };
    let subject = room.subject.as_ref().map_or("", |s| s.text.as_str());
    let mut form = FormBuilder::new("result", names::ROOM_INFO)
        .field(
            "muc#roominfo_description",
            "text-single",
            Some("Description"),
            &[&s.description],
        )
        .field(
            "muc#roominfo_occupants",
            "text-single",
            Some("Number of occupants"),
            &[&number(room.occupants.len())],
        )
        .field(
            "muc#roominfo_subject",
            "text-single",
            Some("Subject"),
            &[subject],
        )
        .field(
            "muc#roominfo_subjectmod",
            "boolean",
            None,
            &[boolean(s.change_subject)],
        )
        .field(
            "muc#roominfo_changesubject",
            "boolean",
            None,
            &[boolean(s.change_subject)],
        )
        .field(
            "muc#maxhistoryfetch",
            "text-single",
            None,
            &[&s.history.to_string()],
        )
        .field(
            "muc#roomconfig_roomname",
            "text-single",
            Some("Name"),
            &[&s.name],
        )
        .field(
            "muc#roomconfig_allowinvites",
            "boolean",
            None,
            &[boolean(s.allow_invites || !s.members_only)],
        )
        .field(
            "muc#roomconfig_allowpm",
            "list-single",
            None,
            &[s.private_messages.as_str()],
        )
        .field(
            "muc#roomconfig_maxusers",
            "text-single",
            None,
            &[&room.max_occupants().to_string()],
        );
    if !s.lang.is_empty() {
        form = form.field(
            "muc#roominfo_lang",
            "text-single",
            Some("Language"),
            &[&s.lang],
        );
    }
    if !owners.is_empty() {
        form = form.field(
            "muc#roominfo_contactjid",
            "jid-multi",
            Some("Contact"),
            &owners,
        );
    }
    if let Some(hash) = &s.avatar {
        form = form.field(
            "muc#roominfo_avatarhash",
            "text-multi",
            Some("Avatar hash"),
            &[hash],
        );
    }
    form.build()
}

/// disco#info for a node of a room (XEP-0045 §6.4, §6.5, §7.12).
///
/// # Errors
/// When the room has no such node.
pub fn node(room: &Room, node: &str, asker: &Jid) -> Result<Element, StanzaError> {
    let answer = Element::new("query", ns::DISCO_INFO).with_attr("node", node);
    match node {
        names::RESERVED_NICK => {
            let nick = room
                .affiliations
                .get(asker.bare_str())
                .and_then(|e| e.nick.as_deref());
            Ok(answer.with_children(nick.map(identity)))
        }
        names::TRAFFIC => Ok(answer),
        _ => Err(StanzaError::with_text(
            Condition::ItemNotFound,
            format!("the room has no node {node:?}"),
        )),
    }
}

/// disco#items of a room: its occupants, to those who could see them (XEP-0045 §6.5).
#[must_use]
pub fn occupants(room: &Room, asker: &Jid) -> Element {
    let inside = room.occupant(asker).is_some();
    let visible = inside || (room.settings.public && !room.settings.members_only);
    let items = room.occupants.values().filter(|_| visible).map(|o| {
        Element::new("item", ns::DISCO_ITEMS)
            .with_attr("jid", o.address.as_str())
            .with_attr("name", o.nick.as_str())
    });
    Element::new("query", ns::DISCO_ITEMS).with_children(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(set: &str) -> Vec<String> {
        let index = (0..5)
            .map(|n| {
                let listed = Listed {
                    name: String::new(),
                    public: n != 3,
                };
                (format!("r{n}@x"), listed)
            })
            .collect();
        let text = format!("<query xmlns='{}'>{set}</query>", ns::DISCO_ITEMS);
        let query =
            imd_proto::xml::parse_document(&text, imd_proto::xml::Limits::default()).unwrap();
        let answer = rooms(&index, &query).unwrap();
        let items = answer.children().filter(|c| c.name() == "item");
        items.map(|c| c.attr("name").unwrap().to_owned()).collect()
    }

    #[test]
    fn public_rooms_are_listed_by_pages() {
        let set = |inner: &str| pages(&format!("<set xmlns='{}'>{inner}</set>", ns::RSM));
        assert_eq!(pages(""), ["r0", "r1", "r2", "r4"]);
        assert_eq!(set("<max>2</max>"), ["r0", "r1"]);
        assert_eq!(set("<max>2</max><after>r1@x</after>"), ["r2", "r4"]);
        assert_eq!(set("<max>2</max><before/>"), ["r2", "r4"]);
        assert_eq!(set("<max>1</max><before>r2@x</before>"), ["r1"]);
        assert_eq!(set("<max>0</max>"), Vec::<String>::new());
    }
}
