//! Tuning on a made-up /proc and /sys.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{FakeSystem, get, put, root};
use provisioner::files::Files;
use provisioner::model::Profile;
use provisioner::tuning::file::{read_folder, read_for};
use provisioner::tuning::machine::Machine;
use provisioner::tuning::report::{Outcome, Report};
use provisioner::tuning::setting::{Setting, Wanted, Wherever};
use provisioner::tuning::storage::Storage;
use provisioner::tuning::{apply, journald};

/// Every table has to name its source; those of these tests have the same.
fn sourced(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        out += &format!("{line}\n");
        if line.starts_with("reason = ") {
            out += "source = \"a page for the test\"\n";
        }
    }
    out
}

fn settings(text: &str) -> Vec<Setting> {
    let folder = root(&[("/tuning.toml", &sourced(text))]);
    read_folder(folder.path()).unwrap()
}

fn run(root: &Path, system: &FakeSystem, settings: &[Setting]) -> Report {
    let files = Files::new(root);
    Report::new(apply::apply(
        &Machine {
            files: &files,
            system,
        },
        settings,
    ))
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/tuning")
}

const SOMAXCONN: &str = r#"
[[sysctl]]
key = "net.core.somaxconn"
at_least = 4096
reason = "a reason for the test"
"#;

#[test]
fn a_value_is_written_and_read_back() {
    let root = root(&[("/proc/sys/net/core/somaxconn", "128\n")]);
    let system = FakeSystem::new(root.path());
    let report = run(root.path(), &system, &settings(SOMAXCONN));
    assert_eq!(report.settings[0].outcome, Outcome::Applied);
    assert_eq!(report.settings[0].before.as_deref(), Some("128"));
    assert_eq!(report.settings[0].now.as_deref(), Some("4096"));
    assert_eq!(get(root.path(), "/proc/sys/net/core/somaxconn"), "4096");
    assert_eq!(
        run(root.path(), &system, &settings(SOMAXCONN)).settings[0].outcome,
        Outcome::Unchanged
    );
}

#[test]
fn a_higher_value_than_at_least_is_kept() {
    let root = root(&[("/proc/sys/net/core/somaxconn", "65536\n")]);
    let report = run(
        root.path(),
        &FakeSystem::new(root.path()),
        &settings(SOMAXCONN),
    );
    assert_eq!(report.settings[0].outcome, Outcome::Unchanged);
    assert_eq!(get(root.path(), "/proc/sys/net/core/somaxconn"), "65536\n");
}

#[test]
fn what_the_machine_lacks_is_not_available_and_no_failure() {
    let root = root(&[]);
    let report = run(
        root.path(),
        &FakeSystem::new(root.path()),
        &settings(SOMAXCONN),
    );
    assert!(report.ok);
    assert_eq!(report.settings[0].outcome, Outcome::NotAvailable);
    assert_eq!(report.settings[0].note, "no /proc/sys/net/core/somaxconn");
}

#[test]
fn a_value_that_does_not_stick_is_a_failure_and_the_others_still_happen() {
    let root = root(&[("/proc/sys/vm/swappiness", "60\n")]);
    std::fs::create_dir_all(root.path().join("proc/sys/net/core")).unwrap();
    std::os::unix::fs::symlink("/dev/null", root.path().join("proc/sys/net/core/somaxconn"))
        .unwrap();
    let text = format!(
        "{SOMAXCONN}[[sysctl]]\nkey = \"vm.swappiness\"\nvalue = \"100\"\nreason = \"a reason again\"\n"
    );
    let report = run(root.path(), &FakeSystem::new(root.path()), &settings(&text));
    assert!(!report.ok);
    assert_eq!(report.settings[0].outcome, Outcome::Failed);
    assert_eq!(
        report.settings[0].note,
        "wrote 4096, but it does not read back"
    );
    assert_eq!(report.settings[1].outcome, Outcome::Applied);
}

#[test]
fn a_plan_changes_nothing() {
    let root = root(&[("/proc/sys/net/core/somaxconn", "128\n")]);
    let (files, system) = (Files::new(root.path()), FakeSystem::new(root.path()));
    let rows = apply::preview(
        &Machine {
            files: &files,
            system: &system,
        },
        &settings(SOMAXCONN),
    );
    assert_eq!(rows[0].outcome, Outcome::WouldApply);
    assert_eq!(get(root.path(), "/proc/sys/net/core/somaxconn"), "128\n");
}

#[test]
fn every_cpu_policy_gets_the_first_governor_that_its_kernel_offers() {
    let policy = "/sys/devices/system/cpu/cpufreq/policy";
    let root = root(&[
        (&format!("{policy}0/scaling_governor"), "performance\n"),
        (
            &format!("{policy}0/scaling_available_governors"),
            "performance ondemand schedutil\n",
        ),
        (&format!("{policy}4/scaling_governor"), "performance\n"),
        (
            &format!("{policy}4/scaling_available_governors"),
            "performance powersave\n",
        ),
    ]);
    let governor: Vec<Setting> = read_for(&shipped(), &Profile::usual(), Some(Storage::Card))
        .unwrap()
        .into_iter()
        .filter(|setting| setting.name == "CPU governor")
        .collect();
    let report = run(root.path(), &FakeSystem::new(root.path()), &governor);
    assert_eq!(report.settings[0].outcome, Outcome::Applied);
    assert_eq!(
        get(root.path(), &format!("{policy}0/scaling_governor")),
        "schedutil"
    );
    assert_eq!(report.settings[1].outcome, Outcome::NotAvailable);
    assert_eq!(
        report.settings[1].note,
        "this kernel offers only performance, powersave"
    );
}

#[test]
fn the_selected_word_of_a_kernel_list_is_the_value() {
    let root = root(&[(
        "/sys/block/mmcblk0/queue/scheduler",
        "none [mq-deadline] kyber\n",
    )]);
    let text = "[[file]]\nname = \"s\"\npath = \"/sys/block/mmcblk?/queue/scheduler\"\nvalue = \"mq-deadline\"\nreason = \"a reason for the test\"\n";
    let report = run(root.path(), &FakeSystem::new(root.path()), &settings(text));
    assert_eq!(report.settings[0].outcome, Outcome::Unchanged);
}

#[test]
fn only_a_fan_that_the_kernel_controls_is_touched() {
    let root = root(&[
        ("/sys/class/hwmon/hwmon0/name", "rpi_volt\n"),
        ("/sys/class/hwmon/hwmon0/pwm1_enable", "1\n"),
        ("/sys/class/hwmon/hwmon1/name", "pwmfan\n"),
        ("/sys/class/hwmon/hwmon1/pwm1_enable", "1\n"),
    ]);
    let fan: Vec<Setting> = read_folder(&shipped())
        .unwrap()
        .into_iter()
        .filter(|setting| setting.name == "fan control")
        .collect();
    let report = run(root.path(), &FakeSystem::new(root.path()), &fan);
    assert_eq!(report.settings.len(), 1);
    assert_eq!(
        get(root.path(), "/sys/class/hwmon/hwmon0/pwm1_enable"),
        "1\n"
    );
    assert_eq!(get(root.path(), "/sys/class/hwmon/hwmon1/pwm1_enable"), "2");
}

#[test]
fn a_units_limit_is_asked_from_systemd_and_set_until_the_next_boot() {
    let text = "[[unit]]\nunit = \"imd.service\"\nproperty = \"LimitNOFILE\"\nvalue = \"65536\"\nreason = \"a reason for the test\"\n";
    let root = root(&[]);
    let system = FakeSystem::new(root.path()).with_unit("imd.service", "LimitNOFILE", "1024");
    let report = run(root.path(), &system, &settings(text));
    assert_eq!(
        report.settings[0].outcome,
        Outcome::Applied,
        "{}",
        report.table()
    );
    assert_eq!(
        run(root.path(), &system, &settings(text)).settings[0].outcome,
        Outcome::Unchanged
    );
    assert_eq!(
        system.commands.borrow().len(),
        1,
        "no reload when nothing changes"
    );
}

#[test]
fn zram_is_sized_by_memory_and_not_touched_again_when_it_is_right() {
    let text = "[zram]\nsize_percent = 50\npriority = 100\nalgorithms = [\"zstd\", \"lz4\"]\nreason = \"a reason for the test\"\n";
    let root = root(&[
        (
            "/proc/meminfo",
            "MemTotal:        1048576 kB\nMemFree: 3 kB\n",
        ),
        ("/proc/swaps", "Filename Type Size Used Priority\n"),
        ("/sys/block/zram0/comp_algorithm", "lzo-rle [zstd] lz4\n"),
        ("/sys/block/zram0/disksize", "0\n"),
        ("/sys/block/zram0/reset", ""),
    ]);
    let system = FakeSystem::new(root.path());
    // The fake file does not put the brackets back as the kernel does.
    let files = Files::new(root.path());
    let machine = Machine {
        files: &files,
        system: &system,
    };
    let plan = apply::preview(&machine, &settings(text));
    assert_eq!(plan[0].wanted, "zstd or lz4, 512 MiB, priority 100");
    assert_eq!(
        (plan[0].before.as_deref(), plan[0].outcome),
        (Some("off"), Outcome::WouldApply)
    );
    provisioner::tuning::zram::set_up(&files, &system, "zstd", 512 << 20, 100).unwrap();
    assert_eq!(get(root.path(), "/sys/block/zram0/disksize"), "536870912");
    put(
        root.path(),
        "/sys/block/zram0/comp_algorithm",
        "lzo-rle [zstd] lz4\n",
    );
    assert_eq!(
        apply::preview(&machine, &settings(text))[0].outcome,
        Outcome::Unchanged
    );
}

#[test]
fn a_journald_value_that_differs_is_set_and_journald_restarted_once() {
    let text = "[[journald]]\nkey = \"SystemMaxUse\"\nvalue = \"64M\"\nreason = \"a reason for the test\"\n[[journald]]\nkey = \"Compress\"\nvalue = \"yes\"\nreason = \"a reason for the test\"\n[[journald]]\nkey = \"Storage\"\nvalue = \"persistent\"\nreason = \"a reason for the test\"\n";
    let root = root(&[
        (
            "/usr/lib/systemd/journald.conf",
            "[Journal]\n#Storage=auto\nSystemMaxUse=1G\n",
        ),
        (
            "/usr/lib/systemd/journald.conf.d/syslog.conf",
            "[Journal]\nCompress=no\nStorage=none\n",
        ),
        (
            "/usr/lib/systemd/journald.conf.d/zz-perch.conf",
            "[Journal]\nStorage=persistent\nSystemMaxUse=32M\n",
        ),
    ]);
    let system = FakeSystem::new(root.path());
    let report = run(root.path(), &system, &settings(text));
    let outcomes: Vec<Outcome> = report.settings.iter().map(|row| row.outcome).collect();
    assert_eq!(
        outcomes,
        [Outcome::Applied, Outcome::Applied, Outcome::Unchanged],
        "{}",
        report.table()
    );
    assert_eq!(
        *system.commands.borrow(),
        ["systemctl restart systemd-journald.service"]
    );
}

#[test]
fn the_table_and_the_json_say_the_same() {
    let root = root(&[("/proc/sys/net/core/somaxconn", "128\n")]);
    let text = format!(
        "{SOMAXCONN}[[sysctl]]\nkey = \"vm.swappiness\"\nvalue = \"100\"\nreason = \"a reason again\"\n"
    );
    let report = run(root.path(), &FakeSystem::new(root.path()), &settings(&text));
    let expected = "\
RESULT         SETTING             WANTED         BEFORE  NOW   NOTE
applied        net.core.somaxconn  at least 4096  128     4096
not available  vm.swappiness       100            -       -     no /proc/sys/vm/swappiness
2 settings: 1 applied, 1 not available";
    assert_eq!(report.table(), expected);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["settings"][0]["outcome"], "applied");
    assert_eq!(json["settings"][1]["outcome"], "not-available");
    assert_eq!(json["settings"][1]["reason"], "a reason again");
}

#[test]
fn problems_of_a_tuning_file_are_told_all_at_once() {
    let folder = root(&[(
        "/a.toml",
        "[[sysctl]]\nkey = \"../etc\"\nvalue = \"1\"\nat_least = 2\n[[file]]\nname = \"x\"\npath = \"/etc/passwd\"\nvalue = \"1\"\nreason = \"why not after all\"\n",
    )]);
    let error = read_folder(folder.path()).unwrap_err().to_string();
    for part in [
        "a.toml:2: sysctl[0].key: found \"../etc\"",
        "a.toml:3: sysctl[0].value: found \"1\"; accepted: exactly one of value, at_least, first_of and same_as",
        "a.toml:1: sysctl[0].reason: found nothing; accepted: a sentence, or the name of what explains it",
        "a.toml:7: file[0].path: found \"/etc/passwd\"; accepted: a path below /sys or /proc",
    ] {
        assert!(error.contains(part), "{part} is not in:\n{error}");
    }
}

#[test]
fn the_shipped_settings_are_readable_and_cover_what_the_box_needs() {
    let settings = read_folder(&shipped()).unwrap();
    for name in [
        "net.core.somaxconn",
        "fs.nr_open",
        "CPU governor",
        "thermal policy",
        "fan control",
        "zram swap",
        "SystemMaxUse",
    ] {
        assert!(
            settings.iter().any(|setting| setting.name == name),
            "{name} is missing"
        );
    }
}

#[test]
fn the_shipped_journald_drop_in_is_what_the_tuning_files_say() {
    let wanted: BTreeMap<String, String> = read_folder(&shipped())
        .unwrap()
        .into_iter()
        .filter(|setting| setting.place == Wherever::Journald)
        .map(|setting| match setting.wanted {
            Wanted::Exactly(value) => (setting.name, value),
            other => panic!("{}: {other:?}", setting.name),
        })
        .collect();
    let overlay = Path::new(env!("CARGO_MANIFEST_DIR")).join("../overlays/perch");
    assert_eq!(get(&overlay, journald::SHIPPED), journald::render(&wanted));
}

#[test]
fn each_profile_has_every_setting_once() {
    let storage = Some(Storage::Card);
    let names = |profile: &str| -> Vec<String> {
        let settings = read_for(&shipped(), &Profile::new(profile).unwrap(), storage).unwrap();
        settings.into_iter().map(|setting| setting.name).collect()
    };
    let usual = names("balanced");
    assert!(usual.contains(&"CPU governor".to_owned()));
    assert_eq!(names("performance"), usual);
    assert_eq!(names("quiet"), usual);
}

#[test]
fn two_values_of_one_setting_for_one_profile_are_a_problem() {
    let twice = |second: &str| {
        let one = |profiles: &str| {
            format!(
                "[[file]]\nname = \"a\"\npath = \"/sys/a\"\nvalue = \"1\"\nreason = \"a reason for the test\"\n{profiles}"
            )
        };
        let text = format!("{}{}", one("profiles = [\"quiet\"]\n"), one(second));
        let folder = root(&[("/tuning.toml", &sourced(&text))]);
        read_folder(folder.path())
    };
    assert!(twice("profiles = [\"balanced\"]\n").is_ok());
    for second in ["profiles = [\"balanced\", \"quiet\"]\n", ""] {
        let error = twice(second).unwrap_err().to_string();
        assert!(error.contains("the same setting twice"), "{error}");
    }
    let error = twice("profiles = [\"fast\"]\n").unwrap_err().to_string();
    assert!(error.contains("profiles[0]: found \"fast\""), "{error}");
}

#[test]
fn what_the_data_is_on_chooses_how_much_may_wait_for_it() {
    let dirty = |storage| -> Vec<Wanted> {
        let settings = read_for(&shipped(), &Profile::usual(), storage).unwrap();
        let dirty = settings
            .into_iter()
            .filter(|one| one.name == "vm.dirty_bytes");
        dirty.map(|one| one.wanted).collect()
    };
    let exactly = |text: &str| vec![Wanted::Exactly(text.to_owned())];
    assert_eq!(dirty(Some(Storage::Card)), exactly("33554432"));
    assert_eq!(dirty(Some(Storage::Usb)), exactly("134217728"));
    assert_eq!(dirty(Some(Storage::Nvme)), exactly("134217728"));
    assert_eq!(dirty(None), vec![]);
}

#[test]
fn a_queue_discipline_is_replaced_and_read_back_on_every_wired_device() {
    let root = root(&[
        ("/sys/class/net/end0/mtu", ""),
        ("/sys/class/net/lo/mtu", ""),
    ]);
    let system = FakeSystem::new(root.path());
    let show = "tc -j qdisc show dev end0";
    system.answer(
        show,
        r#"[{"kind":"mq","root":true},{"kind":"fq_codel"},{"kind":"fq"}]"#,
    );
    let text = "[[qdisc]]\nname = \"queue\"\ndevice = \"e*\"\nvalue = \"fq\"\nreason = \"a reason for the test\"\n";
    let report = run(root.path(), &system, &settings(text));
    assert_eq!(
        report.settings.len(),
        1,
        "the loopback has no turns to give"
    );
    assert_eq!(report.settings[0].before.as_deref(), Some("fq_codel, fq"));
    // The fake answers as before: what does not read back has failed.
    assert_eq!(report.settings[0].outcome, Outcome::Failed);
    assert!(system.ran("tc qdisc replace dev end0 root fq"));
    system.answer(show, r#"[{"kind":"fq","root":true}]"#);
    let report = run(root.path(), &system, &settings(text));
    assert_eq!(report.settings[0].outcome, Outcome::Unchanged);
}

#[test]
fn a_mount_option_is_read_and_left_to_the_initrd() {
    let text = "[[mount]]\npath = \"/data\"\noption = \"commit\"\nvalue = \"30\"\nreason = \"a reason for the test\"\n";
    let outcome = |mounts: &str| {
        let root = root(&[("/proc/self/mounts", mounts)]);
        let report = run(root.path(), &FakeSystem::new(root.path()), &settings(text));
        (report.settings[0].outcome, report.settings[0].note.clone())
    };
    let mounted = "/dev/mmcblk0p6 /data ext4 rw,noatime,commit=30 0 0\n";
    assert_eq!(outcome(mounted).0, Outcome::Unchanged);
    let (found, note) = outcome("/dev/mmcblk0p6 /data ext4 rw,noatime 0 0\n");
    assert_eq!(found, Outcome::NotAvailable);
    assert_eq!(note, "the initrd of this slot gave it default");
}

#[test]
fn the_balanced_profile_takes_back_the_quiet_profile_s_clock() {
    let policy = "/sys/devices/system/cpu/cpufreq/policy0";
    let root = root(&[
        (&format!("{policy}/scaling_max_freq"), "1500000\n"),
        (&format!("{policy}/cpuinfo_max_freq"), "1500000\n"),
        (
            &format!("{policy}/scaling_available_frequencies"),
            "600000 1000000 1500000 \n",
        ),
    ]);
    let clock = |profile: &str| {
        let profile = Profile::new(profile).unwrap();
        let mut settings = read_for(&shipped(), &profile, None).unwrap();
        settings.retain(|setting| setting.name == "highest CPU clock");
        let report = run(root.path(), &FakeSystem::new(root.path()), &settings);
        assert!(report.ok, "{}", report.table());
        get(root.path(), &format!("{policy}/scaling_max_freq"))
            .trim()
            .to_owned()
    };
    assert_eq!(clock("quiet"), "1000000");
    assert_eq!(clock("balanced"), "1500000");
}
