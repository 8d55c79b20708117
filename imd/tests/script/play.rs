//! Plays a conversation against a server of its own.

use std::collections::HashMap;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use imd_proto::{Element, ns};
use imd_store::Role;

use super::parse::{Act, Server, Step, What, Who};
use crate::support::client::within;
use crate::support::pattern::{self, Names};
use crate::support::{
    Broken, Client, DOMAIN, Incoming, Login, Mechanism, Refused, StreamManagement, TestServer, Way,
};

/// A client of the conversation.
struct Player {
    login: Login,
    connection: Connection,
    ignored: Vec<Element>,
    /// Whether it has sent something that the server may not have dealt with.
    unsettled: bool,
    /// Whether it can ask for a sign of life.
    bound: bool,
    /// The last of what came and went, for the report of a failure.
    log: Vec<String>,
}

enum Connection {
    Open(Box<Client>),
    Broken(Broken),
    Gone,
}

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

    /// See to it that the server has dealt with what clients have sent.
    async fn settle(&mut self, but: Option<&Who>) -> Result<()> {
        for (who, player) in &mut self.players {
            if but != Some(who)
                && player.bound
                && std::mem::take(&mut player.unsettled)
                && let Connection::Open(client) = &mut player.connection
            {
                client.sync().await?;
            }
        }
        Ok(())
    }

    async fn client_step(&mut self, who: &Who, act: &Act) -> Result<()> {
        match act {
            Act::Connects(options) => return self.connect(who, options).await,
            Act::CannotConnect { options, condition } => {
                return match self.connect(who, options).await {
                    Ok(()) => Err(anyhow!("the login succeeded")),
                    Err(error) => refused_with(&error, condition),
                };
            }
            Act::Opens(options) => return self.open(who, options).await,
            Act::ReceivesNothing | Act::Breaks => self.settle(None).await?,
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
                    (Err(error), true) => Err(error),
                    (Ok(()), false) => Err(anyhow!("the session was resumed")),
                    _ => Ok(()),
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

impl Player {
    fn client(&mut self) -> Result<&mut Client> {
        match &mut self.connection {
            Connection::Open(client) => Ok(client),
            _ => bail!("this client is not connected"),
        }
    }

    async fn send(&mut self, block: &str) -> Result<()> {
        self.unsettled = true;
        self.log.push(format!("-> {}", block.replace('\n', " ")));
        self.client()?.send(block).await
    }

    /// The next thing that came, but for what is ignored. `wanted` is not ignored.
    async fn next(&mut self, wanted: &[Element], names: &Names) -> Result<Incoming> {
        let what = wanted
            .first()
            .map(|w| w.to_xml_in(ns::CLIENT))
            .unwrap_or_default();
        loop {
            let next = within(&format!("send {what}"), self.client()?.next()).await?;
            if let Incoming::Element(found) = &next {
                self.log.push(format!("<- {}", found.to_xml_in(ns::CLIENT)));
                let is =
                    |p: &Element| pattern::matches(p, found, false, &mut names.clone()).is_ok();
                if !wanted.iter().any(is) && self.ignored.iter().any(is) {
                    continue;
                }
            }
            return Ok(next);
        }
    }

    async fn receive(
        &mut self,
        mut wanted: Vec<Element>,
        exactly: bool,
        any_order: bool,
        names: &mut Names,
    ) -> Result<()> {
        while !wanted.is_empty() {
            let candidates = if any_order { &wanted[..] } else { &wanted[..1] };
            let found = match self.next(candidates, names).await? {
                Incoming::Element(found) => found,
                other => bail!(
                    "{other:?} came instead of {}",
                    wanted[0].to_xml_in(ns::CLIENT)
                ),
            };
            let mut why = String::new();
            let at = candidates.iter().position(|pattern| {
                let mut tried = names.clone();
                match pattern::matches(pattern, &found, exactly, &mut tried) {
                    Ok(()) => {
                        *names = tried;
                        true
                    }
                    Err(reason) => {
                        why = reason;
                        false
                    }
                }
            });
            match at {
                Some(at) => drop(wanted.remove(at)),
                None => bail!(
                    "{why}\n      expected {}\n      received {}",
                    wanted[0].to_xml_in(ns::CLIENT),
                    found.to_xml_in(ns::CLIENT)
                ),
            }
        }
        Ok(())
    }

    async fn receive_nothing(&mut self) -> Result<()> {
        self.client()?.sync().await?;
        while let Some(incoming) = self.client()?.waiting() {
            let ignored = match &incoming {
                Incoming::Element(found) => self
                    .ignored
                    .iter()
                    .any(|p| pattern::matches(p, found, false, &mut Names::new()).is_ok()),
                _ => false,
            };
            if !ignored {
                match incoming {
                    Incoming::Element(e) => {
                        bail!("expected nothing, received {}", e.to_xml_in(ns::CLIENT))
                    }
                    other => bail!("expected nothing, got {other:?}"),
                }
            }
        }
        Ok(())
    }

    async fn is_disconnected(&mut self, condition: Option<&str>) -> Result<()> {
        let mut error = None;
        loop {
            match self.next(&[], &Names::new()).await? {
                Incoming::Element(e) if e.is("error", ns::STREAM) => error = Some(Refused(e)),
                Incoming::Element(e) => bail!("received {} instead", e.to_xml_in(ns::CLIENT)),
                Incoming::StreamEnd => {}
                Incoming::Closed => break,
            }
        }
        self.cut()?;
        if let Some(condition) = condition {
            let error = error.context("the connection ended without a word")?;
            ensure!(
                error.condition() == condition,
                "the stream ended with {}, not {condition}",
                error.condition()
            );
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.connection, Connection::Gone) {
            Connection::Open(client) => {
                self.connection = Connection::Broken(client.cut()?);
                Ok(())
            }
            _ => bail!("this client is not connected"),
        }
    }

    /// The server has stopped: take what it still said, and stay ready to resume.
    async fn lost(&mut self) -> Result<()> {
        if let Connection::Open(client) = &mut self.connection {
            client.read_to_end().await?;
            self.cut()?;
        }
        Ok(())
    }

    async fn resume(&mut self, server: &TestServer) -> Result<()> {
        match std::mem::replace(&mut self.connection, Connection::Gone) {
            Connection::Broken(broken) => match broken.resume(server, &self.login).await {
                Ok(client) => {
                    self.connection = Connection::Open(Box::new(client));
                    Ok(())
                }
                Err((broken, error)) => {
                    self.connection = Connection::Broken(broken);
                    Err(error)
                }
            },
            _ => bail!("this client has not lost its connection"),
        }
    }
}
