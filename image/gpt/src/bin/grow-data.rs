//! `grow-data DISK`: lets DISK's last partition reach the disk's end and mends a torn copy of its
//! partition table. Runs in the initrd before anything on the disk is mounted; safe to cut at any moment
//! and to run again. Exits 0 when nothing was to do, 10 when the table changed (the kernel must read it
//! again), 1 on an error.

use std::{
    fs::OpenOptions,
    io::{self, Seek, SeekFrom, Write},
    process::ExitCode,
};

use gpt_table::{SECTOR, Table};

fn main() -> ExitCode {
    let Some(disk) = std::env::args().nth(1) else {
        return fail("usage: grow-data DISK");
    };
    match grow(&disk) {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::from(10),
        Err(error) => fail(&format!("grow-data: {disk}: {error}")),
    }
}

fn fail(message: &str) -> ExitCode {
    // Nothing can be done where standard error is closed.
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::FAILURE
}

fn grow(path: &str) -> io::Result<bool> {
    let mut disk = OpenOptions::new().read(true).write(true).open(path)?;
    let sectors = disk.seek(SeekFrom::End(0))? / SECTOR;
    let (mut table, health) = Table::read(&disk, sectors)?;
    let grown = table.grow_last(sectors);
    if grown || !health.primary || !health.backup {
        table.write(&disk, sectors)?;
        return Ok(true);
    }
    Ok(false)
}
