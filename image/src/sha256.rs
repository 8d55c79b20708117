//! SHA-256 of files.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use ring::digest::{Context, SHA256};

/// The hash of a file, hexadecimal.
///
/// # Errors
/// The file cannot be read.
pub fn file(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let (_, hash) = of(&mut file).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hash)
}

/// How many bytes there are to read, and their hash, hexadecimal.
///
/// # Errors
/// Reading failed.
pub fn of(input: &mut impl Read) -> io::Result<(u64, String)> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let read = input.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, hex(context.finish().as_ref())));
        }
        context.update(&buffer[..read]);
        bytes += read as u64;
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
