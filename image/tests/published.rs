//! What `ci/build` leaves in `dist/publish` for a publisher's HTTPS server. Needs the built image: `ci/test --only image` runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use image::{config::Configs, facts::Facts, imager, keys::Keys, publish, rauc, sbom, sha256};
use serde_json::Value;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn published(name: &str) -> PathBuf {
    top().join("dist/publish").join(name)
}

/// What the build knew of itself.
fn facts() -> Facts {
    Facts::read(&top().join("target/image/facts.json")).expect("run ci/build first")
}

/// `perch-1.2.3-rpi-arm64`.
fn stem() -> String {
    let name = rauc::file_name(&Configs::load(&top()).unwrap(), &facts().version);
    name.file_stem().unwrap().to_str().unwrap().to_owned()
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The channel's list, if the chain that the image trusts signed it.
fn channel() -> Value {
    let keys = Keys::at(&top().join(facts().keys));
    let said = output(
        Command::new("openssl")
            .args(["cms", "-verify", "-binary", "-inform", "DER", "-in"])
            .arg(published("stable.channel"))
            .arg("-CAfile")
            .arg(keys.keyring())
            .arg("-crl_check"),
    );
    serde_json::from_str(&said).unwrap()
}

#[test]
#[ignore = "run `ci/test --only image`"]
fn the_folder_has_each_file_of_a_release_and_nothing_takes_its_space_twice() {
    let (stem, version) = (stem(), facts().version);
    let found = fs::read_dir(published("")).unwrap();
    let found: BTreeSet<String> = found
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let wanted = [
        "SHA256SUMS".to_owned(),
        "imager.json".to_owned(),
        format!("{stem}.img.bmap"),
        format!("{stem}.img.zst"),
        format!("{stem}.raucb"),
        format!("perch-{version}.md"),
        "perch.svg".to_owned(),
        "stable.channel".to_owned(),
    ];
    assert_eq!(found, BTreeSet::from(wanted));
    for ending in ["img.zst", "raucb"] {
        let name = format!("{stem}.{ending}");
        let (here, there) = (published(&name), top().join("dist").join(&name));
        assert_eq!(
            fs::metadata(here).unwrap().ino(),
            fs::metadata(there).unwrap().ino(),
            "{name}"
        );
    }
    for folder in ["dist", "dist/publish"] {
        output(
            Command::new("sha256sum")
                .args(["--quiet", "--check", "SHA256SUMS"])
                .current_dir(top().join(folder)),
        );
    }
    let listed = fs::read_to_string(top().join("dist/SHA256SUMS")).unwrap();
    for name in ["imager.json", "stable.channel"] {
        assert_eq!(
            listed.matches(&format!("  publish/{name}\n")).count(),
            1,
            "{name}: {listed}"
        );
    }
}

#[test]
#[ignore = "run `ci/test --only image`"]
fn the_channel_is_signed_and_names_the_bundle_with_the_notes_of_the_changelog() {
    let list = channel();
    assert_eq!(
        (list["format"].as_u64(), list["channel"].as_str()),
        (Some(1), Some("stable"))
    );
    let releases = list["releases"].as_array().unwrap();
    assert_eq!(releases.len(), 1, "{list}");
    let release = &releases[0];
    let facts = facts();
    let bundle = published(release["bundle"].as_str().unwrap());
    assert_eq!(release["version"], facts.version);
    assert_eq!(release["compatible"], "perch-rpi-arm64");
    assert_eq!(release["released"], facts.epoch);
    assert_eq!(release["bytes"], fs::metadata(&bundle).unwrap().len());
    assert_eq!(release["sha256"], sha256::file(&bundle).unwrap());
    let changelog = fs::read_to_string(top().join("CHANGELOG.md")).unwrap();
    let notes = publish::release_notes(&changelog, &facts.version);
    assert!(notes.starts_with("- "), "{notes}");
    assert_eq!(release["notes"], notes);
    let about = fs::read_to_string(published(&format!("perch-{}.md", facts.version))).unwrap();
    assert_eq!(about, format!("# Perch {}\n\n{notes}\n", facts.version));
}

/// The index by which a box fetches only what it lacks is inside the bundle, one for each image.
#[test]
#[ignore = "run `ci/test --only image`"]
fn the_bundle_has_an_index_of_blocks_for_each_of_its_images() {
    let bundle = published(&format!("{}.raucb", stem()));
    let said = output(Command::new("unsquashfs").arg("-l").arg(bundle));
    for image in ["system.img", "boot.img"] {
        assert!(
            said.lines()
                .any(|line| line.ends_with(&format!("/{image}.block-hash-index"))),
            "{image}: {said}"
        );
    }
}

#[test]
#[ignore = "run `ci/test --only image`"]
fn imager_would_take_the_list_and_find_the_image_and_its_picture() {
    let text = fs::read_to_string(published(imager::FILE)).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(imager::problems(&list), Vec::<String>::new());
    let images = list["os_list"].as_array().unwrap();
    assert_eq!(images.len(), 1);
    let name = |key: &str| {
        let address = images[0][key].as_str().unwrap();
        address.rsplit('/').next().unwrap().to_owned()
    };
    let image = published(&name("url"));
    let picture = fs::read_to_string(published(&name("icon"))).unwrap();
    assert!(picture.starts_with("<svg"), "{picture}");
    assert_eq!(
        images[0]["image_download_size"],
        fs::metadata(&image).unwrap().len()
    );
    assert_eq!(
        images[0]["image_download_sha256"],
        sha256::file(&image).unwrap()
    );
    let unpacked = output(
        Command::new("sh")
            .args(["-c", "zstd -dqc \"$0\" | sha256sum"])
            .arg(&image),
    );
    let hash = images[0]["extract_sha256"].as_str().unwrap();
    assert_eq!(unpacked.split(' ').next(), Some(hash));
}

#[test]
#[ignore = "run `ci/test --only image`"]
fn each_component_of_the_bill_of_materials_has_a_licence_entry() {
    let path = top().join("dist").join(format!("{}.cdx.json", stem()));
    let bom: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    println!("{}", sbom::licences_told(&bom));
    for one in bom["components"].as_array().unwrap() {
        let licences = one["licenses"].as_array();
        assert!(licences.is_some_and(|list| !list.is_empty()), "{one}");
    }
}
