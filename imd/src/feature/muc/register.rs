//! Nicknames that people reserve for themselves (XEP-0045 §7.10).

use imd_proto::form::{Form, FormBuilder};
use imd_proto::{Condition, Element, Jid, StanzaError};

use super::admin::{Change, What};
use super::names;
use super::role::Affiliation;
use super::room::Room;

/// The field with the nickname.
const NICK: &str = "muc#register_roomnick";

/// The form to fill in, or the nickname that is reserved already.
///
/// # Errors
/// For those who may not enter the room.
pub fn form(room: &Room, asker: &Jid) -> Result<Element, StanzaError> {
    may_register(room, asker)?;
    let nick = room
        .affiliations
        .get(asker.bare_str())
        .and_then(|e| e.nick.as_deref());
    let mut query = Element::new("query", names::REGISTER);
    if let Some(nick) = nick {
        query.push(Element::new("registered", names::REGISTER));
        query.push(Element::new("username", names::REGISTER).with_text(nick));
    }
    let values: Vec<&str> = nick.into_iter().collect();
    let form = FormBuilder::new("form", names::REGISTER_FORM)
        .title("Nickname")
        .instructions("Choose the nickname that nobody else may use in this room.")
        .field(NICK, "text-single", Some("Nickname"), &values)
        .build();
    Ok(query.with_child(form))
}

fn may_register(room: &Room, asker: &Jid) -> Result<(), StanzaError> {
    let error = |condition, text: &str| Err(StanzaError::with_text(condition, text));
    match room.affiliation(asker) {
        Affiliation::Outcast => error(Condition::Forbidden, "you are banned from this room"),
        Affiliation::None if room.settings.members_only || room.settings.moderated => error(
            Condition::NotAllowed,
            "in this room an admin makes members; ask one",
        ),
        _ => Ok(()),
    }
}

/// What a registration changes: it makes a member with a nickname, and `<remove/>` takes both away again.
///
/// # Errors
/// `conflict` when the nickname is somebody else's, `not-acceptable` when it is none.
pub fn submit(room: &Room, asker: &Jid, query: &Element) -> Result<Vec<Change>, StanzaError> {
    may_register(room, asker)?;
    let own = room.affiliation(asker);
    let change = |affiliation, nick| Change {
        what: What::Affiliation {
            jid: asker.to_bare(),
            affiliation,
            nick,
        },
        reason: None,
    };
    if query.child("remove", names::REGISTER).is_some() {
        // The record goes with its nickname; whoever is more than a member gets it back without one.
        let mut changes = vec![change(Affiliation::None, None)];
        if own > Affiliation::Member {
            changes.push(change(own, None));
        }
        return Ok(changes);
    }
    let form = Form::find(query);
    let nick = form
        .as_ref()
        .and_then(|f| f.value(NICK))
        .map(str::to_owned)
        .or_else(|| query.child_text("username"))
        .unwrap_or_default();
    let address = room.jid.with_resource(&nick);
    let Some(nick) = address.ok().and_then(|a| a.resource().map(str::to_owned)) else {
        let text = format!("{NICK} cannot be {nick:?}; accepted: a nickname");
        return Err(StanzaError::with_text(Condition::NotAcceptable, text));
    };
    if room.nick_is_taken(&nick, asker) {
        let text = "somebody else has this nickname";
        return Err(StanzaError::with_text(Condition::Conflict, text));
    }
    Ok(vec![change(own.max(Affiliation::Member), Some(nick))])
}
