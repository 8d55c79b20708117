//! A logged-in client: it takes what comes, answers what has to be answered, and sends when it is told to.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::io::Write as _;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::board::Board;
use crate::conn::Conn;
use crate::login::{LoggedIn, Managed};
use crate::scanner::{Found, attribute, contains, name, text};
use crate::tally::Tally;

/// Bytes of a message's body.
pub const BODY: usize = 100;

/// A message to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// To whom.
    pub to: &'a str,
    /// `chat` or `groupchat`.
    pub kind: &'a str,
    /// How many deliveries it has to have.
    pub fan: u64,
    /// When it was to be sent, by the board's clock.
    pub stamp: u64,
}

/// See the module.
pub struct Session {
    user: u32,
    live: RefCell<Live>,
    waker: Cell<Option<Waker>>,
}

struct Live {
    conn: Conn,
    managed: Option<Managed>,
    /// Messages that the server has not acknowledged: its count after each, and when it was sent.
    unacked: VecDeque<(u32, u64)>,
    /// By sender.
    tallies: Vec<(u32, Tally)>,
    /// What to send when all that came has been looked at.
    answers: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Session {
    /// Of a user who has just logged in.
    #[must_use]
    pub fn new(user: u32, logged_in: LoggedIn) -> Self {
        Self {
            user,
            live: RefCell::new(Live {
                conn: logged_in.conn,
                managed: logged_in.managed,
                unacked: VecDeque::new(),
                tallies: Vec::new(),
                answers: Vec::new(),
                ends: Vec::new(),
            }),
            waker: Cell::new(None),
        }
    }

    /// The user's number.
    #[must_use]
    pub fn user(&self) -> u32 {
        self.user
    }

    /// Its stream management, if the server has it.
    #[must_use]
    pub fn managed(&self) -> Option<Managed> {
        self.live.borrow().managed.clone()
    }

    /// What it got from each sender.
    #[must_use]
    pub fn tallies(&self) -> Vec<(u32, Tally)> {
        self.live.borrow().tallies.clone()
    }

    /// Goes on counting where an earlier connection stopped.
    pub fn take_tallies(&self, tallies: Vec<(u32, Tally)>) {
        self.live.borrow_mut().tallies = tallies;
    }

    /// Sends a message with the next number, and asks for its acknowledgement.
    pub fn send(&self, board: &Board, message: &Message<'_>) {
        let number = board.next_number(self.user);
        let mut xml = Vec::with_capacity(256);
        let Message {
            to, kind, stamp, ..
        } = message;
        let user = self.user;
        let head = format!("PL {user} {number} {stamp} ");
        // Writing to a vector cannot fail.
        let _ = write!(
            xml,
            "<message to='{to}' type='{kind}' id='{number}'><body>{head:x<BODY$}</body></message>"
        );
        let mut live = self.live.borrow_mut();
        live.conn.queue(&xml);
        if let Some(managed) = &mut live.managed {
            managed.sent = managed.sent.wrapping_add(1);
            let sent = managed.sent;
            live.unacked.push_back((sent, *stamp));
            live.conn.queue(b"<r xmlns='urn:xmpp:sm:3'/>");
        }
        board.count(|c| {
            c.sent += 1;
            c.due += message.fan;
        });
        self.send_queued(&mut live);
    }

    /// Sends any other stanza.
    pub fn send_stanza(&self, xml: &str) {
        let mut live = self.live.borrow_mut();
        if let Some(managed) = &mut live.managed {
            managed.sent = managed.sent.wrapping_add(1);
        }
        live.conn.queue(xml.as_bytes());
        self.send_queued(&mut live);
    }

    /// Ends the stream, without waiting for the server to do so.
    pub fn close(&self) {
        let mut live = self.live.borrow_mut();
        let end: &[u8] = match live.conn.framed() {
            true => b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>",
            false => b"</stream:stream>",
        };
        live.conn.queue(end);
        self.send_queued(&mut live);
    }

    fn send_queued(&self, live: &mut Live) {
        // An error is met again, and told, by whoever reads.
        let sent = live.conn.send_queued();
        if (sent.is_err() || live.conn.is_stuck())
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }

    /// Serves the connection until it ends.
    ///
    /// # Errors
    ///
    /// Always: why it ended.
    pub async fn run(self: &Rc<Self>, board: &Board, partner: &dyn Fn(u32) -> String) -> io::Error {
        std::future::poll_fn(|cx| {
            loop {
                let polled = self.poll(cx, board);
                // In the closed loop, what has just come may be what the next user waited for.
                while let Some(user) = board.next_turn() {
                    if let Some(session) = board.session(user) {
                        let message = Message {
                            to: &partner(user),
                            kind: "chat",
                            fan: 1,
                            stamp: board.now(),
                        };
                        session.send(board, &message);
                    }
                }
                match polled {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(error),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Takes one piece of what came.
    fn poll(&self, cx: &mut Context<'_>, board: &Board) -> Poll<io::Result<()>> {
        let mut live = self.live.borrow_mut();
        if let Poll::Ready(Err(error)) = live.conn.poll_flush(cx) {
            return Poll::Ready(Err(error));
        }
        let Poll::Ready(read) = live.conn.poll_read(cx) else {
            self.waker.set(Some(cx.waker().clone()));
            return Poll::Pending;
        };
        read?;
        while let Some(found) = live.conn.next_found()? {
            match found {
                Found::Stanza(range) => live.take(self.user, range, board)?,
                Found::Header(_) => {}
                Found::End => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            }
        }
        if !live.answers.is_empty() {
            let Live {
                conn,
                answers,
                ends,
                ..
            } = &mut *live;
            let mut from = 0;
            for end in ends.drain(..) {
                conn.queue(answers.get(from..end).unwrap_or_default());
                from = end;
            }
            *answers = Vec::new();
            conn.send_queued()?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Live {
    fn take(&mut self, user: u32, range: std::ops::Range<usize>, board: &Board) -> io::Result<()> {
        let stanza = self.conn.bytes(range);
        match name(stanza) {
            b"message" => {
                if attribute(stanza, "type") == Some(b"error") {
                    board.count(|c| c.errors += 1);
                } else if let Some((sender, number, stamp)) = read(stanza) {
                    let arrival = tally(&mut self.tallies, sender).note(number);
                    board.delivered(user, sender, stamp, arrival);
                }
            }
            b"presence" => {
                if attribute(stanza, "type") == Some(b"error") {
                    board.count(|c| c.errors += 1);
                } else if contains(stanza, "code='110'") || contains(stanza, "code=\"110\"") {
                    board.count(|c| c.joined += 1);
                }
            }
            b"iq" => {
                let kind = attribute(stanza, "type");
                if kind == Some(b"result") {
                    board.count(|c| c.granted += 1);
                } else if matches!(kind, Some(b"get" | b"set")) {
                    answer(&mut self.answers, stanza);
                    self.ends.push(self.answers.len());
                    if let Some(managed) = &mut self.managed {
                        managed.sent = managed.sent.wrapping_add(1);
                    }
                }
            }
            b"r" => {
                let handled = self.managed.as_ref().map_or(0, |m| m.handled);
                let _ = write!(self.answers, "<a xmlns='urn:xmpp:sm:3' h='{handled}'/>");
                self.ends.push(self.answers.len());
                return Ok(());
            }
            b"a" => {
                let h =
                    attribute(stanza, "h").and_then(|h| std::str::from_utf8(h).ok()?.parse().ok());
                self.acked(user, h.unwrap_or(0), board);
                return Ok(());
            }
            b"stream:error" => {
                let text = String::from_utf8_lossy(stanza).into_owned();
                return Err(io::Error::other(text));
            }
            _ => return Ok(()),
        }
        if let Some(managed) = &mut self.managed {
            managed.handled = managed.handled.wrapping_add(1);
        }
        Ok(())
    }

    fn acked(&mut self, user: u32, handled: u32, board: &Board) {
        while let Some((count, stamp)) = self.unacked.front().copied() {
            // The counters wrap (XEP-0198 §4): what is not ahead of `handled` is acknowledged.
            if handled.wrapping_sub(count) > u32::MAX / 2 {
                break;
            }
            self.unacked.pop_front();
            board.acked(user, stamp);
        }
    }
}

fn tally(tallies: &mut Vec<(u32, Tally)>, sender: u32) -> &mut Tally {
    let at = match tallies.iter().position(|(of, _)| *of == sender) {
        Some(at) => at,
        None => {
            tallies.push((sender, Tally::default()));
            tallies.len() - 1
        }
    };
    &mut tallies[at].1
}

/// Sender, number and stamp of one of our messages. Copies (carbons, archive) are none: their body stands deeper.
fn read(stanza: &[u8]) -> Option<(u32, u32, u64)> {
    if contains(stanza, "<forwarded") {
        return None;
    }
    let body = std::str::from_utf8(text(stanza, "body")?).ok()?;
    let mut words = body.strip_prefix("PL ")?.split(' ');
    let sender = words.next()?.parse().ok()?;
    let number = words.next()?.parse().ok()?;
    Some((sender, number, words.next()?.parse().ok()?))
}

/// Answers a request with an empty result: pings want no more.
fn answer(answers: &mut Vec<u8>, request: &[u8]) {
    let mut put = |bytes: &[u8]| answers.extend_from_slice(bytes);
    put(b"<iq type='result' id='");
    put(attribute(request, "id").unwrap_or_default());
    put(b"'");
    if let Some(from) = attribute(request, "from") {
        put(b" to='");
        put(from);
        put(b"'");
    }
    put(b"/>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written_but_its_copies_are_not() {
        let message = "<message from='u1@load.test/x'><body>PL 7 12 345 xxx</body></message>";
        assert_eq!(read(message.as_bytes()), Some((7, 12, 345)));
        let copy = format!(
            "<message><sent xmlns='urn:xmpp:carbons:2'><forwarded>{message}</forwarded></sent></message>"
        );
        assert_eq!(read(copy.as_bytes()), None);
        assert_eq!(read(b"<message><body>hello</body></message>"), None);
    }

    #[test]
    fn a_ping_is_answered_to_whoever_asked() {
        let mut answers = Vec::new();
        answer(
            &mut answers,
            b"<iq from='load.test' id='p1' type='get'><ping/></iq>",
        );
        assert_eq!(answers, b"<iq type='result' id='p1' to='load.test'/>");
    }
}
