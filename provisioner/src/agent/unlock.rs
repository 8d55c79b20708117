//! The owner's way past delayed sign-ins: a file on the card, which nobody can put there over the network.

use anyhow::Result;

use crate::files::Files;

/// Names that people's editors may give it.
const MARKERS: [&str; 2] = [
    "/boot/firmware/perch-unlock",
    "/boot/firmware/perch-unlock.txt",
];

/// Whether the file is there; takes it away.
///
/// # Errors
/// It cannot be removed.
pub fn take(files: &Files) -> Result<bool> {
    let mut found = false;
    for marker in MARKERS {
        if files.path(marker).is_file() {
            files.remove(marker)?;
            found = true;
        }
    }
    Ok(found)
}
