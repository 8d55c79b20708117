//! What a scenario found, as it stands in a JSON file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;

/// Where it was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many cores are online.
    pub cores: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// The kernel's version.
    pub kernel: String,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let value = |line: &str| Some(line.split_once(':')?.1.trim().to_owned());
        let mut models = cpuinfo
            .lines()
            .filter(|line| line.starts_with("model name"));
        let memory = read("/proc/meminfo");
        let kib = memory
            .split_whitespace()
            .nth(1)
            .and_then(|n| n.parse().ok());
        Self {
            processor: models.next().and_then(value).unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(0, |n| n.get() as u64),
            memory: kib.unwrap_or(0) * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// A latency histogram, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Half took at most this.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// 99 of a hundred.
    pub p99: f64,
    /// 999 of a thousand.
    pub p999: f64,
    /// The longest.
    pub max: f64,
    /// Upper end and count of each bucket that is not empty.
    pub buckets: Vec<(f64, u64)>,
}

impl From<&Histogram> for Latency {
    fn from(histogram: &Histogram) -> Self {
        let ms = |nanos: u64| nanos as f64 / 1e6;
        let q = |q| ms(histogram.quantile(q));
        Self {
            count: histogram.count(),
            mean: histogram.mean() / 1e6,
            p50: q(0.5),
            p90: q(0.9),
            p99: q(0.99),
            p999: q(0.999),
            max: ms(histogram.max()),
            buckets: histogram.buckets().map(|(end, n)| (ms(end), n)).collect(),
        }
    }
}

/// One scenario against one server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What the server is called in the tables: imd, ejabberd, prosody.
    pub server: String,
    /// Its version.
    pub version: String,
    /// Which scenario.
    pub scenario: String,
    /// What this run of it is called in the tables; the scenario's name, if it has no other.
    pub label: String,
    /// The day and time of its end (UTC, RFC 3339).
    pub date: String,
    /// Where.
    pub machine: Machine,
    /// With what (users, rates, limits).
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// What was found; names end in their unit.
    pub figures: BTreeMap<String, f64>,
    /// What was waited for: delivery, ack, login, lateness.
    pub latencies: BTreeMap<String, Latency>,
    /// Memory and the like over time: seconds, and figures.
    pub series: Vec<(f64, BTreeMap<String, f64>)>,
}

impl Outcome {
    /// Notes a figure.
    pub fn figure(&mut self, name: &str, value: f64) {
        self.figures.insert(name.to_owned(), value);
    }

    /// Notes a histogram.
    pub fn latency(&mut self, name: &str, histogram: &Histogram) {
        self.latencies.insert(name.to_owned(), histogram.into());
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(file, text + "\n").with_context(|| format!("write {}", file.display()))
    }

    /// Reads all that are in a folder.
    ///
    /// # Errors
    ///
    /// A file is something else.
    pub fn read_all(folder: &Path) -> Result<Vec<Self>> {
        let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|e| e == "json"));
        files.sort();
        let read = |path: &std::path::PathBuf| {
            let text = fs::read_to_string(path)?;
            serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))
        };
        files.iter().map(read).collect()
    }
}
