//! The ways of being hostile. Nobody of these waits longer than a moment before the next attempt.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use anyhow::Result;

use crate::conn::Conn;
use crate::login::Server;

/// Before the next attempt.
const MOMENT: Duration = Duration::from_millis(10);
/// How long somebody who does not read holds a connection.
const DEAF: Duration = Duration::from_secs(20);
/// Between two bytes of somebody who never logs in.
const DRIP: Duration = Duration::from_secs(1);
/// Messages written before the next client of this tool has its turn.
const AT_ONCE: u32 = 50;

/// What all of them did.
#[derive(Default)]
pub(super) struct Did {
    connections: Cell<u64>,
    logins: Cell<u64>,
    refused: Cell<u64>,
    messages: Cell<u64>,
    cut: Cell<u64>,
}

fn add(counter: &Cell<u64>, number: u64) {
    counter.set(counter.get() + number);
}

impl Did {
    /// Each counter with its name.
    pub(super) fn counts(&self) -> [(&'static str, u64); 5] {
        [
            ("connections", self.connections.get()),
            ("logins", self.logins.get()),
            ("logins_refused", self.refused.get()),
            ("messages", self.messages.get()),
            ("cut", self.cut.get()),
        ]
    }
}

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Sends as fast as its connection takes it.
    Flood,
    /// Logs in and reads nothing, while others write to it.
    Deaf,
    /// Logs in and breaks the connection, at once and again.
    Reconnect,
    /// Sends what is no stream.
    Junk,
    /// Connects and says nearly nothing.
    Drip,
}

const WAYS: [Way; 5] = [Way::Flood, Way::Deaf, Way::Reconnect, Way::Junk, Way::Drip];

/// One of them.
pub(super) struct Foe {
    pub(super) server: Rc<Server>,
    pub(super) did: Rc<Did>,
    pub(super) user: u32,
    /// Users below this are polite.
    pub(super) polite: u32,
    pub(super) users: u32,
}

impl Foe {
    /// Goes on until it is stopped.
    pub(super) async fn act(self) {
        let way = WAYS[(self.user % 5) as usize];
        for attempt in 0_u32.. {
            let end = match way {
                Way::Flood => self.flood().await,
                Way::Deaf => self.deaf().await,
                Way::Reconnect => self.enter().await.map(drop),
                Way::Junk => self.junk(attempt).await,
                Way::Drip => self.drip().await,
            };
            if end.is_err() {
                add(&self.did.cut, 1);
            }
            tokio::time::sleep(MOMENT).await;
        }
    }

    async fn enter(&self) -> Result<Conn> {
        add(&self.did.connections, 1);
        match self.server.log_in(self.user, None).await {
            Ok(logged_in) => {
                add(&self.did.logins, 1);
                Ok(logged_in.conn)
            }
            Err(error) => {
                add(&self.did.refused, 1);
                Err(error)
            }
        }
    }

    /// To others of its kind who do not read, and now and then to somebody polite.
    fn victim(&self, number: u32) -> String {
        let hostile = self.users - self.polite;
        let victim = match number % 10 {
            0 => (self.user + number) % self.polite,
            _ => {
                // The next number that gives `Way::Deaf`.
                let at = self.user - self.polite + 1 + 5 * number;
                self.polite + at % hostile
            }
        };
        self.server.jid(victim)
    }

    async fn flood(&self) -> Result<()> {
        let mut conn = self.enter().await?;
        let mut number = 0_u32;
        let text = "x".repeat(100);
        let ended: io::Error = poll_fn(|cx| {
            for _ in 0..AT_ONCE {
                if let Poll::Ready(Err(error)) = read(&mut conn, cx) {
                    return Poll::Ready(error);
                }
                match conn.poll_flush(cx) {
                    Poll::Ready(Err(error)) => return Poll::Ready(error),
                    Poll::Ready(Ok(())) => {}
                    Poll::Pending => return Poll::Pending,
                }
                let to = self.victim(number);
                let message = format!(
                    "<message to='{to}' type='chat' id='f{number}'><body>{text}</body></message>"
                );
                if let Err(error) = conn.send(message.as_bytes()) {
                    return Poll::Ready(error);
                }
                add(&self.did.messages, 1);
                number = number.wrapping_add(1);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        Err(ended.into())
    }

    async fn deaf(&self) -> Result<()> {
        let _conn = self.enter().await?;
        tokio::time::sleep(DEAF).await;
        Ok(())
    }

    async fn junk(&self, attempt: u32) -> Result<()> {
        let (from, to) = (self.server.source(self.user), self.server.address);
        let mut conn = match attempt % 3 {
            0 => {
                add(&self.did.connections, 1);
                let mut conn = Conn::open(to, from).await?;
                conn.send(b"\x16\x03\x01\xff\xffGET / HTTP/1.1\r\n\xfe\xfe<<<>>>")?;
                conn
            }
            1 => {
                add(&self.did.connections, 1);
                let mut conn = Conn::open(to, from).await?;
                let open = format!(
                    "<stream:stream to='{}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
                    self.server.domain
                );
                conn.send((open + &"<a>".repeat(5000)).as_bytes())?;
                conn
            }
            _ => {
                let mut conn = self.enter().await?;
                conn.send(format!("<message><body>{}", "y".repeat(400_000)).as_bytes())?;
                conn
            }
        };
        // Until the server has ended it.
        poll_fn(|cx| match (read(&mut conn, cx), conn.poll_flush(cx)) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => Poll::Ready(()),
            _ => Poll::Pending,
        })
        .await;
        Ok(())
    }

    async fn drip(&self) -> Result<()> {
        add(&self.did.connections, 1);
        let mut conn = Conn::open(self.server.address, self.server.source(self.user)).await?;
        for byte in b"<?xml version='1.0'?><stream:stream to='".iter().cycle() {
            conn.send(&[*byte])?;
            let ended = poll_fn(|cx| match read(&mut conn, cx) {
                Poll::Ready(Err(error)) => Poll::Ready(error),
                _ => Poll::Pending,
            });
            if let Ok(error) = tokio::time::timeout(DRIP, ended).await {
                return Err(error.into());
            }
        }
        Ok(())
    }
}

/// Takes what comes, and forgets it.
fn read(conn: &mut Conn, cx: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
    loop {
        if let Err(error) = std::task::ready!(conn.poll_read(cx)) {
            return Poll::Ready(Err(error));
        }
        // The server's end of a stream, or what cannot be read, is an end as well.
        while conn.next_found()?.is_some() {}
    }
}
