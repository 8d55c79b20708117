//! Whom a request comes from.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderMap;

/// The other end of a connection. Cloned into every request of it.
#[derive(Clone)]
pub struct Peer {
    ip: IpAddr,
    /// Whether a proxy on this computer, which is trusted, says where requests come from.
    proxied: bool,
    /// The user on this computer, where it came by a Unix socket for administrators.
    uid: Option<u32>,
    /// Counts the connection as one of its address, for as long as something of it lives.
    _count: Option<Arc<dyn Send + Sync>>,
}

impl Peer {
    /// A peer that connects itself.
    #[must_use]
    pub fn new(ip: IpAddr, count: Option<Arc<dyn Send + Sync>>) -> Self {
        Self {
            ip,
            proxied: false,
            uid: None,
            _count: count,
        }
    }

    /// A user of this computer; `uid`: absent when the system does not tell.
    #[must_use]
    pub fn user(ip: IpAddr, uid: Option<u32>) -> Self {
        Self {
            uid,
            ..Self::new(ip, None)
        }
    }

    /// Which user of this computer it is, where that is known.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        self.uid
    }

    /// A proxy, with the address of those whom it does not name.
    #[must_use]
    pub fn proxied(ip: IpAddr) -> Self {
        Self {
            ip,
            proxied: true,
            uid: None,
            _count: None,
        }
    }

    /// The address that a request comes from: what the proxy says in `X-Real-IP`, or the connection's.
    #[must_use]
    pub fn address(&self, headers: &HeaderMap) -> IpAddr {
        let said = || headers.get("x-real-ip")?.to_str().ok()?.trim().parse().ok();
        if self.proxied { said() } else { None }.unwrap_or(self.ip)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("ip", &self.ip)
            .field("proxied", &self.proxied)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_is_believed_where_requests_come_from() {
        let mut headers = HeaderMap::new();
        headers.insert("x-real-ip", "192.0.2.7".parse().unwrap());
        let local: IpAddr = [127, 0, 0, 1].into();
        assert_eq!(Peer::new(local, None).address(&headers), local);
        let named: IpAddr = [192, 0, 2, 7].into();
        assert_eq!(Peer::proxied(local).address(&headers), named);
        assert_eq!(Peer::proxied(local).address(&HeaderMap::new()), local);
    }
}
