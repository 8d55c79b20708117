//! The configuration as a form (XEP-0045 §10.2, §15.5.3).

use imd_proto::form::Form;
use imd_proto::{Condition, Element, Jid, StanzaError, ns};

use super::admin::{Change, What};
use super::names;
use super::role::{Affiliation, Role};
use super::room::Room;
use super::settings::{Hat, MAX_HISTORY, PrivateMessages, Settings, Whois};

/// The field for hats (XEP-0317 leaves to the service how they are given).
const HATS: &str = "{urn:xmpp:hats:0}hats";
/// The field for requests for voice, as ejabberd names it.
const VOICE_REQUESTS: &str = "allow_voice_requests";

struct Fields(Element);

impl Fields {
    fn field(mut self, name: &str, kind: &str, label: &str, values: &[&str]) -> Self {
        self.0.push(field(name, kind, label, values));
        self
    }

    fn text(self, name: &str, label: &str, value: &str) -> Self {
        self.field(name, "text-single", label, &[value])
    }

    fn boolean(self, name: &str, label: &str, value: bool) -> Self {
        self.field(name, "boolean", label, &[if value { "1" } else { "0" }])
    }

    fn list(
        mut self,
        (name, kind, label): (&str, &str, &str),
        chosen: &[&str],
        options: &[(&str, &str)],
    ) -> Self {
        let options = options.iter().map(|(value, label)| {
            Element::new("option", ns::DATA_FORM)
                .with_attr("label", *label)
                .with_child(Element::new("value", ns::DATA_FORM).with_text(*value))
        });
        self.0
            .push(field(name, kind, label, chosen).with_children(options));
        self
    }
}

fn field(name: &str, kind: &str, label: &str, values: &[&str]) -> Element {
    Element::new("field", ns::DATA_FORM)
        .with_attr("var", name)
        .with_attr("type", kind)
        .with_attr("label", label)
        .with_children(
            values
                .iter()
                .map(|v| Element::new("value", ns::DATA_FORM).with_text(*v)),
        )
}

/// The form, filled with the present configuration.
#[must_use]
pub fn build(room: &Room) -> Element {
    let s = &room.settings;
    let title = format!("Configuration of {}", room.jid);
    let context = Element::new("field", ns::DATA_FORM)
        .with_attr("var", "FORM_TYPE")
        .with_attr("type", "hidden")
        .with_child(Element::new("value", ns::DATA_FORM).with_text(names::ROOM_CONFIG));
    let x = Element::new("x", ns::DATA_FORM)
        .with_attr("type", "form")
        .with_child(Element::new("title", ns::DATA_FORM).with_text(title))
        .with_child(context);
    let listed = |affiliation| {
        let entries = room.affiliations.iter();
        let chosen = entries.filter(move |(_, e)| e.affiliation == affiliation);
        chosen.map(|(jid, _)| jid.as_str()).collect::<Vec<_>>()
    };
    let hats: Vec<String> = s
        .hats
        .iter()
        .map(|h| format!("{} {} {}", h.jid, h.uri, h.title))
        .collect();
    let hats: Vec<&str> = hats.iter().map(String::as_str).collect();
    let fields = Fields(x)
        .text("muc#roomconfig_roomname", "Name", &s.name)
        .text("muc#roomconfig_roomdesc", "Description", &s.description)
        .text("muc#roomconfig_lang", "Language of the discussion", &s.lang)
        .boolean(
            "muc#roomconfig_persistentroom",
            "Keep the room when the last person leaves",
            s.persistent,
        )
        .boolean(
            "muc#roomconfig_publicroom",
            "Show the room in the list",
            s.public,
        )
        .boolean(
            "muc#roomconfig_membersonly",
            "Only members may enter",
            s.members_only,
        )
        .boolean(
            "muc#roomconfig_allowinvites",
            "Members may invite, which makes members",
            s.allow_invites,
        )
        .boolean(
            "muc#roomconfig_moderatedroom",
            "Newcomers have no voice",
            s.moderated,
        )
        .boolean(
            VOICE_REQUESTS,
            "Visitors may ask for voice",
            s.voice_requests,
        )
        .boolean(
            "muc#roomconfig_passwordprotectedroom",
            "A password is needed to enter",
            s.password.is_some(),
        )
        .field(
            "muc#roomconfig_roomsecret",
            "text-private",
            "Password",
            &[s.password.as_deref().unwrap_or_default()],
        )
        .boolean(
            "muc#roomconfig_changesubject",
            "Participants may change the subject",
            s.change_subject,
        )
        .boolean(
            "muc#roomconfig_enablelogging",
            "Archive messages",
            s.archive,
        )
        .text(
            "muc#maxhistoryfetch",
            "Messages shown to newcomers",
            &s.history.to_string(),
        );
    choices(fields, room)
        .field(
            "muc#roomconfig_roomadmins",
            "jid-multi",
            "Admins",
            &listed(Affiliation::Admin),
        )
        .field(
            "muc#roomconfig_roomowners",
            "jid-multi",
            "Owners",
            &listed(Affiliation::Owner),
        )
        .field(
            HATS,
            "text-multi",
            "Hats: in each line an address, the hat's URI and its title",
            &hats,
        )
        .0
}

fn choices(fields: Fields, room: &Room) -> Fields {
    let s = &room.settings;
    let whois = if s.non_anonymous() {
        "anyone"
    } else {
        "moderators"
    };
    let max = s
        .max_occupants
        .map_or_else(|| "none".to_owned(), |m| m.to_string());
    let mut sizes = vec![("none", "As many as the server allows")];
    sizes.extend(["10", "20", "30", "50", "100", "200", "500", "1000"].map(|n| (n, n)));
    if !sizes.iter().any(|(value, _)| *value == max) {
        sizes.push((&max, &max));
    }
    let roles: Vec<&str> = s.presence_broadcast.iter().map(|r| r.as_str()).collect();
    fields
        .list(
            (
                "muc#roomconfig_whois",
                "list-single",
                "Who sees real addresses",
            ),
            &[whois],
            &[("moderators", "Moderators"), ("anyone", "Everybody")],
        )
        .list(
            (
                "muc#roomconfig_allowpm",
                "list-single",
                "Who may send private messages",
            ),
            &[s.private_messages.as_str()],
            &[
                ("anyone", "Everybody"),
                ("participants", "Those with voice"),
                ("moderators", "Moderators"),
                ("none", "Nobody"),
            ],
        )
        .list(
            (
                "muc#roomconfig_maxusers",
                "list-single",
                "The most occupants",
            ),
            &[&max],
            &sizes,
        )
        .list(
            (
                "muc#roomconfig_presencebroadcast",
                "list-multi",
                "Roles whose presence others see",
            ),
            &roles,
            &[
                ("moderator", "Moderators"),
                ("participant", "Participants"),
                ("visitor", "Visitors"),
            ],
        )
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Room {
        let jid = "tea@rooms.x".parse().unwrap();
        Room::new(jid, Settings::default(), 0, 1000)
    }

    fn form(fields: &[(&str, &str)]) -> Form {
        let fields = fields
            .iter()
            .map(|(n, v)| ((*n).to_owned(), vec![(*v).to_owned()]));
        Form {
            form_type: "submit".into(),
            fields: fields.collect(),
        }
    }

    #[test]
    fn the_form_submitted_as_it_is_changes_nothing() {
        let mut room = room();
        room.settings.password = Some("secret".into());
        room.settings.max_occupants = Some(77);
        room.settings.hats = vec![Hat {
            jid: "a@b".into(),
            uri: "urn:h".into(),
            title: "The boss".into(),
        }];
        let (settings, changes) = read(&room, &Form::parse(&build(&room))).unwrap();
        assert_eq!((settings, changes), (room.settings.clone(), Vec::new()));
    }

    #[test]
    fn every_wrong_field_is_named_with_what_is_accepted() {
        for (name, value, accepted) in [
            ("muc#roomconfig_membersonly", "perhaps", "1, true, 0, false"),
            ("muc#roomconfig_whois", "nobody", "moderators, anyone"),
            (
                "muc#roomconfig_allowpm",
                "x",
                "anyone, participants, moderators, none",
            ),
            ("muc#roomconfig_maxusers", "5000", "none, or 1 to 1000"),
            ("muc#maxhistoryfetch", "5000", "0 to 100"),
            (
                "muc#roomconfig_roomowners",
                "a@@",
                "addresses such as name@example.com",
            ),
            (
                "muc#roomconfig_passwordprotectedroom",
                "1",
                "the password of the room",
            ),
        ] {
            let error = read(&room(), &form(&[(name, value)])).unwrap_err();
            assert_eq!(error.condition, Condition::NotAcceptable);
            let text = error.text.unwrap();
            assert!(text.contains(accepted), "{text}");
        }
    }

    #[test]
    fn a_password_is_kept_set_and_dropped() {
        let mut room = room();
        let set = form(&[
            ("muc#roomconfig_passwordprotectedroom", "1"),
            ("muc#roomconfig_roomsecret", "x"),
        ]);
        room.settings = read(&room, &set).unwrap().0;
        assert_eq!(room.settings.password.as_deref(), Some("x"));
        assert_eq!(
            read(&room, &form(&[])).unwrap().0.password.as_deref(),
            Some("x")
        );
        let drop = form(&[("muc#roomconfig_passwordprotectedroom", "0")]);
        assert_eq!(read(&room, &drop).unwrap().0.password, None);
    }
}
