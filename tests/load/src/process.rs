//! What a server costs, from `/proc`: its process and all that descend from it.

use std::collections::HashSet;
use std::fs;

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};
use serde::Serialize;

/// Sums over a process and its descendants, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Sample {
    /// Processor time, user and system, in seconds. Its grain is the kernel's tick, 10 ms.
    pub cpu: f64,
    /// The part of it that the kernel took.
    pub system: f64,
    /// Resident memory, in bytes.
    pub rss: u64,
    /// The same with shared pages divided among those who share them.
    pub pss: u64,
    /// Resident memory that is no file's: a database that is mapped does not count.
    pub anonymous: u64,
    /// Context switches because there was nothing to do.
    pub voluntary: u64,
    /// Context switches because others had to run.
    pub involuntary: u64,
    /// Bytes that were sent to the storage layer.
    pub written: u64,
    /// Open files.
    pub files: u64,
}

impl Sample {
    /// Takes one.
    ///
    /// # Errors
    ///
    /// There is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        let mut sum = Self::default();
        let all = tree(pid)?;
        for pid in all {
            // A descendant may have ended since.
            if let Ok(one) = Self::one(pid) {
                sum.add(&one);
            }
        }
        Ok(sum)
    }

    fn one(pid: u32) -> Result<Self> {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            fs::read_to_string(&path).with_context(|| format!("read {path}"))
        };
        let stat = Stat::read(&read("stat")?).context("/proc/PID/stat")?;
        let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        let memory = read("smaps_rollup")?;
        let (mut voluntary, mut involuntary) = (0, 0);
        for task in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            voluntary += field(&status, "voluntary_ctxt_switches:");
            involuntary += field(&status, "nonvoluntary_ctxt_switches:");
        }
        Ok(Self {
            cpu: (stat.user + stat.system) as f64 / ticks as f64,
            system: stat.system as f64 / ticks as f64,
            rss: field(&memory, "Rss:") * 1024,
            pss: field(&memory, "Pss:") * 1024,
            anonymous: field(&memory, "Anonymous:") * 1024,
            voluntary,
            involuntary,
            written: read("io").map_or(0, |io| field(&io, "write_bytes:")),
            files: fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64,
        })
    }

    fn add(&mut self, other: &Self) {
        self.cpu += other.cpu;
        self.system += other.system;
        self.rss += other.rss;
        self.pss += other.pss;
        self.anonymous += other.anonymous;
        self.voluntary += other.voluntary;
        self.involuntary += other.involuntary;
        self.written += other.written;
        self.files += other.files;
    }

    /// What was used since `before`: time, switches and bytes are differences, memory and files are as now.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            cpu: self.cpu - before.cpu,
            system: self.system - before.system,
            voluntary: self.voluntary.saturating_sub(before.voluntary),
            involuntary: self.involuntary.saturating_sub(before.involuntary),
            written: self.written.saturating_sub(before.written),
            ..*self
        }
    }
}

/// The number on the line that begins with `name`.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

/// What is needed of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Ticks of the processor in the program.
    user: u64,
    /// Ticks in the kernel.
    system: u64,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The name is in parentheses and may have some itself.
        let mut rest = text.get(text.rfind(')')? + 1..)?.split_whitespace();
        let parent = rest.nth(1)?.parse().ok()?;
        Some(Self {
            parent,
            user: rest.nth(9)?.parse().ok()?,
            system: rest.next()?.parse().ok()?,
        })
    }
}

/// A process and all that descend from it.
fn tree(root: u32) -> Result<HashSet<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").context("read /proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some(stat) = Stat::read(&stat) {
            parents.push((pid, stat.parent));
        }
    }
    let mut tree = HashSet::from([root]);
    loop {
        let known = tree.len();
        let children = parents.iter().filter(|(_, of)| tree.contains(of));
        let children: Vec<u32> = children.map(|(pid, _)| *pid).collect();
        tree.extend(children);
        if tree.len() == known {
            break;
        }
    }
    anyhow::ensure!(
        parents.iter().any(|(pid, _)| *pid == root),
        "there is no process {root}"
    );
    Ok(tree)
}

/// Processor time of this process itself, in seconds.
#[must_use]
pub fn own_cpu() -> f64 {
    Sample::one(std::process::id()).map_or(0.0, |own| own.cpu)
}

/// Processor time that all of this machine has used since it started, in seconds, with what a host took from it.
#[must_use]
pub fn machine_cpu() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    busy_ticks(&stat) as f64 / ticks as f64
}

/// Memory that the kernel has given to its own objects, sockets among them, in bytes.
#[must_use]
pub fn kernel_objects() -> u64 {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    field(&memory, "SUnreclaim:") * 1024
}

/// The first line of `/proc/stat` without idle time and waiting for disks.
fn busy_ticks(stat: &str) -> u64 {
    let all = stat.lines().next().unwrap_or_default().split_whitespace();
    let all = all.skip(1).take(8).enumerate();
    let busy = all.filter(|(at, _)| !matches!(at, 3 | 4));
    busy.filter_map(|(_, ticks)| ticks.parse::<u64>().ok())
        .sum()
}

/// Lets this process open as many files as it may.
pub fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Those who then meet the old limit are told by the connections that fail.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_behind_the_name_whatever_it_is() {
        let line = "42 (a) b (c)) S 7 42 42 0 -1 4194560 100 0 1 0 250 50 0 0 20 0 3 0 100";
        let expected = Stat {
            parent: 7,
            user: 250,
            system: 50,
        };
        assert_eq!(Stat::read(line), Some(expected));
    }

    #[test]
    fn work_and_memory_of_a_child_count() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "exec 3<&0; cat <&3 & echo; wait"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // What it says, it says after it has its own child.
        let mut said = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
        let all = tree(child.id()).unwrap();
        let (sum, own) = (
            Sample::of(child.id()).unwrap(),
            Sample::one(child.id()).unwrap(),
        );
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(sum.rss > own.rss && sum.files > own.files);
    }

    #[test]
    fn idle_time_is_not_busy_and_guests_are_counted_once() {
        let stat =
            "cpu  1 20 300 4000 50000 600000 7000000 80000000 9 9\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(busy_ticks(stat), 87_600_321);
    }

    #[test]
    fn no_process_is_an_error() {
        assert!(Sample::of(u32::MAX).is_err());
    }
}
