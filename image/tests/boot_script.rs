//! Which slot U-Boot's script starts, and what it keeps. U-Boot's shell is close enough to POSIX's for `sh` to run the script itself, with
//! U-Boot's commands made up here; the emulated machines run it in U-Boot.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// U-Boot's commands on a card that is the folder `card`, with a file for each piece of memory. An environment is text whose first line stands
/// for its checksum.
const U_BOOT: &str = r#"
set -f
devtype=mmc devnum=0 kernel_addr_r=0x1000 fdtcontroladdr=1
setenv() { name=$1; shift; if [ $# = 0 ]; then unset "$name"; else eval "$name=\$*"; fi; }
setexpr() { eval "$1=$(printf %x $((0x${2#0x} $3 0x${4#0x})))"; }
setexpr_l() { eval "$1=$number"; }
random() { [ -n "$number" ]; }
load() {
  [ -f "card/${2#*:}/$4" ] && cp "card/${2#*:}/$4" "memory-$3" && filesize=100
}
fatwrite() {
  [ ! -e cannot-write ] || return 1
  [ -e keeps-nothing ] || cp "memory-$3" "card/${2#*:}/$4"
}
env() {
  case "$1 $2" in
    'import -c') [ "$(head -n 1 "memory-$3")" = whole ] || return 1; from=memory-$3; shift 4 ;;
    'import -t') from=memory-$3; shift 4 ;;
    'export -c') to=memory-$5; shift 5; echo whole >"$to"
      for name in "$@"; do eval "value=\$$name"; [ -z "$value" ] || echo "$name=$value" >>"$to"; done
      return ;;
  esac
  for name in "$@"; do
    value=$(sed -n "s/^$name=//p" "$from")
    if [ -n "$value" ]; then eval "$name=\$value"; else unset "$name"; fi
  done
}
part() { eval "$4=uuid-of-${3#*:}"; }
fdt() { false; }
sleep() { true; }
booti() { echo "$bootargs"; exit; }
reset() { echo reset; exit; }
"#;

/// A flashed card.
struct Card {
    folder: TempDir,
}

impl Card {
    fn new(slots: &str) -> Self {
        let card = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for partition in ["1", "2", "3"] {
            fs::create_dir_all(card.path(&format!("card/{partition}"))).unwrap();
        }
        for partition in ["2", "3"] {
            for (name, text) in [
                ("vmlinuz", "kernel"),
                ("initrd.img", "initrd"),
                ("verity.txt", "system_verity=1:hash\n"),
            ] {
                card.put(&format!("card/{partition}/{name}"), text);
            }
        }
        card.put("card/1/slots.env", &format!("whole\n{slots}"));
        card.put("card/1/slots.bak", &format!("whole\n{slots}"));
        card
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Runs the script: the kernel's command line, or `reset`.
    fn start(&self) -> String {
        self.start_with_number("abcd")
    }

    /// The same with what U-Boot's `random` gives; empty: this U-Boot has none.
    fn start_with_number(&self, number: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("boot/boot.cmd");
        let script = fs::read_to_string(script)
            .unwrap()
            .replace("setexpr.l", "setexpr_l")
            // U-Boot's shell splits it all the same.
            .replace("in \"${BOOT_ORDER}\"", "in ${BOOT_ORDER}");
        let said = Command::new("sh")
            .arg("-c")
            .arg(format!("number={number}\n{U_BOOT}{script}"))
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(said.status.success(), "{said:?}");
        assert!(said.stderr.is_empty(), "{said:?}");
        let said = String::from_utf8(said.stdout).unwrap();
        said.lines().last().unwrap_or_default().to_owned()
    }

    /// The slot that the script starts.
    fn slot(&self) -> String {
        word(&self.start(), "rauc.slot=")
    }

    /// A variable of `slots.env`.
    fn kept(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path("card/1/slots.env")).unwrap();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")));
        value.unwrap_or_default().to_owned()
    }

    /// What RAUC does on the box: `fw_setenv`.
    fn set(&self, name: &str, value: &str) {
        let path = self.path("card/1/slots.env");
        let text = fs::read_to_string(&path).unwrap();
        let others = text
            .lines()
            .filter(|line| !line.starts_with(&format!("{name}=")));
        let text: String = others.map(|line| format!("{line}\n")).collect();
        fs::write(path, format!("{text}{name}={value}\n")).unwrap();
    }
}

fn word(line: &str, start: &str) -> String {
    let found = line.split(' ').find_map(|word| word.strip_prefix(start));
    found
        .unwrap_or_else(|| panic!("no {start} in: {line}"))
        .to_owned()
}

const NEW: &str = "BOOT_ORDER=A B\nBOOT_A_LEFT=3\nBOOT_B_LEFT=3\n";
/// Slot A is known to work; B was written and is started for the first time.
const ON_TRIAL: &str = "BOOT_ORDER=B A\nBOOT_A_LEFT=3\nBOOT_B_LEFT=3\nBOOT_LAST=A\nBOOT_STARTS=7\n";

#[test]
fn a_slot_is_started_three_times_and_then_the_other_one() {
    let card = Card::new(NEW);
    let slots: String = (0..6).map(|_| card.slot()).collect();
    assert_eq!(slots, "AAABBB");
    assert_eq!(card.start(), "reset");
    assert_eq!(card.slot(), "A");
    assert_eq!(card.kept("BOOT_A_LEFT"), "2");
}

#[test]
fn the_kernel_is_told_its_root_the_hash_and_the_mark_that_is_on_the_card() {
    let card = Card::new(NEW);
    let line = card.start();
    assert_eq!(word(&line, "root=PARTUUID="), "uuid-of-4");
    assert_eq!(word(&line, "perch.verity="), "1:hash");
    assert_eq!(word(&line, "perch.start="), "1-abcd");
    assert_eq!(card.kept("BOOT_MARK"), "1-abcd");
    card.set("BOOT_ORDER", "B A");
    let line = card.start_with_number("ef01");
    assert_eq!(word(&line, "root=PARTUUID="), "uuid-of-5");
    assert_eq!(word(&line, "perch.start="), "2-ef01");
    // A U-Boot without `random`: the count tells most disks apart.
    assert_eq!(word(&card.start_with_number(""), "perch.start="), "3-0");
}

#[test]
fn a_torn_slots_env_is_replaced_by_slots_bak() {
    let card = Card::new(ON_TRIAL);
    card.put("card/1/slots.env", "torn\nBOOT_ORDER=A B\n");
    assert_eq!(card.slot(), "B");
    assert_eq!(card.kept("BOOT_ORDER"), "B A");
    assert_eq!(card.kept("BOOT_B_LEFT"), "2");
    // Neither: as a new card.
    for name in ["slots.env", "slots.bak"] {
        card.put(&format!("card/1/{name}"), "torn\n");
    }
    assert_eq!(card.slot(), "A");
    assert_eq!(card.kept("BOOT_B_LEFT"), "3");
}

#[test]
fn a_start_that_cannot_be_counted_is_one_of_the_slot_that_is_known_to_work() {
    for fault in ["cannot-write", "keeps-nothing"] {
        let card = Card::new(ON_TRIAL);
        card.put(fault, "");
        let line = card.start();
        assert_eq!(word(&line, "rauc.slot="), "A", "{fault}");
        assert_eq!(word(&line, "root=PARTUUID="), "uuid-of-4", "{fault}");
        // No disk has the mark.
        assert_eq!(word(&line, "perch.start="), "", "{fault}");
    }
}

#[test]
fn a_slot_is_known_to_work_once_it_has_its_tries_back() {
    let card = Card::new(ON_TRIAL);
    assert_eq!(card.slot(), "B");
    assert_eq!(card.kept("BOOT_PROVEN"), "A");
    card.put("cannot-write", "");
    assert_eq!(card.slot(), "A", "B is on trial");
    fs::remove_file(card.path("cannot-write")).unwrap();
    // The new version commits.
    card.set("BOOT_B_LEFT", "3");
    card.put("cannot-write", "");
    assert_eq!(card.slot(), "B");
}

#[test]
fn a_slot_without_tries_is_not_started_for_being_the_one_that_worked() {
    let card = Card::new(ON_TRIAL);
    card.set("BOOT_A_LEFT", "0");
    card.set("BOOT_PROVEN", "A");
    card.put("cannot-write", "");
    assert_eq!(card.slot(), "B");
}

#[test]
fn a_new_box_whose_card_cannot_be_written_starts_all_the_same() {
    let card = Card::new("BOOT_ORDER=A B\nBOOT_A_LEFT=0\nBOOT_B_LEFT=0\n");
    card.put("cannot-write", "");
    assert_eq!(card.slot(), "A");
    let card = Card::new(NEW);
    card.put("cannot-write", "");
    assert_eq!(card.slot(), "A");
}
