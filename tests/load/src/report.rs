//! `docs/benchmarks.md`, made from the results of one run and from nothing else.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::result::Outcome;

mod rows;

use rows::Bar::{self, AtLeast, AtMost};
use rows::{ROWS, Row};

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

/// Cores that others may use while something is measured: the kernel's own work, and the moments before and after.
const QUIET: f64 = 0.25;

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
    let others = |o: &Outcome| {
        o.figures
            .get("others_cores")
            .or(o.figures.get("others_cores_at_login"))
            .copied()
    };
    let most = outcomes.iter().filter_map(others).fold(0.0, f64::max);
    if most > QUIET {
        let _ = writeln!(
            out,
            "- **not quiet**: other programs used up to {} cores meanwhile; these figures are no measurement",
            number(most)
        );
    }
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
mod tests;
