//! Two clients that talk without pause, lose their connections, and count what they get.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use imd_proto::Element;
use tokio::sync::{Barrier, RwLock};

use super::client::{Client, Incoming};
use super::login::Login;
use super::server::TestServer;

/// How long the whole talk may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Small random numbers from a seed, the same each time.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What one of the two does.
pub struct Talker {
    pub server: Arc<RwLock<TestServer>>,
    pub login: Login,
    /// Whom it talks to.
    pub to: String,
    /// Messages it sends, and expects.
    pub messages: u32,
    /// Connections that it cuts itself, at random.
    pub cuts: u32,
    pub dice: Dice,
    /// Both are there before one speaks.
    pub both: Arc<Barrier>,
}

/// What came of it.
pub struct Talked {
    /// The numbers of the messages received, in their order.
    pub received: Vec<u32>,
    /// How often the session was resumed.
    pub resumed: u32,
}

impl Talker {
    /// Talk until all is said, heard and acknowledged.
    pub async fn talk(mut self) -> Result<Talked> {
        let mut talked = Talked {
            received: Vec::new(),
            resumed: 0,
        };
        match tokio::time::timeout(PATIENCE, self.talk_on(&mut talked)).await {
            Ok(Ok(())) => Ok(talked),
            Ok(Err(error)) => Err(error),
            Err(_) => bail!(
                "the talk has not ended in {PATIENCE:?}: {} of {} messages were received, after {} resumptions",
                talked.received.len(),
                self.messages,
                talked.resumed
            ),
        }
    }

    async fn talk_on(&mut self, talked: &mut Talked) -> Result<()> {
        let mut client = Client::connect(&*self.server.read().await, &self.login).await?;
        self.both.wait().await;
        let (mut sent, mut cuts) = (0, self.cuts);
        let pace = u64::from(self.messages / self.cuts.max(1)).max(2);
        loop {
            let heard = talked.received.len() as u32 >= self.messages;
            if sent == self.messages && heard && client.unacknowledged() == 0 && cuts == 0 {
                return Ok(());
            }
            if sent < self.messages {
                sent += 1;
                let text = format!(
                    "<message to='{}' type='chat' id='{sent}'><body>{sent}</body></message>",
                    self.to
                );
                client.send(&text).await?;
            }
            // What is there is read; at the end, more is waited for.
            let patience = match sent < self.messages {
                true => Duration::from_millis(self.dice.roll(3)),
                false => Duration::from_millis(200),
            };
            let mut lost = false;
            while let Ok(event) = tokio::time::timeout(patience, client.event()).await {
                match client.take(event?).await? {
                    Some(Incoming::Element(element)) => talked.received.extend(number(&element)?),
                    Some(Incoming::StreamEnd) => bail!("the server closed the stream"),
                    Some(Incoming::Closed) => {
                        lost = true;
                        break;
                    }
                    None => {}
                }
                if self.dice.roll(4) == 0 {
                    break;
                }
            }
            let cut = cuts > 0 && (sent == self.messages || self.dice.roll(pace) == 0);
            if cut {
                cuts -= 1;
            }
            if cut || lost {
                client = self.resume(client).await?;
                talked.resumed += 1;
            }
        }
    }

    /// Half of the cuts the server notices at once; of the others it learns by the resumption.
    async fn resume(&mut self, client: Client) -> Result<Client> {
        let (mut broken, _silent) = match self.dice.roll(2) {
            0 => (client.cut()?, None),
            _ => {
                let (broken, stream) = client.abandon();
                (broken, Some(stream))
            }
        };
        let mut last = None;
        for _ in 0..100 {
            let server = self.server.read().await;
            match broken.resume(&server, &self.login).await {
                Ok(client) => return Ok(client),
                Err((still, error)) if error.is::<super::Refused>() => {
                    drop(still);
                    return Err(error);
                }
                Err((still, error)) => {
                    broken = still;
                    last = Some(error);
                }
            }
            drop(server);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(last.context("no attempt")?.context("cannot resume"))
    }
}

/// The number of a message of the talk; absent for other stanzas. Errors of the server are not expected.
fn number(element: &Element) -> Result<Option<u32>> {
    ensure!(
        !element.is("error", imd_proto::ns::STREAM)
            || element
                .child("system-shutdown", imd_proto::ns::STREAM_ERRORS)
                .is_some(),
        "the stream ended: {}",
        element.to_xml()
    );
    if element.name() != "message" {
        return Ok(None);
    }
    ensure!(
        element.attr("type") != Some("error"),
        "{}",
        element.to_xml()
    );
    element
        .child_text("body")
        .map(|body| body.parse().context("a message from somewhere else"))
        .transpose()
}
