//! SHA-256 of files.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context as _, Result, bail};
use ring::digest::{Context, SHA256};

/// The hash of a file, hexadecimal.
///
/// # Errors
/// The file cannot be read.
pub fn file(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file
            .read(&mut buffer)
            .with_context(|| format!("cannot read {}", path.display()))?;
        if read == 0 {
            return Ok(hex(context.finish().as_ref()));
        }
        context.update(&buffer[..read]);
    }
}

/// The hash of some text, hexadecimal.
#[must_use]
pub fn text(text: &str) -> String {
    hex(ring::digest::digest(&SHA256, text.as_bytes()).as_ref())
}

/// Refuses a file whose hash is not `wanted`.
///
/// # Errors
/// The file cannot be read or has another hash.
pub fn check(path: &Path, wanted: &str) -> Result<()> {
    let found = file(path)?;
    if found != wanted {
        bail!(
            "{} has SHA-256 {found}, expected {wanted}; delete it and try again",
            path.display()
        );
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
