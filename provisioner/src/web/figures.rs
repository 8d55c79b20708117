//! How the machine is, as far as a process without rights can see it.

use std::path::Path;

use crate::disk::{Health, look};
use crate::files::Files;

/// Figures of this moment. Absent: the machine does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Of the processor, in tenths of a degree (Celsius).
    pub temperature: Option<i64>,
    /// The processor's clock, in MHz.
    pub clock: Option<u64>,
    /// The kernel holds the clock down because of the heat.
    pub throttled: Option<bool>,
    /// The kernel has found the supply's voltage too low.
    pub low_voltage: Option<bool>,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of it that programs could have.
    pub memory_free: u64,
    /// Bytes that the data partition has.
    pub disk: u64,
    /// Bytes of it that can be written.
    pub disk_free: u64,
    /// Errors that the data partition's file system has noted.
    pub disk_errors: u64,
    /// How much of an eMMC's life is over, in tenths (JEDEC's `DEVICE_LIFE_TIME_EST`; cards do not say).
    pub worn: Option<u8>,
    /// What the disk says of itself. Absent: an SD card, or it has not been asked yet.
    pub health: Option<Health>,
}

impl Figures {
    /// Looks at the machine; `disk` is a folder on the data partition.
    pub fn look(files: &Files, disk: &Path) -> Self {
        let number = |path: &str| files.read(path).ok()??.trim().parse::<i64>().ok();
        let memory = |name: &str| meminfo(files, name).unwrap_or_default();
        let disk = nix::sys::statvfs::statvfs(disk).ok();
        let clock = number("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq");
        Self {
            temperature: number("/sys/class/thermal/thermal_zone0/temp").map(|milli| milli / 100),
            clock: clock.map(|kilo| kilo.unsigned_abs() / 1000),
            throttled: throttled(files),
            low_voltage: low_voltage(files),
            memory: memory("MemTotal:"),
            memory_free: memory("MemAvailable:"),
            disk: disk.map_or(0, |about| about.blocks() * about.fragment_size()),
            disk_free: disk.map_or(0, |about| about.blocks_available() * about.fragment_size()),
            disk_errors: disk_errors(files),
            worn: worn(files),
            health: look::seen(files),
        }
    }

    /// Bytes in use on the data partition.
    pub fn disk_used(&self) -> u64 {
        self.disk.saturating_sub(self.disk_free)
    }
}

fn meminfo(files: &Files, name: &str) -> Option<u64> {
    let text = files.read("/proc/meminfo").ok()??;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibi: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kibi * 1024)
}

/// A cooling device that lowers the clock, and how far it is now (Documentation/ABI/testing/sysfs-class-thermal).
fn throttled(files: &Files) -> Option<bool> {
    let mut found = None;
    for folder in files.matching("/sys/class/thermal/cooling_device*") {
        let kind = files.read(format!("{folder}/type")).ok()??;
        if kind.starts_with("cpufreq") || kind.starts_with("thermal-cpufreq") {
            let state = files.read(format!("{folder}/cur_state")).ok()??;
            found = Some(found == Some(true) || state.trim() != "0");
        }
    }
    found
}

/// The Pi's firmware tells the kernel (drivers/hwmon/raspberrypi-hwmon.c).
fn low_voltage(files: &Files) -> Option<bool> {
    files
        .matching("/sys/class/hwmon/hwmon*")
        .iter()
        .find_map(|folder| {
            let name = files.read(format!("{folder}/name")).ok()??;
            if name != "rpi_volt" {
                return None;
            }
            let alarm = files.read(format!("{folder}/in0_lcrit_alarm")).ok()??;
            Some(alarm != "0")
        })
}

/// Of all ext4 file systems: the box has one.
fn disk_errors(files: &Files) -> u64 {
    files
        .matching("/sys/fs/ext4/*/errors_count")
        .iter()
        .filter_map(|path| files.read(path).ok()??.trim().parse::<u64>().ok())
        .sum()
}

fn worn(files: &Files) -> Option<u8> {
    let text = files.read("/sys/block/mmcblk0/device/life_time").ok()??;
    // Two estimates, `0x01 0x02`: the worse one.
    let estimates = text.split_whitespace().filter_map(|word| {
        let digits = word.strip_prefix("0x")?;
        u8::from_str_radix(digits, 16).ok()
    });
    estimates.max().filter(|tenths| (1..=11).contains(tenths))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_pi_says_how_it_is() {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in [
            ("sys/class/thermal/thermal_zone0/temp", "61341\n"),
            ("sys/class/thermal/cooling_device0/type", "gpio-fan\n"),
            ("sys/class/thermal/cooling_device0/cur_state", "1\n"),
            ("sys/class/thermal/cooling_device1/type", "cpufreq-cpu0\n"),
            ("sys/class/thermal/cooling_device1/cur_state", "2\n"),
            ("sys/class/hwmon/hwmon0/name", "cpu_thermal\n"),
            ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n"),
            (
                "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
                "1500000\n",
            ),
            ("sys/fs/ext4/mmcblk0p6/errors_count", "3\n"),
            ("sys/block/mmcblk0/device/life_time", "0x02 0x04\n"),
            (
                "proc/meminfo",
                "MemTotal:  3884000 kB\nMemAvailable:  3000000 kB\n",
            ),
        ] {
            let place = root.path().join(path);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, content).unwrap();
        }
        let found = Figures::look(&Files::new(root.path()), root.path());
        assert_eq!(found.temperature, Some(613));
        assert_eq!((found.clock, found.throttled), (Some(1500), Some(true)));
        assert_eq!((found.low_voltage, found.disk_errors), (Some(false), 3));
        assert_eq!(found.memory_free, 3_000_000 * 1024);
        assert_eq!(found.worn, Some(4));
        assert!(found.disk > 0 && found.disk_free <= found.disk);
    }

    #[test]
    fn what_a_machine_does_not_have_is_absent() {
        let root = tempfile::tempdir().unwrap();
        let found = Figures::look(&Files::new(root.path()), root.path());
        let none = (
            found.temperature,
            found.clock,
            found.throttled,
            found.low_voltage,
        );
        assert_eq!(none, (None, None, None, None));
    }
}
