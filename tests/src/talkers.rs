//! People who talk, as fast as they can or with pauses, and remember what the server has acknowledged; and whether it is in the archives.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use imd_store::sqlite::{SqliteOptions, SqliteStore};
use imd_store::{ArchiveFilter, ArchiveId, ArchivePaging, ArchiveStore as _};
use tokio::task::JoinSet;

use crate::xmpp::{Client, Connector, Login, attribute};

/// Messages that one person has on the way at the same time.
const WINDOW: usize = 20;
/// How long people pause before each message on an emulated box, so that most of its processor is left for the update.
pub const PAUSE_ON_A_BOX: Duration = Duration::from_millis(50);
/// Everybody's password.
pub const PASSWORD: &str = "talkers-secret";

/// The name of a person; 2n and 2n + 1 talk to each other.
#[must_use]
pub fn name(person: usize) -> String {
    format!("talker{person}")
}

/// What one person has sent.
#[derive(Debug, Default)]
pub struct Said {
    pub(crate) person: usize,
    pub(crate) sent: usize,
    /// The first so many are acknowledged.
    pub(crate) acknowledged: usize,
}

/// People who are talking.
pub struct Talkers {
    tasks: JoinSet<Said>,
    acknowledged: Arc<AtomicUsize>,
    run: usize,
}

impl Talkers {
    /// So many people log in and talk, in messages that the number `run` tells apart from all others, until they are cut off.
    ///
    /// # Errors
    ///
    /// Somebody could not log in.
    pub async fn start(connector: &Connector, people: usize, run: usize) -> Result<Self> {
        Self::start_with_pauses(connector, people, run, Duration::ZERO).await
    }

    /// The same, where everybody pauses before each message, so that they leave most of the machine to others.
    ///
    /// # Errors
    ///
    /// Somebody could not log in.
    pub async fn start_with_pauses(
        connector: &Connector,
        people: usize,
        run: usize,
        pause: Duration,
    ) -> Result<Self> {
        let mut clients = Vec::new();
        for person in 0..people {
            let mut client = connector
                .log_in(&name(person), PASSWORD, "phone", Login::Plain)
                .await?;
            client.send("<presence/>").await?;
            client.read_past("<presence").await?;
            client.send("<enable xmlns='urn:xmpp:sm:3'/>").await?;
            client.read_past("<enabled").await?;
            client.read_past(">").await?;
            clients.push(client);
        }
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for (person, client) in clients.into_iter().enumerate() {
            let mut talker = Talker {
                client,
                said: Said {
                    person,
                    ..Said::default()
                },
                heard: 0,
                domain: connector.domain().to_owned(),
                run,
                pause,
                all: Arc::clone(&acknowledged),
            };
            tasks.spawn(async move {
                // The end of the connection is what it waits for.
                let _ = talker.talk().await;
                talker.said
            });
        }
        Ok(Self {
            tasks,
            acknowledged,
            run,
        })
    }

    /// How many messages of all are acknowledged by now.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// What they had said when they were cut off.
    pub async fn said(self) -> (usize, Vec<Said>) {
        (self.run, self.tasks.join_all().await)
    }
}

struct Talker {
    client: Client,
    said: Said,
    /// Stanzas that came since stream management began.
    heard: usize,
    domain: String,
    run: usize,
    pause: Duration,
    all: Arc<AtomicUsize>,
}

impl Talker {
    async fn talk(&mut self) -> Result<()> {
        let to = name(self.said.person ^ 1);
        loop {
            let mut xml = String::new();
            while self.said.sent < self.said.acknowledged + WINDOW {
                let body = body(self.run, self.said.person, self.said.sent);
                xml += &format!(
                    "<message to='{to}@{}' type='chat'><body>{body}</body></message><r xmlns='urn:xmpp:sm:3'/>",
                    self.domain
                );
                self.said.sent += 1;
            }
            if !xml.is_empty() {
                // Not a wait for anything: this is how fast somebody talks. A sleep of nothing would still wait for a tick.
                if !self.pause.is_zero() {
                    tokio::time::sleep(self.pause).await;
                }
                self.client.send(&xml).await?;
            }
            let tag = self.client.read_past(">").await?;
            self.hear(&tag).await?;
        }
    }

    /// Takes one tag.
    async fn hear(&mut self, tag: &str) -> Result<()> {
        if tag.ends_with("</message>") {
            self.heard += 1;
        } else if tag.contains("<r ") {
            let ack = format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.heard);
            self.client.send(&ack).await?;
        } else if tag.contains("<a ") {
            let count: usize = attribute(tag, "h")?.parse().context("h")?;
            self.all
                .fetch_add(count - self.said.acknowledged, Ordering::Relaxed);
            self.said.acknowledged = count;
        }
        Ok(())
    }
}

/// The text of a message; no two have the same.
pub(crate) fn body(run: usize, person: usize, number: usize) -> String {
    format!("run {run} person {person} number {number}")
}

/// The archives of the people, read beside the daemon, and how far that has been done.
#[derive(Debug, Default)]
pub struct Archives {
    seen: HashMap<usize, ArchiveId>,
}

/// What was found in the archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// Acknowledged messages, each of which is in both archives.
    pub acknowledged: usize,
    /// Messages in the archives that were not acknowledged when the connection broke.
    pub more: usize,
}

impl Archives {
    /// Looks for all that was said in a run.
    ///
    /// # Errors
    ///
    /// An acknowledged message is missing in an archive, or any is there twice.
    pub async fn check(
        &mut self,
        database: &Path,
        domain: &str,
        (run, said): &(usize, Vec<Said>),
    ) -> Result<Found> {
        let options = SqliteOptions {
            full_text: true,
            check: false,
        };
        let store = SqliteStore::open(database, options).context("open the database")?;
        let mut found = Found::default();
        let mut there = HashMap::new();
        for said in said {
            let owner = format!("{}@{domain}", name(said.person));
            there.insert(
                said.person,
                self.new_bodies(&store, &owner, said.person).await?,
            );
        }
        for said in said {
            for number in 0..said.sent {
                let body = body(*run, said.person, number);
                let counts = [said.person, said.person ^ 1].map(|person| {
                    let bodies = there.get(&person);
                    bodies.and_then(|all| all.get(&body)).copied().unwrap_or(0)
                });
                ensure!(
                    counts.iter().all(|n| *n < 2),
                    "twice in an archive: {body}: {counts:?}"
                );
                if number < said.acknowledged {
                    ensure!(
                        counts == [1, 1],
                        "acknowledged and missing: {body}: {counts:?}"
                    );
                    found.acknowledged += 1;
                } else {
                    ensure!(
                        counts[0] == counts[1],
                        "in one archive of two: {body}: {counts:?}"
                    );
                    found.more += counts[0];
                }
            }
        }
        Ok(found)
    }

    /// How often each text has come into an archive since the last look.
    async fn new_bodies(
        &mut self,
        store: &SqliteStore,
        owner: &str,
        person: usize,
    ) -> Result<HashMap<String, usize>> {
        let mut bodies = HashMap::new();
        loop {
            let paging = ArchivePaging {
                after: self.seen.get(&person).copied(),
                max: 1000,
                ..ArchivePaging::default()
            };
            let page = store
                .archive_page(owner, ArchiveFilter::default(), paging)
                .await?;
            for entry in &page.entries {
                *bodies
                    .entry(entry.body.clone().unwrap_or_default())
                    .or_default() += 1;
                self.seen.insert(person, entry.id);
            }
            if page.complete {
                return Ok(bodies);
            }
        }
    }
}
