use super::*;

#[test]
fn what_is_not_a_command_is_refused() {
    for line in [
        r#"{"actor":{"name":null,"address":null},"command":{"run":"sh"}}"#,
        r#"{"actor":{"name":null,"address":null},"command":"status","more":1}"#,
        r#"{"actor":{"name":"../root","address":null},"command":"status"}"#,
        r#"{"actor":{"name":null,"address":null},"command":{"set-clock":{"unix":"now"}}}"#,
    ] {
        assert!(serde_json::from_str::<Request>(line).is_err(), "{line}");
    }
}

#[test]
fn secrets_are_not_in_the_log() {
    let claim = Command::Claim {
        code: Some("secret".to_owned()),
        visit: "secret".to_owned(),
    };
    let change = Command::ChangeSettings {
        pairs: vec![("wifi.password".to_owned(), "secret".to_owned())],
        dry_run: false,
    };
    let restore = Command::Restore {
        from: Source::Stick,
        words: "secret".to_owned(),
    };
    for command in [claim, change, restore] {
        assert!(!command.subject().contains("secret"), "{command:?}");
    }
}

#[test]
fn a_bundle_on_a_stick_is_named_without_a_way_to_elsewhere() {
    let line = |stick: &str, name: &str| {
        let chosen = serde_json::json!({ "stick": stick, "name": name });
        let command = serde_json::json!({ "install-from-stick": { "chosen": chosen, "without_backup": false } });
        let actor = serde_json::json!({ "name": null, "address": null });
        serde_json::json!({ "actor": actor, "command": command }).to_string()
    };
    assert!(serde_json::from_str::<Request>(&line("S1/U1", "perch.raucb")).is_ok());
    for (stick, name) in [
        ("S1/U1", "../perch.raucb"),
        ("S1/U1", "/etc/perch.raucb"),
        ("S1/U1", "folder/perch.raucb"),
        ("S1/U1", "perch.raucb\n"),
        ("S1/U1", ".raucb"),
        ("S1/U1", "passwd"),
        ("S1", "perch.raucb"),
        ("S1/\nU1", "perch.raucb"),
    ] {
        let found = serde_json::from_str::<Request>(&line(stick, name));
        assert!(found.is_err(), "{stick:?} {name:?}");
    }
}
