//! What runs inside the writer's transactions, and the transactions themselves. Where a job fails, all run again with a savepoint
//! for each.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _};

use super::fault::Fault;
use super::order::{self, Pending};
use super::search::{self, TextChange};
use crate::{Result, StoreError};

/// Most JIDs whose ids are remembered.
const CACHED_JIDS: usize = 65_536;

/// A piece of work for the writer. It may be run again: where its first transaction was lost, or another job in it failed.
pub(super) trait Job: Send {
    /// Does it, inside a transaction.
    fn run(&mut self, tx: &Tx) -> std::result::Result<(), Fault>;
    /// Tells whoever waits for it, once that is committed or lost.
    fn finish(self: Box<Self>, outcome: Result<()>);
}

/// What a committed transaction tells.
pub(super) struct Committed {
    /// Of each job.
    pub(super) outcomes: Vec<Result<()>>,
    /// What the commit itself took, with its sync.
    pub(super) sync: Duration,
}

/// What a job works on: the connection inside its transaction.
pub(super) struct Tx {
    connection: Connection,
    path: PathBuf,
    full_text: bool,
    jids: RefCell<HashMap<String, i64>>,
    /// Changes to the text index, made together at the end of the batch: the index writes a segment at
    /// each savepoint, which would cost more than the messages.
    text_changes: RefCell<Vec<TextChange>>,
    /// Entries that are not in their order yet.
    pending: RefCell<Pending>,
}

impl Deref for Tx {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Tx {
    pub(super) fn new(
        connection: Connection,
        path: &Path,
        full_text: bool,
        pending: Pending,
    ) -> Self {
        Self {
            connection,
            path: path.to_path_buf(),
            full_text,
            jids: RefCell::default(),
            text_changes: RefCell::default(),
            pending: RefCell::new(pending),
        }
    }

    pub(super) fn full_text(&self) -> bool {
        self.full_text
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The id of a JID, which is given one where it has none.
    pub(super) fn intern(&self, jid: &str) -> std::result::Result<i64, Fault> {
        if let Some(id) = self.jids.borrow().get(jid) {
            return Ok(*id);
        }
        let known = self
            .prepare_cached("SELECT id FROM jids WHERE jid = ?")?
            .query_row([jid], |row| row.get(0))
            .optional()?;
        let id = match known {
            Some(id) => id,
            None => self
                .prepare_cached("INSERT INTO jids (jid) VALUES (?)")?
                .insert([jid])?,
        };
        let mut jids = self.jids.borrow_mut();
        if jids.len() >= CACHED_JIDS {
            jids.clear();
        }
        jids.insert(jid.to_owned(), id);
        Ok(id)
    }

    /// Notes a change to the text index, to be made in this transaction.
    pub(super) fn change_text(&self, change: TextChange) {
        if self.full_text {
            self.text_changes.borrow_mut().push(change);
        }
    }

    /// Notes that an archive has an entry of a message that is not in its order yet.
    pub(super) fn note_entry(&self, owner: i64, message: i64) {
        self.pending.borrow_mut().note(owner, message);
    }

    /// Puts the entries of an archive in their order.
    pub(super) fn order(&self, owner: i64) -> std::result::Result<(), Fault> {
        order::order(self, &mut self.pending.borrow_mut(), owner)
    }

    /// Begins to put all entries in their order.
    pub(super) fn begin_round(&self) {
        self.pending.borrow_mut().begin_round();
    }

    /// Puts some entries of the round in their order.
    pub(super) fn order_some(&self) -> std::result::Result<(), Fault> {
        order::step(self, &mut self.pending.borrow_mut())
    }

    /// The disk took no more of the round.
    pub(super) fn put_round_off(&self) {
        self.pending.borrow_mut().put_off();
    }

    /// How many entries are not in their order.
    pub(super) fn unordered(&self) -> usize {
        self.pending.borrow().count()
    }

    /// Whether it is time to put all entries in their order, or to go on with that.
    pub(super) fn begin_round_if_due(&self, idle: bool) -> bool {
        let mut pending = self.pending.borrow_mut();
        let due = pending.is_due(idle);
        if due {
            pending.begin_round();
        }
        due
    }

    fn run(&self, job: &mut dyn Job) -> std::result::Result<(), Fault> {
        catch_unwind(AssertUnwindSafe(|| job.run(self))).unwrap_or_else(|_| {
            Err(StoreError::Backend {
                path: self.path.clone(),
                detail: "a write panicked".to_owned(),
            }
            .into())
        })
    }

    /// Runs one job; what a failing one did is undone, as far as the transaction still exists.
    fn attempt(&self, job: &mut dyn Job) -> std::result::Result<(), Fault> {
        let noted = (
            self.text_changes.borrow().len(),
            self.pending.borrow().mark(),
        );
        self.prepare_cached("SAVEPOINT job")?.execute([])?;
        let outcome = self.run(job);
        if outcome.is_err() {
            self.forget(noted);
            if !self.is_autocommit() {
                self.prepare_cached("ROLLBACK TO job")?.execute([])?;
            }
        }
        if !self.is_autocommit() {
            self.prepare_cached("RELEASE job")?.execute([])?;
        }
        outcome
    }

    /// Forgets what was learned in work that has been rolled back.
    fn forget(&self, (keep_text_changes, keep_pending): (usize, usize)) {
        self.text_changes.borrow_mut().truncate(keep_text_changes);
        self.pending.borrow_mut().undo_to(keep_pending);
        self.jids.borrow_mut().clear();
    }

    /// Runs and commits jobs in one transaction. `Ok` has the outcome of each; `Err` means that nothing
    /// of any of them is in the database.
    pub(super) fn commit(
        &self,
        jobs: &mut [&mut dyn Job],
    ) -> std::result::Result<Committed, Fault> {
        self.begin()?;
        let done = self.run_all(jobs).and_then(|outcomes| {
            search::apply(self, &self.text_changes.take())?;
            let began = Instant::now();
            self.prepare_cached("COMMIT")?.execute([])?;
            Ok(Committed {
                outcomes,
                sync: began.elapsed(),
            })
        });
        if done.is_err() {
            self.roll_back()?;
        } else {
            self.pending.borrow_mut().committed();
        }
        done
    }

    fn begin(&self) -> std::result::Result<(), Fault> {
        if !self.is_autocommit() {
            // The rollback of an earlier batch failed (on a failing disk); this one must not join it.
            self.roll_back()?;
        }
        self.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(())
    }

    fn roll_back(&self) -> std::result::Result<(), Fault> {
        self.forget((0, 0));
        if !self.is_autocommit() {
            self.prepare_cached("ROLLBACK")?.execute([])?;
        }
        Ok(())
    }

    fn run_all(&self, jobs: &mut [&mut dyn Job]) -> std::result::Result<Vec<Result<()>>, Fault> {
        // Nearly always all succeed, and a savepoint for each costs as much as some of them.
        let mut failed = None;
        for job in &mut *jobs {
            failed = self.run(&mut **job).err();
            if failed.is_some() {
                break;
            }
        }
        let Some(fault) = failed else {
            return Ok(vec![Ok(()); jobs.len()]);
        };
        // A full disk and some other errors end the whole transaction.
        if self.is_autocommit() {
            return Err(fault);
        }
        self.roll_back()?;
        self.begin()?;
        if jobs.len() == 1 {
            return Ok(vec![Err(fault.at(&self.path))]);
        }
        self.attempt_all(jobs)
    }

    fn attempt_all(
        &self,
        jobs: &mut [&mut dyn Job],
    ) -> std::result::Result<Vec<Result<()>>, Fault> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            match self.attempt(&mut **job) {
                Ok(()) => outcomes.push(Ok(())),
                Err(fault) if self.is_autocommit() => return Err(fault),
                Err(fault) => outcomes.push(Err(fault.at(&self.path))),
            }
        }
        Ok(outcomes)
    }
}
