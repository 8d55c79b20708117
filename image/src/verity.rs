//! The hashes of a root's blocks (dm-verity), behind the root in the same file: a slot's partition holds both, and the slot's boot
//! partition says what they come to.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::run::run;

/// The file of the boot partition; the boot script reads it as a list of variables.
pub const FILE: &str = "verity.txt";

/// Bytes of a block of data and of hashes.
const BLOCK: u64 = 4096;

/// What a root's blocks are checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Blocks of the root; the hashes begin behind them.
    pub blocks: u64,
    /// The hash over all of it, hexadecimal.
    pub root_hash: String,
}

impl Sealed {
    /// The text of [`FILE`].
    #[must_use]
    pub fn text(&self) -> String {
        format!("system_verity={}:{}\n", self.blocks, self.root_hash)
    }
}

/// Appends the hashes of all blocks of `image` to it.
///
/// No salt: it would only make each version's hashes differ where its blocks do not, and all of them would be fetched with an update.
///
/// # Errors
/// The file is not made of whole blocks, or `veritysetup` failed.
pub fn seal(image: &Path) -> Result<Sealed> {
    let length = fs::metadata(image)
        .with_context(|| format!("cannot look at {}", image.display()))?
        .len();
    if length == 0 || !length.is_multiple_of(BLOCK) {
        bail!(
            "{} has {length} bytes, which are no whole blocks of {BLOCK}",
            image.display()
        );
    }
    let said = run("veritysetup")
        .args(["format", "--no-superblock", "--hash=sha256", "--salt=-"])
        .arg(format!("--data-block-size={BLOCK}"))
        .arg(format!("--hash-block-size={BLOCK}"))
        .arg(format!("--data-blocks={}", length / BLOCK))
        .arg(format!("--hash-offset={length}"))
        .arg(image)
        .arg(image)
        .output()?;
    Ok(Sealed {
        blocks: length / BLOCK,
        root_hash: root_hash(&said).context("veritysetup names no root hash")?,
    })
}

fn root_hash(said: &str) -> Option<String> {
    let hash = said
        .lines()
        .find_map(|line| line.strip_prefix("Root hash:"))?
        .trim();
    (hash.len() == 64).then(|| hash.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_script_gets_the_count_of_blocks_and_the_root_hash() {
        let said = format!(
            "VERITY header information\nRoot hash:      \t{}\n",
            "ab".repeat(32)
        );
        let sealed = Sealed {
            blocks: 7,
            root_hash: root_hash(&said).unwrap(),
        };
        assert_eq!(
            sealed.text(),
            format!("system_verity=7:{}\n", "ab".repeat(32))
        );
        assert_eq!(root_hash("Root hash: abc\n"), None);
    }

    #[test]
    fn a_file_that_is_not_made_of_whole_blocks_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), [0; 5000]).unwrap();
        let error = seal(file.path()).unwrap_err().to_string();
        assert!(error.contains("5000"), "{error}");
    }
}
