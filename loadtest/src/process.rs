//! CPU time, memory and descriptors of the server's process, from `/proc`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::affinity::cores_of;

/// A process on this machine.
#[derive(Clone, Debug)]
pub struct Process {
    pid: u32,
    directory: PathBuf,
}

/// What a process uses at one moment. Values that cannot be read are absent: only the owner of a
/// process may list its descriptors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time so far, user and system. Its resolution is that of `/proc/PID/stat`: 10 ms.
    pub cpu: Option<Duration>,
    /// Resident memory in bytes.
    pub rss_bytes: Option<u64>,
    /// Open descriptors.
    pub descriptors: Option<u64>,
}

impl Process {
    /// The process with this id. It need not exist.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self {
            pid,
            directory: PathBuf::from(format!("/proc/{pid}")),
        }
    }

    /// What the process uses now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let statm = fs::read_to_string(self.directory.join("statm")).unwrap_or_default();
        let resident = statm
            .split_ascii_whitespace()
            .nth(1)
            .and_then(|pages| pages.parse::<u64>().ok());
        Usage {
            cpu: self.cpu_time(),
            rss_bytes: resident.map(|pages| pages * rustix::param::page_size() as u64),
            descriptors: fs::read_dir(self.directory.join("fd"))
                .ok()
                .map(|entries| entries.count() as u64),
        }
    }

    /// The most memory (resident set) that the process has had, in bytes. The kernel keeps it.
    #[must_use]
    pub fn peak_rss_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(self.directory.join("status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// CPU time so far.
    #[must_use]
    pub fn cpu_time(&self) -> Option<Duration> {
        let ticks = cpu_ticks(&fs::read_to_string(self.directory.join("stat")).ok()?)?;
        // USER_HZ: Linux reports times in these ticks, whatever its internal tick is.
        Some(Duration::from_millis(
            ticks * (1000 / rustix::param::clock_ticks_per_second()),
        ))
    }

    /// The cores that the process may use, by the affinity of its first thread.
    #[must_use]
    pub fn cores(&self) -> Option<Vec<usize>> {
        let pid = i32::try_from(self.pid).ok()?;
        cores_of(rustix::process::Pid::from_raw(pid)).ok()
    }
}

/// Fields 14 and 15 of `/proc/PID/stat`. The command's name, in parentheses, may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_past_any_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 1 0 0 0 250 75 0 0 20 0 9 0 100 1 1";
        assert_eq!(cpu_ticks(stat), Some(325));
        assert_eq!(cpu_ticks("42 (a"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let usage = Process::new(std::process::id()).usage();
        assert!(usage.rss_bytes.unwrap() > 100_000 && usage.descriptors.unwrap() >= 3);
        assert!(usage.cpu.is_some());
        let peak = Process::new(std::process::id()).peak_rss_bytes();
        assert!(peak.unwrap() > 100_000);
        assert_eq!(Process::new(u32::MAX).peak_rss_bytes(), None);
        assert_eq!(Process::new(u32::MAX).usage(), Usage::default());
    }
}
