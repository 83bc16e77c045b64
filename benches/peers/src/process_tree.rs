//! The CPU time of a server of several processes: nginx has a master and a worker, PostgreSQL a
//! process per connection.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// The processes with these ids and all their descendants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessTree {
    roots: Vec<u32>,
}

impl ProcessTree {
    /// The trees below `roots`.
    #[must_use]
    pub fn new(roots: Vec<u32>) -> Self {
        Self { roots }
    }

    /// The CPU time that the threads of these processes have used so far. Threads that have ended
    /// do not count, so the difference of two samples misses threads that ended between them.
    ///
    /// # Errors
    /// When a root has ended, or `/proc` cannot be read.
    pub fn cpu(&self) -> io::Result<Duration> {
        let parents = parents()?;
        let mut sum = Duration::ZERO;
        for (process, _) in parents.iter().filter(|(id, _)| self.holds(**id, &parents)) {
            sum += cpu_of(*process)?;
        }
        match self.roots.iter().find(|root| !parents.contains_key(root)) {
            Some(root) => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("process {root} is gone"),
            )),
            None => Ok(sum),
        }
    }

    fn holds(&self, process: u32, parents: &HashMap<u32, u32>) -> bool {
        let ancestors = std::iter::successors(Some(process), |id| parents.get(id).copied());
        // Deeper than any server. The bound also ends the search if a change of the table made a
        // circle of it while it was read.
        ancestors.take(32).any(|id| self.roots.contains(&id))
    }
}

/// Every process with its parent.
fn parents() -> io::Result<HashMap<u32, u32>> {
    let mut parents = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(process) = name.and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end while the table is read.
        let Ok(stat) = fs::read_to_string(path.join("stat")) else {
            continue;
        };
        if let Some(parent) = parent_in(&stat) {
            parents.insert(process, parent);
        }
    }
    Ok(parents)
}

/// The fourth field of `/proc/PID/stat`. The second field is the program's name in parentheses and
/// may hold anything.
fn parent_in(stat: &str) -> Option<u32> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The sum over the threads of a process. Zero if it has ended meanwhile.
fn cpu_of(process: u32) -> io::Result<Duration> {
    let mut sum = Duration::ZERO;
    let Ok(threads) = fs::read_dir(Path::new("/proc").join(process.to_string()).join("task"))
    else {
        return Ok(sum);
    };
    for thread in threads.flatten() {
        let Ok(statistics) = fs::read_to_string(thread.path().join("schedstat")) else {
            continue;
        };
        let ran = statistics
            .split_ascii_whitespace()
            .next()
            .and_then(|nanoseconds| nanoseconds.parse().ok());
        let ran = ran.ok_or_else(|| io::Error::other("this kernel counts no run times"))?;
        sum += Duration::from_nanos(ran);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent_in("12 (a) b) S 7 12 12 0"), Some(7));
        assert_eq!(parent_in("12 (a"), None);
    }

    #[test]
    fn what_a_grandchild_works_is_counted() {
        // The outer shell waits, the inner one uses CPU time.
        let mut child = Command::new("sh")
            .args(["-c", "sh -c 'while :; do :; done & read line; kill $!'; :"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let tree = ProcessTree::new(vec![child.id()]);
        let deadline = Instant::now() + Duration::from_secs(20);
        while tree.cpu().unwrap() < Duration::from_millis(50) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let counted = tree.cpu().unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(counted >= Duration::from_millis(50), "{counted:?}");
    }

    #[test]
    fn a_server_that_is_gone_is_an_error() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(ProcessTree::new(vec![child.id()]).cpu().is_err());
    }
}
