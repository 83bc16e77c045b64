//! Threads that give way to verifications.

use std::panic::resume_unwind;
use std::{io, thread};

use rustix::process::setpriority_process;
use rustix::thread::gettid;

/// What `nice` calls 19: what remains, and a little otherwise.
const LOWEST: i32 = 19;
/// What `nice` calls 10: a tenth of a core that somebody else wants, too.
const LOW: i32 = 10;

/// Gives the calling thread the lowest priority: it runs when nobody else wants its core, and a little otherwise.
pub fn lowest() {
    lower(LOWEST);
}

/// Does `work` on a thread of its own, of low priority. Threads that are made there inherit it, and keep it.
///
/// # Errors
/// What the system says when it gives no thread.
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
    // On Linux a priority belongs to a thread, not to its process.
    if let Err(error) = setpriority_process(Some(gettid()), nice) {
        tracing::debug!(%error, "a thread in the background keeps its priority");
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
