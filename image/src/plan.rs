//! Which files are laid into the root and onto BOOTFS besides those of packages, and who owns each. Pure
//! apart from reading the overlays: `image plan` prints it, the stages carry it out.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{config::Configs, facts::Facts, keys::Keys, rauc};

/// The stages of a build in order (`binaries` and `base` side by side), with what each makes.
pub const STAGES: [(&str, &str); 7] = [
    (
        "resolve",
        "asks the archive for the locked packages and compares",
    ),
    (
        "binaries",
        "cross-compiles imd, provisioner and the initrd's grow-data",
    ),
    (
        "base",
        "installs the packages (kept while package list and lock stay the same)",
    ),
    (
        "root",
        "lays the files below over the base, and makes the initrd",
    ),
    (
        "slots",
        "packs BOOTFS, the boot and the system file systems",
    ),
    (
        "disk",
        "puts both slots, BOOTFS and an empty data partition into one disk image",
    ),
    (
        "bundle",
        "writes dist/: compressed image, block map, signed update bundle, manifest, SBOM, checksums",
    ),
];

/// What scripts fetch from npm: where it lies in the root, whose it is, and the script. `imd.toml` names the first as `web.web_root`.
const FETCHED: [(&str, &str, &str); 2] = [
    ("usr/share/perch/web", "imd", "ci/web-chat"),
    ("usr/share/perch/charts", "provisioner", "ci/charts"),
];

/// Where a file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The root file system.
    Root,
    /// The FAT partition.
    Bootfs,
}

/// What a file consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A copy of this file.
    File(PathBuf),
    /// This text.
    Text(String),
    /// A symbolic link to this.
    Link(String),
    /// An empty folder.
    Folder,
}

/// One file that we lay, as opposed to a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Laid {
    /// A layer or board (`overlays/NAME`), a crate, or `image` for what the builder writes itself.
    pub owner: String,
    /// Its content.
    pub source: Source,
    /// Permission bits.
    pub mode: u32,
}

/// Every file laid, by place and by path without a leading `/`.
pub type Plan = BTreeMap<(Place, PathBuf), Laid>;

/// Plans the image.
///
/// # Errors
/// An overlay cannot be read, or two owners lay the same file.
pub fn plan(configs: &Configs, facts: &Facts) -> Result<Plan> {
    let mut plan = Plan::new();
    let overlays = configs.top.join("overlays");
    for layer in &configs.layers {
        add_folder(
            &mut plan,
            Place::Root,
            &layer.name,
            &overlays.join(&layer.name),
        )?;
    }
    for name in [
        "bootfs".to_owned(),
        format!("bootfs-{}", configs.board.name),
    ] {
        add_folder(&mut plan, Place::Bootfs, &name, &overlays.join(&name))?;
    }
    check_folders(configs)?;
    for file in tuning(configs)? {
        let name = Path::new("usr/share/perch/tuning").join(file.file_name().unwrap_or_default());
        add(
            &mut plan,
            Place::Root,
            &name,
            Laid {
                owner: "provisioner".into(),
                source: Source::File(file),
                mode: 0o644,
            },
        )?;
    }
    for binary in ["imd", "provisioner"] {
        let path = facts.binaries.join(binary);
        let laid = Laid {
            owner: binary.into(),
            source: Source::File(path),
            mode: 0o755,
        };
        add(
            &mut plan,
            Place::Root,
            &Path::new("usr/bin").join(binary),
            laid,
        )?;
    }
    for ((to, owner, _), from) in FETCHED.into_iter().zip([&facts.web_chat, &facts.charts]) {
        let mut files = Plan::new();
        add_folder(&mut files, Place::Root, owner, from)?;
        for ((place, path), laid) in files {
            add(&mut plan, place, &Path::new(to).join(path), laid)?;
        }
    }
    add(
        &mut plan,
        Place::Root,
        Path::new(rauc::KEYRING),
        Laid {
            owner: "image".into(),
            source: Source::File(Keys::at(&facts.keys).keyring()),
            mode: 0o644,
        },
    )?;
    for (path, source) in generated(configs, facts)? {
        let laid = Laid {
            owner: "image".into(),
            source,
            mode: 0o644,
        };
        add(&mut plan, Place::Root, Path::new(&path), laid)?;
    }
    Ok(plan)
}

/// The plan as `image plan` prints it.
#[must_use]
pub fn show(configs: &Configs, plan: &Plan) -> String {
    let mut text = String::from("Stages\n");
    for (name, what) in STAGES {
        text += &format!("  {name:<9} {what}\n");
    }
    text += &format!(
        "\nBoard {} on base {}: {}\n",
        configs.board.name, configs.base.name, configs.base.why
    );
    for archive in configs.extra_archives().unwrap_or_default() {
        text += &format!(
            "  archive {}: {}\n",
            archive.name,
            archive.packages.join(" ")
        );
    }
    text += "\nLayers\n";
    for layer in &configs.layers {
        text += &format!(
            "  {:<9} {}\n            packages: {}\n            units: {}\n",
            layer.name,
            layer.why,
            layer.packages.join(" "),
            layer.units.join(" ")
        );
    }
    text += "\nFiles laid (owner, path)\n";
    for (to, owner, script) in FETCHED {
        if !plan.keys().any(|(_, path)| path.starts_with(to)) {
            text += &format!("  {owner:<12} /{to}/… ({script} fetches them; not yet)\n");
        }
    }
    for ((place, path), laid) in plan {
        let prefix = if *place == Place::Bootfs {
            "BOOTFS:"
        } else {
            ""
        };
        let arrow = if let Source::Link(to) = &laid.source {
            format!(" -> {to}")
        } else {
            String::new()
        };
        let slash = if laid.source == Source::Folder {
            "/"
        } else {
            ""
        };
        text += &format!(
            "  {:<12} {prefix}/{}{slash}{arrow}\n",
            laid.owner,
            path.display()
        );
    }
    for firmware in configs.firmware() {
        text += &format!("  {:<12} BOOTFS:/{}\n", firmware.package, firmware.to);
    }
    for name in ["boot.scr", "slots.env", "slots.bak"] {
        text += &format!("  {:<12} BOOTFS:/{name}\n", "image");
    }
    text
}

/// The table `overlays/base/usr/share/perch/{mounts,links}`: words of each line that is not a comment.
///
/// # Errors
/// The table cannot be read.
pub fn table(configs: &Configs, name: &str) -> Result<Vec<Vec<String>>> {
    let path = configs.top.join("overlays/base/usr/share/perch").join(name);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect())
}

fn add(plan: &mut Plan, place: Place, path: &Path, laid: Laid) -> Result<()> {
    let key = (place, path.to_owned());
    if let Some(other) = plan.get(&key) {
        bail!(
            "/{} is laid by both {} and {}; keep one of them",
            path.display(),
            other.owner,
            laid.owner
        );
    }
    plan.insert(key, laid);
    Ok(())
}

fn add_folder(plan: &mut Plan, place: Place, owner: &str, folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for path in walk(folder)? {
        let relative = path.strip_prefix(folder).unwrap_or(&path).to_owned();
        let about = fs::symlink_metadata(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let (source, mode) = if about.is_symlink() {
            (
                Source::Link(fs::read_link(&path)?.to_string_lossy().into_owned()),
                0o777,
            )
        } else {
            let executable = about.permissions().mode() & 0o100 != 0;
            (Source::File(path), if executable { 0o755 } else { 0o644 })
        };
        add(
            plan,
            place,
            &relative,
            Laid {
                owner: owner.to_owned(),
                source,
                mode,
            },
        )?;
    }
    Ok(())
}

/// Every folder in `overlays/` belongs to a layer, so that no file is left out unnoticed.
fn check_folders(configs: &Configs) -> Result<()> {
    let folder = configs.top.join("overlays");
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let of_a_board = name.strip_prefix("bootfs-").is_some_and(|board| {
            let boards = configs.top.join("configs/boards");
            boards.join(format!("{board}.toml")).exists()
        });
        if name != "bootfs" && !of_a_board && !configs.image.layers.contains(&name) {
            bail!(
                "overlays/{name} belongs to no layer; accepted: bootfs, bootfs-BOARD, {}",
                configs.image.layers.join(", ")
            );
        }
    }
    Ok(())
}

fn tuning(configs: &Configs) -> Result<Vec<PathBuf>> {
    let folder = configs.top.join("configs/tuning");
    if folder.exists() {
        walk(&folder)
    } else {
        Ok(Vec::new())
    }
}

/// Files and links below `folder`, sorted.
pub(crate) fn walk(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(walk(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// What the builder writes itself.
fn generated(configs: &Configs, facts: &Facts) -> Result<Vec<(String, Source)>> {
    let enabled: String = configs
        .layers
        .iter()
        .flat_map(|layer| {
            layer
                .units
                .iter()
                .map(move |unit| format!("enable {unit}\n"))
        })
        .collect();
    let mut files = vec![
        (
            "usr/lib/os-release".into(),
            Source::Text(facts.os_release(&configs.image.name)),
        ),
        ("usr/lib/clock-epoch".into(), Source::Text(String::new())),
        (
            rauc::SYSTEM_CONF.into(),
            Source::Text(rauc::system_conf(configs, &facts.version)?),
        ),
        (
            "usr/lib/systemd/system-preset/10-layers.preset".into(),
            Source::Text(enabled),
        ),
        (
            "usr/lib/systemd/system-preset/99-off.preset".into(),
            Source::Text("disable *\n".into()),
        ),
        (
            "etc/fstab".into(),
            Source::Text("# The initrd mounts everything: see /usr/share/perch/mounts.\n".into()),
        ),
        (
            "etc/resolv.conf".into(),
            Source::Link("../run/systemd/resolve/stub-resolv.conf".into()),
        ),
        ("data".into(), Source::Folder),
        ("boot/firmware".into(), Source::Folder),
    ];
    for line in table(configs, "links")? {
        if let Some(name) = line.first() {
            files.push((
                format!("etc/{name}"),
                Source::Link(format!("/data/etc/{name}")),
            ));
        }
    }
    for line in table(configs, "mounts")? {
        let [_, target] = line.as_slice() else {
            bail!(
                "overlays/base/usr/share/perch/mounts: \"{}\" is not two words",
                line.join(" ")
            )
        };
        files.push((target.trim_start_matches('/').to_owned(), Source::Folder));
    }
    Ok(files)
}
