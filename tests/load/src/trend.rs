//! Whether something grows: a line through measurements, beside how far they scatter around it.

use std::collections::BTreeMap;

/// Growth of memory below this is none, in MiB.
pub const LEAST_MIB: f64 = 0.5;

/// A line of least squares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// What it rises by, from the first measurement to the last.
    pub growth: f64,
    /// Standard deviation of the measurements from the line.
    pub noise: f64,
}

impl Trend {
    /// Through points with a time and a value; absent for fewer than three.
    #[must_use]
    pub fn of(points: &[(f64, f64)]) -> Option<Self> {
        let n = points.len() as f64;
        if points.len() < 3 {
            return None;
        }
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
        let (x, y) = (mean(&|p| p.0), mean(&|p| p.1));
        let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
        if spread == 0.0 {
            return None;
        }
        let slope = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>() / spread;
        let off = |p: &(f64, f64)| (p.1 - y - slope * (p.0 - x)).powi(2);
        let span = points.iter().map(|p| p.0).fold(f64::MIN, f64::max)
            - points.iter().map(|p| p.0).fold(f64::MAX, f64::min);
        Some(Self {
            growth: slope * span,
            noise: (points.iter().map(off).sum::<f64>() / (n - 2.0)).sqrt(),
        })
    }

    /// Whether it rises by more than chance makes it, and by more than `least`.
    #[must_use]
    pub fn rises(&self, least: f64) -> bool {
        self.growth > least.max(3.0 * self.noise)
    }
}

/// Figures over time, as an outcome has them.
pub type Series = [(f64, BTreeMap<String, f64>)];

/// A figure over time without the first fifth, in which caches fill.
#[must_use]
pub fn settled(series: &Series, name: &str) -> Vec<(f64, f64)> {
    let rest = series.get(series.len() / 5..).unwrap_or_default();
    let point = |(at, figures): &(f64, BTreeMap<String, f64>)| Some((*at, *figures.get(name)?));
    rest.iter().filter_map(point).collect()
}

/// The middle one; 0 of none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(value: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (0..100).map(f64::from).map(|x| (x, value(x))).collect()
    }

    /// As if by chance, between -1 and 1.
    fn scatter(x: f64) -> f64 {
        (x * 12.9898).sin()
    }

    #[test]
    fn a_leak_shows_through_the_noise() {
        let leak = Trend::of(&points(|x| 50.0 + 0.1 * x + scatter(x))).unwrap();
        assert!((leak.growth - 9.9).abs() < 1.0, "{leak:?}");
        assert!(leak.rises(1.0), "{leak:?}");
    }

    #[test]
    fn what_only_scatters_or_falls_does_not_rise() {
        for still in [
            points(|x| 50.0 + scatter(x)),
            points(|x| 50.0 - 0.1 * x),
            points(|_| 50.0),
        ] {
            let trend = Trend::of(&still).unwrap();
            assert!(!trend.rises(0.5), "{trend:?}");
        }
    }

    #[test]
    fn growth_below_what_matters_is_none() {
        let trend = Trend::of(&points(|x| 0.001 * x)).unwrap();
        assert!(!trend.rises(0.5) && trend.rises(0.05), "{trend:?}");
    }

    #[test]
    fn the_beginning_does_not_count() {
        let series: Vec<_> = (0..10)
            .map(|n| (f64::from(n), BTreeMap::from([("a".to_owned(), 1.0)])))
            .collect();
        let times: Vec<_> = settled(&series, "a").into_iter().map(|p| p.0).collect();
        assert_eq!(times, [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        assert!(settled(&series, "b").is_empty());
    }

    #[test]
    fn two_measurements_are_no_trend() {
        assert_eq!(Trend::of(&[(0.0, 1.0), (1.0, 2.0)]), None);
    }
}
