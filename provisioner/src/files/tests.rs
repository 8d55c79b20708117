use super::*;

#[test]
fn patterns_match_names_and_not_longer_ones() {
    for (pattern, name, expected) in [
        ("mmcblk?", "mmcblk0", true),
        ("mmcblk?", "mmcblk0boot0", false),
        ("policy*", "policy4", true),
        ("*_temp", "trip_point_0_temp", true),
        ("sd?", "sd", false),
    ] {
        assert_eq!(
            matches(pattern.as_bytes(), name.as_bytes()),
            expected,
            "{pattern} {name}"
        );
    }
}

#[test]
fn replacing_leaves_an_equal_file_alone_and_mends_its_mode() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path());
    assert!(files.replace("/etc/a", b"one\n", Access::Everyone).unwrap());
    assert!(!files.replace("/etc/a", b"one\n", Access::Everyone).unwrap());
    assert!(files.replace("/etc/a", b"one\n", Access::Root).unwrap());
    assert_eq!(files.read("/etc/a").unwrap().as_deref(), Some("one"));
}

#[test]
fn overwriting_changes_those_bytes_and_never_the_length() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path());
    files.replace("/a", b"one two three", Access::Fat).unwrap();
    files.overwrite("/a", 4, b"2  ").unwrap();
    assert_eq!(files.read("/a").unwrap().as_deref(), Some("one 2   three"));
    assert!(files.overwrite("/a", 12, b"longer").is_err());
    assert!(files.overwrite("/b", 0, b"new").is_err());
    assert_eq!(files.read("/a").unwrap().as_deref(), Some("one 2   three"));
    assert_eq!(files.read("/b").unwrap(), None);
}

#[test]
fn a_power_cut_while_replacing_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    Files::new(folder.path())
        .replace("/a", b"old", Access::Everyone)
        .unwrap();
    for changes in 0..2 {
        let cut = Files::new(folder.path()).with_power_for(changes);
        assert!(
            cut.replace("/a", b"new", Access::Everyone)
                .unwrap_err()
                .is::<PowerCut>()
        );
        assert_eq!(cut.read("/a").unwrap().as_deref(), Some("old"));
    }
}
