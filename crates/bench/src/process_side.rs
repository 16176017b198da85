//! What the kernel says that a process used.

use std::fs;

/// Clock ticks a second, as Linux shows them to programs on every machine.
const TICKS_A_SECOND: f64 = 100.0;

/// Processor time that the process used so far, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process that runs");
    // The name in parentheses may itself have any character.
    let (_, rest) = stat.rsplit_once(") ").expect("a line of /proc");
    let ticks: f64 = rest.split(' ').skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
    ticks / TICKS_A_SECOND
}

/// Memory that the process has now, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> f64 {
    status(pid, "VmRSS:")
}

/// The most memory that it ever had, in bytes.
pub(crate) fn resident_peak_bytes(pid: u32) -> f64 {
    status(pid, "VmHWM:")
}

fn status(pid: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process that runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says that");
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes * 1_024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_what_it_used() {
        let own = std::process::id();
        let (now, peak) = (resident_bytes(own), resident_peak_bytes(own));
        assert!(now > 1e5 && peak >= now, "{now} {peak}");
        assert!(cpu_seconds(own) < 3_600.0);
    }
}
