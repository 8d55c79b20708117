//! Service administration (XEP-0133): what [`crate::admin`] does, as commands for administrators' apps.

use std::sync::Arc;

use async_trait::async_trait;
use imd_proto::form::{Form, FormBuilder};
use imd_proto::{Condition, Element, Jid, StanzaError};
use imd_store::{Account, Role};

use super::commands::{Caller, Command, Outcome};
use super::store_error;
use crate::admin::accounts::{NewPerson, PersonChange};
use crate::admin::announce::Announcement;
use crate::admin::{Administrator, people};
use crate::server::Server;

/// XEP-0133 §3: the `FORM_TYPE`, and the beginning of all nodes.
const NS: &str = "http://jabber.org/protocol/admin";
/// Addresses in a list when the form does not say how many.
const LISTED: usize = 1000;

/// Which people are counted or listed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whom {
    Registered,
    Disabled,
    Online,
}

/// A command.
#[derive(Debug, Clone, Copy)]
pub(super) enum ServiceAdmin {
    AddUser,
    DeleteUser,
    DisableUser,
    ReenableUser,
    EndSession,
    ChangePassword,
    Statistics,
    Count(Whom),
    List(Whom),
    Announce,
}

use ServiceAdmin::{
    AddUser, Announce, ChangePassword, Count, DeleteUser, DisableUser, EndSession, List,
    ReenableUser, Statistics,
};

/// All of them, in the order of the XEP.
pub(super) fn all() -> impl Iterator<Item = Arc<dyn Command>> {
    use Whom::{Disabled, Online, Registered};
    [
        AddUser,
        DeleteUser,
        DisableUser,
        ReenableUser,
        EndSession,
        ChangePassword,
        Statistics,
        Count(Registered),
        Count(Disabled),
        Count(Online),
        List(Registered),
        List(Disabled),
        List(Online),
        Announce,
    ]
    .into_iter()
    .map(|command| Arc::new(command) as Arc<dyn Command>)
}

/// The field that has the answer to a count or a list.
fn field(command: ServiceAdmin) -> &'static str {
    match command {
        Count(Whom::Registered) => "registeredusersnum",
        Count(Whom::Disabled) => "disabledusersnum",
        Count(Whom::Online) => "onlineusersnum",
        List(Whom::Registered) => "registereduserjids",
        List(Whom::Disabled) => "disableduserjids",
        List(Whom::Online) => "onlineuserjids",
        _ => "",
    }
}

#[async_trait]
impl Command for ServiceAdmin {
    fn node(&self) -> &'static str {
        match self {
            AddUser => "http://jabber.org/protocol/admin#add-user",
            DeleteUser => "http://jabber.org/protocol/admin#delete-user",
            DisableUser => "http://jabber.org/protocol/admin#disable-user",
            ReenableUser => "http://jabber.org/protocol/admin#reenable-user",
            EndSession => "http://jabber.org/protocol/admin#end-user-session",
            ChangePassword => "http://jabber.org/protocol/admin#change-user-password",
            Statistics => "http://jabber.org/protocol/admin#user-stats",
            Count(Whom::Registered) => "http://jabber.org/protocol/admin#get-registered-users-num",
            Count(Whom::Disabled) => "http://jabber.org/protocol/admin#get-disabled-users-num",
            Count(Whom::Online) => "http://jabber.org/protocol/admin#get-online-users-num",
            List(Whom::Registered) => "http://jabber.org/protocol/admin#get-registered-users-list",
            List(Whom::Disabled) => "http://jabber.org/protocol/admin#get-disabled-users-list",
            List(Whom::Online) => "http://jabber.org/protocol/admin#get-online-users-list",
            Announce => "http://jabber.org/protocol/admin#announce",
        }
    }

    fn name(&self) -> &'static str {
        match self {
            AddUser => "Add a user",
            DeleteUser => "Delete users",
            DisableUser => "Disable users",
            ReenableUser => "Re-enable users",
            EndSession => "End users' sessions",
            ChangePassword => "Change a user's password",
            Statistics => "Get a user's statistics",
            Count(Whom::Registered) => "Get the number of registered users",
            Count(Whom::Disabled) => "Get the number of disabled users",
            Count(Whom::Online) => "Get the number of online users",
            List(Whom::Registered) => "Get the list of registered users",
            List(Whom::Disabled) => "Get the list of disabled users",
            List(Whom::Online) => "Get the list of online users",
            Announce => "Send an announcement to online users",
        }
    }

    fn is_for(&self, _: &Server, caller: &Caller) -> bool {
        caller.role == Role::Admin
    }

    fn form(&self, _: &Server) -> Option<Element> {
        let form = FormBuilder::new("form", NS).title(self.name());
        let one = |form: FormBuilder| form.field("accountjid", "jid-single", Some("Address"), &[]);
        Some(
            match self {
                AddUser => one(form)
                    .field("password", "text-private", Some("Password"), &[])
                    .field("password-verify", "text-private", Some("Once more"), &[]),
                ChangePassword => {
                    one(form).field("password", "text-private", Some("New password"), &[])
                }
                Statistics => one(form),
                DeleteUser | DisableUser | ReenableUser | EndSession => {
                    form.field("accountjids", "jid-multi", Some("Addresses"), &[])
                }
                Announce => form.field("announcement", "text-multi", Some("Text"), &[]),
                List(_) => {
                    let numbers = ["25", "50", "100", "200", "1000"];
                    let options: Vec<_> = numbers.iter().map(|n| (*n, *n)).collect();
                    form.choice("max_items", "How many at the most", "25", &options)
                }
                Count(_) => return None,
            }
            .build(),
        )
    }

    async fn run(
        &self,
        server: &Arc<Server>,
        caller: &Caller,
        form: &Form,
    ) -> Result<Outcome, StanzaError> {
        let admin = Administrator {
            server: Arc::clone(server),
            actor: caller.jid.to_bare().to_string(),
        };
        match self {
            AddUser => add(&admin, form).await,
            ChangePassword => {
                let change = PersonChange {
                    password: Some(form.value("password").unwrap_or_default().to_owned()),
                    ..PersonChange::default()
                };
                let done = admin.change_person(&account(server, form)?, change).await;
                done.map_err(|r| StanzaError::from(&r))?;
                Ok(note("The password is changed."))
            }
            DeleteUser | DisableUser | ReenableUser | EndSession => each(*self, &admin, form).await,
            Statistics => statistics(server, form).await,
            Count(whom) => {
                let number = addresses(server, *whom).await?.len().to_string();
                Ok(result(|f| {
                    f.field(field(*self), "text-single", None, &[&number])
                }))
            }
            List(whom) => {
                let most = form.value("max_items").and_then(|n| n.parse().ok());
                let mut all = addresses(server, *whom).await?;
                all.truncate(most.unwrap_or(LISTED));
                let all: Vec<&str> = all.iter().map(String::as_str).collect();
                Ok(result(|f| f.field(field(*self), "jid-multi", None, &all)))
            }
            Announce => {
                let lines = form.values("announcement").unwrap_or_default();
                let new = Announcement {
                    text: lines.join("\n"),
                    subject: None,
                    online: true,
                };
                let done = admin.announce(new).await;
                let done = done.map_err(|r| StanzaError::from(&r))?;
                Ok(note(&format!("Sent to {} people.", done.people)))
            }
        }
    }
}

fn note(text: &str) -> Outcome {
    Outcome {
        note: Some(text.to_owned()),
        form: None,
    }
}

fn result(fill: impl FnOnce(FormBuilder) -> FormBuilder) -> Outcome {
    Outcome {
        note: None,
        form: Some(fill(FormBuilder::new("result", NS)).build()),
    }
}

fn bad(text: String) -> StanzaError {
    StanzaError::with_text(Condition::BadRequest, text)
}

/// The username in an address of this server.
fn local(server: &Server, text: &str) -> Result<String, StanzaError> {
    let jid = text.parse::<Jid>().ok();
    let jid = jid.filter(|jid| server.is_local_account(jid));
    jid.as_ref()
        .and_then(Jid::local)
        .map(str::to_owned)
        .ok_or_else(|| {
            let domain = &server.config.domain;
            bad(format!(
                "{text:?} is no address of this server, such as ann@{domain}"
            ))
        })
}

fn account(server: &Server, form: &Form) -> Result<String, StanzaError> {
    match form.value("accountjid") {
        Some(text) => local(server, text),
        None => Err(bad("accountjid is missing".to_owned())),
    }
}

fn addressed(form: &Form) -> Result<&[String], StanzaError> {
    match form.values("accountjids") {
        Some(jids) if !jids.is_empty() => Ok(jids),
        _ => Err(bad("accountjids is missing".to_owned())),
    }
}

async fn add(admin: &Administrator, form: &Form) -> Result<Outcome, StanzaError> {
    let password = form.value("password").unwrap_or_default();
    if form.value("password-verify").is_some_and(|p| p != password) {
        return Err(bad("the passwords differ".to_owned()));
    }
    let new = NewPerson {
        username: account(&admin.server, form)?,
        password: Some(password.to_owned()),
        ..NewPerson::default()
    };
    let made = admin.create_person(new).await;
    let made = made.map_err(|r| StanzaError::from(&r))?;
    Ok(note(&format!("{} is created.", made.jid)))
}

/// Do the same to each account. All are looked up before anything is done.
async fn each(
    command: ServiceAdmin,
    admin: &Administrator,
    form: &Form,
) -> Result<Outcome, StanzaError> {
    let server = &admin.server;
    let jids = addressed(form)?;
    let mut users = Vec::with_capacity(jids.len());
    for jid in jids {
        let user = local(server, jid)?;
        let known = admin.person(&user).await;
        known.map_err(|r| StanzaError::from(&r))?;
        users.push((user, jid));
    }
    for (user, jid) in users {
        let done = match command {
            DeleteUser => admin.remove_person(&user).await.map(drop),
            EndSession => match admin.close_sessions(jid).await {
                // Who is not online has no session to end.
                Err(crate::admin::Refusal::Absent(_)) => Ok(()),
                other => other.map(drop),
            },
            other => {
                let change = PersonChange {
                    enabled: Some(matches!(other, ReenableUser)),
                    ..PersonChange::default()
                };
                admin.change_person(&user, change).await.map(drop)
            }
        };
        done.map_err(|r| StanzaError::from(&r))?;
    }
    Ok(note("Done."))
}

async fn addresses(server: &Server, whom: Whom) -> Result<Vec<String>, StanzaError> {
    let everybody = people::everybody(server).await;
    let everybody = everybody.map_err(|e| store_error(&e))?;
    let meant = |account: &Account| match whom {
        Whom::Registered => true,
        Whom::Disabled => !account.enabled,
        Whom::Online => !server.directory.sessions(&account.username).is_empty(),
    };
    let meant = everybody.into_iter().filter(meant);
    Ok(meant
        .map(|account| server.account_jid(&account.username).to_string())
        .collect())
}

async fn statistics(server: &Server, form: &Form) -> Result<Outcome, StanzaError> {
    let user = account(server, form)?;
    let known = server.store.account(&user).await;
    if known.map_err(|e| store_error(&e))?.is_none() {
        let text = format!("account {user:?} does not exist");
        return Err(StanzaError::with_text(Condition::ItemNotFound, text));
    }
    let kept = server.store.roster(&user).await;
    let contacts = kept.map_err(|e| store_error(&e))?.items.len().to_string();
    let sessions = server.directory.sessions(&user);
    let online: Vec<&str> = sessions.iter().filter_map(|s| s.jid.resource()).collect();
    let jid = server.account_jid(&user);
    Ok(result(|form| {
        form.field("accountjid", "jid-single", None, &[jid.as_str()])
            .field("rostersize", "text-single", Some("Contacts"), &[&contacts])
            .field("onlineresources", "text-multi", Some("Online"), &online)
    }))
}
