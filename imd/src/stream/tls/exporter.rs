//! RFC 9266's `tls-exporter` for a connection whose bytes rustls does not hold: its unbuffered interface has no call for
//! exported keys, but rustls tells the secret they come from to a [`KeyLog`], during the call that finishes our side of
//! the handshake. It is taken from there on the same thread, used once, and kept nowhere.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::crypto::tls13::OkmBlock;
use rustls::{KeyLog, ServerConfig, SupportedCipherSuite};

/// The bytes that a login is bound to (RFC 9266 §4.1).
pub const BYTES: usize = 32;

/// RFC 9266 §4.1.
const LABEL: &[u8] = b"EXPORTER-Channel-Binding";
/// What rustls calls the exporter secret (the label of NSS's key logs).
const SECRET: &str = "EXPORTER_SECRET";

thread_local! {
    static HEARD: RefCell<Option<OkmBlock>> = const { RefCell::new(None) };
}

#[derive(Debug)]
struct Listener;

impl KeyLog for Listener {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        if label == SECRET && secret.len() <= OkmBlock::MAX_LEN {
            HEARD.set(Some(OkmBlock::new(secret)));
        }
    }

    fn will_log(&self, label: &str) -> bool {
        label == SECRET
    }
}

/// Let connections with a configuration tell their exporter.
pub fn enable(config: &mut ServerConfig) {
    config.key_log = Arc::new(Listener);
}

/// Before records of a connection are processed: what another one on this thread may have left is not this one's.
pub(super) fn forget() {
    HEARD.set(None);
}

/// The channel binding of the connection whose records this thread has just processed, if they completed the handshake.
pub(super) fn take(suite: Option<SupportedCipherSuite>) -> Option<[u8; BYTES]> {
    let secret = HEARD.take()?;
    let SupportedCipherSuite::Tls13(suite) = suite? else {
        return None;
    };
    // RFC 8446 §7.5: HKDF-Expand-Label(Derive-Secret(Secret, label, ""), "exporter", Hash(context), length), with an
    // empty context.
    let empty = suite.common.hash_provider.hash(&[]);
    let length = suite.common.hash_provider.output_len();
    let mut derived = [0; OkmBlock::MAX_LEN];
    let derived = derived.get_mut(..length)?;
    expand(suite, &secret, LABEL, empty.as_ref(), derived)?;
    let mut binding = [0; BYTES];
    expand(
        suite,
        &OkmBlock::new(derived),
        b"exporter",
        empty.as_ref(),
        &mut binding,
    )?;
    Some(binding)
}

/// HKDF-Expand-Label (RFC 8446 §7.1).
fn expand(
    suite: &rustls::Tls13CipherSuite,
    secret: &OkmBlock,
    label: &[u8],
    context: &[u8],
    out: &mut [u8],
) -> Option<()> {
    const PREFIX: &[u8] = b"tls13 ";
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_length = [u8::try_from(PREFIX.len() + label.len()).ok()?];
    let context_length = [u8::try_from(context.len()).ok()?];
    let info: [&[u8]; 6] = [
        &length,
        &label_length,
        PREFIX,
        label,
        &context_length,
        context,
    ];
    suite
        .hkdf_provider
        .expander_for_okm(secret)
        .expand_slice(&info, out)
        .ok()
}
