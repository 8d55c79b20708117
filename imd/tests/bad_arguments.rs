//! What the command line says to wrong arguments and settings: what was wrong, where, what is accepted. Nothing is
//! changed by it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use support::TestServer;

struct Said {
    code: Option<i32>,
    error: String,
}

fn imd(arguments: &[&str], input: &str) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_imd"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that fails before it reads closes its end.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn wrong_arguments_are_named_with_what_is_accepted() {
    let server = TestServer::prepare("").unwrap();
    let file = server.folder().join("imd.toml");
    std::fs::write(&file, server.settings()).unwrap();
    let config = file.to_str().unwrap();
    let long = "x".repeat(2000);
    let cases: &[(&[&str], &str, i32, &[&str])] = &[
        (&[], "", 2, &["Usage", "serve"]),
        (&["sevre"], "", 2, &["sevre", "serve"]),
        (&["serve"], "", 2, &["--config", "FILE"]),
        (
            &["serve", "--confg", config],
            "",
            2,
            &["--confg", "--config"],
        ),
        (&["demo", "--port", "many"], "", 2, &["many", "--port"]),
        (&["demo", "--port", "70000"], "", 2, &["70000", "0..=65535"]),
        (
            &["serve", "--config", "/nowhere/imd.toml"],
            "",
            2,
            &["/nowhere/imd.toml"],
        ),
        (
            &["check-config", "/nowhere/imd.toml"],
            "",
            2,
            &["/nowhere/imd.toml"],
        ),
        (
            &["user", "add", "a b", "--config", config, "--password-stdin"],
            "secret password\n",
            1,
            &["\"a b\"", "letters"],
        ),
        (
            &[
                "user",
                "add",
                "alice@here",
                "--config",
                config,
                "--password-stdin",
            ],
            "secret password\n",
            1,
            &["alice@here", "without @"],
        ),
        (
            &[
                "user",
                "add",
                "alice",
                "--config",
                config,
                "--password-stdin",
            ],
            "",
            1,
            &["password is empty", "standard input"],
        ),
        (
            &[
                "user",
                "add",
                "alice",
                "--config",
                config,
                "--password-stdin",
            ],
            &long,
            1,
            &["1,024 bytes"],
        ),
        (
            &["user", "add", "alice", "--config", config],
            "secret password\n",
            1,
            &["--password-stdin"],
        ),
        (
            &[
                "user",
                "passwd",
                "alice",
                "--config",
                config,
                "--password-stdin",
            ],
            "secret password\n",
            3,
            &["alice", "does not exist"],
        ),
        (
            &["user", "remove", "alice", "--config", config],
            "",
            3,
            &["alice", "does not exist"],
        ),
    ];
    for (arguments, input, code, parts) in cases {
        let said = imd(arguments, input);
        assert_eq!(said.code, Some(*code), "{arguments:?}: {}", said.error);
        for part in *parts {
            assert!(
                said.error.contains(part),
                "{part:?} is not in what {arguments:?} says:\n{}",
                said.error
            );
        }
        assert!(!said.error.contains("panicked"), "{}", said.error);
    }
    let listed = Command::new(env!("CARGO_BIN_EXE_imd"))
        .args(["user", "list", "--config", config])
        .output()
        .unwrap();
    assert_eq!(listed.stdout, b"", "nobody has come into being");
}

#[test]
fn every_problem_of_a_settings_file_is_told_at_once_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("imd.toml");
    let text = "domain = \"not a domain\"\n[listen]\nstarttls = [\"5222\"]\n[limits]\nlogin_failures = 0\n\
        token_lifetime = \"soon\"\nlogin_failure = 3\n[tls]\ncertificate = 7\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    for command in [&["check-config", file][..], &["serve", "--config", file]] {
        let said = imd(command, "");
        assert_eq!(said.code, Some(2), "{}", said.error);
        for part in [
            "imd.toml:1: domain",
            "imd.toml:3: listen.starttls[0]",
            "imd.toml:5: limits.login_failures",
            "1 to 10000",
            "imd.toml:6: limits.token_lifetime",
            "imd.toml:7: limits.login_failure:",
            "imd.toml:9: tls.certificate",
            "tls.key",
            "data_dir",
        ] {
            assert!(
                said.error.contains(part),
                "{part:?} is not in:\n{}",
                said.error
            );
        }
    }
}

#[test]
fn a_certificate_that_is_none_is_named() {
    let server = TestServer::prepare("").unwrap();
    let file = server.folder().join("imd.toml");
    let settings = server.settings();
    let certificate = server.folder().join("none.crt");
    let other = TestServer::prepare("").unwrap();
    let key = |server: &TestServer| {
        let settings = server.settings().to_owned();
        let at = settings.find("\nkey = ").unwrap() + 7;
        let line = settings[at..].lines().next().unwrap();
        line.trim_matches('"').to_owned()
    };
    let (own_key, other_key) = (key(&server), key(&other));
    let at = settings.find("certificate = ").unwrap() + 14;
    let own_certificate = settings[at..].lines().next().unwrap().trim_matches('"');
    for (content, from, to, parts) in [
        (
            None,
            own_certificate,
            certificate.to_str().unwrap(),
            vec!["none.crt", "cannot read"],
        ),
        (
            Some("hello"),
            own_certificate,
            certificate.to_str().unwrap(),
            vec!["none.crt", "BEGIN CERTIFICATE"],
        ),
        (
            Some("hello"),
            own_key.as_str(),
            certificate.to_str().unwrap(),
            vec!["none.crt", "BEGIN PRIVATE KEY"],
        ),
        (
            None,
            own_key.as_str(),
            other_key.as_str(),
            vec![other_key.as_str(), "does not fit"],
        ),
    ] {
        if let Some(content) = content {
            std::fs::write(&certificate, content).unwrap();
        }
        std::fs::write(&file, settings.replace(from, to)).unwrap();
        let said = imd(&["check-config", file.to_str().unwrap()], "");
        assert_ne!(said.code, Some(0));
        for part in parts {
            assert!(
                said.error.contains(part),
                "{part:?} is not in:\n{}",
                said.error
            );
        }
    }
}
