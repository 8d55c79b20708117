//! The lists of affiliations and roles, as they are read (XEP-0045 §8.5, §9.2, §9.5, §9.8, §10.5, §10.8).

use imd_proto::{Condition, Element, Jid, StanzaError};

use super::names;
use super::role::{Affiliation, Role, may_list};
use super::room::{Affiliated, Room};

fn bad(text: impl Into<String>) -> StanzaError {
    StanzaError::with_text(Condition::BadRequest, text)
}

/// A list of an affiliation or a role.
///
/// # Errors
/// `forbidden` for those who may not see it.
pub fn list(room: &Room, actor: &Jid, query: &Element) -> Result<Element, StanzaError> {
    let forbidden = || StanzaError::with_text(Condition::Forbidden, "you may not see this list");
    let item = query
        .child("item", names::ADMIN)
        .ok_or_else(|| bad("the query has no <item/>"))?;
    let own = room.standing(actor);
    let answer = Element::new("query", names::ADMIN);
    if let Some(name) = item.attr("affiliation") {
        let wanted = Affiliation::from_name(name)
            .ok_or_else(|| bad(format!("there is no affiliation {name:?}")))?;
        if !may_list(own.affiliation, wanted) {
            return Err(forbidden());
        }
        let entries = room
            .affiliations
            .iter()
            .filter(|(_, e)| e.affiliation == wanted);
        return Ok(answer.with_children(entries.map(|(jid, entry)| affiliated_item(jid, entry))));
    }
    let name = item
        .attr("role")
        .ok_or_else(|| bad("the item has neither affiliation nor role"))?;
    let wanted = Role::from_name(name).ok_or_else(|| bad(format!("there is no role {name:?}")))?;
    if own.role != Role::Moderator && own.affiliation < Affiliation::Admin {
        return Err(forbidden());
    }
    let occupants = room.occupants.values().filter(|o| o.role == wanted);
    Ok(answer.with_children(occupants.map(|o| {
        let full = o.clients.last().map_or(o.jid.as_str(), |c| c.jid.as_str());
        Element::new("item", names::ADMIN)
            .with_attr("affiliation", room.affiliation(&o.jid).as_str())
            .with_attr("role", o.role.as_str())
            .with_attr("nick", o.nick.as_str())
            .with_attr("jid", full)
    })))
}

fn affiliated_item(jid: &str, entry: &Affiliated) -> Element {
    let mut item = Element::new("item", names::ADMIN)
        .with_attr("affiliation", entry.affiliation.as_str())
        .with_attr("jid", jid)
        .with_opt_attr("nick", entry.nick.as_deref());
    if let Some(reason) = &entry.reason {
        item.push(Element::new("reason", names::ADMIN).with_text(reason.as_str()));
    }
    item
}
