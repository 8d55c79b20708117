//! What the report says, and the bars of issue 4: one row for each figure.

/// Which way is better, and where the bar is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bar {
    AtMost(f64),
    AtLeast(f64),
    None,
}

/// One figure of one labelled run.
pub(super) struct Row {
    pub(super) label: &'static str,
    /// A name among the figures, or `LATENCY.p50` and the like.
    pub(super) figure: &'static str,
    pub(super) says: &'static str,
    pub(super) unit: &'static str,
    pub(super) bar: Bar,
    /// How many times better than the better peer it has to be.
    pub(super) times: Option<f64>,
}

const fn row(
    label: &'static str,
    figure: &'static str,
    says: &'static str,
    unit: &'static str,
    bar: Bar,
    times: Option<f64>,
) -> Row {
    Row {
        label,
        figure,
        says,
        unit,
        bar,
        times,
    }
}

use Bar::{AtLeast, AtMost};

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row("login", "session_rss_kib", "memory per idle TLS session (RSS growth)", "KiB", AtMost(12.0), Some(6.0)),
    row("login", "session_pss_kib", "the same, PSS", "KiB", Bar::None, None),
    row("login", "server_cpu_ms_per_login", "server CPU per login", "ms", AtMost(0.4), Some(10.0)),
    row("login", "logins_per_s", "logins", "/s", AtLeast(1200.0), None),
    row("login", "login.p99", "login p99", "ms", Bar::None, None),
    row("login-fast", "server_cpu_ms_per_login", "server CPU per login by FAST with a TLS ticket", "ms", Bar::None, None),
    row("login-fast", "logins_per_s", "logins by FAST with a TLS ticket", "/s", Bar::None, None),
    row("login-websocket", "session_rss_kib", "memory per idle WebSocket session", "KiB", Bar::None, None),
    row("storm", "logins_per_s", "all log in at the same moment", "/s", Bar::None, None),
    row("storm", "login.p99", "the same, p99 of a login", "ms", Bar::None, None),
    row("open", "server_cpu_ms_per_message", "open loop: server CPU per message", "ms", AtMost(0.12), Some(10.0)),
    row("open", "delivery.p50", "open loop: delivery p50", "ms", AtMost(0.8), None),
    row("open", "delivery.p99", "open loop: delivery p99", "ms", AtMost(4.0), None),
    row("open", "ack.p99", "open loop: acknowledgement p99", "ms", Bar::None, None),
    row("open", "server_switches_per_message", "open loop: context switches per message", "", Bar::None, None),
    row("open", "server_written_bytes_per_message", "open loop: bytes written per message", "B", Bar::None, None),
    row("card-life", "device_bytes_per_message", "card life: bytes written to the device per archived message", "B", AtMost(1536.0), None),
    row("card-life", "ack.p50", "the same, acknowledgement p50", "ms", Bar::None, None),
    row("closed", "rate", "closed loop, archive on", "/s", AtLeast(8000.0), None),
    row("closed", "server_cpu_ms_per_message", "the same, server CPU per message", "ms", AtMost(0.08), Some(10.0)),
    row("closed", "ack.p99", "the same, acknowledgement p99", "ms", Bar::None, None),
    row("closed-no-archive", "rate", "closed loop, archive off", "/s", AtLeast(15_000.0), None),
    row("closed-no-archive", "server_cpu_ms_per_message", "the same, server CPU per message", "ms", AtMost(0.03), Some(10.0)),
    row("highest", "highest_rate", "open loop: highest rate with p99 under 1 s", "/s", AtLeast(8000.0), None),
    row("open-one-cpu", "server_cores", "open loop within one CPU: share of it used", "", AtMost(0.06), None),
    row("open-one-cpu", "delivery.p99", "the same, delivery p99", "ms", Bar::None, None),
    row("room", "server_cpu_us_per_delivery", "one room, server CPU per recipient", "µs", AtMost(4.0), None),
    row("room", "server_kernel_us_per_delivery", "the part of it that the kernel takes", "µs", Bar::None, None),
    row("room", "delivery.p99", "the same, delivery p99 to the others", "ms", Bar::None, None),
    row("rooms", "server_cpu_us_per_delivery", "many rooms, server CPU per recipient", "µs", Bar::None, None),
    row("rooms", "delivery.p99", "the same, delivery p99 to the others", "ms", Bar::None, None),
    row("rooms", "reflection.p99", "the same, p99 until the author's own copy says that it is kept", "ms", Bar::None, None),
    row("hostile", "delivery.p99", "half of the clients are hostile: delivery p99 of the others", "ms", AtMost(100.0), None),
    row("hostile", "ack.p99", "the same, acknowledgement p99", "ms", Bar::None, None),
    row("hostile", "server_rss_growth_mib", "the same, what the server's memory grows by meanwhile", "MiB", Bar::None, None),
    row("reconnect", "back_seconds", "all are back after a restart", "s", Bar::None, None),
    row("reconnect", "back_resumed", "of them with the session they had", "", Bar::None, None),
    row("reconnect", "back_server_cpu_ms_per_login", "server CPU for each", "ms", Bar::None, None),
];
