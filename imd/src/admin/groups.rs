//! Groups ("circles"): people who have each other in their rosters and share a room, without asking.

use std::sync::Arc;

use imd_store::{Group, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::membership;
use super::{Administrator, Fault, Refusal, people};
use crate::feature::pubsub::bookmarks;
use crate::feature::pubsub::host::Host;
use crate::route::limited;
use crate::server::Server;

/// The longest name of a group, in bytes: as in rosters.
const NAME_BYTES: usize = 1023;

/// A group with its members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupView {
    /// Its id, which never changes.
    pub id: String,
    /// The name that people see, also in their rosters.
    pub name: String,
    /// The address of its room; absent while it has none.
    pub room: Option<String>,
    /// The usernames of its members, in order.
    pub members: Vec<String>,
}

/// A group to make.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    /// The name that people see.
    pub name: String,
    /// Its id; absent: made of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The usernames of its first members.
    #[serde(default)]
    pub members: Vec<String>,
}

/// What is to be changed in a group; absent fields stay as they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupChange {
    /// Another name.
    pub name: String,
}

fn name(text: &str) -> Result<String, Refusal> {
    let name = text.trim();
    let accepted = format!("1 to {NAME_BYTES} bytes of text on one line");
    if name.is_empty() || name.len() > NAME_BYTES || name.chars().any(char::is_control) {
        return Err(Refusal::invalid("name", format!("{text:?}"), accepted));
    }
    Ok(name.to_owned())
}

/// Usernames as they are kept; says of each that cannot be one.
fn usernames(at: &str, names: &[String]) -> Result<Vec<String>, Refusal> {
    let mut users = Vec::with_capacity(names.len());
    let mut faults = Vec::new();
    for name in names {
        match people::username(name) {
            Some(user) => users.push(user),
            None => faults.push(Fault::new(at, format!("{name:?}"), "usernames without @")),
        }
    }
    if faults.is_empty() {
        Ok(users)
    } else {
        Err(Refusal::Invalid(faults))
    }
}

fn absent(id: &str) -> Refusal {
    Refusal::Absent(format!("there is no group {id:?}"))
}

impl Administrator {
    /// All groups, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn groups(&self) -> Result<Vec<GroupView>, Refusal> {
        let mut views = Vec::new();
        for group in self.server.store.groups().await? {
            views.push(self.view(group).await?);
        }
        Ok(views)
    }

    /// A group.
    ///
    /// # Errors
    /// `Absent` when there is none; when the store fails.
    pub async fn group(&self, id: &str) -> Result<GroupView, Refusal> {
        let group = self.kept_group(id).await?;
        self.view(group).await
    }

    async fn view(&self, group: Group) -> Result<GroupView, Refusal> {
        Ok(GroupView {
            members: self.server.store.group_members(&group.id).await?,
            id: group.id,
            name: group.name,
            room: group.room,
        })
    }

    async fn kept_group(&self, id: &str) -> Result<Group, Refusal> {
        self.server.store.group(id).await?.ok_or_else(|| absent(id))
    }

    /// Make a group with its room and its first members.
    ///
    /// # Errors
    /// `Conflict` when the id is taken, `Absent` when a member has no account; nothing is made then.
    pub async fn create_group(&self, new: NewGroup) -> Result<GroupView, Refusal> {
        let name = name(&new.name)?;
        let members = usernames("members", &new.members)?;
        self.fits(members.iter().collect())?;
        for user in &members {
            if self.server.store.account(user).await?.is_none() {
                return Err(Refusal::Absent(format!("account {user:?} does not exist")));
            }
        }
        let chosen = match &new.id {
            Some(id) if membership::slug(id) != *id => {
                let accepted = "small letters, digits and . _ - , such as \"class-1a\"";
                return Err(Refusal::invalid("id", format!("{id:?}"), accepted));
            }
            chosen => chosen.clone(),
        };
        let id = self.keep_group(chosen, &name).await?;
        self.note("group.create", &id, name).await;
        if members.is_empty() {
            let group = self.kept_group(&id).await?;
            membership::settle_room(&self.server, &group, &[]).await?;
        } else {
            self.add_members(&id, &members).await?;
        }
        self.group(&id).await
    }

    /// Whether a group may have these members.
    pub(super) fn fits(&self, members: std::collections::BTreeSet<&String>) -> Result<(), Refusal> {
        let most = self.server.config.limits.group_members;
        if members.len() > most as usize {
            let found = format!("{} members", members.len());
            let accepted = format!("up to {most} members in one group (limits.group_members)");
            return Err(Refusal::invalid("members", found, accepted));
        }
        Ok(())
    }

    async fn keep_group(&self, chosen: Option<String>, name: &str) -> Result<String, Refusal> {
        let base = chosen.clone().unwrap_or_else(|| membership::slug(name));
        let mut id = base.clone();
        let mut number = 1;
        loop {
            let group = Group {
                id: id.clone(),
                name: name.to_owned(),
                room: None,
            };
            match self.server.store.create_group(group).await {
                Ok(()) => return Ok(id),
                Err(StoreError::Exists { .. }) if chosen.is_none() && number < 1000 => {
                    number += 1;
                    id = format!("{base}-{number}");
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Give a group another name: in rosters, its room and its members' bookmarks.
    ///
    /// # Errors
    /// `Absent` when there is none.
    pub async fn rename_group(&self, id: &str, change: GroupChange) -> Result<GroupView, Refusal> {
        let new = name(&change.name)?;
        let group = self.kept_group(id).await?;
        let renamed = Group {
            name: new.clone(),
            ..group.clone()
        };
        self.server.store.update_group(renamed).await?;
        let members = self.server.store.group_members(id).await?;
        membership::settle_contacts(&self.server, &members, Some(&members)).await?;
        if let Some(room) = group.room.as_deref().and_then(|r| r.parse().ok()) {
            let named = |settings: &mut crate::feature::muc::settings::Settings| {
                if settings.name == group.name {
                    settings.name.clone_from(&new);
                }
            };
            self.server
                .rooms
                .configure(&self.server, &room, named)
                .await?;
            for user in &members {
                let host = Host::account(&self.server, user);
                bookmarks::rename(&host, &room, &group.name, &new).await?;
            }
        }
        self.note("group.rename", id, format!("{:?} to {new:?}", group.name))
            .await;
        self.group(id).await
    }

    /// End a group: its members are no contacts by it any more, and its room is destroyed.
    ///
    /// # Errors
    /// `Absent` when there is none.
    pub async fn delete_group(&self, id: &str) -> Result<GroupView, Refusal> {
        let view = self.group(id).await?;
        self.server.store.delete_group(id).await?;
        self.server.limited.forget_all();
        membership::settle_contacts(&self.server, &view.members, Some(&view.members)).await?;
        show_again(&self.server, view.members.iter()).await?;
        if let Some(room) = view.room.as_deref().and_then(|r| r.parse().ok()) {
            for user in &view.members {
                let host = Host::account(&self.server, user);
                bookmarks::leave(&host, &room).await?;
            }
            let reason = Some("the group has ended");
            match self.server.rooms.destroy(&self.server, &room, reason).await {
                Err(error) if error.condition == imd_proto::Condition::ItemNotFound => {}
                other => other?,
            }
        }
        self.note(
            "group.delete",
            id,
            format!("{} members", view.members.len()),
        )
        .await;
        Ok(view)
    }

    /// Put people into a group, all or none.
    ///
    /// # Errors
    /// `Absent` names the group or the first who has no account.
    pub async fn add_members(&self, id: &str, users: &[String]) -> Result<GroupView, Refusal> {
        let users = usernames("members", users)?;
        let group = self.kept_group(id).await?;
        let before = self.server.store.group_members(id).await?;
        self.fits(before.iter().chain(&users).collect())?;
        self.server.store.add_group_members(id, &users).await?;
        let new: Vec<String> = users.into_iter().filter(|u| !before.contains(u)).collect();
        joined(&self.server, &[group], &new).await?;
        if !new.is_empty() {
            self.note("group.add", id, new.join(" ")).await;
        }
        self.group(id).await
    }

    /// Take people out of a group. Those who are not in it are no error.
    ///
    /// # Errors
    /// `Absent` when there is no such group.
    pub async fn remove_members(&self, id: &str, users: &[String]) -> Result<GroupView, Refusal> {
        let users = usernames("members", users)?;
        let group = self.kept_group(id).await?;
        let gone = leave(&self.server, &group, &users).await?;
        if !gone.is_empty() {
            self.note("group.remove", id, gone.join(" ")).await;
        }
        self.group(id).await
    }
}

/// People have been put into groups: what follows from it.
///
/// # Errors
/// When the store fails.
pub async fn joined(server: &Arc<Server>, groups: &[Group], new: &[String]) -> Result<(), Refusal> {
    server.limited.forget_all();
    let mut others = std::collections::BTreeSet::new();
    let mut rooms = Vec::new();
    for group in groups {
        let members = server.store.group_members(&group.id).await?;
        others.extend(members.iter().filter(|m| !new.contains(m)).cloned());
        rooms.push((group, members));
    }
    membership::settle_contacts(server, new, None).await?;
    let others: Vec<String> = others.into_iter().collect();
    membership::settle_contacts(server, &others, Some(new)).await?;
    for (group, members) in rooms {
        membership::settle_room(server, group, &members).await?;
    }
    // The rooms are there now.
    server.limited.forget_all();
    show_again(server, new.iter().chain(&others)).await
}

/// Contacts whom limited accounts have of their own are seen, or not any more.
async fn show_again(
    server: &Arc<Server>,
    users: impl Iterator<Item = &String>,
) -> Result<(), Refusal> {
    for user in users {
        let online = !server.directory.sessions(user).is_empty();
        if online && server.limited.circle(server, user).await?.is_some() {
            limited::show_again(server, user).await?;
        }
    }
    Ok(())
}

/// People leave a group; those who were in it.
async fn leave(
    server: &Arc<Server>,
    group: &Group,
    users: &[String],
) -> Result<Vec<String>, Refusal> {
    let before = server.store.group_members(&group.id).await?;
    let (gone, rest): (Vec<String>, Vec<String>) =
        before.into_iter().partition(|m| users.contains(m));
    if gone.is_empty() {
        return Ok(gone);
    }
    // The room first: a crash between the two leaves them in both.
    if let Some(room) = &group.room {
        membership::leave_room(server, room, &gone).await?;
    }
    server.store.remove_group_members(&group.id, &gone).await?;
    server.limited.forget_all();
    membership::settle_contacts(server, &gone, None).await?;
    membership::settle_contacts(server, &rest, Some(&gone)).await?;
    show_again(server, gone.iter().chain(&rest)).await?;
    Ok(gone)
}

/// An account is about to end: it leaves its groups.
///
/// # Errors
/// When the store fails.
pub(super) async fn leave_all(server: &Arc<Server>, user: &str) -> Result<(), Refusal> {
    for group in server.store.groups_of(user).await? {
        leave(server, &group, &[user.to_owned()]).await?;
    }
    Ok(())
}

/// Do what a crash has left undone.
pub async fn settle_all(server: &Arc<Server>) {
    let settled: Result<(), Refusal> = async {
        for group in server.store.groups().await? {
            let members = server.store.group_members(&group.id).await?;
            membership::settle_room(server, &group, &members).await?;
        }
        let all = people::everybody(server).await?;
        let all: Vec<String> = all.into_iter().map(|account| account.username).collect();
        membership::settle_contacts(server, &all, None).await?;
        Ok(())
    }
    .await;
    if let Err(error) = settled
        && !server.shutdown.is_requested()
    {
        tracing::warn!(%error, "groups are not in order");
    }
}
