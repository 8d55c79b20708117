//! The configuration as a form (XEP-0045 §10.2, §15.5.3).

use imd_proto::{Element, ns};

mod read;

pub use read::read;

use crate::feature::muc::names;
use crate::feature::muc::role::Affiliation;
use crate::feature::muc::room::Room;

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

#[cfg(test)]
mod tests;
