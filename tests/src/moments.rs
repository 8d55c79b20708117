//! When to cut the power: spread over a while, and the same each time for the same seed.

use std::time::Duration;

use anyhow::{Context, Result};

/// A number from the environment; absent: `default`.
///
/// # Errors
///
/// It is no whole number.
pub fn number_from(variable: &str, default: u64) -> Result<u64> {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{variable} is {text:?}; accepted: a whole number")),
        Err(_) => Ok(default),
    }
}

/// Moments between two others, one in each of `count` equal parts, from a seed.
#[must_use]
pub fn moments(seed: u64, count: u32, first: Duration, last: Duration) -> Vec<Duration> {
    let part = (last.saturating_sub(first)) / count.max(1);
    let mut state = seed;
    let cuts = (0..count).map(|index| {
        // Knuth's MMIX generator: enough to spread a handful of moments.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let share = u32::try_from(state >> 40).unwrap_or(0) % 1000;
        first + part * index + part * share / 1000
    });
    cuts.collect()
}
