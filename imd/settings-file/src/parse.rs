//! Parse functions for common kinds of values. Each error says what is accepted.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::Value;

/// Any string.
///
/// # Errors
/// What is accepted.
pub fn string(value: &Value<'_>) -> Result<String, String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| "a string in quotes".to_owned())
}

/// A string that is not empty and has no control characters, so that it cannot smuggle a second line into a file.
///
/// # Errors
/// What is accepted.
pub fn single_line(value: &Value<'_>) -> Result<String, String> {
    match value.as_str() {
        Some(text) if !text.trim().is_empty() && !text.chars().any(char::is_control) => {
            Ok(text.to_owned())
        }
        _ => Err("a string in quotes, not empty, on one line".to_owned()),
    }
}

/// `true` or `false`.
///
/// # Errors
/// What is accepted.
pub fn boolean(value: &Value<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "true or false".to_owned())
}

/// A whole number in `range`.
///
/// # Errors
/// The returned function says what is accepted.
pub fn integer<T>(range: RangeInclusive<T>) -> impl Fn(&Value<'_>) -> Result<T, String>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    move |value| {
        value
            .as_integer()
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()))
    }
}

/// One of a few words.
///
/// # Errors
/// The returned function says what is accepted.
pub fn one_of<T: Clone>(
    words: &'static [(&'static str, T)],
) -> impl Fn(&Value<'_>) -> Result<T, String> {
    move |value| {
        words
            .iter()
            .find(|(word, _)| value.as_str() == Some(word))
            .map(|(_, meaning)| meaning.clone())
            .ok_or_else(|| {
                let quoted: Vec<String> = words
                    .iter()
                    .map(|(word, _)| format!("\"{word}\""))
                    .collect();
                format!("one of {}", quoted.join(", "))
            })
    }
}

/// An IP address with a port, such as `[::]:5222` or `127.0.0.1:5222`.
///
/// # Errors
/// What is accepted.
pub fn socket_address(value: &Value<'_>) -> Result<SocketAddr, String> {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| {
            "an IP address and port, such as \"[::]:5222\" or \"127.0.0.1:5222\"".to_owned()
        })
}

/// A path, absolute or relative.
///
/// # Errors
/// What is accepted.
pub fn path(value: &Value<'_>) -> Result<PathBuf, String> {
    match value.as_str() {
        Some(text) if !text.is_empty() && !text.contains('\0') => Ok(PathBuf::from(text)),
        _ => Err("a path, such as \"/var/lib/imd\"".to_owned()),
    }
}

/// A length of time: a whole number and its unit, such as `"30s"`. Units: ms, s, m (or min), h, d.
///
/// # Errors
/// What is accepted.
pub fn duration(value: &Value<'_>) -> Result<Duration, String> {
    let accepted = || "a time with its unit (ms, s, m, h or d), such as \"30s\"".to_owned();
    let (number, unit) = value
        .as_str()
        .and_then(number_and_unit)
        .ok_or_else(accepted)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(accepted()),
    };
    number
        .checked_mul(milliseconds)
        .map(Duration::from_millis)
        .ok_or_else(accepted)
}

/// A size in bytes: a whole number and its unit, such as `"64KiB"`. Units: B, KiB, MiB, GiB, and kB, MB, GB (powers of 1000).
///
/// # Errors
/// What is accepted.
pub fn size(value: &Value<'_>) -> Result<u64, String> {
    let accepted =
        || "a size with its unit (B, KiB, MiB, GiB, kB, MB or GB), such as \"64KiB\"".to_owned();
    let (number, unit) = value
        .as_str()
        .and_then(number_and_unit)
        .ok_or_else(accepted)?;
    let bytes = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(accepted()),
    };
    number.checked_mul(bytes).ok_or_else(accepted)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim_start()))
}
