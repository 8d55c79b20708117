//! The stages in order. Each takes what the one before it made.

use std::{
    fs,
    panic::resume_unwind,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::{
    archive::Archive,
    binfmt,
    bundle::Bundle,
    config::Configs,
    disk,
    facts::Facts,
    ids::Ids,
    kernel,
    lock::{Lock, Package, Usage},
    plan::{self, Plan},
    rootfs,
    run::run,
    slots,
};

/// How to build.
pub struct Options {
    /// The lock to hold packages to.
    pub lock: PathBuf,
    /// Refuse when a locked version left the archive.
    pub locked: bool,
    /// Install the packages again even where an installed base is kept.
    pub fresh: bool,
    /// Fetch nothing: package lists and files are those of an earlier build.
    pub offline: bool,
    /// Where apt's lists and the package files are kept.
    pub archive: PathBuf,
    /// Where installed bases are kept between builds.
    pub bases: PathBuf,
    /// Where intermediate files go.
    pub work: PathBuf,
    /// Where the bundle goes; absent: stop at the disk image.
    pub dist: Option<PathBuf>,
}

/// What a build made.
pub struct Built {
    /// The file systems.
    pub slots: slots::Slots,
    /// The disk image.
    pub disk: PathBuf,
}

/// Runs all stages.
///
/// # Errors
/// A stage failed; the error names the stage, the command, its output, and what to try.
pub fn build(configs: &Configs, mut facts: Facts, options: &Options) -> Result<Built> {
    let work = &options.work;
    let lock = Lock::read(&options.lock)?;
    facts.lock.clone_from(&options.lock);
    fs::create_dir_all(work)?;
    let (archive, packages) = stage("resolve", || {
        resolve(configs, &lock, &options.archive, options, &mut facts)
    })?;
    // Side by side: linking the server keeps one core busy for minutes.
    let (base, files, kernel_version) = thread::scope(|scope| {
        let base = scope.spawn(|| {
            stage("base", || {
                binfmt::enable()?;
                let base = rootfs::base(
                    configs,
                    &archive,
                    &packages,
                    lock.date,
                    &options.bases,
                    options.fresh,
                )?;
                let files = work.join("files");
                let version = unpack(&archive, &packages, &files)?;
                Ok((base, files, version))
            })
        });
        stage("binaries", || binaries(configs, &facts))?;
        base.join().unwrap_or_else(|panic| resume_unwind(panic))
    })?;
    let plan: Plan = plan::plan(configs, &facts)?;
    let root = stage("root", || rootfs::root(&base, &plan, &facts, work))?;
    let inputs = slots::Inputs {
        configs,
        plan: &plan,
        facts: &facts,
        root: &root,
        files: &files,
        kernel_version: &kernel_version,
    };
    let slots = stage("slots", || slots::make(&inputs, work))?;
    let ids = Ids::new(&facts.version, facts.epoch);
    let disk = stage("disk", || disk::make(configs, &ids, &slots, work))?;
    if let Some(dist) = &options.dist {
        let bundle = Bundle {
            configs,
            facts: &facts,
            packages: &packages,
            disk: &disk,
            slots: &slots,
            work,
            root: &root,
            files: &files,
        };
        let image = stage("bundle", || bundle.write(dist))?;
        facts.write(&work.join("facts.json"))?;
        say(&format!("made {}", image.display()));
    }
    if !facts.locked {
        say(
            "WARNING: this image is NOT from the committed lock (see above); its os-release and manifest say so",
        );
    }
    Ok(Built { slots, disk })
}

/// Refreshes the lock at `path` from the archive of today.
///
/// # Errors
/// The archive cannot be reached or the packages cannot be resolved.
pub fn refresh_lock(configs: &Configs, path: &Path, work: &Path, date: u64) -> Result<()> {
    let archive = stage("archive", || {
        Archive::open(&work.join("archive"), configs, &Lock::default(), false)
    })?;
    let package = stage("resolve", || archive.resolve(configs))?;
    say(&format!(
        "{} packages locked in {}",
        package.len(),
        path.display()
    ));
    fs::write(path, Lock { date, package }.text())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Prints to the person at the terminal.
#[expect(
    clippy::print_stderr,
    reason = "the builder's progress is for the person at the terminal"
)]
pub fn say(text: &str) {
    eprintln!("{text}");
}

fn stage<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    say(&format!("stage {name} …"));
    let start = Instant::now();
    let result = work().with_context(|| {
        format!(
            "stage {name} failed after {:.1} s",
            start.elapsed().as_secs_f64()
        )
    });
    if result.is_ok() {
        say(&format!(
            "stage {name}: done in {:.1} s",
            start.elapsed().as_secs_f64()
        ));
    }
    result
}

fn resolve(
    configs: &Configs,
    lock: &Lock,
    dir: &Path,
    options: &Options,
    facts: &mut Facts,
) -> Result<(Archive, Vec<Package>)> {
    let archive = Archive::open(dir, configs, lock, options.offline)?;
    let packages = archive.resolve(configs)?;
    let drift = lock.drift(&packages)?;
    if drift.is_empty() {
        return Ok((archive, packages));
    }
    let list: String = drift.iter().map(|one| format!("  {one}\n")).collect();
    if options.locked {
        bail!(
            "--locked: the archive no longer gives what {} says:\n{list}  try: `image lock`, review and commit the new lock; or build without --locked",
            options.lock.display()
        );
    }
    say(&format!(
        "WARNING: going on with the archive's newest packages, NOT those of {}:\n{list}",
        options.lock.display()
    ));
    facts.locked = false;
    Ok((archive, packages))
}

/// Pages of programs are memory on every box: relocations are packed (600 KiB less of `imd` are read at its start), and functions
/// that came out the same are there once. Debian's GNU ld can do neither for arm64.
const LINKING: &str =
    "-C link-arg=-fuse-ld=mold -C link-arg=-Wl,--pack-dyn-relocs=relr -C link-arg=-Wl,--icf=safe";

fn binaries(configs: &Configs, facts: &Facts) -> Result<()> {
    let top = configs.top.display();
    let cargo_home = std::env::var("CARGO_HOME").unwrap_or_else(|_| "/root/.cargo".to_owned());
    let mut cargo = run("cargo");
    // Where cargo has started this program, it has set these for its package; ring's build script looks at them, and all
    // would be compiled anew. Profiles are those of Cargo.toml, whatever the caller likes for programs of its own.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let foreign = ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_PROFILE_"];
        if foreign.iter().any(|prefix| name.starts_with(prefix)) {
            cargo = cargo.without_env(&name);
        }
    }
    cargo
        .args([
            "build",
            "--locked",
            "--quiet",
            "--release",
            "--target",
            "aarch64-unknown-linux-gnu",
        ])
        .args([
            "-p",
            "imd",
            "-p",
            "provisioner",
            "-p",
            "gpt-table",
            "--features",
            "imd/systemd",
        ])
        // Where it was built must not show in the result.
        .env(
            "RUSTFLAGS",
            format!(
                "--remap-path-prefix={cargo_home}=/cargo --remap-path-prefix={top}=/perch {LINKING}"
            ),
        )
        .env(
            "CFLAGS_aarch64_unknown_linux_gnu",
            format!("-ffile-prefix-map={cargo_home}=/cargo -ffile-prefix-map={top}=/perch"),
        )
        .env("SOURCE_DATE_EPOCH", facts.epoch.to_string())
        // Compiled in parts, `imd` has 1.5 MB more in memory.
        .env("CARGO_INCREMENTAL", "0")
        .dir(&configs.top)
        .hint("run the same cargo command with ci/in-buildroot")
        .ok()
}

/// Unpacks the packages whose files are taken to `files/NAME`, those of the kernel to `files/kernel`; gives its version.
///
/// # Errors
/// A package cannot be fetched, or none has a kernel.
pub fn unpack(archive: &Archive, packages: &[Package], files: &Path) -> Result<String> {
    let debs = archive.fetch_files(packages)?;
    let version = kernel::among(packages)?;
    rootfs::remove(files)?;
    for package in packages.iter().filter(|p| p.usage == Usage::Files) {
        let to = files.join(if kernel::is_part(&package.name, version) {
            "kernel"
        } else {
            &package.name
        });
        fs::create_dir_all(&to)?;
        run("dpkg-deb")
            .arg("--extract")
            .arg(&debs[&package.name])
            .arg(&to)
            .ok()?;
    }
    Ok(version.to_owned())
}
