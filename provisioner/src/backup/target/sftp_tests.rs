use super::*;

#[test]
fn what_the_program_prints_is_read() {
    let printed = "sftp> cd \"/backups\"\nsftp> -df\n\
        \x20       Size         Used        Avail       (root)    %Capacity\n\
        \x20   474720864     30000000    420535116    444651324           6%\n\
        sftp> ls -ln\n\
        -rw-r-----    ? root     root      5242880 Dec  1 02:41 perch-perch-20261201-024100.age\n\
        -rw-------    1 1000     1000           17 Jun 13  2025 perch-perch-20250613-020000.age.part\n\
        drwxr-xr-x    2 1000     1000         4096 Dec  1 02:41 holiday.age\n\
        -rw-r--r--    1 1000     1000           12 Dec  1 02:41 a b.age\n";
    let found = listing(printed);
    assert_eq!(found.free, Some(420_535_116 * 1024));
    let names: Vec<(&str, u64)> = found
        .files
        .iter()
        .map(|lying| (lying.name.as_str(), lying.bytes))
        .collect();
    assert_eq!(
        names,
        [
            ("perch-perch-20261201-024100.age", 5_242_880),
            ("perch-perch-20250613-020000.age.part", 17),
        ]
    );
    assert_eq!(
        listing("sftp> cd \"x\"\nsftp> ls -ln\n"),
        Listing::default()
    );
}

#[test]
fn what_the_programs_complain_of_is_told_apart() {
    for (said, meant) in [
        (
            "@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\nConnection closed",
            Kind::HostKeyChanged,
        ),
        (
            "No RSA host key is known for nas and you have requested strict checking.\nHost key verification failed.",
            Kind::HostKeyChanged,
        ),
        (
            "perch@nas: Permission denied (publickey).\nConnection closed",
            Kind::KeyRefused,
        ),
        (
            "ssh: Could not resolve hostname nas: Name or service not known\nConnection closed",
            Kind::NoName,
        ),
        (
            "ssh: connect to host nas port 22: Connection refused\nConnection closed",
            Kind::NoAnswer,
        ),
        (
            "ssh: connect to host nas port 22: Connection timed out",
            Kind::NoAnswer,
        ),
        ("stat remote: No such file or directory", Kind::NoBackup),
        (
            "dest open \"x.age.part\": Permission denied",
            Kind::NotAllowed,
        ),
        ("write remote \"/x\": Failure", Kind::Full),
        (
            "write remote \"/x\": Connection lost\nConnection closed",
            Kind::Cut,
        ),
        (
            "client_loop: send disconnect: Broken pipe\nConnection closed",
            Kind::Cut,
        ),
        (
            "Connection to 127.0.0.1 closed by remote host.\nConnection closed",
            Kind::Cut,
        ),
        ("Connection closed", Kind::Cut),
        (
            "subsystem request failed on channel 0\nConnection closed",
            Kind::Other,
        ),
    ] {
        assert_eq!(fault_of(said), meant, "{said}");
    }
}

#[test]
fn what_is_shown_of_a_complaint_is_its_last_line() {
    for (complaint, shown) in [
        (
            "@@@\n@ WARNING @\nHost key verification failed.\nConnection closed",
            "Host key verification failed.",
        ),
        ("Connection closed", "Connection closed"),
        ("", ""),
    ] {
        assert_eq!(reason(complaint), shown);
    }
}

#[test]
fn a_word_stays_one_word() {
    assert_eq!(quoted("/srv/a b"), "\"/srv/a b\"");
    assert_eq!(quoted("a\"b\\c"), "\"a\\\"b\\\\c\"");
}
