//! `docs/benchmarks.md`, made from the results of one run and from nothing else.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::result::Outcome;

/// Which way is better, and where the bar is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bar {
    AtMost(f64),
    AtLeast(f64),
    None,
}

/// One figure of one labelled run.
struct Row {
    label: &'static str,
    /// A name among the figures, or `LATENCY.p50` and the like.
    figure: &'static str,
    says: &'static str,
    unit: &'static str,
    bar: Bar,
    /// How many times better than the better peer it has to be.
    times: Option<f64>,
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

const ROWS: &[Row] = &[
    row(
        "login",
        "session_rss_kib",
        "memory per idle TLS session (RSS growth)",
        "KiB",
        AtMost(12.0),
        Some(6.0),
    ),
    row(
        "login",
        "session_pss_kib",
        "the same, PSS",
        "KiB",
        Bar::None,
        None,
    ),
    row(
        "login",
        "server_cpu_ms_per_login",
        "server CPU per login",
        "ms",
        AtMost(0.4),
        Some(10.0),
    ),
    row(
        "login",
        "logins_per_s",
        "logins",
        "/s",
        AtLeast(1200.0),
        None,
    ),
    row("login", "login.p99", "login p99", "ms", Bar::None, None),
    row(
        "login-fast",
        "server_cpu_ms_per_login",
        "server CPU per login by FAST with a TLS ticket",
        "ms",
        Bar::None,
        None,
    ),
    row(
        "login-fast",
        "logins_per_s",
        "logins by FAST with a TLS ticket",
        "/s",
        Bar::None,
        None,
    ),
    row(
        "login-websocket",
        "session_rss_kib",
        "memory per idle WebSocket session",
        "KiB",
        Bar::None,
        None,
    ),
    row(
        "storm",
        "logins_per_s",
        "all log in at the same moment",
        "/s",
        Bar::None,
        None,
    ),
    row(
        "storm",
        "login.p99",
        "the same, p99 of a login",
        "ms",
        Bar::None,
        None,
    ),
    row(
        "open",
        "server_cpu_ms_per_message",
        "open loop: server CPU per message",
        "ms",
        AtMost(0.12),
        Some(10.0),
    ),
    row(
        "open",
        "delivery.p50",
        "open loop: delivery p50",
        "ms",
        AtMost(0.8),
        None,
    ),
    row(
        "open",
        "delivery.p99",
        "open loop: delivery p99",
        "ms",
        AtMost(4.0),
        None,
    ),
    row(
        "open",
        "ack.p99",
        "open loop: acknowledgement p99",
        "ms",
        Bar::None,
        None,
    ),
    row(
        "open",
        "server_switches_per_message",
        "open loop: context switches per message",
        "",
        Bar::None,
        None,
    ),
    row(
        "open",
        "server_written_bytes_per_message",
        "open loop: bytes written per message",
        "B",
        Bar::None,
        None,
    ),
    row(
        "closed",
        "rate",
        "closed loop, archive on",
        "/s",
        AtLeast(8000.0),
        None,
    ),
    row(
        "closed",
        "server_cpu_ms_per_message",
        "the same, server CPU per message",
        "ms",
        AtMost(0.08),
        Some(10.0),
    ),
    row(
        "closed",
        "ack.p99",
        "the same, acknowledgement p99",
        "ms",
        Bar::None,
        None,
    ),
    row(
        "closed-no-archive",
        "rate",
        "closed loop, archive off",
        "/s",
        AtLeast(15_000.0),
        None,
    ),
    row(
        "closed-no-archive",
        "server_cpu_ms_per_message",
        "the same, server CPU per message",
        "ms",
        AtMost(0.03),
        Some(10.0),
    ),
    row(
        "highest",
        "highest_rate",
        "open loop: highest rate with p99 under 1 s",
        "/s",
        AtLeast(8000.0),
        None,
    ),
    row(
        "open-one-cpu",
        "server_cores",
        "open loop within one CPU: share of it used",
        "",
        AtMost(0.06),
        None,
    ),
    row(
        "open-one-cpu",
        "delivery.p99",
        "the same, delivery p99",
        "ms",
        Bar::None,
        None,
    ),
    row(
        "room",
        "server_cpu_us_per_delivery",
        "one room, server CPU per recipient",
        "µs",
        AtMost(4.0),
        None,
    ),
    row(
        "room",
        "delivery.p99",
        "the same, delivery p99",
        "ms",
        Bar::None,
        None,
    ),
    row(
        "rooms",
        "server_cpu_us_per_delivery",
        "many rooms, server CPU per recipient",
        "µs",
        Bar::None,
        None,
    ),
    row(
        "rooms",
        "delivery.p99",
        "the same, delivery p99",
        "ms",
        Bar::None,
        None,
    ),
    row(
        "reconnect",
        "back_seconds",
        "all are back after a restart",
        "s",
        Bar::None,
        None,
    ),
    row(
        "reconnect",
        "back_resumed",
        "of them with the session they had",
        "",
        Bar::None,
        None,
    ),
    row(
        "reconnect",
        "back_server_cpu_ms_per_login",
        "server CPU for each",
        "ms",
        Bar::None,
        None,
    ),
];

const OURS: &str = "imd";
const PEERS: [&str; 2] = ["ejabberd", "prosody"];

/// Writes the report on the results in a folder.
///
/// # Errors
///
/// There are no results, or a file cannot be read or written.
pub fn write(results: &Path, out: &Path) -> Result<()> {
    let outcomes = Outcome::read_all(results)?;
    ensure!(!outcomes.is_empty(), "no results in {}", results.display());
    fs::write(out, report(&outcomes)).with_context(|| format!("write {}", out.display()))
}

/// What a row says of a server.
fn value(outcomes: &[Outcome], server: &str, row: &Row) -> Option<f64> {
    let outcome = outcomes
        .iter()
        .find(|o| o.server == server && o.label == row.label)?;
    if let Some((latency, quantile)) = row.figure.split_once('.') {
        let latency = outcome.latencies.get(latency).filter(|l| l.count > 0)?;
        return Some(if quantile == "p50" {
            latency.p50
        } else {
            latency.p99
        });
    }
    if let Some(millis) = row.figure.strip_suffix("_us_per_delivery") {
        let name = format!("{millis}_ms_per_delivery");
        return outcome.figures.get(&name).map(|ms| ms * 1000.0);
    }
    outcome.figures.get(row.figure).copied()
}

/// How many times better ours is than the better of the peers.
fn times(row: &Row, ours: f64, peers: &[Option<f64>]) -> Option<f64> {
    let lower_is_better = !matches!(row.bar, AtLeast(_)) && row.unit != "/s";
    let known = peers.iter().flatten().copied();
    let (better, times) = match lower_is_better {
        true => known.reduce(f64::min).map(|better| (better, better / ours)),
        false => known.reduce(f64::max).map(|better| (better, ours / better)),
    }?;
    (ours > 0.0 && better > 0.0).then_some(times)
}

/// Whether a row's bars are met; nothing where it has none.
fn met(row: &Row, ours: f64, times: Option<f64>) -> Option<bool> {
    let absolute = match row.bar {
        AtMost(most) => Some(ours <= most),
        AtLeast(least) => Some(ours >= least),
        Bar::None => None,
    };
    match (row.times, times) {
        (Some(wanted), Some(times)) => Some(absolute.unwrap_or(true) && times >= wanted),
        _ => absolute,
    }
}

fn report(outcomes: &[Outcome]) -> String {
    let mut out = String::from(
        "# Benchmarks\n\n`imd` beside ejabberd and Prosody, in one run of `ci/bench`, which has written this file: change nothing by hand.\n\n",
    );
    about(&mut out, outcomes);
    out += "\n## Bars\n\n\"times better\": than the better of the two peers in this run.\n\n\
            | | ejabberd | Prosody | `imd` | times better | bar | |\n|---|---|---|---|---|---|---|\n";
    for row in ROWS {
        let ours = value(outcomes, OURS, row);
        let peers = PEERS.map(|peer| value(outcomes, peer, row));
        if ours.is_none() && peers.iter().all(Option::is_none) {
            continue;
        }
        let better = ours.and_then(|ours| times(row, ours, &peers));
        let verdict = match ours.and_then(|ours| met(row, ours, better)) {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        let show = |value: Option<f64>| value.map_or("–".to_owned(), number);
        let _ = writeln!(
            out,
            "| {}{} | {} | {} | {} | {} | {} | {verdict} |",
            row.says,
            if row.unit.is_empty() {
                String::new()
            } else {
                format!(", {}", row.unit)
            },
            show(peers[0]),
            show(peers[1]),
            show(ours),
            better.map_or(String::new(), |t| format!("{}×", number(t))),
            bar(row),
        );
    }
    faults(&mut out, outcomes);
    steps(&mut out, outcomes);
    out
}

fn bar(row: &Row) -> String {
    let absolute = match row.bar {
        AtMost(most) => format!("≤ {}", number(most)),
        AtLeast(least) => format!("≥ {}", number(least)),
        Bar::None => String::new(),
    };
    match row.times {
        Some(times) => format!("{absolute}; {}×", number(times)),
        None => absolute,
    }
}

/// When, where and with what.
fn about(out: &mut String, outcomes: &[Outcome]) {
    let mut versions = BTreeMap::new();
    for outcome in outcomes {
        versions.insert(&outcome.server, &outcome.version);
    }
    let versions: Vec<_> = versions.iter().map(|(s, v)| format!("{s} {v}")).collect();
    let dates = outcomes
        .iter()
        .map(|o| o.date.get(..16).unwrap_or_default());
    let (first, last) = (dates.clone().min(), dates.max());
    let machine = &outcomes[0].machine;
    let gib = machine.memory as f64 / f64::from(1 << 30);
    let _ = writeln!(
        out,
        "- **when**: {} to {} (UTC)\n- **machine**: {} cores of {}, {gib:.1} GiB, Linux {}; server and load tool on the same machine\n\
         - **servers**: {}",
        first.unwrap_or_default(),
        last.unwrap_or_default(),
        machine.cores,
        machine.processor,
        machine.kernel,
        versions.join(", "),
    );
    let mut seen = BTreeMap::new();
    for outcome in outcomes {
        let parameters = outcome.parameters.iter();
        let words: Vec<_> = parameters
            .map(|(name, value)| match value.as_str() {
                Some(text) => format!("{name} {text}"),
                None => format!("{name} {value}"),
            })
            .collect();
        seen.entry(&outcome.label).or_insert(words.join(", "));
    }
    for (label, parameters) in seen {
        let _ = writeln!(out, "- **{label}**: {parameters}");
    }
}

/// What went wrong in each run.
fn faults(out: &mut String, outcomes: &[Outcome]) {
    const FAULTS: [&str; 7] = [
        "sent",
        "lost",
        "doubled",
        "out_of_order",
        "not_acked",
        "errors",
        "dropped",
    ];
    *out += "\n## Lost, doubled, dropped\n\nAll messages of each run, its warm-up included.\n\n\
             | run | server | sent | lost | doubled | out of order | not acknowledged | errors | sessions dropped |\n\
             |---|---|---|---|---|---|---|---|---|\n";
    for outcome in outcomes.iter().filter(|o| o.figures.contains_key("sent")) {
        let cells = FAULTS.map(|name| number(outcome.figures.get(name).copied().unwrap_or(0.0)));
        let _ = writeln!(
            out,
            "| {} | {} | {} |",
            outcome.label,
            outcome.server,
            cells.join(" | ")
        );
    }
}

/// The steps of the rising rate.
fn steps(out: &mut String, outcomes: &[Outcome]) {
    let rising: Vec<_> = outcomes
        .iter()
        .filter(|o| o.scenario == "highest")
        .collect();
    if rising.is_empty() {
        return;
    }
    *out += "\n## Rising rate\n\n| server | messages/s | p50, ms | p99, ms | cores used | |\n|---|---|---|---|---|---|\n";
    for outcome in rising {
        for (rate, step) in &outcome.series {
            let of = |name: &str| step.get(name).copied().unwrap_or(0.0);
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                outcome.server,
                number(*rate),
                number(of("p50_ms")),
                number(of("p99_ms")),
                number(of("server_cores")),
                if of("failed") > 0.0 { "failed" } else { "" }
            );
        }
    }
}

/// With as many digits as mean something.
fn number(value: f64) -> String {
    match value.abs() {
        whole if whole >= 100.0 || value.fract() == 0.0 => {
            let digits = format!("{value:.0}");
            let mut out = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at).is_multiple_of(3) && out != "-" {
                    out.push(',');
                }
                out.push(digit);
            }
            out
        }
        tens if tens >= 10.0 => format!("{value:.1}"),
        ones if ones >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(server: &str, label: &str, figure: &str, value: f64) -> Outcome {
        let mut outcome = Outcome {
            server: server.to_owned(),
            label: label.to_owned(),
            ..Outcome::default()
        };
        outcome.figure(figure, value);
        outcome
    }

    fn table(figure: &str, label: &str, [ejabberd, prosody, imd]: [f64; 3]) -> String {
        let all = [("ejabberd", ejabberd), ("prosody", prosody), ("imd", imd)];
        let outcomes = all.map(|(server, value)| outcome(server, label, figure, value));
        let report = report(&outcomes);
        let line = |says: &&str| says.starts_with("| ") && says.contains("server CPU per login");
        report.lines().find(line).unwrap_or_default().to_owned()
    }

    #[test]
    fn a_bar_is_met_by_the_figure_and_by_the_ratio_to_the_better_peer() {
        let figure = "server_cpu_ms_per_login";
        let met = table(figure, "login", [5.0, 4.0, 0.4]);
        assert_eq!(
            met,
            "| server CPU per login, ms | 5 | 4 | 0.400 | 10× | ≤ 0.400; 10× | met |"
        );
        let slow = table(figure, "login", [50.0, 40.0, 0.41]);
        assert!(
            slow.ends_with("| **missed** |"),
            "too much, although 97 times better: {slow}"
        );
        let beside = table(figure, "login", [50.0, 3.9, 0.4]);
        assert!(beside.ends_with("| **missed** |"), "9.75 times: {beside}");
    }

    #[test]
    fn more_is_better_for_a_rate() {
        let row = ROWS
            .iter()
            .find(|row| row.figure == "logins_per_s")
            .unwrap();
        let ratio = times(row, 1300.0, &[Some(400.0), Some(130.0)]).unwrap();
        assert_eq!((ratio, met(row, 1300.0, Some(ratio))), (3.25, Some(true)));
        assert_eq!(met(row, 1199.0, None), Some(false));
    }

    #[test]
    fn lost_messages_are_told() {
        let mut outcome = outcome("imd", "open", "sent", 12_000.0);
        outcome.figure("lost", 3.0);
        let report = report(&[outcome]);
        assert!(
            report.contains("| open | imd | 12,000 | 3 | 0 |"),
            "{report}"
        );
    }

    #[test]
    fn numbers_have_three_digits() {
        let shown = [0.0, 0.0314, 1.234, 12.34, 1234.5, 1_234_567.0].map(number);
        assert_eq!(shown, ["0", "0.031", "1.23", "12.3", "1,234", "1,234,567"]);
    }
}
