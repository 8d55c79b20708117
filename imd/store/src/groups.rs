//! Groups of people who have each other in their rosters and share a room, and the import of people.

use async_trait::async_trait;

use crate::{Account, Credentials, Result, RosterItem};

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id, for links and the API; never changes.
    pub id: String,
    /// The name people see.
    pub name: String,
    /// Bare JID of its room; `None`: it has none.
    pub room: Option<String>,
}

/// A person to import: an account to create, and groups to put it into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedPerson {
    /// The account.
    pub account: Account,
    /// Its keys.
    pub credentials: Credentials,
    /// The names that contacts see; `None`: the username.
    pub display_name: Option<String>,
    /// Names of groups; those that do not exist are created with the name as id.
    pub groups: Vec<String>,
}

/// What an import did, or why it did nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportOutcome {
    /// All rows are in.
    Done {
        /// Accounts created.
        accounts: u64,
        /// Groups created.
        groups: u64,
    },
    /// Nothing was changed, because of these rows (index from 0, and what is wrong).
    Refused(Vec<(usize, String)>),
}

/// What groups have changed in one roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupContactChange {
    /// Whose roster: a localpart.
    pub user: String,
    /// Who is the contact: a localpart.
    pub contact: String,
    /// The item before; `None`: it was not in the roster.
    pub before: Option<RosterItem>,
    /// The item after; `None`: it is not in the roster.
    pub after: Option<RosterItem>,
    /// The roster's version after this change.
    pub version: u64,
}

/// Groups. Members are localparts of existing accounts.
#[async_trait]
pub trait GroupStore {
    /// Creates a group. `Exists` when the id is taken.
    async fn create_group(&self, group: Group) -> Result<()>;

    /// Changes name and room. `Absent` when there is no such group.
    async fn update_group(&self, group: Group) -> Result<()>;

    /// The group; `None` when there is none.
    async fn group(&self, id: &str) -> Result<Option<Group>>;

    /// All groups in the order of their names.
    async fn groups(&self) -> Result<Vec<Group>>;

    /// Deletes the group; its members and room remain. False when there was none.
    async fn delete_group(&self, id: &str) -> Result<bool>;

    /// Adds members, all or none; those who are in it already stay. `Absent` names the group or the first account that is missing.
    async fn add_group_members(&self, id: &str, users: &[String]) -> Result<()>;

    /// Removes members; those who are not in it are no error.
    async fn remove_group_members(&self, id: &str, users: &[String]) -> Result<()>;

    /// The members in the order of their names; empty for an unknown group.
    async fn group_members(&self, id: &str) -> Result<Vec<String>>;

    /// The groups a user is in, in the order of their names.
    async fn groups_of(&self, user: &str) -> Result<Vec<Group>>;

    /// All who share at least one group with the user, without the user, in the order of their names.
    async fn group_mates(&self, user: &str) -> Result<Vec<String>>;

    /// True when both are in one group.
    async fn share_a_group(&self, user: &str, other: &str) -> Result<bool>;

    /// Makes the rosters of the accounts `of` agree with their groups, in one transaction, and says what it changed: people
    /// who share a group have each other with subscription `both` and the groups' names, beside what the owner chose; where
    /// they share none any more, the item is again what it was before. `with`: only these contacts (`None`: all). `domain` is
    /// that of everybody's JID. Accounts that do not exist are passed over. The bound of rosters does not count here.
    async fn update_group_contacts(
        &self,
        domain: &str,
        of: &[String],
        with: Option<&[String]>,
    ) -> Result<Vec<GroupContactChange>>;

    /// The name that others see of the user has changed from `old` (`None`: had none): where an item that groups made or
    /// changed has the old name still, it gets the new one, and an item that its owner named stays. What it changed;
    /// nothing where the user has no account.
    async fn rename_group_contact(
        &self,
        domain: &str,
        user: &str,
        old: Option<String>,
    ) -> Result<Vec<GroupContactChange>>;

    /// Creates accounts and memberships for all rows in one transaction, or for none.
    async fn import_people(&self, people: Vec<ImportedPerson>) -> Result<ImportOutcome>;

    /// The name others see for the user; `None` when never set.
    async fn display_name(&self, user: &str) -> Result<Option<String>>;

    /// Sets the name others see; `None` removes it. `Absent` when there is no such account.
    async fn set_display_name(&self, user: &str, name: Option<String>) -> Result<()>;
}
