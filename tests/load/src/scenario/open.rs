//! The open loop: messages leave at their time, whether or not the server keeps up, and latency counts from that time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Spent, Trial};
use crate::card::Card;
use crate::pace::Pace;
use crate::session::Message;

/// One period at one rate.
struct Period {
    spent: Spent,
    /// Whether everything came in the end.
    whole: bool,
}

/// How often memory is read in a long run.
const SERIES: Duration = Duration::from_secs(10);

impl Trial {
    pub(super) async fn open(&mut self) -> Result<()> {
        self.arrive().await?;
        let (rate, seconds) = (self.options.rate, self.options.seconds);
        self.offer(rate, self.options.warm_up).await?;
        let card = self.options.card.as_deref().map(Card::of).transpose()?;
        let before = card.as_ref().map(Card::written).transpose()?;
        let period = self.offer(rate, seconds).await?;
        if let (Some(card), Some(before)) = (card, before) {
            let written = card.written()? - before;
            let each = written as f64 / period.spent.counts.sent as f64;
            self.outcome.figure("device_bytes_per_message", each);
        }
        let sent = period.spent.counts.sent as f64;
        self.note_spent(&period.spent, sent, "message");
        self.outcome.figure("rate", sent / seconds);
        self.note_faults();
        Ok(())
    }

    pub(super) async fn highest(&mut self) -> Result<()> {
        self.arrive().await?;
        let mut highest = 0.0;
        self.offer(100.0, self.options.warm_up).await?;
        for rate in self.options.rates.clone() {
            let period = self.offer(rate, self.options.seconds).await?;
            let (p50, p99) = {
                let delivery = self.crowd.board.delivery.borrow();
                (delivery.quantile(0.5), delivery.quantile(0.99))
            };
            let [p50, p99] = [p50, p99].map(|nanos| nanos as f64 / 1e6);
            let counts = period.spent.counts;
            let failed = !period.whole || counts.dropped > 0 || counts.errors > 0;
            let step = [
                ("rate", rate),
                ("p50_ms", p50),
                ("p99_ms", p99),
                (
                    "server_cores",
                    period.spent.server.cpu / period.spent.seconds,
                ),
                ("failed", f64::from(u8::from(failed))),
            ];
            println!("{step:?}");
            let step = step.map(|(name, value)| (name.to_owned(), value));
            self.outcome.series.push((rate, BTreeMap::from(step)));
            if failed || p99 >= 1000.0 {
                break;
            }
            highest = rate;
        }
        self.outcome.figure("highest_rate", highest);
        self.note_faults();
        Ok(())
    }

    /// Sends `rate` messages a second for so many seconds, each by the next user to its partner, and waits for them.
    async fn offer(&mut self, rate: f64, seconds: f64) -> Result<Period> {
        let pace = Pace::new()?;
        let crowd = self.crowd();
        let board = &crowd.board;
        // By a step that shares no divisor with their number, so that neighbours do not speak one after the other.
        let step = coprime(self.options.users);
        let total = (rate * seconds) as u64;
        let began = board.now() + 1_000_000;
        board.observe(began, began + (seconds * 1e9) as u64);
        let mark = self.mark()?;
        let mut noted = Instant::now();
        for number in 0..total {
            let due = began + (number as f64 * 1e9 / rate) as u64;
            if board.now() < due {
                pace.until(board.instant(due)).await?;
            } else if number % 64 == 0 {
                // Late: what comes must be read all the same.
                tokio::task::yield_now().await;
            }
            let user = ((number * u64::from(step)) % u64::from(self.options.users)) as u32;
            if let Some(session) = board.session(user) {
                let late = board.now().saturating_sub(due);
                board.lateness.borrow_mut().record(late);
                let message = Message {
                    to: &crowd.server.jid(crowd.partner(user)),
                    kind: "chat",
                    fan: 1,
                    stamp: due,
                };
                session.send(board, &message);
            } else {
                // Somebody who was dropped cannot send; that this message is missing has to show.
                board.count(|c| c.due += 1);
            }
            if seconds > 60.0 && noted.elapsed() > SERIES {
                noted = Instant::now();
                self.note_series(&mark)?;
            }
        }
        let whole = crowd.drain().await;
        Ok(Period {
            spent: self.since(&mark)?,
            whole,
        })
    }

    fn note_series(&mut self, mark: &super::Mark) -> Result<()> {
        let spent = self.since(mark)?;
        let figures = [
            (
                "server_rss_mib",
                spent.server.rss as f64 / f64::from(1 << 20),
            ),
            ("server_cpu_s", spent.server.cpu),
            ("server_files", spent.server.files as f64),
            ("missing", spent.counts.missing() as f64),
            ("dropped", spent.counts.dropped as f64),
        ];
        let figures = figures.map(|(name, value)| (name.to_owned(), value));
        self.outcome
            .series
            .push((spent.seconds, BTreeMap::from(figures)));
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
