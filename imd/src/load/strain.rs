//! Whether the daemon keeps up. When tasks wait for their turn because of its own work, what everybody sends counts a multiple
//! ([`super::rates`]): those who send most are slowed first, and whoever sends little notices nothing.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use super::rates::Rates;

/// How often it is looked.
pub(super) const PERIOD: Duration = Duration::from_millis(50);
/// Waiting that is too long.
const LONG: Duration = Duration::from_millis(6);
/// Waiting that is nothing.
const SHORT: Duration = Duration::from_millis(3);
/// The largest multiple: with it, an account may still send some elements each second.
const MOST: u32 = 64;

/// Look after the rates for ever: often while something is sent, not at all while nothing is. `look` is called each time.
pub async fn watch(rates: &Rates, look: impl Fn()) {
    loop {
        rates.woken.notified().await;
        let mut strain = 1;
        while rates.take_used() || strain > 1 {
            let (began, worked) = (Instant::now(), processor_time());
            tokio::time::sleep(PERIOD).await;
            let late = began.elapsed().saturating_sub(PERIOD);
            let worked = processor_time().saturating_sub(worked);
            strain = next(strain, late, worked);
            rates.set_strain(strain);
            look();
        }
    }
}

/// The next multiple, when a task waited so long for its turn while the process used so much processor time. A process that is
/// not given the processor waits for others, and not for what its clients send.
fn next(strain: u32, late: Duration, worked: Duration) -> u32 {
    if late > LONG && worked > late / 2 {
        return (strain * 2).min(MOST);
    }
    if late < SHORT {
        // Slowly: all who were held back go on at the same moment.
        return (strain * 15 / 16).max(1);
    }
    strain
}

fn processor_time() -> Duration {
    // The clock is there on every Linux.
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn strain_rises_quickly_and_falls_when_nothing_waits() {
        let mut strain = 1;
        for expected in [2, 4, 8, 16, 32, 64, 64] {
            strain = next(strain, ms(30), ms(80));
            assert_eq!(strain, expected);
        }
        assert_eq!(next(strain, ms(5), ms(50)), 64, "neither long nor short");
        for expected in [60, 56, 52, 48] {
            strain = next(strain, ms(1), ms(10));
            assert_eq!(strain, expected);
        }
        assert_eq!(next(1, ms(1), ms(10)), 1);
    }

    #[test]
    fn waiting_for_other_programs_is_no_strain() {
        assert_eq!(next(1, ms(500), ms(20)), 1);
    }

    #[test]
    fn the_process_has_used_some_time() {
        assert!(processor_time() > Duration::ZERO);
    }
}
