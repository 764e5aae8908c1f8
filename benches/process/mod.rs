//! What the system says of this process.

/// Returns the bytes that this process has resident, and the most that it had.
pub fn resident() -> [u64; 2] {
    let status = std::fs::read_to_string("/proc/self/status").expect("a /proc");
    ["VmRSS:", "VmHWM:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a size");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    })
}
