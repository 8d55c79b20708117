//! Clock and network, as far as an update needs to know them before and after the restart.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::agent::{clock, status};
use crate::files::Files;
use crate::firstboot::identity;
use crate::routes;

/// A clock of its own that is further away from the system's has not been what set it.
const CLOCK_GRAIN: i64 = 60;

/// What a version must not take away from the box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// The clock, in seconds since 1970, where something holds it over a restart. Absent: nothing does, so that it may go back.
    pub clock: Option<i64>,
    /// Whether the box had an address in a network (IPv4).
    pub has_address: bool,
    /// Whether it had a gateway (IPv4).
    pub has_gateway: bool,
}

impl Surroundings {
    /// Looks at the box.
    #[must_use]
    pub fn look(files: &Files, now: OffsetDateTime) -> Self {
        let (has_address, has_gateway) = network(files);
        let holds = is_synchronised(files) || has_battery(files, now);
        Self {
            clock: holds.then_some(now.unix_timestamp()),
            has_address,
            has_gateway,
        }
    }
}

/// Whether something has told the time since the start: a server, a clock with a battery, or the owner's browser. A box that nothing has
/// told goes on from when it was last told or its image was made, which no signature can be checked by.
#[must_use]
pub fn knows_the_time(files: &Files, now: OffsetDateTime) -> bool {
    is_synchronised(files) || clock::was_set(files) || has_battery(files, now)
}

fn is_synchronised(files: &Files) -> bool {
    files.path(status::SYNCHRONISED).exists()
}

/// Without a battery it begins in 1970 (a Pi 5), and is set by nobody but a time server.
fn has_battery(files: &Files, now: OffsetDateTime) -> bool {
    let built = identity::build_time(files).unix_timestamp();
    files
        .matching("/sys/class/rtc/rtc*/since_epoch")
        .iter()
        .filter_map(|path| files.read(path).ok()??.trim().parse::<i64>().ok())
        .any(|time| time >= built && (time - now.unix_timestamp()).abs() <= CLOCK_GRAIN)
}

/// Address and gateway, by the routes that the kernel has. An address that a box gives itself (RFC 3927) says nothing.
fn network(files: &Files) -> (bool, bool) {
    let routes = routes::ipv4(files);
    let has_address = routes.iter().any(|to| !to.destination.is_link_local());
    (has_address, routes.iter().any(|to| to.length == 0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use time::macros::datetime;

    use super::*;
    use crate::files::Access;

    const NOW: OffsetDateTime = datetime!(2026-12-01 12:00 UTC);

    fn with(put: &[(&str, &str)]) -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path());
        for (path, content) in put {
            files
                .replace(path, content.as_bytes(), Access::Everyone)
                .unwrap();
        }
        (folder, files)
    }

    #[test]
    fn a_server_the_owner_or_a_battery_tell_the_time_and_nothing_else_does() {
        let near = NOW.unix_timestamp().to_string();
        let rtc = "/sys/class/rtc/rtc0/since_epoch";
        for (put, knows, holds) in [
            (vec![], false, false),
            (vec![(status::SYNCHRONISED, "")], true, true),
            (vec![(clock::SET, "")], true, false),
            (vec![(rtc, near.as_str())], true, true),
            // A Pi 5 without a battery.
            (vec![(rtc, "83")], false, false),
        ] {
            let (_folder, files) = with(&put);
            assert_eq!(knows_the_time(&files, NOW), knows, "{put:?}");
            let clock = Surroundings::look(&files, NOW).clock;
            assert_eq!(clock.is_some(), holds, "{put:?}");
        }
    }

    #[test]
    fn address_and_gateway_are_read_from_the_routes() {
        let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n";
        for (routes, wanted) in [
            ("", (false, false)),
            (
                "end0\t0000FEA9\t00000000\t0001\t0\t0\t0\t0000FFFF\n",
                (false, false),
            ),
            (
                "lo\t0000007F\t00000000\t0001\t0\t0\t0\t000000FF\n",
                (false, false),
            ),
            (
                "end0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n",
                (true, false),
            ),
            (
                "end0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\nend0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n",
                (true, true),
            ),
        ] {
            let (_folder, files) = with(&[("/proc/net/route", &format!("{head}{routes}"))]);
            assert_eq!(network(&files), wanted, "{routes}");
        }
    }
}
