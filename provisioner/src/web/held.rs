//! Secrets between the preview of a change and the change: they lie in memory, and in no page.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Keys and values.
pub type Pairs = Vec<(String, String)>;

/// So long somebody may look at a preview.
const PATIENCE: Duration = Duration::from_secs(900);
/// More people do not change settings at one time.
const MOST: usize = 32;

/// What waits, by the browser's mark.
#[derive(Default)]
pub struct Held(Mutex<BTreeMap<String, (Instant, Pairs)>>);

impl Held {
    /// Keeps what a browser has typed, in the place of what it typed before. Returns whether there is anything.
    pub fn put(&self, mark: &str, pairs: Pairs) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|other, (since, _)| other != mark && since.elapsed() < PATIENCE);
        let is_held = !pairs.is_empty() && held.len() < MOST;
        if is_held {
            held.insert(mark.to_owned(), (Instant::now(), pairs));
        }
        is_held
    }

    /// Hands it out, once. `None`: it was too long ago, or the pages have been restarted since.
    pub fn take(&self, mark: &str) -> Option<Pairs> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, pairs) = held.remove(mark)?;
        (since.elapsed() < PATIENCE).then_some(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_handed_out_once_and_to_the_browser_that_brought_it() {
        let held = Held::default();
        let pairs = vec![("wifi.password".to_owned(), "secret".to_owned())];
        assert!(!held.put("anna", Vec::new()));
        assert!(held.put("anna", pairs.clone()));
        assert_eq!(held.take("ben"), None);
        assert_eq!(held.take("anna"), Some(pairs.clone()));
        assert_eq!(held.take("anna"), None);
        // Another change of the same browser leaves nothing of the first one behind.
        held.put("anna", pairs);
        held.put("anna", Vec::new());
        assert_eq!(held.take("anna"), None);
    }
}
