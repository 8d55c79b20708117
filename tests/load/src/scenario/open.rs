//! The open loop: messages leave at their time, whether or not the server keeps up, and latency counts from that time.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::chat::Chat;
use super::{Spent, Trial};
use crate::card::Card;
use crate::trend::{LEAST_MIB, Trend, settled};

/// One period at one rate.
struct Period {
    spent: Spent,
    /// Whether everything came in the end.
    whole: bool,
}

/// How often memory is read in a long run.
const SERIES: Duration = Duration::from_secs(10);
/// Measurements by which growth can be told from chance.
const ENOUGH: usize = 20;

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
        self.note_growth();
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
        let crowd = self.crowd();
        let mut chat = Chat::new(Rc::clone(&crowd), self.options.users, rate)?;
        let began = chat.began();
        crowd.board.observe(began, began + (seconds * 1e9) as u64);
        let mark = self.mark()?;
        let mut noted = Instant::now();
        for _ in 0..(rate * seconds) as u64 {
            chat.next().await?;
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

    /// Whether memory grew, in a run that was long enough to say.
    fn note_growth(&mut self) {
        let points = settled(&self.outcome.series, "server_anonymous_mib");
        let Some(memory) = Trend::of(&points).filter(|_| points.len() >= ENOUGH) else {
            return;
        };
        let o = &mut self.outcome;
        o.figure("memory_growth_mib", memory.growth);
        o.figure("memory_noise_mib", memory.noise);
        o.figure("growing", f64::from(u8::from(memory.rises(LEAST_MIB))));
    }

    fn note_series(&mut self, mark: &super::Mark) -> Result<()> {
        let spent = self.since(mark)?;
        let figures = [
            (
                "server_rss_mib",
                spent.server.rss as f64 / f64::from(1 << 20),
            ),
            (
                "server_anonymous_mib",
                spent.server.anonymous as f64 / f64::from(1 << 20),
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
