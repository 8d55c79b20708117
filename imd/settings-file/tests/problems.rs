#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]
//! The error format is a contract: these texts are what people see.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use settings_file::{Document, Problems, parse};

#[derive(Debug, PartialEq)]
struct Config {
    domain: String,
    port: u16,
    timeout: Duration,
    limit: u64,
    listen: Vec<SocketAddr>,
    password: Option<String>,
    rooms: Vec<String>,
    certificate: PathBuf,
    compress: bool,
}

fn read(text: &str) -> Result<Config, Problems> {
    read_document(Document::parse("imd.toml", text))
}

fn read_document(doc: Document) -> Result<Config, Problems> {
    let mut root = doc.root();
    let domain = root.required("domain", parse::single_line);
    let port = root.optional("port", parse::integer::<u16>(1..=65535));
    let timeout = root.optional("timeout", parse::duration);
    let limit = root.optional("limit", parse::size);
    let listen = root.list("listen", parse::socket_address);
    let compress = root.optional("compress", parse::boolean);
    root.secret("password");
    let password = root.optional("password", |value| {
        value
            .as_str()
            .filter(|text| text.len() >= 8)
            .map(str::to_owned)
            .ok_or("8 characters or more".to_owned())
    });
    let mut tls = root.table_or_empty("tls");
    let certificate = tls.required("certificate", parse::path);
    tls.finish();
    let rooms: Vec<Option<String>> = root
        .tables("room")
        .into_iter()
        .map(|mut room| {
            let name = room.required("name", parse::single_line);
            room.finish();
            name
        })
        .collect();
    root.finish();
    let config = (|| {
        Some(Config {
            domain: domain?,
            port: port.unwrap_or(5222),
            timeout: timeout.unwrap_or(Duration::from_secs(30)),
            limit: limit.unwrap_or(65536),
            listen: listen.unwrap_or_default(),
            password,
            rooms: rooms.into_iter().collect::<Option<_>>()?,
            certificate: certificate?,
            compress: compress.unwrap_or(false),
        })
    })();
    doc.into_result(config)
}

const GOOD: &str = r#"
domain = "perch.local"
port = 5_223
timeout = "2m"
limit = "64KiB"
listen = ["[::]:5222", "127.0.0.1:80"]
compress = true
password = "correct horse"
[tls]
certificate = "/etc/cert"
[[room]]
name = "hall"
[[room]]
name = "garden"
"#;

#[test]
fn a_good_file_gives_typed_values() {
    let config = read(GOOD).unwrap();
    assert_eq!(config.domain, "perch.local");
    assert_eq!(config.port, 5223);
    assert_eq!(config.timeout, Duration::from_secs(120));
    assert_eq!(config.limit, 65536);
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.rooms, ["hall", "garden"]);
    assert_eq!(config.certificate, PathBuf::from("/etc/cert"));
    assert!(config.compress);
}

#[test]
fn every_problem_is_reported_with_its_line_and_key() {
    let text = r#"
domian = "perch.local"
port = 70000
timeout = 30
limit = "64 bytes"
listen = [
  "[::]:5222",
  "localhost:5223",
]
compress = "yes"
password = "hunter2"
[tls]
[[room]]
name = "a\nb"
colour = "red"
"#;
    let expected = "\
imd.toml:1: domain: found nothing; accepted: a string in quotes, not empty, on one line
imd.toml:2: domian: found an unknown key; accepted: one of domain, port, timeout, limit, listen, compress, password, tls, room (did you mean domain?)
imd.toml:3: port: found 70000; accepted: a whole number from 1 to 65535
imd.toml:4: timeout: found 30; accepted: a time with its unit (ms, s, m, h or d), such as \"30s\"
imd.toml:5: limit: found \"64 bytes\"; accepted: a size with its unit (B, KiB, MiB, GiB, kB, MB or GB), such as \"64KiB\"
imd.toml:8: listen[1]: found \"localhost:5223\"; accepted: an IP address and port, such as \"[::]:5222\" or \"127.0.0.1:5222\"
imd.toml:10: compress: found \"yes\"; accepted: true or false
imd.toml:11: password: found a string of 7 characters; accepted: 8 characters or more
imd.toml:12: tls.certificate: found nothing; accepted: a path, such as \"/var/lib/imd\"
imd.toml:14: room[0].name: found \"a\\nb\"; accepted: a string in quotes, not empty, on one line
imd.toml:15: room[0].colour: found an unknown key; accepted: one of name";
    assert_eq!(read(text).unwrap_err().to_string(), expected);
}

#[test]
fn bad_syntax_is_reported_by_line_and_the_rest_is_still_checked() {
    let problems = read("domain = \"perch.local\nport = 70000\n")
        .unwrap_err()
        .to_string();
    assert!(
        problems.starts_with("imd.toml:1: found bad TOML: "),
        "{problems}"
    );
    assert!(
        problems.contains("imd.toml:2: port: found 70000"),
        "{problems}"
    );
    assert!(!problems.contains("domain: found nothing"), "{problems}");
}

#[test]
fn a_key_given_twice_is_a_problem() {
    let problems = read(&format!("domain = \"a.local\"\n{GOOD}"))
        .unwrap_err()
        .to_string();
    assert!(
        problems.starts_with("imd.toml:3: found bad TOML: duplicate key"),
        "{problems}"
    );
}

#[test]
fn a_table_of_the_wrong_type_is_a_problem() {
    let problems = read("domain = \"a\"\nroom = 3\ntls = \"x\"\n")
        .unwrap_err()
        .to_string();
    assert!(
        problems.contains("imd.toml:2: room: found 3; accepted: tables, each written [[room]]"),
        "{problems}"
    );
    assert!(
        problems.contains("imd.toml:3: tls: found \"x\"; accepted: a table, written [tls]"),
        "{problems}"
    );
}

#[test]
fn a_file_saved_on_windows_reads_the_same() {
    let text = format!("\u{feff}{}", GOOD.replace('\n', "\r\n"));
    assert_eq!(read(&text).unwrap(), read(GOOD).unwrap());
}

#[test]
fn an_unreadable_file_is_a_problem_of_that_file() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    let problems = read_document(Document::read(&missing)).unwrap_err();
    assert_eq!(problems.iter().count(), 1);
    assert!(
        problems
            .to_string()
            .contains("missing.toml:1: found no readable file"),
        "{problems}"
    );

    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, b"domain = \"a\"\n\xff\xfe").unwrap();
    let problems = read_document(Document::read(&binary))
        .unwrap_err()
        .to_string();
    assert!(
        problems.contains("binary.toml:2: found bytes that are not UTF-8"),
        "{problems}"
    );
}

#[test]
fn durations_and_sizes_that_overflow_are_refused() {
    let problems = read("domain = \"a\"\ntimeout = \"99999999999999999999d\"\nlimit = \"99999999999999GiB\"\n[tls]\ncertificate = \"c\"\n")
        .unwrap_err();
    assert_eq!(problems.iter().count(), 2, "{problems}");
}

/// Whatever is in the file, reading it ends with a value or with problems that name lines of the file.
#[test]
fn damaged_files_give_problems_and_never_a_panic() {
    let mut state = 2026_u64;
    let mut random = |below: usize| {
        // Knuth's MMIX generator: repeatable damage.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let pieces = [
        "[", "]", "\"", "'", "\"\"\"", "=", "\n", "\r", ".", "{", "}", ",", "#", "\0", "é", "1e9",
        "[[room]]", "\\u12",
    ];
    for _ in 0..5_000 {
        let mut text = GOOD.to_owned();
        for _ in 0..=random(4) {
            let at = (0..=random(text.len() + 1))
                .rev()
                .find(|at| text.is_char_boundary(*at))
                .unwrap();
            let last = (at + random(8)).min(text.len());
            let end = (at..=last)
                .rev()
                .find(|end| text.is_char_boundary(*end))
                .unwrap();
            text.replace_range(at..end, pieces[random(pieces.len())]);
        }
        let lines = text.split('\n').count();
        if let Err(problems) = read(&text) {
            for problem in &problems {
                assert!(
                    (1..=lines).contains(&problem.line),
                    "line {} of {lines}: {text:?}",
                    problem.line
                );
                assert_eq!(problem.to_string().lines().count(), 1, "{problem}");
            }
        }
    }
}
