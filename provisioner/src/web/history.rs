//! Thirty days of figures, in a database of their own: each minute for a day, each hour for the rest.
//!
//! A card wears out by being written: minutes wait in memory and go to the disk ten at a time. A power cut loses those.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use rusqlite::{Connection, params};

/// Minutes that wait in memory.
const TOGETHER: usize = 10;
/// How long minutes are kept, in seconds: a day, and what the hour before it needs.
const MINUTES_KEPT: i64 = 25 * 3600;
/// How long hours are kept.
const HOURS_KEPT: i64 = 30 * 86_400;

/// Answers are in tables of their own: the version before writes rows of just those columns, and has to go on after a roll-back.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS minutes (
    at INTEGER PRIMARY KEY, online REAL, messages REAL, temperature REAL, memory REAL, disk REAL
) STRICT;
CREATE TABLE IF NOT EXISTS hours (
    at INTEGER PRIMARY KEY, online REAL, messages REAL, temperature REAL, memory REAL, disk REAL
) STRICT;
CREATE TABLE IF NOT EXISTS minute_answers (at INTEGER PRIMARY KEY, answer REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS hour_answers (at INTEGER PRIMARY KEY, answer REAL NOT NULL) STRICT;";

/// Figures of a minute, or the mean of an hour (of people online: the most). Absent: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// When it began, in seconds since 1970.
    pub at: i64,
    /// People online.
    pub online: Option<f64>,
    /// Messages a minute.
    pub messages: Option<f64>,
    /// Degrees (Celsius).
    pub temperature: Option<f64>,
    /// Memory in use, in percent.
    pub memory: Option<f64>,
    /// Bytes in use on the data partition.
    pub disk: Option<f64>,
    /// How long the chat server took to answer, in milliseconds.
    pub answer: Option<f64>,
}

/// The database, and what waits for it.
pub struct History(Mutex<Inner>);

struct Inner {
    database: Connection,
    waiting: Vec<Sample>,
}

impl History {
    /// Opens it, or makes a new one. One that is damaged is put aside: it is worth less than the pages.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(path: &Path) -> Result<Self> {
        let database = open(path).or_else(|_| {
            let _ = std::fs::rename(path, path.with_extension("damaged"));
            open(path)
        })?;
        Ok(Self(Mutex::new(Inner {
            database,
            waiting: Vec::new(),
        })))
    }

    /// Takes a minute.
    ///
    /// # Errors
    /// Those that wait cannot be written; they are given up.
    pub fn note(&self, sample: Sample) -> Result<()> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.waiting.push(sample);
        if inner.waiting.len() < TOGETHER {
            return Ok(());
        }
        let waiting = std::mem::take(&mut inner.waiting);
        write(&mut inner.database, &waiting).context("writing the history")
    }

    /// The minutes from `from` on.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn minutes(&self, from: i64) -> Result<Vec<Sample>> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = read(&inner.database, ("minutes", "minute_answers"), from)?;
        let waiting = inner.waiting.iter();
        found.extend(waiting.filter(|sample| sample.at >= from));
        Ok(found)
    }

    /// The hours from `from` on.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn hours(&self, from: i64) -> Result<Vec<Sample>> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        read(&inner.database, ("hours", "hour_answers"), from)
    }
}

fn open(path: &Path) -> Result<Connection> {
    let opened = || -> rusqlite::Result<Connection> {
        let database = Connection::open(path)?;
        // What the last seconds before a power cut brought may be lost, and nothing else.
        database.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        database.pragma_update(None, "synchronous", "normal")?;
        database.execute_batch(SCHEMA)?;
        Ok(database)
    };
    opened().with_context(|| format!("opening {}", path.display()))
}

fn write(database: &mut Connection, samples: &[Sample]) -> rusqlite::Result<()> {
    let transaction = database.transaction()?;
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    for s in samples {
        transaction.execute(
            "INSERT OR REPLACE INTO minutes VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![s.at, s.online, s.messages, s.temperature, s.memory, s.disk],
        )?;
        if let Some(answer) = s.answer {
            transaction.execute(
                "INSERT OR REPLACE INTO minute_answers VALUES (?1, ?2)",
                params![s.at, answer],
            )?;
        }
        (first, last) = (first.min(s.at), last.max(s.at));
    }
    // The hours that these minutes are of.
    transaction.execute(
        "INSERT OR REPLACE INTO hours SELECT at / 3600 * 3600, max(online), avg(messages), avg(temperature), avg(memory), max(disk)
         FROM minutes WHERE at >= ?1 / 3600 * 3600 AND at < (?2 / 3600 + 1) * 3600 GROUP BY at / 3600",
        [first, last],
    )?;
    transaction.execute(
        "INSERT OR REPLACE INTO hour_answers SELECT at / 3600 * 3600, avg(answer)
         FROM minute_answers WHERE at >= ?1 / 3600 * 3600 AND at < (?2 / 3600 + 1) * 3600 GROUP BY at / 3600",
        [first, last],
    )?;
    for (table, kept) in [
        ("minutes", MINUTES_KEPT),
        ("minute_answers", MINUTES_KEPT),
        ("hours", HOURS_KEPT),
        ("hour_answers", HOURS_KEPT),
    ] {
        let sql = format!("DELETE FROM {table} WHERE at < ?1");
        transaction.execute(&sql, [last - kept])?;
    }
    transaction.commit()
}

fn read(database: &Connection, (table, answers): (&str, &str), from: i64) -> Result<Vec<Sample>> {
    let read = || -> rusqlite::Result<Vec<Sample>> {
        let sql = format!(
            "SELECT at, online, messages, temperature, memory, disk, answer FROM {table} LEFT JOIN {answers} USING (at)
             WHERE at >= ?1 ORDER BY at"
        );
        let mut statement = database.prepare_cached(&sql)?;
        let rows = statement.query_map([from], |row| {
            Ok(Sample {
                at: row.get(0)?,
                online: row.get(1)?,
                messages: row.get(2)?,
                temperature: row.get(3)?,
                memory: row.get(4)?,
                disk: row.get(5)?,
                answer: row.get(6)?,
            })
        })?;
        rows.collect()
    };
    read().context("reading the history")
}

/// The least history from which it is told when the disk fills, in seconds.
const ENOUGH: i64 = 3 * 86_400;

/// In how many days the disk is full if it goes on as in `hours`: a straight line through what was in use. `None`: there is too
/// little history, or it does not fill.
pub fn days_until_full(hours: &[Sample], free: u64) -> Option<u64> {
    let points: Vec<(f64, f64)> = hours
        .iter()
        .filter_map(|sample| Some((days(sample.at - hours.first()?.at), sample.disk?)))
        .collect();
    let (first, last) = (points.first()?.0, points.last()?.0);
    if last - first < days(ENOUGH) {
        return None;
    }
    #[allow(clippy::cast_precision_loss, reason = "some hundreds")]
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let up: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    let across: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let daily = up / across;
    #[allow(
        clippy::cast_precision_loss,
        reason = "bytes of a disk, to be shown in days"
    )]
    let left = free as f64 / daily;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 100,000"
    )]
    (daily > 0.0 && left < 100_000.0).then_some(left as u64)
}

fn days(seconds: i64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "some millions")]
    let seconds = seconds as f64;
    seconds / 86_400.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn minute(at: i64, online: f64, disk: f64) -> Sample {
        Sample {
            at,
            online: Some(online),
            disk: Some(disk),
            ..Sample::default()
        }
    }

    #[test]
    fn minutes_are_kept_for_a_day_and_hours_for_thirty() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(&folder.path().join("history.db")).unwrap();
        let minutes = 32 * 24 * 60;
        for number in 0..minutes {
            history.note(minute(number * 60, 1.0, 1.0)).unwrap();
        }
        let end = minutes * 60;
        let kept = history.minutes(0).unwrap();
        assert!((1440..=1510).contains(&kept.len()), "{}", kept.len());
        assert_eq!(kept.last().unwrap().at, end - 60);
        let hours = history.hours(0).unwrap();
        assert!((719..=721).contains(&hours.len()), "{}", hours.len());
        assert!(hours.iter().all(|hour| hour.online == Some(1.0)));
    }

    #[test]
    fn an_hour_has_the_most_people_and_the_mean_of_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        let history = History::open(&path).unwrap();
        for number in 0..60 {
            let mut sample = minute(7200 + number * 60, 0.0, 5.0);
            sample.online = Some(if number == 30 { 9.0 } else { 2.0 });
            sample.messages = Some(if number < 30 { 0.0 } else { 4.0 });
            // It did not answer for a while.
            sample.answer = (number < 40).then_some(if number < 20 { 2.0 } else { 4.0 });
            history.note(sample).unwrap();
        }
        let history = History::open(&path).unwrap();
        let hours = history.hours(0).unwrap();
        assert_eq!(hours.len(), 1);
        assert_eq!(hours[0].answer, Some(3.0));
        let minutes = history.minutes(0).unwrap();
        assert_eq!((minutes[0].answer, minutes[59].answer), (Some(2.0), None));
        assert_eq!((hours[0].online, hours[0].messages), (Some(9.0), Some(2.0)));
    }

    #[test]
    fn a_damaged_history_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        std::fs::write(
            &path,
            "no database, but long enough to look like a damaged one",
        )
        .unwrap();
        History::open(&path)
            .unwrap()
            .note(Sample::default())
            .unwrap();
        assert!(folder.path().join("history.damaged").exists());
    }

    #[test]
    fn the_day_is_told_when_the_disk_is_full() {
        let hours = |count: i64, daily: f64| -> Vec<Sample> {
            let of = |hour: i64| minute(hour * 3600, 0.0, 1e9 + daily * days(hour * 3600));
            (0..count).map(of).collect()
        };
        assert_eq!(
            days_until_full(&hours(24 * 10, 1e8), 2_000_000_000),
            Some(20)
        );
        assert_eq!(
            days_until_full(&hours(24 * 2, 1e8), 2_000_000_000),
            None,
            "too early"
        );
        assert_eq!(days_until_full(&hours(24 * 10, -1e8), 1), None);
        assert_eq!(days_until_full(&hours(24 * 10, 0.0), 1), None);
        assert_eq!(days_until_full(&[], 1), None);
    }
}
