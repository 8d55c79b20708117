//! A client of a conversation, and what it does and awaits.

use anyhow::{Context as _, Result, bail, ensure};
use imd_proto::{Element, ns};

use crate::support::client::within;
use crate::support::pattern::{self, Names};
use crate::support::{Broken, Client, Incoming, Login, Refused, TestServer};

/// A client of the conversation.
pub(super) struct Player {
    pub(super) login: Login,
    pub(super) connection: Connection,
    pub(super) ignored: Vec<Element>,
    /// Whether it has sent something that the server may not have dealt with.
    pub(super) unsettled: bool,
    /// Whether it can ask for a sign of life.
    pub(super) bound: bool,
    /// The last of what came and went, for the report of a failure.
    pub(super) log: Vec<String>,
}

pub(super) enum Connection {
    Open(Box<Client>),
    Broken(Broken),
    Gone,
}

impl Player {
    pub(super) fn client(&mut self) -> Result<&mut Client> {
        match &mut self.connection {
            Connection::Open(client) => Ok(client),
            _ => bail!("this client is not connected"),
        }
    }

    pub(super) async fn send(&mut self, block: &str) -> Result<()> {
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

    pub(super) async fn receive(
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

    pub(super) async fn receive_nothing(&mut self) -> Result<()> {
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

    pub(super) async fn is_disconnected(&mut self, condition: Option<&str>) -> Result<()> {
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

    pub(super) fn cut(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.connection, Connection::Gone) {
            Connection::Open(client) => {
                self.connection = Connection::Broken(client.cut()?);
                Ok(())
            }
            _ => bail!("this client is not connected"),
        }
    }

    /// The server has stopped: take what it still said, and stay ready to resume.
    pub(super) async fn lost(&mut self) -> Result<()> {
        if let Connection::Open(client) = &mut self.connection {
            client.read_to_end().await?;
            self.cut()?;
        }
        Ok(())
    }

    pub(super) async fn resume(&mut self, server: &TestServer) -> Result<()> {
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
