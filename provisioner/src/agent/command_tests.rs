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
