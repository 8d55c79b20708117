#![allow(clippy::unwrap_used, reason = "tests")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::*;

/// A target in memory.
#[derive(Default)]
struct Memory {
    files: RefCell<BTreeMap<String, u64>>,
    capacity: Option<u64>,
    /// Bytes after which the connection ends.
    cut: Cell<Option<u64>>,
    removed: RefCell<Vec<String>>,
}

impl Memory {
    fn with(names: impl IntoIterator<Item = String>, bytes: u64) -> Self {
        let files = names.into_iter().map(|name| (name, bytes)).collect();
        Self {
            files: RefCell::new(files),
            ..Self::default()
        }
    }

    fn names(&self) -> Vec<String> {
        self.files.borrow().keys().cloned().collect()
    }
}

impl Place for Memory {
    fn list(&self) -> Result<Listing, Fault> {
        let files = self.files.borrow();
        let used: u64 = files.values().sum();
        let found = files.iter().map(|(name, bytes)| Lying {
            name: name.clone(),
            bytes: *bytes,
        });
        Ok(Listing {
            files: found.collect(),
            free: self.capacity.map(|capacity| capacity - used),
        })
    }

    fn put(&self, file: &Path, name: &str) -> Result<(), Fault> {
        let bytes = file.metadata().unwrap().len();
        let mut files = self.files.borrow_mut();
        if let Some(cut) = self.cut.get() {
            files.insert(format!("{name}{UNFINISHED}"), cut);
            return Err(Fault::new(Kind::Cut, ""));
        }
        files.insert(name.to_owned(), bytes);
        Ok(())
    }

    fn fetch(&self, _: &str, _: &Path) -> Result<(), Fault> {
        Err(Fault::new(Kind::NoBackup, ""))
    }

    fn remove(&self, names: &[String]) -> Result<(), Fault> {
        for name in names {
            self.files.borrow_mut().remove(name);
            self.removed.borrow_mut().push(name.clone());
        }
        Ok(())
    }
}

fn name(day: u32) -> String {
    format!("perch-perch-202612{day:02}-020000.age")
}

/// A file of so many bytes, and a day's backup of it.
fn sent(place: &Memory, day: u32, bytes: usize) -> Result<Vec<Lying>, Fault> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    std::fs::write(&file, vec![0; bytes]).unwrap();
    send(place, &file, &name(day), "perch")
}

#[test]
fn a_month_of_nights_leaves_a_week_and_what_others_have_put_there() {
    let others = [
        "holiday.jpg",
        "perch-office-20260101-020000.age",
        "x.age.part",
    ];
    let place = Memory::with(others.map(str::to_owned), 1);
    for day in 1..=31 {
        let there = sent(&place, day, 10).unwrap();
        assert_eq!(there.first().unwrap().name, name(day));
    }
    let names = place.names();
    assert!(
        others
            .iter()
            .all(|other| names.contains(&(*other).to_owned())),
        "{names:?}"
    );
    assert!((25..=31).all(|day| names.contains(&name(day))));
    assert!(names.len() <= others.len() + keep::NEWEST + keep::WEEKS);
}

#[test]
fn what_ended_in_the_middle_is_no_backup_and_goes_next_time() {
    let place = Memory::with([name(1)], 10);
    place.cut.set(Some(4));
    assert_eq!(sent(&place, 2, 10).unwrap_err().kind, Kind::Cut);
    assert_eq!(place.names(), [name(1), format!("{}.part", name(2))]);
    assert_eq!(backups(&place.list().unwrap()).len(), 1);
    place.cut.set(None);
    assert_eq!(sent(&place, 3, 10).unwrap().len(), 2);
    assert_eq!(place.names(), [name(1), name(3)]);
}

#[test]
fn a_full_target_gives_up_the_oldest_but_never_the_last_two() {
    let mib = 1 << 20;
    for (days, capacity, left) in [
        (4, 6 * mib, Ok(5)),
        (4, 5 * mib, Ok(4)),
        (4, 4 * mib, Ok(3)),
        (3, 3 * mib, Err(Kind::Full)),
        (0, mib, Err(Kind::Full)),
        (0, 4 * mib, Ok(1)),
    ] {
        let place = Memory {
            capacity: Some(capacity),
            ..Memory::with((1..=days as u32).map(name), mib)
        };
        let found = sent(&place, 9, mib as usize).map(|there| there.len());
        assert_eq!(found.map_err(|fault| fault.kind), left, "{days} {capacity}");
        if left.is_err() {
            assert_eq!(
                place.names().len() as u64,
                days,
                "nothing is given up in vain"
            );
        }
    }
}

#[test]
fn what_is_there_already_is_not_sent_again() {
    let place = Memory::with([name(1)], 10);
    place.cut.set(Some(1));
    assert_eq!(sent(&place, 1, 10).unwrap().len(), 1);
    // Half of it is not it.
    assert_eq!(sent(&place, 1, 11).unwrap_err().kind, Kind::Cut);
}
