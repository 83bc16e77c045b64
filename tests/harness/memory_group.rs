//! A limit on the memory of a server: a control group, of whichever version there is. Where none
//! can be made, the server is told of the limit, and its peak is compared with it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use tempfile::TempDir;

use super::requirement::report_missing;

/// A limit, removed at the end.
#[derive(Debug)]
pub struct MemoryGroup {
    bytes: u64,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The directory of a control group. The kernel ends a process that exceeds its limit.
    Group(PathBuf),
    /// Files that the process sees in place of the system's.
    Told(TempDir),
}

impl MemoryGroup {
    /// A group with this limit. `None` when this process may neither make one nor mount files,
    /// which [`report_missing`] reports, and which fails the test on CI.
    pub fn new(mebibytes: u64) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            report_missing("a limit on memory needs root");
            return None;
        }
        let bytes = mebibytes << 20;
        let group = first_version(bytes).or_else(|| second_version(bytes));
        let kind = group.map_or_else(|| Kind::Told(told(bytes)), Kind::Group);
        Some(Self { bytes, kind })
    }

    /// The command, run within the limit.
    pub fn confine(&self, command: &Command) -> Command {
        let enter = match &self.kind {
            Kind::Group(group) => format!("echo $$ > '{}/cgroup.procs'", group.display()),
            Kind::Told(files) => format!(
                "mount --bind '{0}/cgroup' /proc/$$/cgroup && mount --bind '{0}/mountinfo' /proc/$$/mountinfo",
                files.path().display()
            ),
        };
        let script = format!("{enter} && exec \"$@\"");
        let shell = ["sh", "-c", &script, "sh"].map(OsStr::new);
        let mut words: Vec<&OsStr> = Vec::new();
        if matches!(self.kind, Kind::Told(_)) {
            words.extend(["unshare", "--mount", "--propagation", "private"].map(OsStr::new));
        }
        words.extend(shell);
        words.push(command.get_program());
        words.extend(command.get_args());
        let mut confined = Command::new(words[0]);
        confined.args(&words[1..]);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => confined.env(name, value),
                None => confined.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            confined.current_dir(directory);
        }
        confined
    }

    /// Asserts that the process is alive and never had more memory than its limit.
    pub fn assert_kept_by(&self, process: &Child) {
        let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
        let kibibytes = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let line = line.unwrap_or_else(|| panic!("no {name} in {status}"));
            line.trim().trim_end_matches("kB").trim().parse().unwrap()
        };
        if let Kind::Told(_) = &self.kind {
            // Pages of the program's file are in the peak, too, and can be dropped at any time.
            let peak = kibibytes("VmHWM:").saturating_sub(kibibytes("RssFile:"));
            assert!(peak << 10 <= self.bytes, "{peak} KiB\n{status}");
        }
    }
}

/// A group of the first version, below the one of this process.
fn first_version(bytes: u64) -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.split_once(":memory:"));
    let top = Path::new("/sys/fs/cgroup/memory");
    let below_own = own.map(|(_, path)| top.join(path.trim_start_matches('/')));
    let parents = below_own.into_iter().chain([top.to_owned()]);
    parents
        .into_iter()
        .find_map(|parent| make(&parent, "memory.limit_in_bytes", bytes))
}

/// A group of the second version, below the topmost one that is visible.
fn second_version(bytes: u64) -> Option<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    // Fails where it is enabled already, and where processes are in that group.
    let _ = fs::write(top.join("cgroup.subtree_control"), "+memory");
    make(top, "memory.max", bytes)
}

fn make(parent: &Path, file: &str, bytes: u64) -> Option<PathBuf> {
    let group = parent.join(format!("talos-test-{}", std::process::id()));
    fs::create_dir(&group).ok()?;
    // The parent may be an ordinary directory, or the group one without control of memory.
    let is_limited =
        group.join(file).exists() && fs::write(group.join(file), bytes.to_string()).is_ok();
    if is_limited {
        return Some(group);
    }
    let _ = fs::remove_dir(&group);
    None
}

/// What a process in a group with this limit sees.
fn told(bytes: u64) -> TempDir {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().display();
    fs::write(files.path().join("memory.max"), bytes.to_string()).unwrap();
    fs::write(files.path().join("cgroup"), "0::/\n").unwrap();
    let mounts = format!("30 24 0:26 / {path} rw - cgroup2 cgroup2 rw\n");
    fs::write(files.path().join("mountinfo"), mounts).unwrap();
    files
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        if let Kind::Group(group) = &self.kind
            && let Err(error) = fs::remove_dir(group)
        {
            eprintln!("cleaning up a memory group: {error}");
        }
    }
}
