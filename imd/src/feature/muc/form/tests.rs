//! The form is read as it is built.

use imd_proto::Condition;
use imd_proto::form::Form;

use super::*;
use crate::feature::muc::room::Room;
use crate::feature::muc::settings::{Hat, Settings};

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
