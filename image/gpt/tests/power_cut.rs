//! The table survives a power cut between any two sector writes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{fs::File, os::unix::fs::FileExt};

use gpt_table::{Partition, SECTOR, Table};

const OLD: u64 = 4096;
const NEW: u64 = 16384;

fn table() -> Table {
    let partition = |n: u8, first, last| Partition {
        type_guid: [0xa2; 16],
        guid: [n; 16],
        first,
        last,
        attributes: 0,
        name: format!("part{n}"),
    };
    Table {
        disk_guid: [7; 16],
        partitions: vec![partition(1, 64, 127), partition(2, 128, 2047)],
    }
}

fn disk(table: &Table, sectors: u64) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(sectors * SECTOR).unwrap();
    table.write(&file, sectors).unwrap();
    file
}

fn sector(file: &File, at: u64) -> Vec<u8> {
    let mut bytes = vec![0; SECTOR as usize];
    file.read_exact_at(&mut bytes, at * SECTOR).unwrap();
    bytes
}

#[test]
fn reads_what_it_wrote() {
    let (read, health) = Table::read(&disk(&table(), OLD), OLD).unwrap();
    assert_eq!(read, table());
    assert!(health.primary && health.backup);
}

#[test]
fn growth_is_found_whole_after_a_cut_at_any_sector() {
    let mut grown = table();
    assert!(grown.grow_last(NEW));
    let after = disk(&grown, NEW);
    // The order of the writes: everything at the end (in any order among themselves), then everything at the start.
    let changed: Vec<u64> = (NEW - 33..NEW).chain(0..34).collect();
    for cut in 0..=changed.len() {
        let before = disk(&table(), OLD);
        before.set_len(NEW * SECTOR).unwrap();
        for at in &changed[..cut] {
            before
                .write_all_at(&sector(&after, *at), at * SECTOR)
                .unwrap();
        }
        let (mut found, _) =
            Table::read(&before, NEW).unwrap_or_else(|e| panic!("cut after {cut}: {e}"));
        found.grow_last(NEW);
        assert_eq!(found, grown, "cut after {cut}");
    }
}

#[test]
fn growing_twice_changes_nothing_more() {
    let mut grown = table();
    assert!(grown.grow_last(NEW));
    assert!(!grown.grow_last(NEW));
}

#[test]
fn a_disk_with_neither_copy_is_an_error() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(OLD * SECTOR).unwrap();
    assert!(Table::read(&file, OLD).is_err());
}

#[test]
fn a_partition_outside_the_disk_is_refused() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(1024 * SECTOR).unwrap();
    let error = table().write(&file, 1024).unwrap_err().to_string();
    assert!(error.contains("part2"), "{error}");
}
