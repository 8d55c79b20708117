//! Rooms (XEP-0045): one who speaks to many, and many rooms with a few each.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Trial;
use crate::pace::Pace;
use crate::session::Message;

/// How many may be entering a room at the same time: each hears of all others.
const ENTERING: u64 = 50;

/// A room and who is in it: users `first` to `last`; the first one speaks.
pub(super) struct Room {
    pub(super) address: String,
    pub(super) first: u32,
    pub(super) last: u32,
}

impl Trial {
    pub(super) async fn one_room(&mut self) -> Result<()> {
        let listeners = self.options.occupants;
        let users = self.options.users;
        ensure!(
            users > listeners,
            "{listeners} listeners need more than {users} users"
        );
        self.arrive().await?;
        let rooms = [self.room(0, 0, listeners)];
        self.speak(&rooms).await
    }

    pub(super) async fn many_rooms(&mut self) -> Result<()> {
        let (users, each) = (self.options.users, self.options.occupants);
        ensure!(
            each > 0 && users >= each,
            "rooms of {each} for {users} users"
        );
        self.arrive().await?;
        let rooms: Vec<_> = (0..users / each)
            .map(|n| self.room(n, n * each, n * each + each - 1))
            .collect();
        self.speak(&rooms).await
    }

    pub(super) fn room(&self, number: u32, first: u32, last: u32) -> Room {
        // A room that an earlier run has made would have its history.
        let run = std::process::id();
        let address = format!("load-{run}-{number}@{}", self.options.rooms_domain);
        Room {
            address,
            first,
            last,
        }
    }

    /// Everybody enters, then the first of each room speaks in turn.
    async fn speak(&mut self, rooms: &[Room]) -> Result<()> {
        let mark = self.mark()?;
        for room in rooms {
            self.fill(room).await?;
        }
        let spent = self.since(&mark)?;
        let joined = spent.counts.joined as f64;
        self.outcome
            .figure("server_cpu_ms_per_join", spent.server.cpu * 1e3 / joined);
        self.silence().await;
        self.talk(rooms, self.options.warm_up).await?;
        let mark = self.mark()?;
        self.talk(rooms, self.options.seconds).await?;
        let spent = self.since(&mark)?;
        self.note_spent(&spent, spent.counts.delivered as f64, "delivery");
        let per_s = spent.counts.delivered as f64 / spent.seconds;
        self.outcome.figure("deliveries_per_s", per_s);
        self.note_faults();
        Ok(())
    }

    pub(super) async fn fill(&self, room: &Room) -> Result<()> {
        let (crowd, address) = (self.crowd(), &room.address);
        let before = crowd.board.counts();
        let enter = |user: u32| {
            let session = crowd.board.session(user).context("a user has gone")?;
            session.send_stanza(&format!(
                "<presence to='{address}/n{user}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>"
            ));
            Ok::<_, anyhow::Error>(session)
        };
        let come = async |n: u64| {
            crowd
                .settle(|b| b.counts().since(&before).joined >= n)
                .await
        };
        let maker = enter(room.first)?;
        ensure!(come(1).await, "{address} could not be made");
        maker.send_stanza(&format!(
            "<iq type='set' id='make' to='{address}'><query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='submit'/></query></iq>"
        ));
        // Until then it is locked (XEP-0045 §10.1.2).
        let granted = crowd
            .settle(|b| b.counts().since(&before).granted >= 1)
            .await;
        ensure!(granted, "{address} stayed locked");
        for user in room.first + 1..=room.last {
            let entered = u64::from(user - room.first);
            ensure!(
                come(entered.saturating_sub(ENTERING)).await,
                "{address} lets nobody in"
            );
            enter(user)?;
        }
        let all = u64::from(room.last - room.first + 1);
        ensure!(come(all).await, "not everybody came into {address}");
        Ok(())
    }

    async fn talk(&self, rooms: &[Room], seconds: f64) -> Result<()> {
        let crowd = self.crowd();
        let board = &crowd.board;
        let pace = Pace::new()?;
        let began = board.now() + 1_000_000;
        board.observe(began, began + (seconds * 1e9) as u64);
        let total = (self.options.rate * seconds) as u64;
        for (number, room) in (0..total).zip(rooms.iter().cycle()) {
            let due = began + (number as f64 * 1e9 / self.options.rate) as u64;
            pace.until(board.instant(due)).await?;
            let session = board.session(room.first).context("the speaker has gone")?;
            board
                .lateness
                .borrow_mut()
                .record(board.now().saturating_sub(due));
            let message = Message {
                to: &room.address,
                kind: "groupchat",
                fan: u64::from(room.last - room.first + 1),
                stamp: due,
            };
            session.send(board, &message);
            tokio::task::yield_now().await;
        }
        crowd.drain().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(())
    }
}
