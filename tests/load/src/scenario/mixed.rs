//! What people do all day: chats, rooms, presence, coming and going, reading the archive; for long, to find what grows.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use tokio::task::spawn_local;

use super::rooms::Room;
use super::{Mark, Trial};
use crate::crowd::{Crowd, Gone};
use crate::histogram::Histogram;
use crate::pace::Pace;
use crate::session::Message;
use crate::trend::{LEAST_MIB, Trend, median, settled};

/// One of how many comes and goes; the others stay.
const GOING: u32 = 10;
/// The newest messages of the own archive.
const ASK_ARCHIVE: &str = "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>10</max><before/></set></query>";
/// Measurements of a run.
const MEASUREMENTS: f64 = 120.0;

/// Runs that are shorter, in seconds, say nothing about growth: histories and caches still fill.
const LONG: f64 = 600.0;

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Chat,
    Room,
    Presence,
    Archive,
    ComeOrGo,
}

/// 74 of 100 deeds are chats, 12 go to rooms, 6 are presence, 4 read the archive, 4 are logins and ends of sessions.
fn deed(number: u64) -> Deed {
    // Steps of 37 visit all of 0 to 99, so that no kind comes in a row.
    match number * 37 % 100 {
        0..74 => Deed::Chat,
        74..86 => Deed::Room,
        86..92 => Deed::Presence,
        92..96 => Deed::Archive,
        _ => Deed::ComeOrGo,
    }
}

/// Everybody, and how often what was done.
struct Day {
    crowd: Rc<Crowd>,
    rooms: Vec<Room>,
    /// Users below this stay.
    staying: u32,
    turns: [u64; 5],
    asked: u64,
    entered: Rc<RefCell<Histogram>>,
    not_let_in: Rc<Cell<u64>>,
    coming: Rc<RefCell<HashSet<u32>>>,
}

impl Trial {
    pub(super) async fn mixed(&mut self) -> Result<()> {
        let users = self.options.users;
        let staying = (users - users / GOING) & !1;
        ensure!(staying >= 4, "{users} users are too few for mixed traffic");
        self.arrive().await?;
        let each = self.options.occupants.min(staying);
        let rooms: Vec<_> = (0..(staying / 4 / each).max(1))
            .map(|n| self.room(n, n * each, n * each + each - 1))
            .collect();
        for room in &rooms {
            self.fill(room).await?;
        }
        self.silence().await;
        let granted = self.crowd.board.counts().granted;
        let mut day = Day {
            crowd: self.crowd(),
            rooms,
            staying,
            turns: [0; 5],
            asked: 0,
            entered: Rc::default(),
            not_let_in: Rc::default(),
            coming: Rc::default(),
        };
        let mark = self.mark()?;
        self.live(&mut day, &mark).await?;
        let spent = self.since(&mark)?;
        self.note_spent(&spent, self.options.rate * self.options.seconds, "deed");
        self.crowd.drain().await;
        let (asked, board) = (day.asked, &self.crowd.board);
        let answered = |b: &crate::board::Board| b.counts().granted - granted >= asked;
        let all = self.crowd.settle(answered).await;
        let missing = asked.saturating_sub(board.counts().granted - granted);
        ensure!(all, "{missing} questions to the archive were not answered");
        self.outcome.figure("archive_queries", asked as f64);
        let not_let_in = day.not_let_in.get() as f64;
        self.outcome.figure("comers_not_let_in", not_let_in);
        self.outcome.latency("comers_login", &day.entered.borrow());
        self.note_faults();
        self.judge()
    }

    /// Does what is due until the time is over, and measures now and then.
    async fn live(&mut self, day: &mut Day, mark: &Mark) -> Result<()> {
        let (rate, seconds) = (self.options.rate, self.options.seconds);
        let pace = Pace::new()?;
        let board = Rc::clone(&self.crowd.board);
        let began = board.now() + 1_000_000;
        let total = (rate * seconds) as u64;
        let each = (total as f64 / MEASUREMENTS).ceil() as u64;
        board.observe(began, u64::MAX);
        for number in 0..total {
            let due = began + (number as f64 * 1e9 / rate) as u64;
            pace.until(board.instant(due)).await?;
            // Late: what comes must be read all the same.
            tokio::task::yield_now().await;
            day.does(deed(number), due)?;
            if number % each == each - 1 {
                self.measure(mark)?;
                board.observe(due, u64::MAX);
            }
        }
        Ok(())
    }

    fn measure(&mut self, mark: &Mark) -> Result<()> {
        let spent = self.since(mark)?;
        let delivery = self.crowd.board.delivery.borrow();
        let ms = |q| delivery.quantile(q) as f64 / 1e6;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let figures = [
            ("server_rss_mib", mib(spent.server.rss)),
            ("server_anonymous_mib", mib(spent.server.anonymous)),
            ("server_files", spent.server.files as f64),
            ("server_cpu_s", spent.server.cpu),
            ("p50_ms", ms(0.5)),
            ("p99_ms", ms(0.99)),
            ("dropped", spent.counts.dropped as f64),
        ];
        let figures = figures.map(|(name, value)| (name.to_owned(), value));
        let series = &mut self.outcome.series;
        series.push((spent.seconds, BTreeMap::from(figures)));
        Ok(())
    }

    /// Notes what the measurements say: memory, open files and latency at the end beside the beginning.
    fn judge(&mut self) -> Result<()> {
        let series = &self.outcome.series;
        let of = |name: &str| settled(series, name);
        let third = |name: &str, last: bool| -> Vec<f64> {
            let all: Vec<_> = of(name).into_iter().map(|p| p.1).collect();
            let n = all.len().div_ceil(3);
            let range = if last { all.len() - n..all.len() } else { 0..n };
            all.get(range).unwrap_or_default().to_vec()
        };
        let most = |values: Vec<f64>| values.into_iter().fold(0.0, f64::max);
        let memory = Trend::of(&of("server_anonymous_mib"));
        let memory = memory.context("too few measurements: run longer")?;
        let files = most(third("server_files", true)) - most(third("server_files", false));
        let [p50, p99] = ["p50_ms", "p99_ms"].map(|q| {
            let [before, after] = [false, true].map(|last| median(third(q, last)));
            (before, after)
        });
        let slower = |(before, after): (f64, f64)| after > 1.5 * before + 1.0;
        let mut faults = Vec::new();
        for (found, fault) in [
            (memory.rises(LEAST_MIB), "memory grows"),
            // Who comes and goes makes some files more or fewer at any moment.
            (
                files > f64::from(self.options.users / GOING / 2).max(4.0),
                "open files grow",
            ),
            (slower(p50), "the median latency grows"),
            (slower(p99), "latency (p99) grows"),
        ] {
            if found {
                faults.push(fault);
            }
        }
        let o = &mut self.outcome;
        o.figure("memory_growth_mib", memory.growth);
        o.figure("memory_noise_mib", memory.noise);
        o.figure("files_growth", files);
        for (name, (before, after)) in [("p50", p50), ("p99", p99)] {
            o.figure(&format!("{name}_first_third_ms"), before);
            o.figure(&format!("{name}_last_third_ms"), after);
        }
        for fault in &faults {
            println!("{fault}");
        }
        let tells = self.options.seconds >= LONG;
        let growing = if tells { faults.len() } else { 0 };
        o.figure("growing", growing as f64);
        Ok(())
    }
}

impl Day {
    /// The next of those whose turn it is to do so.
    fn turn(&mut self, deed: Deed, of: u32) -> u32 {
        let turns = &mut self.turns[deed as usize];
        *turns += 1;
        ((*turns - 1) % u64::from(of.max(1))) as u32
    }

    /// The room whose archive is asked for: each tenth question is for one of a room. A server may keep what nobody asks for out of
    /// its order for long, and that would look like growth.
    fn room_in_turn(&self, question: u64) -> Option<&Room> {
        let rooms = self.rooms.len() as u64;
        let room = (question / 10).checked_rem(rooms)?;
        self.rooms
            .get(usize::try_from(room).ok()?)
            .filter(|_| question.is_multiple_of(10))
    }

    fn does(&mut self, deed: Deed, due: u64) -> Result<()> {
        let board = Rc::clone(&self.crowd.board);
        match deed {
            Deed::Chat => {
                let mut user = self.turn(deed, self.staying);
                if self.rooms.iter().any(|room| room.first == user) {
                    // A room's message waits for the disk and a chat does not: no order between the two is promised to one
                    // who hears both from the same.
                    user ^= 1;
                }
                let to = self.crowd.server.jid(user ^ 1);
                self.says(user, &to, "chat", 1, due);
            }
            Deed::Room => {
                let turn = self.turn(deed, self.rooms.len() as u32);
                let room = self.rooms.get(turn as usize).context("no room")?;
                let (speaker, fan) = (room.first, u64::from(room.last - room.first + 1));
                let to = room.address.clone();
                self.says(speaker, &to, "groupchat", fan, due);
            }
            Deed::Presence => {
                let user = self.turn(deed, self.staying);
                if let Some(session) = board.session(user) {
                    session.send_stanza("<presence><show>away</show></presence>");
                }
            }
            Deed::Archive => {
                let id = self.asked;
                let (user, to) = match self.room_in_turn(id) {
                    Some(room) => (room.first, format!(" to='{}'", room.address)),
                    None => (self.turn(deed, self.staying), String::new()),
                };
                if let Some(session) = board.session(user) {
                    session
                        .send_stanza(&format!("<iq type='set' id='m{id}'{to}>{ASK_ARCHIVE}</iq>"));
                    self.asked += 1;
                }
            }
            Deed::ComeOrGo => {
                let user = self.staying + self.turn(deed, self.crowd.users - self.staying);
                self.come_or_go(user);
            }
        }
        Ok(())
    }

    fn says(&self, user: u32, to: &str, kind: &str, fan: u64, stamp: u64) {
        let board = &self.crowd.board;
        let Some(session) = board.session(user) else {
            // Somebody who was dropped cannot send; that this message is missing has to show.
            return board.count(|c| c.due += fan);
        };
        session.send(
            board,
            &Message {
                to,
                kind,
                fan,
                stamp,
            },
        );
    }

    /// Who is there goes, who is not comes.
    fn come_or_go(&self, user: u32) {
        if self.crowd.board.session(user).is_some() {
            return self.crowd.dismiss(user);
        }
        if !self.coming.borrow_mut().insert(user) {
            return;
        }
        let coming = Rc::clone(&self.coming);
        let (crowd, took) = (Rc::clone(&self.crowd), Rc::clone(&self.entered));
        let not_let_in = Rc::clone(&self.not_let_in);
        spawn_local(async move {
            let logins = crowd.enter(vec![Gone::new(user)], 1).await;
            coming.borrow_mut().remove(&user);
            took.borrow_mut().merge(&logins.took);
            not_let_in.set(not_let_in.get() + logins.failed);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_deeds_are_done_in_their_shares() {
        let count = |wanted| (0..100).filter(|n| deed(*n) == wanted).count();
        let all = [
            Deed::Chat,
            Deed::Room,
            Deed::Presence,
            Deed::Archive,
            Deed::ComeOrGo,
        ];
        assert_eq!(all.map(count), [74, 12, 6, 4, 4]);
    }
}
