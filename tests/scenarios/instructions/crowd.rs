//! What people do while the instructions of their server are counted: always the same, one after the other.

use anyhow::{Context, Result};
use perch_tests::host_imd::HostImd;
use perch_tests::xmpp::{Client, Connector, Login};

/// How much is done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Doings {
    /// People who log in and go, in pairs who talk with each other.
    pub people: usize,
    /// Messages that each of them sends; a multiple of [`WINDOW`].
    pub messages: usize,
    /// People in one room.
    pub listeners: usize,
    /// Messages that one more person says there.
    pub said: usize,
}

/// Messages on their way at once from one client, before it waits for the server to have taken them.
const WINDOW: usize = 10;
/// Clients of one account in the room.
const CLIENTS: usize = 10;
const BODY: &str = "A message of about one hundred bytes, as people write them when they have something to say today.";
const ACK_REQUEST: &str = "<r xmlns='urn:xmpp:sm:3'/>";

/// Makes the accounts and does everything.
///
/// # Errors
///
/// The server did not do as it should.
pub fn run(imd: &HostImd, doings: Doings) -> Result<()> {
    let accounts = doings.people.max(doings.listeners.div_ceil(CLIENTS) + 1);
    for number in 0..accounts {
        imd.add_user(&format!("user{number}"), "password")?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start tokio")?;
    let connector = Connector::new(&imd.server.ca, &imd.server.domain, imd.server.direct_tls)?;
    let domain = &imd.server.domain;
    runtime.block_on(async {
        talk(&connector, domain, doings).await?;
        if doings.listeners > 0 {
            meet(&connector, domain, doings).await?;
        }
        Ok(())
    })
}

/// Pairs log in, send messages to each other, and go.
async fn talk(connector: &Connector, domain: &str, doings: Doings) -> Result<()> {
    for pair in 0..doings.people / 2 {
        let names = [format!("user{}", 2 * pair), format!("user{}", 2 * pair + 1)];
        let mut one = Person::log_in(connector, &names[0], "phone").await?;
        let mut other = Person::log_in(connector, &names[1], "phone").await?;
        for _ in 0..doings.messages / WINDOW {
            exchange(&mut one, &mut other, &names[1], domain).await?;
            exchange(&mut other, &mut one, &names[0], domain).await?;
        }
        one.go().await?;
        other.go().await?;
    }
    Ok(())
}

/// A window of messages from one client to another, until the other and the server have acknowledged them.
async fn exchange(from: &mut Person, to: &mut Person, name: &str, domain: &str) -> Result<()> {
    for number in 0..WINDOW {
        from.client
            .send(&format!(
                "<message to='{name}@{domain}' type='chat' id='m{number}'><body>{BODY}</body>\
                 <active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>"
            ))
            .await?;
    }
    from.client.send(ACK_REQUEST).await?;
    for _ in 0..WINDOW {
        to.hear("</message>").await?;
    }
    to.acknowledge().await?;
    from.hear("<a ").await
}

/// Everybody enters a room, one speaks, and all go. The next message is said when all have the one before.
async fn meet(connector: &Connector, domain: &str, doings: Doings) -> Result<()> {
    let room = format!("room@rooms.{domain}");
    let mut speaker = Person::log_in(connector, "user0", "phone").await?;
    speaker.enter(&room, "speaker").await?;
    speaker
        .client
        .send(&format!(
            "<iq type='set' id='unlock' to='{room}'><query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='submit'/></query></iq>"
        ))
        .await?;
    speaker.hear("id='unlock'").await?;
    let mut listeners = Vec::with_capacity(doings.listeners);
    for number in 0..doings.listeners {
        let user = format!("user{}", 1 + number / CLIENTS);
        let mut listener = Person::log_in(connector, &user, &format!("r{number}")).await?;
        listener.enter(&room, &format!("n{number}")).await?;
        listeners.push(listener);
    }
    for number in 0..doings.said {
        let id = format!("id='m{number}'");
        speaker
            .client
            .send(&format!(
                "<message to='{room}' type='groupchat' {id}><body>{BODY}</body></message>{ACK_REQUEST}"
            ))
            .await?;
        for person in listeners.iter_mut().chain([&mut speaker]) {
            person.hear(&id).await?;
            person.hear("</message>").await?;
            person.answer().await?;
        }
    }
    for person in listeners.iter_mut().chain([&mut speaker]) {
        person.go().await?;
    }
    Ok(())
}

/// Somebody who is online.
struct Person {
    client: Client,
    /// Stanzas received since stream management began.
    heard: u32,
    /// The server wants to know how many.
    asked: bool,
}

impl Person {
    async fn log_in(connector: &Connector, user: &str, resource: &str) -> Result<Self> {
        let client = connector
            .log_in(user, "password", resource, Login::ScramSha256Plus)
            .await?;
        let mut person = Self {
            client,
            heard: 0,
            asked: false,
        };
        person
            .client
            .send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
            .await?;
        person.client.read_past("<enabled").await?;
        for (said, answer) in [
            (
                "<iq type='set' id='copies'><enable xmlns='urn:xmpp:carbons:2'/></iq>",
                "id='copies'",
            ),
            (
                "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>",
                "id='roster'",
            ),
            ("<presence/>", "<presence"),
        ] {
            person.client.send(said).await?;
            person.hear(answer).await?;
        }
        Ok(person)
    }

    /// Reads up to and with `mark`.
    async fn hear(&mut self, mark: &str) -> Result<()> {
        let text = self.client.read_past(mark).await?;
        for stanza in ["<message ", "<presence ", "<iq "] {
            self.heard += u32::try_from(text.matches(stanza).count())?;
        }
        // One that is cut short by the mark.
        if ["<presence", "<message", "<iq"].contains(&mark) {
            self.heard += 1;
        }
        self.asked |= text.contains(ACK_REQUEST);
        Ok(())
    }

    /// Acknowledges what was heard, if the server wants to know.
    async fn answer(&mut self) -> Result<()> {
        if self.client.has_come(ACK_REQUEST) {
            self.hear(ACK_REQUEST).await?;
        }
        if std::mem::take(&mut self.asked) {
            self.acknowledge().await?;
        }
        Ok(())
    }

    async fn acknowledge(&mut self) -> Result<()> {
        let ack = format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.heard);
        self.client.send(&ack).await
    }

    async fn enter(&mut self, room: &str, nick: &str) -> Result<()> {
        self.client
            .send(&format!(
                "<presence to='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>"
            ))
            .await?;
        self.hear("code='110'").await?;
        self.hear("</presence>").await?;
        self.answer().await
    }

    async fn go(&mut self) -> Result<()> {
        self.client.send("</stream:stream>").await?;
        self.hear("</stream:stream>").await
    }
}
