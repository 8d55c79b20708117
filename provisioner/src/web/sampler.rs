//! Looks at the box every minute, for the history.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Web;
use super::figures::Figures;
use super::history::Sample;
use super::visitor::now;

/// Between two looks.
const MINUTE: Duration = Duration::from_secs(60);

/// What imd says of itself at no cost.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Pulse {
    /// People with a session.
    pub people_online: u64,
    /// Messages since it started.
    pub messages: u64,
}

/// Takes a sample every minute until the process ends.
pub async fn run(web: Arc<Web>) {
    let mut before: Option<(i64, u64)> = None;
    loop {
        let asked = Instant::now();
        let pulse = web.imd.get::<Pulse>("/pulse").await.ok();
        // It has its turn among the tasks that serve people.
        let answer = pulse.map(|_| asked.elapsed());
        let at = now();
        let messages = pulse.map(|pulse| (at, pulse.messages));
        let sample = Sample {
            answer: answer.map(|time| time.as_secs_f64() * 1000.0),
            ..sample(&web.look(), pulse, at, rate(before, messages))
        };
        if let Err(error) = web.history.note(sample) {
            eprintln!("<4>{error:#}");
        }
        before = messages;
        tokio::time::sleep(MINUTE).await;
    }
}

/// Messages a minute between two counts. Absent: one is not known, or the chat server has started in between.
pub fn rate(before: Option<(i64, u64)>, after: Option<(i64, u64)>) -> Option<f64> {
    let ((from, old), (to, new)) = (before?, after?);
    let more = new.checked_sub(old).filter(|_| to > from)?;
    #[allow(clippy::cast_precision_loss, reason = "messages of a minute")]
    let (more, seconds) = (more as f64, (to - from) as f64);
    Some(more * 60.0 / seconds)
}

#[allow(clippy::cast_precision_loss, reason = "figures for a picture")]
fn sample(figures: &Figures, pulse: Option<Pulse>, at: i64, messages: Option<f64>) -> Sample {
    let used = figures.memory.saturating_sub(figures.memory_free) as f64;
    Sample {
        at,
        online: pulse.map(|pulse| pulse.people_online as f64),
        messages,
        temperature: figures.temperature.map(|tenths| tenths as f64 / 10.0),
        memory: (figures.memory > 0).then(|| used * 100.0 / figures.memory as f64),
        disk: (figures.disk > 0).then(|| figures.disk_used() as f64),
        answer: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_from_one_minute_to_the_next() {
        assert_eq!(rate(Some((0, 10)), Some((60, 40))), Some(30.0));
        assert_eq!(rate(Some((0, 10)), Some((120, 40))), Some(15.0));
        assert_eq!(
            rate(Some((0, 40)), Some((60, 10))),
            None,
            "it was restarted"
        );
        assert_eq!(rate(None, Some((60, 10))), None);
    }
}
