//! What the figures depend on beside the programs.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

/// Appends whose `fdatasync` is timed.
const SYNCS: usize = 400;

/// The machine as it is before anything is measured.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    /// Of an append of 4 KiB, in milliseconds: what a commit waits for at least.
    pub(super) fdatasync_p50_ms: f64,
    /// Processes that ran or waited to run, averaged over a minute.
    pub(super) load: f64,
}

impl Machine {
    /// `directory` is on the disk that the stores will be on.
    pub(super) fn look(directory: &Path) -> Result<Self> {
        let load = load()?;
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(':')).map_or("unknown", |(_, model)| model.trim());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("this is not Linux")?;
        Ok(Self {
            processor: model.to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            kernel: kernel.trim().to_owned(),
            fdatasync_p50_ms: median_sync(&directory.join("fdatasync"))?.as_secs_f64() * 1000.0,
            load,
        })
    }
}

/// The load average of the last minute.
pub(super) fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg").context("this is not Linux")?;
    let first = text.split_whitespace().next().context("/proc/loadavg is empty")?;
    first.parse().with_context(|| format!("/proc/loadavg begins with {first:?}"))
}

fn median_sync(path: &Path) -> Result<Duration> {
    let mut file = File::create(path)?;
    let mut durations = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&[0x5a; 4096])?;
        let begun = Instant::now();
        file.sync_data()?;
        durations.push(begun.elapsed());
    }
    fs::remove_file(path)?;
    durations.sort();
    durations.get(SYNCS / 2).copied().context("nothing was timed")
}

/// CPU time of a process so far, user and system, all threads; in steps of 10 ms.
pub(super) fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name, in parentheses, may hold blanks: count from behind it.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// The most memory a process had since [`reset_peak`], in MiB.
pub(super) fn peak_mib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().context("VmHWM is not a number")?;
    Ok(kib / 1024.0)
}

/// Forgets the peak so far (proc(5), clear_refs).
pub(super) fn reset_peak(pid: u32) -> Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("the peak of memory cannot be reset")
}
