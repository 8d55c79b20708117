//! Chats at a given rate: each message leaves at its time, whether or not the server keeps up.

use std::rc::Rc;

use anyhow::Result;

use crate::crowd::Crowd;
use crate::pace::Pace;
use crate::session::Message;

/// The first of a crowd's users, each of whom writes to its partner when its turn comes.
pub(super) struct Chat {
    crowd: Rc<Crowd>,
    among: u32,
    /// From one speaker to the next.
    step: u64,
    rate: f64,
    pace: Pace,
    began: u64,
    number: u64,
}

impl Chat {
    /// Of the users below `among` (all, or an even number), who send `rate` messages a second together. It begins in a
    /// millisecond.
    ///
    /// # Errors
    ///
    /// The system gives no timer.
    pub(super) fn new(crowd: Rc<Crowd>, among: u32, rate: f64) -> Result<Self> {
        Ok(Self {
            began: crowd.board.now() + 1_000_000,
            // By a step that shares no divisor with their number, so that neighbours do not speak one after the other.
            step: u64::from(coprime(among)),
            pace: Pace::new()?,
            crowd,
            among,
            rate,
            number: 0,
        })
    }

    /// When its first message leaves, by the board's clock.
    pub(super) fn began(&self) -> u64 {
        self.began
    }

    /// Sends the next message, once its time has come.
    ///
    /// # Errors
    ///
    /// The timer broke.
    pub(super) async fn next(&mut self) -> Result<()> {
        let Self { crowd, number, .. } = self;
        let board = &crowd.board;
        let due = self.began + (*number as f64 * 1e9 / self.rate) as u64;
        if board.now() < due {
            self.pace.until(board.instant(due)).await?;
        } else if number.is_multiple_of(64) {
            // Late: what comes must be read all the same.
            tokio::task::yield_now().await;
        }
        let user = ((*number * self.step) % u64::from(self.among)) as u32;
        *number += 1;
        let Some(session) = board.session(user) else {
            // Somebody who was dropped cannot send; that this message is missing has to show.
            board.count(|c| c.due += 1);
            return Ok(());
        };
        let late = board.now().saturating_sub(due);
        board.lateness.borrow_mut().record(late);
        let message = Message {
            to: &crowd.server.jid(crowd.partner(user)),
            kind: "chat",
            fan: 1,
            stamp: due,
        };
        session.send(board, &message);
        Ok(())
    }
}

/// A number near the golden section of `users` that shares no divisor with it.
fn coprime(users: u32) -> u32 {
    let divisor = |mut a: u32, mut b: u32| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let golden = (f64::from(users) * 0.618) as u32;
    (golden.max(1)..)
        .find(|step| divisor(*step, users) == 1)
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_speaks_once_before_anyone_speaks_again() {
        for users in [1, 2, 20, 4000, 19_000] {
            let step = u64::from(coprime(users));
            let turns = (0..u64::from(users)).map(|n| n * step % u64::from(users));
            let spoken: std::collections::HashSet<_> = turns.collect();
            assert_eq!(spoken.len(), users as usize);
        }
    }
}
