//! All come at the same moment, as after a power cut, while a few who are there already go on talking.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Trial;
use super::apart::Apart;

impl Trial {
    pub(super) async fn storm(&mut self) -> Result<()> {
        let (users, witnesses) = (self.options.users, self.options.witnesses & !1);
        ensure!(
            witnesses < users,
            "{witnesses} witnesses of {users} users leave nobody to come"
        );
        if witnesses == 0 {
            self.arrive().await?;
            self.note_dropped();
            return Ok(());
        }
        let mut options = self.options.clone();
        // Each writes once a second.
        options.rate = f64::from(witnesses);
        let apart = Apart::start(&options, witnesses).await?;
        tokio::time::sleep(Duration::from_secs_f64(self.options.warm_up)).await;
        apart.begin();
        let come = self.come(witnesses).await;
        let seen = apart.finish().await?;
        self.rest(&come?, users - witnesses).await?;
        self.note_seen(&seen);
        let dropped = seen.counts.dropped + self.crowd.board.counts().dropped;
        self.outcome.figure("dropped", dropped as f64);
        Ok(())
    }
}
