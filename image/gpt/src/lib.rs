//! GUID partition tables (UEFI 2.10 §5.3), as much as an image and its first boot need: make one, read
//! one (the primary copy, else the backup), and let the last partition grow to the disk's end.
//!
//! Invariant: a table is written backup first, synced, then primary, synced ([`Table::write`]). Whenever
//! the power goes, one of the two copies is whole. No dependencies: `grow-data` runs in the initrd.

mod crc;

use std::{fs::File, io, os::unix::fs::FileExt};

/// Bytes in a sector. Every disk the image is meant for has this logical size.
pub const SECTOR: u64 = 512;
const ENTRIES: u64 = 128;
const ENTRY_LEN: usize = 128;
const ENTRY_SECTORS: u64 = ENTRIES * ENTRY_LEN as u64 / SECTOR;
const HEADER_LEN: usize = 92;

/// One partition. GUIDs are as on the disk (mixed-endian, UEFI 2.10 appendix A).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// What the partition is for.
    pub type_guid: [u8; 16],
    /// Its own identity, Linux's PARTUUID.
    pub guid: [u8; 16],
    /// First sector.
    pub first: u64,
    /// Last sector, inclusive.
    pub last: u64,
    /// Attribute bits (UEFI 2.10 table 5.8).
    pub attributes: u64,
    /// At most 36 UTF-16 units.
    pub name: String,
}

/// A disk's partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The disk's identity, as on the disk.
    pub disk_guid: [u8; 16],
    /// Partitions 1, 2, …
    pub partitions: Vec<Partition>,
}

/// Which copies of the table on a disk are whole and where they belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// The copy in sector 1 is valid.
    pub primary: bool,
    /// The copy in the disk's last sector is valid and equals the primary where that is valid.
    pub backup: bool,
}

impl Table {
    /// The first sector a partition may use.
    pub const FIRST_USABLE: u64 = 2 + ENTRY_SECTORS;

    /// The last sector a partition may use on a disk of `sectors` sectors.
    #[must_use]
    pub fn last_usable(sectors: u64) -> u64 {
        sectors.saturating_sub(ENTRY_SECTORS + 2)
    }

    /// Reads the table of a disk of `sectors` sectors: the primary copy, else the one in the last sector.
    ///
    /// # Errors
    /// Reading failed, or neither copy is valid.
    pub fn read(disk: &File, sectors: u64) -> io::Result<(Self, Health)> {
        let primary = read_copy(disk, 1, sectors)?;
        let backup = match sectors.checked_sub(1) {
            Some(last) => read_copy(disk, last, sectors)?,
            None => None,
        };
        let health = Health {
            primary: primary.is_some(),
            backup: backup.is_some() && (primary.is_none() || primary == backup),
        };
        primary
            .or(backup)
            .map(|table| (table, health))
            .ok_or_else(|| {
                invalid("no valid GUID partition table, neither the primary nor the backup")
            })
    }

    /// Writes both copies for a disk of `sectors` sectors: backup, sync, protective MBR and primary, sync.
    ///
    /// # Errors
    /// A partition does not fit, or writing failed.
    pub fn write(&self, disk: &File, sectors: u64) -> io::Result<()> {
        if sectors < 2 * (ENTRY_SECTORS + 2) || self.partitions.len() as u64 > ENTRIES {
            return Err(invalid(
                "the disk is too small or there are too many partitions",
            ));
        }
        if let Some(outside) = self.partitions.iter().find(|p| {
            p.first < Self::FIRST_USABLE || p.last > Self::last_usable(sectors) || p.last < p.first
        }) {
            return Err(invalid(&format!(
                "partition {} does not fit on the disk",
                outside.name
            )));
        }
        let entries = self.entries();
        disk.write_all_at(&entries, (sectors - 1 - ENTRY_SECTORS) * SECTOR)?;
        disk.write_all_at(
            &self.header(sectors, sectors - 1, &entries),
            (sectors - 1) * SECTOR,
        )?;
        disk.sync_all()?;
        disk.write_all_at(&protective_mbr(sectors), 0)?;
        disk.write_all_at(&entries, 2 * SECTOR)?;
        disk.write_all_at(&self.header(sectors, 1, &entries), SECTOR)?;
        disk.sync_all()
    }

    /// Lets the last partition end at the last usable sector of a disk of `sectors` sectors, rounded down
    /// to whole 4 KiB. `false` when it already does.
    pub fn grow_last(&mut self, sectors: u64) -> bool {
        let end = (Self::last_usable(sectors) + 1) / 8 * 8 - 1;
        match self.partitions.iter_mut().max_by_key(|p| p.last) {
            Some(last) if last.last < end => {
                last.last = end;
                true
            }
            _ => false,
        }
    }

    fn entries(&self) -> Vec<u8> {
        let mut bytes = vec![0; ENTRIES as usize * ENTRY_LEN];
        for (partition, entry) in self.partitions.iter().zip(bytes.chunks_mut(ENTRY_LEN)) {
            entry[..16].copy_from_slice(&partition.type_guid);
            entry[16..32].copy_from_slice(&partition.guid);
            entry[32..40].copy_from_slice(&partition.first.to_le_bytes());
            entry[40..48].copy_from_slice(&partition.last.to_le_bytes());
            entry[48..56].copy_from_slice(&partition.attributes.to_le_bytes());
            for (unit, place) in partition.name.encode_utf16().zip(entry[56..].chunks_mut(2)) {
                place.copy_from_slice(&unit.to_le_bytes());
            }
        }
        bytes
    }

    fn header(&self, sectors: u64, at: u64, entries: &[u8]) -> Vec<u8> {
        let (other, entries_at) = if at == 1 {
            (sectors - 1, 2)
        } else {
            (1, at - ENTRY_SECTORS)
        };
        let mut bytes = Vec::with_capacity(SECTOR as usize);
        bytes.extend_from_slice(b"EFI PART");
        bytes.extend_from_slice(&0x0001_0000_u32.to_le_bytes());
        bytes.extend_from_slice(&(HEADER_LEN as u32).to_le_bytes());
        bytes.extend_from_slice(&[0; 8]); // own checksum (below), reserved
        for sector in [at, other, Self::FIRST_USABLE, Self::last_usable(sectors)] {
            bytes.extend_from_slice(&sector.to_le_bytes());
        }
        bytes.extend_from_slice(&self.disk_guid);
        bytes.extend_from_slice(&entries_at.to_le_bytes());
        bytes.extend_from_slice(&(ENTRIES as u32).to_le_bytes());
        bytes.extend_from_slice(&(ENTRY_LEN as u32).to_le_bytes());
        bytes.extend_from_slice(&crc::crc32(entries).to_le_bytes());
        let checksum = crc::crc32(&bytes);
        bytes[16..20].copy_from_slice(&checksum.to_le_bytes());
        bytes.resize(SECTOR as usize, 0);
        bytes
    }
}

/// The table whose header is in sector `at`, or `None` where it is not valid.
fn read_copy(disk: &File, at: u64, sectors: u64) -> io::Result<Option<Table>> {
    let mut header = vec![0; SECTOR as usize];
    match disk.read_exact_at(&mut header, at * SECTOR) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let checksum = le32(&header, 16);
    header[16..20].fill(0);
    let valid = header.starts_with(b"EFI PART")
        && le32(&header, 12) as usize == HEADER_LEN
        && checksum == crc::crc32(&header[..HEADER_LEN])
        && le64(&header, 24) == at
        && u64::from(le32(&header, 80)) == ENTRIES
        && le32(&header, 84) as usize == ENTRY_LEN
        && le64(&header, 72) < sectors;
    if !valid {
        return Ok(None);
    }
    let mut entries = vec![0; ENTRIES as usize * ENTRY_LEN];
    match disk.read_exact_at(&mut entries, le64(&header, 72) * SECTOR) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    if crc::crc32(&entries) != le32(&header, 88) {
        return Ok(None);
    }
    let partitions = entries
        .chunks(ENTRY_LEN)
        .take_while(|e| e[..16] != [0; 16])
        .map(read_entry)
        .collect();
    Ok(Some(Table {
        disk_guid: guid(&header, 56),
        partitions,
    }))
}

fn read_entry(entry: &[u8]) -> Partition {
    let units: Vec<u16> = entry[56..]
        .chunks(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
        .take_while(|unit| *unit != 0)
        .collect();
    Partition {
        type_guid: guid(entry, 0),
        guid: guid(entry, 16),
        first: le64(entry, 32),
        last: le64(entry, 40),
        attributes: le64(entry, 48),
        name: String::from_utf16_lossy(&units),
    }
}

/// Sector 0: one partition over the whole disk, so that tools that know only MBR keep off.
fn protective_mbr(sectors: u64) -> Vec<u8> {
    let mut bytes = vec![0; SECTOR as usize];
    bytes[446..454].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
    bytes[454..458].copy_from_slice(&1_u32.to_le_bytes());
    let length = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    bytes[458..462].copy_from_slice(&length.to_le_bytes());
    bytes[510..].copy_from_slice(&[0x55, 0xaa]);
    bytes
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4]
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from(le32(bytes, at + 4)) << 32 | u64::from(le32(bytes, at))
}

fn guid(bytes: &[u8], at: usize) -> [u8; 16] {
    let mut guid = [0; 16];
    guid.copy_from_slice(&bytes[at..at + 16]);
    guid
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
