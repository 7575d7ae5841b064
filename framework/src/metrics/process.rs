//! The process's own memory and CPU time, from Linux's `/proc`. Elsewhere there is nothing to show.
//!
//! Read here, in a few lines, because prometheus' own collector brings along a crate tree and rounds
//! CPU time to whole seconds.

use std::fs;

/// The unit of times in `/proc`: 100 on every architecture Rust runs on, whatever the kernel's tick.
const TICKS_PER_SECOND: f64 = 100.0;

/// Bytes of physical memory in use.
pub(super) fn resident_memory_bytes() -> Option<f64> {
    parse_resident_memory(&fs::read_to_string("/proc/self/status").ok()?)
}

/// User and system time used so far.
pub(super) fn cpu_seconds() -> Option<f64> {
    parse_cpu(&fs::read_to_string("/proc/self/stat").ok()?)
}

fn parse_resident_memory(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn parse_cpu(stat: &str) -> Option<f64> {
    // The second field is the program's name in parentheses and may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11); // user and system are fields 14 and 15
    let user: f64 = times.next()?.parse().ok()?;
    let system: f64 = times.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmPeak:\t   9 kB\nVmRSS:\t    1234 kB\nThreads:\t1\n";
        assert_eq!(parse_resident_memory(status), Some(1234.0 * 1024.0));
        assert_eq!(parse_resident_memory("Name:\tx\n"), None);
    }

    #[test]
    fn cpu_time_is_found_behind_any_program_name() {
        let stat = "7 (a) b (c 1 2) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 99";
        assert_eq!(parse_cpu(stat), Some(3.0));
        assert_eq!(parse_cpu("7 (a"), None);
    }
}
