//! The server is restarted, and all who were there come back at the same moment, with their sessions where it kept them.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Trial;

impl Trial {
    pub(super) async fn reconnect(&mut self) -> Result<()> {
        let restart = self.options.restart.clone();
        let restart = restart.context("reconnect needs --restart COMMAND")?;
        self.arrive().await?;
        let all = u64::from(self.options.users);
        let before = self.crowd.board.counts().dropped;
        let run = move || Command::new("sh").args(["-c", &restart]).output();
        let output = tokio::task::spawn_blocking(run)
            .await?
            .context("run the restart")?;
        ensure!(
            output.status.success(),
            "the restart failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let said = String::from_utf8_lossy(&output.stdout);
        let pid = said
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("pid ")?.trim().parse().ok());
        self.pid = self.pid.and(pid);
        let crowd = self.crowd();
        let cut = |board: &crate::board::Board| board.counts().dropped - before >= all;
        ensure!(
            crowd.settle(cut).await,
            "not everybody was cut off by the restart"
        );
        let mark = self.mark()?;
        let logins = crowd.enter(crowd.take_gone(), self.options.users).await;
        let spent = self.since(&mark)?;
        self.note_logins("back_", &logins, &spent);
        self.outcome.figure("back_resumed", logins.resumed as f64);
        self.outcome.figure("back_seconds", logins.seconds);
        if let Some(reason) = logins.reason {
            println!("refused: {reason}");
        }
        // The cut itself is what this scenario is about.
        self.silence().await;
        let dropped = self.crowd.board.counts().dropped - before - all;
        self.outcome.figure("dropped", dropped as f64);
        self.sample().map(|s| {
            self.outcome
                .figure("server_rss_after_mib", s.rss as f64 / f64::from(1 << 20))
        })
    }
}
