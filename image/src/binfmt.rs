//! Lets the kernel start arm64 programs by emulation, for the packages' scripts.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::run::run;

const FOLDER: &str = "/proc/sys/fs/binfmt_misc";

/// ELF, 64 bit, little endian, executable or shared, AArch64; opened now (F), so that it works in any chroot.
const RULE: &str = ":perch-aarch64:M::\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:/usr/bin/qemu-aarch64:FPO";

/// Registers the build root's emulator, unless the machine runs arm64 programs already. Where binfmt_misc
/// had to be mounted, that mount is private to the build (ci/in-buildroot) and ends with it.
///
/// # Errors
/// The kernel lacks binfmt_misc or does not let us.
pub fn enable() -> Result<()> {
    if cfg!(target_arch = "aarch64") {
        return Ok(());
    }
    let folder = Path::new(FOLDER);
    if !folder.join("register").exists() {
        run("mount")
            .args(["-t", "binfmt_misc", "binfmt_misc", FOLDER])
            .hint("the kernel needs binfmt_misc (modprobe binfmt_misc on the host), and the build needs to be root outside a locked container")
            .ok()?;
    }
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {FOLDER}"))?;
    let known = entries
        .filter_map(Result::ok)
        .any(|entry| entry.file_name().to_string_lossy().contains("aarch64"));
    if known {
        return Ok(());
    }
    fs::write(folder.join("register"), RULE)
        .with_context(|| format!("cannot register the emulator in {FOLDER}"))
}
