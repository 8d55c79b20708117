//! Lines over time as SVG, drawn here as no page needs scripts; and their values, for the script that draws them where there is one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The picture's own units.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 120.0;

/// A line to draw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    /// The `d` of an SVG path.
    pub path: String,
    /// The least value.
    pub least: f64,
    /// The greatest value.
    pub most: f64,
    /// The last one.
    pub last: f64,
}

/// Draws values between two moments. Between points further apart than `gap` seconds there is no line: the box was off. Absent:
/// there are fewer than two.
pub fn draw(points: &[(i64, f64)], from: i64, to: i64, gap: i64) -> Option<Chart> {
    let (_, last) = *points.last().filter(|_| points.len() > 1)?;
    let values = points.iter().map(|(_, value)| *value);
    let (least, most) = values.fold((f64::MAX, f64::MIN), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    // A line that does not move is drawn low, and zero is the bottom of what counts something.
    let bottom = if least < most / 2.0 {
        0.0
    } else {
        least - (most - least).max(1.0) / 4.0
    };
    let height = (most - bottom).max(f64::MIN_POSITIVE) * 1.05;
    let mut path = String::new();
    let mut before: Option<i64> = None;
    for (at, value) in points {
        let letter = if before.is_some_and(|before| at - before <= gap) {
            'L'
        } else {
            'M'
        };
        let x = share(at - from, to - from) * WIDTH;
        let y = HEIGHT - (value - bottom) / height * HEIGHT;
        // Writing into a text cannot fail.
        let _ = write!(path, "{letter}{x:.1} {y:.1}");
        before = Some(*at);
    }
    Some(Chart {
        path,
        least,
        most,
        last,
    })
}

/// The moments that a chart has a value for: one for each `step` seconds, in seconds since 1970.
pub fn moments(from: i64, to: i64, step: i64) -> Vec<i64> {
    (from / step..=to / step)
        .map(|count| count * step)
        .collect()
}

/// The values of thinned points at these moments, which are of the same step: absent where there is none, because the box was off or the
/// value not known. Rounded to two decimals, more of which nobody sees.
pub fn column(thinned: &[(i64, f64)], moments: &[i64]) -> Vec<Option<f64>> {
    let rounded = |value: f64| (value * 100.0).round() / 100.0;
    let known: BTreeMap<i64, f64> = thinned.iter().copied().collect();
    let values = moments.iter().map(|at| known.get(at).copied().map(rounded));
    values.collect()
}

fn share(part: i64, whole: i64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "some millions of seconds")]
    let (part, whole) = (part as f64, whole.max(1) as f64);
    (part / whole).clamp(0.0, 1.0)
}

/// The mean of each `step` seconds: a picture has no more points than a screen.
pub fn thin(points: &[(i64, f64)], step: i64) -> Vec<(i64, f64)> {
    let same = |one: &(i64, f64), other: &(i64, f64)| one.0 / step == other.0 / step;
    let means = points.chunk_by(same).map(|chunk| {
        #[allow(clippy::cast_precision_loss, reason = "some minutes")]
        let count = chunk.len() as f64;
        let sum: f64 = chunk.iter().map(|(_, value)| value).sum();
        let at = chunk.first().map_or(0, |(at, _)| at / step * step);
        (at, sum / count)
    });
    means.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_line_goes_from_left_to_right_and_has_a_gap_where_the_box_was_off() {
        let points = [(0, 0.0), (60, 10.0), (600, 5.0), (660, 5.0)];
        let chart = draw(&points, 0, 1200, 120).unwrap();
        assert_eq!(chart.path.matches('M').count(), 2, "{}", chart.path);
        assert!(chart.path.starts_with("M0.0 120.0L30.0 "), "{}", chart.path);
        assert_eq!((chart.least, chart.most, chart.last), (0.0, 10.0, 5.0));
        assert_eq!(draw(&[(0, 1.0)], 0, 10, 60), None);
        let flat = draw(&[(0, 50.0), (60, 50.0)], 0, 60, 120).unwrap();
        assert!(
            !flat.path.contains("NaN") && !flat.path.contains("inf"),
            "{}",
            flat.path
        );
    }

    #[test]
    fn many_points_become_as_many_as_are_seen() {
        let points: Vec<(i64, f64)> = (0..10).map(|n| (n * 60, f64::from(n as i32))).collect();
        assert_eq!(thin(&points, 300), [(0, 2.0), (300, 7.0)]);
    }

    #[test]
    fn a_column_has_a_value_for_each_moment_or_says_that_there_is_none() {
        let moments = moments(310, 1210, 300);
        assert_eq!(moments, [300, 600, 900, 1200]);
        let points = [(0, 9.0), (300, 1.0 / 3.0), (1200, 7.0)];
        let values = column(&points, &moments);
        assert_eq!(values, [Some(0.33), None, None, Some(7.0)]);
    }
}
