//! Every identifier in the image, derived from the version and `SOURCE_DATE_EPOCH`, so that two builds of
//! one commit give the same bytes.

use uuid::Uuid;

/// What identifiers are derived from.
#[derive(Clone, Debug)]
pub struct Ids {
    version: String,
    epoch: u64,
}

impl Ids {
    /// Identifiers for `version`, built with `SOURCE_DATE_EPOCH=epoch` (seconds since 1970).
    #[must_use]
    pub fn new(version: &str, epoch: u64) -> Self {
        Self {
            version: version.to_owned(),
            epoch,
        }
    }

    /// The UUID (version 5) of `what`, for example `partition boot_a`.
    #[must_use]
    pub fn uuid(&self, what: &str) -> Uuid {
        let root = Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"perch.local");
        Uuid::new_v5(
            &root,
            format!("{} {} {what}", self.version, self.epoch).as_bytes(),
        )
    }

    /// A GUID as it is written in a partition table.
    #[must_use]
    pub fn guid(&self, what: &str) -> [u8; 16] {
        self.uuid(what).to_bytes_le()
    }

    /// A FAT volume's serial number, eight hexadecimal digits.
    #[must_use]
    pub fn fat_serial(&self, what: &str) -> String {
        let [a, b, c, d, ..] = *self.uuid(what).as_bytes();
        format!("{a:02X}{b:02X}{c:02X}{d:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_depend_on_version_time_and_use_only() {
        let ids = Ids::new("1.0.0", 5);
        assert_eq!(ids.uuid("disk"), Ids::new("1.0.0", 5).uuid("disk"));
        assert_ne!(ids.uuid("disk"), ids.uuid("data"));
        assert_ne!(ids.uuid("disk"), Ids::new("1.0.1", 5).uuid("disk"));
        assert_ne!(ids.uuid("disk"), Ids::new("1.0.0", 6).uuid("disk"));
        assert_eq!(ids.uuid("disk").get_version_num(), 5);
    }
}
