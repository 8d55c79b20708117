//! Half of the clients are hostile, each in its way; the other half chats, in a thread of its own. What do they notice?

mod ways;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use super::Trial;
use super::apart::Apart;
use ways::{Did, Foe};

/// How often the server is looked at.
const LOOK: Duration = Duration::from_millis(500);

impl Trial {
    pub(super) async fn hostile(&mut self) -> Result<()> {
        let polite = (self.options.users / 2) & !1;
        ensure!(polite >= 2, "{} users have no half", self.options.users);
        let apart = Apart::start(&self.options, polite).await?;
        tokio::time::sleep(Duration::from_secs_f64(self.options.quiet)).await;
        let mark = self.mark()?;
        let did = Rc::new(Did::default());
        let mut foes = JoinSet::new();
        for user in polite..self.options.users {
            let foe = Foe {
                server: Rc::clone(&self.crowd.server),
                did: Rc::clone(&did),
                user,
                polite,
                users: self.options.users,
            };
            foes.spawn_local(foe.act());
        }
        // What they do at first does not count: the server may need a moment to see who is who.
        self.watch(self.options.warm_up, &Cell::default()).await?;
        apart.begin();
        let most = Cell::new(mark.server);
        self.watch(self.options.seconds, &most).await?;
        let seen = apart.finish().await?;
        let spent = self.since(&mark)?;
        foes.abort_all();
        while foes.join_next().await.is_some() {}
        self.silence().await;
        let after = self.sample()?;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let grown = |now: u64| mib(now) - mib(mark.server.rss);
        let o = &mut self.outcome;
        o.figure("server_cores", spent.server.cpu / spent.seconds);
        o.figure("tool_cores", spent.own / spent.seconds);
        o.figure("server_rss_mib", mib(mark.server.rss));
        o.figure("server_rss_growth_mib", grown(most.get().rss));
        o.figure("server_rss_growth_after_mib", grown(after.rss));
        o.figure("server_files_most", most.get().files as f64);
        for (name, count) in did.counts() {
            o.figure(&format!("hostile_{name}"), count as f64);
        }
        let p99 = seen.busy.quantile(0.99) as f64 / 1e6;
        o.figure("over_the_bar", f64::from(u8::from(p99 > self.options.bar)));
        self.note_seen(&seen);
        Ok(())
    }

    /// Looks at the server for so many seconds, and keeps the most that it holds.
    async fn watch(&self, seconds: f64, most: &Cell<crate::process::Sample>) -> Result<()> {
        let end = tokio::time::Instant::now() + Duration::from_secs_f64(seconds);
        while tokio::time::Instant::now() < end {
            tokio::time::sleep(LOOK.min(end.duration_since(tokio::time::Instant::now()))).await;
            let (mut held, now) = (most.get(), self.sample()?);
            held.rss = held.rss.max(now.rss);
            held.files = held.files.max(now.files);
            most.set(held);
        }
        Ok(())
    }
}
