//! Allocators that take little more than what is in use, where memory is scarce.
//!
//! By default the allocator of C, which RocksDB uses, has an arena for every few threads, mimalloc
//! asks for huge pages of 2 MiB, and both keep freed memory for later. Together that is 30 to 60
//! MiB. Both are configured by variables that they read before `main`, so the program replaces
//! itself by itself.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use talos_config::SCARCE_MEMORY;

use super::memory_limit;

/// One arena, and thresholds that do not grow; for mimalloc no delay, and for the process no huge
/// pages.
const VARIABLES: [(&str, &str); 5] = [
    (MARK, "1"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
    ("MIMALLOC_PURGE_DELAY", "0"),
    ("MIMALLOC_ALLOW_THP", "0"),
];
/// If it is set, by the operator or by this program, nothing is replaced.
const MARK: &str = "MALLOC_ARENA_MAX";

/// Starts this program again, as the same process, with other allocators if memory is scarce. Call
/// it before anything else is done. If it fails, the server takes more memory.
pub(crate) fn save_memory() {
    let is_scarce = memory_limit::find().is_some_and(|limit| limit.bytes < SCARCE_MEMORY);
    if !is_scarce || env::var_os(MARK).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else {
        return;
    };
    let mut words = env::args_os();
    let mut command = Command::new(&program);
    command.arg0(words.next().unwrap_or_else(|| program.into()));
    // Returns only if it fails.
    let _ = command.args(words).envs(VARIABLES).exec();
}
