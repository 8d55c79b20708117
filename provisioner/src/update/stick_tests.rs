#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn put(root: &Path, path: &str, content: &str) {
    let place = root.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(place, content).unwrap();
}

fn plug(root: &Path, device: &str, number: u32, kind: &str) {
    put(
        root,
        &format!("/sys/class/block/{device}/dev"),
        &format!("8:{number}"),
    );
    put(root, &format!("/sys/class/block/{device}/size"), "2048\n");
    let known = format!(
        "I:77\nE:ID_BUS=usb\nE:ID_MODEL=Rainbow\nE:ID_SERIAL_SHORT=S{number}\nE:ID_FS_UUID=U{number}\nE:ID_FS_TYPE={kind}\n"
    );
    put(root, &format!("/run/udev/data/b8:{number}"), &known);
}

#[test]
fn only_bundles_of_the_top_folder_are_listed_and_no_links() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("perch-1.0.0.raucb", "a"),
        ("perch-1.1.0.raucb", "ab"),
        ("PERCH.RAUCB", "abc"),
        ("holiday.jpg", "a"),
        ("._perch-1.1.0.raucb", "a"),
        ("folder/perch-1.2.0.raucb", "a"),
    ] {
        put(folder.path(), name, content);
    }
    std::fs::create_dir(folder.path().join("a.raucb")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("b.raucb")).unwrap();
    let found = list(folder.path()).unwrap();
    let shown: Vec<(&str, u64)> = found.iter().map(|(n, b)| (n.as_str(), *b)).collect();
    assert_eq!(
        shown,
        [
            ("perch-1.1.0.raucb", 2),
            ("perch-1.0.0.raucb", 1),
            ("PERCH.RAUCB", 3)
        ]
    );
    assert!(list(&folder.path().join("gone")).is_err());
}

#[test]
fn the_disk_that_the_box_runs_from_is_no_stick() {
    let root = tempfile::tempdir().unwrap();
    let files = Files::new(root.path());
    plug(root.path(), "sda1", 1, "vfat");
    plug(root.path(), "sda5", 5, "ext4");
    plug(root.path(), "sdb1", 17, "exfat");
    put(
        root.path(),
        "/proc/self/mounts",
        "/dev/sda5 /data ext4 rw 0 0\nproc /proc proc rw 0 0\n",
    );
    let found = views(&files, 0);
    let ids: Vec<&str> = found.iter().map(|view| view.id.as_str()).collect();
    assert_eq!(ids, ["S17/U17"]);
    assert_eq!(found.first().unwrap().bytes, Some(1 << 20));
    assert!(find(&files, &StickId::new("S1/U1").unwrap()).is_none());
    assert!(find(&files, &StickId::new("S17/U17").unwrap()).is_some());
}

#[test]
fn what_is_known_of_a_stick_holds_until_it_is_pulled_out() {
    let root = tempfile::tempdir().unwrap();
    let files = Files::new(root.path());
    let look = |now| views(&files, now).remove(0).look;
    plug(root.path(), "sdb1", 17, "vfat");
    assert_eq!(look(0), Look::Waiting);
    let visit = r#"{"id":"S17/U17","since":"77"}"#;
    put(
        root.path(),
        ASKED,
        &format!(r#"{{"visits":[{visit}],"at":100}}"#),
    );
    assert_eq!(look(101), Look::Looking);
    assert_eq!(look(100 + PATIENCE), Look::Unanswered);
    let seen = format!(r#"[{{"visit":{visit},"look":{{"found":[]}}}}]"#);
    put(root.path(), SEEN, &seen);
    assert_eq!(look(101), Look::Found(Vec::new()));
    // Plugged in anew: it may have other files.
    let udev = root.path().join("run/udev/data/b8:17");
    let known = std::fs::read_to_string(&udev).unwrap();
    std::fs::write(&udev, known.replace("I:77", "I:99")).unwrap();
    assert_eq!(look(101), Look::Waiting);
    plug(root.path(), "sdb1", 17, "ntfs");
    assert_eq!(look(101), Look::Format);
}
