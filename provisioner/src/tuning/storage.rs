//! What the box's data is kept on.

use settings_file::Value;

use crate::files::Files;

/// A kind of storage, as the name of the block device tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// An SD card or eMMC (`mmcblk`).
    Card,
    /// A drive behind USB or SATA (`sd`).
    Usb,
    /// An NVMe drive.
    Nvme,
    /// The disk of an emulator (`vd`).
    Virtual,
}

impl Storage {
    /// What `/data` is mounted from (proc_pid_mounts(5)). `None`: it is not mounted, or from something else.
    pub fn of_data(files: &Files) -> Option<Self> {
        let mounts = files.read("/proc/self/mounts").ok()??;
        let device = mounts.lines().rev().find_map(|line| {
            let mut words = line.split(' ');
            let device = words.next()?;
            (words.next()? == "/data").then_some(device)
        })?;
        Self::of_device(device)
    }

    fn of_device(device: &str) -> Option<Self> {
        let name = device.strip_prefix("/dev/")?;
        let kinds = [
            ("mmcblk", Self::Card),
            ("sd", Self::Usb),
            ("nvme", Self::Nvme),
            ("vd", Self::Virtual),
        ];
        kinds
            .into_iter()
            .find_map(|(prefix, kind)| name.starts_with(prefix).then_some(kind))
    }

    /// From a settings file.
    ///
    /// # Errors
    /// What is accepted.
    pub fn parse(value: &Value<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("card") => Ok(Self::Card),
            Some("usb") => Ok(Self::Usb),
            Some("nvme") => Ok(Self::Nvme),
            Some("virtual") => Ok(Self::Virtual),
            _ => Err("\"card\", \"usb\", \"nvme\" or \"virtual\"".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn kind(mounts: &str) -> Option<Storage> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("proc/self")).unwrap();
        std::fs::write(root.path().join("proc/self/mounts"), mounts).unwrap();
        Storage::of_data(&Files::new(root.path()))
    }

    #[test]
    fn the_device_under_the_data_says_what_it_is() {
        let mounts = "/dev/mmcblk0p4 / erofs ro 0 0\n/dev/sda6 /data ext4 rw 0 0\n";
        assert_eq!(kind(mounts), Some(Storage::Usb));
        assert_eq!(
            kind("/dev/mmcblk0p6 /data ext4 rw 0 0\n"),
            Some(Storage::Card)
        );
        assert_eq!(
            kind("/dev/nvme0n1p6 /data ext4 rw 0 0\n"),
            Some(Storage::Nvme)
        );
        assert_eq!(kind("tmpfs /data tmpfs rw 0 0\n"), None);
        assert_eq!(kind("/dev/sda6 /database ext4 rw 0 0\n"), None);
    }
}
