//! Which of several disks of one release the initrd takes: `find_root` of the initrd's `init`, run by `sh` with disks that are folders.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Each disk is a folder: `system` is its root, `bootfs` its first partition.
const DISKS: &str = r#"
partuuid=x
say() { echo "said: $*" >&2; }
blkid() { [ -z "$disks" ] || ls -d $disks; }
disk_of() { dirname "$1"; }
partition() { echo "$1/bootfs"; }
mount() {
  shift 4
  [ -d "$1" ] && [ ! -e "$1/unreadable" ] && cp -r "$1/." "$2"
}
umount() { rm -rf "$1"; mkdir "$1"; }
if find_root; then echo "$root"; else echo none; fi
"#;

/// Disks with the marks on them.
struct Disks(TempDir);

impl Disks {
    fn new(marks: &[(&str, &str)]) -> Self {
        let disks = Self(tempfile::tempdir().unwrap());
        for (disk, mark) in marks {
            let bootfs = disks.0.path().join(disk).join("bootfs");
            fs::create_dir_all(&bootfs).unwrap();
            fs::create_dir(disks.0.path().join(disk).join("system")).unwrap();
            // As U-Boot writes it: checksum, then variables that end with a zero byte.
            let slots =
                format!("\u{1}\n\u{7f}zBOOT_A_LEFT=3\0BOOT_MARK={mark}\0BOOT_ORDER=A B\0\0");
            fs::write(bootfs.join("slots.env"), slots).unwrap();
        }
        disks
    }

    /// The root that is found after `tries` half seconds, when U-Boot handed the mark `start` over.
    fn found(&self, start: &str, tries: u32) -> String {
        let init = Path::new(env!("CARGO_MANIFEST_DIR")).join("boot/init");
        let init = fs::read_to_string(init).unwrap();
        let from = init.find("disk_of() {").unwrap();
        let to = init.find("# crc32c_generic first").unwrap();
        let functions = init[from..to]
            .replace("[ -b ", "[ -e ")
            .replace("/run/bootfs", "bootfs");
        let names = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| format!("{name}/system"))
            .collect();
        names.sort();
        let said = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "start={start} tries={tries} disks='{}'\n{functions}{DISKS}",
                names.join(" ")
            ))
            .current_dir(self.0.path())
            .output()
            .unwrap();
        assert!(said.status.success(), "{said:?}");
        assert!(!self.0.path().join("bootfs").exists(), "left mounted");
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    }
}

#[test]
fn the_disk_with_the_mark_of_this_start_is_taken_whichever_comes_first() {
    for (first, second, wanted) in [
        ("2-ab", "2-cd", "sda/system"),
        ("2-cd", "2-ab", "sdb/system"),
    ] {
        let disks = Disks::new(&[("sda", first), ("sdb", second)]);
        assert_eq!(disks.found("2-ab", 0), wanted);
    }
}

#[test]
fn a_disk_that_was_not_started_from_is_not_taken_for_being_there_before_the_other() {
    let disks = Disks::new(&[("mmcblk0", "1-ff")]);
    assert_eq!(disks.found("2-ab", 0), "none");
    assert_eq!(disks.found("2-ab", 29), "none");
}

#[test]
fn two_disks_without_the_mark_are_never_guessed_between() {
    let disks = Disks::new(&[("sda", "1-ab"), ("sdb", "12-ab")]);
    assert_eq!(disks.found("2-ab", 119), "none");
}

#[test]
fn the_only_disk_is_taken_after_a_while_even_if_its_mark_cannot_be_read() {
    let disks = Disks::new(&[("sda", "1-ff")]);
    assert_eq!(disks.found("2-ab", 30), "sda/system");
    fs::write(disks.0.path().join("sda/bootfs/unreadable"), "").unwrap();
    assert_eq!(disks.found("2-ab", 30), "sda/system");
}

#[test]
fn without_a_mark_the_first_disk_is_taken_at_once() {
    let disks = Disks::new(&[("sda", "1-ff"), ("sdb", "1-ff")]);
    assert_eq!(disks.found("", 0), "sda/system");
    assert_eq!(Disks::new(&[]).found("", 0), "none");
}
