//! The hours in which an update may interrupt people.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use settings_file::Value;

/// From a time of the day to another, which may be of the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    /// Minutes after midnight.
    from: u16,
    to: u16,
}

/// Not two times, or too near to each other.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no window; accepted: two times of the day, at least 15 minutes apart, such as 03:00-05:00"
)]
pub struct NoWindow(String);

impl Default for Window {
    fn default() -> Self {
        Self {
            from: 3 * 60,
            to: 5 * 60,
        }
    }
}

const DAY: u16 = 24 * 60;
/// In minutes. The timer looks every ten (`perch-update-night.timer`).
const SHORTEST: u16 = 15;

impl Window {
    /// What is accepted, for people.
    pub const ACCEPTED: &'static str =
        "two times of the day, at least 15 minutes apart, such as \"03:00-05:00\"";

    /// Reads it from a settings file.
    ///
    /// # Errors
    /// What is accepted.
    pub fn parse(value: &Value<'_>) -> Result<Self, String> {
        let read = value.as_str().unwrap_or_default().parse();
        read.map_err(|_| Self::ACCEPTED.to_owned())
    }

    /// How long it is.
    fn minutes(self) -> u16 {
        (self.to + DAY - self.from) % DAY
    }

    /// Whether a time of the day, in minutes after midnight, is in it.
    #[must_use]
    pub fn holds(self, minute: u16) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

/// Minutes after midnight of `HH:MM`.
#[must_use]
pub fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

impl FromStr for Window {
    type Err = NoWindow;

    fn from_str(text: &str) -> Result<Self, NoWindow> {
        let times = text.split_once('-').and_then(|(from, to)| {
            Some(Self {
                from: minute(from)?,
                to: minute(to)?,
            })
        });
        times
            .filter(|window| window.minutes() >= SHORTEST)
            .ok_or_else(|| NoWindow(text.to_owned()))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, until] = [self.from, self.to].map(|minute| (minute / 60, minute % 60));
        write!(
            to,
            "{:02}:{:02}-{:02}:{:02}",
            from.0, from.1, until.0, until.1
        )
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.to_string()
    }
}

impl TryFrom<String> for Window {
    type Error = NoWindow;

    fn try_from(text: String) -> Result<Self, NoWindow> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_go_over_midnight() {
        let night: Window = "23:30-01:00".parse().unwrap();
        assert_eq!(night.to_string(), "23:30-01:00");
        for (time, inside) in [
            ("23:29", false),
            ("23:30", true),
            ("00:59", true),
            ("01:00", false),
        ] {
            assert_eq!(night.holds(minute(time).unwrap()), inside, "{time}");
        }
    }

    #[test]
    fn the_shortest_window_is_hit_by_a_timer_of_ten_minutes() {
        let short: Window = "23:53-00:08".parse().unwrap();
        for late in 0..10 {
            let hits = (0..144).filter(|turn| short.holds((turn * 10 + late) % DAY));
            assert!(hits.count() >= 1, "{late}");
        }
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "",
            "03:00",
            "3:00-5:00",
            "25:00-26:00",
            "03:00-03:00",
            "03:00-03:14",
            "23:55-00:05",
            "03:60-04:00",
        ] {
            assert_eq!(text.parse::<Window>(), Err(NoWindow(text.to_owned())));
        }
    }
}
