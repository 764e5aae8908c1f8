//! glibc's allocator, told to give back what was freed.
//!
//! Left alone it raises its thresholds with each large buffer that is freed, keeps what a burst once needed, and spreads what
//! is stored over eight arenas for each core, each with holes of its own: benches/memory.rs shows what that costs. It reads its
//! settings from the environment, as a process starts.

use std::{env, os::unix::process::CommandExt, process::Command, thread};

const VARIABLE: &str = "GLIBC_TUNABLES";
/// Larger blocks are mapped each by itself; of the heap's free end no more is kept.
const TUNABLES: &str = "glibc.malloc.mmap_threshold=262144:glibc.malloc.trim_threshold=131072:glibc.malloc.arena_max=";

/// Starts this program anew in its own place, with the settings. Returns where they are set already, by whomever, and where it
/// cannot be done.
pub fn tune() {
    if cfg!(not(target_env = "gnu")) || env::var_os(VARIABLE).is_some() {
        return;
    }
    let mut arguments = env::args_os();
    let (Ok(program), Some(name)) = (env::current_exe(), arguments.next()) else { return };
    let arenas = thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let error = Command::new(program).arg0(name).args(arguments).env(VARIABLE, format!("{TUNABLES}{arenas}")).exec();
    log::debug!("memory that was freed may stay with this process: {error}");
}
