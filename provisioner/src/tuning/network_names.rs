//! Waiting for the names of the network devices. udev renames them while the system starts (`eth0` becomes `enp0s1`); what is
//! written for one under its first name would be lost, and count as a failure.

use std::time::{Duration, Instant};

use crate::files::Files;

/// How long a device may be without a name of udev's.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);

/// Returns when udev is done with each wired device that there is, or after 15 s. Without udev at once.
pub fn wait(files: &Files) {
    let begun = Instant::now();
    while !unnamed(files).is_empty() && begun.elapsed() < PATIENCE {
        std::thread::sleep(PAUSE);
    }
}

/// The wired devices that udev has not yet taken into its database (`/run/udev/data/nINDEX`, `udev(7)`).
fn unnamed(files: &Files) -> Vec<String> {
    if !files.path("/run/udev/data").is_dir() {
        return Vec::new();
    }
    let mut devices = files.matching("/sys/class/net/e*");
    devices.retain(|device| {
        // One that is gone by now has another name, and is looked at under that.
        let index = files.read(format!("{device}/ifindex")).ok().flatten();
        index.is_none_or(|index| {
            !files
                .path(format!("/run/udev/data/n{}", index.trim()))
                .exists()
        })
    });
    devices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &std::path::Path, path: &str, text: &str) {
        let place = root.join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, text).unwrap();
    }

    #[test]
    fn a_device_has_its_name_once_udev_knows_it() {
        let root = tempfile::tempdir().unwrap();
        let files = Files::new(root.path());
        put(root.path(), "sys/class/net/eth0/ifindex", "2\n");
        assert!(unnamed(&files).is_empty(), "there is no udev");
        put(root.path(), "run/udev/data/n1", "");
        assert_eq!(unnamed(&files), ["/sys/class/net/eth0"]);
        put(root.path(), "run/udev/data/n2", "");
        assert!(unnamed(&files).is_empty());
    }
}
