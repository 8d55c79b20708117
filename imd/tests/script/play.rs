//! Plays a conversation against a server of its own.

use std::collections::HashMap;

use anyhow::{Context as _, Result, anyhow, bail};
use imd_store::Role;

use super::parse::{Act, Server, Step, What, Who};
use super::player::{Connection, Player};
use crate::support::client::within;
use crate::support::pattern::{self, Names};
use crate::support::{
    Client, DOMAIN, Login, Mechanism, Refused, StreamManagement, TestServer, Way, admin,
};

struct Stage {
    server: TestServer,
    players: HashMap<Who, Player>,
    names: Names,
    passwords: HashMap<String, String>,
}

/// Play all steps.
pub async fn play(steps: &[Step]) -> Result<()> {
    let settings = steps.iter().find_map(|s| match &s.what {
        What::Settings(text) => Some(text.as_str()),
        _ => None,
    });
    let mut stage = Stage {
        server: TestServer::prepare(settings.unwrap_or_default())?,
        players: HashMap::new(),
        names: Names::from([("domain".to_owned(), DOMAIN.to_owned())]),
        passwords: HashMap::new(),
    };
    stage.accounts(steps).await?;
    stage.server.start_again().await?;
    for step in steps {
        if let Err(error) = stage.step(&step.what).await {
            bail!("line {}: {error:#}{}", step.line, stage.report());
        }
    }
    stage.server.stop().await
}

impl Stage {
    /// Accounts come into being before the server starts: those named, and those of every client.
    async fn accounts(&mut self, steps: &[Step]) -> Result<()> {
        let mut roles: HashMap<&str, Role> = HashMap::new();
        let mut absent = Vec::new();
        for step in steps {
            match &step.what {
                What::Account { name, options } => {
                    for option in options {
                        match option.as_str() {
                            "admin" => drop(roles.insert(name, Role::Admin)),
                            "limited" => drop(roles.insert(name, Role::Limited)),
                            "absent" => absent.push(name.as_str()),
                            other => bail!(
                                "line {}: an account is admin, limited or absent, not {other:?}",
                                step.line
                            ),
                        }
                    }
                    roles.entry(name).or_insert(Role::Member);
                }
                What::Client { who, .. } => {
                    roles.entry(&who.user).or_insert(Role::Member);
                }
                _ => {}
            }
        }
        for (name, role) in roles {
            if !absent.contains(&name) {
                self.server.account(name, role).await?;
            }
        }
        Ok(())
    }

    async fn step(&mut self, what: &What) -> Result<()> {
        match what {
            What::Settings(_) | What::Account { .. } => Ok(()),
            What::Server(act) => self.server_step(*act).await,
            What::Administrator { requests, refused } => {
                self.settle(None).await?;
                for request in requests.lines().filter(|line| !line.trim().is_empty()) {
                    let done = admin::ask(&self.server, &pattern::fill(request, &self.names)).await;
                    let (status, answer) = done.with_context(|| request.to_owned())?;
                    if (status >= 400) != *refused {
                        bail!("{request}: {status} {answer}");
                    }
                }
                Ok(())
            }
            What::Client { who, act } => self
                .client_step(who, act)
                .await
                .with_context(|| format!("{}/{}", who.user, who.resource)),
        }
    }

    async fn server_step(&mut self, act: Server) -> Result<()> {
        if matches!(act, Server::Stops | Server::Restarts) {
            self.settle(None).await?;
            self.server.stop().await?;
            for player in self.players.values_mut() {
                player.lost().await?;
            }
        }
        if matches!(act, Server::Starts | Server::Restarts) {
            self.server.start_again().await?;
        }
        Ok(())
    }

    /// See to it that the server has dealt with what others have sent.
    async fn settle(&mut self, but: Option<&Who>) -> Result<()> {
        for (who, player) in &mut self.players {
            if but != Some(who)
                && player.bound
                && std::mem::take(&mut player.unsettled)
                && let Connection::Open(client) = &mut player.connection
            {
                // Whoever has been disconnected for what it sent has been dealt with as well.
                client.settle().await?;
            }
        }
        Ok(())
    }

    async fn client_step(&mut self, who: &Who, act: &Act) -> Result<()> {
        // What others did before this step has been dealt with before it begins.
        self.settle(Some(who)).await?;
        match act {
            Act::Connects(options) => return self.connect(who, options).await,
            Act::CannotConnect { options, condition } => {
                return match self.connect(who, options).await {
                    Ok(()) => Err(anyhow!("the login succeeded")),
                    Err(error) => refused_with(&error, condition),
                };
            }
            Act::Opens(options) => return self.open(who, options).await,
            Act::Breaks => self.settle(None).await?,
            _ => {}
        }
        let player = self
            .players
            .get_mut(who)
            .context("this client has not connected")?;
        match act {
            Act::Resumes | Act::CannotResume => {
                let resumed = player.resume(&self.server).await;
                match (resumed, matches!(act, Act::Resumes)) {
                    (Ok(()), true) => Ok(()),
                    (Ok(()), false) => Err(anyhow!("the session was resumed")),
                    (Err(error), false) if error.is::<Refused>() => Ok(()),
                    (Err(error), _) => Err(error),
                }
            }
            Act::Sends(block) => player.send(&pattern::fill(block, &self.names)).await,
            Act::SendsRaw(block) => {
                let text = pattern::fill(block, &self.names);
                player.log.push(format!("-> {text}"));
                player.client()?.send_raw(text.trim()).await
            }
            Act::Receives {
                block,
                exactly,
                any_order,
            } => {
                let patterns = pattern::read(block).map_err(|e| anyhow!(e))?;
                player
                    .receive(patterns, *exactly, *any_order, &mut self.names)
                    .await
            }
            Act::ReceivesNothing => player.receive_nothing().await,
            Act::Ignores(block) => {
                let more = pattern::read(block).map_err(|e| anyhow!(e))?;
                player.ignored.extend(more);
                Ok(())
            }
            Act::Forgets => player.client()?.forget().await,
            Act::Disconnects => match std::mem::replace(&mut player.connection, Connection::Gone) {
                Connection::Open(client) => client.disconnect().await,
                _ => Err(anyhow!("this client is not connected")),
            },
            Act::Breaks => player.cut(),
            Act::IsDisconnected(condition) => player.is_disconnected(condition.as_deref()).await,
            Act::Connects(_) | Act::CannotConnect { .. } | Act::Opens(_) => Ok(()),
        }
    }

    async fn connect(&mut self, who: &Who, options: &[String]) -> Result<()> {
        let mut login = Login::new(&who.user).resource(&who.resource);
        if let Some(password) = self.passwords.get(&who.user) {
            login.password.clone_from(password);
        }
        let mut available = false;
        for option in options {
            match option.as_str() {
                "starttls" => login.way = Way::StartTls,
                "direct-tls" => login.way = Way::DirectTls,
                "stream-management" => login.management = StreamManagement::On,
                "resumption" => login.management = StreamManagement::Resumable,
                "presence" => available = true,
                "wrong-password" => login.password.push('x'),
                other => {
                    login.mechanism = Mechanism::find(other)
                        .with_context(|| format!("{other:?} is no option of a connection"))?;
                }
            }
        }
        let mut client = Client::connect(&self.server, &login).await?;
        if available {
            client.send("<presence/>").await?;
            client.forget().await?;
        }
        self.names
            .insert(format!("{}/{}", who.user, who.resource), client.jid.clone());
        self.enter(who, login, client, true);
        Ok(())
    }

    async fn open(&mut self, who: &Who, options: &[String]) -> Result<()> {
        let way = match options {
            [] => Way::DirectTls,
            [one] if one == "starttls" => Way::StartTls,
            _ => bail!("a stream is opened with starttls or nothing"),
        };
        let client = within("open a stream", Client::open(&self.server, way)).await?;
        let login = Login::new(&who.user).resource(&who.resource);
        self.enter(who, login, client, false);
        Ok(())
    }

    fn enter(&mut self, who: &Who, login: Login, client: Client, bound: bool) {
        let player = Player {
            login,
            connection: Connection::Open(Box::new(client)),
            ignored: Vec::new(),
            unsettled: false,
            bound,
            log: Vec::new(),
        };
        self.players.insert(who.clone(), player);
    }

    fn report(&self) -> String {
        let mut out = String::new();
        for (who, player) in &self.players {
            out.push_str(&format!("\n      {}/{}:", who.user, who.resource));
            for line in player.log.iter().rev().take(8).rev() {
                out.push_str(&format!("\n        {line}"));
            }
        }
        out
    }
}

fn refused_with(error: &anyhow::Error, condition: &str) -> Result<()> {
    match error.downcast_ref::<Refused>() {
        Some(refused) if refused.condition() == condition => Ok(()),
        Some(refused) => bail!(
            "refused because of {}, not {condition}",
            refused.condition()
        ),
        None => bail!("not refused because of {condition}: {error:#}"),
    }
}
