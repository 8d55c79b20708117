//! People who stay: each says something now and then, comes back when the connection breaks, and resumes the session (XEP-0198 §5).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::{Barrier, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, timeout};

use crate::talkers::{PASSWORD, Said, body, name};
use crate::xmpp::{Client, Connector, Login, attribute};

/// How often each says something.
const PACE: Duration = Duration::from_secs(10);
/// Logins at the same time when all begin: QEMU's network resets connections that come all at once.
const AT_ONCE: usize = 10;
/// How long a login or a resumption may take before it is tried anew.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two tries, so that a server that starts is not asked without end.
const PAUSE: Duration = Duration::from_secs(3);
/// Tries before somebody gives up: a box may be away for as long as three starts take.
const TRIES: usize = 400;

/// People who are online.
pub struct Residents {
    tasks: JoinSet<Result<Stay>>,
    leave: watch::Sender<bool>,
    run: usize,
}

/// What one person has seen.
#[derive(Debug)]
struct Stay {
    said: Said,
    /// How often the connection was made anew.
    returns: usize,
    /// How often the session was resumed then.
    resumed: usize,
}

/// What all have seen together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stays {
    /// The most connections that anybody made after the first.
    pub most_returns: usize,
    /// Connections after the first, of all.
    pub returns: usize,
    /// Sessions that were resumed on them.
    pub resumed: usize,
    /// Messages that were sent, all of them acknowledged and read.
    pub messages: usize,
}

impl Residents {
    /// So many people log in and talk in pairs, as [`crate::talkers`] do, in messages that the number `run` tells from all others.
    ///
    /// # Errors
    ///
    /// Somebody could not log in.
    pub async fn start(connector: &Connector, people: usize, run: usize) -> Result<Self> {
        let (leave, left) = watch::channel(false);
        let all_said = Arc::new(Barrier::new(people));
        let sent: Arc<[AtomicUsize]> = (0..people).map(|_| AtomicUsize::new(0)).collect();
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut logins = JoinSet::new();
        for person in 0..people {
            let mut resident = Resident {
                connector: connector.clone(),
                person,
                run,
                session: String::new(),
                heard: 0,
                acknowledged: 0,
                read: HashSet::new(),
                twice: None,
                returns: 0,
                resumed: 0,
                sent: Arc::clone(&sent),
                all_said: Arc::clone(&all_said),
            };
            let turns = Arc::clone(&turns);
            logins.spawn(async move {
                let _turn = turns.acquire().await?;
                let client = timeout(PATIENCE, resident.log_in()).await;
                let client = client.context("no login in time").flatten();
                let client = client.with_context(|| name(resident.person))?;
                anyhow::Ok((resident, client))
            });
        }
        let mut here = Vec::new();
        while let Some(done) = logins.join_next().await {
            here.push(done.context("somebody's login")??);
        }
        // Only now: what is said to somebody who has not enabled stream management yet is not counted.
        let mut tasks = JoinSet::new();
        for (mut resident, client) in here {
            let left = left.clone();
            tasks.spawn(async move { resident.stay(client, left).await });
        }
        Ok(Self { tasks, leave, run })
    }

    /// Lets everybody finish: all that was said is acknowledged, and read once by whom it was for.
    ///
    /// # Errors
    ///
    /// Somebody did not come back, could not resume, or read a message twice or never.
    pub async fn leave(mut self) -> Result<(Stays, (usize, Vec<Said>))> {
        self.leave.send(true).context("nobody is there any more")?;
        let (mut stays, mut said) = (Stays::default(), Vec::new());
        while let Some(done) = self.tasks.join_next().await {
            let stay = done.context("somebody's stay")??;
            stays.most_returns = stays.most_returns.max(stay.returns);
            stays.returns += stay.returns;
            stays.resumed += stay.resumed;
            stays.messages += stay.said.sent;
            said.push(stay.said);
        }
        Ok((stays, (self.run, said)))
    }
}

struct Resident {
    connector: Connector,
    person: usize,
    run: usize,
    /// The session's identifier.
    session: String,
    /// Stanzas that came since the session began.
    heard: usize,
    acknowledged: usize,
    /// The texts that came.
    read: HashSet<String>,
    /// One that came again.
    twice: Option<String>,
    returns: usize,
    resumed: usize,
    /// How many each has sent.
    sent: Arc<[AtomicUsize]>,
    all_said: Arc<Barrier>,
}

impl Resident {
    async fn authenticate(&self) -> Result<Client> {
        let login = (&name(self.person), PASSWORD, Login::Plain);
        self.connector.authenticate(login.0, login.1, login.2).await
    }

    async fn log_in(&mut self) -> Result<Client> {
        let mut client = self.authenticate().await?;
        client.bind("phone").await?;
        client.send("<presence/>").await?;
        client.read_past("<presence").await?;
        client
            .send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
            .await?;
        client.read_past("<enabled").await?;
        let enabled = client.read_past(">").await?;
        self.session = attribute(&enabled, "id")?;
        Ok(client)
    }

    async fn come_back(&mut self) -> Result<Client> {
        let mut client = self.authenticate().await?;
        let resume = format!(
            "<resume xmlns='urn:xmpp:sm:3' h='{}' previd='{}'/>",
            self.heard, self.session
        );
        client.send(&resume).await?;
        let answer = client.read_past(">").await?;
        self.returns += 1;
        ensure!(
            answer.contains("<resumed"),
            "{} is not resumed: {answer}",
            name(self.person)
        );
        self.resumed += 1;
        self.acknowledged = attribute(&answer, "h")?.parse().context("h")?;
        for number in self.acknowledged..self.count() {
            client.send(&self.message(number)).await?;
        }
        Ok(client)
    }

    /// Comes back as soon as the server is there; a session that cannot be resumed is the end.
    async fn come_back_some_time(&mut self) -> Result<Client> {
        let mut last = String::new();
        for _ in 0..TRIES {
            let before = self.returns;
            match timeout(PATIENCE, self.come_back()).await {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(error)) if self.returns > before => return Err(error),
                Ok(Err(error)) => last = format!("{error:#}"),
                Err(late) => last = late.to_string(),
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("{} did not come back: {last}", name(self.person))
    }

    async fn stay(&mut self, mut client: Client, mut left: watch::Receiver<bool>) -> Result<Stay> {
        // Not all at the same moment.
        let share = u32::try_from(self.person % 100).unwrap_or(0);
        let mut pace = interval_at(Instant::now() + PACE * share / 100, PACE);
        let mut leaving = false;
        while !(leaving && self.acknowledged == self.count()) {
            let done = tokio::select! {
                tag = client.read_past(">") => match tag {
                    Ok(tag) => self.hear(&mut client, &tag).await,
                    Err(error) => Err(error),
                },
                _ = pace.tick(), if !leaving => {
                    let message = self.message(self.count());
                    self.sent[self.person].fetch_add(1, Ordering::Relaxed);
                    client.send(&message).await
                }
                _ = left.changed(), if !leaving => {
                    leaving = true;
                    client.send("<r xmlns='urn:xmpp:sm:3'/>").await
                }
            };
            if done.is_err() {
                client = self.come_back_some_time().await?;
            }
            if let Some(text) = &self.twice {
                bail!("{} has read twice: {text}", name(self.person));
            }
        }
        self.all_said.wait().await;
        while self.read.len() < self.others() {
            let tag = client.read_past(">").await;
            let tag = tag.with_context(|| {
                format!(
                    "{} has read {} of {}",
                    name(self.person),
                    self.read.len(),
                    self.others()
                )
            })?;
            self.hear(&mut client, &tag).await?;
        }
        Ok(Stay {
            said: Said {
                person: self.person,
                sent: self.count(),
                acknowledged: self.acknowledged,
            },
            returns: self.returns,
            resumed: self.resumed,
        })
    }
}

impl Resident {
    /// How many this one has sent.
    fn count(&self) -> usize {
        self.sent[self.person].load(Ordering::Relaxed)
    }

    /// How many are for this one.
    fn others(&self) -> usize {
        self.sent[self.person ^ 1].load(Ordering::Relaxed)
    }

    fn message(&self, number: usize) -> String {
        let to = name(self.person ^ 1);
        let body = body(self.run, self.person, number);
        format!(
            "<message to='{to}@{}' type='chat'><body>{body}</body></message><r xmlns='urn:xmpp:sm:3'/>",
            self.connector.domain()
        )
    }

    /// Takes one tag with the text before it.
    async fn hear(&mut self, client: &mut Client, tag: &str) -> Result<()> {
        if let Some(text) = tag.strip_suffix("</body>") {
            if !self.read.insert(text.to_owned()) {
                self.twice = Some(text.to_owned());
            }
        } else if tag.ends_with("</message>") {
            self.heard += 1;
        } else if tag.contains("<r ") {
            let ack = format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.heard);
            client.send(&ack).await?;
        } else if tag.contains("<a ") {
            self.acknowledged = attribute(tag, "h")?.parse().context("h")?;
        }
        Ok(())
    }
}
