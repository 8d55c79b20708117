//! Other bases and boards than the usual ones, with package repositories made up here: nothing is fetched from anywhere. Needs apt and gpg,
//! which the build root has.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[path = "support/repository.rs"]
mod repository;

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::{
    archive::Archive,
    build,
    config::Configs,
    kernel::{self, Kernel},
    lock::{Lock, Package, Usage},
};
use repository::{Deb, Key, Repository};
use tempfile::TempDir;

/// Raspberry Pi's kernel, as its packages are laid out.
const PI_KERNEL: &str = "6.12.47+rpt-rpi-v8";
/// Debian's newer kernel, in parts.
const NEW_KERNEL: &str = "7.3.4+deb13-arm64";

/// A copy of this repository's `configs/`, Debian's archive and Raspberry Pi's.
struct World {
    folder: TempDir,
    vendor_key: Key,
    debian: Repository,
    vendor: Repository,
}

impl World {
    /// `None` where gpg is missing.
    fn new() -> Option<Self> {
        let (debian_key, vendor_key) = (Key::new()?, Key::new()?);
        let folder = tempfile::tempdir().unwrap();
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        copy(&here.join("configs"), &folder.path().join("configs"));
        debian_key.export(&folder.path().join("keys/debian.pgp"));
        vendor_key.export(&folder.path().join("configs/bases/vendor.pgp"));
        let debian = debian(folder.path(), &debian_key);
        let vendor = vendor(folder.path(), PI_KERNEL, &vendor_key);
        let base = folder.path().join("configs/bases/raspios.toml");
        let text = fs::read_to_string(&base).unwrap();
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap();
        let text = text
            .replace(line("url = "), &format!("url = \"{}\"", vendor.url()))
            .replace(line("keyring = "), "keyring = \"configs/bases/vendor.pgp\"");
        fs::write(&base, text).unwrap();
        Some(Self {
            folder,
            vendor_key,
            debian,
            vendor,
        })
    }

    fn configs(&self, board: &str, base: &str) -> Configs {
        Configs::load_for(self.folder.path(), Some(board), Some(base)).unwrap()
    }

    /// A state of apt's of its own, as of a first build.
    fn open(&self, configs: &Configs, lock: &Lock) -> anyhow::Result<Archive> {
        let dir = tempfile::tempdir_in(self.folder.path()).unwrap().keep();
        let debian = format!(
            "deb [signed-by={}] {} trixie main\n",
            self.folder.path().join("keys/debian.pgp").display(),
            self.debian.url()
        );
        Archive::open_at(&dir, configs, lock, debian, false)
    }

    fn resolve(&self, configs: &Configs, lock: &Lock) -> Vec<Package> {
        self.open(configs, lock).unwrap().resolve(configs).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.unwrap(), to);
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Every package that the layers and boards name, with Debian's kernel; and the newer kernel in its other suite.
fn debian(top: &Path, key: &Key) -> Repository {
    let layers = Configs::load(top).unwrap();
    let mut debs: Vec<Deb<'_>> = layers
        .packages()
        .into_keys()
        .chain(["busybox-static", "u-boot-rpi"])
        .map(|name| Deb(name, "1.0", "", &[]))
        .collect();
    debs.push(Deb("base-files", "1.0", "Essential: yes\n", &[]));
    debs.push(Deb("raspi-firmware", "3.0", "", &[]));
    debs.push(Deb(
        "linux-image-arm64",
        "6.1",
        "Depends: linux-image-6.1-arm64\n",
        &[],
    ));
    debs.push(Deb("linux-image-6.1-arm64", "6.1", "", &[]));
    let folder = top.join("debian");
    let newer = [
        Deb(
            "linux-image-arm64",
            "7.3",
            "Depends: linux-base-arm64, linux-image-7.3.4+deb13-arm64\n",
            &[],
        ),
        Deb("linux-base-arm64", "7.3", "", &[]),
        Deb(
            "linux-image-7.3.4+deb13-arm64",
            "7.3",
            "Depends: dracut | initramfs-tools, linux-base-7.3.4+deb13-arm64, linux-modules-7.3.4+deb13-arm64\n",
            &[],
        ),
        Deb(
            "linux-modules-7.3.4+deb13-arm64",
            "7.3",
            "Depends: linux-base-7.3.4+deb13-arm64\n",
            &[],
        ),
        Deb(
            "linux-base-7.3.4+deb13-arm64",
            "7.3",
            "",
            &[
                (
                    "usr/lib/modules/7.3.4+deb13-arm64/dtb/broadcom/bcm2712-rpi-5-b.dtb",
                    "tree",
                ),
                ("usr/lib/modules/7.3.4+deb13-arm64/vmlinuz", "kernel"),
            ],
        ),
        Deb("systemd", "999", "", &[]),
    ];
    Repository::new(&folder, "trixie-backports", "Debian Backports", &newer, key);
    Repository::new(&folder, "trixie", "Debian", &debs, key)
}

/// Raspberry Pi's archive: kernel, firmware (of a lower version than Debian's), and a package that it had better not give.
fn vendor(top: &Path, version: &str, key: &Key) -> Repository {
    let image = format!("linux-image-{version}");
    let depends = format!("Depends: {image} (= 1:6.12-1+rpt1)\n");
    let files = [
        format!("boot/vmlinuz-{version}"),
        format!("usr/lib/linux-image-{version}/broadcom/bcm2711-rpi-4-b.dtb"),
        format!("usr/lib/linux-image-{version}/overlays/bcm2712d0.dtbo"),
        format!("usr/lib/modules/{version}/modules.builtin"),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|path| (path.as_str(), "x")).collect();
    let debs = [
        Deb("linux-image-rpi-v8", "1:6.12-1+rpt1", &depends, &[]),
        Deb(&image, "1:6.12-1+rpt1", "Depends: kmod\n", &files),
        Deb(
            "raspi-firmware",
            "1:1.2025",
            "",
            &[("usr/lib/raspi-firmware/start4.elf", "x")],
        ),
        Deb("systemd", "999", "", &[]),
    ];
    Repository::new(
        &top.join("vendor"),
        "trixie",
        "Raspberry Pi Foundation",
        &debs,
        key,
    )
}

/// `name version archive`.
fn shown(packages: &[Package], name: &str) -> String {
    let package = packages
        .iter()
        .find(|package| package.name == name)
        .unwrap();
    let from = package.archive.as_deref().unwrap_or("debian");
    format!("{name} {} {from}", package.version)
}

#[test]
fn kernel_and_firmware_are_raspberry_pis_and_all_else_stays_debians() {
    let Some(world) = World::new() else { return };
    let packages = world.resolve(&world.configs("rpi-arm64", "raspios"), &Lock::default());
    for wanted in [
        "linux-image-rpi-v8 1:6.12-1+rpt1 raspberrypi",
        "linux-image-6.12.47+rpt-rpi-v8 1:6.12-1+rpt1 raspberrypi",
        "raspi-firmware 1:1.2025 raspberrypi",
        "u-boot-rpi 1.0 debian",
        "systemd 1.0 debian",
    ] {
        let name = wanted.split(' ').next().unwrap();
        assert_eq!(shown(&packages, name), wanted);
    }
    assert!(packages.iter().all(|one| one.name != "linux-image-arm64"));
    let installed = packages.iter().filter(|one| one.usage == Usage::Installed);
    assert!(installed.into_iter().all(|one| one.archive.is_none()));
}

#[test]
fn the_usual_image_knows_nothing_of_the_other_archive() {
    let Some(world) = World::new() else { return };
    fs::remove_dir_all(world.folder.path().join("vendor")).unwrap();
    let packages = world.resolve(&world.configs("rpi-arm64", "debian"), &Lock::default());
    assert_eq!(
        shown(&packages, "linux-image-6.1-arm64"),
        "linux-image-6.1-arm64 6.1 debian"
    );
    assert!(packages.iter().all(|one| one.archive.is_none()));
}

#[test]
fn the_pi_5_gets_its_kernel_in_parts_from_backports_and_nothing_else() {
    let Some(world) = World::new() else { return };
    let configs = world.configs("rpi5-arm64", "debian");
    let archive = world.open(&configs, &Lock::default()).unwrap();
    let packages = archive.resolve(&configs).unwrap();
    let newer: Vec<&str> = packages
        .iter()
        .filter(|one| one.archive.as_deref() == Some("debian-backports"))
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(
        newer,
        [
            "linux-base-7.3.4+deb13-arm64",
            "linux-image-7.3.4+deb13-arm64",
            "linux-image-arm64",
            "linux-modules-7.3.4+deb13-arm64",
        ]
    );
    assert_eq!(shown(&packages, "systemd"), "systemd 1.0 debian");
    let files = world.folder.path().join("files");
    assert_eq!(
        build::unpack(&archive, &packages, &files).unwrap(),
        NEW_KERNEL
    );
    assert!(
        files
            .join("kernel/usr/lib/modules")
            .join(NEW_KERNEL)
            .join("dtb/broadcom")
            .exists()
    );
}

#[test]
fn the_lock_says_where_a_package_is_from_and_holds_it_to_its_version() {
    let Some(world) = World::new() else { return };
    let configs = world.configs("rpi-arm64", "raspios");
    let package = world.resolve(&configs, &Lock::default());
    let lock = Lock { date: 1, package };
    let line = lock.text();
    let line = line
        .lines()
        .find(|line| line.contains("\"linux-image-rpi-v8\""))
        .unwrap();
    assert!(line.ends_with("archive = \"raspberrypi\" },"), "{line}");
    assert!(
        lock.drift(&world.resolve(&configs, &lock))
            .unwrap()
            .is_empty()
    );
    // Raspberry Pi publishes another kernel.
    vendor(world.folder.path(), "6.12.99+rpt-rpi-v8", &world.vendor_key);
    let drift = lock.drift(&world.resolve(&configs, &lock));
    let said = format!("{drift:?}");
    assert!(
        said.contains(PI_KERNEL) || said.contains("linux-image-rpi-v8"),
        "{said}"
    );
}

#[test]
fn files_are_taken_from_the_packages_as_raspberry_pi_lays_them_out() {
    let Some(world) = World::new() else { return };
    let configs = world.configs("rpi-arm64", "raspios");
    let archive = world.open(&configs, &Lock::default()).unwrap();
    let packages = archive.resolve(&configs).unwrap();
    assert_eq!(kernel::among(&packages).unwrap(), PI_KERNEL);
    let files = world.folder.path().join("files");
    build::unpack(&archive, &packages, &files).unwrap();
    let kernel = Kernel {
        tree: &files.join("kernel"),
        version: PI_KERNEL,
    };
    for file in ["broadcom/bcm2711-rpi-4-b.dtb", "overlays/bcm2712d0.dtbo"] {
        assert!(kernel.device_trees().join(file).exists(), "{file}");
    }
    kernel.pack(&world.folder.path().join("vmlinuz")).unwrap();
    assert!(
        files
            .join("raspi-firmware/usr/lib/raspi-firmware/start4.elf")
            .exists()
    );
}

fn refused(world: &World) -> String {
    let configs = world.configs("rpi-arm64", "raspios");
    let opened = world.open(&configs, &Lock::default());
    format!("{:#}", opened.err().expect("the archive is refused"))
}

#[test]
fn an_archive_signed_by_another_key_is_refused_by_name() {
    let Some(world) = World::new() else { return };
    world.vendor.sign(&Key::new().unwrap());
    let said = refused(&world);
    let first = "archive \"raspberrypi\" is not signed with a key of configs/bases/vendor.pgp; nothing is taken from it";
    assert!(said.starts_with(first), "{said}");
}

#[test]
fn an_archive_whose_index_was_changed_after_it_was_signed_is_refused() {
    let Some(world) = World::new() else { return };
    let index: PathBuf = world.vendor.index();
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, text.replace("1:1.2025", "1:1.2099")).unwrap();
    let said = refused(&world);
    assert!(
        said.contains("Hash Sum mismatch") && said.contains("vendor"),
        "{said}"
    );
}

#[test]
fn a_package_that_was_changed_after_it_was_signed_is_refused() {
    let Some(world) = World::new() else { return };
    let configs = world.configs("rpi-arm64", "raspios");
    let archive = world.open(&configs, &Lock::default()).unwrap();
    let packages = archive.resolve(&configs).unwrap();
    let file = world.vendor.file("raspi-firmware_1%3a1.2025_arm64.deb");
    let mut bytes = fs::read(&file).unwrap();
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    fs::write(&file, bytes).unwrap();
    let said = format!("{:#}", archive.fetch_files(&packages).unwrap_err());
    assert!(said.contains("raspi-firmware"), "{said}");
}

#[test]
fn a_keyring_that_is_missing_is_named_before_anything_is_fetched() {
    let Some(world) = World::new() else { return };
    fs::remove_file(world.folder.path().join("configs/bases/vendor.pgp")).unwrap();
    let said = refused(&world);
    assert!(
        said.contains("\"raspberrypi\"") && said.contains("vendor.pgp is not there"),
        "{said}"
    );
}
