//! A build without a network takes the package lists and files of an earlier one. With a package repository made up here, which then goes
//! away. Needs apt and gpg, which the build root has.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[allow(dead_code, reason = "what other tests need of it, too")]
#[path = "support/repository.rs"]
mod repository;

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::{archive::Archive, config::Configs, lock::Lock};
use repository::{Deb, Key, Repository};
use tempfile::TempDir;

/// A build's folder and Debian's archive.
struct World {
    folder: TempDir,
    configs: Configs,
}

impl World {
    /// `None` where gpg is missing.
    fn new() -> Option<Self> {
        let key = Key::new()?;
        let folder = tempfile::tempdir().unwrap();
        key.export(&folder.path().join("debian.pgp"));
        let configs =
            Configs::load(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()).unwrap();
        let names = configs.packages().into_keys();
        let files = configs.board.files.iter().map(String::as_str);
        let mut debs: Vec<Deb<'_>> = names
            .chain(files)
            .map(|name| Deb(name, "1.0", "", &[]))
            .collect();
        debs.push(Deb("base-files", "1.0", "Essential: yes\n", &[]));
        debs.push(Deb(
            "linux-image-arm64",
            "6.1",
            "Depends: linux-image-6.1-arm64\n",
            &[],
        ));
        debs.push(Deb("linux-image-6.1-arm64", "6.1", "", &[]));
        Repository::new(
            &folder.path().join("archive"),
            "trixie",
            "Debian",
            &debs,
            &key,
        );
        Some(Self { folder, configs })
    }

    fn kept(&self) -> PathBuf {
        self.folder.path().join("kept")
    }

    fn open(&self, offline: bool) -> anyhow::Result<Archive> {
        let place = self.folder.path();
        // `copy:` fetches, as from a server; of `file:` apt would read the repository itself.
        let debian = format!(
            "deb [signed-by={}] copy:{} trixie main\n",
            place.join("debian.pgp").display(),
            place.join("archive").display()
        );
        Archive::open_at(
            &self.kept(),
            &self.configs,
            &Lock::default(),
            debian,
            offline,
        )
    }

    fn unplug(&self) {
        fs::remove_dir_all(self.folder.path().join("archive")).unwrap();
    }
}

fn said<T>(result: anyhow::Result<T>) -> String {
    format!("{:#}", result.err().expect("it is refused"))
}

#[test]
fn a_second_build_finds_the_same_packages_without_a_network() {
    let Some(world) = World::new() else { return };
    let online = world.open(false).unwrap();
    let packages = online.resolve(&world.configs).unwrap();
    let files = online.fetch_files(&packages).unwrap();
    world.unplug();
    assert!(
        world.open(false).is_err(),
        "without --offline it wants the archive"
    );
    let offline = world.open(true).unwrap();
    let again = offline.resolve(&world.configs).unwrap();
    assert_eq!(again, packages);
    assert_eq!(offline.fetch_files(&again).unwrap(), files);
    assert_eq!(offline.kept_lists(), Some(world.kept().join("state/lists")));
}

#[test]
fn what_an_earlier_build_did_not_keep_is_named() {
    let Some(world) = World::new() else { return };
    let nothing = said(world.open(true).map(drop));
    assert!(
        nothing.contains("--offline") && nothing.contains("build once with a network"),
        "{nothing}"
    );
    let online = world.open(false).unwrap();
    let packages = online.resolve(&world.configs).unwrap();
    world.unplug();
    let missing = said(world.open(true).unwrap().fetch_files(&packages));
    assert!(
        missing.contains("--offline") && missing.contains(".deb is not kept"),
        "{missing}"
    );
}
