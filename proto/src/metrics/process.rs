//! What every process shows of itself, by the names that Prometheus's own libraries use.

use std::fs;

use super::{Family, Metric, count};

static CPU: Metric = Metric::counter(
    "process_cpu_seconds",
    &[],
    "CPU time that the process took, in seconds.",
);
static MEMORY: Metric = Metric::gauge(
    "process_resident_memory_bytes",
    &[],
    "Memory that the process has in use, in bytes.",
);
static OPEN: Metric = Metric::gauge("process_open_fds", &[], "File descriptors that are open.");
static START: Metric = Metric::gauge(
    "process_start_time_seconds",
    &[],
    "When the process was started, in seconds since 1970.",
);
static BUILD: Metric = Metric::gauge(
    "berth_build_info",
    &["version"],
    "The release that runs; always 1.",
);

/// Times in `/proc` count these in a second, on every architecture (`USER_HZ`).
const TICKS: f64 = 100.0;

/// The metrics of this process, which is of a release. What the kernel does not tell is left out.
pub fn process(version: &str) -> Vec<Family> {
    let mut build = Family::of(&BUILD);
    build.push(vec![version.to_owned()], 1.0);
    let one = |metric: &'static Metric, value: Option<f64>| {
        let mut family = Family::of(metric);
        if let Some(value) = value {
            family.push(Vec::new(), value);
        }
        family
    };
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is a name that may hold anything; those that are asked for come after it.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)?
            .parse::<f64>()
            .ok()
            .map(|ticks| ticks / TICKS)
    };
    let cpu = ticks(12).zip(ticks(13)).map(|(user, system)| user + system);
    let start = ticks(20).zip(booted()).map(|(after, boot)| boot + after);
    let open = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
    vec![
        build,
        one(&CPU, cpu),
        one(&MEMORY, resident()),
        one(&OPEN, open.map(count)),
        one(&START, start),
    ]
}

/// When the machine was booted, in seconds since 1970.
fn booted() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.parse().ok()
}

fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024.0)
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_kernel_tells_all_of_it() {
        let families = process("1.2.3");
        for family in &families {
            let [(_, value)] = family.samples.as_slice() else {
                panic!("{family:?}");
            };
            assert!(*value >= 0.0, "{family:?}");
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let start = families[4].samples[0].1;
        let age = now.as_secs_f64() - start;
        assert!((-5.0..3600.0).contains(&age), "started {age} s ago");
    }
}
