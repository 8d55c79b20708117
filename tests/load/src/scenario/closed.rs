//! The closed loop: as soon as one message has come and is acknowledged, the next leaves.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Trial;
use crate::session::Message;

impl Trial {
    pub(super) async fn closed(&mut self) -> Result<()> {
        self.arrive().await?;
        let crowd = self.crowd();
        let board = &crowd.board;
        let managed = crowd.acks();
        ensure!(
            managed || self.options.no_stream_management,
            "the server has no stream management; --no-stream-management measures deliveries only"
        );
        board.close(self.options.users, self.options.in_flight, managed);
        while let Some(user) = board.next_turn() {
            let to = crowd.server.jid(crowd.partner(user));
            if let Some(session) = board.session(user) {
                let (kind, fan, stamp) = ("chat", 1, board.now());
                session.send(
                    board,
                    &Message {
                        to: &to,
                        kind,
                        fan,
                        stamp,
                    },
                );
            }
        }
        tokio::time::sleep(Duration::from_secs_f64(self.options.warm_up)).await;
        board.observe(board.now(), u64::MAX);
        let mark = self.mark()?;
        tokio::time::sleep(Duration::from_secs_f64(self.options.seconds)).await;
        let spent = self.since(&mark)?;
        board.open();
        let completed = spent.counts.completed as f64;
        self.outcome.figure("rate", completed / spent.seconds);
        self.note_spent(&spent, completed, "message");
        crowd.drain().await;
        self.note_faults();
        Ok(())
    }
}
