//! What a login can be bound to: the connection below it (RFC 5056).

/// Channel bindings of a connection, by type, the best first.
#[derive(Debug, Clone, Default)]
pub struct ChannelBinding {
    types: Vec<(&'static str, Vec<u8>)>,
}

impl ChannelBinding {
    /// Of the TLS session itself (RFC 9266).
    pub const EXPORTER: &str = "tls-exporter";
    /// Of the server's certificate (RFC 5929 §4).
    pub const END_POINT: &str = "tls-server-end-point";

    /// Add one.
    pub fn add(&mut self, name: &'static str, data: Vec<u8>) {
        self.types.push((name, data));
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// Their names.
    #[must_use]
    pub fn types(&self) -> Vec<&'static str> {
        self.types.iter().map(|(name, _)| *name).collect()
    }

    /// The data of one.
    #[must_use]
    pub fn data(&self, name: &str) -> Option<&[u8]> {
        self.types
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, data)| &data[..])
    }
}
