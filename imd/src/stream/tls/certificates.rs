//! Which of the server's certificates a client is shown, and what a login over that connection can be bound to.
//!
//! rustls' unbuffered interface does not tell the name that a client asked for. It asks here for a certificate during the
//! call that reads the client's hello; which one was given is taken from there on the same thread, as the exporter is.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

thread_local! {
    static GIVEN: RefCell<Option<Arc<[u8]>>> = const { RefCell::new(None) };
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Both, as rustls takes them.
    pub key: Arc<CertifiedKey>,
    /// The hash that a login can be bound to (RFC 5929 §4.1); absent for signatures without one.
    pub end_point: Option<Arc<[u8]>>,
}

/// The server's certificates.
#[derive(Debug)]
pub struct Certificates {
    /// For every name that has none of its own.
    pub usual: Shown,
    /// The server's domain, and a certificate for it alone. Absent: the usual one is for it, too.
    pub domain: Option<(String, Shown)>,
}

impl Certificates {
    /// The one for a name. Who names none is a client of the domain: browsers always name one.
    #[must_use]
    pub fn for_name(&self, name: Option<&str>) -> &Shown {
        match &self.domain {
            Some((domain, shown)) if name.is_none_or(|name| name == domain) => shown,
            _ => &self.usual,
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.for_name(hello.server_name());
        GIVEN.set(shown.end_point.clone());
        Some(Arc::clone(&shown.key))
    }
}

/// Before records of a connection are processed: what another one on this thread may have left is not this one's.
pub(super) fn forget() {
    GIVEN.set(None);
}

/// The end point of the connection whose records this thread has just processed, if its client's hello was among them.
pub(super) fn take() -> Option<Arc<[u8]>> {
    GIVEN.take()
}
