//! Divides the cores between the server and the load threads, so that they do not compete.

use std::io;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A division of the cores that this process may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The server's cores; it gets as many workers.
    pub server: Vec<usize>,
    /// One load thread each.
    pub load: Vec<usize>,
}

impl Layout {
    /// Gives the first half of the cores to the server and the rest to the load. With a single core
    /// both share it.
    #[must_use]
    pub fn divide(cores: &[usize]) -> Self {
        match cores {
            [] | [_] => Self {
                server: cores.to_vec(),
                load: cores.to_vec(),
            },
            _ => {
                let (server, load) = cores.split_at(cores.len() / 2);
                Self {
                    server: server.to_vec(),
                    load: load.to_vec(),
                }
            }
        }
    }

    /// Gives all cores to the load, for a server that this program did not start.
    #[must_use]
    pub fn load_only(cores: &[usize]) -> Self {
        Self {
            server: Vec::new(),
            load: cores.to_vec(),
        }
    }

    /// Whether the server and the load share a core.
    #[must_use]
    pub fn shared(&self) -> bool {
        self.server.iter().any(|core| self.load.contains(core))
    }
}

/// The cores that this process may use, in ascending order.
///
/// # Errors
/// The error of the system call.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    cores_of(None)
}

/// The cores that a process may use, in ascending order; `None` = this one.
///
/// # Errors
/// The error of the system call.
pub fn cores_of(pid: Option<Pid>) -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(pid)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|core| set.is_set(*core))
        .collect())
}

/// Binds the calling thread, and every process and thread that it starts from then on, to `cores`.
/// No cores: does nothing.
///
/// # Errors
/// The error of the system call.
pub fn pin_current_thread(cores: &[usize]) -> io::Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_gets_the_first_half() {
        assert_eq!(
            Layout::divide(&[0, 1]),
            Layout {
                server: vec![0],
                load: vec![1]
            }
        );
        assert_eq!(
            Layout::divide(&[0, 2, 4]),
            Layout {
                server: vec![0],
                load: vec![2, 4]
            }
        );
        assert_eq!(
            Layout::divide(&[4, 5, 6, 7]),
            Layout {
                server: vec![4, 5],
                load: vec![6, 7]
            }
        );
        assert!(!Layout::divide(&[0, 1]).shared());
        assert!(Layout::divide(&[3]).shared());
    }

    #[test]
    fn a_pinned_thread_sees_its_cores_only() {
        let all = allowed_cores().unwrap();
        let last = *all.last().unwrap();
        let seen = std::thread::spawn(move || {
            pin_current_thread(&[last]).unwrap();
            allowed_cores().unwrap()
        });
        assert_eq!(seen.join().unwrap(), [last]);
        assert_eq!(allowed_cores().unwrap(), all, "other threads keep theirs");
    }
}
