//! What the system says of this process.

use std::time::Duration;

/// Bytes that this process has resident, and the most that it had.
pub fn resident() -> [u64; 2] {
    let status = std::fs::read_to_string("/proc/self/status").expect("a /proc");
    ["VmRSS:", "VmHWM:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a size");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    })
}

/// How long this process has computed, on all of its threads.
pub fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Bytes that this process has sent to the disk, or is about to.
pub fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").expect("a /proc");
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).expect("a size");
    line.parse().expect("a number")
}
