//! Invitations, their refusal, and requests for voice (XEP-0045 §7.8, §7.13, §8.6).

use imd_proto::form::{Form, FormBuilder};
use imd_proto::{Condition, Element, Jid, Stanza, StanzaError, ns};

use super::admin::{Change, What};
use super::delivery::{Delivery, Effects};
use super::names;
use super::role::{Affiliation, Role};
use super::room::Room;

/// What a message to the room itself, not of type groupchat, asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Invite these people.
    Invite(Vec<Invitation>),
    /// Tell somebody that an invitation is refused.
    Decline(Element),
    /// A visitor wants to speak.
    Voice,
    /// A moderator answers: give the nickname voice.
    Approve(String),
    /// A moderator answers: do not.
    Refuse,
}

/// One person who is invited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Who.
    pub to: Jid,
    /// The `<invite/>` as sent.
    pub invite: Element,
}

/// People that one message can invite.
const MAX_INVITED: usize = 50;

/// Read a message to the room.
///
/// # Errors
/// When it is none of those, or names no address.
pub fn read(message: &Element) -> Result<Asked, StanzaError> {
    let bad = |text: &str| StanzaError::with_text(Condition::BadRequest, text);
    if let Some(x) = message.child("x", ns::MUC_USER) {
        let mut invitations = Vec::new();
        for invite in x.children().filter(|c| c.is("invite", ns::MUC_USER)) {
            let to = invite.attr("to").and_then(|to| to.parse().ok());
            invitations.push(Invitation {
                to: to.ok_or_else(|| bad("an invitation needs the address of somebody in 'to'"))?,
                invite: invite.clone(),
            });
        }
        if invitations.len() > MAX_INVITED {
            let text = format!("one message invites at most {MAX_INVITED} people");
            return Err(bad(&text));
        }
        if !invitations.is_empty() {
            return Ok(Asked::Invite(invitations));
        }
        if let Some(decline) = x.child("decline", ns::MUC_USER) {
            return Ok(Asked::Decline(decline.clone()));
        }
    }
    let form = Form::find(message).filter(|f| f.context() == Some(names::REQUEST));
    if let Some(form) = form {
        let nick = form.value("muc#roomnick");
        return match (form.boolean("muc#request_allow"), nick) {
            (Some(true), Some(nick)) => Ok(Asked::Approve(nick.to_owned())),
            (Some(true), None) => Err(bad("the form names no nickname to give voice to")),
            (Some(false), _) => Ok(Asked::Refuse),
            (None, _) => Ok(Asked::Voice),
        };
    }
    Err(bad(
        "a room takes messages of type groupchat, invitations and requests for voice",
    ))
}

/// Whether somebody may invite, and whom that makes members: in a members-only room all who are not yet.
///
/// # Errors
/// `not-acceptable` for outsiders, `forbidden` where only admins invite.
pub fn may_invite(
    room: &Room,
    from: &Jid,
    invitations: &[Invitation],
) -> Result<Vec<Change>, StanzaError> {
    let affiliation = room.affiliation(from);
    if room.occupant(from).is_none() && affiliation < Affiliation::Admin {
        let text = "only occupants invite people to the room";
        return Err(StanzaError::with_text(Condition::NotAcceptable, text));
    }
    let banned = invitations
        .iter()
        .find(|i| room.affiliation(&i.to) == Affiliation::Outcast);
    if let Some(banned) = banned {
        let text = format!("{} is banned from the room", banned.to.to_bare());
        return Err(StanzaError::with_text(Condition::NotAllowed, text));
    }
    if !room.settings.members_only {
        return Ok(Vec::new());
    }
    let new: Vec<Change> = invitations
        .iter()
        .filter(|i| room.affiliation(&i.to) < Affiliation::Member)
        .map(|i| Change {
            what: What::Affiliation {
                jid: i.to.to_bare(),
                affiliation: Affiliation::Member,
                nick: None,
            },
            reason: None,
        })
        .collect();
    let allowed = affiliation >= Affiliation::Admin
        || (room.settings.allow_invites && affiliation >= Affiliation::Member);
    if !new.is_empty() && !allowed {
        let text = "only admins invite people to this members-only room";
        return Err(StanzaError::with_text(Condition::Forbidden, text));
    }
    Ok(new)
}

/// The invitations as the invited get them (XEP-0045 §7.8.2), with the direct form (XEP-0249) for clients that know only that.
#[must_use]
pub fn invitations(room: &Room, stanza: &Stanza, invitations: &[Invitation]) -> Vec<Delivery> {
    let show_real = room.settings.non_anonymous();
    let inviter = match room.occupant(&stanza.from) {
        Some(occupant) if !show_real => occupant.address.clone(),
        _ => stanza.from.clone(),
    };
    let make = |invitation: &Invitation| {
        let mut invite = invitation.invite.clone();
        invite.remove_attr("to");
        invite.set_attr("from", inviter.as_str());
        let reason = invite.child_text("reason");
        let mut x = Element::new("x", ns::MUC_USER).with_child(invite);
        let mut direct = Element::new("x", names::CONFERENCE).with_attr("jid", room.jid.as_str());
        if let Some(password) = &room.settings.password {
            x.push(Element::new("password", ns::MUC_USER).with_text(password.as_str()));
            direct.set_attr("password", password.as_str());
        }
        if let Some(reason) = reason.filter(|r| !r.is_empty()) {
            direct.set_attr("reason", reason);
        }
        let message = Element::new("message", ns::CLIENT)
            .with_attr("from", room.jid.as_str())
            .with_opt_attr("id", stanza.id())
            .with_child(x)
            .with_child(direct);
        Delivery::one(message, &invitation.to)
    };
    invitations.iter().map(make).collect()
}

/// Pass a refusal on to the inviter, who is named by a real address or by one in the room.
///
/// # Errors
/// When it names nobody.
pub fn decline(room: &Room, stanza: &Stanza, decline: &Element) -> Result<Effects, StanzaError> {
    let bad = |text: &str| StanzaError::with_text(Condition::BadRequest, text);
    let to: Jid = decline
        .attr("to")
        .and_then(|to| to.parse().ok())
        .ok_or_else(|| bad("a refusal needs the address of the inviter in 'to'"))?;
    let to: Vec<Jid> = if to.same_bare(&room.jid) {
        let nick = to.resource().unwrap_or_default();
        match room.occupants.get(nick) {
            Some(occupant) => occupant.clients.iter().map(|c| c.jid.clone()).collect(),
            None => return Err(Condition::ItemNotFound.into()),
        }
    } else {
        vec![to]
    };
    let mut decline = decline.clone();
    decline.remove_attr("to");
    decline.set_attr("from", stanza.from.bare_str());
    let message = Element::new("message", ns::CLIENT)
        .with_attr("from", room.jid.as_str())
        .with_opt_attr("id", stanza.id())
        .with_child(Element::new("x", ns::MUC_USER).with_child(decline));
    Ok(vec![Delivery::new(message, to)].into())
}

/// Put a visitor's request for voice before the moderators (XEP-0045 §8.6).
///
/// # Errors
/// When it is not a visitor of this room, or the room takes no requests.
pub fn ask_for_voice(room: &Room, stanza: &Stanza) -> Result<Effects, StanzaError> {
    let error = |condition, text: &str| Err(StanzaError::with_text(condition, text));
    let Some(occupant) = room.occupant(&stanza.from) else {
        return error(Condition::NotAcceptable, "only occupants can ask for voice");
    };
    if occupant.role != Role::Visitor {
        return error(Condition::BadRequest, "you have voice already");
    }
    if !room.settings.voice_requests {
        return error(
            Condition::Forbidden,
            "this room takes no requests for voice",
        );
    }
    let jid = stanza.from.as_str();
    let form = FormBuilder::new("form", names::REQUEST)
        .title("Voice request")
        .instructions("To approve this request for voice, select the checkbox and submit.")
        .field(
            "muc#role",
            "list-single",
            Some("Requested role"),
            &["participant"],
        )
        .field("muc#jid", "jid-single", Some("User ID"), &[jid])
        .field(
            "muc#roomnick",
            "text-single",
            Some("Room nickname"),
            &[&occupant.nick],
        )
        .field(
            "muc#request_allow",
            "boolean",
            Some("Grant voice to this person?"),
            &["false"],
        )
        .build();
    let message = Element::new("message", ns::CLIENT)
        .with_attr("from", room.jid.as_str())
        .with_opt_attr("id", stanza.id())
        .with_child(form);
    let moderators = room.clients_of(|o| o.role == Role::Moderator);
    Ok(vec![Delivery::new(message, moderators)].into())
}
