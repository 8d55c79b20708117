//! From a TCP connection to a session, as a client of today makes it: TLS, SASL, a resource, stream management, roster,
//! carbons, presence. What need not wait for an answer is sent together.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, bail};

use crate::conn::{Conn, source};
use crate::scanner::{attribute, contains, name, text};
use crate::scram::{Hash, Keys, Scram, token_message};
use crate::tls::Tls;

/// How the stream reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// RFC 6120 §5.
    Starttls,
    /// XEP-0368.
    DirectTls,
    /// RFC 7395, over TLS.
    Websocket,
}

/// How a login is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// SCRAM by RFC 6120, which every server has.
    Sasl,
    /// SCRAM by SASL2 (XEP-0388), with Bind 2.
    Sasl2,
    /// A token (XEP-0484), which the first login of an account asks for.
    Fast,
}

/// The server as clients see it, and what they share.
pub struct Server {
    /// Its domain.
    pub domain: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// By what.
    pub transport: Transport,
    /// How to log in.
    pub way: Way,
    /// Everybody's password.
    pub password: String,
    /// All come from one address.
    pub one_address: bool,
    /// What stands before the number in a user's name.
    pub prefix: String,
    /// Whether to use stream management where the server has it.
    pub stream_management: bool,
    /// The TLS configuration.
    pub tls: Tls,
    /// Salted passwords.
    pub keys: RefCell<Keys>,
    /// Tokens for FAST, by user.
    pub tokens: RefCell<HashMap<u32, String>>,
}

/// Stream management's state (XEP-0198) from one connection to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Managed {
    /// The id to resume by.
    pub id: String,
    /// Stanzas that this client has sent.
    pub sent: u32,
    /// Stanzas that it has received.
    pub handled: u32,
}

/// A session that stands.
pub struct LoggedIn {
    /// Its connection.
    pub conn: Conn,
    /// Its stream management, if the server has it.
    pub managed: Option<Managed>,
    /// Whether it goes on from an earlier connection.
    pub resumed: bool,
}

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const SASL2: &str = "urn:xmpp:sasl:2";
const ENABLE_SM: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
const ENABLE_CARBONS: &str =
    "<iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>";
const ASK_ROSTER: &str = "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>";

impl Server {
    /// A user's bare address.
    #[must_use]
    pub fn jid(&self, user: u32) -> String {
        format!("{}{user}@{}", self.prefix, self.domain)
    }

    /// The loopback address that a user comes from.
    #[must_use]
    pub fn source(&self, user: u32) -> IpAddr {
        if self.one_address {
            return Ipv4Addr::LOCALHOST.into();
        }
        source(user)
    }

    /// Opens a session, or goes on with the one of `before`.
    ///
    /// # Errors
    ///
    /// No connection, a refusal, or an answer that was not expected.
    pub async fn log_in(&self, user: u32, before: Option<&Managed>) -> Result<LoggedIn> {
        let mut conn = Conn::open(self.address, self.source(user)).await?;
        let features = self.secure(&mut conn).await?;
        match self.way {
            Way::Sasl => self.sasl(conn, user, &features, before).await,
            Way::Sasl2 | Way::Fast => self.sasl2(conn, user, &features, before).await,
        }
    }

    /// TLS, and the features behind it.
    async fn secure(&self, conn: &mut Conn) -> Result<Vec<u8>> {
        match self.transport {
            Transport::Starttls => {
                self.open(conn).await?;
                conn.send(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")?;
                expect(conn, "proceed").await?;
                conn.start_tls(&self.tls).await?;
            }
            Transport::DirectTls => conn.start_tls(&self.tls).await?,
            Transport::Websocket => {
                conn.start_tls(&self.tls).await?;
                conn.start_websocket(&self.domain, "/ws").await?;
            }
        }
        self.open(conn).await
    }

    /// A new stream, up to its features.
    async fn open(&self, conn: &mut Conn) -> Result<Vec<u8>> {
        let domain = &self.domain;
        conn.restart();
        if conn.framed() {
            let open = format!(
                "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{domain}' version='1.0'/>"
            );
            conn.send(open.as_bytes())?;
        } else {
            let open = format!(
                "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xmlns='jabber:client' \
                 xmlns:stream='http://etherx.jabber.org/streams'>"
            );
            conn.send(open.as_bytes())?;
        }
        conn.stanza().await.context("the stream's header")?;
        expect(conn, "features").await
    }

    fn scram(&self, user: u32, features: &[u8]) -> Result<Scram> {
        let offered = |hash: &Hash| contains(features, &format!(">{}<", hash.mechanism()));
        let hash = [Hash::Sha256, Hash::Sha1].into_iter().find(offered);
        let hash = hash.with_context(|| format!("no SCRAM in {}", words(features)))?;
        Scram::new(hash, &format!("{}{user}", self.prefix))
    }

    fn prove(&self, scram: &mut Scram, challenge: &[u8]) -> Result<String> {
        let mut keys = self.keys.borrow_mut();
        scram.answer(&mut keys, &self.password, inner(challenge))
    }

    async fn sasl(
        &self,
        mut conn: Conn,
        user: u32,
        features: &[u8],
        before: Option<&Managed>,
    ) -> Result<LoggedIn> {
        let mut scram = self.scram(user, features)?;
        let mechanism = scram.mechanism();
        let first = scram.first();
        conn.send(
            format!("<auth xmlns='{SASL}' mechanism='{mechanism}'>{first}</auth>").as_bytes(),
        )?;
        let challenge = expect(&mut conn, "challenge").await?;
        let answer = self.prove(&mut scram, &challenge)?;
        conn.send(format!("<response xmlns='{SASL}'>{answer}</response>").as_bytes())?;
        scram.check(inner(&expect(&mut conn, "success").await?))?;
        let features = self.open(&mut conn).await?;
        let managed = self.stream_management && contains(&features, "urn:xmpp:sm:3");
        if let (Some(before), true) = (before, managed) {
            conn.send(resume(before).as_bytes())?;
            if name(&conn.stanza().await?) == b"resumed" {
                let managed = Some(before.clone());
                return Ok(LoggedIn {
                    conn,
                    managed,
                    resumed: true,
                });
            }
        }
        conn.send(
            b"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>load</resource></bind></iq>",
        )?;
        let bound = expect(&mut conn, "iq").await?;
        if attribute(&bound, "type") != Some(b"result") {
            bail!("no resource: {}", words(&bound));
        }
        if managed {
            conn.queue(ENABLE_SM.as_bytes());
        }
        conn.queue(ENABLE_CARBONS.as_bytes());
        enter(conn, managed, None, 1).await
    }

    async fn sasl2(
        &self,
        mut conn: Conn,
        user: u32,
        features: &[u8],
        before: Option<&Managed>,
    ) -> Result<LoggedIn> {
        let token = match self.way {
            Way::Fast => self.tokens.borrow_mut().remove(&user),
            _ => None,
        };
        let mut scram = self.scram(user, features)?;
        let (mechanism, first, fast) = match &token {
            Some(token) => {
                let message = token_message(&format!("{}{user}", self.prefix), token);
                (
                    "HT-SHA-256-NONE",
                    message,
                    "<fast xmlns='urn:xmpp:fast:0'/>",
                )
            }
            None if self.way == Way::Fast => (
                scram.mechanism(),
                scram.first(),
                "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>",
            ),
            None => (scram.mechanism(), scram.first(), ""),
        };
        let managed = self.stream_management && contains(features, "urn:xmpp:sm:3");
        let enable = if managed { ENABLE_SM } else { "" };
        let resumption = match before {
            Some(before) if managed => resume(before),
            _ => String::new(),
        };
        conn.send(
            format!(
                "<authenticate xmlns='{SASL2}' mechanism='{mechanism}'><initial-response>{first}</initial-response>\
                 <user-agent id='00000000-0000-4000-8000-{user:012}'><software>perch-load</software></user-agent>\
                 {resumption}<bind xmlns='urn:xmpp:bind:0'><tag>load</tag><enable xmlns='urn:xmpp:carbons:2'/>{enable}</bind>\
                 {fast}</authenticate>"
            )
            .as_bytes(),
        )?;
        if token.is_none() {
            let challenge = expect(&mut conn, "challenge").await?;
            let answer = self.prove(&mut scram, &challenge)?;
            conn.send(format!("<response xmlns='{SASL2}'>{answer}</response>").as_bytes())?;
        }
        let success = expect(&mut conn, "success").await?;
        if token.is_none() {
            scram.check(text(&success, "additional-data").unwrap_or_default())?;
        }
        if let Some(new) = within(&success, "<token")
            .and_then(|e| attribute(e, "token"))
            .or(token.as_deref().map(str::as_bytes))
        {
            self.tokens.borrow_mut().insert(user, words(new));
        }
        expect(&mut conn, "features").await?;
        if within(&success, "<resumed").is_some() {
            let managed = before.cloned();
            return Ok(LoggedIn {
                conn,
                managed,
                resumed: true,
            });
        }
        let id = within(&success, "<enabled").and_then(|e| attribute(e, "id"));
        enter(conn, false, id.map(words), 0).await
    }
}

/// Asks for the roster, becomes available, and waits for all answers: `answers` IQs besides that of the roster, and that
/// stream management is on if it is `awaited`; with an `id` it is on already.
async fn enter(
    mut conn: Conn,
    awaited: bool,
    mut id: Option<String>,
    mut answers: u32,
) -> Result<LoggedIn> {
    conn.queue(ASK_ROSTER.as_bytes());
    conn.queue(b"<presence/>");
    conn.send_queued()?;
    let sent = answers + 2;
    answers += 1;
    let mut handled = 0;
    while answers > 0 || (awaited && id.is_none()) {
        let stanza = conn.stanza().await?;
        match name(&stanza) {
            b"iq" => {
                if attribute(&stanza, "type") == Some(b"error") {
                    bail!("refused: {}", words(&stanza));
                }
                if attribute(&stanza, "type") == Some(b"result") {
                    answers = answers.saturating_sub(1);
                }
            }
            b"enabled" => {
                // What came before does not count (XEP-0198 §4).
                (id, handled) = (Some(words(attribute(&stanza, "id").unwrap_or_default())), 0);
                continue;
            }
            b"message" | b"presence" => {}
            b"r" => {
                conn.send(format!("<a xmlns='urn:xmpp:sm:3' h='{handled}'/>").as_bytes())?;
                continue;
            }
            b"a" => continue,
            _ => bail!("not expected while logging in: {}", words(&stanza)),
        }
        handled += 1;
    }
    let managed = id.map(|id| Managed { id, sent, handled });
    Ok(LoggedIn {
        conn,
        managed,
        resumed: false,
    })
}

fn resume(before: &Managed) -> String {
    let Managed { id, handled, .. } = before;
    format!("<resume xmlns='urn:xmpp:sm:3' h='{handled}' previd='{id}'/>")
}

/// The next stanza, which has to be of that name (without prefix).
async fn expect(conn: &mut Conn, wanted: &str) -> Result<Vec<u8>> {
    let context = || format!("waiting for <{wanted}>");
    let stanza = conn.stanza().await.with_context(context)?;
    let local = name(&stanza).rsplit(|b| *b == b':').next();
    if local != Some(wanted.as_bytes()) {
        bail!("not <{wanted}>: {}", words(&stanza));
    }
    Ok(stanza)
}

/// The text of an element that has only text.
fn inner(element: &[u8]) -> &[u8] {
    let own = name(element);
    std::str::from_utf8(own)
        .ok()
        .and_then(|own| text(element, own))
        .unwrap_or_default()
}

/// From where a tag begins.
fn within<'e>(element: &'e [u8], tag: &str) -> Option<&'e [u8]> {
    memchr::memmem::find(element, tag.as_bytes()).map(|at| &element[at..])
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
