//! Lowers the priority of background threads, so that they give way to verifications.

use std::panic::resume_unwind;
use std::{io, thread};

use rustix::process::setpriority_process;
use rustix::thread::gettid;

/// The niceness 19: idle time, and a small share of a busy core.
const LOWEST: i32 = 19;
/// The niceness 10: about a tenth of a busy core.
const LOW: i32 = 10;

/// Gives the calling thread the lowest priority: it runs when its core is idle, and a little
/// otherwise.
pub fn lowest() {
    lower(LOWEST);
}

/// Runs `work` on a new thread of low priority and waits for it. Threads that it starts inherit the
/// priority and keep it.
///
/// # Errors
/// When the system cannot start a thread.
pub fn low<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("talos-open".to_owned())
            .spawn_scoped(scope, || {
                lower(LOW);
                work()
            })?;
        Ok(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

fn lower(nice: i32) {
    // On Linux the priority belongs to the thread, not to its process.
    if let Err(error) = setpriority_process(Some(gettid()), nice) {
        tracing::debug!(%error, "the priority of a background thread could not be lowered");
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    fn of_this_thread() -> i32 {
        getpriority_process(Some(gettid())).unwrap()
    }

    #[test]
    fn only_the_calling_thread_gives_way() {
        let before = getpriority_process(None).unwrap();
        let in_thread = thread::spawn(|| {
            lowest();
            of_this_thread()
        });
        assert_eq!(in_thread.join().unwrap(), LOWEST);
        assert_eq!(getpriority_process(None).unwrap(), before);
    }

    #[test]
    fn threads_made_by_low_work_inherit_its_priority() {
        let before = of_this_thread();
        let inherited = low(|| thread::spawn(of_this_thread).join().unwrap());
        assert_eq!(inherited.unwrap(), LOW);
        assert_eq!(of_this_thread(), before);
    }
}
