//! A latency histogram as a picture (SVG): time on a logarithmic axis, how many took that long, and the usual quantiles.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::result::{Latency, Outcome};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
/// Bars for each factor of ten.
const PER_DECADE: f64 = 20.0;
/// What the axis begins and ends with, in milliseconds, as powers of ten.
const DECADES: (f64, f64) = (-2.0, 5.0);

/// Writes a picture with all histograms of a scenario that are not empty, one below the other.
///
/// # Errors
///
/// The file cannot be written.
pub fn write(outcome: &Outcome, file: &Path) -> Result<()> {
    fs::write(file, svg(outcome)).with_context(|| format!("write {}", file.display()))
}

fn svg(outcome: &Outcome) -> String {
    let shown: Vec<_> = outcome
        .latencies
        .iter()
        .filter(|(_, latency)| latency.count > 0)
        .collect();
    let height = (HEIGHT + 2.0 * TOP) * shown.len() as f64;
    let width = WIDTH + 2.0 * LEFT;
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' font-family='sans-serif' font-size='12'>\n\
         <rect width='{width}' height='{height}' fill='white'/>\n"
    );
    for (at, (name, latency)) in shown.into_iter().enumerate() {
        let title = format!("{} {}: {name}", outcome.server, outcome.label);
        let offset = at as f64 * (HEIGHT + 2.0 * TOP) + TOP;
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<g transform='translate({LEFT},{offset})'>{}</g>",
            panel(&title, latency)
        );
    }
    svg + "</svg>\n"
}

/// Where a latency stands on the axis, from 0 to [`WIDTH`].
fn x(ms: f64) -> f64 {
    let (from, to) = DECADES;
    let at = (ms.max(1e-9).log10() - from) / (to - from);
    at.clamp(0.0, 1.0) * WIDTH
}

fn panel(title: &str, latency: &Latency) -> String {
    let (from, to) = DECADES;
    let bars = ((to - from) * PER_DECADE) as usize;
    let mut counts = vec![0_u64; bars];
    for (ms, count) in &latency.buckets {
        let bar = (x(*ms) / WIDTH * bars as f64) as usize;
        counts[bar.min(bars - 1)] += count;
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let mut out = format!(
        "<text x='0' y='-22' font-size='14'>{title} ({} measured)</text>\n",
        latency.count
    );
    let each = WIDTH / bars as f64;
    for (bar, count) in counts.iter().enumerate().filter(|(_, n)| **n > 0) {
        let tall = (*count as f64 / most as f64 * HEIGHT).max(1.0);
        let _ = writeln!(
            out,
            "<rect x='{:.1}' y='{:.1}' width='{:.1}' height='{tall:.1}' fill='#4a7ab5'><title>{count}</title></rect>",
            bar as f64 * each,
            HEIGHT - tall,
            each - 1.0
        );
    }
    let _ = writeln!(
        out,
        "<line x1='0' y1='{HEIGHT}' x2='{WIDTH}' y2='{HEIGHT}' stroke='black'/>"
    );
    for decade in from as i32..=to as i32 {
        let ms = 10_f64.powi(decade);
        let label = if ms >= 1000.0 {
            format!("{} s", ms / 1000.0)
        } else {
            format!("{ms} ms")
        };
        let _ = writeln!(
            out,
            "<text x='{:.1}' y='{}' text-anchor='middle'>{label}</text>",
            x(ms),
            HEIGHT + 16.0
        );
    }
    for (name, ms) in [
        ("p50", latency.p50),
        ("p99", latency.p99),
        ("p99.9", latency.p999),
    ] {
        let at = x(ms);
        let _ = writeln!(
            out,
            "<line x1='{at:.1}' y1='0' x2='{at:.1}' y2='{HEIGHT}' stroke='#b5544a' stroke-dasharray='4'/>\
             <text x='{at:.1}' y='-4' text-anchor='middle' fill='#b5544a'>{name} {ms:.2}</text>"
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Histogram;

    #[test]
    fn each_count_is_in_a_bar_at_its_place() {
        let mut histogram = Histogram::default();
        for _ in 0..9 {
            histogram.record(1_000_000);
        }
        histogram.record(100_000_000);
        let panel = panel("a title", &Latency::from(&histogram));
        let bar = |ms: f64, count: u64| {
            // The bar that holds the value begins at or before it.
            let each = WIDTH / (7.0 * PER_DECADE);
            let begins = (x(ms) / each).floor() * each;
            panel.lines().any(|line| {
                line.contains(&format!("x='{begins:.1}'"))
                    && line.contains(&format!("<title>{count}<"))
            })
        };
        assert!(bar(1.001, 9), "{panel}");
        assert!(bar(100.001, 1), "{panel}");
        assert_eq!(panel.matches("<title>").count(), 2);
    }

    #[test]
    fn what_is_empty_is_not_shown() {
        let mut outcome = Outcome::default();
        outcome.latency("ack", &Histogram::default());
        assert!(!svg(&outcome).contains("ack"));
    }
}
