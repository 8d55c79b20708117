//! Waiting for a condition with a deadline: the one place in the tests that sleeps for one. Elsewhere a sleep is the pace of something.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long to pause between two looks at a condition, at least. One that takes long is paused after for as long: what is looked at may be
/// an emulated machine, which has something else to do besides answering.
const PAUSE: Duration = Duration::from_millis(250);
/// After a look that took minutes there is no reason to wait for minutes.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Looks at `probe` until it gives a value, and returns that.
///
/// `what` is the end of the sentence "waited for …". A probe's error counts as "not yet"; the last one is in
/// the error of a wait that reached its deadline.
///
/// # Errors
///
/// The deadline passed.
pub fn wait_until<T>(
    deadline: Duration,
    what: &str,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        let looked = Instant::now();
        let last = match probe() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => String::from("the condition was not met"),
            Err(error) => format!("{error:#}"),
        };
        if begun.elapsed() >= deadline {
            bail!(
                "waited {} s for {what}; at the last look: {last}",
                deadline.as_secs()
            );
        }
        std::thread::sleep(PAUSE.max(looked.elapsed().min(LONGEST_PAUSE)));
    }
}
