//! Which backups stay where there are many.

use super::ENDING;

/// So many of the newest stay.
pub const NEWEST: usize = 7;
/// Before them, the newest of each of so many weeks.
pub const WEEKS: usize = 4;
/// So many stay however full the place is.
pub const LEAST: usize = 2;

/// When a backup was made, from its name: days since an arbitrary one. `None`: the name is none of a backup of this box.
fn day(name: &str, host_name: &str) -> Option<i32> {
    let stamp = name
        .strip_prefix("perch-")?
        .strip_prefix(host_name)?
        .strip_prefix('-')?
        .strip_suffix(ENDING)?;
    let (date, clock) = stamp.split_once('-')?;
    let digits =
        |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(date, 8) || !digits(clock, 6) {
        return None;
    }
    let number = |from: usize, to: usize| date.get(from..to)?.parse::<u8>().ok();
    let month = time::Month::try_from(number(4, 6)?).ok()?;
    let year = date.get(..4)?.parse().ok()?;
    let date = time::Date::from_calendar_date(year, month, number(6, 8)?).ok()?;
    Some(date.to_julian_day())
}

/// The backups of a box among names, newest first.
pub fn of_box<'a>(names: &'a [String], host_name: &str) -> Vec<&'a str> {
    let own = names.iter().map(String::as_str);
    let mut own: Vec<&str> = own.filter(|name| day(name, host_name).is_some()).collect();
    own.sort_unstable_by(|one, other| other.cmp(one));
    own
}

/// Those that nobody needs any more. Files with other names, and those of other boxes, are never among them.
pub fn superfluous<'a>(names: &'a [String], host_name: &str) -> Vec<&'a str> {
    let own = of_box(names, host_name);
    let mut weeks = Vec::new();
    let older = own.into_iter().skip(NEWEST);
    older
        .filter(|name| {
            let Some(week) = day(name, host_name).map(|day| day.div_euclid(7)) else {
                return false;
            };
            if weeks.contains(&week) || weeks.len() == WEEKS {
                return true;
            }
            weeks.push(week);
            false
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::super::make::name_of;
    use super::*;

    #[test]
    fn a_week_of_nights_stays_and_a_backup_of_each_week_before() {
        let begin = datetime!(2026-12-01 02:00 UTC);
        let names: Vec<String> = (0..60)
            .map(|night| name_of("perch", begin + time::Duration::days(night)))
            .collect();
        let gone = superfluous(&names, "perch");
        assert_eq!(gone.len(), 60 - NEWEST - WEEKS);
        let newest = &names[60 - NEWEST..];
        assert!(newest.iter().all(|name| !gone.contains(&name.as_str())));
        // As every night the superfluous ones are removed.
        let mut left: Vec<String> = Vec::new();
        for name in names {
            left.push(name);
            let gone: Vec<String> = superfluous(&left, "perch")
                .into_iter()
                .map(str::to_owned)
                .collect();
            left.retain(|name| !gone.contains(name));
            assert!(left.len() <= NEWEST + WEEKS);
        }
        assert_eq!(left.len(), NEWEST + WEEKS);
    }

    #[test]
    fn nothing_but_backups_of_this_box_is_removed() {
        let mut names: Vec<String> = (1..=28)
            .map(|day| format!("perch-office-202601{day:02}-020000.age"))
            .collect();
        names.extend(["holiday.jpg", "perch-perch-notes.age", "perch-x.age"].map(str::to_owned));
        assert!(superfluous(&names, "perch").is_empty());
        assert!(!superfluous(&names, "office").is_empty());
        // `office-2` is another box.
        let other = ["perch-office-2-20260101-020000.age".to_owned()];
        assert!(of_box(&other, "office").is_empty());
    }
}
