//! What systemd is told (sd_notify(3)). Built without the feature `systemd`, nobody is told anything.

/// Ready to serve, with a status line.
pub fn ready(status: &str) {
    send(&[("READY", "1"), ("STATUS", status)]);
}

/// A status line for `systemctl status`.
pub fn status(status: &str) {
    send(&[("STATUS", status)]);
}

/// The shutdown has begun.
pub fn stopping() {
    send(&[
        ("STOPPING", "1"),
        ("STATUS", "telling clients, finishing writes"),
    ]);
}

/// Still alive.
pub fn alive() {
    send(&[("WATCHDOG", "1")]);
}

#[cfg(feature = "systemd")]
fn send(state: &[(&str, &str)]) {
    // Without a service manager there is nobody to tell, which is no failure.
    if let Err(error) = systemd::daemon::notify(state.iter()) {
        tracing::debug!(%error, "cannot notify systemd");
    }
}

#[cfg(not(feature = "systemd"))]
fn send(_: &[(&str, &str)]) {}

/// How often systemd wants a sign of life; absent when it wants none.
#[must_use]
pub fn watchdog_interval() -> Option<std::time::Duration> {
    let micros: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    // Half the time, as sd_watchdog_enabled(3) recommends.
    Some(std::time::Duration::from_micros(micros / 2)).filter(|half| !half.is_zero())
}
