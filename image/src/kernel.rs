//! The kernel's packages and where their files lie, which differs between distributions and kernels:
//!
//! | | kernel | device trees, modules |
//! |---|---|---|
//! | Debian to 6.x | `linux-image-V`: `boot/vmlinuz-V` | `usr/lib/linux-image-V/`, `usr/lib/modules/V/` |
//! | Debian from 7.x | `linux-binary-V`: `usr/lib/modules/V/vmlinuz` | `usr/lib/modules/V/dtb/` of `linux-base-V`, `linux-modules-V` |
//! | Raspberry Pi | `linux-image-V`: `boot/vmlinuz-V`, packed with gzip | as Debian to 6.x, with `overlays/` beside `broadcom/` |

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    lock::{Package, Usage},
    rootfs::remove,
    run::run,
};

/// The version in the name of a kernel's own package: that of `linux-image-6.12.1-arm64`, not of `linux-image-arm64`.
#[must_use]
pub fn version(package: &str) -> Option<&str> {
    package
        .strip_prefix("linux-image-")
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether a package has some of the files of the kernel `version`.
#[must_use]
pub fn is_part(package: &str, version: &str) -> bool {
    package.starts_with("linux-")
        && package
            .strip_suffix(version)
            .is_some_and(|start| start.ends_with('-'))
}

/// The version of the kernel among the packages.
///
/// # Errors
/// There is none.
pub fn among(packages: &[Package]) -> Result<&str> {
    packages
        .iter()
        .filter(|package| package.usage == Usage::Files)
        .find_map(|package| version(&package.name))
        .context("no kernel among the packages")
}

/// An unpacked kernel.
pub struct Kernel<'a> {
    /// The files of all its packages.
    pub tree: &'a Path,
    /// Its version.
    pub version: &'a str,
}

impl Kernel<'_> {
    /// The folder of the device trees: `broadcom/…`, and where there are overlays, `overlays/`.
    #[must_use]
    pub fn device_trees(&self) -> PathBuf {
        // From 7.x on that is a link to where they are.
        self.tree
            .join(format!("usr/lib/linux-image-{}", self.version))
    }

    /// Writes the kernel to `to`, packed with gzip: U-Boot unpacks it; reading a card there costs more than that. gzip, as Debian's U-Boot
    /// for `virt` knows no better one.
    ///
    /// # Errors
    /// There is none, or U-Boot could not start it.
    pub fn pack(&self, to: &Path) -> Result<()> {
        let places = [
            format!("boot/vmlinuz-{}", self.version),
            format!("usr/lib/modules/{}/vmlinuz", self.version),
        ];
        let from = places
            .iter()
            .map(|place| self.tree.join(place))
            .find(|path| path.exists());
        let from =
            from.with_context(|| format!("the kernel's packages have neither of {places:?}"))?;
        let start = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        if start.get(4..8) == Some(b"zimg") {
            bail!(
                "the kernel {} unpacks itself by EFI (zboot), which the boot script cannot start",
                self.version
            );
        }
        // Stored without name and time (-n).
        let pack = if start.starts_with(&[0x1f, 0x8b]) {
            "gzip -dc <\"$1\" | gzip -9n >\"$2\""
        } else {
            "gzip -9n <\"$1\" >\"$2\""
        };
        run("sh").args(["-ec", pack, "gzip"]).arg(from).arg(to).ok()
    }

    /// Copies the modules into a root, without what lies beside them and is elsewhere on the card.
    ///
    /// # Errors
    /// They cannot be copied.
    pub fn copy_modules(&self, root: &Path) -> Result<()> {
        let modules = format!("usr/lib/modules/{}", self.version);
        let to = root.join(&modules);
        remove(&to)?;
        fs::create_dir_all(root.join("usr/lib/modules"))?;
        run("cp")
            .args(["-a", "--reflink=auto"])
            .arg(self.tree.join(&modules))
            .arg(&to)
            .ok()?;
        for beside in ["vmlinuz", "dtb", "System.map"] {
            remove(&to.join(beside))?;
        }
        run("depmod")
            .arg("-b")
            .arg(root.join("usr"))
            .arg(self.version)
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_name_of_the_kernels_own_package() {
        assert_eq!(version("linux-image-6.12.1-arm64"), Some("6.12.1-arm64"));
        assert_eq!(version("linux-image-rpi-v8"), None);
        assert_eq!(version("linux-base-7.3.4-arm64"), None);
    }

    #[test]
    fn a_part_has_the_kernels_version_at_its_end() {
        assert!(is_part(
            "linux-modules-7.3.4+deb13-arm64",
            "7.3.4+deb13-arm64"
        ));
        assert!(!is_part(
            "linux-modules-17.3.4+deb13-arm64",
            "7.3.4+deb13-arm64"
        ));
        assert!(!is_part("linux-base", "7.3.4+deb13-arm64") && !is_part("kmod", "7"));
    }

    fn packed(place: &str, content: &[u8]) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let to = folder.path().join("packed");
        Kernel {
            tree: folder.path(),
            version: "7.1",
        }
        .pack(&to)?;
        run("gzip").arg("-dc").arg(&to).output()
    }

    #[test]
    fn the_kernel_is_found_in_both_places_and_packed_once() {
        assert_eq!(packed("boot/vmlinuz-7.1", b"a kernel").unwrap(), "a kernel");
        assert_eq!(
            packed("usr/lib/modules/7.1/vmlinuz", b"another").unwrap(),
            "another"
        );
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, "from Raspberry Pi").unwrap();
        run("gzip").arg("-k").arg(&plain).ok().unwrap();
        let gzip = fs::read(folder.path().join("plain.gz")).unwrap();
        assert_eq!(
            packed("boot/vmlinuz-7.1", &gzip).unwrap(),
            "from Raspberry Pi"
        );
    }

    #[test]
    fn a_kernel_that_u_boot_cannot_start_is_refused() {
        let error = packed("boot/vmlinuz-7.1", b"MZ\0\0zimg....")
            .unwrap_err()
            .to_string();
        assert!(error.contains("7.1") && error.contains("zboot"), "{error}");
        let error = packed("boot/other", b"").unwrap_err().to_string();
        assert!(error.contains("boot/vmlinuz-7.1"), "{error}");
    }
}
