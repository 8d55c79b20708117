//! People, as administrators see and change them.

use imd_store::{Account, Credentials, Role, now_millis};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{Administrator, Fault, Refusal, groups, membership, people};
use crate::feature::time;
use crate::route::limited;
use crate::sasl;

/// The longest display name, in bytes.
const DISPLAY_BYTES: usize = 256;
/// The most people on one page.
pub const MOST: u32 = 1000;
const NAMES: &str = "letters, digits and . _ - , without @ and what follows, 128 bytes at the most";
const ROLES: &str = "admin, member or limited";

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PersonView {
    /// The name before `@`.
    pub username: String,
    /// The address.
    pub jid: String,
    /// `admin`, `member` or `limited`.
    pub role: String,
    /// False: the account keeps its data and cannot log in.
    pub enabled: bool,
    /// The name that others see; absent: the username.
    pub display_name: Option<String>,
    /// When the account was made, as in RFC 3339.
    pub created_at: String,
    /// Ids of the groups.
    pub groups: Vec<String>,
    /// Sessions at this moment.
    pub sessions: usize,
}

/// A page of people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeopleView {
    /// In the order of their usernames.
    pub people: Vec<PersonView>,
    /// How many there are on all pages.
    pub total: u64,
    /// To be given as `after` for the next page; absent: this is the last one.
    pub next: Option<String>,
}

/// A person to create.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// The name before `@`.
    pub username: String,
    /// Absent: nobody can log in until a password is set, as by an invitation of kind `reset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// `admin`, `member` (the default) or `limited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The name that others see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Ids of groups to put the person into.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// What is to be changed of a person; absent fields stay as they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonChange {
    /// `admin`, `member` or `limited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// False ends all sessions and lets nobody in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// A new password; clients that were logged in without it have to be given it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The name that others see; `null` takes it away.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>)]
    pub display_name: Option<Option<String>>,
}

/// A password to check.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The password.
    pub password: String,
}

/// Tells a field that is `null` from one that is absent.
pub(super) fn given<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// What went with a person, and what did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemovedView {
    /// The address that is free now.
    pub jid: String,
    /// Contacts and requests.
    pub contacts: u64,
    /// Messages in the person's own archive.
    pub archived: u64,
    /// Messages that waited.
    pub offline: u64,
    /// Personal nodes, such as avatars and bookmarks.
    pub nodes: u64,
    /// Rooms that the person had a part in.
    pub rooms: u64,
    /// Uploaded files, which are deleted within a minute.
    pub uploads: u64,
    /// Sessions that were ended.
    pub sessions: usize,
    /// What is still there, in words.
    pub remains: Vec<String>,
}

fn username(name: &str) -> Result<String, Refusal> {
    people::username(name)
        .ok_or_else(|| Refusal::invalid("username", format!("{name:?} cannot be a name"), NAMES))
}

/// Read a role.
///
/// # Errors
/// Names what is accepted.
pub fn role(name: &str) -> Result<Role, Fault> {
    Role::from_name(name).ok_or_else(|| Fault::new("role", format!("{name:?}"), ROLES))
}

/// Read a display name.
///
/// # Errors
/// Names what is accepted.
pub fn display_name(text: &str) -> Result<String, Fault> {
    let name = text.trim();
    if name.is_empty() || name.len() > DISPLAY_BYTES || name.chars().any(char::is_control) {
        let accepted = format!("1 to {DISPLAY_BYTES} bytes of text on one line");
        return Err(Fault::new("display_name", format!("{text:?}"), accepted));
    }
    Ok(name.to_owned())
}

async fn keys(password: &str) -> Result<Credentials, Fault> {
    people::keys(password)
        .await
        .map_err(|bad| Fault::new("password", bad.to_string(), ""))
}

impl Administrator {
    /// Up to `max` people (1 to [`MOST`]) in the order of their names, those after the name `after`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn people(&self, after: Option<&str>, max: u32) -> Result<PeopleView, Refusal> {
        let max = max.clamp(1, MOST);
        let mut accounts = self.server.store.accounts(after, max + 1).await?;
        let more = accounts.len() > max as usize;
        accounts.truncate(max as usize);
        let next = accounts
            .last()
            .filter(|_| more)
            .map(|last| last.username.clone());
        let mut people = Vec::with_capacity(accounts.len());
        for account in accounts {
            people.push(self.show(account).await?);
        }
        let total = self.server.store.count_accounts().await?;
        Ok(PeopleView {
            people,
            total,
            next,
        })
    }

    /// The same of people whose username or display name has `search` in it, whatever the case; `total` counts those.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_people(
        &self,
        search: &str,
        after: Option<&str>,
        max: u32,
    ) -> Result<PeopleView, Refusal> {
        let search = search.to_lowercase();
        let max = max.clamp(1, MOST) as usize;
        let (mut found, mut total, mut more) = (Vec::new(), 0, false);
        for account in people::everybody(&self.server).await? {
            let display = self.server.store.display_name(&account.username).await?;
            let fits = account.username.contains(&search)
                || display.is_some_and(|name| name.to_lowercase().contains(&search));
            if !fits {
                continue;
            }
            total += 1;
            if after.is_some_and(|after| account.username.as_str() <= after) {
                continue;
            }
            if found.len() < max {
                found.push(self.show(account).await?);
            } else {
                more = true;
            }
        }
        let next = found
            .last()
            .filter(|_| more)
            .map(|last| last.username.clone());
        Ok(PeopleView {
            people: found,
            total,
            next,
        })
    }

    /// A person.
    ///
    /// # Errors
    /// `Absent` when there is none.
    pub async fn person(&self, name: &str) -> Result<PersonView, Refusal> {
        let account = self.account(name).await?;
        self.show(account).await
    }

    /// The person, if the password is theirs and they may log in. Takes as long for a name that nobody has.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn check_login(
        &self,
        name: &str,
        login: Login,
    ) -> Result<Option<PersonView>, Refusal> {
        let user = people::username(name).unwrap_or_default();
        let store = &self.server.store;
        let credentials = store.credentials(&user).await?;
        let check = move || sasl::verify_plain(&login.password, credentials.as_ref());
        let is_theirs = tokio::task::spawn_blocking(check).await.unwrap_or(false);
        match store.account(&user).await? {
            Some(account) if is_theirs && account.enabled => self.show(account).await.map(Some),
            _ => Ok(None),
        }
    }

    pub(super) async fn account(&self, name: &str) -> Result<Account, Refusal> {
        let user = username(name)?;
        let found = self.server.store.account(&user).await?;
        found.ok_or_else(|| Refusal::Absent(format!("account {user:?} does not exist")))
    }

    async fn show(&self, account: Account) -> Result<PersonView, Refusal> {
        let (server, user) = (&self.server, &account.username);
        let groups = server.store.groups_of(user).await?;
        Ok(PersonView {
            jid: server.account_jid(user).to_string(),
            role: account.role.as_str().to_owned(),
            enabled: account.enabled,
            display_name: server.store.display_name(user).await?,
            created_at: time::format(account.created_at),
            groups: groups.into_iter().map(|group| group.id).collect(),
            sessions: server.directory.sessions(user).len(),
            username: account.username,
        })
    }

    /// Create a person.
    ///
    /// # Errors
    /// `Invalid` names everything that is wrong; `Conflict` when the name is taken; `Absent` names a missing group.
    pub async fn create_person(&self, new: NewPerson) -> Result<PersonView, Refusal> {
        let mut faults = Vec::new();
        let user = people::username(&new.username);
        if user.is_none() {
            let found = format!("{:?} cannot be a name", new.username);
            faults.push(Fault::new("username", found, NAMES));
        }
        let role = role(new.role.as_deref().unwrap_or("member"));
        let display = new.display_name.as_deref().map(display_name).transpose();
        let credentials = match &new.password {
            None => Ok(Credentials::default()),
            Some(password) => keys(password).await,
        };
        faults.extend(role.as_ref().err().cloned());
        faults.extend(display.as_ref().err().cloned());
        faults.extend(credentials.as_ref().err().cloned());
        let (Some(user), Ok(role), Ok(display), Ok(credentials)) =
            (user, role, display, credentials)
        else {
            return Err(Refusal::Invalid(faults));
        };
        let store = &self.server.store;
        let mut chosen = Vec::new();
        for id in &new.groups {
            let group = store.group(id).await?;
            chosen.push(group.ok_or_else(|| Refusal::Absent(format!("there is no group {id:?}")))?);
            let members = store.group_members(id).await?;
            self.fits(members.iter().chain([&user]).collect())?;
        }
        let account = Account {
            username: user.clone(),
            role,
            enabled: true,
            created_at: now_millis(),
        };
        store.create_account(account, credentials).await?;
        if display.is_some() {
            store.set_display_name(&user, display).await?;
        }
        self.note("account.create", &user, role.as_str()).await;
        for group in &chosen {
            let new = [user.clone()];
            store.add_group_members(&group.id, &new).await?;
        }
        groups::joined(&self.server, &chosen, std::slice::from_ref(&user)).await?;
        self.person(&user).await
    }

    /// Change a person, at once for those who are online.
    ///
    /// # Errors
    /// `Invalid` names everything that is wrong, and nothing is changed; `Absent` when there is no such person.
    pub async fn change_person(
        &self,
        name: &str,
        change: PersonChange,
    ) -> Result<PersonView, Refusal> {
        let account = self.account(name).await?;
        let user = account.username.clone();
        let role = change.role.as_deref().map(role).transpose();
        let display = match &change.display_name {
            Some(Some(text)) => display_name(text).map(|name| Some(Some(name))),
            Some(None) => Ok(Some(None)),
            None => Ok(None),
        };
        let credentials = match &change.password {
            Some(password) => keys(password).await.map(Some),
            None => Ok(None),
        };
        let (role, display, credentials) = match (role, display, credentials) {
            (Ok(role), Ok(display), Ok(credentials)) => (role, display, credentials),
            (role, display, credentials) => {
                let faults = [role.err(), display.err(), credentials.err()];
                return Err(Refusal::Invalid(faults.into_iter().flatten().collect()));
            }
        };
        if let Some(display) = display {
            let old = self.server.store.display_name(&user).await?;
            self.server.store.set_display_name(&user, display).await?;
            membership::rename_contact(&self.server, &user, old).await?;
            self.note("account.name", &user, "").await;
        }
        if let Some(credentials) = credentials {
            people::set_password(&self.server, &user, credentials).await?;
            self.note("account.password", &user, "").await;
        }
        if let Some(role) = role.filter(|role| *role != account.role) {
            self.set_role(&account, role).await?;
        }
        if let Some(enabled) = change.enabled.filter(|e| *e != account.enabled) {
            self.set_enabled(&user, enabled).await?;
        }
        self.person(&user).await
    }

    async fn set_role(&self, account: &Account, role: Role) -> Result<(), Refusal> {
        let (server, user) = (&self.server, &account.username);
        server.store.set_role(user, role).await?;
        server.limited.forget_all();
        if role == Role::Limited {
            let circle = server.limited.circle(server, user).await?;
            let rooms = circle.map(|c| c.rooms.clone()).unwrap_or_default();
            let jid = server.account_jid(user);
            server.rooms.expel(server, &jid, &rooms).await;
        }
        if role == Role::Limited || account.role == Role::Limited {
            limited::show_again(server, user).await?;
        }
        let detail = format!("{} to {}", account.role.as_str(), role.as_str());
        self.note("account.role", user, detail).await;
        Ok(())
    }

    async fn set_enabled(&self, user: &str, enabled: bool) -> Result<(), Refusal> {
        let server = &self.server;
        server.store.set_enabled(user, enabled).await?;
        if enabled {
            self.note("account.enable", user, "").await;
            return Ok(());
        }
        server.store.revoke_login_tokens(user, None).await?;
        let condition = imd_proto::StreamCondition::NotAuthorized;
        let ended = people::end_sessions(server, user, condition, "the account is disabled");
        let detail = format!("{ended} sessions ended");
        self.note("account.disable", user, detail).await;
        Ok(())
    }

    /// Remove a person and all that was theirs.
    ///
    /// # Errors
    /// `Absent` when there is no such person.
    pub async fn remove_person(&self, name: &str) -> Result<RemovedView, Refusal> {
        let user = self.account(name).await?.username;
        let sessions = self.server.directory.sessions(&user).len();
        let jid = self.server.account_jid(&user).to_string();
        let removed = people::remove(&self.server, &user).await?;
        let view = RemovedView {
            jid,
            contacts: removed.contacts,
            archived: removed.archived,
            offline: removed.offline,
            nodes: removed.nodes,
            rooms: removed.rooms,
            uploads: removed.uploads,
            sessions,
            remains: [
                "copies of its messages in the archives of others and of rooms",
                "the rooms it made, with their other members",
                "bans of it in rooms",
                "entries of it in the log of administration",
            ]
            .map(str::to_owned)
            .to_vec(),
        };
        let detail = serde_json::to_string(&view).unwrap_or_default();
        self.note("account.remove", &user, detail).await;
        Ok(view)
    }
}
