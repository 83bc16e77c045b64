//! How much memory this process may use: the smallest limit of its control groups, or three
//! quarters of the machine's memory.
//!
//! A control group is limited by all groups around it as well. In a container the groups outside
//! are not visible, and the container's own group is the root of what is mounted.

use std::fs;
use std::path::{Path, PathBuf};

/// The memory that a process may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemoryLimit {
    /// In bytes.
    pub(crate) bytes: u64,
    /// What sets the limit, for the log.
    pub(crate) source: String,
}

/// The limit of this process; `None` when the system tells nothing.
pub(crate) fn find() -> Option<MemoryLimit> {
    find_below(Path::new("/"))
}

/// As [`find`], with the files of the system below `root`.
fn find_below(root: &Path) -> Option<MemoryLimit> {
    let machine = machine(root);
    let groups = groups(root);
    groups
        .into_iter()
        .chain(machine)
        .min_by_key(|limit| limit.bytes)
}

/// Three quarters of the machine's memory. The rest is for the system and other programs.
fn machine(root: &Path) -> Option<MemoryLimit> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(MemoryLimit {
        bytes: kibibytes.saturating_mul(1024) / 4 * 3,
        source: "three quarters of the memory of this machine".to_owned(),
    })
}

/// The limits of the control groups of this process.
fn groups(root: &Path) -> Vec<MemoryLimit> {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let memberships = read("proc/self/cgroup");
    let mounts = read("proc/self/mountinfo");
    let mounts: Vec<Mount<'_>> = mounts.lines().filter_map(Mount::parse).collect();
    let memberships = memberships.lines().filter_map(Membership::parse);
    let limits = memberships.flat_map(|membership| {
        let of_version = mounts
            .iter()
            .filter(move |mount| mount.version == membership.version);
        of_version.flat_map(move |mount| limits(root, mount, membership.path))
    });
    limits.collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A hierarchy of control groups that is mounted.
struct Mount<'a> {
    version: Version,
    /// The group that is mounted.
    group: &'a str,
    /// Where it is mounted.
    directory: &'a str,
}

impl<'a> Mount<'a> {
    /// Reads a line of `/proc/self/mountinfo`; `None` for other file systems, and for hierarchies
    /// that do not limit memory.
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (group, directory) = (fields.next()?, fields.next()?);
        let mut fields = file_system.split(' ');
        let version = match (fields.next()?, fields.nth(1)) {
            ("cgroup2", _) => Version::Two,
            ("cgroup", Some(options)) if options.split(',').any(|option| option == "memory") => {
                Version::One
            }
            _ => return None,
        };
        Some(Self {
            version,
            group,
            directory,
        })
    }
}

/// The group of this process in one hierarchy.
struct Membership<'a> {
    version: Version,
    path: &'a str,
}

impl<'a> Membership<'a> {
    /// Reads a line of `/proc/self/cgroup`; `None` for hierarchies that do not limit memory.
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let version = match (number, controllers) {
            ("0", "") => Version::Two,
            (_, controllers) if controllers.split(',').any(|one| one == "memory") => Version::One,
            _ => return None,
        };
        Some(Self { version, path })
    }
}

/// The limits of the group `path` and of all groups around it that are visible.
fn limits(root: &Path, mount: &Mount<'_>, path: &str) -> Vec<MemoryLimit> {
    let top = root.join(mount.directory.trim_start_matches('/'));
    // A group outside of what is mounted is not visible; then the mounted one is the nearest.
    let below = match mount.group {
        "/" => Some(path),
        group => path.strip_prefix(group),
    };
    let below = below.unwrap_or_default().trim_start_matches('/');
    let is_visible = !below.split('/').any(|part| part == "..");
    let mut directory = if is_visible {
        top.join(below)
    } else {
        top.clone()
    };
    if !directory.is_dir() {
        directory.clone_from(&top);
    }
    let mut found = Vec::new();
    loop {
        found.extend(limits_of(&directory, mount.version));
        if directory == top || !directory.pop() {
            return found;
        }
    }
}

/// The limits of one group.
fn limits_of(group: &Path, version: Version) -> Vec<MemoryLimit> {
    let files: &[&str] = match version {
        // Above `memory.high` the system slows the processes of the group down.
        Version::Two => &["memory.max", "memory.high"],
        Version::One => &["memory.limit_in_bytes"],
    };
    let limit = |file: &PathBuf, text: &str| {
        let bytes = text.trim().parse().ok()?;
        let source = file.display().to_string();
        Some(MemoryLimit { bytes, source })
    };
    let of_files = files.iter().filter_map(|file| {
        let file = group.join(file);
        limit(&file, &fs::read_to_string(&file).ok()?)
    });
    let mut found: Vec<MemoryLimit> = of_files.collect();
    if version == Version::One {
        // The smallest of this group and of those around it, also of those that are not visible.
        let file = group.join("memory.stat");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let mut lines = text.lines();
        let smallest = lines.find_map(|line| line.strip_prefix("hierarchical_memory_limit "));
        found.extend(smallest.and_then(|bytes| limit(&file, bytes)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// The limit that these files of a system lead to.
    fn limit(files: &[(&str, &str)]) -> Option<(u64, String)> {
        let system = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = system.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("a file");
        }
        let found = find_below(system.path())?;
        let prefix = format!("{}/", system.path().display());
        Some((found.bytes, found.source.replace(&prefix, "")))
    }

    const MACHINE: (&str, &str) = (
        "proc/meminfo",
        "MemTotal:        2097152 kB\nMemFree: 1 kB\n",
    );
    const V2: (&str, &str) = (
        "proc/self/mountinfo",
        "24 1 0:22 / /proc rw - proc proc rw\n30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n",
    );

    #[test]
    fn without_control_groups_the_machine_is_the_limit() {
        let (bytes, source) = limit(&[MACHINE]).expect("a limit");
        assert_eq!((bytes, source.contains("machine")), (1536 * MIB, true));
        assert_eq!(limit(&[]), None);
        let unlimited = [
            MACHINE,
            V2,
            ("proc/self/cgroup", "0::/a\n"),
            ("sys/fs/cgroup/a/memory.max", "max\n"),
        ];
        assert_eq!(limit(&unlimited).expect("a limit").0, 1536 * MIB);
    }

    #[test]
    fn the_smallest_of_nested_groups_counts() {
        let nested = |inner: &str, outer: &str, high: &str| {
            limit(&[
                MACHINE,
                V2,
                ("proc/self/cgroup", "0::/outer/inner\n"),
                ("sys/fs/cgroup/outer/inner/memory.max", inner),
                ("sys/fs/cgroup/outer/inner/memory.high", high),
                ("sys/fs/cgroup/outer/memory.max", outer),
            ])
            .expect("a limit")
        };
        let of = |group: &str| format!("sys/fs/cgroup/{group}");
        assert_eq!(
            nested("134217728\n", "268435456\n", "max\n"),
            (128 * MIB, of("outer/inner/memory.max"))
        );
        assert_eq!(
            nested("max\n", "67108864\n", "max\n"),
            (64 * MIB, of("outer/memory.max"))
        );
        assert_eq!(
            nested("134217728\n", "max\n", "100000000\n"),
            (100_000_000, of("outer/inner/memory.high"))
        );
    }

    #[test]
    fn in_a_container_the_mounted_group_is_the_containers() {
        // With a namespace of its own, the process is in `/`.
        let own = [
            MACHINE,
            V2,
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "134217728"),
        ];
        assert_eq!(limit(&own).expect("a limit").0, 128 * MIB);
        // Without one, its path is that of the machine, and only its own group is mounted.
        let shared = [
            MACHINE,
            (
                "proc/self/mountinfo",
                "30 24 0:26 /docker/c0ffee /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
            ),
            ("proc/self/cgroup", "0::/docker/c0ffee\n"),
            ("sys/fs/cgroup/memory.max", "134217728"),
        ];
        assert_eq!(limit(&shared).expect("a limit").0, 128 * MIB);
        // A process that was moved out of the namespace.
        let outside = [
            MACHINE,
            V2,
            ("proc/self/cgroup", "0::/../other\n"),
            ("sys/fs/cgroup/memory.max", "134217728"),
        ];
        assert_eq!(limit(&outside).expect("a limit").0, 128 * MIB);
    }

    #[test]
    fn the_first_version_names_the_smallest_limit_itself() {
        let first = |own: &str, smallest: &str| {
            limit(&[
                MACHINE,
                (
                    "proc/self/mountinfo",
                    "31 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n32 24 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
                ),
                ("proc/self/cgroup", "5:cpu:/b\n4:memory:/a\n0::/c\n"),
                ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", own),
                ("sys/fs/cgroup/memory/a/memory.stat", smallest),
            ])
            .expect("a limit")
            .0
        };
        let none = "9223372036854771712\n";
        assert_eq!(first("134217728\n", "cache 1\n"), 128 * MIB);
        assert_eq!(
            first(none, "cache 1\nhierarchical_memory_limit 67108864\n"),
            64 * MIB
        );
        assert_eq!(
            first(none, "hierarchical_memory_limit 9223372036854771712\n"),
            1536 * MIB
        );
    }
}
