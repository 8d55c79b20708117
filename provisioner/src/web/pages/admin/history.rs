//! How it was: the charts of the overview, and their values for the script that draws them anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::web::Web;
use crate::web::chart::{Chart, column, draw, moments, thin};
use crate::web::history::Sample;
use crate::web::page::size;
use crate::web::texts::Texts;
use crate::web::visitor::{Admin, now};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/admin/history", get(values))
}

/// A day, in seconds.
pub(super) const DAY: i64 = 86_400;

/// Which time the charts show.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    time: String,
}

impl Wanted {
    /// Thirty days instead of one.
    pub fn is_month(&self) -> bool {
        self.time == "month"
    }
}

/// The time that charts show, and what is known of it.
pub(super) struct Span {
    /// In seconds since 1970.
    pub from: i64,
    /// In seconds since 1970.
    pub to: i64,
    /// Seconds of one point.
    step: i64,
    /// Minutes of a day, or hours of thirty.
    pub samples: Vec<Sample>,
}

impl Span {
    /// What the visitor wants to see at this moment. A history that cannot be read is an empty one.
    pub fn of(web: &Web, wanted: &Wanted) -> Self {
        let to = now();
        let (from, step, samples) = if wanted.is_month() {
            let from = to - 30 * DAY;
            (from, 3600, web.history.hours(from))
        } else {
            (to - DAY, 300, web.history.minutes(to - DAY))
        };
        Self {
            from,
            to,
            step,
            samples: samples.unwrap_or_default(),
        }
    }

    /// A line's points, as many as are seen.
    fn points(&self, line: &Line) -> Vec<(i64, f64)> {
        let samples = self.samples.iter();
        let points: Vec<(i64, f64)> = samples
            .filter_map(|sample| Some((sample.at, (line.value)(sample)?)))
            .collect();
        thin(&points, self.step)
    }
}

/// A line over time.
pub(super) struct Picture {
    /// Its name in the values.
    pub name: &'static str,
    pub title: String,
    /// What it shows, for who does not see it.
    pub summary: String,
    pub path: String,
    pub most: String,
    pub last: String,
    /// What a value that was divided by `divisor` is in; empty: a number of something.
    pub unit: &'static str,
    pub divisor: u64,
}

/// What a picture shows.
struct Line {
    name: &'static str,
    title: &'static str,
    value: fn(&Sample) -> Option<f64>,
    /// A value for people.
    shown: fn(f64) -> String,
    unit: Unit,
}

/// How the script writes values.
enum Unit {
    Of(&'static str),
    /// Whatever fits the largest.
    Bytes,
}

const LINES: [Line; 6] = [
    Line {
        name: "online",
        title: "home-online",
        value: |sample| sample.online,
        shown: number,
        unit: Unit::Of(""),
    },
    Line {
        name: "messages",
        title: "home-messages",
        value: |sample| sample.messages,
        shown: number,
        unit: Unit::Of(""),
    },
    Line {
        name: "answer",
        title: "home-answer",
        value: |sample| sample.answer,
        shown: millis,
        unit: Unit::Of("ms"),
    },
    Line {
        name: "temperature",
        title: "home-temperature",
        value: |sample| sample.temperature,
        shown: |value| format!("{value:.1} °C"),
        unit: Unit::Of("°C"),
    },
    Line {
        name: "memory",
        title: "home-memory-used",
        value: |sample| sample.memory,
        shown: |value| format!("{value:.0} %"),
        unit: Unit::Of("%"),
    },
    Line {
        name: "disk",
        title: "home-disk-used",
        value: |sample| sample.disk,
        shown: bytes,
        unit: Unit::Bytes,
    },
];

/// The pictures of all lines that have something to show.
pub(super) fn pictures(t: Texts, span: &Span) -> Vec<Picture> {
    let drawn = LINES.iter().filter_map(|line| {
        let chart = draw(&span.points(line), span.from, span.to, span.step * 3)?;
        Some(picture(t, line, &chart))
    });
    drawn.collect()
}

fn picture(t: Texts, line: &Line, chart: &Chart) -> Picture {
    let shown = line.shown;
    let (least, most, last) = (shown(chart.least), shown(chart.most), shown(chart.last));
    let title = t.m(line.title);
    let values = [
        ("title", title.as_str()),
        ("least", &least),
        ("most", &most),
        ("last", &last),
    ];
    let (unit, divisor) = match line.unit {
        Unit::Of(unit) => (unit, 1),
        Unit::Bytes => unit_of(chart.most),
    };
    Picture {
        name: line.name,
        summary: t.with("home-picture", &values),
        path: chart.path.clone(),
        title,
        most,
        last,
        unit,
        divisor,
    }
}

/// The values of all lines, by name: for each of `time`, in seconds since 1970, one, or `null` where none is known. Disk: bytes;
/// temperature: degrees (Celsius); answer: milliseconds; memory: percent.
#[derive(Debug, Serialize)]
struct Values {
    time: Vec<i64>,
    #[serde(flatten)]
    lines: BTreeMap<&'static str, Vec<Option<f64>>>,
}

async fn values(
    State(web): State<Arc<Web>>,
    Query(wanted): Query<Wanted>,
    _: Admin,
) -> Json<Values> {
    let span = Span::of(&web, &wanted);
    let time = moments(span.from, span.to, span.step);
    let lines = LINES.iter();
    let lines = lines.map(|line| (line.name, column(&span.points(line), &time)));
    Json(Values {
        lines: lines.collect(),
        time,
    })
}

/// A number of something for people.
pub(super) fn number(value: f64) -> String {
    if value < 10.0 && value.fract() > 0.05 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// Milliseconds for people.
pub(super) fn millis(value: f64) -> String {
    format!("{} ms", number(value))
}

fn bytes(value: f64) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes of a disk"
    )]
    let bytes = value.max(0.0) as u64;
    size(bytes)
}

/// The unit that `size` would take for so many bytes, and how many bytes it is.
fn unit_of(bytes: f64) -> (&'static str, u64) {
    let units = [("TB", 1e12, 1_000_000_000_000), ("GB", 1e9, 1_000_000_000)];
    let found = units.iter().find(|(_, least, _)| bytes >= *least);
    found.map_or(("MB", 1_000_000), |(unit, _, divisor)| (*unit, *divisor))
}
