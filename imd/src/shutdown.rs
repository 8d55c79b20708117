//! The wish to shut down: a value that is passed in and awaited.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Whoever holds one learns of the shutdown; all clones share it.
#[derive(Debug, Clone)]
pub struct Shutdown {
    sender: watch::Sender<bool>,
    /// The same, for those who look often: without a lock that all share.
    requested: Arc<AtomicBool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            sender: watch::Sender::new(false),
            requested: Arc::default(),
        }
    }
}

impl Shutdown {
    /// Ask everybody to end.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Release);
        self.sender.send_replace(true);
    }

    /// Whether it has been asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }

    /// Wait until it is asked for.
    pub async fn requested(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives in `self`, so waiting ends only with the request.
        let _ = receiver.wait_for(|requested| *requested).await;
    }
}
