//! Stages base and root: Debian's packages installed by mmdebstrap, then our files over them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    archive::Archive,
    config::Configs,
    facts::Facts,
    lock::{Package, Usage},
    plan::{Laid, Place, Plan, Source},
    run::run,
    sha256,
};

/// Raised when the base is made differently, so that kept bases are made again.
const RECIPE: u32 = 1;

/// What no box needs: downloads, documentation besides licences, translations, logs.
const NOT_SHIPPED: [&str; 20] = [
    "var/cache/apt",
    "var/cache/ldconfig/aux-cache",
    "var/cache/debconf",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/lib/ucf",
    "var/log",
    "etc/apt",
    "usr/lib/udev/hwdb.d",
    "usr/share/bash-completion",
    "usr/share/zsh",
    "usr/share/bug",
    "etc/hostname",
    "etc/machine-id",
    // A key that every box has is no secret: each makes its own when SSH is turned on.
    "etc/ssh/ssh_host_ecdsa_key",
    "etc/ssh/ssh_host_ecdsa_key.pub",
    "etc/ssh/ssh_host_ed25519_key",
    "etc/ssh/ssh_host_ed25519_key.pub",
    "etc/ssh/ssh_host_rsa_key",
    "etc/ssh/ssh_host_rsa_key.pub",
];

/// Installs the packages into `work/base-KEY`, or gives the one that is there. `fresh` makes it again.
///
/// # Errors
/// mmdebstrap failed, or installed something else than `packages`.
pub fn base(
    configs: &Configs,
    archive: &Archive,
    packages: &[Package],
    date: u64,
    work: &Path,
    fresh: bool,
) -> Result<PathBuf> {
    let installed: Vec<&Package> = packages
        .iter()
        .filter(|p| p.usage == Usage::Installed)
        .collect();
    let list: String = installed
        .iter()
        .map(|p| format!("{} {} {}\n", p.name, p.version, p.sha256))
        .collect();
    let key = sha256::text(&format!("{RECIPE} {date}\n{list}"));
    let base = work.join(format!("base-{}", &key[..16]));
    if base.join(".complete").exists() && !fresh {
        return Ok(base);
    }
    remove(&base)?;
    // Offline: the kept lists instead of new ones; all package files are kept, too, or apt says which it cannot fetch.
    let (skip, lists) = match archive.kept_lists() {
        None => (None, String::new()),
        Some(kept) => (
            Some("--skip=update"),
            format!(" && cp -r {}/. \"$1/var/lib/apt/lists/\"", kept.display()),
        ),
    };
    let specs: Vec<String> = configs.packages().into_keys().map(str::to_owned).collect();
    let preferences = archive.preferences_file();
    let debs = archive.debs();
    let root = base.join("root");
    fs::create_dir_all(&base)?;
    run("mmdebstrap")
        .env("SOURCE_DATE_EPOCH", date.to_string())
        .args(["--mode=root", "--variant=essential", "--format=directory"])
        .args(["--skip=check/qemu", "--skip=download/empty", "--skip=essential/unlink", "--skip=cleanup/apt"])
        .args(skip)
        .arg(format!("--architectures={}", configs.image.architecture))
        .args(host_apt_options())
        .args(["--aptopt=APT::Install-Recommends \"false\"", "--aptopt=Acquire::Languages \"none\"", "--aptopt=Acquire::Retries \"3\""])
        .args(["doc/*", "man/*", "locale/*", "info/*", "lintian/*"].map(|what| format!("--dpkgopt=path-exclude=/usr/share/{what}")))
        .args(["--dpkgopt=path-include=/usr/share/doc/*/copyright", "--dpkgopt=force-unsafe-io"])
        .arg(format!("--include={}", specs.join(",")))
        .arg(format!(
            "--setup-hook=mkdir -p \"$1/etc/apt/preferences.d\" \"$1/var/cache/apt/archives\" && cp {} \"$1/etc/apt/preferences.d/lock\" && \
             (cp -l {debs}/*.deb \"$1/var/cache/apt/archives/\" 2>/dev/null || true){lists}",
            preferences.display(),
            debs = debs.display()
        ))
        .arg(format!("--customize-hook=cp -ln \"$1\"/var/cache/apt/archives/*.deb {}/", debs.display()))
        .arg(&configs.image.release)
        .arg(&root)
        .arg(archive.sources_file(packages)?)
        .hint("read which package failed; the archive may have changed while building: run it again")
        .ok()?;
    check_installed(&root, &installed)?;
    fs::write(base.join(".complete"), list)?;
    Ok(base)
}

/// Copies the base and lays the plan's files over it. Returns the root.
///
/// # Errors
/// A file cannot be laid, or a unit that a layer enables does not exist.
pub fn root(base: &Path, plan: &Plan, facts: &Facts, work: &Path) -> Result<PathBuf> {
    let root = work.join("root");
    remove(&root)?;
    fs::create_dir_all(work)?;
    run("cp")
        .args(["-a", "--reflink=auto"])
        .arg(base.join("root"))
        .arg(&root)
        .ok()?;
    for path in NOT_SHIPPED {
        remove(&root.join(path))?;
    }
    fs::create_dir_all(root.join("var/log"))?;
    for ((_, path), laid) in plan.iter().filter(|((place, _), _)| *place == Place::Root) {
        lay(&root.join(path), laid)?;
    }
    let at_root = format!("--root={}", root.display());
    run("systemd-sysusers")
        .env("SOURCE_DATE_EPOCH", facts.epoch.to_string())
        .arg(&at_root)
        .hint("correct the layer's sysusers.d file")
        .ok()?;
    for left in [
        "etc/.pwd.lock",
        "etc/passwd-",
        "etc/group-",
        "etc/shadow-",
        "etc/gshadow-",
    ] {
        remove(&root.join(left))?;
    }
    run("systemctl")
        .args([&at_root, "preset-all"])
        .hint("see which unit systemctl names; units are listed in configs/layers")
        .ok()?;
    Ok(root)
}

/// Writes one planned file, replacing what a package put there.
pub(crate) fn lay(path: &Path, laid: &Laid) -> Result<()> {
    let context = || format!("cannot lay {} of {}", path.display(), laid.owner);
    if laid.source == Source::Folder {
        return fs::create_dir_all(path).with_context(context);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(context)?;
    }
    remove(path)?;
    match &laid.source {
        Source::File(from) => fs::copy(from, path)
            .map(drop)
            .with_context(|| format!("{} from {}", context(), from.display()))?,
        Source::Text(text) => fs::write(path, text).with_context(context)?,
        Source::Link(to) => return symlink(to, path).with_context(context),
        Source::Folder => {}
    }
    fs::set_permissions(path, fs::Permissions::from_mode(laid.mode)).with_context(context)
}

/// Removes a file, link or tree, where there is one.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let result = match fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(about) if about.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    result.with_context(|| format!("cannot remove {}", path.display()))
}

/// The settings that the host's apt needs to reach the archive; ci/in-buildroot binds them in.
fn host_apt_options() -> Option<String> {
    let file = std::env::var("APT_CONFIG").ok()?;
    Path::new(&file)
        .exists()
        .then(|| format!("--aptopt={file}"))
}

/// The installed packages are those that were resolved, at those versions.
fn check_installed(root: &Path, wanted: &[&Package]) -> Result<()> {
    let admin = format!("--admindir={}/var/lib/dpkg", root.display());
    let found = run("dpkg-query")
        .args([&admin, "--show", "--showformat=${Package} ${Version}\\n"])
        .output()?;
    let mut found: Vec<&str> = found.lines().collect();
    let mut planned: Vec<String> = wanted
        .iter()
        .map(|p| format!("{} {}", p.name, p.version))
        .collect();
    found.sort_unstable();
    planned.sort_unstable();
    if found != planned {
        let extra: Vec<_> = found
            .iter()
            .filter(|f| !planned.iter().any(|p| p == *f))
            .collect();
        let missing: Vec<_> = planned
            .iter()
            .filter(|p| !found.contains(&p.as_str()))
            .collect();
        anyhow::bail!(
            "mmdebstrap installed other packages than planned: besides the plan {extra:?}, missing {missing:?}"
        );
    }
    Ok(())
}
