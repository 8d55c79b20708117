//! Asks Debian's archive and those of the base and board ([`crate::bases`]), through apt with a state of its own under `target/`,
//! which packages the image needs and at which versions, and fetches package files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    config::Configs,
    kernel,
    lock::{Lock, Package, Usage},
    run::{Run, run},
    sources::{self, Sources},
};

const HINT: &str = "check that the archive can be reached: ci/in-buildroot apt-get update";

/// apt's state for the image's architecture.
pub struct Archive {
    dir: PathBuf,
    architecture: String,
    sources: Sources,
    /// Nothing is fetched: lists and package files are those of an earlier build.
    offline: bool,
}

impl Archive {
    /// Makes the state in `dir` and fetches the archives' package lists; `offline` takes those that are there. Debian's own is taken from
    /// where the build root takes it.
    ///
    /// # Errors
    /// An archive cannot be reached, or is not signed as it should be; offline, no lists are kept.
    pub fn open(dir: &Path, configs: &Configs, lock: &Lock, offline: bool) -> Result<Self> {
        let debian = sources::of_build_root(&configs.image.components.join(" "))?;
        Self::open_at(dir, configs, lock, debian, offline)
    }

    /// The same with Debian's own lines of `sources.list` given.
    ///
    /// # Errors
    /// As of [`Archive::open`].
    pub fn open_at(
        dir: &Path,
        configs: &Configs,
        lock: &Lock,
        debian: String,
        offline: bool,
    ) -> Result<Self> {
        for folder in ["state/lists/partial", "cache/archives/partial", "debs"] {
            fs::create_dir_all(dir.join(folder))?;
        }
        let archive = Self {
            dir: dir.to_owned(),
            architecture: configs.image.architecture.clone(),
            sources: Sources::new(configs, debian)?,
            offline,
        };
        fs::write(dir.join("sources.list"), archive.sources.list(|_| true))?;
        fs::write(dir.join("preferences"), lock.preferences())?;
        fs::write(dir.join("status"), "")?;
        archive.update()?;
        if !archive.sources.is_debian_alone() {
            let releases = archive
                .apt("apt-get")
                .args(["indextargets", "--format", Sources::RELEASES])
                .arg("Identifier: Packages")
                .output()?;
            let pins = archive.sources.pins(&releases)?;
            fs::write(dir.join("preferences"), lock.preferences() + &pins)?;
        }
        Ok(archive)
    }

    /// Fetches the package lists, or sees that there are some.
    fn update(&self) -> Result<()> {
        if !self.offline {
            return self
                .apt("apt-get")
                .args(["--quiet", "update", "--error-on=any"])
                .hint(HINT)
                .ok()
                .map_err(|error| self.sources.blame(error));
        }
        // What apt knows of each line of the sources, where it has the file.
        let kept = self
            .apt("apt-get")
            .args(["indextargets", "--format", "$(FILENAME)"])
            .arg("Identifier: Packages")
            .output()?;
        let lacking = kept.lines().find(|file| !Path::new(file).exists());
        if let Some(what) = lacking.or(kept.is_empty().then_some("nothing")) {
            bail!(
                "--offline: the package lists of an earlier build are not kept ({what}, in {})\n  try: build once with a network",
                self.dir.display()
            );
        }
        Ok(())
    }

    /// Where the package lists are, for a build without a network.
    #[must_use]
    pub fn kept_lists(&self) -> Option<PathBuf> {
        self.offline.then(|| self.dir.join("state/lists"))
    }

    /// The sources file for mmdebstrap: Debian's own, and the archives that an installed package is from.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn sources_file(&self, packages: &[Package]) -> Result<PathBuf> {
        let text = self.sources.list(|archive| {
            packages.iter().any(|package| {
                package.usage == Usage::Installed && package.archive.as_ref() == Some(&archive.name)
            })
        });
        let path = self.dir.join("bootstrap.list");
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// The preferences file (the lock's versions), for mmdebstrap.
    #[must_use]
    pub fn preferences_file(&self) -> PathBuf {
        self.dir.join("preferences")
    }

    /// Where package files are kept between builds.
    #[must_use]
    pub fn debs(&self) -> PathBuf {
        self.dir.join("debs")
    }

    /// Every package of the image, sorted by name, at the locked version where there is one.
    ///
    /// # Errors
    /// A package does not exist, or packages cannot be installed together.
    pub fn resolve(&self, configs: &Configs) -> Result<Vec<Package>> {
        let names: Vec<&str> = configs.packages().into_keys().collect();
        let plan = self
            .apt("apt-get")
            .args([
                "--simulate",
                "--no-install-recommends",
                "install",
                "?and(?essential,?not(?exact-name(apt)))",
            ])
            .args(&names)
            .hint("see which package apt names, and correct it in configs/layers/")
            .output()?;
        let mut wanted: BTreeMap<String, Usage> = plan
            .lines()
            .filter_map(planned)
            .map(|spec| (spec, Usage::Installed))
            .collect();
        for spec in self.file_packages(configs)? {
            wanted.entry(spec).or_insert(Usage::Files);
        }
        let mut packages = self.describe(&wanted)?;
        self.name_archives(&mut packages)?;
        Ok(packages)
    }

    /// Fetches the packages whose files are taken, and gives their paths by name.
    ///
    /// # Errors
    /// A package cannot be fetched.
    pub fn fetch_files(&self, packages: &[Package]) -> Result<BTreeMap<String, PathBuf>> {
        let mut paths = BTreeMap::new();
        for package in packages.iter().filter(|p| p.usage == Usage::Files) {
            let path = self.debs().join(package.file_name());
            if !path.exists() && self.offline {
                bail!(
                    "--offline: the package file {} is not kept\n  try: build once with a network",
                    path.display()
                );
            }
            if !path.exists() {
                let spec = format!("{}={}", package.name, package.version);
                self.apt("apt-get")
                    .args(["--quiet", "download", &spec])
                    .dir(&self.debs())
                    .hint(HINT)
                    .ok()?;
            }
            crate::sha256::check(&path, &package.sha256)?;
            paths.insert(package.name.clone(), path);
        }
        Ok(paths)
    }

    /// `name=version` of the packages whose files are taken: the board's, the kernel and what it points to.
    fn file_packages(&self, configs: &Configs) -> Result<Vec<String>> {
        let meta = &configs.on_base()?.kernel;
        let mut names = configs.board.files.clone();
        names.push(meta.clone());
        // "linux-image-6.12.1-arm64 (= 6.12.1-1)"
        let depends = self.depends(meta)?;
        let image = depends.iter().find(|name| kernel::version(name).is_some());
        let image =
            image.with_context(|| format!("{meta} depends on {depends:?}, not on a kernel"))?;
        let version = kernel::version(image).unwrap_or_default();
        // Newer kernels are in several packages, all of whose names end with the version.
        let mut parts = vec![image.clone()];
        let mut at = 0;
        while let Some(part) = parts.get(at).cloned() {
            for name in self.depends(&part)? {
                if kernel::is_part(&name, version) && !parts.contains(&name) {
                    parts.push(name);
                }
            }
            at += 1;
        }
        names.extend(parts);
        names
            .iter()
            .map(|name| Ok(format!("{name}={}", self.candidate(name)?)))
            .collect()
    }

    /// The names a package depends on; of alternatives the first.
    fn depends(&self, name: &str) -> Result<Vec<String>> {
        let spec = format!("{name}={}", self.candidate(name)?);
        let shown = self.apt("apt-cache").args(["show", &spec]).output()?;
        let depends = field(&shown, "Depends").unwrap_or_default();
        let first = |one: &str| {
            let name = one.split(['|', ' ', ':']).find(|word| !word.is_empty())?;
            Some(name.to_owned())
        };
        Ok(depends.split(',').filter_map(first).collect())
    }

    /// Notes which archive each package is from.
    fn name_archives(&self, packages: &mut [Package]) -> Result<()> {
        if self.sources.is_debian_alone() {
            return Ok(());
        }
        let names = packages.iter().map(|package| &package.name);
        let listed = self.apt("apt-cache").arg("madison").args(names).output()?;
        for package in packages {
            package.archive = self.sources.origin(package, &listed)?;
        }
        Ok(())
    }

    fn candidate(&self, name: &str) -> Result<String> {
        let policy = self.apt("apt-cache").args(["policy", name]).output()?;
        match field(&policy, "Candidate") {
            Some(version) if version != "(none)" => Ok(version.to_owned()),
            _ => bail!(
                "the archive has no package {name} for {}",
                self.architecture
            ),
        }
    }

    fn describe(&self, wanted: &BTreeMap<String, Usage>) -> Result<Vec<Package>> {
        let shown = self
            .apt("apt-cache")
            .arg("show")
            .args(wanted.keys())
            .output()?;
        let mut packages = Vec::new();
        for stanza in shown.split("\n\n") {
            let Some(name) = field(stanza, "Package") else {
                continue;
            };
            let get = |key: &str| {
                field(stanza, key)
                    .with_context(|| format!("{name} has no {key}"))
                    .map(str::to_owned)
            };
            let version = get("Version")?;
            if let Some(usage) = wanted.get(&format!("{name}={version}")) {
                packages.push(Package {
                    name: name.to_owned(),
                    version,
                    architecture: get("Architecture")?,
                    sha256: get("SHA256")?,
                    usage: *usage,
                    archive: None,
                });
            }
        }
        packages.sort();
        packages.dedup();
        if packages.len() != wanted.len() {
            bail!(
                "apt planned {} packages but described {}",
                wanted.len(),
                packages.len()
            );
        }
        Ok(packages)
    }

    fn apt(&self, program: &str) -> Run {
        let dir = self.dir.display();
        let settings = [
            format!("Dir::State={dir}/state"),
            format!("Dir::State::status={dir}/status"),
            format!("Dir::Cache={dir}/cache"),
            format!("Dir::Etc::SourceList={dir}/sources.list"),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            format!("Dir::Etc::Preferences={dir}/preferences"),
            "Dir::Etc::PreferencesParts=/dev/null".to_owned(),
            format!("APT::Architecture={}", self.architecture),
            format!("APT::Architectures={}", self.architecture),
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=3".to_owned(),
        ];
        settings
            .iter()
            .fold(run(program), |command, setting| {
                command.args(["-o", setting])
            })
            .hint(HINT)
    }
}

/// `Inst name [old] (version origin [arch])` as `name=version`.
fn planned(line: &str) -> Option<String> {
    let rest = line.strip_prefix("Inst ")?;
    let name = rest.split(' ').next()?.split(':').next()?;
    let version = rest.split_once('(')?.1.split(' ').next()?;
    Some(format!("{name}={version}"))
}

/// The value of `Key: value` in a stanza.
fn field<'a>(stanza: &'a str, key: &str) -> Option<&'a str> {
    stanza
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_apts_plan() {
        assert_eq!(
            planned("Inst libc6 (2.41-12 Debian:13.1/stable [arm64])").as_deref(),
            Some("libc6=2.41-12")
        );
        assert_eq!(
            planned("Inst dpkg [1.0] (1.22.21 Debian [arm64]) []").as_deref(),
            Some("dpkg=1.22.21")
        );
        assert_eq!(
            planned("Conf libc6 (2.41-12 Debian:13.1/stable [arm64])"),
            None
        );
    }

    #[test]
    fn reads_a_stanzas_field() {
        let stanza = "Package: a\nVersion: 1:2\n";
        assert_eq!(field(stanza, "Version"), Some("1:2"));
        assert_eq!(field(stanza, "SHA256"), None);
    }
}
