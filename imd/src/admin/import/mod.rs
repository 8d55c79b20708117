//! People and groups from a CSV file: all rows, or none and every bad row named.

mod csv_file;

use std::collections::{BTreeMap, HashMap};

use imd_store::{Account, Credentials, Group, ImportOutcome, ImportedPerson, now_millis};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Administrator, Fault, Refusal, groups, people};
use crate::sasl;

pub use csv_file::{Row, read};

/// What an import has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// Accounts created.
    pub accounts: u64,
    /// Groups created.
    pub groups: u64,
}

impl Administrator {
    /// Create the people and groups of a CSV file, with everything that follows from their groups.
    ///
    /// # Errors
    /// `Invalid` names every bad row by its line, and nothing is changed.
    pub async fn import_people(&self, text: String) -> Result<Imported, Refusal> {
        let (rows, mut faults) = csv_file::read_all(&text);
        faults.extend(self.known_names(&rows).await?);
        faults.extend(self.too_large_groups(&rows).await?);
        if !faults.is_empty() {
            faults.sort_by_key(line_of);
            return Err(Refusal::Invalid(csv_file::told(faults)));
        }
        // Hashing is nearly all of the work: it begins only when nothing else is wrong.
        let rows = tokio::task::spawn_blocking(move || hashed(rows))
            .await
            .map_err(|_| Refusal::Failed)?
            .map_err(Refusal::Invalid)?;
        let lines: Vec<u64> = rows.iter().map(|(row, _)| row.line).collect();
        let names: Vec<String> = rows.iter().map(|(row, _)| row.username.clone()).collect();
        let now = now_millis();
        let people = rows.into_iter().map(|(row, credentials)| ImportedPerson {
            account: Account {
                username: row.username,
                role: row.role,
                enabled: true,
                created_at: now,
            },
            credentials,
            display_name: row.display_name,
            groups: row.groups,
        });
        let outcome = self.server.store.import_people(people.collect()).await?;
        let (accounts, created) = match outcome {
            ImportOutcome::Done { accounts, groups } => (accounts, groups),
            // Somebody else has made one of them meanwhile.
            ImportOutcome::Refused(rows) => {
                let fault = |(at, found): (usize, String)| {
                    let line = lines.get(at).copied().unwrap_or_default();
                    Fault::new(format!("line {line}"), found, "")
                };
                return Err(Refusal::Invalid(rows.into_iter().map(fault).collect()));
            }
        };
        let detail = format!("{accounts} accounts, {created} groups created");
        self.note("account.import", "", detail).await;
        let entered = self.groups_of_all(&names).await?;
        groups::joined(&self.server, &entered, &names).await?;
        Ok(Imported {
            accounts,
            groups: created,
        })
    }

    /// Rows whose name is taken.
    async fn known_names(&self, rows: &[Row]) -> Result<Vec<Fault>, Refusal> {
        let everybody = people::everybody(&self.server).await?;
        let known: std::collections::HashSet<&str> =
            everybody.iter().map(|a| a.username.as_str()).collect();
        let taken = rows.iter().filter(|r| known.contains(r.username.as_str()));
        Ok(taken
            .map(|row| {
                let found = format!("the account {:?} exists already", row.username);
                Fault::new(format!("line {}", row.line), found, "")
            })
            .collect())
    }

    /// Groups that would have more members than a group may have, at the row that is one too many.
    async fn too_large_groups(&self, rows: &[Row]) -> Result<Vec<Fault>, Refusal> {
        let store = &self.server.store;
        let mut members: HashMap<String, usize> = HashMap::new();
        for group in store.groups().await? {
            let count = store.group_members(&group.id).await?.len();
            members.insert(group.id, count);
            members.insert(group.name, count);
        }
        let most = self.server.config.limits.group_members as usize;
        let mut faults = Vec::new();
        for row in rows {
            for name in &row.groups {
                let count = members.entry(name.clone()).or_default();
                *count += 1;
                if *count == most + 1 {
                    let found = format!("the group {name:?} would have more members than it may");
                    let accepted = format!("up to {most} members (limits.group_members)");
                    faults.push(Fault::new(format!("line {}", row.line), found, accepted));
                }
            }
        }
        Ok(faults)
    }

    async fn groups_of_all(&self, names: &[String]) -> Result<Vec<Group>, Refusal> {
        let mut found = BTreeMap::new();
        for user in names {
            for group in self.server.store.groups_of(user).await? {
                found.insert(group.id.clone(), group);
            }
        }
        Ok(found.into_values().collect())
    }
}

/// The line that a fault names, to sort by; 0 where it names none.
fn line_of(fault: &Fault) -> u64 {
    let number = fault.at.strip_prefix("line ").unwrap_or_default();
    let end = number.find(|c: char| !c.is_ascii_digit());
    let digits = &number[..end.unwrap_or(number.len())];
    digits.parse().unwrap_or_default()
}

type Hashed = (Row, Credentials);

/// Derive the keys of all passwords, on all processors.
fn hashed(rows: Vec<Row>) -> Result<Vec<Hashed>, Vec<Fault>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = rows.len().div_ceil(threads).max(1);
    let shares: Vec<Vec<Result<Hashed, Fault>>> = std::thread::scope(|scope| {
        let running: Vec<_> = rows
            .chunks(share)
            .map(|rows| scope.spawn(move || rows.iter().map(hash).collect::<Vec<_>>()))
            .collect();
        // A thread that panicked has lost its rows; what follows says so.
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_default())
            .collect()
    });
    let mut done = Vec::with_capacity(rows.len());
    let mut faults = Vec::new();
    for outcome in shares.into_iter().flatten() {
        match outcome {
            Ok(row) => done.push(row),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() && done.len() < rows.len() {
        faults.push(Fault::new("file", "not all passwords could be hashed", ""));
    }
    if faults.is_empty() {
        Ok(done)
    } else {
        Err(faults)
    }
}

fn hash(row: &Row) -> Result<Hashed, Fault> {
    let credentials = match &row.password {
        None => Credentials::default(),
        Some(password) => sasl::derive(password)
            .map_err(|bad| Fault::new(format!("line {}", row.line), bad, ""))?,
    };
    Ok((row.clone(), credentials))
}
