//! Where packages may come from: Debian's own archive and those of base and board, told apart in what apt says. Pure: [`crate::archive`]
//! asks apt.

use std::path::Path;

use anyhow::{Context, Error, Result, bail};

use crate::{bases::ExtraArchive, config::Configs, lock::Package};

/// The archives of an image.
pub struct Sources {
    /// Debian's lines of the sources file.
    debian: String,
    /// The others, each with its line.
    extra: Vec<(ExtraArchive, String)>,
}

impl Sources {
    /// What `apt-get indextargets` is to print for [`Sources::pins`].
    pub const RELEASES: &str = "$(REPO_URI)|$(RELEASE)|$(ORIGIN)|$(LABEL)|$(CODENAME)";

    /// The image's archives; `debian` has Debian's own lines of `sources.list`.
    ///
    /// # Errors
    /// There is no line of Debian's, or a keyring is missing.
    pub fn new(configs: &Configs, debian: String) -> Result<Self> {
        let suite = format!(" {} ", configs.image.release);
        let own = debian
            .lines()
            .find_map(|line| Some(line.split_once(&suite)?.0));
        let own = own.with_context(|| format!("no source of packages has the suite{suite}"))?;
        let extra = configs
            .extra_archives()?
            .into_iter()
            .map(|archive| Ok((archive.clone(), archive.line(&configs.top, own)?)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { debian, extra })
    }

    /// Whether there is Debian's own archive only.
    #[must_use]
    pub fn is_debian_alone(&self) -> bool {
        self.extra.is_empty()
    }

    /// The text of `sources.list`, with those of the other archives that are `wanted`.
    pub fn list(&self, wanted: impl Fn(&ExtraArchive) -> bool) -> String {
        let lines = self.extra.iter().filter(|(archive, _)| wanted(archive));
        lines.fold(self.debian.clone(), |text, (_, line)| text + line)
    }

    /// apt preferences: of the other archives nothing but what they may give, and that before Debian's. An archive is told by what its
    /// own signed Release file says of it, which `releases` lists ([`Sources::RELEASES`]).
    ///
    /// # Errors
    /// An archive has nothing for the processor, or two call themselves the same.
    pub fn pins(&self, releases: &str) -> Result<String> {
        let said: Vec<(&str, String)> =
            releases.lines().map(|line| (line, release(line))).collect();
        let mut pins = String::new();
        for (archive, line) in &self.extra {
            let name = &archive.name;
            let found = said.iter().find(|(place, _)| is_from(line, place));
            let (_, pin) = found.with_context(|| {
                format!("archive \"{name}\" has no packages for this image's processor")
            })?;
            if said
                .iter()
                .any(|(place, other)| other == pin && !is_from(line, place))
            {
                bail!(
                    "archive \"{name}\" calls itself {pin}, as another one does; they cannot be told apart"
                );
            }
            pins += &format!(
                "Package: {}\nPin: release {pin}\nPin-Priority: 990\n\nPackage: *\nPin: release {pin}\nPin-Priority: -1\n\n",
                archive.packages.join(" ")
            );
        }
        Ok(pins)
    }

    /// The archive that `package` is from by `listed` (`apt-cache madison`); none: Debian's own.
    ///
    /// # Errors
    /// It is from nowhere, or from one that may not give it.
    pub fn origin(&self, package: &Package, listed: &str) -> Result<Option<String>> {
        let (name, version) = (&package.name, &package.version);
        // "name | version | file:/a/b trixie/main arm64 Packages"
        let places: Vec<&str> = listed
            .lines()
            .filter_map(|line| {
                let mut parts = line.split('|').map(str::trim);
                let here = parts.next()? == name && parts.next()? == version;
                parts.next().filter(|_| here)
            })
            .collect();
        let is_any = |line: &str| places.iter().any(|place| is_from(line, place));
        if self.debian.lines().any(is_any) {
            return Ok(None);
        }
        let from = self.extra.iter().find(|(_, line)| is_any(line));
        let (archive, _) = from.with_context(|| {
            format!("apt does not say where {name} {version} is from: {places:?}")
        })?;
        if !archive.gives(name) {
            bail!(
                "{name} {version} would be from archive \"{}\", which may give only: {}",
                archive.name,
                archive.packages.join(", ")
            );
        }
        Ok(Some(archive.name.clone()))
    }

    /// Says in words which archive apt refused for its signature, where that is why.
    #[must_use]
    pub fn blame(&self, error: Error) -> Error {
        let said = format!("{error:#}");
        let refused = self.extra.iter().find_map(|(archive, line)| {
            let url = address(line)?;
            let keyring = archive.keyring.as_deref()?;
            said.lines()
                .any(|line| line.contains(url) && line.contains("is not signed"))
                .then_some((archive, keyring))
        });
        match refused {
            None => error,
            Some((archive, keyring)) => error.context(format!(
                "archive \"{}\" is not signed with a key of {}; nothing is taken from it",
                archive.name,
                keyring.display()
            )),
        }
    }
}

/// Debian's own lines, from those of the build root: with other components, and without backports.
///
/// # Errors
/// The build root's sources cannot be read.
pub fn of_build_root(components: &str) -> Result<String> {
    let text = std::fs::read_to_string(Path::new("/etc/apt/sources.list")).context(
        "cannot read /etc/apt/sources.list: `image build` runs in the build root (ci/in-buildroot)",
    )?;
    let lines: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with("deb ") && !line.contains("backports"))
        .map(|line| {
            line.split(' ')
                .take_while(|word| *word != "main")
                .collect::<Vec<_>>()
                .join(" ")
        })
        .map(|line| format!("{line} {components}\n"))
        .collect();
    Ok(lines.concat())
}

/// Address and suite in a line of `sources.list`, the address without a slash at its end.
fn place(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("deb ")?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace();
    Some((words.next()?.trim_end_matches('/'), words.next()?))
}

fn address(line: &str) -> Option<&str> {
    place(line).map(|(address, _)| address)
}

/// Whether `said` (`ADDRESS SUITE/…` or `ADDRESS|SUITE|…`, as apt says it) is what a line of `sources.list` names.
fn is_from(line: &str, said: &str) -> bool {
    let Some((url, suite)) = place(line) else {
        return false;
    };
    let mut words = said.split([' ', '|']);
    let same = words
        .next()
        .is_some_and(|at| at.trim_end_matches('/') == url);
    let left = words.next().and_then(|at| at.strip_prefix(suite));
    same && left.is_some_and(|left| left.is_empty() || left.starts_with('/'))
}

/// The pin that means the archive of `ADDRESS|SUITE|ORIGIN|LABEL|CODENAME`.
fn release(line: &str) -> String {
    let said: Vec<String> = line
        .split('|')
        .skip(2)
        .zip(["o", "l", "n"])
        .filter(|(value, _)| !value.is_empty())
        .map(|(value, key)| format!("{key}={value}"))
        .collect();
    said.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_by_address_and_suite() {
        let line = "deb [signed-by=/a/b.pgp] https://x.example/debian/ trixie main";
        for (said, same) in [
            ("https://x.example/debian trixie/main arm64 Packages", true),
            ("https://x.example/debian/|trixie|Vendor||trixie", true),
            (
                "https://x.example/debian trixie-updates/main arm64 Packages",
                false,
            ),
            ("https://y.example/debian trixie/main arm64 Packages", false),
        ] {
            assert_eq!(is_from(line, said), same, "{said}");
        }
    }

    #[test]
    fn an_archive_is_pinned_by_what_its_release_file_says() {
        assert_eq!(
            release("u|trixie|Raspberry Pi|Pi|trixie"),
            "o=Raspberry Pi,l=Pi,n=trixie"
        );
        assert_eq!(release("u|trixie|Vendor||"), "o=Vendor");
    }
}
