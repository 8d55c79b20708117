//! A submitted form, field by field.

use imd_proto::form::Form;
use imd_proto::{Condition, Jid, StanzaError};

use super::{HATS, VOICE_REQUESTS};
use crate::feature::muc::admin::{Change, What};
use crate::feature::muc::names;
use crate::feature::muc::role::{Affiliation, Role};
use crate::feature::muc::room::Room;
use crate::feature::muc::settings::{Hat, MAX_HISTORY, PrivateMessages, Settings, Whois};

fn refused(field: &str, found: &str, accepted: &str) -> StanzaError {
    let text = format!("{field} cannot be {found:?}; accepted: {accepted}");
    StanzaError::with_text(Condition::NotAcceptable, text)
}

/// Apply a submitted form to the configuration: the new one, and changes of owners and admins. Fields that
/// are missing keep their value; fields that are not known are passed over.
///
/// # Errors
/// `not-acceptable`, naming the first field that is wrong, what was found and what is accepted.
pub fn read(room: &Room, form: &Form) -> Result<(Settings, Vec<Change>), StanzaError> {
    if form.context().is_some_and(|c| c != names::ROOM_CONFIG) {
        return Err(refused(
            "FORM_TYPE",
            form.context().unwrap_or_default(),
            names::ROOM_CONFIG,
        ));
    }
    let mut settings = room.settings.clone();
    let mut needs_password = settings.password.is_some();
    let mut secret = None;
    let mut changes = Vec::new();
    for (name, values) in &form.fields {
        let value = values.first().map_or("", |v| v.trim());
        match name.as_str() {
            "muc#roomconfig_passwordprotectedroom" => needs_password = boolean(name, value)?,
            "muc#roomconfig_roomsecret" => secret = Some(value.to_owned()),
            "muc#roomconfig_roomadmins" => {
                changes.extend(affiliated(room, name, values, Affiliation::Admin)?);
            }
            "muc#roomconfig_roomowners" => {
                changes.extend(affiliated(room, name, values, Affiliation::Owner)?);
            }
            HATS => settings.hats = hats(values)?,
            "muc#roomconfig_presencebroadcast" => {
                settings.presence_broadcast = roles(name, values)?
            }
            _ => set(&mut settings, room.server_max, name, value)?,
        }
    }
    settings.password = match (
        needs_password,
        secret.or_else(|| room.settings.password.clone()),
    ) {
        (false, _) => None,
        (true, Some(secret)) if !secret.is_empty() => Some(secret),
        (true, _) => {
            return Err(refused(
                "muc#roomconfig_roomsecret",
                "",
                "the password of the room, since it needs one",
            ));
        }
    };
    Ok((settings, changes))
}

fn boolean(name: &str, value: &str) -> Result<bool, StanzaError> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(refused(name, value, "1, true, 0, false")),
    }
}

fn text(name: &str, value: &str, most: usize) -> Result<String, StanzaError> {
    if value.chars().count() > most {
        return Err(refused(name, value, &format!("up to {most} characters")));
    }
    Ok(value.to_owned())
}

fn set(settings: &mut Settings, most: u32, name: &str, value: &str) -> Result<(), StanzaError> {
    match name {
        "muc#roomconfig_roomname" => settings.name = text(name, value, 256)?,
        "muc#roomconfig_roomdesc" => settings.description = text(name, value, 2048)?,
        "muc#roomconfig_lang" => settings.lang = text(name, value, 64)?,
        "muc#roomconfig_persistentroom" => settings.persistent = boolean(name, value)?,
        "muc#roomconfig_publicroom" => settings.public = boolean(name, value)?,
        "muc#roomconfig_membersonly" => settings.members_only = boolean(name, value)?,
        "muc#roomconfig_allowinvites" => settings.allow_invites = boolean(name, value)?,
        "muc#roomconfig_moderatedroom" => settings.moderated = boolean(name, value)?,
        VOICE_REQUESTS => settings.voice_requests = boolean(name, value)?,
        "muc#roomconfig_changesubject" => settings.change_subject = boolean(name, value)?,
        "muc#roomconfig_enablelogging" => settings.archive = boolean(name, value)?,
        "muc#maxhistoryfetch" | "muc#roomconfig_historylength" => {
            settings.history = match value.parse() {
                Ok(n) if n <= MAX_HISTORY => n,
                _ => return Err(refused(name, value, &format!("0 to {MAX_HISTORY}"))),
            };
        }
        "muc#roomconfig_whois" => {
            settings.whois = match value {
                "anyone" => Whois::Anyone,
                "moderators" => Whois::Moderators,
                _ => return Err(refused(name, value, "moderators, anyone")),
            };
        }
        "muc#roomconfig_allowpm" => {
            use PrivateMessages as P;
            let all = [P::Anyone, P::Participants, P::Moderators, P::None];
            settings.private_messages = all
                .into_iter()
                .find(|p| p.as_str() == value)
                .ok_or_else(|| refused(name, value, "anyone, participants, moderators, none"))?;
        }
        "muc#roomconfig_maxusers" => {
            settings.max_occupants = match (value, value.parse()) {
                ("none" | "" | "0", _) => None,
                (_, Ok(n)) if n <= most => Some(n),
                _ => return Err(refused(name, value, &format!("none, or 1 to {most}"))),
            };
        }
        _ => {}
    }
    Ok(())
}

fn roles(name: &str, values: &[String]) -> Result<Vec<Role>, StanzaError> {
    let each = |value: &String| {
        Role::from_name(value)
            .filter(|role| *role != Role::None)
            .ok_or_else(|| refused(name, value, "moderator, participant, visitor"))
    };
    values.iter().map(each).collect()
}

fn hats(values: &[String]) -> Result<Vec<Hat>, StanzaError> {
    let lines = values.iter().flat_map(|v| v.lines());
    lines
        .filter(|line| !line.trim().is_empty())
        .take(1000)
        .map(|line| {
            let mut words = line.trim().splitn(3, ' ');
            let jid = words.next().and_then(|jid| jid.parse::<Jid>().ok());
            match (jid, words.next(), words.next()) {
                (Some(jid), Some(uri), Some(title)) => Ok(Hat {
                    jid: jid.bare_str().to_owned(),
                    uri: uri.to_owned(),
                    title: title.to_owned(),
                }),
                _ => Err(refused(
                    HATS,
                    line,
                    "an address, a URI and a title, with spaces between",
                )),
            }
        })
        .collect()
}

/// A list of owners or admins as submitted: who comes to it, and who falls from it.
fn affiliated(
    room: &Room,
    name: &str,
    values: &[String],
    to: Affiliation,
) -> Result<Vec<Change>, StanzaError> {
    let mut wanted = Vec::new();
    for value in values.iter().filter(|v| !v.trim().is_empty()) {
        let jid: Jid = value
            .trim()
            .parse()
            .map_err(|_| refused(name, value, "addresses such as name@example.com"))?;
        wanted.push(jid.to_bare());
    }
    let change = |jid: Jid, affiliation| Change {
        what: What::Affiliation {
            jid,
            affiliation,
            nick: None,
        },
        reason: None,
    };
    let is_now = |jid: &str| {
        room.affiliations
            .get(jid)
            .is_some_and(|e| e.affiliation == to)
    };
    let fallen = room
        .affiliations
        .iter()
        .filter(|(jid, e)| e.affiliation == to && !wanted.iter().any(|w| w.as_str() == *jid))
        .filter_map(|(jid, _)| jid.parse().ok())
        .map(|jid| change(jid, Affiliation::Member));
    let mut changes: Vec<Change> = fallen.collect();
    let new = wanted.iter().filter(|jid| !is_now(jid.as_str()));
    changes.extend(new.map(|jid| change(jid.clone(), to)));
    Ok(changes)
}
